"""Watching locations: each change of an EVSE's status, and the EVSE that comes free."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, cast

import attrs

from ..core.polling import (
    GONE_AFTER,
    LONGEST_RETRY_AFTER,
    OnProblem,
    Pacer,
    Poller,
    PollQueue,
    is_positive,
    retry_after_of,
)
from ..core.retry import Jitter
from ..core.runtime import Timers
from ..errors import EvseNotAvailableError, NotFoundError, ShellEVError, shown
from ..models.connector_names import connector_name_of, connector_type_of
from ..models.enums import ConnectorType
from ..models.locations import Evse, Location
from .validation import LocationChecks

logger: logging.Logger = logging.getLogger("shell_ev")

#: Seconds between two polls of one location.
DEFAULT_EVERY = 60.0
#: The part of itself by which an interval varies, so that many locations are not polled together.
_SPREAD = 0.2

#: What is compared: the status of each EVSE.
Statuses: TypeAlias = tuple[tuple[str | None, str | None, bool], ...]
#: Gets a location, given its uid and the timeout of the request in seconds.
Get: TypeAlias = Callable[[str, float | None], Awaitable[Location]]


def statuses_of(location: Location) -> Statuses:
    """The status of each EVSE of a location, in an order that does not depend on the service's."""
    found = [(evse.uid or evse.evse_id, evse.status and evse.status.value, evse.is_deleted) for evse in location.evses]
    return tuple(sorted(found, key=str))


def interval_of(every: float, jitter: Jitter) -> Callable[[Statuses | None, float], float]:
    """The interval between two polls, spread by a tenth up and down."""
    return lambda _state, _waited: every * (1 - _SPREAD / 2) + jitter(every * _SPREAD)


@attrs.frozen
class _Watched:
    """One location that is followed."""

    uid: str
    pacer: Pacer[Statuses]


class LocationFollower:
    """Follows many locations over one :class:`~shell_ev.core.polling.PollQueue`."""

    def __init__(
        self,
        get: Get,
        timers: Timers,
        jitter: Jitter,
        uids: Iterable[str],
        *,
        every: float,
        budget: float,
        on_problem: OnProblem | None,
    ) -> None:
        self._get = get
        interval = interval_of(every, jitter)
        watched = [
            _Watched(uid, Pacer(interval, time=timers.time, subject=uid, on_problem=on_problem, what="location"))
            for uid in uids
        ]
        self._polls: PollQueue[_Watched, Location] = PollQueue(
            timers, watched, self._poll, lambda one: one.pacer.pause(), budget=budget
        )

    def changes(self) -> AsyncGenerator[Location, None]:
        """Yield each location as it is, then at each change of an EVSE's status, until none is left."""
        return self._polls.changes()

    async def _poll(self, watched: _Watched) -> bool:
        """Poll once.

        Returns:
            Whether the location is gone for good.
        """
        pacer = watched.pacer
        try:
            location = await self._get(watched.uid, None)
        except ShellEVError as error:
            pacer.failed(error, longest=LONGEST_RETRY_AFTER)
            self._polls.hold(min(retry_after_of(error), LONGEST_RETRY_AFTER))
            if pacer.gone_for < GONE_AFTER:
                return False
            logger.warning("location %s is not known to the service any more", shown(watched.uid))
            return True
        if pacer.succeeded(statuses_of(location)):
            await self._polls.put(location)
        return False


def checked_uids(checks: LocationChecks, uids: object) -> list[str]:
    """The uids to follow, each once. Their faults are added to ``checks``."""
    if isinstance(uids, (str, bytes, Location)) or not isinstance(uids, Iterable):
        checks.faults.append(f"uids must be several uids or locations, not {shown(uids)}")
        return []
    found: dict[str, None] = {}
    for item in cast("Iterable[object]", uids):
        found[checks.path_segment("uids", item.uid if isinstance(item, Location) else item)] = None
    return list(found)


def pace_faults(every: object, on_problem: object, budget: object = 1.0) -> list[str]:
    """What is wrong with the arguments of polling."""
    faults: list[str] = []
    if not is_positive(every):
        faults.append(f"every must be a positive number of seconds, not {shown(every)}")
    if not is_positive(budget):
        faults.append(f"budget must be a positive number of requests per second, not {shown(budget)}")
    if on_problem is not None and not callable(on_problem):
        faults.append(f"on_problem must be callable with a uid and an error, not {shown(on_problem)}")
    return faults


async def wait_available(
    get: Get,
    poller: Poller,
    uid: str,
    connector_type: ConnectorType | str | None,
    min_power_kw: float | None,
    limit: float | None,
) -> Evse:
    """Poll one location until an EVSE of the kind is available."""
    kind = kind_of(connector_type, min_power_kw)
    location: Location | None = None

    async def fetch(timeout: float | None) -> Location:
        try:
            return await get(uid, timeout)
        except NotFoundError as error:
            # A location is not shown late, as a fresh session is: an unknown uid is a mistake.
            if location is None:
                raise _NotThere(error) from error
            raise

    while True:
        try:
            seen = await poller.poll(fetch)
        except _NotThere as wrapped:
            raise wrapped.error from None
        if seen is not None:
            location = seen
            poller.pacer.succeeded(statuses_of(seen))
            free = seen.available_evses(connector_type, min_power_kw)
            if free:
                return free[0]
            _check_kind(seen, uid, kind, connector_type, min_power_kw)
        if location is not None and poller.pacer.gone_for >= GONE_AFTER:
            raise EvseNotAvailableError(
                f"location {shown(uid)} is not known to the service any more", uid=uid, location=location
            )
        if not await poller.wait():
            raise EvseNotAvailableError(
                f"no {kind} of location {shown(uid)} came free within {limit:g} s", uid=uid, location=location
            )


class _NotThere(Exception):
    def __init__(self, error: NotFoundError) -> None:
        super().__init__()
        self.error = error


def _check_kind(
    location: Location, uid: str, kind: str, connector_type: ConnectorType | str | None, min_power_kw: float | None
) -> None:
    """Raise where no EVSE of the location can ever be the one."""
    there: Sequence[Evse] = [evse for evse in location.evses if not evse.is_deleted]
    anything = connector_type is None and min_power_kw is None
    if not any(anything or evse.has_connector(connector_type, min_power_kw) for evse in there):
        raise EvseNotAvailableError(
            f"location {shown(uid)} has no {kind}: waiting is of no use", uid=uid, location=location
        )


def kind_of(connector_type: ConnectorType | str | None, min_power_kw: float | None) -> str:
    """An EVSE in words, such as ``EVSE with CCS of at least 50 kW``."""
    words = ["EVSE"]
    if connector_type is not None:
        words.append(f"with {connector_name_of(connector_type_of(connector_type))}")
    if min_power_kw is not None:
        words.append(f"of at least {min_power_kw:g} kW")
    return " ".join(words)
