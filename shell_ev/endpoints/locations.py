"""The location operations (contract section 5): list, iterate, get, nearby, markers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from ..core.connections import not_pickled
from ..core.session_manager import SessionManager
from ..errors import ShellEVError
from ..identifiers import EvseId
from ..models.enums import AuthorizationMethod, ConnectorType, EvseStatus
from ..models.locations import Location
from ..models.markers import LocationMarker
from ..models.response import ApiResponse
from ..options import Timeout
from ..wire.location_results import LOCATION, LOCATIONS, MARKERS
from ..wire.operations import LOCATIONS_GET, LOCATIONS_LIST, LOCATIONS_MARKERS, LOCATIONS_NEARBY
from .validation import LocationChecks

#: Locations a page of :meth:`AsyncLocations.iterate` when none are given.
MAX_PER_PAGE: Final = 500


class AsyncLocations:
    """Find charging locations. Reached as ``client.locations``."""

    __reduce__ = not_pickled

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    async def list(
        self,
        *,
        evse_status: EvseStatus | str | Sequence[EvseStatus | str] | None = None,
        connector_types: ConnectorType | str | Sequence[ConnectorType | str] | None = None,
        connector_min_power: float | None = None,
        authorization_methods: AuthorizationMethod | str | Sequence[AuthorizationMethod | str] | None = None,
        with_operator_name: bool | None = None,
        evse_id: str | EvseId | None = None,
        location_external_id: str | None = None,
        evse_external_id: str | None = None,
        page_number: int | None = None,
        per_page: int | None = None,
        updated_since: datetime | str | None = None,
        country: str | Sequence[str] | None = None,
        exclude_country: str | Sequence[str] | None = None,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[tuple[Location, ...]]:
        """One page of locations; :meth:`iterate` walks all of them.

        Filters, all optional: ``evse_status``, ``connector_types`` and ``authorization_methods`` take a member of
        their enum, its text, or a sequence of either; ``connector_min_power`` is in kW; ``evse_id`` (also an EvseId),
        ``location_external_id`` and ``evse_external_id`` take text that is sent as it is; ``country`` and
        ``exclude_country`` take ISO 3166-1 alpha-3 codes (V1 and V2); ``updated_since`` takes an aware datetime or
        text that is sent as it is. ``with_operator_name`` asks for that field; ``page_number`` counts from 1,
        ``per_page`` is at most 500.

        ``request_id`` is a UUID, minted when absent; ``timeout`` (seconds, or a Timeout), ``max_retries`` and
        ``headers`` are for this call.

        Raises ValidationError before anything is sent, also for an argument the API version does not have; ApiError by
        status, ResponseDecodeError, AuthenticationError, ConnectError, RequestTimeoutError, TransportError.
        Contract section 5, list.
        """
        checks = LocationChecks(LOCATIONS_LIST, self._manager.version)
        arguments = checks.filters(
            evse_status=evse_status,
            connector_types=connector_types,
            connector_min_power=connector_min_power,
            authorization_methods=authorization_methods,
            with_operator_name=with_operator_name,
            evse_id=evse_id,
            location_external_id=location_external_id,
            evse_external_id=evse_external_id,
            updated_since=updated_since,
            country=country,
            exclude_country=exclude_country,
        )
        checks.whole_number(arguments, "page_number", page_number, 1, None)
        checks.whole_number(arguments, "per_page", per_page, 1, checks.dialect.max_per_page)
        options = checks.options(request_id, timeout, max_retries, headers)
        return await self._manager.call(LOCATIONS_LIST, arguments, LOCATIONS, options)

    async def iterate(
        self,
        *,
        evse_status: EvseStatus | str | Sequence[EvseStatus | str] | None = None,
        connector_types: ConnectorType | str | Sequence[ConnectorType | str] | None = None,
        connector_min_power: float | None = None,
        authorization_methods: AuthorizationMethod | str | Sequence[AuthorizationMethod | str] | None = None,
        with_operator_name: bool | None = None,
        evse_id: str | EvseId | None = None,
        location_external_id: str | None = None,
        evse_external_id: str | None = None,
        per_page: int | None = MAX_PER_PAGE,
        updated_since: datetime | str | None = None,
        country: str | Sequence[str] | None = None,
        exclude_country: str | Sequence[str] | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Location]:
        """Every location that matches, page by page: the next page is fetched when the last one is used up.

        Filters as in :meth:`list`; ``per_page`` is at most 500, which it is when left out. Ends at a page that is
        short, empty, or one it has had before; holds one page at a time. ``timeout`` (seconds, or a Timeout),
        ``max_retries`` and ``headers`` are for each page. Raises as :meth:`list` does, while it is iterated; a note on
        the error (``error.__notes__``, shown with its traceback) tells the page. Contract section 5, list.
        """
        size = MAX_PER_PAGE if per_page is None else per_page
        number = 1
        seen: set[int] = set()
        while True:
            try:
                answer = await self.list(
                    evse_status=evse_status,
                    connector_types=connector_types,
                    connector_min_power=connector_min_power,
                    authorization_methods=authorization_methods,
                    with_operator_name=with_operator_name,
                    evse_id=evse_id,
                    location_external_id=location_external_id,
                    evse_external_id=evse_external_id,
                    page_number=number,
                    per_page=size,
                    updated_since=updated_since,
                    country=country,
                    exclude_country=exclude_country,
                    timeout=timeout,
                    max_retries=max_retries,
                    headers=headers,
                )
            except ShellEVError as error:
                error.add_note(f"locations.iterate: page {number} of {size} locations a page")
                raise
            page = answer.data
            # A server that knows no paging answers the same page for ever, one that takes a page beyond the last for
            # the first begins again. By uid: states may have changed meanwhile. Kept as a hash: a page may be long.
            mark = hash(tuple(location.uid or location for location in page))
            if not page or mark in seen:
                return
            for location in page:
                yield location
            # An item that could not be read is a problem and was on the page all the same.
            if len(page) + len(answer.problems) < size:
                return
            # Let go before the next page is fetched, or two would be in memory while it is read.
            del answer, page
            seen.add(mark)
            number += 1

    async def get(
        self,
        uid: str,
        *,
        provider_id: str | None = None,
        since: datetime | str | None = None,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[Location]:
        """One location by its uid.

        ``uid`` is text in every dialect, as :attr:`~shell_ev.Location.uid` is; ``provider_id`` (V1 and V2) is needed to
        be told tariffs; ``since`` (V1 and V2) takes an aware datetime or text that is sent as it is. ``request_id``,
        ``timeout`` (seconds, or a Timeout), ``max_retries`` and ``headers`` as in :meth:`list`.

        Raises as :meth:`list` does, NotFoundError when there is no such location, and ResponseDecodeError when
        the answer holds none. Contract section 5, by id.
        """
        checks = LocationChecks(LOCATIONS_GET, self._manager.version)
        arguments = checks.filters(provider_id=provider_id, since=since)
        arguments["uid"] = checks.path_segment("uid", uid)
        options = checks.options(request_id, timeout, max_retries, headers)
        return await self._manager.call(LOCATIONS_GET, arguments, LOCATION, options)

    async def nearby(
        self,
        latitude: float,
        longitude: float,
        *,
        limit: int | None = None,
        evse_status: EvseStatus | str | Sequence[EvseStatus | str] | None = None,
        connector_types: ConnectorType | str | Sequence[ConnectorType | str] | None = None,
        connector_min_power: float | None = None,
        authorization_methods: AuthorizationMethod | str | Sequence[AuthorizationMethod | str] | None = None,
        with_operator_name: bool | None = None,
        with_max_power: bool | None = None,
        evse_id: str | EvseId | None = None,
        location_external_id: str | None = None,
        evse_external_id: str | None = None,
        operator_name: str | None = None,
        country: str | Sequence[str] | None = None,
        exclude_country: str | Sequence[str] | None = None,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[tuple[Location, ...]]:
        """Locations around a point, nearest first; V1_PASCAL answers with the nearest one alone.

        ``latitude`` and ``longitude`` are WGS 84 degrees; ``limit`` is at most 100 (the service takes 25 if it is
        left out).

        Filters, all optional: ``evse_status``, ``connector_types`` and ``authorization_methods`` take a member of
        their enum, its text, or a sequence of either; ``connector_min_power`` is in kW; ``country`` and
        ``exclude_country`` take ISO 3166-1 alpha-3 codes (V1 and V2); ``evse_id`` (also an EvseId),
        ``location_external_id``, ``evse_external_id`` and ``operator_name`` take text that is sent as it is;
        ``with_operator_name`` and ``with_max_power`` ask for these fields. ``request_id``, ``timeout`` (seconds, or a
        Timeout), ``max_retries`` and ``headers`` as in :meth:`list`.

        Raises as :meth:`list` does. Contract section 5, nearby.
        """
        checks = LocationChecks(LOCATIONS_NEARBY, self._manager.version)
        arguments = checks.filters(
            evse_status=evse_status,
            connector_types=connector_types,
            connector_min_power=connector_min_power,
            authorization_methods=authorization_methods,
            with_operator_name=with_operator_name,
            with_max_power=with_max_power,
            evse_id=evse_id,
            location_external_id=location_external_id,
            evse_external_id=evse_external_id,
            operator_name=operator_name,
            country=country,
            exclude_country=exclude_country,
        )
        checks.degrees(arguments, "latitude", latitude, 90)
        checks.degrees(arguments, "longitude", longitude, 180)
        checks.whole_number(arguments, "limit", limit, 1, checks.dialect.max_nearby)
        options = checks.options(request_id, timeout, max_retries, headers)
        return await self._manager.call(LOCATIONS_NEARBY, arguments, LOCATIONS, options)

    async def markers(
        self,
        *,
        west: float,
        south: float,
        east: float,
        north: float,
        zoom: int | str,
        evse_status: EvseStatus | str | Sequence[EvseStatus | str] | None = None,
        connector_types: ConnectorType | str | Sequence[ConnectorType | str] | None = None,
        connector_min_power: float | None = None,
        authorization_methods: AuthorizationMethod | str | Sequence[AuthorizationMethod | str] | None = None,
        with_operator_name: bool | None = None,
        with_max_power: bool | None = None,
        evse_id: str | EvseId | None = None,
        location_external_id: str | None = None,
        evse_external_id: str | None = None,
        operator_name: str | None = None,
        country: str | Sequence[str] | None = None,
        exclude_country: str | Sequence[str] | None = None,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[tuple[LocationMarker, ...]]:
        """What a map of this view shows: single locations, and clusters where they lie close together.

        ``west``, ``south``, ``east`` and ``north`` bound the view in WGS 84 degrees; a view over the antimeridian has
        its west east of its east. ``zoom``: 1 world, 5 continent, 10 city, 15 streets, 20 buildings.
        Filters, all optional: ``evse_status``, ``connector_types`` and ``authorization_methods`` take a member of
        their enum, its text, or a sequence of either; ``connector_min_power`` is in kW; ``country`` and
        ``exclude_country`` take ISO 3166-1 alpha-3 codes (V1 and V2); ``evse_id`` (also an EvseId),
        ``location_external_id``, ``evse_external_id`` and ``operator_name`` take text that is sent as it is;
        ``with_operator_name`` and ``with_max_power`` ask for these fields. ``request_id``, ``timeout`` (seconds, or a
        Timeout), ``max_retries`` and ``headers`` as in :meth:`list`.

        Raises as :meth:`list` does. Contract section 5, markers.
        """
        checks = LocationChecks(LOCATIONS_MARKERS, self._manager.version)
        arguments = checks.filters(
            evse_status=evse_status,
            connector_types=connector_types,
            connector_min_power=connector_min_power,
            authorization_methods=authorization_methods,
            with_operator_name=with_operator_name,
            with_max_power=with_max_power,
            evse_id=evse_id,
            location_external_id=location_external_id,
            evse_external_id=evse_external_id,
            operator_name=operator_name,
            country=country,
            exclude_country=exclude_country,
        )
        checks.degrees(arguments, "west", west, 180)
        checks.degrees(arguments, "south", south, 90)
        checks.degrees(arguments, "east", east, 180)
        checks.degrees(arguments, "north", north, 90)
        checks.south_of(arguments)
        checks.zoom(arguments, zoom)
        options = checks.options(request_id, timeout, max_retries, headers)
        return await self._manager.call(LOCATIONS_MARKERS, arguments, MARKERS, options)
