"""The one thread in which a store runs its blocking driver: awaited from any event loop, joined on close."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..errors import ConfigurationError

logger: logging.Logger = logging.getLogger("shell_ev")

R = TypeVar("R")

#: How long closing waits for the thread, in seconds.
_CLOSE_GRACE: Final = 15.0

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


def fork_count() -> int:
    """How many forks lie between this process and the one that imported this module."""
    return _forks


class _Job:
    """One piece of work, and the future in some loop that waits for it."""

    __slots__ = ("future", "loop", "work")

    def __init__(self, work: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.loop = future.get_loop()
        self.future: asyncio.Future[Any] | None = future

    def run(self) -> None:
        future, self.future = self.future, None
        if future is None or future.cancelled():
            return  # before it began: it has no effect
        result, error = None, None
        try:
            result = self.work()
        except BaseException as raised:
            error = raised
        # The loop may be closed by now: then nothing waits.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(_settle, future, result, error)
        # The traceback of the error holds this frame: it must not hold the error.
        del error, future


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class DriverThread:
    """Runs every call of a blocking driver, one after another, in the order they came.

    The thread starts with the first call. It holds no reference to the store, which can be collected.

    Args:
        name: Name of the thread.
        close: Closes the driver, in the thread, as its last call.
        idle: Runs before a call and in between, when it is due; returns the seconds until it is due again.
    """

    def __init__(self, name: str, *, close: Callable[[], object], idle: Callable[[], float] | None = None) -> None:
        self._name = name
        self._close = close
        self._idle = idle
        self._forks = fork_count()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._ended = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def is_forked(self) -> bool:
        """Whether this process is a child of the one that made the store."""
        return self._forks != fork_count()

    @property
    def is_open(self) -> bool:
        """Whether the thread may be used: the store is not closed, and was made in this process."""
        return not self._closed and not self.is_forked

    async def run(self, work: Callable[[], R]) -> R:
        """Run something in the thread and await its outcome.

        A caller that is cancelled does not undo it: what was begun is finished.

        Raises:
            ConfigurationError: The store is closed, or was made before a fork.
        """
        if self.is_forked:
            raise ConfigurationError(
                "this store was opened before a fork and stays with the parent process; open one in the child "
                "(in a post-fork or worker-start hook)"
            )
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closed:
                raise ConfigurationError("this store is closed; open another one")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            self._jobs.put(_Job(work, future))
        try:
            return await future
        finally:
            del future  # it holds the error, whose traceback holds this frame

    def _serve(self) -> None:
        due = None if self._idle is None else time.monotonic()
        while True:
            try:
                job = self._jobs.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
            except queue.Empty:
                due = self._run_idle()
                continue
            if job is None:
                break
            # Between a pause of the process and its next write: a lease is renewed first.
            if due is not None and time.monotonic() >= due:
                due = self._run_idle()
            job.run()
            del job
        try:
            self._close()
        except Exception as error:
            logger.warning("a store did not close cleanly: %s", error)
        with self._lock:
            self._ended = True
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, None, None)

    def _run_idle(self) -> float | None:
        return None if self._idle is None else time.monotonic() + self._idle()

    def end(self) -> None:
        """From any thread: close the driver and end the thread, after the calls that are under way.

        Without effect the second time, and in a forked child, where there is no thread.
        """
        if self.is_forked:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._thread is not None:
                self._jobs.put(None)

    def join(self) -> None:
        """Wait until the thread has ended; at once where there is none."""
        thread = self._thread
        if thread is not None and not self.is_forked and thread is not threading.current_thread():
            thread.join(_CLOSE_GRACE)

    def close(self) -> None:
        """End the thread and wait for it. Needs no loop."""
        self.end()
        self.join()

    async def aclose(self) -> None:
        """The same without blocking the loop."""
        self.end()
        if self._thread is None or self.is_forked:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._ended:
                future.set_result(None)
            else:
                self._waiting.append((loop, future))
        await future
        self.join()
