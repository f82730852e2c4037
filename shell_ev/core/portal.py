"""The event-loop thread of a blocking client: runs a coroutine there while the calling thread waits."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import importlib
import importlib.util
import os
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, Generic, TypeVar, cast

from ..errors import ConfigurationError, shown
from .connections import fork_count
from .runtime import CANCEL_NOW

R = TypeVar("R")

#: Seconds that a cancelled call may take to clean up before its interrupted caller continues.
CANCEL_GRACE = 30.0
#: Seconds that closing waits for the loop thread.
CLOSE_GRACE = 10.0
#: Seconds of one slice of a wait. A signal does not always end a wait for a lock: never on Windows, elsewhere not if it
#: arrives just before the wait or in another thread.
_SLICE: Final = 0.2

_CLOSED = "this client is closed; make a new one"
_EXITING = "the interpreter is ending; no call can be made any more"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop of a blocking client, by the environment variable ``SHELL_EV_LOOP``.

    ``uvloop`` needs the extra ``speed``, ``asyncio`` is the standard library's; unset or ``auto`` takes uvloop where it
    is installed, and else the loop that the process has chosen for asyncio.

    Raises:
        ConfigurationError: Another value, or ``uvloop`` where it is not installed.
    """
    wanted = os.environ.get("SHELL_EV_LOOP", "").strip().lower() or "auto"
    if wanted not in ("auto", "asyncio", "uvloop"):
        raise ConfigurationError(f"SHELL_EV_LOOP must be auto, asyncio or uvloop, not {shown(wanted, 40)}")
    if wanted == "asyncio":
        return _asyncio_loop
    if "uvloop" in sys.modules or importlib.util.find_spec("uvloop") is not None:
        return _uvloop
    if wanted == "uvloop":
        raise ConfigurationError("SHELL_EV_LOOP asks for uvloop, which the extra shell_ev[speed] installs")
    return asyncio.new_event_loop


def _asyncio_loop() -> asyncio.AbstractEventLoop:
    # Not by new_event_loop(), which follows a policy that may be uvloop's.
    kind: Any = getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)  # the former on Windows alone
    loop: asyncio.AbstractEventLoop = kind()
    return loop


