"""The sandbox as a server: listens, restarts, closes, also from blocking code."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from shell_ev.sandbox.app import build_server
from shell_ev.sandbox.charges import Charge
from shell_ev.sandbox.faults import Faults
from shell_ev.sandbox.records import RecordedRequest
from shell_ev.sandbox.service import Service

_QUIET_TURNS = 4


class Sandbox:
    """An embedded server that speaks all three dialects of the Shell Recharge EV API.

    Use it as `async with Sandbox() as sandbox:`, or from blocking code as `with Sandbox() as sandbox:`, which serves
    from a thread of its own.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",
        speed: float = 60.0,
        clock: Callable[[], float] | None = None,
        seed: int = 2026,
        stations: int = 3000,
        token_lifetime: float = 3600,
    ) -> None:
        """Prepare a sandbox; nothing listens before `start`.

        `speed` is sandbox seconds per real second and drives the charges; `clock` (unix seconds) overrides it.
        `token_lifetime` is in real seconds, or on `clock` when one is given. `stations` is the size of the generated
        network beside the named stations. Everything random follows from `seed`.
        """
        if speed <= 0:
            raise ValueError("speed must be greater than 0")
        self.client_id = client_id
        self.client_secret = client_secret
        self.service = self._make_service(
            clock=clock or _running_clock(speed),
            token_clock=clock or time.time,
            client_id=client_id,
            client_secret=client_secret,
            seed=seed,
            stations=stations,
            token_lifetime=token_lifetime,
        )
        """The logic without sockets; `service.handle` can be driven directly."""
        self._host = host
        self._wanted_port = port
        self._port: int | None = None
        self._listener: asyncio.Server | None = None
        self._protocols: web.Server | None = None
        self._thread: _ServingThread | None = None

    def _make_service(self, **options: Any) -> Service:
        return Service(**options)

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end. Known once the sandbox has started."""
        if self._port is None:
            raise RuntimeError("the sandbox has not been started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def faults(self) -> Faults:
        """What goes wrong on demand."""
        return self.service.faults

    @property
    def requests(self) -> deque[RecordedRequest]:
        """The last 10,000 requests, oldest first."""
        return self.service.requests

    @property
    def charges(self) -> list[Charge]:
        """Every charge ever accepted, in the order of the starts, each with its true history."""
        return self.service.charges

    @property
    def start_delay(self) -> float:
        """Sandbox seconds from an accepted start to the charge, or to its failure. Default 20."""
        return self.service.book.start_delay

    @start_delay.setter
    def start_delay(self, seconds: float) -> None:
        self.service.book.start_delay = seconds

    @property
    def stop_delay(self) -> float:
        """Sandbox seconds from an accepted stop to its outcome. Default 10."""
        return self.service.book.stop_delay

    @stop_delay.setter
    def stop_delay(self, seconds: float) -> None:
        self.service.book.stop_delay = seconds

    @property
    def show_sessions_after(self) -> float:
        """Sandbox seconds from an accepted start until retrieve and active know the session. Default 0."""
        return self.service.book.show_sessions_after

    @show_sessions_after.setter
    def show_sessions_after(self, seconds: float) -> None:
        self.service.book.show_sessions_after = seconds

    def now(self) -> float:
        """Return the sandbox time, unix seconds."""
        return self.service.now()

    def revoke_tokens(self) -> None:
        """Make every token issued so far worthless; calls that carry one are refused with 401."""
        self.service.tokens.revoke_all()

    def fail_stops(self, evse_id: str, times: int = 1) -> None:
        """Let the next `times` stops on an EVSE end as failed-to-stop; -1 lets all of them, 0 none."""
        self.service.book.fail_stops(evse_id, times)

    def end_charge(self, session_id: str) -> None:
        """Let a charge end by itself, as when the car is full or the driver pulls the plug."""
        charge = self.service.book.get(session_id)
        if charge is None:
            raise KeyError(session_id)
        self.service.book.end(charge)

    async def start(self) -> None:
        """Listen. A taken port raises OSError."""
        if self._listener is not None:
            raise RuntimeError("the sandbox is already running")
        protocols = build_server(self.service)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(protocols, self._host, self._port or self._wanted_port, backlog=1024)
        self._protocols, self._listener = protocols, listener
        self._port = listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end every connection, at once and whatever it is in the middle of."""
        listener, protocols = self._listener, self._protocols
        self._listener = self._protocols = None
        if listener is None or protocols is None:
            return
        listener.close()
        # A transport gives its socket back a turn of the loop after it was aborted, and a connection accepted just now
        # appears a turn later, hence the turns beyond the last connection seen.
        quiet = 0
        while quiet < _QUIET_TURNS:
            open_connections = protocols.connections
            quiet = 0 if open_connections else quiet + 1
            for connection in open_connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)

    async def restart(self, downtime: float = 0.0) -> None:
        """Drop every connection and listen again on the same port after that many real seconds.

        Charges, tokens, faults and recorded requests survive.
        """
        await self.close()
        if downtime > 0:
            await asyncio.sleep(downtime)
        await self.start()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def __enter__(self) -> Self:
        """Start in a thread of its own, for callers without an event loop."""
        thread = _ServingThread(self)
        thread.begin()
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()


class _ServingThread:
    """Runs a sandbox for blocking code."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="shell-ev-sandbox", daemon=True)

    def begin(self) -> None:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that serves."""
        if self._loop is None:
            raise RuntimeError("the sandbox has not been started")
        return self._loop

    def end(self) -> None:
        if self._loop is not None and self._leave is not None:
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # handed over to the thread that waits in begin()
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        await self._sandbox.start()
        try:
            self._ready.set()
            await self._leave.wait()
        finally:
            await self._sandbox.close()


def _running_clock(speed: float) -> Callable[[], float]:
    epoch, origin = time.time(), time.monotonic()
    return lambda: epoch + (time.monotonic() - origin) * speed
