"""The bill of a charge: which component is active in each segment, what its step size makes of the amount."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import attrs

from ._restrictions import holds, number
from ._segments import Segment
from .enums import PriceComponentType

if TYPE_CHECKING:
    from .tariffs import ElementTariff, PriceComponent

FLAT, ENERGY = PriceComponentType.FLAT, PriceComponentType.ENERGY
TIME, PARKING = PriceComponentType.TIME, PriceComponentType.PARKING_TIME
#: A step of more kWh than this is most likely one of OCPI, in Wh: its unit is not clear.
LARGEST_ENERGY_STEP = 10
_SECONDS = {TIME: Fraction(3600), PARKING: Fraction(3600)}
_ARGUMENTS = {ENERGY: "energy_kwh", TIME: "duration", PARKING: "parking"}


@attrs.define(kw_only=True)
class Line:
    """One line of a bill. What is not known is None."""

    type: PriceComponentType
    quantity: Fraction | None
    """Amount billed, in the unit of the price."""
    price: Fraction | None
    cost: Fraction | None
    vat: Fraction | None = None
    unknown: str | None = None
    """Why the cost is not known."""

    @classmethod
    def of(
        cls,
        kind: PriceComponentType,
        quantity: Fraction | None,
        price: Fraction | None,
        field: str,
        vat: Fraction | None = None,
    ) -> Self:
        """A line of an amount at a price; a price of zero costs nothing, also for an unknown amount."""
        unknown = None
        cost = None
        if price is None:
            if quantity == 0:
                cost = Fraction(0)
            else:
                unknown = f"{kind.value}: the tariff has no {field}"
        elif price == 0:
            cost = Fraction(0)
        elif quantity is None:
            unknown = f"{kind.value}: {_ARGUMENTS[kind]} is not given"
        else:
            cost = quantity * price
        return cls(type=kind, quantity=quantity, price=price, cost=cost, vat=vat, unknown=unknown)

    @classmethod
    def without_cost(cls, kind: PriceComponentType, reason: str) -> Self:
        """A line that is not known, with the reason."""
        return cls(type=kind, quantity=None, price=None, cost=None, unknown=f"{kind.value}: {reason}")


@attrs.define(kw_only=True)
class Bill:
    """The lines of a bill, and the limits of the tariff."""

    lines: list[Line]
    notes: list[str] = attrs.field(factory=list[str])
    min_price: Fraction | None = None
    max_price: Fraction | None = None
    missing: list[str] = attrs.field(factory=list[str])
    """What is not known and no line."""

    @property
    def unknown(self) -> list[str]:
        """What is not known, one text each."""
        named = [line.unknown for line in self.lines if line.unknown is not None]
        return list(dict.fromkeys([*self.missing, *named]))

    def limited(self, total: Fraction) -> tuple[Fraction, str | None]:
        """The total within the limits, and the name of the limit that it is."""
        if self.max_price is not None and total > self.max_price:
            return self.max_price, "max_price"
        if self.min_price is not None and total < self.min_price:
            return self.min_price, "min_price"
        return total, None


@attrs.define
class _Run:
    """The same component, active in consecutive segments."""

    component: PriceComponent
    amount: Fraction | None


def bill(tariff: ElementTariff, segments: Sequence[Segment], started_at: datetime | None) -> Bill:
    """Bill a charge by the rules of OCPI 2.2.1."""
    result = Bill(lines=[], min_price=number(tariff.min_price))
    highest = number(tariff.max_price)
    if highest == 0:
        result.notes.append("a max_price of 0 is read as no maximum")
    else:
        result.max_price = highest
    if not any(element.price_components for element in tariff.elements):
        result.missing.append("the tariff has no prices")
    for component in (component for element in tariff.elements for component in element.price_components):
        if component.type is None or not component.type.is_known:
            kind = "no type" if component.type is None else f"the unknown type {component.type.value!r}"
            result.missing.append(f"a price component has {kind}")
    result.lines += _fee(tariff, segments)
    parking, parking_unknown = _runs(tariff, segments, PARKING)
    charging, charging_unknown = _runs(tariff, segments, TIME)
    energy, energy_unknown = _runs(tariff, segments, ENERGY)
    result.lines += _dimension(ENERGY, energy, energy_unknown, stepped=True)
    # The step of the last time-based component counts, once: charging time that parking time follows is exact.
    stays = bool(parking) or parking_unknown
    result.lines += _dimension(TIME, charging, charging_unknown, stepped=not stays)
    result.lines += _dimension(PARKING, parking, parking_unknown, stepped=True)
    if any((number(run.component.step_size) or 0) > 1 for run in parking):
        result.notes.append("the step size of PARKING_TIME is read as seconds, as in OCPI")
    result.notes += _doubts(tariff, segments, started_at)
    return result


def _doubts(tariff: ElementTariff, segments: Sequence[Segment], started_at: datetime | None) -> list[str]:
    notes: list[str] = []
    if started_at is not None:
        begins, ends = tariff.start_date_time, tariff.end_date_time
        if (begins is not None and started_at < begins) or (ends is not None and started_at >= ends):
            notes.append("the charge starts outside of the tariff's start_date_time and end_date_time")
    powers = {segment.moment.power for segment in segments if not segment.is_parking} - {None}
    low, high = (number(tariff.power_range.min), number(tariff.power_range.max)) if tariff.power_range else (None, None)
    for power in powers:
        if power is not None and ((low is not None and power < low) or (high and power > high)):
            notes.append("the power of the charge is outside of the tariff's power_range")
            break
    return notes


def _active(tariff: ElementTariff, kind: PriceComponentType, segment: Segment) -> tuple[PriceComponent | None, bool]:
    """The component of a dimension in a segment, and whether that is not known."""
    for element in tariff.elements:
        found = next((component for component in element.price_components if component.type == kind), None)
        if found is None:
            continue
        verdict = holds(element.restrictions, segment.moment)
        if verdict is None:
            return None, True
        if verdict:
            return found, False
    return None, False


def _fee(tariff: ElementTariff, segments: Sequence[Segment]) -> list[Line]:
    # A fee is paid once, when a component of it is first active.
    for segment in segments:
        component, unknown = _active(tariff, FLAT, segment)
        if unknown:
            return [Line.without_cost(FLAT, _NOT_CLEAR)]
        if component is not None:
            return [Line.of(FLAT, Fraction(1), number(component.price), "price", number(component.vat))]
    return []


_NOT_CLEAR = "whether a restriction holds is not known"


def _runs(tariff: ElementTariff, segments: Sequence[Segment], kind: PriceComponentType) -> tuple[list[_Run], bool]:
    runs: list[_Run] = []
    for segment in segments:
        amount = segment.energy if kind is ENERGY else segment.seconds
        if amount == 0 or segment.is_parking != (kind is PARKING):
            continue
        component, unknown = _active(tariff, kind, segment)
        if unknown:
            return [], True
        if component is None:
            continue
        if runs and runs[-1].component is component:
            runs[-1].amount = None if amount is None or runs[-1].amount is None else runs[-1].amount + amount
        else:
            runs.append(_Run(component, amount))
    return runs, False


def _dimension(kind: PriceComponentType, runs: list[_Run], unknown: bool, *, stepped: bool) -> list[Line]:
    if unknown:
        return [Line.without_cost(kind, _NOT_CLEAR)]
    if not runs:
        return []
    amounts = [run.amount for run in runs]
    last = runs[-1].component
    step = number(last.step_size)
    reason = None
    # The step of a price of zero changes nothing.
    if stepped and number(last.price) != 0:
        reason = _step_fault(kind, last.step_size, step)
        if reason is None and step:
            amounts[-1] = _rounded(amounts, step)
    lines: list[Line] = []
    for run, amount in zip(runs, amounts, strict=True):
        quantity = None if amount is None else amount / _SECONDS.get(kind, 1)
        lines.append(Line.of(kind, quantity, number(run.component.price), "price", number(run.component.vat)))
    if reason is not None:
        lines[-1].quantity = lines[-1].cost = None
        lines[-1].unknown = f"{kind.value}: {reason}"
    return lines


def _step_fault(kind: PriceComponentType, sent: float | None, step: Fraction | None) -> str | None:
    if sent is None:
        return "the tariff has no step_size"
    if step is None or step < 0:
        return f"a step_size of {sent:g} is none"
    if kind is ENERGY and step > LARGEST_ENERGY_STEP:
        return f"the unit of a step_size of {sent:g} is not clear: in kWh it is more than {LARGEST_ENERGY_STEP}"
    return None


def _rounded(amounts: list[Fraction | None], step: Fraction) -> Fraction | None:
    """The last amount, with what rounding the sum of all up to a multiple of the step adds to it."""
    total, last = Fraction(0), amounts[-1]
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return None if last is None else last + math.ceil(total / step) * step - total
