"""A loop that is closed over an open block, or an interpreter that ends in one: an ERROR line names the session."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import pytest

SESSION = "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"

LINES = """
import asyncio, atexit, gc, logging, sys, threading
from urllib.request import urlopen
from shell_ev import AsyncShellEV, Polling, ShellEV, StaticToken
CARD, EVSE, URL = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0", sys.argv[1]
OPTIONS = {"token_source": StaticToken("the-token"), "base_url": URL, "max_retries": 0}
quick = Polling(eager=0.01, steady=0.01, patient=0.01, started=0.01)
logging.basicConfig(format="%(levelname)s %(message)s")
"""


class Service(socketserver.ThreadingTCPServer):
    """A raw server: every start is accepted, every session runs until its stop."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        self.hang_on = "nothing"
        self.hanging = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(socketserver.StreamRequestHandler):
    server: Service

    def handle(self) -> None:
        while line := self.rfile.readline():
            path = line.split()[1].decode()
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            self.rfile.read(length)
            if path == "/until-a-request-hangs":
                self.server.hanging.wait(10)
            self.server.paths.append(path.partition("?")[0].rpartition("/")[2])
            if self.server.hang_on in path:
                self.server.hanging.set()
                self.rfile.read()
                return
            state = "Stopped" if "stop" in self.server.paths else "Started"
            session = {"sessionId": SESSION, "id": SESSION, "sessionState": {"status": state}}
            body = json.dumps({"status": "SUCCESS", "data": [session]}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


Run = Callable[[str], str]


@pytest.fixture
def run(service: Service) -> Run:
    """Runs a script to its end and gives its standard error."""

    def run(source: str) -> str:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "ignore", "-c", LINES + textwrap.dedent(source), service.url],
            capture_output=True,
            text=True,
            timeout=30,
            env={name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SHELL_EV"))},
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


def errors_of(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("ERROR ") and SESSION in line]


INSIDE = """
entered = threading.Event()

async def sit(**options):
    ev = AsyncShellEV(**OPTIONS)
    async with ev.charge(CARD, EVSE, polling=quick, **options) as charge:
        entered.set()
        await asyncio.Event().wait()

async def until_entered():
    while not entered.is_set():
        await asyncio.sleep(0.001)
"""


@pytest.mark.parametrize(
    "ending",
    ["loop.close(); del task; gc.collect()", "loop.close()", "del task, loop; gc.collect()", ""],
    ids=["closed and collected", "closed", "collected", "neither"],
)
def test_a_loop_that_is_closed_over_an_open_block(run: Run, service: Service, ending: str) -> None:
    err = run(f"""
        {textwrap.indent(INSIDE, " " * 8).strip()}
        loop = asyncio.new_event_loop()
        task = loop.create_task(sit())
        loop.run_until_complete(until_entered())
        {ending}
    """)
    assert len(errors_of(err)) == 1, err
    assert "may still be charging" in err
    assert "stop" not in service.paths


def test_a_loop_in_a_daemon_thread_at_the_end_of_the_interpreter(run: Run, service: Service) -> None:
    err = run(f"""
        {textwrap.indent(INSIDE, " " * 8).strip()}
        threading.Thread(target=lambda: asyncio.run(sit()), daemon=True).start()
        entered.wait()
    """)
    assert len(errors_of(err)) == 1, err
    assert "stop" not in service.paths


def test_a_blocking_block_in_a_daemon_thread_at_the_end_of_the_interpreter(run: Run, service: Service) -> None:
    err = run("""
        ev = ShellEV(**OPTIONS)
        entered = threading.Event()

        def sit():
            with ev.charge(CARD, EVSE, polling=quick):
                entered.set()
                threading.Event().wait()

        threading.Thread(target=sit, daemon=True).start()
        entered.wait()
    """)
    assert len(errors_of(err)) == 1, err
    assert "stop" not in service.paths


@pytest.mark.parametrize("how", ["keep_running", "stopped", "left"])
def test_a_block_that_leaves_nothing_behind_is_silent(run: Run, service: Service, how: str) -> None:
    err = run(f"""
        {textwrap.indent(INSIDE, " " * 8).strip()}
        async def stop_and_sit():
            async with AsyncShellEV(**OPTIONS) as ev:
                async with ev.charge(CARD, EVSE, polling=quick) as charge:
                    await charge.stop()
                    if {how == "stopped"}:
                        entered.set()
                        await asyncio.Event().wait()
            entered.set()
        loop = asyncio.new_event_loop()
        task = loop.create_task(sit(keep_running=True) if {how == "keep_running"} else stop_and_sit())
        loop.run_until_complete(until_entered())
        loop.close()
        del task
        gc.collect()
    """)
    assert errors_of(err) == []


def test_a_loop_that_is_closed_while_a_block_is_being_entered(service: Service, run: Run) -> None:
    """The start was accepted and its session never seen started."""
    service.hang_on = "retrieve"
    err = run(f"""
        {textwrap.indent(INSIDE, " " * 8).strip()}
        loop = asyncio.new_event_loop()
        task = loop.create_task(sit())
        loop.run_until_complete(loop.run_in_executor(None, urlopen, URL + "/until-a-request-hangs"))
        loop.close()
    """)
    assert len(errors_of(err)) == 1, err


def test_a_loop_that_is_closed_over_a_start_without_an_answer(service: Service, run: Run) -> None:
    service.hang_on = "start"
    err = run(f"""
        {textwrap.indent(INSIDE, " " * 8).strip()}
        loop = asyncio.new_event_loop()
        task = loop.create_task(sit())
        loop.run_until_complete(loop.run_in_executor(None, urlopen, URL + "/until-a-request-hangs"))
        loop.close()
    """)
    lines = [line for line in err.splitlines() if line.startswith("ERROR ") and "NL*TNM*E02003451*0" in line]
    assert len(lines) == 1, err


def test_asyncio_run_still_stops_the_charge_of_a_block_it_cancels(service: Service, run: Run) -> None:
    err = run(f"""
        {textwrap.indent(INSIDE, " " * 8).strip()}
        async def main():
            task = asyncio.create_task(sit())
            await until_entered()
            globals()["kept"] = task
        asyncio.run(main())
    """)
    assert errors_of(err) == []
    assert "stop" in service.paths
