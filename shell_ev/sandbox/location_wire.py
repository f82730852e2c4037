"""Locations and markers as each dialect writes them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from shell_ev.sandbox.records import Dialect
from shell_ev.sandbox.stations import Connector, Evse, Station, Tariff
from shell_ev.sandbox.wire import timestamp

_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ALWAYS = [{"weekDay": day, "startTime": "00:00", "endTime": "24:00"} for day in _WEEK]
_GEOHASH_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_TARIFFS_FROM, _TARIFFS_UNTIL = "2024-01-01T00:00:00Z", "2030-12-31T23:59:59Z"
#: G1 counts time by the minute, G2 by the hour, as OCPI does.
_MINUTES = 60
_PARKED = 6.0
#: More than any charge of a car costs: the contract requires a maximum of every tariff.
_MOST = 300.0

Document = dict[str, Any]


@attrs.frozen
class Live:
    """What the charges of the sandbox change about a station."""

    statuses: Mapping[str, str]
    """EVSE id -> status, for the EVSEs that differ from the network."""
    updated: Mapping[str, float]
    """EVSE id -> moment of its last change."""

    def status(self, evse: Evse) -> str:
        """Return the status of an EVSE at this moment."""
        return self.statuses.get(evse.evse_id, evse.status)

    def evse_updated(self, evse: Evse) -> float:
        """Return when an EVSE has changed last."""
        return self.updated.get(evse.evse_id, evse.updated)

    def station_updated(self, station: Station) -> float:
        """Return when a station has changed last."""
        return max((station.updated, *self.updated.values()))


QUIET = Live({}, {})
"""Nothing going on."""


def station_document(
    station: Station,
    dialect: Dialect,
    live: Live = QUIET,
    *,
    with_operator_name: bool = True,
    provider_id: str | None = None,
) -> Document:
    """Describe a station. In G2 `provider_id` adds the tariffs; in G1.x every connector carries its tariff."""
    v2 = dialect is Dialect.V2
    document: Document = {
        "uid": str(station.number) if v2 else station.number,
        "externalId": station.external_id,
        "coordinates": {"latitude": station.latitude, "longitude": station.longitude},
    }
    if with_operator_name:
        document["operatorName"] = station.operator_name
    if v2:
        document["operatorId"] = station.operator_id
    document["address"] = {
        "streetAndNumber": station.street,
        "postalCode": station.postal_code,
        "city": station.city,
        "country": station.country,
    }
    accessibility: Document = {"status": station.accessibility}
    if not v2 and station.remark:
        accessibility["remark"] = station.remark
    document["accessibility"] = accessibility
    document["evses"] = [_evse(evse, dialect, live, provider_id) for evse in station.evses]
    hours = [{"weekDay": day, "startTime": start, "endTime": end} for day, start, end in station.hours or ()]
    if v2:
        document["openTwentyFourSeven"] = station.hours is None
        document["openingHours"] = hours
    else:
        document["openingHours"] = _ALWAYS if station.hours is None else hours
    document["updated"] = _updated(live.station_updated(station), dialect)
    if not v2 and station.comment:
        document["operatorComment"] = station.comment
    document["locationType"] = station.location_type
    return document


def _evse(evse: Evse, dialect: Dialect, live: Live, provider_id: str | None) -> Document:
    v2 = dialect is Dialect.V2
    return {
        "uid": str(evse.number) if v2 else evse.number,
        "externalId": evse.external_id,
        "evseId": evse.evse_id,
        "status": live.status(evse),
        "connectors": [_connector(connector, evse, dialect, provider_id) for connector in evse.connectors],
        "authorizationMethods": list(evse.authorization_methods) if v2 else evse.authorization_methods[0],
        "updated": _updated(live.evse_updated(evse), dialect),
        "physicalReference": evse.physical_reference,
    }


def _connector(connector: Connector, evse: Evse, dialect: Dialect, provider_id: str | None) -> Document:
    v2 = dialect is Dialect.V2
    document: Document = {
        "uid": str(connector.number) if v2 else connector.number,
        "externalId": f"{evse.external_id}-{connector.number % 10}",
        "connectorType": connector.connector_type,
        "electricalProperties": {
            "powerType": connector.power_type,
            "voltage": connector.voltage,
            "amperage": connector.amperage,
            "maxElectricPower": connector.max_power,
        },
    }
    if v2:
        if provider_id:
            document["tariffs"] = [_tariff_elements(connector, evse.evse_id.split("*")[1], provider_id)]
        return document
    document["fixedCable"] = connector.fixed_cable
    document["tariff"] = _flat_tariff(connector.tariff, dialect)
    document["updated"] = _updated(evse.updated, dialect)
    document["updatedBy"] = "Feed"
    return document


def _flat_tariff(tariff: Tariff, dialect: Dialect) -> Document:
    return {
        "startFee": tariff.start_fee,
        "perMinute": tariff.per_minute,
        "perKWh": tariff.per_kwh,
        "currency": tariff.currency,
        "updated": _updated(tariff.updated, dialect),
        "updatedBy": "TariffService",
        "structure": "Default",
    }


def _tariff_elements(connector: Connector, operator_id: str, provider_id: str) -> Document:
    tariff = connector.tariff
    components: list[Document] = [_price("ENERGY", 1, tariff.per_kwh, tariff.vat)]
    if tariff.start_fee:
        components.append(_price("FLAT", 1, tariff.start_fee, tariff.vat))
    elements: list[Document] = [{"priceComponents": components}]
    if tariff.per_minute:
        restrictions = {"minDuration": 0, "dayOfWeek": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]}
        time = _price("TIME", 60, round(tariff.per_minute * _MINUTES, 2), tariff.vat)
        elements.append({"priceComponents": [time], "restrictions": restrictions})
    if connector.power_type == "DC" and not tariff.is_free:
        idle = {"startTime": "08:00", "endTime": "20:00", "minPower": 0, "minDuration": 3600}
        elements.append({"priceComponents": [_price("PARKING_TIME", 60, _PARKED, tariff.vat)], "restrictions": idle})
    text = "Charging is free of charge." if tariff.is_free else f"{tariff.per_kwh:.2f} {tariff.currency} per kWh"
    return {
        "tariffId": f"{operator_id}-{tariff.number}",
        "tariffType": "DRIVER",
        "powerRange": {"min": 0, "max": round(connector.max_power)},
        "internalId": str(tariff.number),
        "operatorId": operator_id,
        "providerId": provider_id,
        "currency": tariff.currency,
        # The text may be null in the contract, so for some tariffs it is.
        "tariffAltText": None if tariff.number % 3 == 2 else [{"language": "en", "text": text}],
        "minPrice": tariff.per_kwh,
        "maxPrice": 0.0 if tariff.is_free else _MOST,
        "elements": elements,
        "startDateTime": _TARIFFS_FROM,
        "endDateTime": _TARIFFS_UNTIL,
        "lastUpdated": timestamp(tariff.updated, "seconds"),
        "createdBy": "TariffService",
    }


def _price(kind: str, step: int, price: float, vat: float) -> Document:
    return {"type": kind, "stepSize": step, "price": price, "vat": vat}


def single_marker(
    station: Station, dialect: Dialect, live: Live, *, with_operator_name: bool, with_max_power: bool
) -> Document:
    """Describe one station on the map."""
    v2 = dialect is Dialect.V2
    document: Document = {
        "markerType": "SingleLocation",
        "status": station_status(station, live),
        "coordinates": {"latitude": station.latitude, "longitude": station.longitude},
        "evseCount": len(station.evses),
        "locationUid": str(station.number) if v2 else station.number,
        "authorizationMethods": sorted(station.authorization_methods),
    }
    if with_max_power:
        document["maxPower"] = station.max_power
    if v2:
        document["locationCount"] = 1
        if with_operator_name:
            document["operatorName"] = station.operator_name
    else:
        document["uniqueKey"] = f"S{station.number}"
        document["geoHash"] = geohash(station.latitude, station.longitude, 9)
        document["operatorId"] = station.operator_id
    return document


def multi_marker(
    stations: Sequence[Station], dialect: Dialect, *, with_operator_name: bool, with_max_power: bool
) -> Document:
    """Describe several stations as one point on the map."""
    latitude = round(sum(station.latitude for station in stations) / len(stations), 6)
    longitude = round(sum(station.longitude for station in stations) / len(stations), 6)
    document: Document = {
        "markerType": "MultiLocation",
        "coordinates": {"latitude": latitude, "longitude": longitude},
        "locationCount": len(stations),
        "evseCount": sum(len(station.evses) for station in stations),
    }
    if with_max_power:
        document["maxPower"] = max(station.max_power for station in stations)
    if dialect is not Dialect.V2:
        code = geohash(latitude, longitude, 6)
        document["uniqueKey"] = f"M{code}{len(stations)}"
        document["geoHash"] = code
    elif with_operator_name and len({station.operator_id for station in stations}) == 1:
        document["operatorName"] = stations[0].operator_name
    return document


def station_status(station: Station, live: Live) -> str:
    """Sum up the EVSEs of a station: one that is free makes it available."""
    statuses = {live.status(evse) for evse in station.evses}
    for status in ("Available", "Occupied", "Unavailable"):
        if status in statuses:
            return status
    return "Unknown"


def geohash(latitude: float, longitude: float, length: int) -> str:
    """Write a point as a geohash."""
    low, high = [-90.0, -180.0], [90.0, 180.0]
    point = (latitude, longitude)
    axis, bits, text = 1, 0, ""
    for count in range(1, 5 * length + 1):
        middle = (low[axis] + high[axis]) / 2
        upper = point[axis] >= middle
        (low if upper else high)[axis] = middle
        bits = bits * 2 + upper
        axis = 1 - axis
        if count % 5 == 0:
            text += _GEOHASH_ALPHABET[bits]
            bits = 0
    return text


def _updated(at: float, dialect: Dialect) -> str:
    if dialect is Dialect.V2:
        return timestamp(at, "seconds")
    # The examples of G1.x write month/day/year although their prose says ISO 8601.
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%m/%d/%Y %H:%M:%S")
