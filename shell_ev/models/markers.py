"""Markers of a map: one for a location, or one for several that are close together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import attrs

from ..export import Exported
from .enums import AuthorizationMethod, EvseStatus
from .features import feature
from .locations import Coordinates


@attrs.frozen(kw_only=True, repr=False)
class SingleLocationMarker(Exported):
    """A marker of one location."""

    marker_type: str = "SingleLocation"
    """Kind of the marker."""
    unique_key: str | None = None
    """Key of the marker (V1_PASCAL and V1)."""
    status: EvseStatus | None = None
    """Whether the location can be used now."""
    coordinates: Coordinates | None = None
    """Position of the marker."""
    evse_count: int | None = None
    """Number of EVSEs."""
    max_power: float | None = None
    """Highest power of any connector, read as kW (the service documents no unit)."""
    geo_hash: str | None = None
    """Geohash of the position (V1_PASCAL and V1)."""
    location_uid: str | None = None
    """Uid of the location, the argument of ``locations.get``; a number on the wire of V1_PASCAL and V1."""
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
    def __geo_interface__(self) -> dict[str, Any]:
        """The marker as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return cast("dict[str, Any]", feature(self))


@attrs.frozen(kw_only=True, repr=False)
class MultiLocationMarker(Exported):
    """A marker of several locations that are close together."""

    marker_type: str = "MultiLocation"
    """Kind of the marker."""
    unique_key: str | None = None
    """Key of the marker (V1_PASCAL and V1)."""
    coordinates: Coordinates | None = None
    """Position of the marker."""
    location_count: int | None = None
    """Number of locations."""
    evse_count: int | None = None
    """Number of EVSEs of all the locations."""
    max_power: float | None = None
    """Highest power of any connector, read as kW (the service documents no unit)."""
    geo_hash: str | None = None
    """Geohash of the position (V1_PASCAL and V1)."""
    operator_name: str | None = None
    """Name of the operator (V2)."""

    _feature_kind: ClassVar[str] = "multi"

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The marker as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return cast("dict[str, Any]", feature(self))


@attrs.frozen(kw_only=True, repr=False)
class UnknownLocationMarker(Exported):
    """A marker of a kind that this version of the library does not know, as it was sent."""

    marker_type: str | None = None
    """Kind of the marker as sent; None if there was none."""
    raw: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False)
    """The whole marker as decoded from JSON, with its wire names. Do not change it."""

    _feature_kind: ClassVar[str] = "unknown"

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The marker as a GeoJSON feature, for GeoPandas, Shapely and other tools of maps."""
        return cast("dict[str, Any]", feature(self))


LocationMarker = SingleLocationMarker | MultiLocationMarker | UnknownLocationMarker
"""Any marker. Distinguish them with ``isinstance`` or ``match``."""
