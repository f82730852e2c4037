"""What a program has imported at which moment: little for its first answer, and all of a charge before it begins."""

from __future__ import annotations

import json
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path

import pytest

import shell_ev
from shell_ev.endpoints.charging import AsyncCharging
from shell_ev.endpoints.locations import AsyncLocations

ROOT = Path(shell_ev.__file__).parents[1]

#: What a session needs nothing of, and what takes longest to import.
HEAVY = {
    "shell_ev.models.locations",
    "shell_ev.models.markers",
    "shell_ev.models.tariffs",
    "shell_ev.geojson",
    "shell_ev.sync",
    "shell_ev.sandbox",
    "shell_ev.cli",
    "shell_ev.doctor",
    "click",
    "rich",
}

_PROGRAM = """
import asyncio, json, sys
from shell_ev import AsyncShellEV, ShellEVError, StaticToken

SESSION = "78b5d7a3-bdba-43d7-9851-1c84fcddb782"
CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"
ODD, CLEAN = [{{"id": SESSION, "state": "stopped"}}], [{{"id": SESSION, "sessionState": {{"status": "stopped"}}}}]
said = [ODD]
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n"

def ours():
    rooms = ("shell_ev", "cattrs", "msgspec", "click", "rich")
    return {{name for name in sys.modules if name.partition(".")[0] in rooms}}

async def answer(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        body = json.dumps({{"requestId": SESSION, "status": "SUCCESS", "data": said[-1]}}).encode()
        writer.write(HEAD % len(body) + body)

async def failing(call):
    try:
        await call
    except ShellEVError as error:
        return error
    raise SystemExit("it did not fail")

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    here = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    async with (
        AsyncShellEV(token_source=StaticToken("t"), base_url=here) as ev,
        AsyncShellEV(token_source=StaticToken("t"), base_url="http://127.0.0.1:1", max_retries=1) as nowhere,
    ):
{body}

asyncio.run(main())
"""


def _run(body: str, engine: str = "cattrs") -> typing.Any:
    lines = "\n".join(f"        {line}" for line in body.strip().splitlines())
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(body=lines)],
        env={"PYTHONPATH": str(ROOT), "SHELL_EV_ENGINE": engine},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ENGINES = ["cattrs", "msgspec"]


@pytest.mark.parametrize("engine", ENGINES)
def test_looking_up_a_session_imports_nothing_heavy(engine: str) -> None:
    loaded = _run("said.append(CLEAN); await ev.charging.retrieve(SESSION); print(json.dumps(sorted(ours())))", engine)
    assert not HEAVY.intersection(loaded)
    assert engine in loaded


def test_a_failure_names_what_exists() -> None:
    body = """
before = ours()
error = await failing(nowhere.charging.retrieve(SESSION))
print(json.dumps([error.attempts, sorted(ours() - before)]))
"""
    assert _run(body) == [2, []]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("charge = ev.attach(SESSION)", "await charge.stop()"),
        ("charge = nowhere.attach(SESSION)", "await failing(charge.stop(timeout=0.1))"),
        ("await failing(nowhere.charging.start(CARD, EVSE))", "await ev.attach(SESSION).stop()"),
        ("block = nowhere.charge(CARD, EVSE)", "await failing(block.__aenter__())"),
        ("await ev.charging.retrieve(SESSION)", "await failing(nowhere.charging.stop(SESSION))"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_imported_on_the_way_of_a_stop(before: str, after: str, engine: str) -> None:
    assert _run(f"{before}\nbefore = ours()\n{after}\nprint(json.dumps(sorted(ours() - before)))", engine) == []


def test_locations_come_when_they_are_asked_for() -> None:
    body = """
before = ours()
assert ev.locations is ev.locations
print(json.dumps(["shell_ev.models.locations" in before, "shell_ev.models.locations" in ours()]))
"""
    assert _run(body) == [False, True]


METHODS = [
    pytest.param(method, id=f"{group.__name__}.{name}")
    for group in (shell_ev.AsyncShellEV, shell_ev.ShellEV, shell_ev.AsyncCharge, AsyncCharging, AsyncLocations)
    for name, method in vars(group).items()
    if callable(method) and not name.startswith("_")
]


@pytest.mark.parametrize("method", METHODS)
def test_annotations_can_be_evaluated(method: Callable[..., object]) -> None:
    assert typing.get_type_hints(method)
