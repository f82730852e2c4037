"""Locations and markers as GeoJSON features: pure functions, which :mod:`shell_ev.geojson` gives out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from ..export import Json
from .enums import EvseStatus

if TYPE_CHECKING:
    from .locations import Address, Connector, Coordinates, Evse, Location
    from .markers import LocationMarker, MultiLocationMarker, SingleLocationMarker, UnknownLocationMarker
    from .tariffs import ElementTariff, FlatTariff, Tariff

    Item: TypeAlias = Location | LocationMarker

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


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

    Args:
        item: A location or a marker.
    """
    # By the name that each model has: importing the models here would be a circle.
    identity, point, properties = _KINDS[item._feature_kind](item)  # pyright: ignore[reportPrivateUsage]
    identity = _text(identity)
    if identity:
        return {"type": "Feature", "id": identity, "geometry": point, "properties": properties}
    return {"type": "Feature", "geometry": point, "properties": properties}


def is_item(value: object) -> bool:
    """Whether a value can become a feature."""
    return getattr(value, "_feature_kind", None) in _KINDS


def feature_collection(items: Iterable[Item]) -> FeatureCollection:
    """Locations and markers as one GeoJSON feature collection.

    Args:
        items: Locations and markers, in any mixture.
    """
    return {"type": "FeatureCollection", "features": [feature(item) for item in items]}


def _of_location(location: Location) -> dict[str, Json]:
    evses = [evse for evse in location.evses if not evse.is_deleted]
    connectors = [connector for evse in evses for connector in evse.connectors if not connector.is_deleted]
    address = location.address
    return {
        "kind": "location",
        "uid": _text(location.uid),
        "external_id": _text(location.external_id),
        "operator_name": _text(location.operator_name),
        "operator_id": _text(location.operator_id),
        "address": _one_line(address),
        "street_and_number": None if address is None else _text(address.street_and_number),
        "postal_code": None if address is None else _text(address.postal_code),
        "city": None if address is None else _text(address.city),
        "country": None if address is None else _text(address.country),
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


def _raw_point(raw: Mapping[str, object]) -> Point | None:
    # A marker of an unknown type most likely still says where it is.
    value = raw.get("coordinates")
    if not isinstance(value, Mapping):
        return None
    found = cast("Mapping[str, object]", value)
    position = in_range(_degrees(found.get("longitude")), _degrees(found.get("latitude")))
    return None if position is None else {"type": "Point", "coordinates": list(position)}


def in_range(longitude: float | None, latitude: float | None) -> tuple[float, float] | None:
    """A position, longitude first; None unless both are known and in range."""
    if longitude is None or latitude is None:
        return None
    # NaN fails both comparisons.
    return (longitude, latitude) if -180 <= longitude <= 180 and -90 <= latitude <= 90 else None


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
    either: Any = tariff
    return _element_tariff(either) if hasattr(either, "elements") else _flat_tariff(either)


def _flat_tariff(tariff: FlatTariff) -> Json:
    return {
        "currency": _text(tariff.currency),
        "start_fee": _number(tariff.start_fee),
        "per_minute": _number(tariff.per_minute),
        "per_kwh": _number(tariff.per_kwh),
    }


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


def _one_line(address: Address | None) -> str | None:
    if address is None:
        return None
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


_Parts = tuple[str | None, Point | None, dict[str, Json]]


def _location_parts(item: Location) -> _Parts:
    return item.uid, _point(item.coordinates), _of_location(item)


def _single_parts(item: SingleLocationMarker) -> _Parts:
    return item.location_uid, _point(item.coordinates), _of_single(item)


def _multi_parts(item: MultiLocationMarker) -> _Parts:
    return item.unique_key, _point(item.coordinates), _of_multi(item)


def _unknown_parts(item: UnknownLocationMarker) -> _Parts:
    return None, _raw_point(item.raw), {"kind": "unknown_marker", "marker_type": _text(item.marker_type)}


_KINDS: dict[str, Callable[[Any], _Parts]] = {
    "location": _location_parts,
    "single": _single_parts,
    "multi": _multi_parts,
    "unknown": _unknown_parts,
}
