"""Locations and markers as GeoJSON (RFC 7946), for maps and GIS tools.

``feature`` and ``feature_collection`` give plain dicts, ``dumps`` a text, ``write``, ``stream`` and ``astream`` the
same text piece by piece, holding one item at a time::

    with open("chargers.geojson", "w") as file:
        geojson.write(found.data, file)

    async for piece in geojson.astream(ev.locations.iterate()):
        await response.write(piece.encode())

What comes out depends on the items alone: the same items give the same text, in the order given. The text is ASCII, so
any encoding of a file will do. Positions are longitude first, WGS 84. An item without a position, or with one out of
range, keeps its place with a null geometry. Numbers that JSON cannot hold become null. Nothing here raises on an item.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Literal, NotRequired, Protocol, TypeAlias, TypedDict, cast

from .export import Json
from .models.enums import EvseStatus
from .models.locations import Address, Connector, Coordinates, Evse, Location
from .models.markers import LocationMarker, MultiLocationMarker, SingleLocationMarker
from .models.tariffs import ElementTariff, FlatTariff, Tariff

Item: TypeAlias = Location | LocationMarker
"""What becomes a feature."""


class Point(TypedDict):
    """A GeoJSON geometry: one position."""

    type: Literal["Point"]
    coordinates: list[float]
    """Longitude, then latitude, in degrees."""


class Feature(TypedDict):
    """A GeoJSON feature."""

    type: Literal["Feature"]
    id: NotRequired[str]
    """The uid of a location, the location's uid of a single marker, the key of a multi marker; absent if unknown."""
    geometry: Point | None
    """Where it is; None is "unlocated"."""
    properties: dict[str, Json]
    """What a map shows. The keys of a kind are always the same, null is unknown."""


class FeatureCollection(TypedDict):
    """A GeoJSON feature collection."""

    type: Literal["FeatureCollection"]
    features: list[Feature]


class TextSink(Protocol):
    """A file open for text, or anything else with ``write``."""

    def write(self, text: str, /) -> object:
        """Take a piece of text."""
        ...


_HEAD = '{"type":"FeatureCollection","features":['
_TAIL = "]}"
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def feature(item: Item) -> Feature:
    """One location or marker as a GeoJSON feature.

    Properties of a location (``kind`` is ``location``): ``uid``, ``external_id``, ``operator_name``, ``operator_id``,
    ``address`` (one line), ``street_and_number``, ``postal_code``, ``city``, ``country``, ``location_type``, ``status``
    (``Available`` if any EVSE is; what all say if they agree; ``Unknown`` if one is not known; else ``Occupied``),
    ``evse_count`` and ``available_count`` (deleted ones left out; None if no EVSE is listed, or no status known),
    ``max_power_kw``, ``connector_types`` and ``authorization_methods`` (sorted), ``accessibility``,
    ``open_twenty_four_seven``, ``is_free`` (True if every connector's tariffs are, False if one is not) and
    ``tariffs`` (the distinct ones, sorted, each with the field names of its model).

    Properties of a marker (``kind`` is ``single_location``, ``multi_location`` or ``unknown_marker``): ``marker_type``;
    of known markers also ``unique_key``, ``geo_hash``, ``operator_name``, ``location_count``, ``evse_count`` and
    ``max_power_kw``; of a single one also ``uid``, ``operator_id``, ``status`` and ``authorization_methods``.
    """
    properties: dict[str, Json]
    if isinstance(item, Location):
        identity, point, properties = item.uid, _point(item.coordinates), _of_location(item)
    elif isinstance(item, SingleLocationMarker):
        identity, point, properties = item.location_uid, _point(item.coordinates), _of_single(item)
    elif isinstance(item, MultiLocationMarker):
        identity, point, properties = item.unique_key, _point(item.coordinates), _of_multi(item)
    else:
        identity, point = None, _point(_raw_coordinates(item.raw))
        properties = {"kind": "unknown_marker", "marker_type": _text(item.marker_type)}
    identity = _text(identity)
    if identity:
        return {"type": "Feature", "id": identity, "geometry": point, "properties": properties}
    return {"type": "Feature", "geometry": point, "properties": properties}


