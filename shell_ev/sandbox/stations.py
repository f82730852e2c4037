"""Records of the network: stations, their EVSEs, connectors and tariffs."""

from __future__ import annotations

import attrs

Hours = tuple[tuple[str, str, str], ...]
"""Opening hours as (weekday, start, end), weekdays written `Sun` to `Sat`."""

FAILURE_BY_STATUS = {"Occupied": "EvseInUse", "Unavailable": "EvseOutOfService"}
"""How a start ends on an EVSE that is not free. A start on an EVSE of status Unknown is tried and works."""


@attrs.frozen
class Tariff:
    """A price, in the flat form of G1.x; the elements of G2 are derived from it."""

    number: int
    currency: str
    vat: float
    start_fee: float
    per_minute: float
    per_kwh: float
    updated: float

    @property
    def is_free(self) -> bool:
        """Whether charging costs nothing."""
        return not (self.start_fee or self.per_minute or self.per_kwh)


@attrs.frozen
class Connector:
    """A plug or socket."""

    number: int
    connector_type: str
    power_type: str
    voltage: int
    amperage: int
    max_power: float
    """Kilowatt."""
    fixed_cable: bool
    tariff: Tariff


@attrs.frozen
class Evse:
    """One charging position; it serves one vehicle at a time."""

    number: int
    evse_id: str
    external_id: str
    status: str
    """Status while no charge of the sandbox runs on it."""
    authorization_methods: tuple[str, ...]
    physical_reference: str
    updated: float
    connectors: tuple[Connector, ...]
    failure: str | None = None
    """Session code with which every start fails here, None when nothing is wrong beyond the status."""

    @property
    def failure_code(self) -> str | None:
        """Session code with which a start fails here, None when it works."""
        return self.failure or FAILURE_BY_STATUS.get(self.status)


@attrs.frozen
class Station:
    """A location with one or more EVSEs."""

    number: int
    external_id: str
    latitude: float
    longitude: float
    operator_id: str
    operator_name: str
    street: str
    postal_code: str
    city: str
    country: str
    """ISO 3166-1 alpha-3."""
    accessibility: str
    remark: str
    comment: str
    location_type: str
    hours: Hours | None
    """None for a station that is open day and night."""
    updated: float
    evses: tuple[Evse, ...]
    connector_types: frozenset[str]
    authorization_methods: frozenset[str]
    max_power: float
    """Kilowatt of its strongest connector."""


CONNECTORS: dict[str, tuple[str, str, int, int, float, bool]] = {
    "AC4": ("Domestic", "AC1Phase", 230, 16, 3.7, False),
    "AC7": ("Type1", "AC1Phase", 230, 32, 7.4, True),
    "AC11": ("Type2", "AC3Phase", 230, 16, 11.0, False),
    "AC22": ("Type2", "AC3Phase", 230, 32, 22.1, False),
    "AC43": ("Type2", "AC3Phase", 230, 63, 43.5, True),
    "CHA50": ("TepcoCHAdeMO", "DC", 400, 125, 50.0, True),
    "DC50": ("Type2Combo", "DC", 400, 125, 50.0, True),
    "DC150": ("Type2Combo", "DC", 500, 300, 150.0, True),
    "DC300": ("Type2Combo", "DC", 920, 500, 300.0, True),
}
"""Kinds of connectors: type, power type, volt, ampere, kilowatt, fixed cable."""


def build_connector(number: int, kind: str, tariff: Tariff) -> Connector:
    """Build a connector of a kind named in `CONNECTORS`."""
    connector_type, power_type, voltage, amperage, max_power, fixed_cable = CONNECTORS[kind]
    return Connector(number, connector_type, power_type, voltage, amperage, max_power, fixed_cable, tariff)


def build_station(
    *,
    number: int,
    latitude: float,
    longitude: float,
    operator: tuple[str, str],
    street: str,
    postal_code: str,
    city: str,
    country: str,
    evses: tuple[Evse, ...],
    updated: float,
    hours: Hours | None = None,
    accessibility: str = "PayingPublic",
    remark: str = "",
    comment: str = "",
    location_type: str = "OnStreet",
) -> Station:
    """Build a station and derive what the filters look at."""
    connectors = [connector for evse in evses for connector in evse.connectors]
    return Station(
        number=number,
        external_id=f"{operator[0]}-{number:07d}",
        latitude=latitude,
        longitude=longitude,
        operator_id=operator[0],
        operator_name=operator[1],
        street=street,
        postal_code=postal_code,
        city=city,
        country=country,
        accessibility=accessibility,
        remark=remark,
        comment=comment,
        location_type=location_type,
        hours=hours,
        updated=updated,
        evses=evses,
        connector_types=frozenset(connector.connector_type for connector in connectors),
        authorization_methods=frozenset(method for evse in evses for method in evse.authorization_methods),
        max_power=max(connector.max_power for connector in connectors),
    )
