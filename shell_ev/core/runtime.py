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
    from ..store.base import Store
    from .call import Sender


#: Message for ``task.cancel(...)`` that makes the cancellation a wish of its own, however soon it follows another:
#: the second one ends a clean-up at once. For signal handlers.
CANCEL_NOW = "shell_ev: cancel now"


class Timer(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None:
        """Cancel the callback."""
        ...


class Timers(Protocol):
    """Clock, sleep and callbacks of one event loop."""

    def time(self) -> float:
        """Seconds on a monotonic clock."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds; infinity waits for ever."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Schedule a callback for a timeout: the test kit's clock does not advance because of it."""
        ...


class LoopTimers:
    """The event loop's own clock and timers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Bound here instead of wrapped in methods: each call reads the clock several times.
        self.time: Callable[[], float] = loop.time
        self.call_at: Callable[[float, Callable[[], object]], Timer] = loop.call_at

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        await asyncio.sleep(seconds)


def running_loop() -> asyncio.AbstractEventLoop:
    """The running event loop. Raises ConfigurationError outside asyncio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "no asyncio event loop is running here (trio runs something else); await this on asyncio, or use ShellEV"
        ) from None


def _as_it_is(sender: Sender) -> Sender:
    return sender


def _store_as_it_is(store: Store) -> Store:
    return store


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Hooks:
    """What a test replaces to be deterministic."""

    utcnow: Callable[[], datetime] = lambda: datetime.now(UTC)
    jitter: Jitter = backoff.full_jitter
    retry: RetryPolicy = DEFAULT_POLICY
    clock: Callable[[], float] = time.monotonic
    timers: Callable[[asyncio.AbstractEventLoop], Timers] = LoopTimers
    sender: Callable[[Sender], Sender] = _as_it_is
    """Wraps the sender, so that a test sees or replaces requests."""
    store: Callable[[Store], Store] = _store_as_it_is
    """Wraps the store, so that the clock of a test waits for it."""


_ambient: list[Hooks] = [Hooks()]


def ambient_hooks() -> Hooks:
    """The hooks of a client that is made without any."""
    return _ambient[-1]


@contextmanager
def ambient(hooks: Hooks) -> Generator[None]:
    """Inside the block every new client gets these hooks, in every thread.

    A test uses it for an application that makes its own client.
    """
    _ambient.append(hooks)
    try:
        yield
    finally:
        _ambient.remove(hooks)
