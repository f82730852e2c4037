"""Every screen fits 60 columns without a word broken, and nothing of the service moves the cursor."""

from __future__ import annotations

import json
import re
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
from cli_processes import CARD, EVSE, SECRET, Result
from screens import Screen

from shell_ev.cli.main import group
from shell_ev.cli.output import wrapped
from shell_ev.sandbox import FAILING_EVSES, Fault, Sandbox

Cli = Callable[..., Result]
Shown = Callable[..., tuple[int, str]]
POINT = "52.3791,4.9003"
SESSION = "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11"
#: Lines to copy, which are not wrapped.
COPIED = re.compile(r"^\s*(shell-ev |https?://)|^(show|stop) it: ")

SCREENS: dict[str, tuple[str, ...]] = {
    "nearby": ("nearby", POINT, "--limit", "5"),
    "nearby with costs": ("nearby", POINT, "--provider", "TNM", "--energy", "40", "--minutes", "45", "--sort", "price"),
    "nothing near by": ("nearby", POINT, "--operator", "no-such-operator"),
    "location": ("location", "1", "--provider", "TNM"),
    "locations": ("locations", "--country", "LU"),
    "markers": ("markers", "--west", "4", "--south", "52", "--east", "5", "--north", "53", "--zoom", "8"),
    "charge": ("charge", CARD, EVSE, "--stop-after", "0.1s"),
    "failed charge": ("charge", CARD, FAILING_EVSES["EvseInUse"]),
    "start": ("start", CARD, EVSE),
    "active": ("active", CARD),
    "unknown session": ("show", SESSION),
    "a car may be charging": ("stop", SESSION, "--stop-timeout", "0.1s"),
    "no answer": ("active", CARD, "--base-url", "http://127.0.0.1:1"),
    "wrong value": ("nearby", "north"),
    "doctor": ("doctor",),
    "id": ("id", "check", CARD, "NL-TNM-C00122045-X", EVSE),
    "profiles": ("profiles",),
    "log": ("-vv", "active", CARD),
}


@pytest.mark.parametrize("columns", [60, 100, 180])
@pytest.mark.parametrize("name", SCREENS)
def test_every_screen_fits_without_a_word_broken(shown: Shown, name: str, columns: int) -> None:
    _, written = shown(*SCREENS[name], columns=columns)
    screen = Screen(columns).feed(written)
    assert any(screen.lines)
    assert [screen.lines[row] for row in screen.broken if not COPIED.match(screen.lines[row])] == []


@pytest.mark.parametrize("name", ["nearby with costs", "location", "locations", "doctor", "unknown session"])
def test_a_narrow_screen_has_the_words_of_a_wide_one(shown: Shown, name: str) -> None:
    def words(columns: int) -> set[str]:
        screen = Screen(columns).feed(shown(*SCREENS[name], columns=columns)[1])
        found = {word.rstrip(",") for line in screen.lines for word in line.split()}
        # Times and request ids differ from run to run.
        return {word for word in found if not re.search(r"\d{2}:\d{2}|-.*-|^\(?\d", word)}

    narrow, wide = words(60), words(400)
    assert wide - narrow <= {"Uid", "Country", "City", "Street", "Operator", "Free", "Plugs", "(kW)"}
    assert narrow - wide <= {"free", "shell-ev"}


@pytest.fixture
def shown(screen: Shown, sandbox: Sandbox) -> Shown:
    return screen


