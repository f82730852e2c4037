"""The location operations: list, iterate, get, nearby, markers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Unpack, cast

from ..core.connections import not_pickled
from ..core.session_manager import SessionManager
from ..errors import ShellEVError
from ..models.locations import Accessibility, ElectricalProperties, Location, OpeningHours
from ..models.markers import LocationMarker
from ..models.response import ApiResponse
from ..models.tariffs import PowerRange, TariffAltText, TariffElement
from ..options import GetOptions, IterateOptions, ListOptions, MapOptions
from ..wire.operations import LOCATIONS_GET, LOCATIONS_LIST, LOCATIONS_MARKERS, LOCATIONS_NEARBY
from ..wire.results import Result
from .validation import LocationChecks, takes

#: Locations a page of :meth:`AsyncLocations.iterate` when none are given.
MAX_PER_PAGE: Final = 500

#: Frozen and equal by value, so one object can stand in many places: half of the time and the memory of a page of 500.
_REPEATED = frozenset({Accessibility, ElectricalProperties, OpeningHours, PowerRange, TariffAltText, TariffElement})

LOCATIONS = Result(model=Location, count="many", of_locations=True, repeated=_REPEATED)
LOCATION = Result(model=Location, count="one", of_locations=True)
MARKERS = Result(model=LocationMarker, count="many", of_locations=True)


class AsyncLocations:
    """Find charging locations. Reached as ``client.locations``."""

    __reduce__ = not_pickled

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    @takes(ListOptions)
    async def list(self, **options: Unpack[ListOptions]) -> ApiResponse[tuple[Location, ...]]:
        """One page of locations. :meth:`iterate` gives all of them.

        Args:
            **options: Keys of :class:`~shell_ev.options.ListOptions`.

        Returns:
            The page.

        Raises:
            TypeError: An option does not exist.
            ValidationError: Lists every invalid argument, and those that the API version does not have. Nothing was
                sent.
            AuthenticationError: There is no access token.
            ApiError: The service answered with a failure; the class says which status.
            ResponseDecodeError: The answer cannot be read.
            ConnectError: No connection could be made.
            RequestTimeoutError: No answer came in time.
            TransportError: No whole answer came.
        """
        checks = LocationChecks(LOCATIONS_LIST, self._manager.version)
        arguments = checks.filters(options)
        return await self._manager.call(LOCATIONS_LIST, arguments, LOCATIONS, checks.options(options))

    @takes(IterateOptions)
    async def iterate(self, **options: Unpack[IterateOptions]) -> AsyncIterator[Location]:
        """Every location that matches. A page is fetched when all locations of the one before are used.

        The last page is one that is short, empty, or equal to an earlier one. One page at a time is in memory.

        Args:
            **options: Keys of :class:`~shell_ev.options.IterateOptions`.

        Yields:
            The locations, in the order of the service.

        Raises:
            TypeError: An option does not exist. Raised at the call.
            ShellEVError: As for :meth:`list`, while it is iterated. A note of the error (``error.__notes__``, part of
                its traceback) names the page.
        """
        given = options.get("per_page")
        size = MAX_PER_PAGE if given is None else given
        number = 1
        seen: set[int] = set()
        while True:
            page_options = cast("ListOptions", {**options, "page_number": number, "per_page": size})
            try:
                answer = await self.list(**page_options)
            except ShellEVError as error:
                error.add_note(f"locations.iterate: page {number} of {size} locations a page")
                raise
            page = answer.data
            # A service without paging repeats its page, or begins again after the last one. Only uids are compared:
            # a status may have changed. As a hash, because a page may be large.
            mark = hash(tuple(location.uid or location for location in page))
            if not page or mark in seen:
                return
            for location in page:
                yield location
            # An unreadable item is a problem, and was on the page all the same.
            if len(page) + len(answer.problems) < size:
                return
            # Released before the next page is fetched: two would be in memory otherwise.
            del answer, page
            seen.add(mark)
            number += 1

    @takes(GetOptions)
    async def get(self, uid: str, **options: Unpack[GetOptions]) -> ApiResponse[Location]:
        """One location.

        Args:
            uid: Uid of the location, text in every dialect, as :attr:`~shell_ev.Location.uid` is.
            **options: Keys of :class:`~shell_ev.options.GetOptions`.

        Returns:
            The location.

        Raises:
            TypeError: An option does not exist.
            NotFoundError: There is no such location.
            ResponseDecodeError: The answer holds no location.
            ShellEVError: Others as for :meth:`list`.
        """
        checks = LocationChecks(LOCATIONS_GET, self._manager.version)
        arguments = checks.filters(options)
        arguments["uid"] = checks.path_segment("uid", uid)
        return await self._manager.call(LOCATIONS_GET, arguments, LOCATION, checks.options(options))

    @takes(MapOptions)
    async def nearby(
        self, latitude: float, longitude: float, *, limit: int | None = None, **options: Unpack[MapOptions]
    ) -> ApiResponse[tuple[Location, ...]]:
        """Locations around a point, nearest first. V1_PASCAL answers with the nearest one alone.

        Args:
            latitude: Latitude of the point, in WGS 84 degrees.
            longitude: Longitude of the point, in WGS 84 degrees.
            limit: Most locations of the answer, at most 100. 25 by the service's default.
            **options: Keys of :class:`~shell_ev.options.MapOptions`.

        Returns:
            The locations.

        Raises:
            TypeError: An option does not exist.
            ShellEVError: As for :meth:`list`.
        """
        checks = LocationChecks(LOCATIONS_NEARBY, self._manager.version)
        arguments = checks.filters(options)
        checks.degrees(arguments, "latitude", latitude, 90)
        checks.degrees(arguments, "longitude", longitude, 180)
        checks.whole_number(arguments, "limit", limit, 1, checks.dialect.max_nearby)
        return await self._manager.call(LOCATIONS_NEARBY, arguments, LOCATIONS, checks.options(options))

    @takes(MapOptions)
    async def markers(
        self,
        *,
        west: float,
        south: float,
        east: float,
        north: float,
        zoom: int | str,
        **options: Unpack[MapOptions],
    ) -> ApiResponse[tuple[LocationMarker, ...]]:
        """Markers of a map: one for a location, or one for several that are close together.

        Args:
            west: Western bound of the view, in WGS 84 degrees. Larger than ``east`` across the antimeridian.
            south: Southern bound, in WGS 84 degrees.
            east: Eastern bound, in WGS 84 degrees.
            north: Northern bound, in WGS 84 degrees.
            zoom: Zoom level, from 1 (world) to 20 (buildings).
            **options: Keys of :class:`~shell_ev.options.MapOptions`.

        Returns:
            The markers.

        Raises:
            TypeError: An option does not exist.
            ShellEVError: As for :meth:`list`.
        """
        checks = LocationChecks(LOCATIONS_MARKERS, self._manager.version)
        arguments = checks.filters(options)
        checks.degrees(arguments, "west", west, 180)
        checks.degrees(arguments, "south", south, 90)
        checks.degrees(arguments, "east", east, 180)
        checks.degrees(arguments, "north", north, 90)
        checks.south_of(arguments)
        checks.zoom(arguments, zoom)
        return await self._manager.call(LOCATIONS_MARKERS, arguments, MARKERS, checks.options(options))
