"""Running the coroutine of a command: event loop, signals, log, embedded sandbox, client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AsyncExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .. import OutcomeUnknownError
from .output import Output, print_error_text
from .reporting import ExitCode, Interrupted
from .settings import Settings

if TYPE_CHECKING:
    from .. import AsyncShellEV

R = TypeVar("R")

#: Seconds that a start and a stop take in the embedded sandbox, which runs in real time.
_SANDBOX_DELAY = 1.5


class Abandoned(Exception):
    """A second signal ended the wait for a clean-up."""


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into cancellations of the command's task.

    The first signal asks the command to clean up and end, the second to end at once. Signals are counted; the time
    between them does not matter.
    """

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self.on_signal: Callable[[signal.Signals], None] | None = None
        """Called for each signal, before the cancellation."""
        self._task: asyncio.Task[Any] | None = None
        self._wakeup: tuple[socket.socket, socket.socket] | None = None

    @property
    def ends_at_once(self) -> bool:
        """Whether a second signal came."""
        return len(self.received) > 1

    def install(self) -> None:
        """Cancel the current task on signals from now on. Ignored signals stay ignored, as ``nohup`` requires.

        The handlers stay until the process ends: a signal during the last report must not cut it off.
        """
        self._task = asyncio.current_task()
        if threading.current_thread() is not threading.main_thread():
            return
        self._set_wakeup()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_os_signal)

    def disarm(self) -> None:
        """Ignore signals from now on: the command has its outcome and only closes connections."""
        self._task = None

    def close(self) -> None:
        """Disarm and release the event loop's resources. Call it in the event loop."""
        self.disarm()
        if self._wakeup is not None:
            asyncio.get_running_loop().remove_reader(self._wakeup[0])
            signal.set_wakeup_fd(-1)
            for end in self._wakeup:
                end.close()
            self._wakeup = None

    async def run_to_end(self, work: Coroutine[Any, Any, R]) -> R:
        """Run work that cleans up when it is cancelled.

        The first signal cancels the work and waits for its clean-up, the second ends that wait.

        Args:
            work: The coroutine; it runs in its own task.

        Returns:
            The result of the work.

        Raises:
            Abandoned: After the second signal. The work is cancelled and ends when its client is closed.
        """
        abandoned = False

        async def contained() -> R | None:
            try:
                return await work
            except BaseException:
                if abandoned:
                    return None  # asyncio.run() would print this error; Abandoned is the report of it
                raise

        task = asyncio.ensure_future(contained())
        cancelled = False
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                cancelled = True
                task.cancel()
                if self.ends_at_once and not task.done():
                    abandoned = True
                    raise Abandoned from None
        result: Any = task.result()
        if cancelled and (caller := asyncio.current_task()) is not None:
            # The work was done before the cancellation reached it: the caller gets it at its next await.
            caller.cancel()
        return cast("R", result)

    def _set_wakeup(self) -> None:
        """Wake the event loop for a signal that arrives just before it begins to wait."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        try:
            asyncio.get_running_loop().add_reader(reader, reader.recv, 4096)
        except NotImplementedError:  # Windows; its event loop has its own wake-up
            reader.close()
            writer.close()
            return
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._wakeup = (reader, writer)

    def _on_os_signal(self, number: int, frame: FrameType | None) -> None:
        # This may run between any two bytecodes: the event loop does the work.
        if self._task is not None:
            with contextlib.suppress(RuntimeError):
                self._task.get_loop().call_soon_threadsafe(self._receive, signal.Signals(number))

    def _receive(self, number: signal.Signals) -> None:
        if self._task is None:
            return
        self.received.append(number)
        if self.on_signal is not None:
            self.on_signal(number)
        self._task.cancel()


class Run:
    """The context of a command's coroutine: settings, client, output and signals."""

    def __init__(self, settings: Settings, client: AsyncShellEV, interrupts: Interrupts) -> None:
        self.settings = settings
        self.client = client
        self.interrupts = interrupts
        self.out: Output = Output(settings)


Work = Callable[[Run], Awaitable[ExitCode | None]]


def run(settings: Settings, work: Work) -> ExitCode:
    """Run a command's coroutine with a client.

    Args:
        settings: The shared options.
        work: The coroutine function; None is OK.

    Returns:
        The exit code.

    Raises:
        ShellEVError: The error that the command ends with.
        Interrupted: A signal ended the command.
    """
    # Before the signal handlers are installed: Ctrl-C at the prompt for credentials ends the command.
    options = None if settings.sandbox else settings.client_options()

    async def connected(interrupts: Interrupts) -> ExitCode | None:
        async with AsyncExitStack() as stack:
            client = await _client(settings, options, stack)
            try:
                return await work(Run(settings, client, interrupts))
            finally:
                interrupts.disarm()

    return run_without_client(settings, connected)


def run_without_client(settings: Settings, work: Callable[[Interrupts], Awaitable[ExitCode | None]]) -> ExitCode:
    """Run a coroutine that needs no client. Returns and raises as :func:`run`."""
    interrupts = Interrupts()

    async def main() -> ExitCode:
        interrupts.install()
        try:
            return await work(interrupts) or ExitCode.OK
        except asyncio.CancelledError as cancelled:
            if not interrupts.received:
                raise
            raise_if_unknown(cancelled)
            raise Interrupted(ExitCode(128 + interrupts.received[0])) from None
        finally:
            interrupts.close()

    with logged(settings):
        return asyncio.run(main())


def raise_if_unknown(cancelled: asyncio.CancelledError, **arguments: str) -> None:
    """Raise OutcomeUnknownError if the clean-up of a cancelled call failed: the library notes that on the cancellation.

    Args:
        cancelled: The cancellation.
        arguments: Arguments of the start, for the error.
    """
    if notes := getattr(cancelled, "__notes__", []):
        raise OutcomeUnknownError("; ".join(notes), operation="charging.start", arguments=arguments) from None


async def _client(settings: Settings, options: dict[str, Any] | None, stack: AsyncExitStack) -> AsyncShellEV:
    from .. import AsyncShellEV

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
            store=settings.store,
            api_version=settings.api_version or settings.environ.get("SHELL_EV_API_VERSION") or "v2",
        )
    )


async def open_in_browser(out: Output, url: str | None) -> None:
    """Open a page in the browser of the user, or say which one it is."""
    if url is None:
        out.note("there is no position to show on a map")
        return
    import webbrowser

    if not await asyncio.to_thread(webbrowser.open, url):
        out.note("there is no browser; the map is", url)


class _StderrHandler(logging.Handler):
    """Prints log records through ``print_error``, so that they go above a live display."""

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            print_error_text(line)


@contextlib.contextmanager
def logged(settings: Settings) -> Generator[None]:
    """Print the library's log to stderr, at the level that ``-v`` sets."""
    logger = logging.getLogger("shell_ev")
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-5s %(message)s"))
    # Without -v nothing: the command itself reports the errors that the library logs.
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
