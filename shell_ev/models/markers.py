"""What a map shows: one marker for a location, or one for several that lie close together (contract section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from ..export import Exported
from .enums import AuthorizationMethod, EvseStatus
from .features import Feature, feature
from .locations import Coordinates


@attrs.frozen(kw_only=True, repr=False)
class SingleLocationMarker(Exported):
    """A marker that stands for one location."""

    marker_type: str = "SingleLocation"
    """The tag the service tells markers apart by."""
    unique_key: str | None = None
    """Key of the marker (V1_PASCAL and V1)."""
    status: EvseStatus | None = None
    """Whether the location can be used now."""
    coordinates: Coordinates | None = None
    """Where the marker stands."""
    evse_count: int | None = None
    """Number of EVSEs."""
    max_power: float | None = None
    """Highest power of any connector, read as kW (the contract names no unit)."""
    geo_hash: str | None = None
    """Geohash of the position (V1_PASCAL and V1)."""
    location_uid: str | None = None
    """Uid of the location, to get it by; a number on the wire of V1_PASCAL and V1."""
    location_count: int | None = None
    """Number of locations, one (V2)."""
    authorization_methods: tuple[AuthorizationMethod, ...] = ()
    """How a driver can identify here."""
    operator_id: str | None = None
    """Id of the operator (V1_PASCAL and V1)."""
    operator_name: str | None = None
    """Name of the operator (V2)."""

    _feature_kind: ClassVar[str] = "single"

    @property
    def __geo_interface__(self) -> Feature:
        """The marker as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return feature(self)


@attrs.frozen(kw_only=True, repr=False)
class MultiLocationMarker(Exported):
    """A marker that stands for several locations; zoom in to tell them apart."""

    marker_type: str = "MultiLocation"
    """The tag the service tells markers apart by."""
    unique_key: str | None = None
    """Key of the marker (V1_PASCAL and V1)."""
    coordinates: Coordinates | None = None
    """Where the marker stands."""
    location_count: int | None = None
    """Number of locations."""
    evse_count: int | None = None
    """Number of EVSEs of all the locations."""
    max_power: float | None = None
    """Highest power of any connector, read as kW (the contract names no unit)."""
    geo_hash: str | None = None
    """Geohash of the position (V1_PASCAL and V1)."""
    operator_name: str | None = None
    """Name of the operator (V2)."""

    _feature_kind: ClassVar[str] = "multi"

    @property
    def __geo_interface__(self) -> Feature:
        """The marker as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return feature(self)


@attrs.frozen(kw_only=True, repr=False)
class UnknownLocationMarker(Exported):
    """A marker of a type that this version of the library does not know, as it was sent."""

    marker_type: str | None = None
    """The tag as sent; None when there was none."""
    raw: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False)
    """The whole marker as decoded from JSON, wire names and all. Do not change it."""

    _feature_kind: ClassVar[str] = "unknown"

    @property
    def __geo_interface__(self) -> Feature:
        """The marker as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return feature(self)


LocationMarker = SingleLocationMarker | MultiLocationMarker | UnknownLocationMarker
"""Any marker; tell them apart with ``isinstance`` or ``match``."""
