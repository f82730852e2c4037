"""The location operations: list, iterate, get, nearby, markers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Final, NoReturn, Unpack, cast

from ..core.connections import not_pickled
from ..core.polling import DEFAULT_BUDGET, OnProblem, Pacer, Poller, is_positive
from ..core.session_manager import SessionManager
from ..errors import NotFoundError, ValidationError, shown
from ..identifiers import EvseId
from ..models.enums import ConnectorType
from ..models.locations import Accessibility, ElectricalProperties, Evse, Location, OpeningHours
from ..models.markers import LocationMarker
from ..models.response import ApiResponse
from ..models.tariffs import PowerRange, TariffAltText, TariffElement
from ..options import AttemptOptions, GetOptions, IterateOptions, ListOptions, MapOptions
from ..wire.operations import LOCATIONS_GET, LOCATIONS_LIST, LOCATIONS_MARKERS, LOCATIONS_NEARBY
from ..wire.results import Result
from .paging import MAX_PREFETCH, Pages
from .validation import LocationChecks, takes
from .watching import DEFAULT_EVERY, LocationFollower, checked_uids, interval_of, pace_faults, wait_available

#: Locations a page of :meth:`AsyncLocations.iterate` when none are given.
MAX_PER_PAGE: Final = 500

#: Frozen and equal by value, so one object can stand in many places: half of the time and the memory of a page of 500.
_REPEATED = frozenset({Accessibility, ElectricalProperties, OpeningHours, PowerRange, TariffAltText, TariffElement})

LOCATIONS = Result(model=Location, count="many", of_locations=True, repeated=_REPEATED)
LOCATION = Result(model=Location, count="one", of_locations=True)
MARKERS = Result(model=LocationMarker, count="many", of_locations=True)


class AsyncLocations:
    """Find charging locations. Reached as ``client.locations``."""

    def __reduce__(self) -> NoReturn:
        not_pickled(self)

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
    async def iterate(
        self, *, limit: int | None = None, prefetch: int = 0, **options: Unpack[IterateOptions]
    ) -> AsyncIterator[Location]:
        """Every location that matches. A page is fetched when all locations of the one before are used.

        The last page is one that is short, empty, or equal to an earlier one. At most ``prefetch + 1`` pages are in
        memory.

        Args:
            limit: Most locations to give; all of them by default.
            prefetch: Pages to fetch while one is used, at most 100. The first page is fetched alone.
            **options: Keys of :class:`~shell_ev.options.IterateOptions`.

        Yields:
            The locations, in the order of the service.

        Raises:
            TypeError: An option does not exist. Raised at the call.
            ShellEVError: As for :meth:`list`, while it is iterated. A note of the error (``error.__notes__``, part of
                its traceback) names the page.
        """
        checks = LocationChecks(LOCATIONS_LIST, self._manager.version)
        numbers: dict[str, int] = {}
        checks.whole_number(numbers, "limit", limit, 1, None)
        checks.whole_number(numbers, "prefetch", prefetch, 0, MAX_PREFETCH)
        checks.raise_if_any()
        given = options.get("per_page")
        size = given if given is not None else MAX_PER_PAGE if limit is None else min(limit, MAX_PER_PAGE)

        async def fetch(number: int) -> ApiResponse[tuple[Location, ...]]:
            page_options = cast("ListOptions", {**options, "page_number": number, "per_page": size})
            return await self.list(**page_options)

        async with aclosing(Pages(fetch, size, limit=limit, prefetch=prefetch).locations()) as found:
            async for location in found:
                yield location

    @takes(AttemptOptions)
    async def find(
        self,
        *,
        external_id: str | None = None,
        evse_id: str | EvseId | None = None,
        evse_external_id: str | None = None,
        provider_id: str | None = None,
        **options: Unpack[AttemptOptions],
    ) -> Location | None:
        """The location of one id. Exactly one of the first three arguments is needed.

        Args:
            external_id: The operator's id of the location.
            evse_id: Id of one of its EVSEs.
            evse_external_id: The operator's id of one of its EVSEs.
            provider_id: Provider whose tariffs the location is to have (V1 and V2). It takes a second request.
            **options: Keys of :class:`~shell_ev.options.AttemptOptions`. They apply to each request.

        Returns:
            The location; None where there is none.

        Raises:
            TypeError: An option does not exist.
            ValidationError: Several locations have that id: the error lists their uids. Or an argument is invalid.
            ShellEVError: Others as for :meth:`list`.
        """
        ids = {"location_external_id": external_id, "evse_id": evse_id, "evse_external_id": evse_external_id}
        wanted = {name: value for name, value in ids.items() if value is not None}
        checks = LocationChecks(LOCATIONS_LIST, self._manager.version)
        if len(wanted) != 1:
            checks.faults.append(
                f"exactly one of external_id, evse_id and evse_external_id is needed, not {len(wanted)}"
            )
        if provider_id is not None:
            checks.exists(LOCATIONS_GET, self._manager.version, "provider_id")
        checks.raise_if_any()
        name, value = next(iter(wanted.items()))
        answer = await self.list(**cast("ListOptions", {**options, name: value}))
        found = {location.uid: location for location in answer.data if _has(location, name, str(value))}
        if len(found) > 1:
            uids = ", ".join(sorted(str(uid) for uid in found))
            fault = f"{name}: several locations have the id {shown(str(value))}: uids {uids}"
            raise ValidationError([fault], operation="locations.find")
        location = next(iter(found.values()), None)
        if location is None or location.uid is None or provider_id is None:
            return location
        return await self._with_tariffs(location.uid, provider_id, options)

    def follow(
        self,
        uids: Iterable[str | Location],
        *,
        every: float = DEFAULT_EVERY,
        budget: float = DEFAULT_BUDGET,
        on_problem: OnProblem | None = None,
    ) -> AsyncIterator[Location]:
        """Follow many locations: each first as it is, then at each change of the status of an EVSE.

        The longest overdue location is polled first where the budget is short. It ends when the service has not known
        any of the locations for five minutes.

        Args:
            uids: Uids of the locations, or locations. One that is named twice is followed once.
            every: Seconds between two polls of one location.
            budget: Requests per second for all of them.
            on_problem: Called with a uid and each error that polling tolerates; by default they are logged.

        Yields:
            A location, as it is.

        Raises:
            ValidationError: An argument is invalid. Raised at the call.
            ShellEVError: An error that waiting does not mend, such as refused credentials, while it is iterated.
        """
        checks = LocationChecks(LOCATIONS_GET, self._manager.version)
        wanted = checked_uids(checks, uids)
        checks.faults += pace_faults(every, on_problem, budget)
        checks.raise_if_any()

        async def changes() -> AsyncIterator[Location]:
            follower = LocationFollower(
                self._get,
                self._manager.timers(),
                self._manager.hooks.jitter,
                wanted,
                every=every,
                budget=budget,
                on_problem=on_problem,
            )
            async with aclosing(follower.changes()) as found:
                async for location in found:
                    yield location

        return changes()

    async def wait_available(
        self,
        uid: str | Location,
        *,
        connector_type: ConnectorType | str | None = None,
        min_power_kw: float | None = None,
        timeout: float | None = None,
        every: float = DEFAULT_EVERY,
        on_problem: OnProblem | None = None,
    ) -> Evse:
        """Wait until an EVSE of a location is available.

        Args:
            uid: Uid of the location, or the location.
            connector_type: Connector that the EVSE is to have: a member, its text, or a name such as "CCS".
            min_power_kw: Least power of that connector, in kW.
            timeout: Seconds to wait; without limit by default.
            every: Seconds between two polls.
            on_problem: Called with the uid and each error that polling tolerates; by default they are logged.

        Returns:
            The EVSE. Somebody else may take it: start the charge, and be ready for ``EVSE_IN_USE``.

        Raises:
            EvseNotAvailableError: None came free in time, or the location has none of the kind. Also a builtin
                ``TimeoutError``.
            NotFoundError: There is no such location.
            ValidationError: An argument is invalid. Nothing was sent.
            ShellEVError: An error that waiting does not mend, such as refused credentials.
        """
        checks = LocationChecks(LOCATIONS_GET, self._manager.version)
        checked = checks.path_segment("uid", uid.uid if isinstance(uid, Location) else uid)
        if connector_type is not None:
            checks.filters({"connector_types": connector_type}, of=LOCATIONS_LIST)
        if min_power_kw is not None:
            checks.filters({"connector_min_power": min_power_kw}, of=LOCATIONS_LIST)
        checks.faults += pace_faults(every, on_problem)
        if timeout is not None and not is_positive(timeout):
            checks.faults.append(f"timeout must be a positive number of seconds, not {shown(timeout)}")
        checks.raise_if_any()
        timers = self._manager.timers()
        pacer = Pacer(
            interval_of(every, self._manager.hooks.jitter),
            time=timers.time,
            subject=checked,
            on_problem=on_problem,
            what="location",
        )
        poller = Poller(pacer, timers, limit=timeout, longest_request=self._manager.config.timeout.total)
        return await wait_available(self._get, poller, checked, connector_type, min_power_kw, timeout)

    async def _get(self, uid: str, timeout: float | None) -> Location:
        # Without retries: each would be a request outside of the budget. The next poll is the retry.
        return (await self.get(uid, max_retries=0, timeout=timeout)).data

    async def _with_tariffs(self, uid: str, provider_id: str, options: AttemptOptions) -> Location | None:
        try:
            return (await self.get(uid, provider_id=provider_id, **options)).data
        except NotFoundError:
            # It was removed between the two requests.
            return None

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


def _has(location: Location, name: str, value: str) -> bool:
    """Whether a location has an id: a service may know a filter less exactly than its name says."""
    if name == "evse_id":
        return location.evse(value) is not None
    wanted = value.strip().casefold()
    ids = [location.external_id] if name == "location_external_id" else [evse.external_id for evse in location.evses]
    return any(text is not None and text.strip().casefold() == wanted for text in ids)
