"""Common mistakes of new users: refused before any output, once and in one line."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_processes import CARD, EVSE, Process, Result

from shell_ev.cli.charge_flow import ChargeRequest
from shell_ev.cli.charge_views import Event, Panel
from shell_ev.cli.output import Output
from shell_ev.cli.reporting import ExitCode
from shell_ev.cli.settings import Settings
from shell_ev.sandbox import Fault, Sandbox

Cli = Callable[..., Result]
Start = Callable[..., Process]
Wait = Callable[[Callable[[], bool]], None]


@pytest.mark.parametrize("words", [("demo", "--card", "foo"), ("doctor", "--card", "NL")], ids=lambda words: words[0])
def test_a_card_that_is_not_an_ema_id_is_refused_and_nothing_is_sent(
    cli: Cli, sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    done = cli(*words)
    assert (done.code, done.out, done.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert "--card" in done.err
    assert "14 to 19 characters" in done.err
    assert not sandbox.requests


def test_the_demo_module_refuses_a_card_that_is_not_an_ema_id(pytestconfig: pytest.Config) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shell_ev.demo", "--card", "foo"],
        cwd=pytestconfig.rootpath, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "14 to 19 characters" in done.stderr


@pytest.mark.parametrize("words", [(CARD, "NOPE"), (CARD, EVSE, "--ema-id", "x")], ids=["evse", "ema-id"])
def test_charge_prints_no_event_for_invalid_arguments(cli: Cli, sandbox: Sandbox, words: tuple[str, ...]) -> None:
    done = cli("charge", *words)
    assert (done.code, done.out, done.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert not sandbox.requests


def test_ctrl_c_before_the_start_is_sent_starts_nothing(process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
    sandbox.faults.add("token", Fault.hang())
    before = len(sandbox.charges)
    running = process("charge", CARD, EVSE)
    wait_until(lambda: any(request.operation == "token" for request in sandbox.requests))
    running.signal(signal.SIGINT)
    done = running.ends()
    assert (done.code, len(sandbox.charges)) == (ExitCode.INTERRUPTED, before)
    assert done.out.splitlines()[-1].endswith("nothing was started: interrupted before the start was sent")


def test_id_without_a_command_prints_its_help(bare: Cli) -> None:
    done = bare("id")
    assert (done.code, done.err) == (0, "")
    assert done.out == bare("id", "--help").out


@pytest.mark.parametrize("form", ["table", "csv"])
def test_locations_prints_no_titles_if_the_first_page_fails(cli: Cli, sandbox: Sandbox, form: str) -> None:
    sandbox.faults.add("locations.list", Fault.status(400))
    done = cli("locations", "--format", form)
    assert (done.code, done.out) == (ExitCode.REFUSED, "")
    done = cli("locations", "--country", "XXX", "--format", form)
    assert (done.code, len(list(csv.reader(done.out.splitlines())))) == (0, 1)


def test_updated_since_must_be_a_time(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("locations", "--updated-since", "yesterday")
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert "such as 2026-11-01T00:00:00Z" in done.err
    assert not sandbox.requests
    assert cli("locations", "--limit", "1", "--updated-since", "2020-01-01T00:00:00Z").code == 0


def test_a_refusal_includes_the_descriptions_of_the_service(cli: Cli) -> None:
    words = ("show", "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11")
    printed = json.loads(cli(*words, "--json").err)["error"]["errors"]
    description = printed[0]["description"]
    assert "ession not found" in description
    assert description in cli(*words).err


def test_one_missing_variable_is_reported_in_the_singular(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_EV_CLIENT_ID", "some-client")
    assert "SHELL_EV_CLIENT_SECRET is not set: set it, run shell-ev login" in bare("active", CARD).err


@pytest.mark.parametrize(("text", "short"), [("foo", True), ("NL-TNM-C0012204", False), ("", False)])
def test_id_check_reports_a_short_text_first(bare: Cli, text: str, short: bool) -> None:
    done = bare("id", "check", text)
    assert done.out.splitlines()[1].startswith("  too short to be an EMA-ID or EVSE id: 3 characters") is short


def test_no_answer_suggests_the_doctor(cli: Cli) -> None:
    done = cli("active", CARD, "--base-url", "http://127.0.0.1:1")
    assert (done.code, done.err.count("\n")) == (ExitCode.NO_ANSWER, 1)
    assert done.err.endswith("; try: shell-ev doctor --base-url http://127.0.0.1:1\n")


def test_a_repeated_problem_is_one_line_on_the_panel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    request = ChargeRequest(
        card=CARD, evse_id=EVSE, ema_id=None, start_timeout=1, stop_timeout=1, stop_after=None,
        keep_running=False, every=1,
    )  # fmt: skip
    panel = Panel(Output(Settings()), request)

    def problem(text: str) -> None:
        panel.show(Event(name="problem", at=datetime.now(UTC), card=CARD, evse_id=EVSE, message=text))

    for number in range(20):
        problem(f"status 500 (charging.retrieve, request {number}, 1 attempt); trying again")
    problem("something else")
    assert [count for _, count in panel._events] == [20, 1]
    for number in range(8):
        problem(f"{number} " + "a long story " * 20)
    panel._console.print(panel._picture())
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) <= 24
    assert any(re.search(r"7 a long story", line) for line in shown)


def test_an_ascii_locale_gets_three_dots_for_an_ellipsis(process: Start, tmp_path: Path) -> None:
    done = process("doctor", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}).ends()
    assert "..." in done.out
    assert "\\u2026" not in done.out
