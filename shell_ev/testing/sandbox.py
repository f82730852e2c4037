"""The sandbox of a test: on the test's clock, with clients and with assertions."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from datetime import timedelta
from email.utils import formatdate
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import attrs
from multidict import CIMultiDict

from ..client import AsyncShellEV
from ..core.call import Sender
from ..core.runtime import ambient
from ..sandbox import (
    Charge,
    RecordedRequest,
    Sandbox,
    SandboxClock,
    SandboxReply,
    SandboxRequest,
    Service,
    SessionState,
)
from ..sandbox.faults import OPERATIONS
from ..sync import ShellEV
from .clock import ControlledTime
from .options import ClientOptions
from .records import story_of
from .sending import TRY_HEADER
from .storing import crash

R = TypeVar("R")

_NOT_STARTED = "the sandbox has not been started"
_ENDS = frozenset({SessionState.STOPPED, SessionState.FAILED_TO_START})


class _ControlledService(Service):
    """The service on a test's clock: late answers are late on it, and answers are dated by it."""

    def __init__(self, time: ControlledTime, **options: Any) -> None:
        super().__init__(**options)
        # Without a limit: what a test asserts must not depend on how often a charge was looked at since.
        self.requests: deque[RecordedRequest] = deque()
        self._time = time

    def handle(self, request: SandboxRequest) -> SandboxReply:
        """Answer one request, recorded as it would have come in without the test kit."""
        headers = CIMultiDict(request.headers)
        if headers.popall(TRY_HEADER, None):
            headers.popall("Connection", None)
        reply = super().handle(attrs.evolve(request, headers=headers))
        if any(name.lower() == "date" for name, _ in reply.headers):
            return reply
        return attrs.evolve(reply, headers=(*reply.headers, ("Date", formatdate(self._time.now(), usegmt=True))))

    async def hold_back(self, request: SandboxRequest, seconds: float) -> None:
        """Wait on the test's clock before the reply is sent."""
        number = request.header(TRY_HEADER)
        await self._time.pacer.request_held(None if number is None else int(number), seconds)


