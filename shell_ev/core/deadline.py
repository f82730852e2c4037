"""One timer for the deadlines of all calls on a loop.

A timer per call costs 5 to 11 % of a call (measured, see benchmarks). Calls nearly always end long before their
deadline, so one timer for the earliest is armed and the rest are looked at when it fires.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Deadline:
    """A limit on the time a block takes: when it passes, the block is cancelled and leaves with ``TimeoutError``.

    Works as ``asyncio.timeout`` does, also beside other cancellations.
    """

    __slots__ = ("_cancelling", "_sweeper", "_task", "expired", "when")

    def __init__(self, sweeper: DeadlineSweeper, when: float | None) -> None:
        self._sweeper = sweeper
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self.when = when
        self.expired = False

    def __enter__(self) -> Deadline:
        if self.when is not None:
            task = asyncio.current_task()
            if task is None:
                raise RuntimeError("a call needs a running task")
            self._task = task
            self._cancelling = task.cancelling()
            self._sweeper.add(self, self.when)
        return self

    def expire(self) -> None:
        """Cancel the block; called by the sweeper."""
        self.expired = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self._sweeper.discard(self)
        if self.expired and task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc


class DeadlineSweeper:
    """Watches every open :class:`Deadline` of one loop with one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: dict[Deadline, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, when: float | None) -> Deadline:
        """A deadline at loop time ``when``; None for none."""
        return Deadline(self, when)

    def add(self, deadline: Deadline, when: float) -> None:
        """Start watching."""
        self._open[deadline] = when
        timer = self._timer
        if timer is None:
            self._timer = self._loop.call_at(when, self._sweep)
        elif when < timer.when():
            timer.cancel()
            self._timer = self._loop.call_at(when, self._sweep)

    def discard(self, deadline: Deadline) -> None:
        """Stop watching. The timer stays for the next call; on its own it finds nothing and goes away."""
        self._open.pop(deadline, None)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        overdue = [deadline for deadline, when in self._open.items() if when <= now]
        for deadline in overdue:
            del self._open[deadline]
            deadline.expire()
        if self._open:
            self._timer = self._loop.call_at(min(self._open.values()), self._sweep)

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
