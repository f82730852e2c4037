"""The pictures of docs/command-line.md show what the commands print. ``CLI_PICTURES=write`` draws them anew."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from cli_processes import CARD, EVSE, ROOT
from rich.console import Console
from rich.text import Text
from screens import Screen, picture_of

from shell_ev.cli.charge_flow import ChargeFlow
from shell_ev.cli.charge_views import Panel
from shell_ev.sandbox import Sandbox

Shown = Callable[..., tuple[int, str]]
FOLDER = ROOT / "docs" / "pictures"
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
COLUMNS = 100
COMMANDS = {
    "nearby": "nearby 52.3731,4.8932 --limit 4 --provider TNM --energy 40 --minutes 45",
    "location": "location 12115 --provider TNM",
    "charge": f"charge {CARD} '{EVSE}' --stop-after 1h30m",
}


class Noon(datetime):
    """A clock that stands still: tariffs depend on the time."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime(2026, 11, 27, 12)


@pytest.fixture(scope="module")
def whole() -> Iterator[Sandbox]:
    """A sandbox with all of its stations, which nothing else has used: its session ids are the same in each run."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def variables(whole: Sandbox, tmp_path: Any) -> dict[str, str]:
    whole.start_delay = whole.stop_delay = 0.0
    return {**whole.env, "XDG_CONFIG_HOME": str(tmp_path)}


@pytest.fixture
def drawn(screen: Shown, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run a command and draw its screen."""

    def draw(name: str) -> str:
        if name == "charge":
            shown = charging(screen, monkeypatch)
        else:
            monkeypatch.setattr("shell_ev.cli.nearby.datetime", Noon)
            code, written = screen(*COMMANDS[name].split(), columns=COLUMNS)
            assert code == 0
            shown = Screen(COLUMNS).feed(written).text
        prompt = Text.assemble(("$ ", "dim"), (f"shell-ev {COMMANDS[name]}", "bold"), "\n\n")
        return picture_of(Text.assemble(prompt, shown), COLUMNS, f"shell-ev {name}")

    return draw


def charging(screen: Shown, monkeypatch: pytest.MonkeyPatch) -> Text:
    """The panel of a charge that runs, twelve minutes later."""
    began = datetime(2026, 11, 27, 10, 5, 4)
    moments = iter([began, began + timedelta(seconds=1), began + timedelta(seconds=22)])

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return next(moments, began)

    frames: list[str] = []
    draw = Panel._draw

    def recorded(panel: Panel) -> None:
        draw(panel)
        if panel._last is not None and panel._last.name == "state" and panel._flow is not None:
            console = Console(file=io.StringIO(), force_terminal=True, width=COLUMNS, color_system="standard")
            console.print(panel._picture())
            assert isinstance(console.file, io.StringIO)
            frames.append(console.file.getvalue())

    monkeypatch.setattr("shell_ev.cli.charge_flow.datetime", Clock)
    monkeypatch.setattr("shell_ev.cli.charge_views._REFRESH", 0.01)
    monkeypatch.setattr(ChargeFlow, "elapsed", 751.0)
    monkeypatch.setattr(ChargeFlow, "checked_ago", 12.0)
    monkeypatch.setattr(Panel, "_draw", recorded)
    monkeypatch.setattr("shell_ev.cli.charge_views.clock", _clock)
    code, _ = screen("charge", CARD, EVSE, "--stop-after", "0.1s", columns=COLUMNS)
    assert code == 0
    return Screen(COLUMNS).feed(frames[-1].rstrip()).text


def _clock(seconds: float) -> str:
    # The charge of the test is stopped after a tenth of a second, the one of the picture after an hour and a half.
    return {751.0: "0:12:31", 0.1: "1:30:00"}[seconds]


def texts(svg: str) -> list[str]:
    """What a picture says, whatever version of rich has drawn it."""
    found = re.findall(r"<text [^>]*>([^<]*)</text>", svg)
    return [text for text in (item.replace("&#160;", " ").strip() for item in found) if text]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_of_the_docs_shows_what_the_command_prints(drawn: Callable[[str], str], name: str) -> None:
    svg = drawn(name)
    path = FOLDER / f"cli-{name}.svg"
    if os.environ.get("CLI_PICTURES") == "write":
        path.write_text(svg, encoding="utf-8")
    assert texts(path.read_text(encoding="utf-8")) == texts(svg), "draw it anew with CLI_PICTURES=write"
    assert f"(pictures/cli-{name}.svg)" in PAGE


def test_a_picture_says_what_is_on_the_screen() -> None:
    svg = picture_of(Screen(20).feed("one \x1b[1mtwo\x1b[0m\r\nthree\n").text, 20, "title")
    assert texts(svg)[-3:] == ["one", "two", "three"]
