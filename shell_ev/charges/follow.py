"""Following many charges at once under one budget of requests, fairly.

Knows whose look is due and what the budget allows; how one look is made is the endpoint's.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from uuid import UUID

import attrs

from ..core.session_manager import SessionManager
from ..endpoints.charging import AsyncCharging
from ..endpoints.validation import Checks
from ..errors import NotFoundError, ShellEVError, shown
from ..models.charging import ChargeSession
from ..models.enums import SessionState
from .charge import GONE_AFTER, AsyncCharge
from .poller import OVER, OnProblem, Polling, is_positive, is_transient, tell, watching_faults

logger = logging.getLogger("shell_ev")

#: Requests per second for all charges that one call follows.
DEFAULT_BUDGET = 10.0
#: Looks under way at once: enough to keep any budget busy over a slow line, few enough to be polite.
_LOOKS_AT_ONCE = 32


@attrs.define(order=True)
class _Followed:
    """One charge in the queue; ordered by when its next look is due."""

    due: float
    number: int
    """Order of arrival: settles who goes first among equals."""
    session_id: str = attrs.field(order=False)
    charge: AsyncCharge | None = attrs.field(order=False)
    since: float = attrs.field(order=False)
    state: SessionState | None = attrs.field(order=False, default=None)
    gone_since: float | None = attrs.field(order=False, default=None)


class Follower:
    """Looks at many charges in turn. The longest overdue goes first: nobody starves when the budget is short."""

    def __init__(
        self,
        manager: SessionManager,
        sessions: Iterable[tuple[str, AsyncCharge | None]],
        *,
        budget: float,
        polling: Polling,
        on_problem: OnProblem | None,
    ) -> None:
        self._charging = AsyncCharging(manager)
        self._jitter = manager.hooks.jitter
        self._polling = polling
        self._on_problem = on_problem
        self._timers = manager.timers()
        now = self._timers.time()
        self._queue = [
            _Followed(now, number, session_id, charge, now, charge.state if charge is not None else None)
            for number, (session_id, charge) in enumerate(sessions)
        ]
        self._open = len(self._queue)
        self._seen: asyncio.Queue[tuple[str, ChargeSession] | Exception | None] = asyncio.Queue()
        self._gap = 1.0 / budget
        self._next_slot = now
        self._nap: asyncio.Future[None] | None = None
        self._room = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._looks: set[asyncio.Task[None]] = set()

    async def changes(self) -> AsyncGenerator[tuple[str, ChargeSession], None]:
        """Session id and session, for each new state of any of them, until all are over."""
        if not self._open:
            return
        dispatching = asyncio.ensure_future(self._dispatch())
        try:
            while (item := await self._seen.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            tasks = [dispatching, *self._looks]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _dispatch(self) -> None:
        """Begin each look when it is due and the budget has a slot for it: slots lie one gap apart, in order."""
        while True:
            await self._room.acquire()
            followed = await self._next_due()
            # A dispatcher that was held up may catch up on a tenth of a second, and never gets ahead of the budget.
            self._next_slot = max(self._next_slot + self._gap, self._timers.time() - 0.1)
            look = asyncio.ensure_future(self._look_once(followed))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    async def _next_due(self) -> _Followed:
        while True:
            at = max(self._queue[0].due, self._next_slot) if self._queue else None
            if at is not None and at <= self._timers.time():
                return heapq.heappop(self._queue)
            # A look that ends meanwhile may put an earlier one at the head, and cuts the nap short.
            nap = math.inf if at is None else at - self._timers.time()
            self._nap = asyncio.ensure_future(self._timers.sleep(nap))
            try:
                await asyncio.wait([self._nap])
            finally:
                self._nap.cancel()

    async def _look_once(self, followed: _Followed) -> None:
        try:
            if await self._look(followed):
                self._open -= 1
                if not self._open:
                    self._seen.put_nowait(None)
            else:
                self._requeue(followed)
        except Exception as error:
            # Waiting does not mend this one: it ends the following, for all alike.
            self._seen.put_nowait(error)
        finally:
            self._room.release()

    def _requeue(self, followed: _Followed) -> None:
        now = self._timers.time()
        followed.due = now + self._polling.interval(followed.state, now - followed.since, self._jitter)
        heapq.heappush(self._queue, followed)
        if self._queue[0] is followed and self._nap is not None:
            self._nap.cancel()

    async def _look(self, followed: _Followed) -> bool:
        """One look; whether the charge is done with."""
        try:
            # Without retries: each would be a request the budget does not know of. The next look is the retry.
            session = (await self._charging.retrieve(followed.session_id, max_retries=0)).data
        except ShellEVError as error:
            if isinstance(error, NotFoundError):
                now = self._timers.time()
                followed.gone_since = now if followed.gone_since is None else followed.gone_since
            elif not is_transient(error):
                raise
            tell(self._on_problem, followed.session_id, error)
            self._next_slot = max(self._next_slot, self._timers.time() + (getattr(error, "retry_after", None) or 0.0))
            return self._is_gone(followed)
        followed.gone_since = None
        if followed.charge is not None:
            followed.charge.session = session
        if session.state != followed.state:
            followed.state, followed.since = session.state, self._timers.time()
            self._seen.put_nowait((followed.session_id, session))
        return followed.state in OVER

    def _is_gone(self, followed: _Followed) -> bool:
        if followed.gone_since is None or self._timers.time() - followed.gone_since < GONE_AFTER:
            return False
        logger.warning("session %s is gone from the service; last seen %s", followed.session_id, followed.state)
        return True


def is_many(charges: object) -> bool:
    """Whether this can be gone through for charges: a text can, for its characters."""
    return isinstance(charges, Iterable) and not isinstance(charges, (str, bytes))


def follow(
    manager: SessionManager,
    charges: Iterable[AsyncCharge | str | UUID],
    *,
    budget: float,
    polling: Polling,
    on_problem: OnProblem | None,
) -> AsyncIterator[tuple[str, ChargeSession]]:
    """Check what is to be followed, and follow it. Each session is followed once, however often it is named."""
    checks = Checks("follow")
    sessions: dict[str, AsyncCharge | None] = {}
    if not is_many(charges):
        checks.faults.append(f"charges must be several charges or session ids, not {shown(charges)}")
        charges = ()
    for item in charges:
        if isinstance(item, AsyncCharge):
            sessions[item.session_id] = item
        else:
            sessions.setdefault(checks.uuid("charges", item))
    if not is_positive(budget):
        checks.faults.append(f"budget must be a positive number of requests per second, not {shown(budget)}")
    checks.faults += watching_faults(polling, on_problem)
    checks.raise_if_any()

    async def changes() -> AsyncIterator[tuple[str, ChargeSession]]:
        follower = Follower(manager, sessions.items(), budget=budget, polling=polling, on_problem=on_problem)
        async with aclosing(follower.changes()) as found:
            async for change in found:
                yield change

    return changes()