def commands(command: click.Command, path: str = "shell-ev") -> Iterator[tuple[str, click.Command]]:
    """Every command with its words, groups too."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}")


HELPS = dict(commands(group))


@pytest.mark.parametrize("path", HELPS)
def test_every_help_has_an_example_and_fits_60_columns(bare: Cli, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    wide = set(bare(*path.split()[1:], "--help").out.split())
    monkeypatch.setenv("COLUMNS", "60")
    done = bare(*path.split()[1:], "--help")
    assert done.code == 0
    text, _, examples = done.out.partition("\nExample")
    assert "shell-ev" in examples
    assert max(len(line) for line in examples.splitlines()) <= 60
    assert [line for line in text.splitlines() if len(line) > 60] == []
    assert set(text.split()) - wide == set()


def test_the_doctor_hangs_its_lines_below_what_was_seen(shown: Shown) -> None:
    lines = Screen(60).feed(shown("doctor", columns=60)[1]).lines
    first = next(line for line in lines if "configuration" in line)
    column = first.index("environment production")
    below = lines[lines.index(first) + 1]
    assert below[:column].strip() == ""
    assert below[column] != " "


def test_start_is_three_lines(shown: Shown, sandbox: Sandbox) -> None:
    lines = Screen(60).feed(shown("start", CARD, EVSE, columns=60)[1]).lines
    session_id = sandbox.charges[-1].session_id
    assert lines == [
        f"accepted, session {session_id}",
        f"show it: shell-ev show {session_id}",
        f"stop it: shell-ev stop {session_id}",
        "",
    ]


def test_words_are_wrapped_and_never_broken() -> None:
    assert wrapped("a bb ccc dddd", 6) == ["a bb", "  ccc", "  dddd"]
    assert wrapped("a-very-long-word b", 6) == ["a-very-long-word", "  b"]
    assert wrapped("x  y", 6, "") == ["x  y"]
    assert wrapped("充電 充電 充電", 9, "") == ["充電 充電", "充電"]  # two columns each letter


# What the service sends

#: Colour, title of the window, bell, the one-byte form of an escape sequence, a letter that turns the direction round.
EVIL = "\x1b[7;35;5m\x1b]0;evil\x07\x9b31m\u202e\r\nnext"
#: Keys whose values are read as times, numbers or names of the contract: with more in them the value is left out.
KEPT = {"requestId", "status", "startDateTime", "endDateTime", "lastUpdated", "id", "weekDay", "markerType"}


def poisoned(value: Any, key: str = "") -> Any:
    """A document with control characters in each text."""
    if isinstance(value, dict):
        return {name: poisoned(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    return f"{value}{EVIL}" if isinstance(value, str) and key not in KEPT else value


def answer(sandbox: Sandbox, path: str) -> bytes:
    """What the sandbox answers, with control characters in each text."""
    pair = b64encode(f"{sandbox.client_id}:{SECRET}".encode()).decode()
    form = b"grant_type=client_credentials"
    token = urllib.request.Request(
        f"{sandbox.url}/v2/oauth/token", data=form, headers={"Authorization": f"Basic {pair}"}
    )
    with urllib.request.urlopen(token) as reply:
        bearer = json.load(reply)["access_token"]
    headers = {"Authorization": f"Bearer {bearer}", "RequestId": SESSION}
    with urllib.request.urlopen(urllib.request.Request(f"{sandbox.url}/ev/v2{path}", headers=headers)) as reply:
        return json.dumps(poisoned(json.load(reply))).encode()


LISTED = "/locations?perPage=20"
NEAR = "/locations/nearby?latitude=52.3791&longitude=4.9003&limit=5&withOperatorName=true"
MARKED = "/locations/markers?west=4&south=52&east=5&north=53&zoom=8"
HOSTILE: list[tuple[str, str, tuple[str, ...]]] = [
    ("locations.nearby", NEAR, ("nearby", POINT)),
    ("locations.nearby", NEAR, ("nearby", POINT, "--json")),
    ("locations.nearby", NEAR, ("nearby", POINT, "--format", "geojson")),
    ("locations.get", "/locations/1?providerId=TNM", ("location", "1", "--provider", "TNM")),
    ("locations.list", LISTED, ("locations", "--limit", "20")),
    ("locations.list", LISTED, ("locations", "--limit", "20", "--json")),
    ("locations.list", LISTED, ("locations", "--limit", "20", "--format", "csv")),
    ("locations.list", LISTED, ("locations", "--limit", "20", "--format", "ndjson")),
    ("locations.markers", MARKED, SCREENS["markers"]),
    ("charging.active", f"/charge-session/active?emaId={CARD}", ("active", CARD)),
    ("locations.nearby", NEAR, ("charge", CARD, "--near", POINT, "--yes", "--stop-after", "0.1s")),
]


@pytest.mark.parametrize(("operation", "path", "words"), HOSTILE, ids=lambda value: str(value)[:40])
def test_control_characters_of_an_answer_never_reach_the_terminal(
    shown: Shown, cli: Cli, sandbox: Sandbox, operation: str, path: str, words: tuple[str, ...]
) -> None:
    assert cli("start", CARD, EVSE).code == 0
    body = answer(sandbox, path)
    assert b"\\u001b]0;evil\\u0007" in body
    sandbox.faults.add(operation, Fault.garbage(body, content_type="application/json"), times=2)
    code, written = shown(*words, columns=100)
    if words[0] != "charge":  # an EVSE id with control characters is refused, or of the wrong length
        assert code == 0
        assert "evil" in written
    assert_harmless(written)


@pytest.mark.parametrize("words", [("active", CARD), ("-vv", "active", CARD), ("doctor",), ("charge", CARD, EVSE)])
def test_control_characters_of_an_error_never_reach_the_terminal(
    shown: Shown, sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    detail = {"code": EVIL, "message": EVIL, "description": EVIL, "details": [EVIL]}
    body = json.dumps({"requestId": "r", "status": EVIL, "errors": [detail]}).encode()
    sandbox.faults.always("charging.active", Fault.status(400, body=body))
    sandbox.faults.always("charging.start", Fault.status(400, body=body))
    code, written = shown(*words, columns=100)
    assert (code != 0) is (words != ("doctor",))  # 400 is what it expects for a card that does not exist
    assert "evil" in written
    assert_harmless(written)


def test_control_characters_never_reach_the_terminal_from_the_demo(shown: Shown, sandbox: Sandbox) -> None:
    body = json.loads(answer(sandbox, NEAR))
    for location in body["data"]:
        for evse in location["evses"]:
            evse["evseId"], evse["status"] = evse["evseId"].split("\x1b")[0], "Available"
    fault = Fault.garbage(json.dumps(body).encode(), content_type="application/json")
    sandbox.faults.add("locations.nearby", fault, times=2)
    code, written = shown("demo", "--card", CARD, columns=100)
    assert code == 0
    assert "evil" in written
    assert_harmless(written)


def assert_harmless(written: str) -> None:
    """Nothing of the service's escape sequences is left, and the rest is what a command writes itself."""
    for part in ("\x1b[7", "\x1b]", "\x07", "\x9b", "\u202e"):
        assert part not in written
    Screen(400).feed(written)  # it knows the sequences of the command line alone


def test_json_is_indented_on_a_terminal_and_one_line_elsewhere(shown: Shown, cli: Cli) -> None:
    for words in (("location", "1", "--json"), ("locations", "--limit", "2", "--json"), ("active", CARD, "--json")):
        _, written = shown(*words, columns=100)
        assert written.splitlines()[1].startswith('  "')
        compact = cli(*words).out
        assert json.loads(written) == json.loads(compact)
        assert "\n  " not in compact
    # Several objects are one a line everywhere.
    _, written = shown("charge", CARD, EVSE, "--stop-after", "0.1s", "--json", columns=100)
    assert [json.loads(line)["event"] for line in written.splitlines()][-1] == "stopped"
