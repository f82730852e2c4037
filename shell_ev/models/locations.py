"""Locations, their EVSEs and connectors, one set of classes for all API versions.

Missing and null are None, a missing list is empty; zero, False and the empty text are kept.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, cast

import attrs

from ..errors import ValidationError
from ..export import Exported, first_of
from ..identifiers import EvseId
from ._hours import open_at
from ._shown import all_connectors, free_of_total, kw, plugs
from ._times import moment_of
from .connector_names import connector_type_of
from .enums import (
    AccessibilityStatus,
    AuthorizationMethod,
    ConnectorType,
    EvseStatus,
    PowerType,
    UpdatedBy,
    WeekDay,
)
from .features import feature, in_range
from .tariffs import ElementTariff, FlatTariff

_EARTH_RADIUS_KM = 6371.0088  # the mean radius R1 of the IUGG


@attrs.frozen(kw_only=True, repr=False)
class Coordinates(Exported):
    """A position, WGS 84."""

    latitude: float | None = None
    """Degrees north, -90 to 90."""
    longitude: float | None = None
    """Degrees east, -180 to 180."""

    @property
    def lon_lat(self) -> tuple[float, float] | None:
        """Longitude, then latitude, the order of GeoJSON; None unless both are known and in range."""
        return in_range(self.longitude, self.latitude)


@attrs.frozen(kw_only=True, repr=False)
class Address(Exported):
    """The postal address of a location."""

    street_and_number: str | None = None
    """Street and house number."""
    postal_code: str | None = None
    """Postal code."""
    city: str | None = None
    """Town."""
    country: str | None = None
    """ISO 3166-1 country code, alpha-2 or alpha-3: the service documents the one and shows the other."""


@attrs.frozen(kw_only=True, repr=False)
class Accessibility(Exported):
    """Who may use a location."""

    status: AccessibilityStatus | None = None
    """Public, paying public, restricted."""
    remark: str | None = None
    """A note for drivers (V1_PASCAL and V1)."""


@attrs.frozen(kw_only=True, repr=False)
class OpeningHours(Exported):
    """One period of one day of the week. A day may have several, or none."""

    week_day: WeekDay | None = None
    """Day of the opening."""
    start_time: str | None = None
    """Local time of opening as sent, such as ``08:00``."""
    end_time: str | None = None
    """Local time of closing as sent, such as ``18:00``. Unless it is later than the opening, it is on the next day."""


@attrs.frozen(kw_only=True, repr=False)
class ElectricalProperties(Exported):
    """Electrical properties of a connector."""

    power_type: PowerType | None = None
    """Kind of current."""
    voltage: float | None = None
    """Voltage, in V."""
    amperage: float | None = None
    """Current, in A."""
    max_electric_power: float | None = None
    """Highest power, in kW. The service documents no unit; see :attr:`Connector.max_power_kw`."""


@attrs.frozen(kw_only=True, repr=False)
class Connector(Exported):
    """One plug or socket of an EVSE."""

    uid: str | None = None
    """The service's id of the connector; a number on the wire of V1_PASCAL and V1."""
    external_id: str | None = None
    """The operator's id of the connector."""
    connector_type: ConnectorType | None = None
    """Kind of plug or socket."""
    electrical_properties: ElectricalProperties | None = None
    """Its electrical properties."""
    fixed_cable: bool | None = None
    """Whether a cable is attached (V1_PASCAL and V1)."""
    tariff: FlatTariff | None = None
    """What charging costs (V1_PASCAL and V1)."""
    tariffs: tuple[ElementTariff, ...] = ()
    """What charging costs (V2, from ``locations.get`` with ``provider_id``)."""
    updated: str | None = None
    """Time of the last change: text as sent, in varying formats (V1_PASCAL and V1)."""
    updated_by: UpdatedBy | None = None
    """Origin of the last change (V1_PASCAL and V1)."""
    deleted: str | None = None
    """Time of the removal: text as sent; None if it was not removed (V1_PASCAL and V1)."""

    _derived: ClassVar[tuple[str, ...]] = ("updated_at",)

    @property
    def updated_at(self) -> datetime | None:
        """``updated`` as an aware time: ISO 8601, or ``MM/DD/YYYY hh:mm:ss`` as UTC; None if it cannot be read."""
        return moment_of(self.updated)

    def _summary(self) -> Iterable[str]:
        yield plugs([self]) or "deleted"
        if self.uid:
            yield f"uid {self.uid}"
        if self.tariff is not None or self.tariffs:
            yield "with tariff"

    @property
    def is_deleted(self) -> bool:
        """Whether the connector was removed: ``deleted`` is a text that is not empty."""
        return bool(self.deleted)

    @property
    def max_power_kw(self) -> float | None:
        """Highest power in kW: ``electrical_properties.max_electric_power`` as sent, None if it is unknown.

        The service documents no unit. The filter ``connector_min_power`` is in kW, and Shell's public map shows 150 for
        a connector of 400 V and 375 A. It is not computed from voltage and amperage: whether the voltage is that of a
        phase or between phases is not documented.
        """
        properties = self.electrical_properties
        return None if properties is None else _finite(properties.max_electric_power)


