"""Follows many charges at once under one budget of requests, fairly."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from contextlib import aclosing
from typing import Any
from uuid import UUID

import attrs

from ..core.session_manager import SessionManager
from ..endpoints.charging import AsyncCharging
from ..endpoints.validation import Checks
from ..errors import ShellEVError, shown
from ..models.charging import ChargeSession
from ..models.enums import SessionState
from .charge import AsyncCharge
from .poller import (
    GONE_AFTER,
    LONGEST_RETRY_AFTER,
    OVER,
    OnProblem,
    Pacer,
    Polling,
    is_positive,
    polling_faults,
    retry_after_of,
)

logger = logging.getLogger("shell_ev")

#: Requests per second for all charges that one call follows.
DEFAULT_BUDGET = 10.0
#: Polls under way at once: enough to use any budget over a slow line, few enough to be polite.
_POLLS_AT_ONCE = 32


@attrs.define(order=True)
class _Followed:
    """One charge in the queue, ordered by the time of its next poll."""

    due: float
    number: int
    """Order of arrival, which decides among equals."""
    session_id: str = attrs.field(order=False)
    charge: AsyncCharge | None = attrs.field(order=False)
    pacer: Pacer = attrs.field(order=False)


class Follower:
    """Polls many charges in turn. The longest overdue is first, so that a short budget starves none."""

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
        self._timers = manager.timers()
        jitter, time = manager.hooks.jitter, self._timers.time

        def interval(state: SessionState | None, waited: float) -> float:
            return polling.interval(state, waited, jitter)

        def pacer(session_id: str, charge: AsyncCharge | None) -> Pacer:
            state = charge.state if charge is not None else None
            return Pacer(interval, time=time, session_id=session_id, state=state, on_problem=on_problem)

        now = time()
        self._queue = [
            _Followed(now, number, session_id, charge, pacer(session_id, charge))
            for number, (session_id, charge) in enumerate(sessions)
        ]
        self._open = len(self._queue)
        # Bounded: polls wait for a consumer that stalls.
        self._seen: asyncio.Queue[tuple[str, ChargeSession] | Exception | None] = asyncio.Queue(_POLLS_AT_ONCE)
        self._gap = 1.0 / budget
        self._next_slot = now
        self._nap: asyncio.Future[None] | None = None
        self._room = asyncio.Semaphore(_POLLS_AT_ONCE)
        self._polls: set[asyncio.Task[None]] = set()

    async def changes(self) -> AsyncGenerator[tuple[str, ChargeSession], None]:
        """Yield session id and session for each new state of any of them, until all are over."""
        if not self._open:
            return
        dispatching = _task(self._dispatch())
        try:
            while (item := await self._seen.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            tasks = [dispatching, *self._polls]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _dispatch(self) -> None:
        """Begin each poll when it is due and the budget has a slot: slots lie one gap apart, in order."""
        while True:
            await self._room.acquire()
            followed = await self._next_due()
            # A dispatcher that was held up may catch up on a tenth of a second, and never gets ahead of the budget.
            self._next_slot = max(self._next_slot + self._gap, self._timers.time() - 0.1)
            poll = _task(self._poll_once(followed))
            self._polls.add(poll)
            poll.add_done_callback(self._polls.discard)

    async def _next_due(self) -> _Followed:
        while True:
            at = max(self._queue[0].due, self._next_slot) if self._queue else None
            if at is not None and at <= self._timers.time():
                return heapq.heappop(self._queue)
            # A poll that ends meanwhile may put an earlier one at the head, and ends this wait.
            self._nap = _task(self._timers.sleep(math.inf if at is None else at - self._timers.time()))
            try:
                await asyncio.wait([self._nap])
            finally:
                # Collected after its loop was closed, it has nothing to cancel.
                with contextlib.suppress(RuntimeError):
                    self._nap.cancel()

    async def _poll_once(self, followed: _Followed) -> None:
        try:
            if await self._poll(followed):
                self._open -= 1
                if not self._open:
                    await self._seen.put(None)
            else:
                self._requeue(followed)
        except Exception as error:
            # Waiting does not mend this one: it ends the following of all charges.
            await self._seen.put(error)
        finally:
            self._room.release()

    def _requeue(self, followed: _Followed) -> None:
        followed.due = self._timers.time() + followed.pacer.pause()
        heapq.heappush(self._queue, followed)
        if self._queue[0] is followed and self._nap is not None:
            self._nap.cancel()

    async def _poll(self, followed: _Followed) -> bool:
        """Poll once.

        Returns:
            Whether the charge is over, or gone for good.
        """
        pacer = followed.pacer
        try:
            # Without retries: each would be a request outside of the budget. The next poll is the retry.
            session = (await self._charging.retrieve(followed.session_id, max_retries=0)).data
        except ShellEVError as error:
            pacer.failed(error, longest=LONGEST_RETRY_AFTER)
            # The service asks all of us to wait, not this session alone.
            pause = min(retry_after_of(error), LONGEST_RETRY_AFTER)
            self._next_slot = max(self._next_slot, self._timers.time() + pause)
            if pacer.gone_for < GONE_AFTER:
                return False
            logger.warning(
                "session %s is not known to the service any more; last state: %s", followed.session_id, pacer.state
            )
            return True
        if followed.charge is not None:
            followed.charge.session = session
        if pacer.succeeded(session.state):
            await self._seen.put((followed.session_id, session))
        return session.state in OVER


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.ensure_future(work)
    # Abandoned with its loop, a follower leaves nothing undone that asyncio should complain of.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task


def is_many(charges: object) -> bool:
    """Whether a value holds several charges: a text is iterable too, by its characters."""
    return isinstance(charges, Iterable) and not isinstance(charges, (str, bytes))


def follow(
    manager: SessionManager,
    charges: Iterable[AsyncCharge | str | UUID],
    *,
    budget: float,
    polling: Polling,
    on_problem: OnProblem | None,
) -> AsyncIterator[tuple[str, ChargeSession]]:
    """Check the arguments, and follow. A session that is named twice is followed once."""
    checks = Checks("follow")
    sessions: dict[str, AsyncCharge | None] = {}
    if not is_many(charges):
        checks.faults.append(f"charges must be several charges or session ids, not {shown(charges)}")
        charges = ()
    for item in charges:
        if isinstance(item, AsyncCharge):
            sessions[item.session_id] = item
        else:
            sessions.setdefault(checks.session_id("charges", item))
    if not is_positive(budget):
        checks.faults.append(f"budget must be a positive number of requests per second, not {shown(budget)}")
    checks.faults += polling_faults(polling, on_problem)
    checks.raise_if_any()
    for session_id in sessions:
        manager.ownership.watch(session_id)

    async def changes() -> AsyncIterator[tuple[str, ChargeSession]]:
        follower = Follower(manager, sessions.items(), budget=budget, polling=polling, on_problem=on_problem)
        async with aclosing(follower.changes()) as found:
            async for change in found:
                yield change

    return changes()
