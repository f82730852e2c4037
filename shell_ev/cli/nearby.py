"""``nearby``: the chargers around a point, nearest first, with prices and the EVSE ids to start."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import click

from .. import ApiError, Location, ShellEVError, geojson
from .command import COMMON_FILTERS, FORMAT_HELP, command, degrees, filter_options, given_filters
from .location_views import availability, location_json, power, price_words, startable_ids
from .output import Column, Output, print_table
from .reporting import ExitCode
from .running import Run, run
from .settings import Settings

_TARIFFS_AT_ONCE = 5
_IDS_SHOWN = 4


@command("nearby")
@click.argument("latitude", metavar="LAT", type=degrees)
@click.argument("longitude", metavar="LON", type=degrees)
@click.option("--limit", type=int, metavar="NUMBER", help="Number of locations; default 25, maximum 100.")
@click.option(
    "--available", is_flag=True, help="Only locations with an available EVSE; the same as --status Available."
)
@filter_options(*COMMON_FILTERS, "operator_name")
@click.option(
    "--provider", metavar="ID", help="Add the prices of this provider, such as TNM: one request per location."
)
@click.option("--all-evses", is_flag=True, help=f"Show every available EVSE, not {_IDS_SHOWN} per location.")
@click.option("--format", "form", type=click.Choice(["table", "json", "geojson"]), help=FORMAT_HELP)
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
    form: str | None,
    **filters: Any,
) -> ExitCode:
    """List the chargers around a point, nearest first.

    LAT and LON are degrees (WGS 84). The last column has the ids of available EVSEs, as `charge` and `start` take
    them. Prices: in V2 only with --provider, in V1 and V1_PASCAL always.
    """
    settings.set_format(form)
    if available:
        filters["evse_status"] = (*filters["evse_status"], "Available")

    async def work(run: Run) -> None:
        answer = await run.client.locations.nearby(
            latitude, longitude, limit=limit, with_operator_name=True, **given_filters(filters)
        )
        locations = list(answer.data)
        if provider is not None:
            locations = await _priced(run, locations, provider)
        placed = [(location.distance_km(latitude, longitude), location) for location in locations]
        placed.sort(key=lambda pair: (pair[0] is None, pair[0] or 0.0))
        if form == "geojson":
            run.out.line(geojson.dumps(location for _, location in placed))
        elif run.out.json:
            found = [{"distance_km": distance, **location_json(location)} for distance, location in placed]
            point = {"latitude": latitude, "longitude": longitude}
            run.out.document({**point, "locations": found, "problems": list(answer.problems)})
        else:
            for problem in answer.problems:
                run.out.note(f"could not be read: {problem}")
            _print(run.out, placed, all_evses)

    return run(settings, work)


async def _priced(run: Run, locations: list[Location], provider: str) -> list[Location]:
    """The locations with the tariffs of a provider. One without an answer stays as it is."""
    slots = asyncio.Semaphore(_TARIFFS_AT_ONCE)

    async def priced(location: Location) -> Location:
        if location.uid is None:
            return location
        async with slots:
            try:
                answer = await run.client.locations.get(location.uid, provider_id=provider)
            except ApiError as error:
                run.out.note(f"no prices of location {location.uid}: {error}")
                return location
        return _with_tariffs(location, answer.data)

    tasks = [asyncio.ensure_future(priced(location)) for location in locations]
    try:
        return [await task for task in tasks]
    except (ShellEVError, asyncio.CancelledError):
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _with_tariffs(location: Location, priced: Location) -> Location:
    # Only tariffs are taken over: states come from one answer for all locations.
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
        out.note("no locations match near by")
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
        # An empty column is left out.
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
