"""Virtual time over real sockets, and clients on it. The only file here that imports more than ``shell_ev`` itself.

The loop's clock jumps to the next timer when no socket is ready: loopback delivers within the send, so that minutes of
polling pass in milliseconds and every run has the same times.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from shell_ev import AsyncShellEV

try:
    from shell_ev.core.runtime import Hooks, ambient
except ImportError:
    from shell_ev.core.runtime import Hooks, ambient

from .raw_server import RawServer

EPOCH = 1_700_000_000.0
CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"
OTHER_EVSE = "NL*TNM*E02003452*0"
SESSION = "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"
#: Real seconds that bytes on loopback are given to arrive before the clock jumps.
GRACE = 0.001
#: Turns of a loop without an event or a timer between them: more is a busy wait.
SPIN = 20_000


class _JumpingSelector(selectors.DefaultSelector):
    loop: SocketTimeLoop | None = None
    _idle = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if self.loop is None:
            return ready
        self.loop.turns += 1
        self._idle = 0 if ready else self._idle + 1
        if self._idle > SPIN:
            self._idle = 0
            raise RuntimeError("the loop spins: it turns without an event or a timer")
        if ready or (timeout is not None and timeout <= 0):
            return ready
        self._idle = 0
        if timeout is None:
            # No timer: only a thread or a signal can wake this loop.
            ready = super().select(10)
            if not ready:
                raise RuntimeError("deadlock: nothing is scheduled")
            return ready
        ready = super().select(self.loop.grace)
        if not ready:
            self.loop.skip(timeout)
        return ready


class SocketTimeLoop(asyncio.SelectorEventLoop):
    """A loop with sockets on virtual time."""

    def __init__(self, grace: float = GRACE) -> None:
        selector = _JumpingSelector()
        self.grace = grace
        #: How often the loop turned.
        self.turns = 0
        self._virtual_now = 1_000.0
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return self._virtual_now

    def skip(self, seconds: float) -> None:
        """Move the clock."""
        self._virtual_now += seconds

    def now(self) -> float:
        """Unix seconds on the virtual clock."""
        return EPOCH + self._virtual_now


def now() -> float:
    """Unix seconds on the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SocketTimeLoop)
    return loop.now()


class WallClock:
    """A wall clock that is ``ahead`` of the truth and can be set while a client uses it."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(now() + self.ahead, UTC)


@contextmanager
def on_virtual_clock(*, ahead: float | WallClock = 0.0, seed: int | None = None) -> Iterator[None]:
    """Clients made inside live on the running loop's clock, their wall clock ``ahead`` seconds of the truth.

    Waits are not jittered unless a ``seed`` is given.
    """
    loop = asyncio.get_running_loop()
    chance = random.Random(seed)
    hooks = Hooks(
        utcnow=ahead if isinstance(ahead, WallClock) else WallClock(ahead),
        clock=loop.time,
        jitter=(lambda value: value) if seed is None else (lambda value: chance.uniform(0, value)),
    )
    with ambient(hooks):
        yield


def client_of(
    server: RawServer, name: str = "id", *, ahead: float | WallClock = 0.0, seed: int | None = None, **options: Any
) -> AsyncShellEV:
    """A client of the server on virtual time; ``name`` is what the server's records call it."""
    with on_virtual_clock(ahead=ahead, seed=seed):
        return AsyncShellEV(name, "secret", **{"base_url": server.url, **options})


Scene = Callable[..., Coroutine[Any, Any, None]]


def virtual(test: Scene) -> Callable[..., None]:
    """Run a test's coroutine on virtual time, with a server on the same clock as its first argument after ``self``."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def scene() -> None:
            async with RawServer(now) as server:
                await test(*args, server=server, **kwargs)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left: {left}"

        with asyncio.Runner(loop_factory=SocketTimeLoop) as runner:
            runner.run(scene())

    # pytest must not take the server for a fixture.
    del run.__wrapped__  # type: ignore[attr-defined]
    return _signed(run, test)


def _signed(run: Callable[..., None], test: Scene) -> Callable[..., None]:
    import inspect

    signature = inspect.signature(test)
    kept = [parameter for name, parameter in signature.parameters.items() if name != "server"]
    run.__signature__ = signature.replace(parameters=kept, return_annotation=None)  # type: ignore[attr-defined]
    return run


@contextmanager
def in_thread(**fields: Any) -> Iterator[RawServer]:
    """A server on real time in a thread of its own, for scripts and the blocking twin."""
    loop, server = asyncio.new_event_loop(), RawServer()
    server.start_delay = server.stop_delay = 0.1
    for name, value in fields.items():
        setattr(server, name, value)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def script_environment(server: RawServer) -> dict[str, str]:
    """The environment of a script that uses the server."""
    client = {"SHELL_EV_CLIENT_ID": "id", "SHELL_EV_CLIENT_SECRET": "secret", "SHELL_EV_BASE_URL": server.url}
    return {name: value for name, value in os.environ.items() if not name.startswith("SHELL_EV_")} | client


def run_script(text: str, server: RawServer, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own, warnings as errors; a hang fails the test."""
    command = [sys.executable, *(options or ("-W", "error")), "-c", text]
    return subprocess.run(
        command, env=script_environment(server), capture_output=True, text=True, timeout=60, check=False
    )
