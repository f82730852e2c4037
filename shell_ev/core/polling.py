"""Polling: which errors it tolerates, how long it waits, one subject until a deadline or many under one budget."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

import attrs

from ..errors import (
    ApiError,
    AuthenticationError,
    CredentialsRefusedError,
    NotFoundError,
    ResponseDecodeError,
    ShellEVError,
    TransportError,
    UnauthorizedError,
    one_line,
)
from .runtime import Timers

logger: logging.Logger = logging.getLogger("shell_ev")

P = TypeVar("P")
#: What is compared to notice a change: the state of a session, the statuses of EVSEs.
State = TypeVar("State")
#: What is polled.
Subject = TypeVar("Subject")
#: What polling many subjects yields.
Change = TypeVar("Change")

#: Called for each error that polling tolerates, with the id of what is polled (None while none is known).
OnProblem = Callable[[str | None, ShellEVError], None]

#: Requests per second for all subjects that one call follows.
DEFAULT_BUDGET = 10.0
#: A request of a poll is given at least this many seconds: with less it fails for certain.
SHORTEST_POLL = 1.0
#: Seconds after which what the service does not know is gone for good.
GONE_AFTER = 300.0
#: Longest Retry-After, in seconds, that polling without a deadline obeys.
LONGEST_RETRY_AFTER = 900.0
#: Statuses of the API that say nothing of what is polled: the same request may succeed later.
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
#: Polls under way at once: enough to use any budget over a slow line, few enough to be polite.
_POLLS_AT_ONCE = 32


def is_positive(value: object) -> bool:
    """Whether a value is a positive finite number."""
    # Compared and not converted: an integer may be larger than any float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


def are_credentials_refused(error: ShellEVError) -> bool:
    """Whether the credentials or the token were refused, which waiting rarely mends."""
    return isinstance(error, (CredentialsRefusedError, UnauthorizedError))


def is_transient(error: ShellEVError) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, ApiError):
        return error.status_code in _TRANSIENT_STATUSES or error.status_code >= 500 or error.status_code < 300
    if isinstance(error, AuthenticationError):
        return not are_credentials_refused(error)
    return isinstance(error, (TransportError, ResponseDecodeError))


def is_tolerated(error: ShellEVError, *, stubborn: bool = False) -> bool:
    """Whether polling continues after an error.

    Args:
        error: What a poll raised.
        stubborn: Whether refused credentials are tolerated too: a car may be charging.
    """
    # A fresh session may take a minute to show: "not found" alone is not the end of it.
    return isinstance(error, NotFoundError) or is_transient(error) or (stubborn and are_credentials_refused(error))


def report_problem(
    on_problem: OnProblem | None, subject: str | None, error: ShellEVError, what: str = "session"
) -> None:
    """Pass a tolerated error to the callback, or to the log where there is none.

    An exception of the callback is logged and goes no further.
    """
    if on_problem is None:
        logger.info("%s %s: polling continues after: %s", what, one_line(subject, 300), error)
        return
    try:
        on_problem(subject, error)
    except Exception:
        logger.exception("on_problem raised an exception; polling of %s %s continues", what, one_line(subject, 300))


class Pacer(Generic[State]):
    """The pace of polling one subject: how long to wait for the next poll, and since when it is gone."""

    __slots__ = (
        "_interval",
        "_on_problem",
        "_retry_after",
        "_since",
        "_subject",
        "_time",
        "_what",
        "gone_since",
        "state",
    )

    def __init__(
        self,
        interval: Callable[[State | None, float], float],
        *,
        time: Callable[[], float],
        subject: str | None = None,
        state: State | None = None,
        on_problem: OnProblem | None = None,
        what: str = "session",
    ) -> None:
        self._interval = interval
        self._time = time
        self._subject = subject
        self._what = what
        self._on_problem = on_problem
        self._since = time()
        self._retry_after = 0.0
        self.state: State | None = state
        self.gone_since: float | None = None

    @property
    def gone_for(self) -> float:
        """Seconds since the service first did not know the subject; 0 while it knows it."""
        return 0.0 if self.gone_since is None else self._time() - self.gone_since

    def succeeded(self, state: State | None) -> bool:
        """Note a poll that showed the subject; whether its state changed."""
        self.gone_since = None
        if state == self.state:
            return False
        self.state, self._since = state, self._time()
        return True

    def failed(self, error: ShellEVError, *, stubborn: bool = False, longest: float | None = None) -> None:
        """Note a poll that failed.

        Args:
            error: What the poll raised.
            stubborn: Whether refused credentials are tolerated too.
            longest: Longest Retry-After to obey, in seconds; None for any.

        Raises:
            ShellEVError: ``error`` itself, where waiting does not mend it.
        """
        if not is_tolerated(error, stubborn=stubborn):
            raise error
        if isinstance(error, NotFoundError):
            self.gone_since = self._time() if self.gone_since is None else self.gone_since
        self.report(error, longest=longest)

    def report(self, error: ShellEVError, *, longest: float | None = None) -> None:
        """Report a tolerated error, and obey its Retry-After at the next :meth:`pause`."""
        retry_after = retry_after_of(error)
        if longest is not None and retry_after > longest:
            note = f"Retry-After of {retry_after:g} s is longer than polling waits: it is cut to {longest:g} s"
            error.add_note(note)
            logger.warning("%s %s: %s", self._what, one_line(self._subject, 300), note)
            retry_after = longest
        self._retry_after = max(self._retry_after, retry_after)
        report_problem(self._on_problem, self._subject, error, self._what)

    def pause(self) -> float:
        """Seconds until the next poll: those of the state, and at least those that the service asked for."""
        pause = max(self._interval(self.state, self._time() - self._since), self._retry_after)
        self._retry_after = 0.0
        return pause


def retry_after_of(error: ShellEVError) -> float:
    """Seconds that the service asked to wait; 0 where it did not."""
    return getattr(error, "retry_after", None) or 0.0


class Poller:
    """Polls one subject until a deadline: tolerates what is transient, keeps the pace, obeys Retry-After."""

    def __init__(
        self,
        pacer: Pacer[Any],
        timers: Timers,
        *,
        limit: float | None = None,
        longest_request: float | None = None,
        stubborn: bool = False,
    ) -> None:
        self.pacer = pacer
        self.timers = timers
        self._began = timers.time()
        self._ends_at = None if limit is None else self._began + limit
        self._longest_request = longest_request
        self._stubborn = stubborn

    @property
    def waited(self) -> float:
        """Seconds since polling began."""
        return self.timers.time() - self._began

    def request_timeout(self) -> float | None:
        """Seconds for a single request: no more than are left; None for the client's own limit."""
        if self._ends_at is None:
            return None
        left = self._ends_at - self.timers.time()
        return max(SHORTEST_POLL, left if self._longest_request is None else min(self._longest_request, left))

    async def poll(self, fetch: Callable[[float | None], Awaitable[P]]) -> P | None:
        """One request.

        Args:
            fetch: Sends it, given its timeout in seconds.

        Returns:
            What ``fetch`` returned, or None after an error that is tolerated.

        Raises:
            ShellEVError: An error that waiting does not mend.
        """
        try:
            return await fetch(self.request_timeout())
        except ShellEVError as error:
            self.pacer.failed(
                error, stubborn=self._stubborn, longest=LONGEST_RETRY_AFTER if self._ends_at is None else None
            )
            return None

    async def wait(self) -> bool:
        """Wait for the next poll.

        Returns:
            False, at once, when the time is up.
        """
        pause = self.pacer.pause()
        if self._ends_at is not None:
            left = self._ends_at - self.timers.time()
            if left <= 0:
                return False
            # The last poll falls on the deadline, not before it.
            pause = min(pause, left)
        await self.timers.sleep(pause)
        return True