@attrs.frozen(kw_only=True, repr=False)
class Evse(Exported):
    """One charging point. It charges one vehicle at a time, through one of its connectors."""

    uid: str | None = None
    """The service's id of the EVSE; a number on the wire of V1_PASCAL and V1."""
    external_id: str | None = None
    """The operator's id of the EVSE."""
    evse_id: str | None = None
    """EVSE id as printed on the charger, such as ``NL*TNM*E02003451*0``. The argument of a start."""
    status: EvseStatus | None = None
    """Whether it can be used now."""
    connectors: tuple[Connector, ...] = ()
    """Its plugs and sockets."""
    authorization_methods: tuple[AuthorizationMethod, ...] = ()
    """How a driver can identify. V1_PASCAL and V1 send one at most."""
    updated: str | None = None
    """Time of the last change: text as sent, in varying formats."""
    deleted: str | None = None
    """Time of the removal: text as sent; None if it was not removed (V1_PASCAL and V1)."""
    physical_reference: str | None = None
    """Label on the charger that distinguishes it from others."""

    _derived: ClassVar[tuple[str, ...]] = ("updated_at",)

    @property
    def updated_at(self) -> datetime | None:
        """``updated`` as an aware time: ISO 8601, or ``MM/DD/YYYY hh:mm:ss`` as UTC; None if it cannot be read."""
        return moment_of(self.updated)

    def _summary(self) -> Iterable[str]:
        yield first_of(self.evse_id, self.uid)
        yield "deleted" if self.is_deleted else self.status.value if self.status is not None else "status unknown"
        yield plugs(self.connectors) or "no plugs"

    _columns: ClassVar[tuple[str, ...]] = ("EVSE id", "status", "plugs", "max. kW", "reference")

    def _row(self) -> tuple[str, ...]:
        return (
            self.evse_id or "",
            self.status.value if self.status is not None else "",
            plugs(self.connectors),
            "" if self.max_power_kw is None else f"{self.max_power_kw:g}",
            self.physical_reference or "",
        )

    def _repr_html_(self) -> str:
        return self._table((self,))

    @property
    def plugs(self) -> str:
        """Its kinds of plugs, most power first, each with its highest power in kW: ``CCS 150, Type 2 22``."""
        return plugs(self.connectors)

    @property
    def is_deleted(self) -> bool:
        """Whether the EVSE was removed: ``deleted`` is a text that is not empty."""
        return bool(self.deleted)

    @property
    def max_power_kw(self) -> float | None:
        """Highest power of its connectors in kW, without removed ones; None if none is known."""
        return _highest(connector.max_power_kw for connector in self.connectors if not connector.is_deleted)

    def has_connector(
        self, connector_type: ConnectorType | str | None = None, min_power_kw: float | None = None
    ) -> bool:
        """Whether one connector that was not removed meets every condition.

        Args:
            connector_type: The type: a member, or its text in any case.
            min_power_kw: Least power, in kW. An unknown power meets no minimum.

        Returns:
            Whether there is one.

        Raises:
            ValidationError: The power is NaN.
        """
        _check_power(min_power_kw)
        wanted = None if connector_type is None else connector_type_of(connector_type)
        for connector in self.connectors:
            if connector.is_deleted or (wanted is not None and connector.connector_type != wanted):
                continue
            power = connector.max_power_kw
            if min_power_kw is None or (power is not None and power >= min_power_kw):
                return True
        return False


