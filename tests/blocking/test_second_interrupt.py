"""A second Ctrl-C ends the clean-up at once, however soon it follows the first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import pytest
from raw_servers import SESSION, RawService

PRELUDE = """
import logging, sys, time
from shell_ev import Polling, ShellEV, StaticToken
CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"
quick = Polling(eager=0.01, steady=0.01, patient=0.01, started=0.01)
logging.basicConfig(format="%(levelname)s %(message)s")
ev = ShellEV(token_source=StaticToken("the-token"), base_url=sys.argv[1], timeout=600, max_retries=0)
"""


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(service: RawService) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(source: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(source), service.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith("SHELL_EV") or name == "SHELL_EV_LOOP"
            },
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Output of a process that must not wait for its clean-up: the stop could take two minutes more."""
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return out, err


def test_the_stop_of_a_block(service: RawService, start: Start) -> None:
    service.hang_on = "stop"
    process = start("""
        try:
            with ev.charge(CARD, EVSE, polling=quick):
                print("body", flush=True)
                time.sleep(60)
        except KeyboardInterrupt:
            print("interrupted")
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "body\n"
    process.send_signal(signal.SIGINT)
    assert service.hanging.wait(20)
    process.send_signal(signal.SIGINT)
    out, err = ended(process)
    assert out == "interrupted\n"
    [line] = [line for line in err.splitlines() if line.startswith("ERROR ")]
    assert SESSION in line
    assert "may still be charging" in line
    assert service.paths.count("stop") == 1


@pytest.mark.parametrize(
    ("hang_on", "call"),
    [("stop", "ev.start_charge(CARD, EVSE, polling=quick).stop()"), ("start", "ev.start_charge(CARD, EVSE)")],
    ids=["a stop", "a start without an answer"],
)
def test_a_call_that_survives_the_first(service: RawService, start: Start, hang_on: str, call: str) -> None:
    """Both signals reach the same call: the first cancels it, which it survives to clean up, the second ends it."""
    service.hang_on = hang_on
    process = start(f"""
        import os, signal, threading
        signals = []
        def handle(*_):
            signals.append(1)
            if len(signals) == 1:
                threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, handle)
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print(len(signals), ev.attach("{SESSION}").refresh().state)
    """)
    assert service.hanging.wait(20)
    process.send_signal(signal.SIGINT)
    out, err = ended(process)
    assert out == "interrupted\n2 started\n", "the client is usable afterwards"
    assert "may still be charging" in err
    assert service.paths.count(hang_on) == 1
