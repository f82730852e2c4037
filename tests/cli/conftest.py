"""A sandbox in a thread, and fixtures that run commands against it, in this process or in their own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_processes import SECRET, Process, Result
from screens import FakeTerminal

from shell_ev.cli.main import main
from shell_ev.sandbox import Sandbox


@pytest.fixture(scope="session")
def listening() -> Iterator[Sandbox]:
    with Sandbox(stations=300, client_secret=SECRET) as running:
        yield running


@pytest.fixture
def sandbox(listening: Sandbox) -> Iterator[Sandbox]:
    """The sandbox without faults, delays and running charges of earlier tests."""
    listening.faults.clear()
    listening.start_delay = listening.stop_delay = 0.0
    listening.show_sessions_after = 0.0
    listening.requests.clear()
    before = len(listening.charges)
    yield listening
    for charge in listening.charges[before:]:
        listening.end_charge(charge.session_id)


@pytest.fixture
def variables(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """The environment variables of these tests."""
    return {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "SHELL_EV_BASE_URL": sandbox.url,
        "SHELL_EV_CLIENT_ID": sandbox.client_id,
        "SHELL_EV_CLIENT_SECRET": SECRET,
        "SHELL_EV_MAX_RETRIES": "0",
    }


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the variables of the environment that the tests run in."""
    for name in list(os.environ):
        if name.startswith("SHELL_EV_") or name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    # The profiles of the person who runs the tests.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restore the signal handlers: a command leaves its own in place until its process ends."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def bare(clean: None, handlers: None, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command in this process, without any variable set."""

    def run(*words: str) -> Result:
        capfd.readouterr()
        code = main(words)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert SECRET not in out + err
        return Result(int(code), out, err)

    return run


@pytest.fixture
def cli(
    bare: Callable[..., Result], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run a command in this process, against the sandbox."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return bare


@pytest.fixture
def process(variables: dict[str, str]) -> Iterator[Callable[..., Process]]:
    """Start a command in its own process, by default against the sandbox; an empty variable is unset."""
    started: list[Process] = []

    def start(*words: str, env: dict[str, str] | None = None, **how: Any) -> Process:
        started.append(Process(words, {**variables, **(env or {})}, **how))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition is true."""

    def wait(holds: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(2000):
            if holds():
                return
            pause.wait(0.005)
        raise AssertionError("the condition did not become true")

    return wait


@pytest.fixture
def screen(
    clean: None, handlers: None, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run a command in this process on a terminal of some columns; the exit code and what it wrote to both streams."""

    def run(*words: str, columns: int) -> tuple[int, str]:
        terminal = FakeTerminal()
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            patched.setenv("COLUMNS", str(columns))
            patched.setenv("LINES", "40")
            patched.setenv("TERM", "xterm-256color")
            patched.setenv("PAGER", "cat")
            patched.setattr("sys.stdout", terminal)
            patched.setattr("sys.stderr", terminal)
            code = main(words)
        written = terminal.getvalue()
        assert "Traceback" not in written
        assert SECRET not in written
        return int(code), written

    return run
