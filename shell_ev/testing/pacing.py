"""When time goes on: who waits for it on which loop, which requests are under way, and the jump when all that is left
is waiting. Knows seconds since the beginning; knows neither calendar nor what is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
import sys
import threading
import time
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any

import attrs

from ..errors import ConfigurationError

#: Turns of a loop without news before its tasks count as waiting: whoever was woken has had the chance to go on.
_QUIET_TURNS = 20
#: A loop that has not turned for this long, in real seconds, is held up by something that is none of our business.
_HELD_UP = 0.25
_OVER = "the test that this client was made in is over, and its clock with it; make clients in the test or in a fixture"


def _clock_is_replaced() -> bool:
    """Whether freezegun or the like stands in for the clock, which asyncio's timers then run on."""
    return not isinstance(time.monotonic, BuiltinFunctionType)


def _real_time() -> float:
    """Seconds on the machine's own clock."""
    if not _clock_is_replaced():
        return time.monotonic()
    freezegun: Any = sys.modules.get("freezegun.api")
    if freezegun is not None:
        return float(freezegun.real_monotonic())
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@attrs.define(eq=False)
class _Loop:
    """One event loop, and how far it has come to rest."""

    loop: asyncio.AbstractEventLoop
    turns_left: int = 0
    turned_at: float = 0.0
    """Real time of its last turn while it comes to rest."""


@attrs.define(eq=False)
class PacedTimer:
    """Something that is going to be called when time gets there."""

    at: float
    loop: _Loop
    callback: Callable[[], object]
    drop: Callable[[PacedTimer], None]
    driving: bool = False
    """Whether somebody waits for this moment: time goes on for its sake."""
    parks: int | None = None
    """The request that is answered at this moment."""
    live: bool = True

    def cancel(self) -> None:
        """Do not call it."""
        self.drop(self)


class PacedTimers:
    """The time of a pacer as one event loop sees it."""

    def __init__(self, pacer: Pacer, loop: asyncio.AbstractEventLoop) -> None:
        self._pacer = pacer
        self._loop = loop

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._pacer.elapsed

    async def sleep(self, seconds: float, parks: int | None = None) -> None:
        """Wait that long; ``parks`` is a request that is not answered before. Raises ConfigurationError at the end."""
        self._pacer.check()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = self._loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self._pacer.add(self._loop, self.time() + seconds, wake, driving=seconds < math.inf, parks=parks)
        try:
            await woken
        finally:
            timer.cancel()
        self._pacer.check()

    def call_at(self, when: float, callback: Callable[[], object]) -> PacedTimer:
        """Call back at that time; time does not go on for its sake."""
        return self._pacer.add(self._loop, when, callback)


