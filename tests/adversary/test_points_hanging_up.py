"""In real time: a client of Starlette under uvicorn that hangs up, the CPU time of a long stop, and a second Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from shell_ev import AsyncShellEV, Polling

from .raw_server import RawServer, nothing
from .support import CARD, EVSE, in_thread, script_environment

QUICK = Polling(eager=0.1)


class _PassesOn(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


class _Uvicorn(uvicorn.Server):
    """A server inside a test: signals stay the test runner's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("middleware", [False, True], ids=["bare", "behind a middleware"])
async def test_a_client_of_fastapi_that_hangs_up_leaves_no_charge_running(middleware: bool) -> None:
    async with RawServer() as server:
        server.start_delay, server.stop_delay = 0.0, 1.0
        async with AsyncShellEV("id", "secret", base_url=server.url) as ev:
            left = asyncio.Event()
            async with _serving(_app(ev, left, middleware)) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /charge HTTP/1.1\r\nHost: x\r\n\r\n")
                await reader.readuntil(b"charging")
                writer.close()
                async with asyncio.timeout(30):
                    await left.wait()
        (session,) = server.own_sessions()
        assert session.is_over(server.clock())


def _app(ev: AsyncShellEV, left: asyncio.Event, middleware: bool) -> Starlette:
    async def lines() -> AsyncIterator[str]:
        try:
            async with ev.charge(CARD, EVSE, polling=QUICK):
                while True:
                    yield "charging\n"
                    await asyncio.sleep(0.05)
        finally:
            left.set()

    async def charge(request: Request) -> StreamingResponse:
        return StreamingResponse(lines())

    around = [Middleware(_PassesOn)] if middleware else []
    return Starlette(routes=[Route("/charge", charge)], middleware=around)


@contextlib.asynccontextmanager
async def _serving(app: Starlette) -> AsyncIterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=5)
    server = _Uvicorn(config)
    running = asyncio.ensure_future(server.serve([listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await running
        listener.close()


@pytest.mark.long
async def test_a_stop_of_30_s_in_a_cancelled_scope_costs_little_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    async with RawServer() as server:
        server.start_delay, server.stop_delay = 0.0, 30.0
        async with AsyncShellEV("id", "secret", base_url=server.url) as ev:
            with anyio.move_on_after(1):
                async with ev.charge(CARD, EVSE):
                    cpu = time.process_time()
                    await asyncio.Event().wait()
            cpu = time.process_time() - cpu
        with capsys.disabled():
            print(f"CPU of a 30 s stop under repeated cancellation: {cpu:.2f} s")
        assert server.running() == []
    # A busy wait takes a whole core: 30 s.
    assert cpu < 5


_HOLDS = """
import logging, time
from shell_ev import ShellEV
logging.basicConfig(level=logging.ERROR)
with ShellEV.from_env() as ev:
    with ev.charge({card!r}, {evse!r}, stop_timeout=600):
        print("entered", flush=True)
        time.sleep(600)
"""


def test_a_second_ctrl_c_within_a_second_ends_the_clean_up_of_the_blocking_twin() -> None:
    with in_thread(start_delay=0.0) as server:
        server.always("stop", nothing.but(effect=False))
        command = [sys.executable, "-c", _HOLDS.format(card=CARD, evse=EVSE)]
        with subprocess.Popen(
            command, env=script_environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "entered\n"
                process.send_signal(signal.SIGINT)
                while not server.count("stop"):
                    time.sleep(0.01)
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=60)
            finally:
                process.kill()
        assert "KeyboardInterrupt" in errors
        (session,) = server.own_sessions()
        assert session.id in errors
