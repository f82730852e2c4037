"""What the library takes from the world: clocks, waits, chance, the way out. Real, unless a test brings its own.

Knows neither calls nor charges.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import attrs
import backoff

from .exchange import Sender
from .retry import Jitter
from .timing import LoopTimers, Timers


def _as_it_is(sender: Sender) -> Sender:
    return sender


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Hooks:
    """What a test replaces to be deterministic; the rest of the world gets the real thing."""

    utcnow: Callable[[], datetime] = lambda: datetime.now(UTC)
    jitter: Jitter = backoff.full_jitter
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
