"""The clock of a test, as the test uses it. ``pacing.py`` decides when it advances by itself."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from ..core.call import Sender
from ..core.runtime import Hooks, ambient
from ..errors import shown
from .pacing import Pacer
from .sending import WatchedSender
from .storing import PacedStore


class ControlledTime:
    """The clock of a test: of its sandbox, and of every client that is made while it is in use (``with``).

    Time stands still until the test calls :meth:`advance`. While ``auto`` is on, it also jumps: when all clients only
    wait (for the next poll of a charge, the next attempt, an answer that hangs), to the end of the shortest wait. So no
    wait takes real time, and each has its exact length on this clock. The methods may be called from any thread.

    Args:
        auto: Whether time jumps while all clients wait.
    """

    def __init__(self, *, auto: bool = True) -> None:
        self._epoch = float(math.floor(time.time()))
        self._ambient = contextlib.ExitStack()
        self.pacer: Pacer = Pacer(auto=auto)
        """Decides when time advances; for the rest of the test kit."""
        self.hooks: Hooks = Hooks(
            utcnow=self.utcnow,
            jitter=lambda value: value / 2,
            clock=lambda: self.elapsed,
            timers=self.pacer.timers,
            sender=self.watched,
            store=lambda store: PacedStore.over(self, store),
        )
        """The hooks of the clients of this test."""

    @property
    def elapsed(self) -> float:
        """Seconds of test time since the test began."""
        return self.pacer.elapsed

    def now(self) -> float:
        """Unix seconds on this clock. A test begins at the current time, on a whole second."""
        return self._epoch + self.elapsed

    def utcnow(self) -> datetime:
        """The time on this clock as an aware ``datetime``."""
        return datetime.fromtimestamp(self.now(), UTC)

    @property
    def auto(self) -> bool:
        """Whether time jumps when all clients only wait. If False, only :meth:`advance` moves it."""
        return self.pacer.auto

    @auto.setter
    def auto(self, value: bool) -> None:
        self.pacer.auto = value

    def advance(self, by: float | timedelta) -> None:
        """Move time forward at once. Waits that end by then end, and see all of that time passed.

        Args:
            by: Seconds, or a ``timedelta``.

        Raises:
            ValueError: The time is negative or not finite.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if not 0 <= seconds < math.inf:
            raise ValueError(f"advance takes a number of seconds that is not negative, not {shown(by)}")
        self.pacer.advance(seconds)

    async def settled(self) -> None:
        """Wait until every client only waits for time, in a few milliseconds of real time.

        For tests that move time with :meth:`advance`. What your own code waits for, such as a database, is not known
        here.
        """
        await self.pacer.settled()

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock: for an application with a ``sleep`` that can be replaced.

        Args:
            seconds: Seconds on this clock.
        """
        await self.pacer.timers(asyncio.get_running_loop()).sleep(seconds)

    def watched(self, sender: Sender) -> WatchedSender:
        """A sender whose requests hold this clock still."""
        return WatchedSender(self.pacer, sender)

    def __enter__(self) -> Self:
        self._ambient.enter_context(ambient(self.hooks))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ambient.close()
        self.pacer.end()