@attrs.define(order=True)
class Queued(Generic[Subject]):
    """One subject in the queue, ordered by the time of its next poll."""

    due: float
    number: int
    """Order of arrival, which decides among equals."""
    subject: Subject = attrs.field(order=False)


class PollQueue(Generic[Subject, Change]):
    """Polls many subjects in turn. The longest overdue is first, so that a short budget starves none.

    Args:
        timers: The clock of the client.
        subjects: What to poll. Each is due at once.
        poll: Polls one subject and puts what it shows; whether the subject is over.
        pause: Seconds until the next poll of a subject.
        budget: Requests per second for all of them.
    """

    def __init__(
        self,
        timers: Timers,
        subjects: Iterable[Subject],
        poll: Callable[[Subject], Awaitable[bool]],
        pause: Callable[[Subject], float],
        *,
        budget: float,
    ) -> None:
        self._timers = timers
        self._poll_subject = poll
        self._pause = pause
        now = timers.time()
        self._queue = [Queued(now, number, subject) for number, subject in enumerate(subjects)]
        self._open = len(self._queue)
        # Bounded: polls wait for a consumer that stalls.
        self._seen: asyncio.Queue[Change | _Failure | None] = asyncio.Queue(_POLLS_AT_ONCE)
        self._gap = 1.0 / budget
        self._next_slot = now
        self._nap: asyncio.Future[None] | None = None
        self._room = asyncio.Semaphore(_POLLS_AT_ONCE)
        self._polls: set[asyncio.Task[None]] = set()

    async def put(self, change: Change) -> None:
        """Hand a change to the consumer."""
        await self._seen.put(change)

    def hold(self, seconds: float) -> None:
        """Begin no poll for some seconds: the service asks all of us to wait, not one subject alone."""
        self._next_slot = max(self._next_slot, self._timers.time() + seconds)

    async def changes(self) -> AsyncGenerator[Change, None]:
        """Yield what the polls put, until all subjects are over. Raises an error that waiting does not mend."""
        if not self._open:
            return
        dispatching = _task(self._dispatch())
        try:
            while (item := await self._seen.get()) is not None:
                if isinstance(item, _Failure):
                    raise item.error
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
            queued = await self._next_due()
            # A dispatcher that was held up may catch up on a tenth of a second, and never gets ahead of the budget.
            self._next_slot = max(self._next_slot + self._gap, self._timers.time() - 0.1)
            poll = _task(self._poll_once(queued))
            self._polls.add(poll)
            poll.add_done_callback(self._polls.discard)

    async def _next_due(self) -> Queued[Subject]:
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

    async def _poll_once(self, queued: Queued[Subject]) -> None:
        try:
            if await self._poll_subject(queued.subject):
                self._open -= 1
                if not self._open:
                    await self._seen.put(None)
            else:
                self._requeue(queued)
        except Exception as error:
            # Waiting does not mend this one: it ends the following of all subjects.
            await self._seen.put(_Failure(error))
        finally:
            self._room.release()

    def _requeue(self, queued: Queued[Subject]) -> None:
        queued.due = self._timers.time() + self._pause(queued.subject)
        heapq.heappush(self._queue, queued)
        if self._queue[0] is queued and self._nap is not None:
            self._nap.cancel()


@attrs.frozen
class _Failure:
    error: Exception


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.ensure_future(work)
    # Abandoned with its loop, a follower leaves nothing undone that asyncio should complain of.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task
