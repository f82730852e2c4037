"""Locations as JSON and as CSV rows, their addresses, their map and their prices in words."""

from __future__ import annotations

import csv
import sys
from typing import Any, TextIO, cast

from .. import ElementTariff, Evse, EvseId, FlatTariff, Location, PriceComponentType, Tariff
from ..geojson import feature
from .output import json_value, printable

#: Columns of the CSV: the GeoJSON properties, coordinates and EVSE ids.
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
    """Whether the EVSE has an id that a start accepts."""
    return evse.evse_id is not None and EvseId.has_valid_length(evse.evse_id)


def startable_ids(location: Location) -> list[str]:
    """Ids of the available EVSEs of a location that a start accepts."""
    return [evse.evse_id for evse in location.available_evses() if evse.evse_id is not None and startable(evse)]


def summary(location: Location) -> dict[str, Any]:
    """The GeoJSON properties of a location."""
    properties: dict[str, Any] = feature(location)["properties"]
    return properties


def location_json(location: Location) -> dict[str, Any]:
    """A location as JSON: the fields of its model and computed ones."""
    computed = summary(location)
    return {
        **json_value(location),
        **{name: computed[name] for name in ("status", "available_count", "evse_count", "max_power_kw", "is_free")},
        "startable_evse_ids": startable_ids(location),
    }


def availability(location: Location) -> str:
    """Available and all EVSEs: ``2/4``, with a question mark for an unknown number."""
    found = summary(location)
    free, count = found["available_count"], found["evse_count"]
    return f"{'?' if free is None else free}/{'?' if count is None else count}"


def plugs(item: Location | Evse) -> str:
    """The plugs, most power first, with their power in kW: ``CCS 150, Type 2 22``."""
    return item.plugs or "?"


def address_words(location: Location) -> str:
    """Operator, street and town: ``Letz Charge, 12 Rue du Modèle, 1212 Luxembourg``."""
    return ", ".join(filter(None, (location.operator_name, street_and_town(location))))


def street_and_town(location: Location) -> str:
    """Street and town: ``12 Rue du Modèle, 1212 Luxembourg``."""
    address = location.address
    if address is None:
        return ""
    town = " ".join(filter(None, (address.postal_code, address.city)))
    return ", ".join(filter(None, (address.street_and_number, town)))


def map_url(location: Location) -> str | None:
    """The location on a public map; None without a position."""
    position = location.coordinates.lon_lat if location.coordinates is not None else None
    if position is None:
        return None
    longitude, latitude = position
    # The short host name keeps it within 60 columns.
    return f"https://osm.org/?mlat={latitude:.5f}&mlon={longitude:.5f}&zoom=17"


def power(kilowatts: float | None) -> str:
    """Power in words: ``11 kW``."""
    return "?" if kilowatts is None else f"{kilowatts:g} kW"


def csv_writer(file: TextIO) -> Any:
    """A CSV writer with the line ends of text streams."""
    return csv.writer(file, lineterminator="\n")


def csv_row(location: Location) -> list[str]:
    """A location as CSV row; unknown values are empty."""
    position = location.coordinates.lon_lat if location.coordinates is not None else None
    found = {
        **summary(location),
        "longitude": position[0] if position is not None else None,
        "latitude": position[1] if position is not None else None,
        "evse_ids": [evse.evse_id for evse in location.evses if evse.evse_id and not evse.is_deleted],
    }
    cells = [_csv(found[column]) for column in CSV_COLUMNS]
    # A file gets the text of the service as it is, a terminal never.
    return [printable(cell) for cell in cells] if sys.stdout.isatty() else cells


def _csv(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(cast("list[str]", value)) if isinstance(value, list) else str(value)


# Prices

_UNITS = {
    PriceComponentType.ENERGY: "/kWh",
    PriceComponentType.FLAT: "/start",
    PriceComponentType.TIME: "/h",
    PriceComponentType.PARKING_TIME: "/h parked",
}
_MOST = 2
_VARIES = " (varies)"


def price_words(*evses: Evse) -> str:
    """The prices at EVSEs: ``EUR 0.39/kWh + 0.35/start``; empty if there are none.

    Prices with restrictions, such as times of day, are left out; the text then ends in ``(varies)``.
    """
    found: dict[str, None] = {}
    for evse in evses:
        for connector in evse.connectors:
            if evse.is_deleted or connector.is_deleted:
                continue
            flat = () if connector.tariff is None else (connector.tariff,)
            for tariff in (*flat, *connector.tariffs):
                found[_words(tariff)] = None
    # A price that is restricted at one connector and not at another is shown once, as varying.
    varies = any(text.endswith(_VARIES) for text in found)
    texts = list(dict.fromkeys(text.removesuffix(_VARIES) for text in found if text))
    more = " ..." if len(texts) > _MOST else ""
    return " or ".join(texts[:_MOST]) + more + (_VARIES if varies else "")


def _words(tariff: Tariff) -> str:
    if tariff.is_free:
        return "free"
    return _flat(tariff) if isinstance(tariff, FlatTariff) else _elements(tariff)


def _flat(tariff: FlatTariff) -> str:
    prices = ((tariff.per_kwh, "/kWh"), (tariff.start_fee, "/start"), (tariff.per_minute, "/min"))
    return _sum(tariff.currency, [(price, unit) for price, unit in prices])


def _elements(tariff: ElementTariff) -> str:
    always: dict[str, tuple[float | None, str]] = {}
    for element in tariff.elements:
        for component in element.price_components:
            kind = component.type or ""
            if element.restrictions is None and kind not in always:
                unit = _UNITS.get(component.type) if component.type is not None else None
                always[kind] = (component.price, unit or f"/{kind or '?'}")
    varies = any(element.restrictions is not None for element in tariff.elements)
    text = _sum(tariff.currency, list(always.values()))
    return f"{text}{_VARIES}" if varies and text else text


def _sum(currency: str | None, prices: list[tuple[float | None, str]]) -> str:
    """The prices other than zero, joined by plus signs; an unknown one is a question mark."""
    shown = [f"{'?' if price is None else money(price)}{unit}" for price, unit in prices if price != 0]
    return f"{currency or ''} {' + '.join(shown)}".strip() if shown else ""


def money(price: float) -> str:
    """A price with two decimals, or more if it has more."""
    text = f"{price:.2f}"
    return text if float(text) == price else f"{price:g}"
