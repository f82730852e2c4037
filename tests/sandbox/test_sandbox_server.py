"""The sandbox as a server and as a program: listening, restarting, closing, the command line."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import shell_ev.sandbox
from shell_ev.sandbox import Dialect, Fault, Sandbox

ROOT = Path(shell_ev.sandbox.__file__).parents[2]
READY = re.compile(r"# shell_ev sandbox on (http://127\.0\.0\.1:(\d+)) until Ctrl-C\n")


async def test_it_records_what_arrives(wire: Any, sandbox: Sandbox, caller: Any) -> None:
    await wire.ask(caller.start_call(Dialect.V1_PASCAL))
    await wire.ask(caller.retrieve_call(Dialect.V2, caller.request_id))
    token, start, retrieve = sandbox.requests
    assert (token.operation, token.dialect, token.method, token.path) == ("token", None, "POST", "/v2/oauth/token")
    assert (start.operation, start.dialect, start.status) == ("charging.start", Dialect.V1_PASCAL, 202)
    assert start.headers["requestid"] == caller.request_id
    assert b"EvChargeNumber" in start.body
    assert retrieve.query == (("sessionId", caller.request_id),)
    assert retrieve.at == sandbox.now()


async def test_paths_arrive_as_they_were_sent(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /ev/v2/locations/a%2Fb%2A?evseId=NL%2A1+2&evseId=*%C3%A9 HTTP/1.0\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    (request,) = sandbox.requests
    assert (request.operation, request.path) == ("locations.get", "/ev/v2/locations/a%2Fb%2A")
    assert request.query == (("evseId", "NL*1 2"), ("evseId", "*é"))


async def test_a_page_travels_whole(caller: Any) -> None:
    async with Sandbox(stations=600) as sandbox, aiohttp.ClientSession() as http:
        basic = aiohttp.encode_basic_auth(sandbox.client_id, sandbox.client_secret)
        form = {"grant_type": "client_credentials"}
        async with http.post(sandbox.url + "/v1/oauth/token", data=form, headers={"Authorization": basic}) as reply:
            token = (await reply.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}", "RequestId": caller.request_id}
        async with http.get(sandbox.url + "/ev/v2/locations?perPage=500", headers=headers) as reply:
            assert len((await reply.json())["data"]) == 500


async def test_an_oversized_request_is_refused(sandbox: Sandbox) -> None:
    body = io.BytesIO(b"x" * 2**21)
    async with aiohttp.ClientSession() as http, http.post(sandbox.url + "/v2/oauth/token", data=body) as reply:
        assert reply.status == 413


async def test_a_restart_keeps_the_port_and_the_charges(wire: Any, sandbox: Sandbox, caller: Any, clock: Any) -> None:
    await wire.ask(caller.start_call(Dialect.V2))
    url = sandbox.url
    await sandbox.restart()
    assert sandbox.url == url
    clock.advance(20)
    assert sandbox.charges[0].is_running
    status, body, _ = await wire.ask(caller.active_call(Dialect.V2))
    assert status == 200
    assert sandbox.charges[0].session_id.encode() in body


async def test_nothing_listens_during_the_downtime(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as http:
        restart = asyncio.create_task(sandbox.restart(downtime=0.1))
        await asyncio.sleep(0.02)
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(sandbox.url)
        await restart
        async with http.get(sandbox.url + "/ev/v2/locations") as reply:
            assert reply.status == 401


async def test_closing_is_quick_during_any_request(caller: Any) -> None:
    before = asyncio.all_tasks()
    sandbox = Sandbox(stations=0)
    await sandbox.start()
    sandbox.faults.add("*", Fault.hang(), times=3)
    sandbox.faults.add("*", Fault.delay(60), times=3)
    port = int(sandbox.url.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
    for _, writer in busy:
        writer.write(f"GET {caller.active_call(Dialect.V2).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while len(sandbox.requests) < 6:
        await asyncio.sleep(0)
    began = time.perf_counter()
    await sandbox.close()
    assert time.perf_counter() - began < 0.1
    assert asyncio.all_tasks() == before
    for reader, writer in (*idle, *busy):
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    await sandbox.close()
    await sandbox.start()
    assert sandbox.url.endswith(f":{port}")
    await sandbox.close()


async def test_closing_does_not_wait_for_a_client_that_reads_nothing(caller: Any) -> None:
    async with Sandbox(stations=0) as sandbox:
        sandbox.faults.always("*", Fault.garbage(b"x" * 2**24))
        _, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]), limit=1)
        writer.write(f"GET {caller.active_call(Dialect.V2).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while not sandbox.requests:
            await asyncio.sleep(0)
        began = time.perf_counter()
        await sandbox.close()
        assert time.perf_counter() - began < 0.1
        writer.transport.abort()


def test_closing_leaves_no_warning_and_no_log(caplog: pytest.LogCaptureFixture, caller: Any) -> None:
    async def use() -> None:
        async with Sandbox(stations=0) as sandbox, aiohttp.ClientSession() as http:
            # A POST, because aiohttp sends a GET once more by itself when its connection is lost.
            url = sandbox.url + caller.start_call(Dialect.V2).path
            for fault in (Fault.drop(), Fault.reset(), Fault.truncate()):
                sandbox.faults.add("charging.start", fault)
                with pytest.raises(aiohttp.ClientError):
                    async with http.post(url) as reply:
                        await reply.read()
            sandbox.faults.add("charging.start", Fault.hang())
            with pytest.raises(TimeoutError):
                await http.post(url, timeout=aiohttp.ClientTimeout(total=0.02))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(use(), debug=True)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_use_before_start_and_twice() -> None:
    sandbox = Sandbox(stations=0)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = sandbox.url
    async with sandbox:
        with pytest.raises(RuntimeError, match="already running"):
            await sandbox.start()
    with pytest.raises(ValueError, match="speed"):
        Sandbox(speed=0)


async def test_speed_drives_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sandbox = Sandbox(speed=60, stations=0)
    began = sandbox.now()
    now[0] += 2
    assert sandbox.now() - began == pytest.approx(120)
    monkeypatch.undo()
    assert abs(began - time.time()) < 60


async def test_the_knobs_reach_the_service(sandbox: Sandbox, wire: Any, caller: Any) -> None:
    sandbox.start_delay, sandbox.stop_delay, sandbox.show_sessions_after = 0, 0, 5
    await wire.ask(caller.start_call(Dialect.V2))
    (charge,) = sandbox.charges
    assert (charge.is_running, sandbox.start_delay, sandbox.stop_delay, sandbox.show_sessions_after) == (True, 0, 0, 5)
    assert (await wire.ask(caller.retrieve_call(Dialect.V2, charge.session_id)))[0] == 404
    sandbox.fail_stops(caller.evse)
    await wire.ask(caller.stop_call(Dialect.V2, charge.session_id))
    assert charge.is_running
    sandbox.end_charge(charge.session_id)
    assert charge.is_over
    sandbox.revoke_tokens()
    assert (await wire.ask(caller.active_call(Dialect.V2)))[0] == 401
    with pytest.raises(KeyError):
        sandbox.end_charge("nobody")


def test_blocking_code_gets_a_sandbox_in_a_thread() -> None:
    with Sandbox(stations=0) as sandbox:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(sandbox.url + "/ev/v2/locations", timeout=5)
        assert caught.value.code == 401
        caught.value.close()
        with pytest.raises(OSError, match="in use"), Sandbox(port=int(sandbox.url.rpartition(":")[2])):
            pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(sandbox.url, timeout=5)


@pytest.fixture
def program() -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []

    def run(*options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "shell_ev.sandbox", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_serves_until_a_signal(program: Any, number: signal.Signals) -> None:
    credentials = ("--client-id", "me", "--client-secret", "s $1")
    process = program("--port", "0", *credentials, "--speed", "600", "--stations", "5")
    ready = READY.fullmatch(process.stdout.readline())
    assert ready is not None
    assert [process.stdout.readline() for _ in range(4)] == [
        f"# console on {ready[1]}/\n",
        f"export SHELL_EV_BASE_URL={ready[1]}\n",
        "export SHELL_EV_CLIENT_ID=me\n",
        "export SHELL_EV_CLIENT_SECRET='s $1'\n",
    ]
    form = b"grant_type=client_credentials&client_id=me&client_secret=s+%241"
    with urllib.request.urlopen(ready[1] + "/v2/oauth/token", data=form, timeout=5) as reply:
        assert reply.status == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=5)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_one_clear_line(program: Any) -> None:
    first = program("--port", "0", "--stations", "0")
    ready = READY.fullmatch(first.stdout.readline())
    assert ready is not None
    second = program("--port", ready[2])
    out, err = second.communicate(timeout=5)
    assert (second.returncode, out) == (1, "")
    assert err.startswith(f"shell_ev sandbox cannot listen on 127.0.0.1:{ready[2]}: ")
    assert err.count("\n") == 1


def test_it_shares_nothing_with_the_client() -> None:
    for source in (ROOT / "shell_ev" / "sandbox").glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (shell_ev[\w.]*)", source.read_text("utf-8"), re.MULTILINE)
        assert all(name.startswith("shell_ev.sandbox") for name in imported), source
