"""``charge --near`` asks before it starts, ``charge --key`` says what a repeated key met."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
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
POINT = "52.3791,4.9003"
NEAR = ("charge", CARD, "--near", POINT, "--stop-after", "0.1s")


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A person at the terminal, who gives this answer and no other."""
    reading, writing = os.pipe()
    monkeypatch.setattr("shell_ev.cli.picking.can_ask", lambda: True)

    def answer(text: str) -> None:
        with os.fdopen(writing, "w") as keyboard:
            keyboard.write(text)

    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield answer


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_yes_starts_on_the_nearest_evse_that_fits(
    cli: Cli, sandbox: Sandbox, answering: Callable[[str], None], answer: str
) -> None:
    answering(answer)
    done = cli(*NEAR, "--connector", "Mennekes", "--min-power", "11", "--provider", "TNM")
    assert done.code == 0
    shown = done.err.splitlines()
    assert shown[:3] == [
        f"{EVSE}, Type 2 11 kW",
        "0.0 km: Sandbox Laadnet, Voorbeeldkade 1, 1012 AB Amsterdam",
        "EUR 0.39/kWh + 0.35/start",
    ]
    assert shown[3].startswith(f"Start a charge there, on card {CARD}? [y/N] ")
    assert sandbox.charges[-1].evse_id == EVSE


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "sure\n"])
def test_any_other_answer_starts_nothing(
    cli: Cli, sandbox: Sandbox, answering: Callable[[str], None], answer: str
) -> None:
    before = len(sandbox.charges)
    answering(answer)
    done = cli(*NEAR)
    assert done.code == ExitCode.NO
    assert "nothing was started" in done.err
    assert len(sandbox.charges) == before


def test_a_connector_that_is_not_near_by_starts_nothing(cli: Cli, sandbox: Sandbox) -> None:
    before = len(sandbox.charges)
    done = cli(*NEAR, "--yes", "--min-power", "9999")
    assert done.code == ExitCode.NO
    assert done.err == "shell-ev: no EVSE near by is free and fits: shell-ev nearby 52.3791,4.9003\n"
    assert len(sandbox.charges) == before


def test_without_a_terminal_near_needs_yes(cli: Cli, sandbox: Sandbox) -> None:
    done = cli(*NEAR)
    assert done.code == ExitCode.USAGE
    assert "there is no terminal to ask on: add --yes" in done.err
    assert not sandbox.requests
    assert cli(*NEAR, "--yes").code == 0


@pytest.mark.parametrize(
    "words", [(CARD, EVSE, "--yes"), (CARD, EVSE, "--connector", "CCS"), (CARD, EVSE, "--near", POINT, "--yes")]
)
def test_near_and_an_evse_exclude_each_other(cli: Cli, sandbox: Sandbox, words: tuple[str, ...]) -> None:
    assert cli("charge", *words).code == ExitCode.USAGE
    assert not sandbox.requests


def test_an_evse_whose_id_cannot_be_sent_is_passed_over(cli: Cli, sandbox: Sandbox) -> None:
    short = {"uid": "a", "evseId": "NL*1", "status": "Available", "connectors": []}
    place = {"uid": "9", "coordinates": {"latitude": 52.37, "longitude": 4.9}, "evses": [short]}
    fits = {**place, "uid": "10", "evses": [{**short, "evseId": EVSE, "status": "Occupied"}, {**short, "evseId": EVSE}]}
    body = json.dumps({"requestId": "r", "status": "SUCCESS", "data": [place, fits]}).encode()
    sandbox.faults.add("locations.nearby", Fault.garbage(body, content_type="application/json"))
    assert cli(*NEAR, "--yes").code == 0
    assert sandbox.charges[-1].evse_id == EVSE


# --key


def test_a_repeated_key_follows_the_charge_that_it_has(
    cli: Cli, process: Start, sandbox: Sandbox, tmp_path: Path
) -> None:
    store = str(tmp_path / "charges.sqlite3")
    words = (CARD, EVSE, "--key", "order-42", "--store", store)
    assert cli("start", *words).code == 0
    session_id = sandbox.charges[-1].session_id
    before = len(sandbox.charges)
    done = cli("charge", *words, "--stop-after", "0.1s")
    assert (done.code, len(sandbox.charges)) == (0, before)
    assert [line[10:] for line in done.out.splitlines()][:3] == [
        f"starting a charge on {EVSE}",
        f"key order-42 has a charge already: nothing was started; session {session_id}",
        "charging",
    ]
    assert sandbox.charges[-1].is_over
    # And once more: it is over.
    done = cli("charge", *words, "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events] == ["starting", "met", "ended"]
    assert events[1]["session_id"] == session_id
    # Of another EVSE the key is refused.
    assert cli("charge", CARD, "NL*TNM*E02003451*1", "--key", "order-42", "--store", store).code == ExitCode.USAGE
    assert len(sandbox.charges) == before


def test_a_repeated_key_near_by_asks_nothing_and_stays_on_its_evse(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> None:
    words = ("charge", CARD, "--near", POINT, "--key", "order-42", "--store", str(tmp_path / "charges.sqlite3"))
    assert cli(*words, "--yes", "--keep-running", "--start-timeout", "5s", "--stop-after", "0.1s").code == 0
    charge = sandbox.charges[-1]
    sandbox.set_evse_status(charge.evse_id, "Unavailable")
    try:
        before = len(sandbox.charges)
        done = cli(*words, "--yes")
    finally:
        sandbox.set_evse_status(charge.evse_id, None)
    assert (done.code, len(sandbox.charges)) == (0, before)
    assert f"key order-42 has a charge already: nothing was started; session {charge.session_id}" in done.out


def test_a_key_needs_a_store(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("charge", CARD, EVSE, "--key", "order-42")
    assert done.code in (ExitCode.CONFIGURATION, ExitCode.USAGE)
    assert "store" in done.err
    assert not any(request.operation == "charging.start" for request in sandbox.requests)


# How long ago the session was seen


class Flow:
    """The part of a charge flow that the panel reads."""

    charge = None
    elapsed = 41.0
    checked_ago: float | None = 12.4


def test_the_panel_says_when_the_session_was_last_checked(
    clean: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    request = ChargeRequest(
        card=CARD, evse_id=EVSE, ema_id=None, start_timeout=1, stop_timeout=1, stop_after=None,
        keep_running=False, every=30,
    )  # fmt: skip
    panel = Panel(Output(Settings()), request)
    panel._flow = Flow()  # type: ignore[assignment]

    def picture(name: str) -> str:
        panel._last = Event(name=name, at=datetime.now(UTC), card=CARD, evse_id=EVSE)
        panel._console.print(panel._picture())
        return capsys.readouterr().out

    assert re.search(r"Checked  12 s ago ", picture("state"))
    assert "Checked" not in picture("stopped")
    Flow.checked_ago = None
    assert "Checked" not in picture("starting")


def test_the_time_of_the_last_look_up_is_that_of_an_answer(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float | None] = []
    from shell_ev.cli import charge_flow

    emit = charge_flow.ChargeFlow._emit

    def recorded(self: charge_flow.ChargeFlow, name: str, **more: object) -> None:
        seen.append(self.checked_ago)
        emit(self, name, **more)

    monkeypatch.setattr(charge_flow.ChargeFlow, "_emit", recorded)
    assert cli("charge", CARD, EVSE, "--stop-after", "0.3s", "--every", "30s").code == 0
    assert seen[:2] == [None, None]  # starting, accepted
    assert seen[2] is not None
    assert seen[2] < 0.2
    assert seen[3] is not None
    assert seen[3] >= 0.25  # nothing was looked up while it ran
