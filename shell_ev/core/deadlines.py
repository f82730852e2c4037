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

from ..errors import ConfigurationError
from .runtime import Timer, Timers


class Deadline:
    """A limit on the time a block takes: when it passes, the block is cancelled and leaves with ``TimeoutError``.

    ``when`` is a time on the sweeper's clock, infinity for none. Works as ``asyncio.timeout`` does, also beside other
    cancellations. Within the block a silence may have a shorter limit: ``idle_timeout``, in seconds, from each
    :meth:`heard` until the next, or until :meth:`stop_idle`; when it passes, :meth:`take_idle_expiry` tells.
    """

    __slots__ = ("_cancelling", "_silent", "_sweeper", "due", "expired", "idle_timeout", "in_grace", "task", "when")

    def __init__(self, sweeper: DeadlineSweeper, when: float) -> None:
        self._sweeper = sweeper
        self._cancelling = 0
        self._silent = False
        #: Whose block it limits, while it does.
        self.task: asyncio.Task[Any] | None = None
        self.when = when
        self.idle_timeout: float | None = None
        #: When it has to be looked at: at its end, or at that of a silence.
        self.due = when
        self.expired = False
        #: Whether it was found overdue once already; the sweeper's.
        self.in_grace = False

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        if task is None:
            raise ConfigurationError("a call needs a task of asyncio: await it in a coroutine that asyncio runs")
        self.task = task
        self._cancelling = task.cancelling()
        self._sweeper.add(self)
        return self

    def restart_idle(self) -> None:
        """A sign of life: from now on the other side may be silent for as long as there is idle_timeout."""
        if self.in_grace:
            self._clear_grace()
        if self.idle_timeout is None:
            return
        ends_at = self._sweeper.now() + self.idle_timeout
        self.due = ends_at if ends_at < self.when else self.when
        if self.due < self._sweeper.fires_at:
            self._sweeper.arm(self.due)

    def stop_idle(self) -> None:
        """Nobody is listened to now; the block itself still has its time."""
        if self.in_grace:
            self._clear_grace()
        self.due = self.when

    def _clear_grace(self) -> None:
        # The doubt was about the silence that ends here, unless the whole is overdue as well.
        self.in_grace = self.when <= self._sweeper.now()

    def take_idle_expiry(self) -> bool:
        """For whoever catches the cancellation in the block: whether a silence caused it, and nothing else.

        If so the cancellation is undone, and the block goes on under its own deadline.
        """
        if not self._silent or self.task is None:
            return False
        self._silent = False
        alone = self.task.uncancel() <= self._cancelling
        self.due = self.when
        self._sweeper.add(self)
        return alone

    def asked_to_end(self) -> bool:
        """For whoever catches a cancellation in the block: whether anybody asked the task for it."""
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
    """Watches every open :class:`Deadline` of one loop with one timer."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        #: What is watched, in order.
        self.open: dict[Deadline, None] = {}
        self._timer: Timer | None = None
        #: When the timer goes off; a deadline that becomes due before has to :meth:`arm` it.
        self.fires_at = math.inf
        self.now = timers.time

    def add(self, deadline: Deadline) -> None:
        """Start watching."""
        self.open[deadline] = None
        if deadline.due < self.fires_at:
            self.arm(deadline.due)

    def arm(self, when: float) -> None:
        """Look at the deadlines then, and not later."""
        self._disarm()
        self._timer = self._timers.call_at(when, self._sweep)
        self.fires_at = when

    def _sweep(self) -> None:
        self._disarm()
        now = self.now()
        overdue = [deadline for deadline in self.open if deadline.due <= now]
        for deadline in overdue:
            if not deadline.in_grace:
                # What it waits for may have come in this very turn, or while the loop stood still: one turn to take it.
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
        """Drop the timer, unless a call is under way: that one still has to end."""
        if not self.open:
            self._disarm()
