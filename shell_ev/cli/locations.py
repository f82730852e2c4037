"""``locations`` lists all matching locations as they arrive, ``markers`` the contents of a map view."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import textwrap
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import click

from .. import Coordinates, Location, LocationMarker, MultiLocationMarker, SingleLocationMarker, geojson
from .command import COMMON_FILTERS, FORMAT_HELP, command, filter_options, given_filters
from .location_lines import LocationLines
from .location_views import CSV_COLUMNS, csv_row, csv_writer, location_json, power
from .output import dumps, is_terminal, json_value, reconfigure_stdout
from .pager import paged
from .reporting import ExitCode
from .running import Run, run
from .settings import Settings
from .tables import Column, table_lines

#: Seconds until the progress display appears.
_LONG = 1.0
_REFRESH = 0.2


@command(
    "locations",
    "shell-ev locations --country LU --limit 3 --sandbox",
    "shell-ev locations --country NL --format csv > nl.csv",
)
@filter_options(*COMMON_FILTERS, "updated_since")
@click.option("--limit", type=click.IntRange(min=1), metavar="NUMBER", help="Number of locations at most.")
@click.option("--per-page", type=int, metavar="NUMBER", help="Locations per request; default and maximum: 500.")
@click.option("--format", "form", type=click.Choice(["table", "json", "ndjson", "geojson", "csv"]), help=FORMAT_HELP)
@click.pass_obj
def locations(
    settings: Settings, /, limit: int | None, per_page: int | None, form: str | None, **filters: Any
) -> ExitCode:
    """List all matching locations.

    One page at a time is in memory. json is one document, ndjson one object a line; csv is always UTF-8. After an
    error the locations before it have been printed.
    """
    settings.set_format(form)
    write = _writer(settings, form)

    async def work(run: Run) -> None:
        found = run.client.locations.iterate(with_operator_name=True, per_page=per_page, **given_filters(filters))
        async with _progress(run) as counted:
            await write(_limited(found, limit, counted))

    return run(settings, work)


async def _limited(
    found: AsyncIterator[Location], limit: int | None, counted: Callable[[], None]
) -> AsyncIterator[Location]:
    number = 0
    async for location in found:
        counted()
        yield location
        number += 1
        if number == limit:
            return


class _Write(Protocol):
    async def __call__(self, found: AsyncIterator[Location], /) -> None: ...


def _writer(settings: Settings, form: str | None) -> _Write:
    if settings.json:
        return _indented_json if is_terminal(sys.stdout) else _json
    return _WRITERS[form] if form in _WRITERS else functools.partial(_table, settings)


async def _table(settings: Settings, found: AsyncIterator[Location]) -> None:
    lines = LocationLines(sys.stdout)
    with paged(settings) as pager:
        head: Sequence[str] = lines.head()
        async for location in found:
            # Not earlier: a failure of the first page prints no titles.
            for line in (*head, *lines.lines(location)):
                pager.line(line)
            head = ()
        for line in head:
            pager.line(line)


async def _indented_json(found: AsyncIterator[Location]) -> None:
    before = '{\n  "locations": [\n'
    async for location in found:
        sys.stdout.write(before + textwrap.indent(dumps(location_json(location), indent=2), "    "))
        before = ",\n"
    sys.stdout.write("\n  ]\n}\n" if before == ",\n" else '{\n  "locations": []\n}\n')


async def _json(found: AsyncIterator[Location]) -> None:
    before = '{"locations": [\n'
    async for location in found:
        sys.stdout.write(before + dumps(location_json(location)))
        before = ",\n"
    sys.stdout.write("\n]}\n" if before == ",\n" else '{"locations": []}\n')


async def _ndjson(found: AsyncIterator[Location]) -> None:
    async for location in found:
        print(dumps(location_json(location)))


async def _geojson(found: AsyncIterator[Location]) -> None:
    async for piece in geojson.astream(found):
        sys.stdout.write(piece)
    sys.stdout.write("\n")


async def _csv(found: AsyncIterator[Location]) -> None:
    # CSV is read by programs: the encoding of the terminal must not change it.
    reconfigure_stdout(encoding="utf-8", newline="")
    writer = csv_writer(sys.stdout)
    headed = False
    async for location in found:
        if not headed:
            writer.writerow(CSV_COLUMNS)
            headed = True
        writer.writerow(csv_row(location))
    if not headed:
        writer.writerow(CSV_COLUMNS)


_WRITERS: dict[str, _Write] = {"ndjson": _ndjson, "geojson": _geojson, "csv": _csv}


@contextlib.asynccontextmanager
async def _progress(run: Run) -> AsyncGenerator[Callable[[], None]]:
    """Count locations and show the count on stderr, unless the locations themselves are printed on a terminal."""
    count = 0

    def counted() -> None:
        nonlocal count
        count += 1

    if run.out.json or sys.stdout.isatty() or not is_terminal(sys.stderr):
        yield counted
        return

    async def show() -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        await asyncio.sleep(_LONG)
        bar = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.completed} locations"),
            TimeElapsedColumn(),
            console=run.out.console(sys.stderr),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        task = bar.add_task("", total=None)
        with bar:
            while True:
                bar.update(task, completed=count, refresh=True)
                await asyncio.sleep(_REFRESH)

    showing = asyncio.ensure_future(show())
    try:
        yield counted
    finally:
        showing.cancel()
        await asyncio.wait([showing])
    run.out.note(f"{count} locations")


# Markers

_MARKER_COLUMNS = (
    Column("Marker"),
    Column("Locations", right=True),
    Column("EVSEs", right=True),
    Column("Power", right=True),
    Column("Status"),
    Column("Lat", right=True),
    Column("Lon", right=True),
    Column("Operator", wraps=True),
    Column("Location uid"),
)


@command(
    "markers",
    "shell-ev markers --west 4.7 --south 52.3 \\",
    "    --east 5 --north 52.4 --zoom 13 --sandbox",
)
@click.option("--west", type=float, required=True, metavar="LON", help="Bounds of the view, in degrees (WGS 84).")
@click.option("--south", type=float, required=True, metavar="LAT")
@click.option("--east", type=float, required=True, metavar="LON")
@click.option("--north", type=float, required=True, metavar="LAT")
@click.option("--zoom", required=True, metavar="LEVEL", help="1 world, 5 continent, 10 city, 15 streets, 20 buildings.")
@filter_options(*COMMON_FILTERS, "operator_name")
@click.option("--format", "form", type=click.Choice(["table", "json", "geojson"]), help=FORMAT_HELP)
@click.pass_obj
def markers(
    settings: Settings,
    /,
    west: float,
    south: float,
    east: float,
    north: float,
    zoom: str,
    form: str | None,
    **filters: Any,
) -> ExitCode:
    """List the markers of a map view: locations and clusters.

    A cluster stands for locations that are close together at the zoom level.
    """
    settings.set_format(form)

    async def work(run: Run) -> None:
        answer = await run.client.locations.markers(
            west=west,
            south=south,
            east=east,
            north=north,
            zoom=zoom,
            with_operator_name=True,
            with_max_power=True,
            **given_filters(filters),
        )
        if form == "geojson":
            run.out.line(geojson.dumps(answer.data))
        elif run.out.json:
            run.out.document({"markers": json_value(answer.data), "problems": list(answer.problems)})
        else:
            for problem in answer.problems:
                run.out.note(f"could not be read: {problem}")
            if answer.data:
                rows = [_marker_row(marker) for marker in answer.data]
                with paged(settings) as pager:
                    for line in table_lines(run.out.console(), _MARKER_COLUMNS, rows):
                        pager.line(line, is_safe=True)
            else:
                run.out.note("no markers match in this view")

    return run(settings, work)


def _marker_row(marker: LocationMarker) -> list[str]:
    if isinstance(marker, SingleLocationMarker):
        status = marker.status.value if marker.status is not None else "?"
        count = "1" if marker.location_count is None else str(marker.location_count)
        position = _position(marker.coordinates)
        return [
            "location",
            count,
            _number(marker.evse_count),
            power(marker.max_power),
            status,
            *position,
            marker.operator_name or "",
            marker.location_uid or "?",
        ]
    if isinstance(marker, MultiLocationMarker):
        position = _position(marker.coordinates)
        counts = (_number(marker.location_count), _number(marker.evse_count))
        return ["cluster", *counts, power(marker.max_power), "", *position, marker.operator_name or "", ""]
    return [marker.marker_type or "?", "?", "?", "?", "?", "?", "?", "", ""]


def _position(coordinates: Coordinates | None) -> tuple[str, str]:
    position = coordinates.lon_lat if coordinates is not None else None
    return ("?", "?") if position is None else (f"{position[1]:.5f}", f"{position[0]:.5f}")


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)
