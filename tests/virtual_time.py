"""An event loop whose clock jumps to the next timer instead of waiting for it: minutes of waits in no time, exactly."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Polls for what is ready; where a real one would sleep, moves its loop's clock."""

    loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or self.loop is None:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: nothing is scheduled and nothing will ever happen")
        self.loop.skip(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time, for code whose only waits are timers and futures: no sockets, no threads."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        self._virtual_now = 1_000.0
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return self._virtual_now

    def skip(self, seconds: float) -> None:
        """Move the clock."""
        self._virtual_now += seconds


def virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let a coroutine test run on a loop of its own with virtual time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
