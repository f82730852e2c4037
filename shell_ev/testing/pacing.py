"""Decides when test time advances: which tasks wait on which loop, which requests run, and when to jump."""

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

#: Turns of a loop without an event before its tasks count as waiting: a task that was woken has run by then.
_QUIET_TURNS = 20
#: Real seconds without a turn after which a loop counts as blocked by other code.
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
    """One event loop, and whether its tasks only wait."""

    loop: asyncio.AbstractEventLoop
    turns_left: int = 0
    turned_at: float = 0.0
    """Real time of its last turn while it is watched."""


@attrs.define(eq=False)
class PacedTimer:
    """A callback at a point of test time."""

    at: float
    loop: _Loop
    callback: Callable[[], object]
    drop: Callable[[PacedTimer], None]
    driving: bool = False
    """Whether time may jump to this point; not for timeouts."""
    held: int | None = None
    """The request that is answered at this moment."""
    live: bool = True

    def cancel(self) -> None:
        """Cancel the callback."""
        self.drop(self)


class PacedTimers:
    """Clock and timers of a pacer for one event loop."""

    def __init__(self, pacer: Pacer, loop: asyncio.AbstractEventLoop) -> None:
        self._pacer = pacer
        self._loop = loop

    def time(self) -> float:
        """Seconds of test time since the beginning."""
        return self._pacer.elapsed

    async def sleep(self, seconds: float, held: int | None = None) -> None:
        """Wait; the request ``held`` is not answered before. Raises ConfigurationError after the end of the test."""
        self._pacer.check()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = self._loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self._pacer.add(self._loop, self.time() + seconds, wake, driving=seconds < math.inf, held=held)
        try:
            await woken
        finally:
            timer.cancel()
        self._pacer.check()

    def call_at(self, when: float, callback: Callable[[], object]) -> PacedTimer:
        """Schedule a callback for a timeout; time does not jump to it."""
        return self._pacer.add(self._loop, when, callback)


class Pacer:
    """Time that stands still until it is moved, or jumps when all clients only wait.

    Running requests hold it still, except those that the sandbox holds. Any thread may call it.
    """

    def __init__(self, *, auto: bool) -> None:
        # Re-entrant: the collector may cancel a timer in the middle of anything.
        self._lock = threading.RLock()
        self.elapsed: float = 0.0
        self._auto = auto
        self._over = False
        self._timers: list[tuple[float, int, PacedTimer]] = []
        self._numbers = itertools.count(1)
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._settling: set[_Loop] = set()
        self._driving = 0
        self._under_way: set[int] = set()
        self._held: set[int] = set()

    @property
    def auto(self) -> bool:
        """Whether time jumps when all clients only wait."""
        return self._auto

    @auto.setter
    def auto(self, value: bool) -> None:
        with self._lock:
            self._auto = value
            for loop in self._loops.values():
                self._watch(loop)

    def timers(self, loop: asyncio.AbstractEventLoop) -> PacedTimers:
        """Clock and timers for a loop. Raises ConfigurationError after the end of the test."""
        self.check()
        return PacedTimers(self, loop)

    def advance(self, seconds: float) -> None:
        """Move time and run the callbacks that are due by then."""
        with self._lock:
            self.elapsed += seconds
            self._fire(self.elapsed)

    def end(self) -> None:
        """End the test: every wait ends with ConfigurationError."""
        with self._lock:
            self._over = True
            self._fire(math.inf)

    async def settled(self) -> None:
        """Wait until every client only waits for time and no request runs."""
        quiet = 0
        while quiet < 2 * _QUIET_TURNS:
            # A request takes real time; a task that was woken takes turns of the loop.
            busy = bool(self._under_way - self._held or self._settling_elsewhere())
            if busy and _clock_is_replaced():
                time.sleep(0.0005)  # noqa: ASYNC251 - a timer of this loop may never fire
            await asyncio.sleep(0.0005 if busy and not _clock_is_replaced() else 0)
            quiet = 0 if busy else quiet + 1

    def check(self) -> None:
        """Raise ConfigurationError after the end."""
        if self._over:
            raise ConfigurationError(_OVER)

    def request_started(self) -> int:
        """A request begins: time stands still until it is finished. Returns its number."""
        number = next(self._numbers)
        with self._lock:
            self._under_way.add(number)
        return number

    def request_finished(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        """A request got its answer or failed."""
        with self._lock:
            self._under_way.discard(number)
            self._held.discard(number)
            self._watch(self._known(loop))

    async def request_held(self, number: int | None, seconds: float) -> None:
        """In the sandbox: wait before a request is answered. Time may jump meanwhile."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if number in self._under_way:
                self._held.add(number)
        await self.timers(loop).sleep(seconds, held=number)

    def add(
        self,
        loop: asyncio.AbstractEventLoop,
        at: float,
        callback: Callable[[], object],
        *,
        driving: bool = False,
        held: int | None = None,
    ) -> PacedTimer:
        """Schedule a callback on a loop at a point of test time."""
        with self._lock:
            known = self._known(loop)
            timer = PacedTimer(at, known, callback, self._drop, driving, held)
            heapq.heappush(self._timers, (at, next(self._numbers), timer))
            self._driving += driving
            self._watch(known)
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

    def _watch(self, loop: _Loop) -> None:
        """An event on a loop: its tasks run before time jumps."""
        if not (self._driving or self._held):
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
            self._jump_if_idle(loop)

    def _jump_if_idle(self, loop: _Loop) -> None:
        """Jump to the end of the shortest wait, if all clients only wait."""
        with self._lock:
            if not self._auto or not (self._driving or self._held) or self._under_way - self._held:
                return
            if any(map(_is_turning, self._settling)):
                # Usually that loop calls this when it is idle; but it may stop before.
                if _clock_is_replaced():  # a timer of that loop may never fire
                    time.sleep(0.001)
                    loop.loop.call_soon(self._jump_if_idle, loop)
                else:
                    loop.loop.call_later(0.001, self._jump_if_idle, loop)
                return
            while self._timers and not self._timers[0][2].live:
                heapq.heappop(self._timers)
            if self._timers and self._timers[0][0] < math.inf:
                self.elapsed = max(self.elapsed, self._timers[0][0])
                self._fire(self.elapsed)
                # The callback may wake no task: a timeout that was not needed, a closed loop.
                self._watch(loop)

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
            if timer.held is not None:
                self._held.discard(timer.held)
            with contextlib.suppress(RuntimeError):  # its loop is closed
                timer.loop.loop.call_soon_threadsafe(timer.callback)
            self._watch(timer.loop)


def _is_turning(loop: _Loop) -> bool:
    return loop.loop.is_running() and _real_time() - loop.turned_at < _HELD_UP
