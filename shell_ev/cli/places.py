"""Locations as JSON and as words: what is free, how strong, what it costs, where, and what can be started there."""

from __future__ import annotations

import csv
from typing import Any, TextIO, cast

from ..endpoints.charging import prepare_start
from ..errors import ValidationError
from ..geojson import feature
from ..models.locations import Evse, Location
from .shapes import plain

#: Columns of the CSV: GeoJSON properties, and what is not one of them.
CSV_COLUMNS = (
    "uid",
    "latitude",
    "longitude",
    "operator_name",
    "street_and_number",
    "postal_code",
    "city",
    "country",
    "location_type",
    "status",
    "available_count",
    "evse_count",
    "max_power_kw",
    "connector_types",
    "authorization_methods",
    "accessibility",
    "open_twenty_four_seven",
    "is_free",
    "evse_ids",
    "external_id",
    "operator_id",
)


def startable(evse: Evse) -> bool:
    """Whether the EVSE is free and has an id that a start takes."""
    if evse.evse_id is None:
        return False
    try:
        # The library's own rule: the contract wants 18 to 36 characters.
        prepare_start("-", evse.evse_id, {})
    except ValidationError:
        return False
    return True


def startable_ids(location: Location) -> list[str]:
    """The EVSE ids that can be started at a location now."""
    return [evse.evse_id for evse in location.available_evses() if evse.evse_id is not None and startable(evse)]


def summary(location: Location) -> dict[str, Any]:
    """The GeoJSON properties of a location."""
    properties: dict[str, Any] = feature(location)["properties"]
    return properties


def location_shape(location: Location) -> dict[str, Any]:
    """A location: the fields of its model, and what was worked out from them."""
    worked_out = summary(location)
    return {
        **plain(location),
        **{name: worked_out[name] for name in ("status", "available_count", "evse_count", "max_power_kw", "is_free")},
        "startable_evse_ids": startable_ids(location),
    }


def availability(location: Location) -> str:
    """``2/4``: free, and all; a question mark for what is not known."""
    found = summary(location)
    free, count = found["available_count"], found["evse_count"]
    return f"{'?' if free is None else free}/{'?' if count is None else count}"


def power(kilowatts: float | None) -> str:
    """``11 kW``."""
    return "?" if kilowatts is None else f"{kilowatts:g} kW"


def csv_writer(file: TextIO) -> Any:
    """A writer of CSV lines that end as lines do on this kind of output."""
    return csv.writer(file, lineterminator="\n")


def csv_row(location: Location) -> list[str]:
    """A location as the columns of the CSV; what is not known is empty."""
    position = location.coordinates.lon_lat if location.coordinates is not None else None
    found = {
        **summary(location),
        "longitude": position[0] if position is not None else None,
        "latitude": position[1] if position is not None else None,
        "evse_ids": [evse.evse_id for evse in location.evses if evse.evse_id and not evse.is_deleted],
    }
    return [_csv(found[column]) for column in CSV_COLUMNS]


def _csv(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