def feature_collection(items: Iterable[Item]) -> FeatureCollection:
    """Locations and markers, mixed as you like, as one GeoJSON feature collection."""
    return {"type": "FeatureCollection", "features": [feature(item) for item in items]}


def dumps(items: Iterable[Item]) -> str:
    """The feature collection as a GeoJSON text."""
    return "".join(stream(items))


def write(items: Iterable[Item], file: TextSink) -> int:
    """Write the feature collection to a file open for text, one feature at a time; returns how many there were.

    If ``items`` fails on the way the text written so far is no whole GeoJSON text.
    """
    count = 0
    file.write(_HEAD)
    for item in items:
        file.write(_piece(item, count))
        count += 1
    file.write(_TAIL)
    return count


def stream(items: Iterable[Item]) -> Iterator[str]:
    """The GeoJSON text in pieces, one per feature, in constant memory. Joined they are what ``dumps`` gives."""
    yield _HEAD
    for count, item in enumerate(items):
        yield _piece(item, count)
    yield _TAIL


async def astream(items: AsyncIterable[Item]) -> AsyncIterator[str]:
    """``stream`` for items that arrive asynchronously, such as those of ``ev.locations.iterate()``."""
    yield _HEAD
    count = 0
    async for item in items:
        yield _piece(item, count)
        count += 1
    yield _TAIL


def _piece(item: Item, count: int) -> str:
    return ("," if count else "") + _encode(feature(item))


def _of_location(location: Location) -> dict[str, Json]:
    evses = [evse for evse in location.evses if not evse.is_deleted]
    connectors = [connector for evse in evses for connector in evse.connectors if not connector.is_deleted]
    address = location.address or Address()
    return {
        "kind": "location",
        "uid": _text(location.uid),
        "external_id": _text(location.external_id),
        "operator_name": _text(location.operator_name),
        "operator_id": _text(location.operator_id),
        "address": _one_line(address),
        "street_and_number": _text(address.street_and_number),
        "postal_code": _text(address.postal_code),
        "city": _text(address.city),
        "country": _text(address.country),
        "location_type": _text(location.location_type),
        "status": _status(evses),
        "evse_count": len(evses) if location.evses else None,
        "available_count": _available(evses),
        "max_power_kw": _number(location.max_power_kw),
        "connector_types": _words(connector.connector_type for connector in connectors),
        "authorization_methods": _words(method for evse in evses for method in evse.authorization_methods),
        "accessibility": _text(location.accessibility.status) if location.accessibility else None,
        "open_twenty_four_seven": location.open_twenty_four_seven,
        "is_free": _is_free(connectors),
        "tariffs": _tariffs(connectors),
    }


def _of_single(marker: SingleLocationMarker) -> dict[str, Json]:
    return {
        "kind": "single_location",
        "marker_type": _text(marker.marker_type),
        "uid": _text(marker.location_uid),
        "unique_key": _text(marker.unique_key),
        "geo_hash": _text(marker.geo_hash),
        "operator_name": _text(marker.operator_name),
        "operator_id": _text(marker.operator_id),
        "status": _text(marker.status),
        "location_count": _number(marker.location_count),
        "evse_count": _number(marker.evse_count),
        "max_power_kw": _number(marker.max_power),
        "authorization_methods": _words(marker.authorization_methods),
    }


def _of_multi(marker: MultiLocationMarker) -> dict[str, Json]:
    return {
        "kind": "multi_location",
        "marker_type": _text(marker.marker_type),
        "unique_key": _text(marker.unique_key),
        "geo_hash": _text(marker.geo_hash),
        "operator_name": _text(marker.operator_name),
        "location_count": _number(marker.location_count),
        "evse_count": _number(marker.evse_count),
        "max_power_kw": _number(marker.max_power),
    }


