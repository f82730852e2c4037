"""A loop that is closed over an open block, or an interpreter that ends in one: an ERROR line names the session."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import pytest
from raw_servers import SESSION, RawService

LINES = """
import asyncio, atexit, gc, logging, sys, threading
from urllib.request import urlopen
from shell_ev import AsyncShellEV, Polling, ShellEV, StaticToken
CARD, EVSE, URL = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0", sys.argv[1]
OPTIONS = {"token_source": StaticToken("the-token"), "base_url": URL, "max_retries": 0}
quick = Polling(eager=0.01, steady=0.01, patient=0.01, started=0.01)
logging.basicConfig(format="%(levelname)s %(message)s")
"""


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


Run = Callable[[str], str]


@pytest.fixture
def run(service: RawService) -> Run:
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
def test_a_loop_that_is_closed_over_an_open_block(run: Run, service: RawService, ending: str) -> None:
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


def test_a_loop_in_a_daemon_thread_at_the_end_of_the_interpreter(run: Run, service: RawService) -> None:
    err = run(f"""
        {textwrap.indent(INSIDE, " " * 8).strip()}
        threading.Thread(target=lambda: asyncio.run(sit()), daemon=True).start()
        entered.wait()
    """)
    assert len(errors_of(err)) == 1, err
    assert "stop" not in service.paths


def test_a_blocking_block_in_a_daemon_thread_at_the_end_of_the_interpreter(run: Run, service: RawService) -> None:
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
def test_a_block_that_leaves_nothing_behind_is_silent(run: Run, service: RawService, how: str) -> None:
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


def test_a_loop_that_is_closed_while_a_block_is_being_entered(service: RawService, run: Run) -> None:
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


def test_a_loop_that_is_closed_over_a_start_without_an_answer(service: RawService, run: Run) -> None:
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


def test_asyncio_run_still_stops_the_charge_of_a_block_it_cancels(service: RawService, run: Run) -> None:
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
