"""The clock of a test, as a test sees it. When it goes on by itself is ``pacing.py``'s."""

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
from .pacing import Pacer
from .sending import WatchedSender


class ControlledTime:
    """The clock of a test: of its sandbox, and of every client that is made while it is in use (``with``).

    Time stands still until somebody moves it: the test, by :meth:`advance`; and, while ``auto`` is on, the clients
    themselves: when all that they do is wait (for the next look at a charge, for the next try, for an answer that
    hangs), time jumps to the end of the shortest wait. So no wait of theirs takes real time, and each has its exact
    length on this clock. Its methods may be called from any thread.
    """

    def __init__(self, *, auto: bool = True) -> None:
        self._epoch = float(math.floor(time.time()))
        self._ambient = contextlib.ExitStack()
        self.pacer = Pacer(auto=auto)
        """What paces it; for the rest of the test kit."""
        self.hooks = Hooks(
            utcnow=self.utcnow,
            jitter=lambda value: value / 2,
            clock=lambda: self.elapsed,
            timers=self.pacer.timers,
            sender=self.watched,
        )
        """What the clients of this test are given."""

    @property
    def elapsed(self) -> float:
        """Seconds since the test began."""
        return self.pacer.elapsed

    def now(self) -> float:
        """Unix seconds. A test begins at the true time, on a whole second."""
        return self._epoch + self.elapsed

    def utcnow(self) -> datetime:
        """The same as an aware ``datetime``."""
        return datetime.fromtimestamp(self.now(), UTC)

    @property
    def auto(self) -> bool:
        """Whether time jumps when all that clients do is wait. Switched off, only :meth:`advance` moves it."""
        return self.pacer.auto

    @auto.setter
    def auto(self, value: bool) -> None:
        self.pacer.auto = value

    def advance(self, by: float | timedelta) -> None:
        """Let that many seconds pass, at once. Waits that end thereby end, and find all of that time gone.

        Raises ValueError for a time that is negative or not finite.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if not 0 <= seconds < math.inf:
            raise ValueError(f"time goes on by a number of seconds that is not negative, not by {by!r}")
        self.pacer.advance(seconds)

    async def settled(self) -> None:
        """Wait until the clients have done all that they can before time goes on, in next to no real time.

        For tests that move time by hand: whoever waits after this waits for :meth:`advance`. What your own code
        waits for, a database say, is not known here.
        """
        await self.pacer.settled()

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock, as clients do: for an application that can be given its ``sleep``."""
        await self.pacer.timers(asyncio.get_running_loop()).sleep(seconds)

    def watched(self, sender: Sender) -> WatchedSender:
        """A way out to the network whose requests this clock knows of."""
        return WatchedSender(self.pacer, sender)

    def __enter__(self) -> Self:
        self._ambient.enter_context(ambient(self.hooks))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ambient.close()
        self.pacer.end()
