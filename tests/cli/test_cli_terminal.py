"""Terminals: the live panel, colours, the progress display; plain lines on other outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_processes import CARD, EVSE, SECRET, Process
from terminals import Terminal

from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import FAILING_STOP_EVSE, Fault, Sandbox

#: Real processes and terminals: half a minute and more.
pytestmark = pytest.mark.servers

Start = Callable[..., Process]
Open = Callable[..., Terminal]
Wait = Callable[[Callable[[], bool]], None]
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-9]|4[0-9]|9[0-7])(?:;\d+)*m")


@pytest.fixture
def terminal(variables: dict[str, str]) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*words: str, env: dict[str, str] | None = None, **how: int) -> Terminal:
        opened.append(Terminal(*words, variables={**variables, **(env or {})}, **how))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_the_live_panel_shows_the_charge_until_it_is_stopped(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("charge", CARD, EVSE, "--stop-after", "1h")
    shown.until("Ctrl-C stops the charge.")
    shown.until("0:00:01, stops at 1:00:00")  # it is redrawn
    shown.type("\x03")
    shown.until("The charge is stopped.")
    assert shown.ends() == ExitCode.INTERRUPTED
    assert sandbox.charges[-1].is_over
    text = shown.text
    for part in ("╭─ shell-ev charge", "State    charging", f"EVSE     {EVSE}", sandbox.charges[-1].session_id):
        assert part in text
    assert "Ctrl-C: stopping the charge, please wait; again ends at once" in text
    # It is redrawn in place, coloured, and the cursor is shown again at the end.
    assert "\x1b[1A" in shown.seen
    assert COLOUR.search(shown.seen)
    assert shown.seen.count("\x1b[?25l") == shown.seen.count("\x1b[?25h") == 1


def test_the_panel_does_not_show_stopped_for_a_charge_that_never_started(
    terminal: Open, sandbox: Sandbox, wait_until: Wait
) -> None:
    sandbox.faults.add("token", Fault.hang())
    shown = terminal("charge", CARD, EVSE)
    wait_until(lambda: any(request.operation == "token" for request in sandbox.requests))
    shown.type("\x03")
    assert shown.ends() == ExitCode.INTERRUPTED
    assert "Nothing was started." in shown.text
    assert "The charge is stopped." not in shown.text


def test_a_second_ctrl_c_on_a_terminal_prints_a_red_alarm(terminal: Open, sandbox: Sandbox, wait_until: Wait) -> None:
    sandbox.faults.add("charging.stop", Fault.hang(after_effect=False))
    shown = terminal("charge", CARD, EVSE)
    shown.until("State    charging")
    shown.type("\x03")
    wait_until(lambda: any(request.operation == "charging.stop" for request in sandbox.requests))
    shown.type("\x03")
    assert shown.ends() == ExitCode.OUTCOME_UNKNOWN
    assert "THE CAR MAY STILL BE CHARGING." in shown.text
    assert "\x1b[1;31mCAREFUL, A CAR MAY BE CHARGING\x1b[0m: interrupted again before session" in shown.seen


def test_a_closed_terminal_stops_the_charge(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("charge", CARD, EVSE)
    shown.until("State    charging")
    shown.hang_up()
    assert shown.ends() == ExitCode.HUNG_UP
    assert sandbox.charges[-1].is_over


def test_keep_running_on_a_terminal_leaves_the_charge_running(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("charge", CARD, EVSE, "--keep-running")
    shown.until("State    charging")
    shown.type("\x03")
    shown.until("The charge is still running.")
    assert shown.ends() == ExitCode.INTERRUPTED
    charge = sandbox.charges[-1]
    assert shown.text.splitlines()[-1] == f"stop it with: shell-ev stop {charge.session_id}"
    sandbox.end_charge(charge.session_id)
    shown = terminal("charge", CARD, EVSE, "--keep-running")
    shown.until("State    charging")
    shown.hang_up()
    assert shown.ends() == ExitCode.HUNG_UP
    assert sandbox.charges[-1].is_running


@pytest.mark.parametrize("how", ["NO_COLOR", "--no-color"])
def test_no_color_prints_no_colours(terminal: Open, sandbox: Sandbox, how: str) -> None:
    words = ["--no-color"] if how == "--no-color" else []
    shown = terminal("charge", CARD, FAILING_STOP_EVSE, "--stop-after", "0.1s", "--stop-timeout", "0.2s", *words,
                     env={"NO_COLOR": "1"} if how == "NO_COLOR" else {})  # fmt: skip
    assert shown.ends() == ExitCode.OUTCOME_UNKNOWN
    assert "THE CAR MAY STILL BE CHARGING." in shown.text
    assert "shell-ev: CAREFUL, A CAR MAY BE CHARGING: session" in shown.seen
    assert not COLOUR.search(shown.seen)


def test_the_panel_fits_a_narrow_terminal(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("charge", CARD, EVSE, "--stop-after", "0.1s", columns=60)
    assert shown.ends() == 0
    lines = re.split(r"[\r\n]+", shown.text)
    # Four columns are left for the terminal's echo of Ctrl-C.
    assert max(map(len, lines)) == 56
    assert sandbox.charges[-1].session_id in shown.text


def test_a_dumb_terminal_gets_plain_lines(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("charge", CARD, EVSE, "--stop-after", "0.1s", env={"TERM": "dumb"})
    assert shown.ends() == 0
    assert "\x1b" not in shown.seen
    assert "stopped after" in shown.seen


def test_log_lines_are_printed_above_the_panel(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("charge", CARD, EVSE, "-vv", "--stop-after", "0.1s", columns=120)
    assert shown.ends() == 0
    # A line printed directly would begin at the end of the panel.
    assert re.search(r"\r20\d\d-\S+ \S+ DEBUG", shown.text)
    assert not re.search(r"╯20\d\d-", shown.text)


def test_ask_prompts_for_credentials_and_hides_the_secret(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("active", CARD, "--ask", "--json", env={"SHELL_EV_CLIENT_ID": "", "SHELL_EV_CLIENT_SECRET": ""})
    shown.until("SHELL_EV_CLIENT_ID: ")
    shown.type(f"{sandbox.client_id}\n")
    shown.until("SHELL_EV_CLIENT_SECRET: ")
    shown.type(f"{SECRET}\n")
    assert shown.ends() == 0  # `ends` checks that the secret was not shown
    assert '"sessions": []' in shown.text


def test_ctrl_c_at_the_prompt_exits_with_130(terminal: Open) -> None:
    shown = terminal("active", CARD, "--ask", env={"SHELL_EV_CLIENT_ID": "", "SHELL_EV_CLIENT_SECRET": ""})
    shown.until("SHELL_EV_CLIENT_ID: ")
    # input() misses a Ctrl-C between its prompt and its first read; a person is not that fast.
    for _ in range(20):
        shown.type("\x03")
        if shown.has_ended_within(1.0):
            break
    assert shown.ends() == ExitCode.INTERRUPTED
    assert shown.seen.endswith("\n")


def test_a_long_list_shows_its_progress_on_the_terminal(terminal: Open, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.add("locations.list", Fault.delay(1.3), after=1)
    with (tmp_path / "out").open("w") as file:
        shown = terminal("locations", "--format", "ndjson", "--per-page", "200", stdout=file.fileno())
        shown.until("200 locations")
        assert shown.ends() == 0
    assert f"shell-ev: {len((tmp_path / 'out').read_text().splitlines())} locations" in shown.text


def test_no_progress_is_shown_beside_the_lines_or_without_a_terminal(
    terminal: Open, process: Start, sandbox: Sandbox
) -> None:
    shown = terminal("locations", "--limit", "2", columns=80)
    assert shown.ends() == 0
    assert "\x1b" not in shown.seen
    assert [len(line) <= 80 for line in shown.seen.splitlines()] == [True] * 4
    done = process("locations", "--limit", "2").ends()
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        "nearby 49.6117 6.13 --limit 1",
        "locations --country LUX --limit 1",
        "id check é",
        f"charge {CARD} {EVSE} --stop-after 0.1s",
    ],
)
def test_without_a_terminal_the_output_is_plain_text(process: Start, words: str) -> None:
    done = process(*words.split()).ends()
    assert done.out
    assert all(char.isprintable() or char == "\n" for char in done.out)
    assert all(line == line.rstrip() for line in done.out.splitlines())


@pytest.mark.parametrize(
    "encoding", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_an_ascii_output_gets_question_marks_except_in_data(process: Start, encoding: dict[str, str]) -> None:
    words = ("locations", "--country", "LUX", "--limit", "1")
    done = process(*words, env=encoding).ends()
    assert (done.code, done.err) == (0, "")
    assert "12 Rue du Mod?le" in done.out
    # Data for programs are complete.
    assert "12 Rue du Modèle" in process(*words, "--format", "csv", env=encoding).ends().out
    assert "Mod\\u00e8le" in process(*words, "--format", "json", env=encoding).ends().out
    assert "Mod?le" in process("nearby", "49.6117", "6.13", "--limit", "1", env=encoding).ends().out


def test_the_panel_is_ascii_on_an_ascii_terminal(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("charge", CARD, EVSE, "--stop-after", "0.1s", env={"PYTHONIOENCODING": "ascii"})
    assert shown.ends() == 0
    assert "+- shell-ev charge" in shown.text
    assert shown.seen.isascii()


def test_a_closed_stderr_does_not_change_the_exit_code(process: Start, sandbox: Sandbox) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    running = process("show", "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11", stderr=writing)
    os.close(writing)
    assert running.ends().code == ExitCode.REFUSED
