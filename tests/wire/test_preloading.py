"""After ``preload()`` nothing is imported, opened or generated on an event loop, which some hosts report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from shell_ev.sandbox import Sandbox

GUARDS = '''
import asyncio, builtins, gc, glob, http.client, importlib, json, logging, os, pathlib, pickle, socket, ssl, sys
import threading, time, traceback
import shell_ev

reports = []

def on_a_loop():
    return asyncio._get_running_loop() is not None

def report(what, argument):
    if not on_a_loop() or os.environ.get("quiet"):
        return
    os.environ["quiet"] = "1"
    stack = [line for line in traceback.format_stack() if "shell_ev" in line or "aiohttp" in line]
    del os.environ["quiet"]
    reports.append(f"{what}({argument}): " + (stack[-1].strip().splitlines()[0] if stack else "?"))

def guard(owner, name, is_allowed=lambda *_, **__: False):
    original = getattr(owner, name)
    def guarded(*args, **named):
        if not is_allowed(*args, **named):
            report(name, repr(args[-1:])[:80])
        return original(*args, **named)
    setattr(owner, name, guarded)

def watch():
    """As Home Assistant guards its loop (block_async_io), and the interpreter's own audit events besides."""
    guard(importlib, "import_module", lambda name, *_: name in sys.modules)
    guard(builtins, "open", lambda path, *_, **__: str(path).startswith("/proc"))
    for owner, name in (
        (glob, "glob"), (glob, "iglob"), (os, "walk"), (os, "listdir"), (os, "scandir"), (time, "sleep"),
        (pathlib.Path, "open"), (pathlib.Path, "read_text"), (pathlib.Path, "read_bytes"),
        (pathlib.Path, "write_text"), (pathlib.Path, "write_bytes"),
        (ssl.SSLContext, "load_default_certs"), (ssl.SSLContext, "load_verify_locations"),
        (ssl.SSLContext, "load_cert_chain"), (ssl.SSLContext, "set_default_verify_paths"),
        (http.client.HTTPConnection, "putrequest"),
        (socket, "getaddrinfo"), (socket, "gethostbyname"), (socket, "create_connection"),
        (socket.socket, "connect"), (socket.socket, "recv"), (socket.socket, "sendall"),
    ):
        if owner is socket.socket:
            # Blocking sockets only: asyncio's own never block.
            guard(owner, name, lambda sock, *_, **__: sock.gettimeout() == 0)
        else:
            guard(owner, name)
    events = {"import", "open", "exec", "compile", "os.listdir", "os.scandir", "glob.glob", "subprocess.Popen"}
    events |= {"socket.getaddrinfo", "socket.gethostbyname"}
    sys.addaudithook(lambda event, args: report("audit " + event, repr(args[:1])[:80]) if event in events else None)
