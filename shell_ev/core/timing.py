"""Time on an event loop, as far as the library reads it and waits for it. Knows neither calls nor charges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..errors import ConfigurationError


class Timer(Protocol):
    """Something that is going to be called."""

    def cancel(self) -> None:
        """Do not call it."""
        ...


class Timers(Protocol):
    """Time on one event loop, as far as it is read and waited for."""

    def time(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long, infinity included."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call back at that time. For limits: unlike with ``sleep`` nobody waits for the moment to come."""
        ...


class LoopTimers:
    """The loop's own time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Bound here and not wrapped in methods: reading the clock is on the way of every call.
        self.time: Callable[[], float] = loop.time
        self.call_at: Callable[[float, Callable[[], object]], Timer] = loop.call_at

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that runs here. Raises ConfigurationError where there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "no asyncio event loop is running here (trio runs something else); await this on asyncio, or use ShellEV"
        ) from None
