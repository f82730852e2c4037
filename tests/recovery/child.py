"""What the processes of these tests do: one start, or one recovery, in a real process that can be killed.

They are forks of a server process that has the library imported, so that a test costs no interpreter start.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

import attrs

from shell_ev import AsyncCharge, AsyncShellEV, ShellEV, ShellEVError
from shell_ev.charges.poller import Polling
from shell_ev.charges.recover import Recoverer
from shell_ev.charges.recover import Recovery as Pass
from shell_ev.core.runtime import Hooks, ambient

CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"
Way = Literal["block", "start_charge"]

#: Seconds for a lost start to be looked for, in place of three minutes.
LOOK_FOR = 1.0
_contexts = multiprocessing.get_context("forkserver")
_contexts.set_forkserver_preload(["recovery.child", "shell_ev.store.sqlite", "aiohttp", "cryptography.fernet"])


@attrs.frozen(kw_only=True)
class Job:
    """What a process does."""

    url: str
    store: str | None
    key: str | None = "order-1"
    card: str = CARD
    evse: str = EVSE
    way: Way = "start_charge"
    blocking: bool = False
    recover: bool = False
    """Recover in place of a start."""
    start_timeout: float = LOOK_FOR
    ema_id: str | None = None
    hold: bool = False
    """Stay in the block until the pipe says otherwise."""
    die_before: str | None = None
    """Method before which the process kills itself, as ``module:Class.method``."""
    die_after: str | None = None
    """Method after which the process kills itself."""
    pause_after: str | None = None
    """Method after which the process stops itself with SIGSTOP."""
    lease: float | None = None
    """Seconds of a lease in a store that has leases."""
    clock_ahead: float = 0.0
    """By how many seconds the wall clock of the process is ahead of the truth."""
    client_id: str = "id"
    secret: str = "secret"


@attrs.frozen(kw_only=True)
class Result:
    """What a start or a recovery came to."""

    error: str | None = None
    text: str = ""
    error_key: str | None = None
    session_id: str | None = None
    is_new: bool | None = None
    key: str | None = None
    journalled: bool | None = None
    state: str | None = None
    stopped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def hasten() -> None:
    """Poll every 50 ms and look for a lost start for a second. Only in a process of its own."""
    Polling.interval = lambda *_, **__: 0.05  # type: ignore[method-assign]
    defaults: dict[str, Any] = Recoverer.__init__.__kwdefaults__  # type: ignore[assignment]
    defaults.update(start_timeout=LOOK_FOR, stop_timeout=5.0)


@contextmanager
def hastened() -> Iterator[None]:
    """The same for a while, in the process of the tests."""
    interval = Polling.interval
    defaults: dict[str, Any] = Recoverer.__init__.__kwdefaults__  # type: ignore[assignment]
    before = dict(defaults)
    hasten()
    try:
        yield
    finally:
        Polling.interval = interval  # type: ignore[method-assign]
        defaults.update(before)


def shorten_leases(seconds: float) -> None:
    """Let leases end soon, margins in proportion."""
    driver, ledger = importlib.import_module("shell_ev.store.driver"), importlib.import_module("shell_ev.core.ledger")
    driver.LEASE, driver._BEAT, driver._MARGIN = seconds, seconds / 3, seconds / 12
    ledger.LEAST_LEFT = importlib.import_module("shell_ev.core.ticket").LEAST_LEFT = seconds / 4


def _kill_here() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pause_here() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _arm(where: str, *, after: bool, act: Callable[[], None] = _kill_here) -> None:
    module, _, path = where.partition(":")
    owner_name, _, name = path.partition(".")
    owner = getattr(importlib.import_module(module), owner_name)
    method = getattr(owner, name)

    @functools.wraps(method)
    async def armed(*args: Any, **options: Any) -> Any:
        if not after:
            act()
        result = await method(*args, **options)
        if after:
            act()
        return result

    setattr(owner, name, armed)


def _of_charge(charge: Any) -> Result:
    state = None if charge.state is None else charge.state.value
    return Result(
        session_id=charge.session_id,
        is_new=charge.is_new,
        key=charge.key,
        journalled=charge.journalled,
        state=state,
    )


def of_error(error: ShellEVError) -> Result:
    """An error as a result."""
    return Result(
        error=type(error).__name__,
        text=str(error),
        error_key=getattr(error, "key", None),
        session_id=getattr(error, "session_id", None),
    )


def of_recovery(recovery: Pass) -> Result:
    """A recovery as a result: the keys."""
    return Result(
        **{
            name: tuple(entry.key for entry in getattr(recovery, name))
            for name in ("stopped", "kept", "unknown", "failed")
        }
    )


def options_of(job: Job) -> dict[str, Any]:
    """Options of a client."""
    return {"base_url": job.url, "timeout": 5.0, **({} if job.store is None else {"store": job.store})}


def _start_options(job: Job) -> dict[str, Any]:
    return {
        "key": job.key,
        "start_timeout": job.start_timeout,
        "stop_timeout": 5.0,
        **({} if job.ema_id is None else {"ema_id": job.ema_id}),
    }


async def run_async(job: Job, ev: AsyncShellEV, pipe: Connection | None = None) -> Result:
    """Do a job on a client."""
    try:
        if job.recover:
            return of_recovery(await ev.recover())
        if job.way == "start_charge":
            charge: AsyncCharge = await ev.start_charge(job.card, job.evse, **_start_options(job))
            return _of_charge(charge)
        async with ev.charge(job.card, job.evse, **_start_options(job)) as charge:
            result = _of_charge(charge)
            if job.hold and pipe is not None:
                pipe.send(result)
                await asyncio.to_thread(pipe.recv)
        return attrs.evolve(result, state=None if charge.state is None else charge.state.value)
    except ShellEVError as error:
        return of_error(error)


def run_blocking(job: Job, ev: ShellEV, pipe: Connection | None = None) -> Result:
    """Do a job on a blocking client."""
    try:
        if job.recover:
            return of_recovery(ev.recover())
        if job.way == "start_charge":
            return _of_charge(ev.start_charge(job.card, job.evse, **_start_options(job)))
        with ev.charge(job.card, job.evse, **_start_options(job)) as charge:
            result = _of_charge(charge)
            if job.hold and pipe is not None:
                pipe.send(result)
                pipe.recv()
        return attrs.evolve(result, state=None if charge.state is None else charge.state.value)
    except ShellEVError as error:
        return of_error(error)


def _work(job: Job, pipe: Connection) -> None:
    clock = Hooks(utcnow=lambda: datetime.now(UTC) + timedelta(seconds=job.clock_ahead))
    with ambient(clock):
        _do_work(job, pipe)


def _do_work(job: Job, pipe: Connection) -> None:
    hasten()
    if job.lease is not None:
        shorten_leases(job.lease)
    if job.die_before is not None:
        _arm(job.die_before, after=False)
    if job.die_after is not None:
        _arm(job.die_after, after=True)
    if job.pause_after is not None:
        _arm(job.pause_after, after=True, act=_pause_here)

    async def main() -> Result:
        async with AsyncShellEV(job.client_id, job.secret, **options_of(job)) as ev:
            return await run_async(job, ev, pipe)

    if job.blocking:
        with ShellEV(job.client_id, job.secret, **options_of(job)) as ev:
            result = run_blocking(job, ev, pipe)
        pipe.send(result)
    else:
        pipe.send(asyncio.run(main()))


class Child:
    """A process with a job. Leaving kills it."""

    def __init__(self, job: Job) -> None:
        self._pipe, theirs = _contexts.Pipe()
        self.process: ForkServerProcess = _contexts.Process(target=_work, args=(job, theirs))
        self.process.start()
        theirs.close()

    def result(self, within: float = 30.0) -> Result:
        """What the job came to; fails if the process died, or says nothing in time."""
        assert self._pipe.poll(within), f"no result within {within:g} s"
        try:
            result: Result = self._pipe.recv()
        except EOFError:
            self.process.join(5)
            raise AssertionError(f"the process ended with {self.process.exitcode}") from None
        return result

    def go(self) -> None:
        """Let a block end."""
        self._pipe.send("go")

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill the process with SIGKILL, and see it dead."""
        self.process.kill()
        self.wait_killed()

    def wait_paused(self) -> None:
        """Wait until the process has stopped itself."""
        status = Path(f"/proc/{self.process.pid}/stat")
        ends_at = time.monotonic() + 10
        while status.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < ends_at, "it did not stop itself within 10 s"
            time.sleep(0.01)

    def wait_killed(self, within: float = 30.0) -> None:
        """Wait until the process was killed, by itself or by a test."""
        self.process.join(within)
        assert self.process.exitcode == -signal.SIGKILL, f"the process ended with {self.process.exitcode}"

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join(10)
        self._pipe.close()
        self.process.close()


def in_process(job: Job) -> Result:
    """Do a job in a process of its own and return what it came to."""
    with Child(job) as child:
        return child.result()