'''

WALK = """
from shell_ev import *

URL, ID, SECRET, CLOSED = sys.argv[1:5]
CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"
SESSION = "00000000-0000-4000-8000-000000000000"
logging.basicConfig(level=logging.DEBUG, stream=open(os.devnull, "w"))
ours = ssl.create_default_context()
quick = Polling(eager=0.01, steady=0.01, patient=0.01, started=0.01)

async def failing(awaitable):
    try:
        await awaitable
    except ShellEVError as error:
        return [str(error), repr(error), pickle.loads(pickle.dumps(error)), error.outcome_unknown]
    raise SystemExit("it did not fail")

async def through(ev):
    for answer in (
        await ev.locations.list(per_page=5), await ev.locations.nearby(52.0, 5.0),
        await ev.locations.markers(west=3.0, south=50.0, east=8.0, north=54.0, zoom=5),
        await ev.charging.active(CARD),
    ):
        repr(answer), len(answer.headers), answer.problems
    async for location in ev.locations.iterate(per_page=20):
        await ev.locations.get(location.uid)
        repr(location)
        break
    async with ev.charge(CARD, EVSE, polling=quick) as charge:
        await charge.refresh()
        async for _ in ev.follow([charge.session_id], polling=quick):
            break
    async for _ in charge.changes():
        pass
    charge = await ev.start_charge(CARD, EVSE, polling=quick)
    await charge.wait_started()
    await ev.attach(charge.session_id, polling=quick).stop()
    await failing(ev.charging.retrieve(SESSION))
    await failing(ev.charging.stop(SESSION))
    await failing(ev.charging.start(CARD, "no EVSE"))
    await failing(ev.reconcile(ValueError()))

async def walk():
    EmaId.parse(CARD), EvseId.parse(EVSE)
    for version in ApiVersion:
        async with AsyncShellEV(ID, SECRET, base_url=URL, api_version=version, timeout=20) as ev:
            await through(ev)
            copy = ev.with_options(max_retries=0, observer=(), user_agent_suffix="x")
            await copy.charging.active(CARD)
    async with AsyncShellEV(ID, SECRET, base_url=URL.replace("127.0.0.1", "localhost"), ssl=ours, trust_env=True) as ev:
        await ev.charging.active(CARD)
        await ev.locations.nearby(latitude=1e-7, longitude=1e-7)
    for url in (CLOSED, URL.replace("http:", "https:"), "http://ev.invalid", "http://b\\u00fccher.invalid"):
        async with AsyncShellEV(ID, SECRET, base_url=url, max_retries=0) as ev:
            await failing(ev.charging.active(CARD))
    environment = {"SHELL_EV_CLIENT_ID": ID, "SHELL_EV_CLIENT_SECRET": "x", "SHELL_EV_BASE_URL": URL}
    async with AsyncShellEV.from_env(environment) as ev:
        await failing(ev.charging.active(CARD))
    async with shell_ev.AsyncShellEV(token_source=StaticToken("t"), base_url=URL, max_retries=0) as ev:
        await failing(ev.charging.start(CARD, EVSE))
    # The blocking twin in a running loop, as in a notebook: its call blocks by its nature, nothing else does.
    with ShellEV(ID, SECRET, base_url=URL) as ev:
        ev.charging.active(CARD)
        with ev.charge(CARD, EVSE, polling=quick) as charge:
            charge.refresh()
        list(ev.attach(charge.session_id).changes())

def main():
    watch()
    before = set(sys.modules)
    asyncio.run(walk())
    reports.extend(f"import {name}" for name in sorted(set(sys.modules) - before))
    print(json.dumps(reports[:50]))
"""


def walked(sandbox: Sandbox, closed_port: int, engine: str, before: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHELL_EV")}
    done = subprocess.run(
        [sys.executable, "-c", GUARDS + textwrap.dedent(before) + WALK + "main()",
         sandbox.url, sandbox.client_id, sandbox.client_secret, f"http://127.0.0.1:{closed_port}"],
        env=environment | {"SHELL_EV_ENGINE": engine},
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.fixture
def quick_sandbox() -> Any:
    with Sandbox(stations=30) as sandbox:
        sandbox.start_delay = sandbox.stop_delay = 0.0
        yield sandbox


@pytest.mark.parametrize("engine", ["cattrs", "auto"])
def test_nothing_is_imported_opened_or_generated_on_a_loop(
    quick_sandbox: Sandbox, closed_port: int, engine: str
) -> None:
    assert walked(quick_sandbox, closed_port, engine, "shell_ev.preload()") == []


def test_the_guards_see_what_is_done_without_it(quick_sandbox: Sandbox, closed_port: int) -> None:
    found = "\n".join(walked(quick_sandbox, closed_port, "cattrs", ""))
    for event in ("audit import", "audit open", "audit exec"):
        assert event in found


def test_a_name_of_a_loaded_module_is_not_imported_again() -> None:
    program = """
import importlib, sys
import shell_ev.client, shell_ev.testing.clock
asked = []
real = importlib.import_module
importlib.import_module = lambda name, package=None: (asked.append((name, package)), real(name, package))[1]
import shell_ev.testing
shell_ev.AsyncShellEV, shell_ev.testing.ControlledTime
assert asked == [], asked
shell_ev.ShellEV, shell_ev.testing.ControlledSandbox
assert asked == [("shell_ev.sync", None), ("shell_ev.testing.sandbox", None)], asked
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(__file__).parents[2])


def test_any_number_of_threads_may_preload_at_once() -> None:
    program = """
import sys, threading
sys.setswitchinterval(1e-5)
import shell_ev
errors = []
def work():
    try:
        shell_ev.preload()
        assert "shell_ev.core.transport" in sys.modules
        from shell_ev import AsyncShellEV
        AsyncShellEV("id", "secret")
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not errors, errors
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_it_can_run_in_an_executor_of_a_running_loop() -> None:
    program = """
import asyncio, sys
import shell_ev
async def main():
    await asyncio.get_running_loop().run_in_executor(None, shell_ev.preload)
    before = set(sys.modules)
    async with shell_ev.AsyncShellEV("id", "secret"):
        pass
    assert set(sys.modules) == before
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