class Pacer:
    """Time that stands still, until it is moved, or jumps because all that is left is waiting.

    Requests under way hold it, except those that the other side has parked. Any thread may call it.
    """

    def __init__(self, *, auto: bool) -> None:
        # Re-entrant: the collector may cancel a timer in the middle of anything.
        self._lock = threading.RLock()
        self.elapsed = 0.0
        self._auto = auto
        self._over = False
        self._timers: list[tuple[float, int, PacedTimer]] = []
        self._numbers = itertools.count(1)
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._settling: set[_Loop] = set()
        self._driving = 0
        self._under_way: set[int] = set()
        self._parked: set[int] = set()

    @property
    def auto(self) -> bool:
        """Whether time jumps."""
        return self._auto

    @auto.setter
    def auto(self, value: bool) -> None:
        with self._lock:
            self._auto = value
            for loop in self._loops.values():
                self._stir(loop)

    def timers(self, loop: asyncio.AbstractEventLoop) -> PacedTimers:
        """This time for a loop. Raises ConfigurationError after the end: nothing is opened on it any more."""
        self.check()
        return PacedTimers(self, loop)

    def advance(self, seconds: float) -> None:
        """Move time, and call whatever is due by then."""
        with self._lock:
            self.elapsed += seconds
            self._fire(self.elapsed)

    def end(self) -> None:
        """Time will not go on: whoever waits for it is woken, and told so."""
        with self._lock:
            self._over = True
            self._fire(math.inf)

    async def settled(self) -> None:
        """Until nothing is left to be done before time goes on: no request is under way, nobody is on the move."""
        quiet = 0
        while quiet < 2 * _QUIET_TURNS:
            # A request takes real time; whoever was woken takes turns of the loop.
            busy = bool(self._under_way - self._parked or self._settling_elsewhere())
            if busy and _clock_is_replaced():
                time.sleep(0.0005)  # noqa: ASYNC251 - a timer of this loop may never fire
            await asyncio.sleep(0.0005 if busy and not _clock_is_replaced() else 0)
            quiet = 0 if busy else quiet + 1

    def check(self) -> None:
        """Raise ConfigurationError after the end."""
        if self._over:
            raise ConfigurationError(_OVER)

    def request_started(self) -> int:
        """A request is on its way: time stands still until it lands."""
        number = next(self._numbers)
        with self._lock:
            self._under_way.add(number)
        return number

    def land(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        """Its answer, or the lack of one, has come."""
        with self._lock:
            self._under_way.discard(number)
            self._parked.discard(number)
            self._stir(self._known(loop))

    async def park(self, number: int | None, seconds: float) -> None:
        """On the other side: wait before this request is answered; time may go on meanwhile."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if number in self._under_way:
                self._parked.add(number)
        await self.timers(loop).sleep(seconds, parks=number)

    def add(
        self,
        loop: asyncio.AbstractEventLoop,
        at: float,
        callback: Callable[[], object],
        *,
        driving: bool = False,
        parks: int | None = None,
    ) -> PacedTimer:
        """Have something called on a loop when time gets there."""
        with self._lock:
            known = self._known(loop)
            timer = PacedTimer(at, known, callback, self._drop, driving, parks)
            heapq.heappush(self._timers, (at, next(self._numbers), timer))
            self._driving += driving
            self._stir(known)
            self._fire(self.elapsed)
        return timer

    def _drop(self, timer: PacedTimer) -> None:
        with self._lock:
            if timer.live:
                timer.live = False
                self._driving -= timer.driving

    def _known(self, loop: asyncio.AbstractEventLoop) -> _Loop:
        known = self._loops.get(loop)
        if known is None:
            known = self._loops[loop] = _Loop(loop)
        return known

    def _stir(self, loop: _Loop) -> None:
        """Something has happened on a loop: let it come to rest before time goes on."""
        if not (self._driving or self._parked):
            return
        loop.turns_left = _QUIET_TURNS
        loop.turned_at = _real_time()
        if loop not in self._settling:
            self._settling.add(loop)
            try:
                loop.loop.call_soon_threadsafe(self._turn, loop)
            except RuntimeError:  # closed
                self._settling.discard(loop)

    def _turn(self, loop: _Loop) -> None:
        with self._lock:
            loop.turned_at = _real_time()
            if loop.turns_left:
                loop.turns_left -= 1
                loop.loop.call_soon(self._turn, loop)
                return
            self._settling.discard(loop)
            self._go_on(loop)

    def _go_on(self, loop: _Loop) -> None:
        """Jump to the next moment anybody waits for, if waiting is all that anybody does."""
        with self._lock:
            if not self._auto or not (self._driving or self._parked) or self._under_way - self._parked:
                return
            if any(map(_is_turning, self._settling)):
                # Usually it is that loop which goes on from here; but it may stop in the middle of it.
                if _clock_is_replaced():  # a timer of that loop may never fire
                    time.sleep(0.001)
                    loop.loop.call_soon(self._go_on, loop)
                else:
                    loop.loop.call_later(0.001, self._go_on, loop)
                return
            while self._timers and not self._timers[0][2].live:
                heapq.heappop(self._timers)
            if self._timers and self._timers[0][0] < math.inf:
                self.elapsed = max(self.elapsed, self._timers[0][0])
                self._fire(self.elapsed)
                # Nobody may have been woken: a limit that was not needed, a loop that is closed.
                self._stir(loop)

    def _settling_elsewhere(self) -> bool:
        here = asyncio.get_running_loop()
        with self._lock:
            return any(other.loop is not here and _is_turning(other) for other in self._settling)

    def _fire(self, until: float) -> None:
        while self._timers and self._timers[0][0] <= until:
            timer = heapq.heappop(self._timers)[2]
            if not timer.live:
                continue
            timer.live = False
            self._driving -= timer.driving
            if timer.parks is not None:
                self._parked.discard(timer.parks)
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits there any more
                timer.loop.loop.call_soon_threadsafe(timer.callback)
            self._stir(timer.loop)


def _is_turning(loop: _Loop) -> bool:
    return loop.loop.is_running() and _real_time() - loop.turned_at < _HELD_UP