def _uvloop() -> asyncio.AbstractEventLoop:
    uvloop: Any = importlib.import_module("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class _Call(Generic[R]):
    """One coroutine that runs in the loop thread."""

    __slots__ = ("_finished", "begun", "context", "coroutine", "done", "error", "result", "task", "wanted")

    def __init__(self, coroutine: Coroutine[Any, Any, R]) -> None:
        self.coroutine = coroutine
        self.context = contextvars.copy_context()
        # The cheapest thing a thread can wait on: an Event or a concurrent future costs half as much again.
        self._finished = threading.Lock()
        self._finished.acquire()
        self.wanted = True
        self.done = False
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.result: R | None = None
        self.error: BaseException | None = None

    def finish(self, error: BaseException | None = None) -> None:
        """In the loop thread, once: end the caller's wait."""
        if not self.begun:
            self.coroutine.close()
        if error is not None:
            self.error = error
        self.done = True
        self._finished.release()

    def wait(self) -> None:
        """In the caller's thread: wait for the end. A signal handler may raise here."""
        while not self.done and not self._finished.acquire(timeout=_SLICE):
            pass

    def wait_for_cleanup(self, grace: float) -> None:
        """In the caller's thread, after an interrupted :meth:`wait`: wait ``grace`` seconds at most."""
        ends_at = time.monotonic() + grace
        while not self.done and (left := ends_at - time.monotonic()) > 0:
            self._finished.acquire(timeout=min(_SLICE, left))


def _interrupt_behind(error: BaseException) -> BaseException | None:
    """The interrupt behind an error of ``threading``, whose locks raise RuntimeError when one arrives inside them."""
    behind = error.__context__
    return None if behind is None or isinstance(behind, Exception) else behind


async def _nothing() -> None:
    """The closing of a thread that never ran."""


class _LoopThread:
    """The event loop, its thread and the calls in it. It holds no portal, which must stay collectable."""

    def __init__(
        self, on_close: Callable[[], Awaitable[None]], new_loop: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        self._on_close = on_close
        self._forks = fork_count()
        self._ending = False
        # Code that removes a call from here also finishes it, so that every caller's wait ends.
        self._calls: set[_Call[Any]] = set()
        self._loop = new_loop()
        # asyncio's debug mode logs slow steps. This loop is not shared, and its steps are the library's.
        self._loop.slow_callback_duration = float("inf")
        self._leave = self._loop.create_future()
        self._thread = threading.Thread(target=self._serve, name="shell_ev", daemon=True)

    def start(self) -> None:
        _serving.add(self)
        try:
            self._thread.start()
        except BaseException as error:
            # The thread may be starting: it ends at once. The client stays open.
            self._on_close = _nothing
            self.end()
            if isinstance(error, RuntimeError) and _interrupt_behind(error) is None:  # there is none
                _serving.discard(self)
                self._loop.close()
            raise

    def is_current(self) -> bool:
        return self._thread.ident == threading.get_ident()

    def take(self, call: _Call[Any]) -> None:
        """In the caller's thread: schedule the coroutine."""
        self._calls.add(call)
        try:
            self._loop.call_soon_threadsafe(self._begin, call)
        except RuntimeError:
            raise ConfigurationError(_EXITING if _exiting else _CLOSED) from None

    def take_back(self, call: _Call[Any], grace: float) -> None:
        """In the caller's thread: cancel the call and wait for its end, ``grace`` seconds at most."""
        call.wanted = False
        try:
            self._cancel_soon(call)
            call.wait_for_cleanup(grace)
        except BaseException:
            # A second interrupt ends the clean-up at once, however soon it comes: perhaps before the first was passed
            # on, so the call is cancelled twice.
            self._cancel_soon(call)
            self._cancel_soon(call)
            raise

    def _cancel_soon(self, call: _Call[Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._cancel, call)
        except RuntimeError:  # the loop is closed
            with contextlib.suppress(KeyError):
                self._calls.remove(call)
                call.coroutine.close()
                call.done = True

    def _begin(self, call: _Call[Any]) -> None:
        if not call.wanted or self._ending:
            self._finish(call, self._refusal(call))
            return
        call.task = self._loop.create_task(self._run(call), context=call.context)

    async def _run(self, call: _Call[Any]) -> None:
        """Run the call and finish it here: a done callback would take another turn of the loop, 5 % of a call."""
        if not call.wanted:
            self._finish(call)
            return
        call.begun = True
        try:
            call.result = await call.coroutine
        except asyncio.CancelledError:
            if self._ending:
                call.error = self._refusal(call)
            else:
                call.error = ConfigurationError("the call was cancelled from inside the client's event loop")
                call.error.outcome_unknown = True
        except BaseException as raised:
            if call.done:
                raise  # closed together with its loop, which has finished the call already
            # KeyboardInterrupt and SystemExit as well: they are the caller's. Without this frame in the traceback.
            call.error = raised.with_traceback(raised.__traceback__.tb_next if raised.__traceback__ else None)
        self._finish(call)

    def _cancel(self, call: _Call[Any]) -> None:
        if call.task is None:
            if not call.done:
                self._finish(call)  # interrupted before it began; the outcome is not read
        elif call.begun:
            call.task.cancel(CANCEL_NOW)

    def _finish(self, call: _Call[Any], error: BaseException | None = None) -> None:
        self._calls.discard(call)
        call.finish(error)

    def _refusal(self, call: _Call[Any]) -> ConfigurationError:
        if not call.begun:
            return ConfigurationError(_EXITING if _exiting else _CLOSED)
        error = ConfigurationError(
            f"{'the interpreter ended' if _exiting else 'this client was closed'} during the call"
        )
        error.outcome_unknown = True  # the call was running
        return error

    def end(self) -> None:
        """From any thread, any number of times: cancel running calls, close connections, end the thread."""
        if self._forks != fork_count():
            return  # the loop is the parent's
        self._ending = True
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._leave.cancel)

    def join(self) -> None:
        """Wait for the end of the thread, unless called in it."""
        if self._forks == fork_count() and not self.is_current() and self._thread.ident is not None:
            self._thread.join(CLOSE_GRACE)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        main = self._loop.create_task(self._main())
        try:
            while not main.done():
                # asyncio sets these two on their task, hence on the call, and raises them out of the loop as well.
                with contextlib.suppress(KeyboardInterrupt, SystemExit):
                    self._loop.run_until_complete(main)
        finally:
            asyncio.set_event_loop(None)
            self._ending = True
            self._loop.close()
            # call_soon_threadsafe fails from here on, so the set does not grow any more.
            with contextlib.suppress(KeyError):
                while True:
                    call = self._calls.pop()
                    call.finish(self._refusal(call))
            _serving.discard(self)

    async def _main(self) -> None:
        await asyncio.wait([self._leave])
        # The calls first: their clean-up, such as stopping a charge, may run in tasks of its own.
        await _cancel({call.task for call in self._calls if call.task is not None}, CLOSE_GRACE / 2)
        await _cancel(asyncio.all_tasks() - {asyncio.current_task()}, CLOSE_GRACE / 4)
        await self._on_close()
        await self._loop.shutdown_asyncgens()
        # One turn for the transports to close.
        await asyncio.sleep(0)


async def _cancel(tasks: set[Any], grace: float) -> None:
    for task in tasks:
        task.cancel(CANCEL_NOW)
    if tasks:
        await asyncio.wait(tasks, timeout=grace)


#: Also keeps a forked copy alive in the child: collecting it there would remove the parent's sockets from the epoll set
#: that both share.
_serving: set[_LoopThread] = set()
_exiting = False


@atexit.register
def _end_all() -> None:
    global _exiting
    _exiting = True
    ending = list(_serving)
    for thread in ending:
        thread.end()
    for thread in ending:
        thread.join()


class Portal:
    """One event loop in one daemon thread, started on the first call.

    The thread ends when the portal is closed or collected, or in an exit hook of the interpreter.
    """

    def __init__(self, on_close: Callable[[], Awaitable[None]]) -> None:
        self._on_close = on_close
        self._new_loop = loop_factory()
        self._forks = fork_count()
        # Re-entrant: a signal handler may make a call while this thread is starting the loop (a second one, at worst).
        self._starting = threading.RLock()
        self._thread: _LoopThread | None = None
        self._closed = False

    def run(self, coroutine: Coroutine[Any, Any, R], grace: float = CANCEL_GRACE) -> R:
        """Run a coroutine in the loop thread while this thread waits.

        KeyboardInterrupt, or what another signal handler raises, cancels the coroutine and is raised once that has
        cleaned up.

        Args:
            coroutine: What to run.
            grace: Seconds that an interrupted caller waits for the clean-up at most.

        Returns:
            The coroutine's result.

        Raises:
            ConfigurationError: The portal is closed, forked, or called in its own thread.
        """
        thread: _LoopThread | None = None
        call: _Call[R] | None = None
        try:
            thread = self._usable_thread()
            call = _Call(coroutine)
            thread.take(call)
            call.wait()
        except BaseException:
            if thread is None or call is None:
                coroutine.close()
            else:
                thread.take_back(call, grace)
            raise
        # The traceback holds the frames of the call, and this one: if they held the error, each failed call would leave
        # a cycle behind.
        error, call.error = call.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error, call
        return cast("R", call.result)

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
            if close is not None:
                # Where the portal cannot be used any more, the loop closes the generator, if it still can.
                with contextlib.suppress(ConfigurationError):
                    self.run(close())

    def _usable_thread(self) -> _LoopThread:
        if self._closed:
            raise ConfigurationError(_CLOSED)
        if self._forks != fork_count():
            raise ConfigurationError(
                "this client was made before a fork and its thread stayed in the parent process; "
                "make a new client in the child (in a post-fork or worker-start hook)"
            )
        if _exiting:
            raise ConfigurationError(_EXITING)
        thread = self._thread or self._start()
        if thread.is_current():
            raise ConfigurationError("a blocking call inside the client's own event loop would wait for itself")
        return thread

    def _start(self) -> _LoopThread:
        with self._starting:
            if self._closed:
                raise ConfigurationError(_CLOSED)
            if self._thread is not None:
                return self._thread
            try:
                thread = _LoopThread(self._on_close, self._new_loop)
                # It only gives notice: a collector that waits could hold a lock the thread needs to end.
                weakref.finalize(self, thread.end).atexit = False
                thread.start()
            except (OSError, RuntimeError) as error:
                interrupt = _interrupt_behind(error)
                if interrupt is not None:
                    raise interrupt from None
                raise ConfigurationError(f"the client's thread cannot be started: {error}") from error
            self._thread = thread
            return thread

    def close(self) -> None:
        """End the thread and wait for it: calls under way are cancelled, connections closed. Idempotent."""
        self._closed = True
        if self._forks != fork_count():
            return  # the thread is the parent's, and a copied lock may be held for ever
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.end()
            thread.join()
