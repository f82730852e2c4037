"""One timer for the deadlines of all calls on a loop, and for the silences within them.

A timer per call costs 5 to 11 % of a call, and so does one per piece of an answer (measured, see benchmarks). Calls
nearly always end long before their deadline, so one timer for the earliest is armed and the rest are looked at when it
fires. Knows tasks and time; nothing of what is waited for.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Any

from .timing import Timer, Timers


class Deadline:
    """A limit on the time a block takes: when it passes, the block is cancelled and leaves with ``TimeoutError``.

    Works as ``asyncio.timeout`` does, also beside other cancellations. Within the block :meth:`quiet_for` sets a
    shorter limit on one silence, again and again; when it passes, :meth:`fell_silent` tells.
    """

    __slots__ = ("_cancelling", "_silent", "_sweeper", "_task", "doubted", "expired", "when")

    def __init__(self, sweeper: DeadlineSweeper, when: float) -> None:
        self._sweeper = sweeper
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._silent = False
        self.when = when
        self.expired = False
        #: Whether it was found overdue once already; the sweeper's.
        self.doubted = False

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call needs a running task")
        self._task = task
        self._cancelling = task.cancelling()
        self._sweeper.add(self, self.when)
        return self

    def quiet_for(self, seconds: float | None) -> None:
        """From now on the block may be silent for so long; None for as long as it may take."""
        ends_at = math.inf if seconds is None else self._sweeper.now() + seconds
        if self.doubted:
            # The doubt was about the silence that ends here, unless the whole is overdue as well.
            self.doubted = self.when <= self._sweeper.now()
        self._sweeper.add(self, ends_at if ends_at < self.when else self.when)

    def fell_silent(self) -> bool:
        """For whoever catches the cancellation in the block: whether a silence caused it, and nothing else.

        If so the cancellation is undone, and the block goes on under its own deadline.
        """
        if not self._silent or self._task is None:
            return False
        self._silent = False
        alone = self._task.uncancel() <= self._cancelling
        self._sweeper.add(self, self.when)
        return alone

    def asked_to_end(self) -> bool:
        """For whoever catches a cancellation in the block: whether anybody asked the task for it."""
        return self._task is not None and self._task.cancelling() > self._cancelling

    def expire(self, now: float) -> None:
        """Cancel the block; called by the sweeper."""
        if now >= self.when:
            self.expired = True
        else:
            self._silent = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self._sweeper.discard(self)
        self.expired |= self._silent
        if self.expired and task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc


class DeadlineSweeper:
    """Watches every open :class:`Deadline` of one loop with one timer."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._open: dict[Deadline, float] = {}
        self._timer: Timer | None = None
        self._fires_at = math.inf
        self.now = timers.time

    def limit(self, when: float) -> Deadline:
        """A deadline at that time on the timers' clock; infinity for none."""
        return Deadline(self, when)

    def add(self, deadline: Deadline, when: float) -> None:
        """Start watching, or watch for another time."""
        self._open[deadline] = when
        if when < self._fires_at:
            self._arm(when)

    def discard(self, deadline: Deadline) -> None:
        """Stop watching. The timer stays for the next call; on its own it finds nothing and goes away."""
        self._open.pop(deadline, None)

    def _arm(self, when: float) -> None:
        self._disarm()
        self._timer = self._timers.call_at(when, self._sweep)
        self._fires_at = when

    def _sweep(self) -> None:
        self._disarm()
        now = self.now()
        overdue = [deadline for deadline, when in self._open.items() if when <= now]
        for deadline in overdue:
            if not deadline.doubted:
                # What it waits for may have come in this very turn, or while the loop stood still: one turn to take it.
                deadline.doubted = True
                self._open[deadline] = now
                continue
            del self._open[deadline]
            deadline.expire(now)
        earliest = min(self._open.values(), default=math.inf)
        if earliest < math.inf:
            self._arm(earliest)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fires_at = math.inf

    def close(self) -> None:
        """Drop the timer, unless a call is under way: that one still has to end."""
        if not self._open:
            self._disarm()
