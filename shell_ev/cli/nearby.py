"""``nearby``: the chargers around a point, nearest first, with what is needed to start one."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import click

from .. import geojson
from ..errors import ApiError, ShellEVError
from ..models.locations import Location
from .command import command
from .exit_codes import ExitCode
from .filters import COMMON, FORMAT_HELP, filter_options, given
from .output import Output
from .places import availability, location_shape, power, startable_ids
from .prices import price_words
from .running import Run, run
from .settings import Settings
from .tables import Column, print_table
from .values import degrees

_TARIFFS_AT_ONCE = 5
_IDS_SHOWN = 4


@command("nearby")
@click.argument("latitude", metavar="LAT", type=degrees)
@click.argument("longitude", metavar="LON", type=degrees)
@click.option("--limit", type=int, metavar="NUMBER", help="At most so many; the service takes 25, and 100 at most.")
@click.option("--available", is_flag=True, help="Only where something is free; --status Available.")
@filter_options(*COMMON, "operator_name")
@click.option("--provider", metavar="ID", help="Look up the prices of this provider (such as TNM), one request each.")
@click.option("--all-evses", is_flag=True, help=f"Show every EVSE that can be started, not {_IDS_SHOWN} a location.")
@click.option("--format", "written", type=click.Choice(["table", "json", "geojson"]), help=FORMAT_HELP)
@click.pass_obj
def nearby(
    settings: Settings,
    /,
    latitude: float,
    longitude: float,
    limit: int | None,
    available: bool,
    provider: str | None,
    all_evses: bool,
    written: str | None,
    **filters: Any,
) -> ExitCode:
    """List the chargers around a point, nearest first.

    LAT and LON are degrees (WGS 84). The last column holds the EVSE ids that `charge` and `start` take, of EVSEs that
    are free. V2 tells prices only to a --provider; V1 and V1_PASCAL tell them always.
    """
    settings.want(written)
    if available:
        filters["evse_status"] = (*filters["evse_status"], "Available")

    async def work(run: Run) -> None:
        answer = await run.ev.locations.nearby(
            latitude, longitude, limit=limit, with_operator_name=True, **given(filters)
        )
        locations = list(answer.data)
        if provider is not None:
            locations = await _priced(run, locations, provider)
        placed = [(location.distance_km(latitude, longitude), location) for location in locations]
        placed.sort(key=lambda pair: (pair[0] is None, pair[0] or 0.0))
        if written == "geojson":
            run.out.line(geojson.dumps(location for _, location in placed))
        elif run.out.json:
            shapes = [{"distance_km": distance, **location_shape(location)} for distance, location in placed]
            point = {"latitude": latitude, "longitude": longitude}
            run.out.document({**point, "locations": shapes, "problems": list(answer.problems)})
        else:
            for problem in answer.problems:
                run.out.note(f"could not be read: {problem}")
            _print(run.out, placed, all_evses)

    return run(settings, work)


async def _priced(run: Run, locations: list[Location], provider: str) -> list[Location]:
    """The same locations with the tariffs of a provider; where these cannot be had, as they are."""
    room = asyncio.Semaphore(_TARIFFS_AT_ONCE)

    async def look(location: Location) -> Location:
        if location.uid is None:
            return location
        async with room:
            try:
                found = (await run.ev.locations.get(location.uid, provider_id=provider)).data
            except ApiError as error:
                run.out.note(f"no prices of location {location.uid}: {error}")
                return location
        return _with_tariffs(location, found)

    tasks = [asyncio.ensure_future(look(location)) for location in locations]
    try:
        return [await task for task in tasks]
    except (ShellEVError, asyncio.CancelledError):
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _with_tariffs(location: Location, priced: Location) -> Location:
    # States and the rest stay those of the one answer that all of them came in.
    tariffs = {connector.uid: connector.tariffs for evse in priced.evses for connector in evse.connectors}
    evses = tuple(
        attrs.evolve(
            evse,
            connectors=tuple(
                attrs.evolve(connector, tariffs=tariffs.get(connector.uid, connector.tariffs))
                for connector in evse.connectors
            ),
        )
        for evse in location.evses
    )
    return attrs.evolve(location, evses=evses)


def _print(out: Output, placed: list[tuple[float | None, Location]], all_evses: bool) -> None:
    if not placed:
        out.note("nothing is near by that matches")
        return
    columns = [
        Column("Distance", right=True),
        Column("Free", right=True),
        Column("Power", right=True),
        Column("Price", folds=12),
        Column("Where", folds=18),
        Column("EVSEs to start"),
    ]
    rows = [
        [
            "?" if distance is None else f"{distance:.1f} km",
            availability(location),
            power(location.max_power_kw),
            price_words(location),
            _where(location),
            _ids(startable_ids(location), all_evses),
        ]
        for distance, location in placed
    ]
    if not any(row[3] for row in rows):
        # A column without a single word in it says less than none.
        del columns[3]
        rows = [row[:3] + row[4:] for row in rows]
    print_table(out.console(), columns, rows)


def _where(location: Location) -> str:
    address = location.address
    town = " ".join(filter(None, (address.postal_code, address.city))) if address is not None else ""
    street = address.street_and_number if address is not None else None
    return ", ".join(filter(None, (location.operator_name, street, town)))


def _ids(ids: list[str], all_evses: bool) -> str:
    if all_evses or len(ids) <= _IDS_SHOWN:
        return "\n".join(ids) or "none free"
    return "\n".join([*ids[:_IDS_SHOWN], f"and {len(ids) - _IDS_SHOWN} more"])