@attrs.frozen(kw_only=True, repr=False)
class Location(Exported):
    """A place with one EVSE or more."""

    uid: str | None = None
    """The service's id of the location, the argument of ``locations.get``; a number on the wire of V1_PASCAL and V1."""
    external_id: str | None = None
    """The operator's id of the location."""
    coordinates: Coordinates | None = None
    """Where it is."""
    operator_name: str | None = None
    """Name of the operator; sent with the filter ``with_operator_name`` only."""
    operator_id: str | None = None
    """Id of the operator (V2)."""
    address: Address | None = None
    """Postal address."""
    accessibility: Accessibility | None = None
    """Who may use it."""
    evses: tuple[Evse, ...] = ()
    """Its EVSEs."""
    opening_hours: tuple[OpeningHours, ...] = ()
    """When it is open, in its own local time; empty is unknown."""
    open_twenty_four_seven: bool | None = None
    """Whether it is open day and night (V2)."""
    updated: str | None = None
    """Time of the last change: text as sent, in varying formats."""
    operator_comment: str | None = None
    """A note of the operator (V1_PASCAL and V1)."""
    location_type: str | None = None
    """Kind of place, as sent."""

    _derived: ClassVar[tuple[str, ...]] = ("updated_at",)

    @property
    def updated_at(self) -> datetime | None:
        """``updated`` as an aware time: ISO 8601, or ``MM/DD/YYYY hh:mm:ss`` as UTC; None if it cannot be read."""
        return moment_of(self.updated)

    def _summary(self) -> Iterable[str]:
        yield first_of(self.uid)
        yield first_of(self.operator_name, self.operator_id)
        yield first_of(self.address.city if self.address is not None else None)
        free = free_of_total(self.evses)
        yield f"{free} free" if free else "no EVSEs"
        yield kw(self.max_power_kw)

    _columns: ClassVar[tuple[str, ...]] = ("uid", "operator", "address", "city", "free", "plugs", "max. kW")

    def _row(self) -> tuple[str, ...]:
        address = self.address
        return (
            self.uid or "",
            self.operator_name or self.operator_id or "",
            (address.street_and_number if address is not None else None) or "",
            (address.city if address is not None else None) or "",
            free_of_total(self.evses),
            plugs(all_connectors(self.evses)),
            "" if self.max_power_kw is None else f"{self.max_power_kw:g}",
        )

    def _repr_html_(self) -> str:
        return self._table((self,)) + self._table(tuple(evse for evse in self.evses if not evse.is_deleted))

    _feature_kind: ClassVar[str] = "location"

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The location as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return cast("dict[str, Any]", feature(self))

    @property
    def plugs(self) -> str:
        """Its kinds of plugs, most power first, each with its highest power in kW: ``CCS 150, Type 2 22``.

        Removed EVSEs and connectors are left out. Empty if no connector is listed.
        """
        return plugs(all_connectors(self.evses))

    @property
    def max_power_kw(self) -> float | None:
        """Highest power of its connectors in kW, without removed EVSEs and connectors; None if none is known."""
        return _highest(evse.max_power_kw for evse in self.evses if not evse.is_deleted)

    def evse(self, evse_id: str | EvseId) -> Evse | None:
        """Find an EVSE.

        Args:
            evse_id: Id of the EVSE. Case and the separator ``*`` do not matter.

        Returns:
            The EVSE, or None. Of several, one that was not removed is preferred, then one of the exact spelling.
        """
        exact = str(evse_id)
        wanted = _fold_evse_id(exact)
        matches = (evse for evse in self.evses if wanted and evse.evse_id and _fold_evse_id(evse.evse_id) == wanted)
        return min(matches, key=lambda evse: (evse.is_deleted, evse.evse_id != exact), default=None)

    def available_evses(
        self, connector_type: ConnectorType | str | None = None, min_power_kw: float | None = None
    ) -> tuple[Evse, ...]:
        """The EVSEs that can be used now, in the order of the service, without removed ones.

        Args:
            connector_type: The type of a connector: a member, or its text in any case.
            min_power_kw: Least power of the same connector, in kW. An unknown power meets no minimum, not even zero.

        Returns:
            The EVSEs.

        Raises:
            ValidationError: The power is NaN.
        """
        _check_power(min_power_kw)
        anything = connector_type is None and min_power_kw is None
        return tuple(
            evse
            for evse in self.evses
            if evse.status == EvseStatus.AVAILABLE
            and not evse.is_deleted
            and (anything or evse.has_connector(connector_type, min_power_kw))
        )

    def distance_km(self, latitude: float, longitude: float) -> float | None:
        """Great-circle distance to a position, on a sphere of the mean earth radius (0.6 % error at most).

        Args:
            latitude: Latitude in WGS 84 degrees, -90 to 90.
            longitude: Longitude in WGS 84 degrees, -180 to 180.

        Returns:
            The distance in km; None if the location has no coordinates in range.

        Raises:
            ValidationError: The position is out of range.
        """
        faults: list[str] = []
        if not -90 <= latitude <= 90:
            faults.append(f"latitude: must be between -90 and 90, got {latitude}")
        if not -180 <= longitude <= 180:
            faults.append(f"longitude: must be between -180 and 180, got {longitude}")
        if faults:
            raise ValidationError(faults)
        here = None if self.coordinates is None else self.coordinates.lon_lat
        if here is None:
            return None
        # Haversine: exact for close points. Rounding must not push antipodes past 1.
        lon_1, lat_1, lon_2, lat_2 = map(math.radians, (*here, longitude, latitude))
        chord = (
            math.sin((lat_2 - lat_1) / 2) ** 2 + math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
        )
        return 2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))

    def is_open(self, at: datetime) -> bool | None:
        """Whether the location is open at a moment.

        ``open_twenty_four_seven`` decides if it is True, the opening hours otherwise. A day without hours is closed
        where other days have some. A period includes its opening time and excludes its closing time. A closing time
        that is not later than the opening time is on the next day: ``22:00``-``06:00`` runs over midnight and
        ``00:00``-``00:00`` is the whole day. ``24:00`` and ``23:59`` (with any seconds) are midnight. Public holidays
        are not part of the data.

        Args:
            at: The moment, aware and *in the time zone of the location*, which the service does not send:
                ``datetime.now(ZoneInfo("Europe/Amsterdam"))``. Its wall clock is compared with the hours.

        Returns:
            Whether it is open; None without hours, and if only a period that cannot be read may cover the moment.

        Raises:
            ValidationError: ``at`` has no time zone.
        """
        if at.utcoffset() is None:
            raise ValidationError(["at: must be timezone-aware, in the time zone of the location"])
        if self.open_twenty_four_seven:
            return True
        return open_at(self.opening_hours, at) if self.opening_hours else None


def _fold_evse_id(text: str) -> str:
    return text.replace("*", "").strip().upper()


def _check_power(min_power_kw: float | None) -> None:
    if min_power_kw is not None and math.isnan(min_power_kw):
        raise ValidationError(["min_power_kw: must be a number, got NaN"])


def _finite(value: float | None) -> float | None:
    # A comparison: NaN fails it, and an integer too large for a float does not raise.
    return value if value is not None and abs(value) <= sys.float_info.max else None


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
