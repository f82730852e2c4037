"""Total and idle timeouts of all calls on one event loop, with one timer.

A timer per call costs 5 to 11 % of a call, and so does one per piece of an answer. Most calls end long before their
deadline, so only the earliest deadline has a timer; the others are checked when it fires.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ..errors import ConfigurationError
from .runtime import Timer, Timers


class Deadline:
    """A limit on the time a block takes: when it passes, the block is cancelled and raises ``TimeoutError``.

    It works as ``asyncio.timeout`` does, also together with other cancellations. Inside the block an idle timeout may
    apply as well: ``idle_timeout`` seconds from each :meth:`restart_idle`, until :meth:`stop_idle`. Where that has
    cancelled the block, :meth:`take_idle_expiry` returns True.

    Args:
        sweeper: The timer of the event loop.
        when: The end of the block on the sweeper's clock; infinity for no limit.
    """

    __slots__ = ("_cancelling", "_silent", "_sweeper", "due", "expired", "idle_timeout", "in_grace", "task", "when")

    def __init__(self, sweeper: DeadlineSweeper, when: float) -> None:
        self._sweeper = sweeper
        self._cancelling = 0
        self._silent = False
        #: The task inside the block; None outside.
        self.task: asyncio.Task[Any] | None = None
        self.when: float = when
        #: Seconds without data; infinity for no limit.
        self.idle_timeout: float = math.inf
        #: The next time to check: the end of the block or of the idle timeout.
        self.due: float = when
        self.expired: bool = False
        #: Whether the sweeper found it overdue once: it expires at the next turn of the loop.
        self.in_grace: bool = False

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        if task is None:
            raise ConfigurationError("a call needs a task of asyncio: await it in a coroutine that asyncio runs")
        self.task = task
        self._cancelling = task.cancelling()
        self._sweeper.add(self)
        return self

    def restart_idle(self) -> None:
        """Data arrived: the idle timeout begins anew."""
        if self.in_grace:
            self._clear_grace()
        sweeper = self._sweeper
        due = sweeper.now() + self.idle_timeout
        if due > self.when:
            due = self.when
        self.due = due
        if due < sweeper.fires_at:
            sweeper.arm(due)

    def stop_idle(self) -> None:
        """No data is expected now; the deadline of the block stays."""
        if self.in_grace:
            self._clear_grace()
        self.due = self.when

    def _clear_grace(self) -> None:
        # Kept where the total deadline has passed as well.
        self.in_grace = self.when <= self._sweeper.now()

    def take_idle_expiry(self) -> bool:
        """Whether the idle timeout alone caused the cancellation that was just caught in the block.

        If so, the cancellation is undone and the block continues under its own deadline.
        """
        if not self._silent or self.task is None:
            return False
        self._silent = False
        alone = self.task.uncancel() <= self._cancelling
        self.due = self.when
        self._sweeper.add(self)
        return alone

    def asked_to_end(self) -> bool:
        """Whether the cancellation that was just caught in the block was requested from outside."""
        return self.task is not None and self.task.cancelling() > self._cancelling

    def expire(self, now: float) -> None:
        """Cancel the block; called by the sweeper."""
        if now >= self.when:
            self.expired = True
        else:
            self._silent = True
        if self.task is not None:
            self.task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        if task is None:
            return
        self._sweeper.open.pop(self, None)  # the timer stays for the next call; finding nothing it goes away
        self.expired |= self._silent
        alone = self.expired and task.uncancel() <= self._cancelling
        del task  # the error about to be raised may be what it ends with, and holds this frame
        if alone and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc


class DeadlineSweeper:
    """Expires every open :class:`Deadline` of one loop with one timer."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        #: The open deadlines, in order.
        self.open: dict[Deadline, None] = {}
        self._timer: Timer | None = None
        #: When the timer fires; a deadline that is due earlier calls :meth:`arm`.
        self.fires_at: float = math.inf
        self.now: Callable[[], float] = timers.time

    def add(self, deadline: Deadline) -> None:
        """Open a deadline."""
        self.open[deadline] = None
        if deadline.due < self.fires_at:
            self.arm(deadline.due)

    def arm(self, when: float) -> None:
        """Check the deadlines at that time."""
        self._disarm()
        self._timer = self._timers.call_at(when, self._sweep)
        self.fires_at = when

    def _sweep(self) -> None:
        self._disarm()
        now = self.now()
        overdue = [deadline for deadline in self.open if deadline.due <= now]
        for deadline in overdue:
            if not deadline.in_grace:
                # The data may have arrived in this turn or while the loop was blocked: one more turn to read it.
                deadline.in_grace = True
                deadline.due = now
                continue
            del self.open[deadline]
            deadline.expire(now)
        earliest = min([deadline.due for deadline in self.open], default=math.inf)
        if earliest < math.inf:
            self.arm(earliest)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.fires_at = math.inf

    def close(self) -> None:
        """Cancel the timer, unless a call is running: its deadline stays."""
        if not self.open:
            self._disarm()
