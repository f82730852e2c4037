"""The sandbox as a server: listens, restarts, closes, also from blocking code."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from shell_ev.sandbox import wire
from shell_ev.sandbox.access import Access
from shell_ev.sandbox.app import build_console_server, build_server
from shell_ev.sandbox.charges import Charge
from shell_ev.sandbox.clock import SandboxClock
from shell_ev.sandbox.control import Control
from shell_ev.sandbox.control_app import ControlApp
from shell_ev.sandbox.controls import Controls
from shell_ev.sandbox.faults import Faults
from shell_ev.sandbox.recording import RecordedRequest
from shell_ev.sandbox.remote import RemoteSandbox
from shell_ev.sandbox.service import Service
from shell_ev.sandbox.serving import ServingThread

_QUIET_TURNS = 4


class Sandbox:
    """An embedded server that speaks all three dialects of the Shell Recharge EV API.

    Use it as `async with Sandbox() as sandbox:`, or from blocking code as `with Sandbox() as sandbox:`, which serves
    from a thread of its own. The server has a control API under `/_sandbox/v1` and a console at `/`; `connect` drives a
    sandbox of another process through them.
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
        retrieve_state_key: str = wire.STATE_KEY,
        sdk_1_1: bool = False,
        console_host: str | None = None,
        console_port: int | None = None,
    ) -> None:
        """Prepare a sandbox; nothing listens before `start`.

        Args:
            host: Address to listen on.
            port: Port to listen on, 0 picks a free one.
            client_id: Client id that is accepted.
            client_secret: Its secret.
            speed: Sandbox seconds per real second; drives the charges.
            clock: Unix seconds; overrides `speed`.
            seed: Everything random follows from it.
            stations: Size of the generated network beside the named stations.
            token_lifetime: Real seconds, or seconds of `clock` when one is given.
            retrieve_state_key: Where retrieve of G1.0 writes the state: `SessionState`, which its SDKs read, or
                `Sessionstate`, as its page has it.
            sdk_1_1: Answer `/locations/v1/ev` as SDKs 1.1.0 and 1.2.0 expect: with the envelope of G1.3.
            console_host: Name or address by which other machines open the console, with `console_token`; `0.0.0.0`
                stands for every address. None keeps console and control API to this machine.
            console_port: Port of the console and the control API, 0 picks a free one; None serves them on `port`.

        Raises:
            ValueError: An option is out of its range.
        """
        self.client_id = client_id
        self.client_secret = client_secret
        self.clock: SandboxClock = self._make_clock(clock, speed)
        """The clock of the charges: `speed`, `pause()`, `resume()`, `step(seconds)`."""
        self.service: Service = self._make_service(
            clock=self.clock,
            token_clock=clock or time.time,
            client_id=client_id,
            client_secret=client_secret,
            seed=seed,
            stations=stations,
            token_lifetime=token_lifetime,
            retrieve_state_key=retrieve_state_key,
            sdk_1_1=sdk_1_1,
        )
        """The logic without sockets; `service.handle` can be driven directly."""
        self._controls = Controls(self.service, self.clock)
        self._access = Access(console_host)
        self._control_app = ControlApp(Control(self._controls, self._describe), self._access)
        self._host = host
        self._console_host = "127.0.0.1" if console_host is None else host
        self._wanted_port = port
        self._wanted_console_port = console_port
        self._port: int | None = None
        self._console_port: int | None = None
        self._listeners: list[asyncio.Server] = []
        self._protocols: web.Server | None = None
        self._console_protocols: web.Server | None = None
        self._thread: ServingThread | None = None

    @staticmethod
    def connect(url: str, *, token: str | None = None, timeout: float = 10.0) -> RemoteSandbox:
        """Return a sandbox that runs in another process, with the methods of this one.

        Args:
            url: Where its console is, `http://127.0.0.1:8080` for example.
            token: Its `console_token`, when it runs on another machine.
            timeout: Real seconds for each call.

        Raises:
            OSError: Nothing answers there.
            RuntimeError: What answers is no sandbox, or it refuses.
        """
        return RemoteSandbox(url, token=token, timeout=timeout)

    def _make_clock(self, clock: Callable[[], float] | None, speed: float) -> SandboxClock:
        return SandboxClock(speed, given=clock)

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
    def console_url(self) -> str:
        """Where the console is, without a slash at the end. Known once the sandbox has started."""
        if self._console_port is None:
            return self.url
        host = f"[{self._console_host}]" if ":" in self._console_host else self._console_host
        return f"http://{host}:{self._console_port}"

    @property
    def console_token(self) -> str | None:
        """What other machines exchange for the console's cookie; None when it answers on this machine only."""
        return self._access.token if self._access.needs_token else None

    @property
    def env(self) -> dict[str, str]:
        """The `SHELL_EV_*` variables that lead a client to this sandbox."""
        return {
            "SHELL_EV_BASE_URL": self.url,
            "SHELL_EV_CLIENT_ID": self.client_id,
            "SHELL_EV_CLIENT_SECRET": self.client_secret,
        }

    @property
    def lines(self) -> list[str]:
        """What to tell people: comments, and one `export` for each of `env`. A shell and an env file take the lines."""
        lines = [f"# shell_ev sandbox on {self.url} until Ctrl-C", f"# console on {self.console_url}/"]
        if self.console_token is not None:
            lines.append(f"# console token for other machines: {self.console_token}")
        return [*lines, *(f"export {name}={shlex.quote(value)}" for name, value in self.env.items())]

    def _describe(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "same_port": self._console_port is None,
        }

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
        self._controls.set("start_delay", seconds)

    @property
    def stop_delay(self) -> float:
        """Sandbox seconds from an accepted stop to its outcome. Default 10."""
        return self.service.book.stop_delay

    @stop_delay.setter
    def stop_delay(self, seconds: float) -> None:
        self._controls.set("stop_delay", seconds)

    @property
    def show_sessions_after(self) -> float:
        """Sandbox seconds from an accepted start until retrieve and active know the session. Default 0."""
        return self.service.book.show_sessions_after

    @show_sessions_after.setter
    def show_sessions_after(self, seconds: float) -> None:
        self._controls.set("show_sessions_after", seconds)

    @property
    def retrieve_state_key(self) -> str:
        """Where retrieve of G1.0 writes the state: `SessionState`, or `Sessionstate` as its page has it."""
        return self.service.retrieve_state_key

    @retrieve_state_key.setter
    def retrieve_state_key(self, key: str) -> None:
        self._controls.set("retrieve_state_key", key)

    @property
    def sdk_1_1(self) -> bool:
        """Whether `/locations/v1/ev` is answered as SDKs 1.1.0 and 1.2.0 expect. Default False."""
        return self.service.sdk_1_1

    @sdk_1_1.setter
    def sdk_1_1(self, value: bool) -> None:
        self._controls.set("sdk_1_1", value)

    def now(self) -> float:
        """Return the sandbox time, unix seconds."""
        return self.service.now()

    def revoke_tokens(self) -> None:
        """Make every token issued so far worthless; calls that carry one are refused with 401."""
        self._controls.revoke_tokens()

    def set_evse_status(self, evse_id: str, status: str | None) -> None:
        """Set the status of an EVSE while no charge runs on it.

        Args:
            evse_id: The EVSE.
            status: `Available`, `Occupied`, `Unavailable` or `Unknown`; None brings back the one of the seed. A start
                on one that is occupied or unavailable is accepted and fails.

        Raises:
            KeyError: There is no such EVSE.
            ValueError: There is no such status.
        """
        self._controls.set_evse_status(evse_id, status)

    def evse_status(self, evse_id: str) -> str:
        """Return the status of an EVSE at this moment.

        Args:
            evse_id: The id of the EVSE.

        Raises:
            KeyError: There is no such EVSE.
        """
        return self._controls.evse_status(evse_id)

    def fail_stops(self, evse_id: str, times: int = 1) -> None:
        """Let the next stops on an EVSE end as failed-to-stop.

        Args:
            evse_id: The id of the EVSE.
            times: How many stops fail; -1 for all of them, 0 for none.

        Raises:
            KeyError: There is no such EVSE.
        """
        self._controls.fail_stops(evse_id, times)

    def end_charge(self, session_id: str) -> None:
        """Let a charge end by itself, as when the car is full or the driver pulls the plug.

        Args:
            session_id: The session id of the charge.

        Raises:
            KeyError: There is no such charge.
        """
        self._controls.end_charge(session_id)

    def fail_charge(self, session_id: str, code: str = "InternalError") -> None:
        """Let a charge fail.

        One that has not started fails to start at once, with `code`. One that is being stopped fails to stop at once.
        One that runs fails at its next stop.

        Args:
            session_id: The session id of the charge.
            code: The reason, one of `SESSION_MESSAGES`.

        Raises:
            KeyError: There is no such charge.
            ValueError: The charge is over, or the code is not documented.
        """
        self._controls.fail_charge(session_id, code)

    def forget_charge(self, session_id: str) -> None:
        """Lose a charge: no look-up finds it from now on, and its EVSE is free.

        Args:
            session_id: The session id of the charge.

        Raises:
            KeyError: There is no such charge.
        """
        self._controls.forget_charge(session_id)

    def clear_requests(self) -> None:
        """Empty `requests`."""
        self._controls.clear_requests()

    def reset(self) -> None:
        """Begin again from the seed: no charge, request, token or fault; every setting and the clock as at first."""
        self._controls.reset()

    async def start(self) -> None:
        """Listen. A taken port raises OSError."""
        if self._listeners:
            raise RuntimeError("the sandbox is already running")
        apart = self._wanted_console_port is not None
        protocols = build_server(self.service, None if apart else self._control_app)
        self._port = await self._listen(protocols, self._host, self._port or self._wanted_port)
        self._protocols = protocols
        if self._wanted_console_port is None:
            return
        console = build_console_server(self._control_app)
        try:
            wanted = self._console_port or self._wanted_console_port
            self._console_port = await self._listen(console, self._console_host, wanted)
        except BaseException:
            await self.close()
            raise
        self._console_protocols = console

    async def _listen(self, protocols: web.Server, host: str, port: int) -> int:
        listener = await asyncio.get_running_loop().create_server(protocols, host, port, backlog=1024)
        self._listeners.append(listener)
        number: int = listener.sockets[0].getsockname()[1]
        return number

    async def close(self) -> None:
        """Stop listening and end every connection, at once, in the middle of an answer too."""
        listeners, self._listeners = self._listeners, []
        servers = [server for server in (self._protocols, self._console_protocols) if server is not None]
        self._protocols = self._console_protocols = None
        for listener in listeners:
            listener.close()
        # A transport gives its socket back a turn of the loop after it was aborted, and a connection accepted just now
        # appears a turn later, hence the turns beyond the last connection seen.
        quiet = 0 if servers else _QUIET_TURNS
        while quiet < _QUIET_TURNS:
            open_connections = [connection for server in servers for connection in server.connections]
            quiet = 0 if open_connections else quiet + 1
            for connection in open_connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)

    async def restart(self, downtime: float = 0.0) -> None:
        """Drop every connection and listen again on the same port after some time.

        Args:
            downtime: Real seconds without a server.
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
        thread = ServingThread(self)
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