def _point(coordinates: Coordinates | None) -> Point | None:
    position = None if coordinates is None else coordinates.lon_lat
    return None if position is None else {"type": "Point", "coordinates": list(position)}


def _raw_coordinates(raw: Mapping[str, object]) -> Coordinates | None:
    # A marker of an unknown type most likely still says where it is.
    value = raw.get("coordinates")
    if not isinstance(value, Mapping):
        return None
    found = cast("Mapping[str, object]", value)
    return Coordinates(latitude=_degrees(found.get("latitude")), longitude=_degrees(found.get("longitude")))


def _degrees(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _status(evses: list[Evse]) -> str | None:
    statuses = {evse.status for evse in evses}
    if EvseStatus.AVAILABLE in statuses:
        return EvseStatus.AVAILABLE.value
    if len(statuses) <= 1:
        return _text(next(iter(statuses), None))
    # Mixed, and free nowhere: only occupied together with unavailable is known for sure.
    sure = statuses <= {EvseStatus.OCCUPIED, EvseStatus.UNAVAILABLE}
    return EvseStatus.OCCUPIED.value if sure else EvseStatus.UNKNOWN.value


def _available(evses: list[Evse]) -> int | None:
    known = [evse.status for evse in evses if evse.status not in (None, EvseStatus.UNKNOWN)]
    return known.count(EvseStatus.AVAILABLE) if known else None


def _tariffs_of(connector: Connector) -> tuple[Tariff, ...]:
    flat = () if connector.tariff is None else (connector.tariff,)
    return (*flat, *connector.tariffs)


def _is_free(connectors: list[Connector]) -> bool | None:
    verdicts: set[bool | None] = set()
    for connector in connectors:
        verdicts.update([tariff.is_free for tariff in _tariffs_of(connector)] or [None])
    if False in verdicts:
        return False
    return True if verdicts == {True} else None


def _tariffs(connectors: list[Connector]) -> list[Json]:
    # Keyed by their own text: that takes out the doubles and gives an order that does not depend on the connectors'.
    shown = [_tariff(tariff) for connector in connectors for tariff in _tariffs_of(connector)]
    by_text = {_encode(tariff): tariff for tariff in shown}
    return [by_text[text] for text in sorted(by_text)]


def _tariff(tariff: Tariff) -> Json:
    if isinstance(tariff, FlatTariff):
        return {
            "currency": _text(tariff.currency),
            "start_fee": _number(tariff.start_fee),
            "per_minute": _number(tariff.per_minute),
            "per_kwh": _number(tariff.per_kwh),
        }
    return _element_tariff(tariff)


def _element_tariff(tariff: ElementTariff) -> Json:
    return {
        "tariff_id": _text(tariff.tariff_id),
        "tariff_type": _text(tariff.tariff_type),
        "currency": _text(tariff.currency),
        "min_price": _number(tariff.min_price),
        "max_price": _number(tariff.max_price),
        "elements": [
            {
                "restricted": element.restrictions is not None,
                "price_components": [
                    {
                        "type": _text(component.type),
                        "price": _number(component.price),
                        "vat": _number(component.vat),
                        "step_size": _number(component.step_size),
                    }
                    for component in element.price_components
                ],
            }
            for element in tariff.elements
        ],
    }


def _one_line(address: Address) -> str | None:
    town = " ".join(filter(None, (address.postal_code, address.city)))
    return _text(", ".join(filter(None, (address.street_and_number, town, address.country)))) or None


def _words(values: Iterable[str | None]) -> list[Json]:
    return list[Json](sorted({text for text in map(_text, values) if text is not None}))


def _text(value: str | None) -> str | None:
    # A plain str, also of an enum. Half a surrogate pair is legal in Python and breaks other readers.
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _number(value: float | None) -> float | None:
    # NaN fails the comparison; an integer beyond a float's range would be read as infinite elsewhere.
    return value if value is not None and abs(value) <= sys.float_info.max else None
