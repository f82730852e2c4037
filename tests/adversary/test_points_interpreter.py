"""A loop closed over an open block, or an interpreter that ends in one, leaves an ERROR line with the session."""

from __future__ import annotations

import pytest

from .support import CARD, EVSE, in_thread, run_script

_PREFACE = f"""
import asyncio, gc, logging, sys
from shell_ev import AsyncShellEV, ShellEV
logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s")
CARD, EVSE = {CARD!r}, {EVSE!r}

class Opened:
    entered = asyncio.Event()

async def hold():
    ev = AsyncShellEV.from_env()
    async with ev.charge(CARD, EVSE):
        Opened.entered.set()
        await asyncio.Event().wait()

def opened_loop():
    loop = asyncio.new_event_loop()
    task = loop.create_task(hold())
    loop.run_until_complete(Opened.entered.wait())
    return loop, task
"""
SCRIPTS = {
    "async, loop closed": "loop, task = opened_loop()\nloop.close()\n",
    "async, loop closed, block collected": "loop, task = opened_loop()\nloop.close()\ndel task\ngc.collect()\n",
    "async, interpreter ends": "loop, task = opened_loop()\n",
    "async, interpreter ends by sys.exit": "loop, task = opened_loop()\nsys.exit(0)\n",
    "async, entered by hand": (
        "loop = asyncio.new_event_loop()\n"
        "ev = AsyncShellEV.from_env()\n"
        "block = ev.charge(CARD, EVSE)\n"
        "charge = loop.run_until_complete(block.__aenter__())\n"
        "loop.close()\n"
    ),
    "blocking, interpreter ends": "ev = ShellEV.from_env()\nblock = ev.charge(CARD, EVSE)\nblock.__enter__()\n",
    "blocking, block collected": (
        "ev = ShellEV.from_env()\nblock = ev.charge(CARD, EVSE)\nblock.__enter__()\ndel block, ev\ngc.collect()\n"
    ),
    "blocking, in a daemon thread": (
        "import threading\n"
        "entered = threading.Event()\n"
        "def hold():\n"
        "    with ShellEV.from_env() as ev, ev.charge(CARD, EVSE):\n"
        "        entered.set()\n"
        "        threading.Event().wait()\n"
        "threading.Thread(target=hold, daemon=True).start()\n"
        "entered.wait(30)\n"
    ),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_an_open_block_that_is_cut_off_leaves_an_error_line_or_a_stopped_charge(case: str) -> None:
    with in_thread(start_delay=0.0) as server:
        ended = run_script(_PREFACE + SCRIPTS[case], server, "-W", "ignore")
        (session,) = server.own_sessions()
        lines = [line for line in ended.stderr.splitlines() if line.startswith("ERROR") and session.id in line]
        assert lines or session.is_over(server.clock()), ended.stderr


def test_a_block_that_was_left_leaves_no_error_line() -> None:
    script = """
async def main():
    async with AsyncShellEV.from_env() as ev, ev.charge(CARD, EVSE):
        pass
asyncio.run(main())
with ShellEV.from_env() as ev, ev.charge(CARD, EVSE):
    pass
with ShellEV.from_env() as ev, ev.charge(CARD, EVSE, keep_running=True):
    pass
"""
    with in_thread(start_delay=0.0) as server:
        ended = run_script(_PREFACE + script, server)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert len(server.running()) == 1
