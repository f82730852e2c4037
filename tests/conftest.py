"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Generator

import pytest

from shell_ev.client import AsyncShellEV
from shell_ev.core.auth import ClientCredentials
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.core.transport import Transport
from shell_ev.options import make_config
from shell_ev.sandbox import Sandbox

#: These need forks, POSIX signals or pseudo terminals, which Windows does not have.
collect_ignore_glob = (
    ["blocking/test_processes.py", "blocking/test_*signals.py", "cli/*", "docs/test_examples.py", "examples/*"]
    if os.name == "nt"
    else []
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which .ci/run starts pytest: what is left out there is left out unseen."""
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped has failed")


def _refuse_skip(config: pytest.Config, report: pytest.CollectReport | pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("no_skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason} (--no-skips)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --no-skips, a skipped test has failed."""
    report = yield
    _refuse_skip(item.config, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With --no-skips, a file that skips itself has failed."""
    report = yield
    _refuse_skip(collector.config, report)
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Undo ignored signals that a background job or nohup passes on: Python installs no handler for them.

    A process started by a test inherits the ignored signal as well, unless this process handles it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.name == "posix" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A listening sandbox with the named stations alone."""
    async with Sandbox(stations=0) as running:
        yield running


@pytest.fixture
def closed_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def hasty(sandbox: Sandbox) -> AsyncIterator[AsyncShellEV]:
    """A client of the sandbox over real sockets whose waits between tries are as short as they get."""
    config = make_config(base_url=sandbox.url, timeout=5)
    source = ClientCredentials(sandbox.client_id, sandbox.client_secret)
    hooks = Hooks(jitter=lambda _: 0.0)
    async with AsyncShellEV._over(SessionManager(config, source, lambda: Transport(config, None), hooks=hooks)) as ev:
        yield ev
