"""Running a command's coroutine: event loop, signals, log, embedded sandbox, client. Knows no command and no click."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..errors import OutcomeUnknownError
from .exit_codes import ExitCode, Interrupted
from .output import Output, say
from .settings import Settings

if TYPE_CHECKING:
    from ..client import AsyncShellEV

#: The embedded sandbox runs in real time; a start and a stop take these seconds.
_SANDBOX_DELAY = 1.5
#: Seconds from a further signal to its cancellation.
_APART = 0.02


class Interrupts:
    """SIGINT, SIGTERM and SIGHUP as cancellations of the task that serves the command; remembers which came."""

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self.on_signal: Callable[[signal.Signals], None] | None = None
        """Told of each signal, before the cancellation."""
        self._task: asyncio.Task[Any] | None = None
        self._bell: tuple[socket.socket, socket.socket] | None = None

    def install(self) -> None:
        """Send signals to the running task from now on. A signal that is ignored stays so: nohup means it.

        The handlers stay to the end of the process: a signal in its last moments must not take the word from an alarm.
        """
        self._task = asyncio.current_task()
        if threading.current_thread() is not threading.main_thread():
            return
        self._wake_the_loop()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._caught)

    def disarm(self) -> None:
        """From now on a signal changes nothing: there is an outcome, and only closing is left to do."""
        self._task = None

    def close(self) -> None:
        """Disarm, in the event loop and for good."""
        self.disarm()
        if self._bell is not None:
            asyncio.get_running_loop().remove_reader(self._bell[0])
            signal.set_wakeup_fd(-1)
            for end in self._bell:
                end.close()
            self._bell = None

    def _wake_the_loop(self) -> None:
        """Without this a signal that comes just before the loop begins to wait is heeded when the wait is over."""
        heard, rung = socket.socketpair()
        heard.setblocking(False)
        rung.setblocking(False)
        try:
            asyncio.get_running_loop().add_reader(heard, heard.recv, 4096)
        except NotImplementedError:  # Windows, whose loop does this by itself
            heard.close()
            rung.close()
            return
        signal.set_wakeup_fd(rung.fileno(), warn_on_full_buffer=False)
        self._bell = (heard, rung)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        # In between any two steps of this thread: the event loop has to take it up.
        if self._task is not None:
            with contextlib.suppress(RuntimeError):
                self._task.get_loop().call_soon_threadsafe(self._received, signal.Signals(number))

    def _received(self, number: signal.Signals) -> None:
        if self._task is None:
            return
        self.received.append(number)
        if self.on_signal is not None:
            self.on_signal(number)
        if len(self.received) == 1:
            self._cancel()
        else:
            # Two cancellations at the same moment are one for asyncio, and this one is to end what the first began.
            self._task.get_loop().call_later(_APART, self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class Run:
    """What a command's coroutine gets: its client, where to write, and the signals that came."""

    def __init__(self, settings: Settings, client: AsyncShellEV, interrupts: Interrupts) -> None:
        self.settings = settings
        self.ev = client
        self.interrupts = interrupts
        self.out = Output(settings)


Work = Callable[[Run], Awaitable[ExitCode | None]]


def run(settings: Settings, work: Work) -> ExitCode:
    """Run a command's coroutine with a client of its settings. Raises ShellEVError and Interrupted."""
    # Before there is an event loop and a signal handler: it may ask for credentials, and Ctrl-C is an answer.
    options = None if settings.sandbox else settings.client_options()

    async def connected(interrupts: Interrupts) -> ExitCode | None:
        async with AsyncExitStack() as stack:
            client = await _client(settings, options, stack)
            try:
                return await work(Run(settings, client, interrupts))
            finally:
                interrupts.disarm()

    return run_alone(settings, connected)


def run_alone(settings: Settings, work: Callable[[Interrupts], Awaitable[ExitCode | None]]) -> ExitCode:
    """Run a coroutine that needs no client. Raises ShellEVError and Interrupted."""
    interrupts = Interrupts()

    async def main() -> ExitCode:
        interrupts.install()
        try:
            return await work(interrupts) or ExitCode.OK
        except asyncio.CancelledError as cancelled:
            if not interrupts.received:
                raise
            raise_if_open(cancelled)
            raise Interrupted(ExitCode(128 + interrupts.received[0])) from None
        finally:
            interrupts.close()

    with logged(settings):
        return asyncio.run(main())


def raise_if_open(cancelled: asyncio.CancelledError, **arguments: str) -> None:
    """Raise OutcomeUnknownError if a cancelled call of the library has left something open.

    The library notes on a cancellation when what it had to clean up, a charge just started, may not be clean.
    """
    if notes := getattr(cancelled, "__notes__", []):
        raise OutcomeUnknownError("; ".join(notes), operation="charging.start", arguments=arguments) from None


async def _client(settings: Settings, options: dict[str, Any] | None, stack: AsyncExitStack) -> AsyncShellEV:
    from ..client import AsyncShellEV

    if options is not None:
        return await stack.enter_async_context(AsyncShellEV.from_env(settings.environ, **options))
    from ..sandbox import Sandbox

    sandbox = await stack.enter_async_context(Sandbox(speed=1.0))
    sandbox.start_delay = sandbox.stop_delay = _SANDBOX_DELAY
    Output(settings).note("embedded sandbox: nothing here is real, and it ends with this command")
    return await stack.enter_async_context(
        AsyncShellEV(
            sandbox.client_id,
            sandbox.client_secret,
            base_url=sandbox.url,
            api_version=settings.api_version or settings.environ.get("SHELL_EV_API_VERSION") or "v2",
        )
    )


class _ToStderr(logging.Handler):
    """The library's log as lines of its own; the live panel may put itself in between."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


@contextlib.contextmanager
def logged(settings: Settings) -> Any:
    """Show the library's log on stderr, as far as ``-v`` asks for it."""
    logger = logging.getLogger("shell_ev")
    handler = _ToStderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-5s %(message)s"))
    # What the library logs unasked, a charge that may still be running, a command says itself and louder.
    level = {0: logging.CRITICAL, 1: logging.INFO}.get(settings.verbose, logging.DEBUG)
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