class ControlledSandbox(Sandbox):
    """A sandbox under the test's control. Use it as ``with ControlledSandbox() as sandbox:``, in async code as well.

    It serves from its own thread, so it works with every event loop of a test and without one. Its clock, and that of
    every client made in the block, is ``sandbox.time``, which the test moves. On leaving, its own clients are closed.
    It has the members of :class:`~shell_ev.sandbox.Sandbox`: ``faults``, ``start_delay``, ``fail_stops``,
    ``end_charge``, ``revoke_tokens``; all times are seconds of that clock.

    Args:
        time: A clock that is in use already; None makes one.
        client_options: Options of every client that it makes.
        stations: Number of generated stations beside the named ones.
        seed: Seed of all random data.
        token_lifetime: Seconds until a token expires.
        start_delay: Seconds from a start to its effect.
        stop_delay: Seconds from a stop to its effect.
        show_sessions_after: Seconds until a session can be looked up.
    """

    def __init__(
        self,
        *,
        time: ControlledTime | None = None,
        client_options: ClientOptions | None = None,
        stations: int = 0,
        seed: int = 2026,
        token_lifetime: float = 3600,
        start_delay: float = 20,
        stop_delay: float = 10,
        show_sessions_after: float = 0,
    ) -> None:
        self.time: ControlledTime = time or ControlledTime()
        """The clock of this test."""
        self._own_time = self.time if time is None else None
        super().__init__(clock=self.time.now, stations=stations, seed=seed, token_lifetime=token_lifetime)
        self.start_delay = start_delay
        self.stop_delay = stop_delay
        self.show_sessions_after = show_sessions_after
        self._client_options = client_options or ClientOptions()
        self._open = contextlib.ExitStack()
        self._problems: list[BaseException] = []

    def _make_clock(self, clock: Callable[[], float] | None, speed: float) -> SandboxClock:
        return SandboxClock(given=self.time.now, step=self.time.advance)

    def _make_service(self, **options: Any) -> Service:
        return _ControlledService(self.time, **options)

    def advance(self, by: float | timedelta) -> None:
        """Move the time: charges start and stop, tokens expire. As :meth:`ControlledTime.advance`.

        Args:
            by: Seconds, or a timedelta.
        """
        self.time.advance(by)

    def after(self, seconds: float, do: Callable[..., object], *arguments: object) -> None:
        """Call a function when some time has passed: to pull the plug, add a fault, or revoke the tokens.

        This alone does not move the time.

        Args:
            seconds: Seconds from now, on the clock of the test.
            do: What is called, in the thread of the sandbox. Its exception is raised again when the sandbox closes.
            *arguments: Its arguments.
        """

        def act() -> None:
            try:
                do(*arguments)
            except BaseException as error:
                self._problems.append(error)

        if self._thread is None:
            raise RuntimeError(_NOT_STARTED)
        self.time.pacer.add(self._thread.loop, self.time.elapsed + seconds, act)

    def client(self, **options: Unpack[ClientOptions]) -> AsyncShellEV:
        """Make a client of this sandbox. It is dropped when the sandbox closes.

        It may be made without a loop and used on several, and need not be closed.

        Args:
            **options: Options of ``AsyncShellEV``.
        """
        with ambient(attrs.evolve(self.time.hooks, sender=self._watched_and_kept)):
            return AsyncShellEV(**self._options(options))

    def _watched_and_kept(self, sender: Sender) -> Sender:
        watched = self.time.watched(sender)
        # By then its loop is gone or not running: it cannot be closed, only let go of.
        self._open.callback(watched.abandon)
        return watched

    def blocking_client(self, **options: Unpack[ClientOptions]) -> ShellEV:
        """Make a blocking client of this sandbox. It is closed when the sandbox closes.

        Args:
            **options: Options of ``ShellEV``.
        """
        return self._open.enter_context(ShellEV(**self._options(options)))

    def crash(self, client: AsyncShellEV | ShellEV) -> None:
        """End a client as a killed process ends: its connections are dropped and its life sign in the store ends.

        Nothing is stopped, recorded or released. What was sent may take effect. Another client with the same store
        finds what a real kill leaves. Every later call of the client is a ``ConfigurationError``.

        Args:
            client: The client. It need not be closed.
        """
        crash(client.original if isinstance(client, ShellEV) else client)

    def _options(self, options: ClientOptions) -> dict[str, Any]:
        merged: dict[str, Any] = {**self._client_options, **options, "base_url": self.url}
        if merged.get("token_source") is None:
            merged |= {"client_id": self.client_id, "client_secret": self.client_secret}
        return merged

    @property
    def env(self) -> dict[str, str]:
        """The ``SHELL_EV_*`` variables with which ``from_env()`` makes a client of this sandbox."""
        variables = {
            "SHELL_EV_CLIENT_ID": self.client_id,
            "SHELL_EV_CLIENT_SECRET": self.client_secret,
            "SHELL_EV_BASE_URL": self.url,
        }
        for option in ("api_version", "timeout", "max_retries"):
            value = self._client_options.get(option)
            if isinstance(value, (str, int, float)):
                variables[f"SHELL_EV_{option.upper()}"] = str(value)
        store = self._client_options.get("store")
        if isinstance(store, (str, os.PathLike)):
            variables["SHELL_EV_STORE"] = os.fspath(store)
        return variables

    @contextlib.contextmanager
    def down(self) -> Generator[None]:
        """Inside the block the port is closed: open connections are dropped, new ones refused."""
        self._in_thread(self.close())
        try:
            yield
        finally:
            self._in_thread(self.start())

    async def restart(self, downtime: float = 0.0) -> None:
        """Drop every connection and listen again on the same port after some time.

        Args:
            downtime: Seconds without a server.
        """
        with self.down():
            await self.time.sleep(downtime)

    def _in_thread(self, coroutine: Coroutine[Any, Any, R]) -> R:
        if self._thread is None:
            coroutine.close()
            raise RuntimeError(_NOT_STARTED)
        return asyncio.run_coroutine_threadsafe(coroutine, self._thread.loop).result()

    def requests_to(self, operation: str) -> tuple[RecordedRequest, ...]:
        """Return the requests of an operation that reached the sandbox, answered or not.

        Args:
            operation: The operation, such as ``charging.start``.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"unknown operation {operation!r}; known are {', '.join(OPERATIONS)}")
        return tuple(request for request in tuple(self.requests) if request.operation == operation)

    def running(self) -> tuple[Charge, ...]:
        """The charges that run on unless they are stopped, those included that are yet to start."""
        return tuple(charge for charge in tuple(self.charges) if charge.bound_for not in _ENDS)

    def only_charge(self) -> Charge:
        """The one charge there was. Raises AssertionError if there was none, or more."""
        __tracebackhide__ = True
        self._expect(len(self.charges) == 1, f"expected one charge, and there were {len(self.charges)}")
        return self.charges[0]

    def assert_requested(self, operation: str, times: int) -> None:
        """Assert that a number of requests of an operation reached the sandbox, with any answer.

        Args:
            operation: The operation, such as ``charging.start``.
            times: How many, repeats included.

        Raises:
            AssertionError: It was another number; the text lists the requests.
        """
        __tracebackhide__ = True
        found = len(self.requests_to(operation))
        self._expect(found == times, f"expected {times} requests of {operation}, and {found} reached the sandbox")

    def assert_started_once(self) -> None:
        """Exactly one start took effect, with or without an answer: a second one would be a second charge."""
        __tracebackhide__ = True
        self._expect(len(self.charges) == 1, f"expected one start to take effect, and {len(self.charges)} did")

    def assert_nothing_started(self) -> None:
        """No start took effect."""
        __tracebackhide__ = True
        self._expect(not self.charges, f"expected no start to take effect, and {len(self.charges)} did")

    def assert_nothing_running(self) -> None:
        """Every charge is over, or stopping; none is charging, and none will if it is left alone."""
        __tracebackhide__ = True
        running = self.running()
        self._expect(not running, f"charges left running: {len(running)} of {len(self.charges)}")

    def assert_faults_used(self) -> None:
        """Every fault that was added has hit a call: a test of one that did not would prove nothing."""
        __tracebackhide__ = True
        left = {name: count for name in (*OPERATIONS, "*") if (count := self.faults.pending(name))}
        told_left = ", ".join(f"{count} on {name}" for name, count in left.items())
        self._expect(not left, f"faults were added that hit no call: {told_left}")

    def _expect(self, condition: bool, otherwise: str) -> None:
        __tracebackhide__ = True
        if not condition:
            raise AssertionError(f"{otherwise}\n{self.story()}")

    def story(self) -> str:
        """What happened, to be read: each request with its answer, and each charge with its states."""
        return story_of(tuple(self.requests), tuple(self.charges), since=self.time.now() - self.time.elapsed)

    def __enter__(self) -> Self:
        """Start, in a thread of its own."""
        with contextlib.ExitStack() as stack:
            if self._own_time is not None:
                stack.enter_context(self._own_time)
            super().__enter__()
            stack.callback(super().__exit__, None, None, None)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the clients, then the sandbox, then its clock."""
        self._open.close()
        if self._problems and error is None:
            raise self._problems[0]

    async def __aenter__(self) -> Self:
        """The same as without ``async``."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The same as without ``async``."""
        self.__exit__(kind, error, trace)
