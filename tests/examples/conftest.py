"""A sandbox for the examples, and examples started by the commands of their headers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from example_processes import EXAMPLES, Running, commands_of, header_of, variables_for

from shell_ev.sandbox import Charge, Dialect, Sandbox

#: Where the servers say that they listen.
_ADDRESS = r"(?:running on|Listening at:) (http://127\.0\.0\.1:\d+)"


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """One sandbox for all the examples: most of a test's time would go into starting them anew."""
    with Sandbox(stations=0) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The sandbox as if it were fresh: nothing charging, nothing going wrong, nothing recorded, in no hurry to wait."""
    shared_sandbox.start_delay = shared_sandbox.stop_delay = 0.0
    shared_sandbox.show_sessions_after = 0.0
    shared_sandbox.requests.clear()
    shared_sandbox.charges.clear()
    yield shared_sandbox
    shared_sandbox.faults.clear()
    for charge in shared_sandbox.charges:
        shared_sandbox.end_charge(charge.session_id)


Serve = Callable[..., Running]


@pytest.fixture(scope="module")
def launch(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts an example by the n-th command of its header, on a port the system picks; ``instead`` changes
    arguments, ``further`` follow them.

    Every one is killed in the end, with all it started.
    """
    started: list[Running] = []

    def start(
        name: str,
        number: int = 0,
        folder: Path | None = None,
        instead: Mapping[str, str] | None = None,
        further: Sequence[str] = (),
        **variables: str,
    ) -> Running:
        folder = folder or tmp_path_factory.mktemp("example")
        command = commands_of(header_of(EXAMPLES / name))[number]
        ours = {
            "SHELL_EV_STORE": str(folder / "charges.sqlite3"),
            "CELERY_FILES": str(folder / "celery"),
            # Long enough for a look or two, short enough to wait for.
            "CHARGES_PATIENCE": "0.5",
        }
        changes = {"8000": "0", "127.0.0.1:8000": "127.0.0.1:0", **(instead or {})}
        arguments = [changes.get(argument, argument) for argument in command.arguments]
        running = Running(
            [*arguments, *further], {**command.variables, **variables_for(shared_sandbox), **ours, **variables}
        )
        started.append(running)
        return running

    yield start
    for running in started:
        running.kill()


@pytest.fixture(scope="module")
def serve(launch: Serve) -> Serve:
    """Starts an example that is a server, and waits until it listens."""

    def start(name: str, number: int = 0, **options: Any) -> Running:
        running = launch(name, number, **options)
        running.url = running.says(_ADDRESS)[0]
        return running

    return start


@pytest.fixture
def foreign(sandbox: Sandbox) -> Charge:
    """A charge that runs, and that no example started."""
    return sandbox.service.book.start("DE-8AC-C12345678-9", "NL*TNM*E02003452*1", None, Dialect.V2, "")


@pytest.fixture
def examples_importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder of the examples on the path, as it is for those who run them; their modules are forgotten after."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(EXAMPLES)):
            del sys.modules[name]
