"""``locations``: every location that matches, as they come in, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Protocol

import click

from .. import geojson
from ..models.locations import Location
from .command import command
from .exit_codes import ExitCode
from .filters import COMMON, FORMAT_HELP, filter_options, given
from .location_lines import Lines
from .output import dumps, is_terminal, reconfigure
from .places import CSV_COLUMNS, csv_row, csv_writer, location_shape
from .running import Run, run
from .settings import Settings

#: A pull that lasts longer than this gets a progress bar.
_LONG = 1.0
_REFRESH = 0.2


@command("locations")
@filter_options(*COMMON, "updated_since")
@click.option("--limit", type=click.IntRange(min=1), metavar="NUMBER", help="Stop after so many.")
@click.option("--per-page", type=int, metavar="NUMBER", help="Locations a request, 500 at most and if left out.")
@click.option("--format", "written", type=click.Choice(["table", "json", "ndjson", "geojson", "csv"]), help=FORMAT_HELP)
@click.pass_obj
def locations(
    settings: Settings, /, limit: int | None, per_page: int | None, written: str | None, **filters: Any
) -> ExitCode:
    """List every location that matches, while they come in.

    Fetches page after page and keeps one in memory. json is one document, ndjson one object a line; csv is UTF-8
    whatever the terminal. A pull that fails on the way has written what came before.
    """
    settings.want(written)
    form = "json" if settings.json and written is None else written or "table"

    async def work(run: Run) -> None:
        found = run.ev.locations.iterate(with_operator_name=True, per_page=per_page, **given(filters))
        async with _progress(run) as counted:
            await _WRITERS[form](_limited(found, limit, counted))

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


async def _table(found: AsyncIterator[Location]) -> None:
    lines, headed = Lines(sys.stdout), False
    async for location in found:
        # Not before: a pull that fails at once has nothing to stand under it.
        if not headed:
            print(lines.head())
            headed = True
        print(lines.line(location))
    if not headed:
        print(lines.head())


async def _json(found: AsyncIterator[Location]) -> None:
    before = '{"locations": [\n'
    async for location in found:
        sys.stdout.write(before + dumps(location_shape(location)))
        before = ",\n"
    sys.stdout.write("\n]}\n" if before == ",\n" else '{"locations": []}\n')


async def _ndjson(found: AsyncIterator[Location]) -> None:
    async for location in found:
        print(dumps(location_shape(location)))


async def _geojson(found: AsyncIterator[Location]) -> None:
    async for piece in geojson.astream(found):
        sys.stdout.write(piece)
    sys.stdout.write("\n")


async def _csv(found: AsyncIterator[Location]) -> None:
    # A table that other programs read must not lose a letter to the terminal's encoding.
    reconfigure(encoding="utf-8", newline="")
    writer = csv_writer(sys.stdout)
    headed = False
    async for location in found:
        if not headed:
            writer.writerow(CSV_COLUMNS)
            headed = True
        writer.writerow(csv_row(location))
    if not headed:
        writer.writerow(CSV_COLUMNS)


_WRITERS: dict[str, _Write] = {"table": _table, "json": _json, "ndjson": _ndjson, "geojson": _geojson, "csv": _csv}


@contextlib.asynccontextmanager
async def _progress(run: Run) -> AsyncGenerator[Callable[[], None]]:
    """Count, and show the count on stderr once it takes long; where lines run over that very terminal they do."""
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
            # The data on stdout is none of its business.
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
