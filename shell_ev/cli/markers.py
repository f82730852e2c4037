"""``markers``: what a map of a view shows."""

from __future__ import annotations

from typing import Any

import click

from .. import geojson
from ..models.locations import Coordinates
from ..models.markers import LocationMarker, MultiLocationMarker, SingleLocationMarker
from .command import command
from .exit_codes import ExitCode
from .filters import COMMON, FORMAT_HELP, filter_options, given
from .places import power
from .running import Run, run
from .settings import Settings
from .shapes import plain
from .tables import Column, print_table

_COLUMNS = (
    Column("Marker"),
    Column("Locations", right=True),
    Column("EVSEs", right=True),
    Column("Power", right=True),
    Column("Status"),
    Column("Lat", right=True),
    Column("Lon", right=True),
    Column("Operator", folds=12),
    Column("Location uid"),
)


@command("markers")
@click.option("--west", type=float, required=True, metavar="LON", help="Bounds of the view, in degrees (WGS 84).")
@click.option("--south", type=float, required=True, metavar="LAT")
@click.option("--east", type=float, required=True, metavar="LON")
@click.option("--north", type=float, required=True, metavar="LAT")
@click.option("--zoom", required=True, metavar="LEVEL", help="1 world, 5 continent, 10 city, 15 streets, 20 buildings.")
@filter_options(*COMMON, "operator_name")
@click.option("--format", "written", type=click.Choice(["table", "json", "geojson"]), help=FORMAT_HELP)
@click.pass_obj
def markers(
    settings: Settings,
    /,
    west: float,
    south: float,
    east: float,
    north: float,
    zoom: str,
    written: str | None,
    **filters: Any,
) -> ExitCode:
    """List what a map shows: locations and clusters.

    Where locations lie close together for the zoom level, one cluster stands for them.
    """
    settings.want(written)

    async def work(run: Run) -> None:
        answer = await run.ev.locations.markers(
            west=west,
            south=south,
            east=east,
            north=north,
            zoom=zoom,
            with_operator_name=True,
            with_max_power=True,
            **given(filters),
        )
        if written == "geojson":
            run.out.line(geojson.dumps(answer.data))
        elif run.out.json:
            run.out.document({"markers": plain(answer.data), "problems": list(answer.problems)})
        else:
            for problem in answer.problems:
                run.out.note(f"could not be read: {problem}")
            if answer.data:
                print_table(run.out.console(), _COLUMNS, [_row(marker) for marker in answer.data])
            else:
                run.out.note("nothing is in this view that matches")

    return run(settings, work)


def _row(marker: LocationMarker) -> list[str]:
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
