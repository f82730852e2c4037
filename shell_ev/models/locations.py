"""Where charging happens: locations, their EVSEs and connectors (contract section 5), for all API versions.

Missing and null are None, an absent list is empty; zero, False and the empty text stay what they are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

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
from .features import Feature, feature, in_range
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
    """ISO 3166-1 country code: the contract says alpha-2 and shows alpha-3 (``NLD``), so expect either."""


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
    """The day the period starts on."""
    start_time: str | None = None
    """Local time of opening as sent, such as ``08:00``."""
    end_time: str | None = None
    """Local time of closing as sent, such as ``18:00``; not later than the opening means the next day's."""


@attrs.frozen(kw_only=True, repr=False)
class ElectricalProperties(Exported):
    """What a connector delivers."""

    power_type: PowerType | None = None
    """Kind of current."""
    voltage: float | None = None
    """Voltage, in V."""
    amperage: float | None = None
    """Current, in A."""
    max_electric_power: float | None = None
    """Highest power, in kW. The contract names no unit here; see :attr:`Connector.max_power_kw`."""


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
    """What it delivers."""
    fixed_cable: bool | None = None
    """Whether a cable is attached; False means bring your own (V1_PASCAL and V1)."""
    tariff: FlatTariff | None = None
    """What charging costs (V1_PASCAL and V1)."""
    tariffs: tuple[ElementTariff, ...] = ()
    """What charging costs (V2, a location asked for by its uid with ``provider_id``)."""
    updated: str | None = None
    """When the connector last changed: opaque text, the service's format varies (V1_PASCAL and V1)."""
    updated_by: UpdatedBy | None = None
    """Where the last change came from (V1_PASCAL and V1)."""
    deleted: str | None = None
    """When the connector was taken away: opaque text; None is still there (V1_PASCAL and V1)."""

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
        """Whether the connector was taken away: ``deleted`` holds any text."""
        return bool(self.deleted)

    @property
    def max_power_kw(self) -> float | None:
        """Highest power in kW: ``electrical_properties.max_electric_power`` as sent, None when unknown.

        The contract names no unit on that field. It is read as kW: that is the unit of the ``connector_min_power``
        filter, and Shell's public map shows 150 for a 400 V, 375 A connector. Where it is missing nothing is worked out
        from voltage and amperage: whether the voltage is that of a phase or between phases is not said.
        """
        properties = self.electrical_properties
        return None if properties is None else _finite(properties.max_electric_power)


@attrs.frozen(kw_only=True, repr=False)
class Evse(Exported):
    """One charging point, which charges one vehicle at a time through one of its connectors."""

    uid: str | None = None
    """The service's id of the EVSE; a number on the wire of V1_PASCAL and V1."""
    external_id: str | None = None
    """The operator's id of the EVSE."""
    evse_id: str | None = None
    """EVSE id as printed on the charger, such as ``NL*TNM*E02003451*0``: what a start takes."""
    status: EvseStatus | None = None
    """Whether it can be used now."""
    connectors: tuple[Connector, ...] = ()
    """Its plugs and sockets."""
    authorization_methods: tuple[AuthorizationMethod, ...] = ()
    """How a driver can identify; V1_PASCAL and V1 send one at most."""
    updated: str | None = None
    """When the EVSE last changed: opaque text, the service's format varies."""
    deleted: str | None = None
    """When the EVSE was taken away: opaque text; None is still there (V1_PASCAL and V1)."""
    physical_reference: str | None = None
    """What is written on the charger to tell it from its neighbours."""

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
    def is_deleted(self) -> bool:
        """Whether the EVSE was taken away: ``deleted`` holds any text."""
        return bool(self.deleted)

    @property
    def max_power_kw(self) -> float | None:
        """Highest power of its connectors in kW, deleted ones left out; None when none is known."""
        return _highest(connector.max_power_kw for connector in self.connectors if not connector.is_deleted)

    def has_connector(
        self, connector_type: ConnectorType | str | None = None, min_power_kw: float | None = None
    ) -> bool:
        """Whether one connector, not deleted, meets every condition given; an unknown power meets no minimum."""
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
    """The service's id of the location, to get it by; a number on the wire of V1_PASCAL and V1."""
    external_id: str | None = None
    """The operator's id of the location."""
    coordinates: Coordinates | None = None
    """Where it is."""
    operator_name: str | None = None
    """Name of the operator; sent only when asked for with ``with_operator_name``."""
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
    """When the location last changed: opaque text, the service's format varies."""
    operator_comment: str | None = None
    """A note of the operator (V1_PASCAL and V1)."""
    location_type: str | None = None
    """Kind of place, as the service names it."""

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
    def __geo_interface__(self) -> Feature:
        """The location as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return feature(self)

    @property
    def max_power_kw(self) -> float | None:
        """Highest power of its connectors in kW, deleted EVSEs and connectors left out; None when none is known."""
        return _highest(evse.max_power_kw for evse in self.evses if not evse.is_deleted)

    def evse(self, evse_id: str | EvseId) -> Evse | None:
        """The EVSE of that EVSE id, None if there is none. Case and the separator ``*`` do not matter.

        Of several, one that is not deleted comes first, then one spelled exactly so.
        """
        exact = str(evse_id)
        wanted = _fold_evse_id(exact)
        matches = (evse for evse in self.evses if wanted and evse.evse_id and _fold_evse_id(evse.evse_id) == wanted)
        return min(matches, key=lambda evse: (evse.is_deleted, evse.evse_id != exact), default=None)

    def available_evses(
        self, connector_type: ConnectorType | str | None = None, min_power_kw: float | None = None
    ) -> tuple[Evse, ...]:
        """The EVSEs that can be used now, in the service's order; deleted ones are left out.

        ``connector_type`` (a member or its text, in any case) and ``min_power_kw`` must hold on one and the same
        connector. A connector of unknown power meets no minimum, not even zero. A NaN is a ValidationError.
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
        """Great-circle distance to a position in km, on a sphere of the mean earth radius (off by 0.6 % at most).

        None when the location has no coordinates, or ones out of range. Raises ValidationError when the position given
        is not one: latitude -90 to 90, longitude -180 to 180.
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
        # Haversine: exact for near points too; rounding must not push antipodes past 1.
        lon_1, lat_1, lon_2, lat_2 = map(math.radians, (*here, longitude, latitude))
        chord = (
            math.sin((lat_2 - lat_1) / 2) ** 2 + math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
        )
        return 2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))

    def is_open(self, at: datetime) -> bool | None:
        """Whether the location is open at a moment; None when that cannot be told.

        ``at`` must be aware and *in the location's own time zone*: opening hours are local times, the service does not
        send the zone, and the wall clock of ``at`` is what is compared::

            location.is_open(datetime.now(ZoneInfo("Europe/Amsterdam")))

        A naive ``at`` is a ValidationError. The rules: ``open_twenty_four_seven`` True is open, whatever the hours say;
        otherwise the hours decide, and without hours the answer is None. A day that is not listed while others are is
        closed. The opening time is in, the closing time out. A closing time not later than the opening time is the next
        day's, so ``22:00``-``06:00`` runs over midnight and ``00:00``-``00:00`` is the whole day; ``24:00`` and
        ``23:59`` (with any seconds) close at midnight. Times are ``HH:MM`` or ``HH:MM:SS``. A period that cannot be
        read but might cover the moment makes the answer None, unless another period covers it. Public holidays are not
        on the wire.
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
    # By comparison: NaN fails it, and an integer too large for a float does not raise.
    return value if value is not None and abs(value) <= sys.float_info.max else None


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
