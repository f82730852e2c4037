"""Screens of a real terminal at 60, 100 and 180 columns. ``CLI_SCREENS=FOLDER`` keeps each as a picture to look at."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_processes import CARD, EVSE, SECRET
from screens import Screen, picture_of
from terminals import Terminal

from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import Sandbox

pytestmark = pytest.mark.servers

Open = Callable[..., Terminal]
POINT = "52.3791,4.9003"
COPIED = re.compile(r"^\s*(shell-ev |https?://)|^(show|stop) it: ")
SCREENS: dict[str, tuple[str, ...]] = {
    "nearby": ("nearby", POINT, "--limit", "4", "--provider", "TNM", "--energy", "40", "--minutes", "45"),
    "location": ("location", "1", "--provider", "TNM"),
    "locations": ("locations", "--country", "LU"),
    "charge": ("charge", CARD, EVSE, "--stop-after", "1s"),
    "doctor": ("doctor",),
    "help": ("nearby", "--help"),
    "error": ("show", "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11"),
}


@pytest.fixture
def terminal(variables: dict[str, str]) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*words: str, env: dict[str, str] | None = None, **how: int) -> Terminal:
        opened.append(Terminal(*words, variables={**variables, "PAGER": "cat", **(env or {})}, **how))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.mark.parametrize("columns", [60, 100, 180])
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_of_a_real_terminal_fits(terminal: Open, sandbox: Sandbox, name: str, columns: int) -> None:
    shown = terminal(*SCREENS[name], columns=columns)
    assert shown.ends() in (ExitCode.OK, ExitCode.REFUSED)
    screen = Screen(columns).feed(shown.seen)
    assert len(screen.lines) > 2
    assert [screen.lines[row] for row in screen.broken if not COPIED.match(screen.lines[row])] == []
    if folder := os.environ.get("CLI_SCREENS"):
        picture = picture_of(screen.text, columns, f"shell-ev {name}, {columns} columns")
        (Path(folder) / f"{name}-{columns}.svg").write_text(picture)


@pytest.mark.parametrize(("key", "code"), [("y\n", ExitCode.OK), ("n\n", ExitCode.NO), ("\x03", ExitCode.INTERRUPTED)])
def test_the_question_before_a_charge_takes_an_answer_or_ctrl_c(
    terminal: Open, sandbox: Sandbox, key: str, code: ExitCode
) -> None:
    before = len(sandbox.charges)
    shown = terminal("charge", CARD, "--near", POINT, "--connector", "Type2", "--stop-after", "0.1s", columns=60)
    shown.until("[y/N]")
    shown.type(key)
    assert shown.ends() == code
    assert len(sandbox.charges) == before + (code is ExitCode.OK)
    assert Screen(60).feed(shown.seen).broken == []


def test_login_asks_and_hides_the_secret(terminal: Open, sandbox: Sandbox, tmp_path: Path) -> None:
    # The keyring of the person who runs the tests is not theirs to write to.
    no_keyring = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    empty = {"SHELL_EV_CLIENT_ID": "", "SHELL_EV_CLIENT_SECRET": "", **no_keyring}
    shown = terminal("login", "mine", env=empty, columns=60)
    shown.until("SHELL_EV_CLIENT_ID: ")
    shown.type(f"{sandbox.client_id}\n")
    shown.until("SHELL_EV_CLIENT_SECRET: ")
    shown.type(f"{SECRET}\n")
    assert shown.ends() == 0  # `ends` checks that the secret was not shown
    assert "profile mine is kept" in shown.text
    again = terminal("active", CARD, "--profile", "mine", env=empty)
    assert again.ends() == 0


def test_a_long_table_goes_through_less(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("locations", "--country", "NL", env={"PAGER": "less", "LESS": "FRX"}, columns=100)
    shown.until("Plugs (kW)")
    shown.type("q")
    assert shown.ends() == 0
    assert shown.text.count("NLD") < 120  # the rest was not shown


def test_ctrl_c_ends_watch(terminal: Open, sandbox: Sandbox) -> None:
    shown = terminal("nearby", POINT, "--limit", "2", "--watch", "--every", "0.2s", columns=60)
    shown.until("Ctrl-C ends this")
    shown.type("\x03")
    assert shown.ends() == ExitCode.INTERRUPTED
    assert max(map(len, Screen(60).feed(shown.seen).lines)) <= 60
