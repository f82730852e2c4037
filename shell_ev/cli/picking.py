"""The EVSE that ``charge --near`` starts on: the nearest one that is free and fits. Asks, and starts nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import attrs
import click

from .. import Evse, Location
from .location_views import address_words, plugs, price_words, startable
from .output import printable, width_of, wrapped
from .running import Run

_CHOICE = " [y/N] "


@attrs.frozen(kw_only=True)
class Wanted:
    """What ``charge --near`` asks for."""

    latitude: float
    longitude: float
    connector_types: Sequence[str] = ()
    min_power_kw: float | None = None
    provider: str | None = None

    @property
    def where(self) -> str:
        """The point as on the command line."""
        return f"{self.latitude:g},{self.longitude:g}"


@attrs.frozen(kw_only=True)
class Picked:
    """An EVSE that is free and fits, with its location."""

    location: Location
    evse: Evse
    evse_id: str
    distance_km: float | None

    def lines(self) -> list[str]:
        """The EVSE in words, for the question."""
        away = "" if self.distance_km is None else f"{self.distance_km:.1f} km: "
        price = price_words(self.evse)
        return [
            printable(f"{self.evse_id}, {plugs(self.evse)} kW"),
            printable(f"{away}{address_words(self.location)}"),
            *([printable(price)] if price else []),
        ]


async def pick(run: Run, wanted: Wanted) -> Picked | None:
    """The nearest EVSE that is free and fits; None if there is none.

    Raises:
        ShellEVError: The request failed.
    """
    answer = await run.client.locations.nearby(
        wanted.latitude,
        wanted.longitude,
        evse_status="Available",
        with_operator_name=True,
        connector_types=tuple(wanted.connector_types) or None,
        connector_min_power=wanted.min_power_kw,
    )
    placed = [(location.distance_km(wanted.latitude, wanted.longitude), location) for location in answer.data]
    for distance, location in sorted(placed, key=lambda pair: (pair[0] is None, pair[0] or 0.0)):
        evse = _fitting(location, wanted)
        if evse is None or evse.evse_id is None:
            continue
        if wanted.provider is not None:
            from .prices import Prices

            (location,) = await Prices(run, wanted.provider).of([location])
            evse = location.evse(evse.evse_id) or evse
        return Picked(location=location, evse=evse, evse_id=evse.evse_id or "", distance_km=distance)
    return None


def _fitting(location: Location, wanted: Wanted) -> Evse | None:
    kinds = wanted.connector_types or (None,)
    fitting = [evse for kind in kinds for evse in location.available_evses(kind, wanted.min_power_kw)]
    return next((evse for evse in fitting if startable(evse)), None)


def can_ask() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


async def confirmed(question: str) -> bool:
    """Ask a question on the terminal; the answer. No is the default.

    The event loop runs on: it reads the signals, and what the service closes meanwhile.
    """
    lines = wrapped(printable(question), width_of(sys.stderr) - len(_CHOICE))
    click.echo("\n".join(lines) + _CHOICE, nl=False, err=True)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(sys.stdin, readable.set)
    except (NotImplementedError, OSError):  # Windows
        return _is_yes(sys.stdin.readline())
    try:
        await readable.wait()
    except asyncio.CancelledError:
        click.echo(err=True)  # ends the line of the question
        raise
    finally:
        loop.remove_reader(sys.stdin)
    return _is_yes(sys.stdin.readline())


def _is_yes(answer: str) -> bool:
    return answer.strip().casefold() in ("y", "yes")
