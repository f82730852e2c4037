"""The pytest plugin: fixtures, the marker, and the sandbox's story in the report of a failed test. Needs pytest.

Every fixture is synchronous and opens nothing on an event loop, so each works with any async plugin, or none. Every run
of pytest imports this module, so it imports late what only these fixtures need.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from ..client import AsyncShellEV
    from ..sync import ShellEV
    from .clock import ControlledTime
    from .options import ClientOptions, SandboxOptions
    from .sandbox import ControlledSandbox

_MARKER = (
    "shell_ev(**options): how shell_ev sets this test up; any of the options of its sandbox (stations, seed, "
    "token_lifetime, start_delay, stop_delay, show_sessions_after) and of its clients (api_version, timeout, "
    "max_retries, ...)"
)
_TRIO = (
    "shell_ev runs on asyncio, and this test runs on trio. Let the fixture anyio_backend return 'asyncio' for tests "
    "that use it, or use shell_ev_blocking_client in a thread"
)

_sandboxes = pytest.StashKey["ControlledSandbox"]()
_failed = pytest.StashKey[bool]()
_watched_to_the_end = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what happened in the sandbox to the report of a failed test."""
    report = yield
    sandbox = item.stash.get(_sandboxes, None)
    if report.failed:
        item.stash[_failed] = True
        story = "" if sandbox is None else sandbox.story()
        if sandbox is not None and sandbox.requests and story not in str(call.excinfo and call.excinfo.value):
            report.sections.append((f"shell_ev sandbox, {sandbox.time.elapsed:g} s of test time", story))
    if report.when == "teardown" and sandbox is not None:
        del item.stash[_sandboxes]
    return report


@pytest.fixture
def shell_ev_sandbox_options() -> SandboxOptions:
    """Options of the sandbox for many tests: override this. Those of the marker ``shell_ev`` win over them."""
    return {}


@pytest.fixture
def shell_ev_client_options() -> ClientOptions:
    """Options of the clients for many tests: override or parametrise this. Those of the marker win over them."""
    return {}


@pytest.fixture
def shell_ev_time() -> Generator[ControlledTime]:
    """The clock of this test: it stands still, is moved by ``advance``, and jumps when all clients only wait."""
    from .clock import ControlledTime

    with ControlledTime() as time:
        yield time


@pytest.fixture
def shell_ev_sandbox(
    request: pytest.FixtureRequest,
    shell_ev_time: ControlledTime,
    shell_ev_sandbox_options: SandboxOptions,
    shell_ev_client_options: ClientOptions,
) -> Generator[ControlledSandbox]:
    """A fresh sandbox that speaks all three dialects, on the clock of this test."""
    from .options import ClientOptions, SandboxOptions
    from .sandbox import ControlledSandbox

    marked = _marked(request.node, {*SandboxOptions.__annotations__, *ClientOptions.__annotations__})
    client_options: Any = {**shell_ev_client_options, **_of(ClientOptions.__annotations__, marked)}
    options: Any = {**shell_ev_sandbox_options, **_of(SandboxOptions.__annotations__, marked)}
    with ControlledSandbox(time=shell_ev_time, client_options=client_options, **options) as sandbox:
        stash = request.node.stash
        stash[_sandboxes] = sandbox
        yield sandbox
        # Here and not where it was asked for: by now everything that may stop a charge on its way out has done so.
        if stash.get(_watched_to_the_end, False) and not stash.get(_failed, False):
            problem = ""
            try:
                sandbox.assert_nothing_running()
            except AssertionError as error:
                problem = str(error)
            if problem:
                pytest.fail(problem, pytrace=False)


@pytest.fixture
def shell_ev_client(request: pytest.FixtureRequest, shell_ev_sandbox: ControlledSandbox) -> AsyncShellEV:
    """An AsyncShellEV on this test's sandbox. It need not be closed."""
    _refuse_trio(request)
    return shell_ev_sandbox.client()


@pytest.fixture
def shell_ev_blocking_client(shell_ev_sandbox: ControlledSandbox) -> ShellEV:
    """A ShellEV on this test's sandbox. It need not be closed."""
    return shell_ev_sandbox.blocking_client()


@pytest.fixture
def shell_ev_env(shell_ev_sandbox: ControlledSandbox, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """``SHELL_EV_*`` variables that lead ``from_env()`` to this test's sandbox, and no others."""
    import os

    for name in list(os.environ):
        if name.startswith("SHELL_EV_"):
            monkeypatch.delenv(name)
    for name, value in shell_ev_sandbox.env.items():
        monkeypatch.setenv(name, value)
    return shell_ev_sandbox.env


@pytest.fixture
def shell_ev_store(tmp_path: Path) -> Path:
    """Path of a fresh SQLite store. Each client that gets it as ``store=`` is like a process of its own."""
    return tmp_path / "charges.sqlite3"


@pytest.fixture
def shell_ev_nothing_left_running(request: pytest.FixtureRequest, shell_ev_sandbox: ControlledSandbox) -> None:
    """A test that passed is an error after all if a charge is left running at its very end. For ``usefixtures``."""
    request.node.stash[_watched_to_the_end] = True


def _marked(node: pytest.Item, known: set[str]) -> dict[str, Any]:
    """The options of every marker on a test; the closest one has the last word."""
    options: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("shell_ev"))):
        if marker.args or set(marker.kwargs) - known:
            wrong = ", ".join([*map(repr, marker.args), *sorted(set(marker.kwargs) - known)])
            pytest.fail(f"the marker shell_ev knows {', '.join(sorted(known))} by name, and not {wrong}", pytrace=False)
        options |= marker.kwargs
    return options


def _of(names: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def _refuse_trio(request: pytest.FixtureRequest) -> None:
    """Fail at once under trio, where a call would find no event loop."""
    backend: Any = request.getfixturevalue("anyio_backend") if "anyio_backend" in request.fixturenames else None
    name = backend if isinstance(backend, str) else backend and backend[0]  # without options, or with
    if name == "trio" or request.node.get_closest_marker("trio") is not None:
        pytest.fail(_TRIO, pytrace=False)
