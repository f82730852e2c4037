"""The event-loop thread behind the blocking client: hand a coroutine over, wait, give its outcome back.

Knows threads, signals, forks and the end of the process; knows nothing of HTTP or of charging.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar, cast

from ..errors import ConfigurationError
from .shared import fork_count

R = TypeVar("R")

#: How long a cancelled call may take to wind up before an interrupted caller is let go.
CANCEL_GRACE = 30.0
#: How long closing waits for the loop thread.
CLOSE_GRACE = 10.0

_allocate = threading.Lock


class _HandOver(Generic[R]):
    """One coroutine on its way through the loop thread."""

    __slots__ = ("_context", "_coroutine", "_finished", "error", "result", "task")

    def __init__(self, coroutine: Coroutine[Any, Any, R]) -> None:
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        # The cheapest thing a thread can wait on: an Event or a concurrent future costs half as much again.
        self._finished = _allocate()
        self._finished.acquire()
        self.task: asyncio.Task[R] | None = None
        self.result: R | None = None
        self.error: BaseException | None = None

    def begin(self) -> None:
        """In the loop thread: start the task."""
        task = self.task = asyncio.get_running_loop().create_task(self._coroutine, context=self._context)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[R]) -> None:
        if task.cancelled():
            self.error = asyncio.CancelledError()
        else:
            self.error = task.exception()
            if self.error is None:
                self.result = task.result()
        self._finished.release()

    def cancel(self) -> None:
        """In the loop thread: cancel the task."""
        if self.task is not None:
            self.task.cancel()

    def refuse(self) -> None:
        """The loop is gone before the task began."""
        self._coroutine.close()

    def wait(self, timeout: float = -1) -> bool:
        """In the caller's thread: until it has ended. A signal handler may raise out of this."""
        return self._finished.acquire(timeout=timeout)


class Portal:
    """One event loop in one daemon thread, started on the first call.

    The thread holds no reference to the portal: a portal that is forgotten ends its thread when it is collected, and
    one that lives to the end of the process is ended by an exit hook.
    """

    def __init__(self, on_close: Callable[[], Awaitable[None]]) -> None:
        self._on_close = on_close
        self._forks = fork_count()
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._finish: weakref.finalize[Any, Portal] | None = None
        self._closed = False

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's outcome, computed in the loop thread while this one waits.

        KeyboardInterrupt, or whatever a signal handler raises, cancels the coroutine, waits until it has wound up and
        then goes on its way. Raises ConfigurationError when the portal cannot be used from here.
        """
        try:
            loop = self._usable_loop()
        except BaseException:
            coroutine.close()
            raise
        handed = _HandOver(coroutine)
        try:
            loop.call_soon_threadsafe(handed.begin)
        except RuntimeError:
            handed.refuse()
            raise ConfigurationError("this client is closed; make a new one") from None
        try:
            handed.wait()
        except BaseException:
            _wind_up(loop, handed)
            raise
        error = handed.error
        if error is not None:
            if isinstance(error, asyncio.CancelledError):
                raise ConfigurationError("this client was closed during the call") from None
            try:
                raise error
            finally:
                # The traceback holds this frame and this frame would hold the error: a cycle per failed call.
                del error, handed
        return cast("R", handed.result)

    def iterate(self, iterator: AsyncIterator[R]) -> Iterator[R]:
        """An async iterator as a plain one; leaving it early closes the async one."""
        ended = object()

        async def step() -> Any:
            # A sentinel: StopIteration cannot cross a coroutine.
            return await anext(iterator, ended)

        try:
            while (item := self.run(step())) is not ended:
                yield item
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None and not self._closed and self._forks == fork_count():
                self.run(close())

    def _usable_loop(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise ConfigurationError("this client is closed; make a new one")
        if self._forks != fork_count():
            raise ConfigurationError(
                "this client was made before a fork and its thread stayed in the parent process; "
                "make a new client in the child (in a post-fork or worker-start hook)"
            )
        if self._thread is threading.current_thread():
            raise ConfigurationError("a blocking call inside the client's own event loop would wait for itself")
        return self._loop or self._start()

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is not None:
                return self._loop
            if self._closed:
                raise ConfigurationError("this client is closed; make a new one")
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_serve, args=(loop, self._on_close), name="shell_ev", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                loop.close()
                raise ConfigurationError("the interpreter is ending; no call can be made any more") from error
            self._thread, self._loop = thread, loop
            self._finish = weakref.finalize(self, _end_thread, loop, thread, self._forks)
            return loop

    def close(self) -> None:
        """End the thread and wait for it: calls under way are cancelled, connections closed. Idempotent."""
        with self._starting:
            self._closed = True
            finish, self._finish = self._finish, None
        if finish is not None:
            finish()


def _wind_up(loop: asyncio.AbstractEventLoop, handed: _HandOver[Any]) -> None:
    try:
        loop.call_soon_threadsafe(handed.cancel)
    except RuntimeError:
        return
    # A second interrupt breaks out of this wait: the user has the last word.
    handed.wait(CANCEL_GRACE)


def _serve(loop: asyncio.AbstractEventLoop, on_close: Callable[[], Awaitable[None]]) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_shut(on_close))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _shut(on_close: Callable[[], Awaitable[None]]) -> None:
    current = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not current]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_GRACE / 2)
    await on_close()
    await asyncio.get_running_loop().shutdown_asyncgens()
    # One turn for the transports to say goodbye.
    await asyncio.sleep(0)


def _end_thread(loop: asyncio.AbstractEventLoop, thread: threading.Thread, forks: int) -> None:
    if forks != fork_count():
        return  # the parent's loop; there is no such thread here
    try:
        loop.call_soon_threadsafe(loop.stop)
    except RuntimeError:
        return
    # The collector may run this in the loop thread itself, which cannot wait for its own end.
    if thread is not threading.current_thread():
        thread.join(CLOSE_GRACE)
