"""Clock, timers, jitter and sender: what a test replaces to be deterministic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import attrs
import backoff

from ..errors import ConfigurationError
from .retry import DEFAULT_POLICY, Jitter, RetryPolicy

if TYPE_CHECKING:
    from .call import Sender


#: Message for ``task.cancel(...)`` that makes the cancellation a wish of its own, however soon it follows another:
#: the second one ends a clean-up at once. For signal handlers.
CANCEL_NOW = "shell_ev: cancel now"


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


def _as_it_is(sender: Sender) -> Sender:
    return sender


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Hooks:
    """What a test replaces to be deterministic; the rest of the world gets the real thing."""

    utcnow: Callable[[], datetime] = lambda: datetime.now(UTC)
    jitter: Jitter = backoff.full_jitter
    retry: RetryPolicy = DEFAULT_POLICY
    clock: Callable[[], float] = time.monotonic
    timers: Callable[[asyncio.AbstractEventLoop], Timers] = LoopTimers
    sender: Callable[[Sender], Sender] = _as_it_is
    """Given the way out to the network, gives what to send through."""


_ambient: list[Hooks] = [Hooks()]


def ambient_hooks() -> Hooks:
    """What a client gets that was given none."""
    return _ambient[-1]


@contextmanager
def ambient(hooks: Hooks) -> Generator[None]:
    """Inside the block every new client gets these, whoever makes it and in whatever thread.

    This is how a test brings its clock to an application that makes its own client.
    """
    _ambient.append(hooks)
    try:
        yield
    finally:
        _ambient.remove(hooks)
