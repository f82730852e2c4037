"""A sandbox in this process and scripts in fresh interpreters: real signals, real forks, real ends of a process."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blocking_scripts import HARD_LIMIT, Script

from shell_ev import ShellEV
from shell_ev.sandbox import Sandbox

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


#: Signals, forks, exits and threads behave differently on the two loops that a blocking client can have.
ON_BOTH_LOOPS = {"test_signals", "test_second_interrupt", "test_processes", "test_portal", "test_client"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in ON_BOTH_LOOPS:
        metafunc.parametrize("own_loop", LOOPS, indirect=True)


@pytest.fixture(autouse=True)
def own_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of loop that blocking clients have, in this process and in scripts."""
    kind: str = getattr(request, "param", "asyncio")
    monkeypatch.setenv("SHELL_EV_LOOP", kind)
    return kind


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that serves from a thread of this process."""
    with Sandbox(stations=0) as running:
        yield running


@pytest.fixture
def script(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """Runs a script against the sandbox; ``before`` comes before the library is imported."""
    started: list[Script] = []

    def start(source: str, before: str = "") -> Script:
        running = Script(sandbox, source, tmp_path, before)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def make_client(sandbox: Sandbox) -> Iterator[Callable[..., ShellEV]]:
    """Makes clients of the sandbox in this process and closes them."""
    made: list[ShellEV] = []

    def make(**options: Any) -> ShellEV:
        if "token_source" not in options:
            options |= {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        client = ShellEV(**{"base_url": sandbox.url, "max_retries": 0, **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def ev(make_client: Callable[..., ShellEV]) -> ShellEV:
    """A client of the sandbox in this process."""
    return make_client()


@pytest.fixture
def wait_until(sandbox: Sandbox) -> Callable[[Callable[[], bool]], None]:
    """Look again and again until something holds that happens in another process or thread."""

    def wait(holds: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + HARD_LIMIT
        while not holds():
            assert time.monotonic() < ends_at, "it never happened"
            time.sleep(0.002)

    return wait
