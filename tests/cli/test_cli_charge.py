"""``charge`` without interruptions, and ``start``, ``stop``, ``show``, ``active``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cli_processes import CARD, EVSE, Process, Result

from shell_ev.cli.charge_flow import ChargeRequest
from shell_ev.cli.output import dumps, json_value
from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import Fault, Sandbox, SessionState

Cli = Callable[..., Result]
Start = Callable[..., Process]
Wait = Callable[[Callable[[], bool]], None]

EVENT_KEYS = [
    *("event", "at", "card", "evse_id", "session_id", "state", "elapsed_seconds", "reason", "message"),
    *("stop_command", "session"),
]
SESSION_KEYS = [
    *("id", "user_id", "ema_id", "evse_id", "state", "error", "started_at", "stopped_at", "last_updated"),
]


def documents(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def count(sandbox: Sandbox, operation: str) -> int:
    return sum(request.operation == operation for request in sandbox.requests)


def test_charge_stops_after_the_time_of_stop_after(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("charge", CARD, EVSE, "--stop-after", "0.1s")
    session_id = sandbox.charges[-1].session_id
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert [line[10:] for line in done.out.splitlines()] == [
        f"starting a charge on {EVSE}",
        f"accepted, session {session_id}",
        "charging",
        "stopping: the time of --stop-after is up",
        "stopped after 0:00:00",
    ]
    assert sandbox.charges[-1].is_over
    assert (count(sandbox, "charging.start"), count(sandbox, "charging.stop")) == (1, 1)


def test_charge_prints_its_events_as_json(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("charge", CARD, EVSE, "--stop-after", "0.1s", "--json")
    events = documents(done.out)
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert [event["event"] for event in events] == ["starting", "accepted", "state", "stopping", "stopped"]
    assert all(list(event) == EVENT_KEYS for event in events)
    assert [event["state"] for event in events] == [None, None, "started", "started", "stopped"]
    assert events[0]["session_id"] is None
    assert {event["session_id"] for event in events[1:]} == {sandbox.charges[-1].session_id}
    assert events[2]["elapsed_seconds"] == 0.0
    assert 0.1 <= events[3]["elapsed_seconds"] < 1
    assert events[3]["reason"] == "stop-after"
    assert list(events[-1]["session"]) == SESSION_KEYS


def test_charge_ends_with_a_charge_that_ends_by_itself(process: Start, sandbox: Sandbox) -> None:
    running = process("charge", CARD, EVSE, "--every", "0.1s", "--json")
    running.until('"event": "state"')
    sandbox.end_charge(sandbox.charges[-1].session_id)
    done = running.ends()
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert documents(done.out)[-1]["event"] == "ended"
    assert count(sandbox, "charging.stop") == 0


def test_charge_reports_a_failed_poll_and_tries_again(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.retrieve", Fault.status(500))
    done = cli("charge", CARD, EVSE, "--stop-after", "0.1s", "--every", "0.1s")
    assert done.code == ExitCode.OK
    assert "problem: status 500" in done.out
    assert "trying again" in done.out


def test_charge_stops_a_charge_that_it_cannot_follow(cli: Cli, sandbox: Sandbox) -> None:
    # 403 right after the accepted start: the state of the charge cannot be polled.
    sandbox.faults.add("charging.retrieve", Fault.status(403))
    done = cli("charge", CARD, EVSE)
    assert done.code == ExitCode.AUTHENTICATION
    assert "stopping: the charge cannot be followed any more" in done.out
    assert sandbox.charges[-1].is_over
    sandbox.faults.add("charging.retrieve", Fault.status(403))
    done = cli("charge", CARD, EVSE, "--keep-running")
    assert done.code == ExitCode.AUTHENTICATION
    assert f"stop it with: shell-ev stop {sandbox.charges[-1].session_id}" in done.out
    assert sandbox.charges[-1].is_running


def test_charge_finds_a_start_with_a_lost_answer(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.drop())
    before = len(sandbox.charges)
    done = cli("charge", CARD, EVSE, "--stop-after", "0.1s")
    assert (done.code, len(sandbox.charges)) == (ExitCode.OK, before + 1)
    assert sandbox.charges[-1].is_over


def test_start_prints_the_session_and_leaves_it_running(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("start", CARD, EVSE)
    charge = sandbox.charges[-1]
    assert (done.code, done.out) == (ExitCode.OK, f"{charge.session_id}\n")
    assert f"shell-ev stop {charge.session_id}" in done.err
    assert charge.is_running
    done = cli("active", CARD, "--json")
    assert [session["id"] for session in json.loads(done.out)["sessions"]] == [charge.session_id]


def test_start_wait_prints_the_started_session(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("start", CARD, EVSE, "--wait", "--json")
    (printed,) = documents(done.out)
    assert (done.code, done.err, list(printed)) == (ExitCode.OK, "", ["session_id", "request_id", "session"])
    assert printed["session"]["state"] == "started"
    assert printed["request_id"] == sandbox.charges[-1].request_id
    cli("stop", printed["session_id"])
    done = cli("start", CARD, EVSE, "--wait")
    assert done.out == f"accepted, session {sandbox.charges[-1].session_id}\ncharging\n"
    sandbox.end_charge(sandbox.charges[-1].session_id)
    assert documents(cli("start", CARD, EVSE, "--json").out)[0]["session"] is None


def test_stop_waits_until_the_session_is_stopped(cli: Cli, sandbox: Sandbox) -> None:
    cli("start", CARD, EVSE)
    session_id = sandbox.charges[-1].session_id
    done = cli("stop", session_id, "--json")
    (printed,) = documents(done.out)
    assert (done.code, done.err, list(printed)) == (ExitCode.OK, "", ["session_id", "session"])
    assert (printed["session_id"], printed["session"]["state"]) == (session_id, "stopped")
    # A stopped charge is no error, and the 404 of its second stop is not reported.
    done = cli("stop", session_id)
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert "State    stopped\n" in done.out


def test_stop_tries_an_unknown_session_until_its_timeout(cli: Cli) -> None:
    done = cli("stop", "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11", "--stop-timeout", "0.2s")
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    first, last = done.err.splitlines()
    assert first == "shell-ev: the service does not know this session, perhaps not yet; trying again"
    assert last.startswith("shell-ev: CAREFUL, A CAR MAY BE CHARGING: ")


@pytest.mark.parametrize("command", ["show", "stop"])
def test_a_session_id_must_be_a_uuid_unless_any_id_permits_others(cli: Cli, sandbox: Sandbox, command: str) -> None:
    done = cli(command, "{0a5e1e4c}", "--json")
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert json.loads(done.err)["error"]["faults"] == [
        "SESSION_ID must be a UUID in the form 8-4-4-4-12, not '{0a5e1e4c}'; --any-id accepts other ids"
    ]
    assert not sandbox.requests
    assert "--any-id accepts" not in cli(command, "{0a5e1e4c}", "--any-id", *_QUICK.get(command, ())).err


_QUICK = {"stop": ("--stop-timeout", "0.2s")}


def test_show_prints_a_session_and_follows_it(cli: Cli, process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
    cli("start", CARD, EVSE)
    session_id = sandbox.charges[-1].session_id
    done = cli("show", session_id)
    assert done.out.splitlines()[:4] == [
        f"Session  {session_id}",
        "State    charging",
        f"EVSE     {EVSE}",
        f"Card     {CARD}",
    ]
    (printed,) = documents(cli("show", session_id, "--json").out)
    assert (list(printed), printed["error"], printed["stopped_at"]) == (SESSION_KEYS, None, None)
    following = process("show", session_id, "--follow", "--every", "0.1s")
    following.until("Started")
    sandbox.end_charge(session_id)
    done = following.ends()
    assert done.code == ExitCode.OK
    assert done.out.endswith("  stopped\n")


def test_show_prints_the_reason_of_a_failed_charge(cli: Cli, sandbox: Sandbox) -> None:
    cli("charge", CARD, "NL*TNM*E02003462*1")
    session_id = sandbox.charges[-1].session_id
    assert "Error    EvNotConnectedToEvse: No vehicle" in cli("show", session_id).out
    (printed,) = documents(cli("show", session_id, "--json").out)
    assert printed["error"]["code"] == "EvNotConnectedToEvse"


def test_active_lists_the_running_sessions_of_a_card(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cli("active", CARD)
    assert (done.code, done.out, done.err) == (0, "", "shell-ev: no charge is running on this card\n")
    assert cli("active", CARD, "--json").out == f'{{"ema_id": "{CARD}", "sessions": [], "problems": []}}\n'
    cli("start", CARD, EVSE)
    cli("start", CARD, "NL*TNM*E02003451*1")
    first, second = sandbox.charges[-2:]
    lines = cli("active", CARD).out.splitlines()
    assert lines[0].split() == ["Session", "State", "EVSE", "Since", "For"]
    assert [line.split()[:3] for line in lines[1:]] == [
        [first.session_id, "charging", first.evse_id],
        [second.session_id, "charging", second.evse_id],
    ]
    monkeypatch.setenv("COLUMNS", "60")
    narrow = cli("active", CARD).out.splitlines()
    assert f"Session  {first.session_id}" in narrow
    assert max(map(len, narrow)) <= 60


def test_unreadable_values_are_reported(cli: Cli, sandbox: Sandbox) -> None:
    body = b'{"requestId":"r","status":"SUCCESS","data":[{"id":"x","startedAt":"yesterday"}]}'
    sandbox.faults.add("charging.active", Fault.garbage(body, content_type="application/json"), times=2)
    assert json.loads(cli("active", CARD, "--json").out)["problems"]
    assert "could not be read: " in cli("active", CARD).err


def test_control_characters_of_the_service_are_not_printed(cli: Cli, sandbox: Sandbox) -> None:
    session = (
        '{"id":"x\\u001b[2J","userId":"u","emaId":"e","evseId":"\\u202e[red]evil","state":"paus\\ned\\u0007",'
        '"startedAt":null,"stoppedAt":null}'
    )
    body = f'{{"requestId":"r","status":"SUCCESS","data":[{session}]}}'.encode()
    sandbox.faults.add("charging.retrieve", Fault.garbage(body, content_type="application/json"))
    done = cli("show", "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11")
    assert (done.code, done.err) == (0, "")
    assert all(char.isprintable() or char == "\n" for char in done.out)
    assert "[red]evil" in done.out
    assert "paus ed" in done.out


def test_charge_works_in_every_dialect(cli: Cli, sandbox: Sandbox) -> None:
    for version in ("v1-pascal", "v1", "v2"):
        done = cli("--api-version", version, "charge", CARD, EVSE, "--stop-after", "0.1s", "--json")
        assert done.code == ExitCode.OK, done.err
        assert sandbox.charges[-1].history[-1].state is SessionState.STOPPED


@pytest.mark.parametrize(("every", "looks"), [(30.0, [2, 5, 15, 30]), (3.0, [2, 3, 3, 3]), (1.0, [1, 1, 1, 1])])
def test_every_sets_the_poll_intervals(every: float, looks: list[float]) -> None:
    request = ChargeRequest(
        card=CARD,
        evse_id=EVSE,
        ema_id=None,
        start_timeout=1,
        stop_timeout=1,
        stop_after=None,
        keep_running=False,
        every=every,
    )
    assert [getattr(request.polling, name) for name in ("eager", "steady", "patient", "started")] == looks


def test_nan_and_infinity_are_null_in_json() -> None:
    values = (1.5, 0, 0.0, True, None, float("nan"), float("inf"), "", ("x",), {"y": float("-inf")})
    assert dumps(json_value(values)) == '[1.5, 0, 0.0, true, null, null, null, "", ["x"], {"y": null}]'
