"""``nearby``: the chargers around a point, sorted, with plugs, prices and the EVSE ids to start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
import click

from .. import ApiVersion, Location, ValidationError, geojson
from .command import (
    COMMON_FILTERS,
    FORMAT_HELP,
    command,
    duration,
    filter_options,
    given_filters,
    point_of_words,
)
from .location_views import (
    address_words,
    availability,
    location_json,
    map_url,
    plugs,
    price_words,
    startable_ids,
    summary,
)
from .output import printable
from .pager import paged
from .reporting import ExitCode
from .running import Run, open_in_browser, run
from .settings import Settings
from .tables import Column, table_lines

if TYPE_CHECKING:
    from rich.console import Console

    from .costs import Cost, Wish
    from .prices import Prices

_IDS_SHOWN = 4
_EVERY = "1m"
#: Lines of the terminal beside those of a table that is watched: the time, dots, the cursor.
_BESIDE = 3


@attrs.frozen(kw_only=True)
class Found:
    """A location with what it is sorted by."""

    location: Location
    distance_km: float | None
    cost: Cost | None = None


@attrs.frozen(kw_only=True)
class Request:
    """What the command line asks for."""

    latitude: float
    longitude: float
    limit: int | None
    filters: dict[str, Any]
    provider: str | None
    wish: Wish | None
    order: str
    form: str | None
    all_evses: bool


def _far(value: float | None) -> tuple[bool, float]:
    """A key that sorts an unknown value last."""
    return value is None, value or 0.0


def _by_price(found: Found) -> tuple[Any, ...]:
    cost = found.cost
    # Amounts of different currencies cannot be compared: each currency is sorted by itself.
    return (True,) if cost is None else (False, not cost.is_complete, cost.currency or "", cost.lowest)


_ORDERS: dict[str, Callable[[Found], Any]] = {
    "distance": lambda found: _far(found.distance_km),
    "power": lambda found: (*_far(-power if (power := found.location.max_power_kw) is not None else None),),
    "price": _by_price,
    "free": lambda found: _far(-free if (free := summary(found.location)["available_count"]) is not None else None),
}


@command(
    "nearby",
    "shell-ev nearby 52.3731,4.8932 --sandbox",
    "shell-ev nearby 52.37,4.89 --connector CCS --min-power 50",
    "shell-ev nearby 52.37,4.89 --provider TNM \\",
    "    --energy 40 --minutes 45",
)
@click.argument("where", metavar="LAT,LON", nargs=-1, required=True, callback=point_of_words)
@click.option("--limit", type=int, metavar="NUMBER", help="Number of locations; default 25, maximum 100.")
@click.option(
    "--available", is_flag=True, help="Only locations with an available EVSE; the same as --status Available."
)
@filter_options(*COMMON_FILTERS, "operator_name")
@click.option(
    "--provider", metavar="ID", help="Add the prices of this provider, such as TNM: one request per location."
)
@click.option(
    "--energy", type=click.FloatRange(min=0), metavar="KWH", help="Show what a charge of so much energy costs."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), metavar="NUMBER", help="Time that this charge takes."
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(_ORDERS)),
    help="What comes first; default: price with --energy or --minutes, else distance.",
)
@click.option("--all-evses", is_flag=True, help=f"Show every available EVSE, not {_IDS_SHOWN} per location.")
@click.option("--watch", is_flag=True, help="Ask again and again, until Ctrl-C.")
@click.option("--every", type=duration, metavar="TIME", default=_EVERY, show_default=True, help="Pause of --watch.")
@click.option("--open", "opens", is_flag=True, help="Open the first location on a map in the browser.")
@click.option("--format", "form", type=click.Choice(["table", "json", "geojson"]), help=FORMAT_HELP)
@click.pass_obj
def nearby(
    settings: Settings,
    /,
    where: tuple[float, float],
    limit: int | None,
    available: bool,
    provider: str | None,
    energy: float | None,
    minutes: float | None,
    order: str | None,
    all_evses: bool,
    watch: bool,
    every: float,
    opens: bool,
    form: str | None,
    **filters: Any,
) -> ExitCode:
    """List the chargers around a point, nearest first.

    LAT,LON are degrees (WGS 84). The last column has the ids of available EVSEs, as `charge` and `start` take them.
    Prices: in V2 only with --provider, in V1 and V1_PASCAL always. What a charge costs depends on the time in many
    tariffs: it begins now, by the clock of this machine.
    """
    settings.set_format(form)
    if watch and opens:
        raise click.UsageError("--watch and --open exclude each other")
    if order == "price" and energy is None and minutes is None:
        raise click.UsageError("--sort price needs the charge to compare: --energy KWH, --minutes NUMBER, or both")
    if available:
        filters["evse_status"] = (*filters["evse_status"], "Available")
    wish = _wish(energy, minutes, filters)
    request = Request(
        latitude=where[0],
        longitude=where[1],
        limit=limit,
        filters=given_filters(filters),
        provider=provider,
        wish=wish,
        order=order or ("distance" if wish is None else "price"),
        form=form,
        all_evses=all_evses,
    )

    async def work(run: Run) -> None:
        prices = _prices(run, request)
        while True:
            found, problems = await _find(run, request, prices)
            _show(run, request, found, problems, watch=watch)
            if opens:
                await open_in_browser(run.out, map_url(found[0].location) if found else None)
            if not watch:
                return
            await asyncio.sleep(every)

    return run(settings, work)


def _wish(energy: float | None, minutes: float | None, filters: dict[str, Any]) -> Wish | None:
    if energy is None and minutes is None:
        return None
    from .costs import Wish

    return Wish(
        energy_kwh=energy,
        minutes=minutes,
        started_at=datetime.now().astimezone(),
        connector_types=filters["connector_types"],
        min_power_kw=filters["connector_min_power"],
    )


def _prices(run: Run, request: Request) -> Prices | None:
    if request.provider is None:
        if request.wish is not None and run.client.config.api_version is ApiVersion.V2:
            raise ValidationError(["--energy and --minutes need --provider ID: prices come no other way in V2"])
        return None
    from .prices import Prices

    return Prices(run, request.provider)


async def _find(run: Run, request: Request, prices: Prices | None) -> tuple[list[Found], Sequence[str]]:
    answer = await run.client.locations.nearby(
        request.latitude, request.longitude, limit=request.limit, with_operator_name=True, **request.filters
    )
    locations = list(answer.data) if prices is None else await prices.of(list(answer.data))
    found = [
        Found(
            location=location,
            distance_km=location.distance_km(request.latitude, request.longitude),
            cost=_cost(location, request.wish),
        )
        for location in locations
    ]
    found.sort(key=_ORDERS["distance"])
    return sorted(found, key=_ORDERS[request.order]), answer.problems


def _cost(location: Location, wish: Wish | None) -> Cost | None:
    if wish is None:
        return None
    from .costs import cost_of

    return cost_of(location, attrs.evolve(wish, started_at=datetime.now().astimezone()))


def _show(run: Run, request: Request, found: list[Found], problems: Sequence[str], *, watch: bool) -> None:
    out = run.out
    if request.form == "geojson":
        out.line(geojson.dumps(one.location for one in found))
    elif out.json:
        document = {
            "latitude": request.latitude,
            "longitude": request.longitude,
            "locations": [_json(one, request) for one in found],
            "problems": list(problems),
        }
        (out.record if watch else out.document)(document)
    else:
        for problem in problems:
            out.note(f"could not be read: {problem}")
        if watch:
            _print_watched(run, request, found)
        elif not found:
            out.note("no locations match near by")
        else:
            with paged(run.settings) as pager:
                for line in _lines(out.console(), request, found):
                    pager.line(line, is_safe=True)


def _print_watched(run: Run, request: Request, found: list[Found]) -> None:
    console = run.out.console()
    console.clear()  # nothing without a terminal
    run.out.text(f"{datetime.now():%H:%M:%S}  {len(found)} locations; Ctrl-C ends this")
    lines = _lines(console, request, found)
    if console.is_terminal and len(lines) > (room := console.height - _BESIDE):
        lines = [*lines[:room], "..."]  # the first ones stay in sight
    for line in lines:
        print(line, flush=True)


def _json(found: Found, request: Request) -> dict[str, Any]:
    document = {"distance_km": found.distance_km, **location_json(found.location)}
    if request.wish is not None:
        document["estimate"] = None if found.cost is None else found.cost.to_json()
    return document


def _lines(console: Console, request: Request, found: list[Found]) -> list[str]:
    """The table, without control characters of the service."""
    columns = [Column("Distance", right=True), Column("Free", right=True), Column("Plugs (kW)", wraps=True)]
    rows = [
        [
            "?" if one.distance_km is None else f"{one.distance_km:.1f} km",
            availability(one.location),
            plugs(one.location),
        ]
        for one in found
    ]
    prices = [price_words(*one.location.evses) for one in found]
    if any(prices):
        # An empty column is left out.
        columns.append(Column("Price", wraps=True))
        rows = [[*row, price] for row, price in zip(rows, prices, strict=True)]
    if request.wish is not None:
        columns.append(Column(request.wish.title, wraps=True))
        rows = [[*row, one.cost.words if one.cost is not None else "?"] for row, one in zip(rows, found, strict=True)]
    columns += [Column("Where", wraps=True), Column("EVSEs to start")]
    rows = [
        [*row, printable(address_words(one.location)), _ids(startable_ids(one.location), request.all_evses)]
        for row, one in zip(rows, found, strict=True)
    ]
    return table_lines(console, columns, rows) if rows else []


def _ids(ids: list[str], all_evses: bool) -> str:
    if all_evses or len(ids) <= _IDS_SHOWN:
        return "\n".join(ids) or "none free"
    return "\n".join([*ids[:_IDS_SHOWN], f"and {len(ids) - _IDS_SHOWN} more"])
