"""A charge cut where a restriction of its tariff may begin or cease to hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from ._restrictions import Moment, names_times, number, wall_at, wall_changes

if TYPE_CHECKING:
    from .tariffs import ElementTariff, TariffRestrictions


@attrs.frozen(kw_only=True)
class Stretch:
    """A part of a charge at constant power. What is not known is None."""

    energy: Fraction | None
    """Energy, in kWh."""
    seconds: Fraction | None
    """Duration, in seconds."""
    current: Fraction | None
    """Current, in A."""
    is_parking: bool
    """Whether the vehicle is connected without charging."""

    @property
    def power(self) -> Fraction | None:
        """Power, in kW: energy by duration."""
        if self.is_parking:
            return Fraction(0)
        return self.energy / (self.seconds / 3600) if self.energy is not None and self.seconds else None


@attrs.frozen(kw_only=True)
class Segment:
    """A part of a charge during which the same restrictions hold."""

    moment: Moment
    """Its beginning."""
    energy: Fraction | None
    """Energy charged in it, in kWh."""
    seconds: Fraction | None
    """Its length, in seconds."""
    is_parking: bool
    """Whether the vehicle is connected without charging."""


def cut(tariff: ElementTariff, stretches: Sequence[Stretch], started_at: datetime | None) -> list[Segment]:
    """Cut a charge at every limit of the tariff. What is not known of a stretch is not known after it."""
    limits = [element.restrictions for element in tariff.elements if element.restrictions is not None]
    at_seconds = _numbers(value for limit in limits for value in (limit.min_duration, limit.max_duration))
    at_energy = _numbers(value for limit in limits for value in (limit.min_kwh, limit.max_kwh))
    at_seconds |= _wall_cuts(limits, stretches, started_at)
    elapsed: Fraction | None = Fraction(0)
    energy: Fraction | None = Fraction(0)
    segments: list[Segment] = []
    for stretch in stretches:
        points = sorted(
            {Fraction(0), *_shares(at_seconds, elapsed, stretch.seconds)}
            | set(_shares(at_energy, energy, stretch.energy))
        )
        for begin, end in zip(points, [*points[1:], Fraction(1)], strict=True):
            since = _after(elapsed, begin, stretch.seconds)
            moment = Moment(
                elapsed=since,
                energy=_after(energy, begin, stretch.energy),
                power=stretch.power,
                current=stretch.current,
                wall=None if started_at is None or since is None else wall_at(started_at, since),
            )
            share = end - begin
            segments.append(
                Segment(
                    moment=moment,
                    energy=None if stretch.energy is None else share * stretch.energy,
                    seconds=None if stretch.seconds is None else share * stretch.seconds,
                    is_parking=stretch.is_parking,
                )
            )
        elapsed = _after(elapsed, Fraction(1), stretch.seconds)
        energy = _after(energy, Fraction(1), stretch.energy)
    return segments


def _wall_cuts(
    limits: list[TariffRestrictions], stretches: Sequence[Stretch], started_at: datetime | None
) -> set[Fraction]:
    named = [limit for limit in limits if names_times(limit)]
    if started_at is None or not named:
        return set()
    # As far as it is known how long the charge takes.
    length = Fraction(0)
    for stretch in stretches:
        if stretch.seconds is None:
            break
        length += stretch.seconds
    return wall_changes(started_at, length, named)


def _numbers(values: Iterable[float | None]) -> set[Fraction]:
    return {found for found in map(number, values) if found is not None}


def _shares(points: Iterable[Fraction], before: Fraction | None, amount: Fraction | None) -> Iterator[Fraction]:
    """The points that lie inside of a stretch, as shares of it."""
    if before is None or not amount:
        return
    for point in points:
        share = (point - before) / amount
        if 0 < share < 1:
            yield share


def _after(before: Fraction | None, share: Fraction, amount: Fraction | None) -> Fraction | None:
    # At the very beginning nothing is unknown yet.
    if share == 0:
        return before
    return None if before is None or amount is None else before + share * amount
