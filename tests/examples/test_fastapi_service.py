"""The FastAPI service under a real uvicorn: the round trip, repeated keys, faults as HTTP, and what SIGTERM leaves."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from example_processes import Running, is_quiet, variables_for, wait_until

from shell_ev import ShellEV
from shell_ev.sandbox import EXAMPLE_EVSE, FAILING_EVSES, FAILING_STOP_EVSE, Charge, Fault, Sandbox

pytest.importorskip("fastapi", reason="the extra examples is not installed")
pytest.importorskip("uvicorn", reason="the extra examples is not installed")

pytestmark = pytest.mark.servers

Serve = Callable[..., Running]
NAME = "fastapi_service.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fastapi")


@pytest.fixture(scope="module")
def service(serve: Serve, folder: Path) -> Running:
    return serve(NAME, folder=folder)


def starts(sandbox: Sandbox) -> int:
    return [request.operation for request in sandbox.requests].count("charging.start")


def test_from_finding_to_stopping(service: Running, sandbox: Sandbox) -> None:
    chargers = service.ask("GET", "/chargers?latitude=52.3731&longitude=4.8932")
    assert chargers.status == 200
    nearest = chargers.body[0]
    assert nearest["evse_id"] == EXAMPLE_EVSE
    assert (nearest["max_power_kw"], nearest["address"]) == (11.0, "Voorbeeldkade 1")
    assert [charger["distance_km"] for charger in chargers.body] == sorted(c["distance_km"] for c in chargers.body)

    started = service.start("trip", EXAMPLE_EVSE)
    assert (started.status, started.body["state"]) == (202, None)
    path = started.headers["Location"]
    assert path == f"/charges/{sandbox.charges[0].session_id}"

    shown = service.ask("GET", path)
    assert (shown.status, shown.body["state"]) == (200, "started")
    stopped = service.ask("POST", f"{path}/stop")
    assert (stopped.status, stopped.body["state"]) == (200, "stopped")
    assert service.ask("POST", f"{path}/stop").body == stopped.body
    assert sandbox.charges[0].is_over


def test_waiting_for_the_start(service: Running, sandbox: Sandbox) -> None:
    begun = service.start("wait-1", EXAMPLE_EVSE, query="?wait=10")
    assert (begun.status, begun.body["state"]) == (201, "started")

    sandbox.start_delay = 1e6
    pending = service.start("wait-2", "NL*TNM*E02003451*1", query="?wait=0.1")
    assert (pending.status, pending.body["state"]) == (202, "start-requested")


def test_callers_with_the_same_key_get_one_start(service: Running, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.delay(0.3))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.start("same", EXAMPLE_EVSE), range(8)))
    answers.append(service.start("same", EXAMPLE_EVSE))
    started = [answer for answer in answers if answer.status == 202]
    assert {answer.body["session_id"] for answer in started} == {sandbox.charges[0].session_id}
    # The others came while the first one was under way.
    assert {answer.body["title"] for answer in answers if answer not in started} <= {"ChargeInProgressError"}
    assert (answers[-1].status, starts(sandbox)) == (202, 1)


def test_a_key_belongs_to_one_charge(service: Running, sandbox: Sandbox) -> None:
    assert service.start("taken", EXAMPLE_EVSE).status == 202
    other = service.start("taken", "NL*TNM*E02003451*1")
    assert other.status == 422
    assert other.body["faults"] == [
        "key 'taken' belongs to a charge of another card or EVSE: a new order needs a new key"
    ]
    assert starts(sandbox) == 1


def test_a_start_without_a_key_is_refused(service: Running, sandbox: Sandbox) -> None:
    assert service.ask("POST", "/charges", {"card": "x", "evse_id": EXAMPLE_EVSE}).status == 422
    assert starts(sandbox) == 0


def test_a_lost_answer_is_no_error(service: Running, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.drop())
    answer = service.start("lost", EXAMPLE_EVSE)
    assert (answer.status, answer.body["session_id"]) == (202, sandbox.charges[0].session_id)
    assert starts(sandbox) == 1


def test_an_unknown_outcome_says_what_to_do_and_is_never_repeated(
    service: Running, sandbox: Sandbox, folder: Path
) -> None:
    sandbox.show_sessions_after = 1e6
    sandbox.faults.add("charging.start", Fault.reset())
    for _ in range(2):
        answer = service.start("unknown", EXAMPLE_EVSE)
        assert (answer.status, answer.body["title"]) == (504, "OutcomeUnknownError")
        assert "same Idempotency-Key" in answer.body["what_to_do"]
    assert starts(sandbox) == 1

    with ShellEV.from_env(variables_for(sandbox), store=folder / "charges.sqlite3") as operator:
        operator.journal.settle("unknown", sandbox.charges[0].session_id)
    found = service.start("unknown", EXAMPLE_EVSE)
    assert (found.status, found.body["session_id"]) == (202, sandbox.charges[0].session_id)
    assert starts(sandbox) == 1


def test_a_start_that_surely_failed_frees_its_key(service: Running, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.rate_limit(90))
    assert service.start("free", EXAMPLE_EVSE).status == 429
    assert service.start("free", EXAMPLE_EVSE).status == 202
    assert len(sandbox.charges) == 1


def test_faults_as_http(service: Running, sandbox: Sandbox) -> None:
    invalid = service.start("invalid", "NL*TNM", card="")
    assert (invalid.status, len(invalid.body["faults"])) == (422, 2)
    assert invalid.headers["Content-Type"] == "application/problem+json"

    failed = service.start("failed", FAILING_EVSES["EvNotConnectedToEvse"], query="?wait=10")
    assert (failed.status, failed.body["code"]) == (409, "EvNotConnectedToEvse")
    shown = service.ask("GET", f"/charges/{failed.body['session_id']}")
    assert (shown.body["state"], shown.body["error"]["code"]) == ("failed-to-start", "EvNotConnectedToEvse")

    sandbox.faults.add("charging.start", Fault.rate_limit(90))
    limited = service.start("limited", EXAMPLE_EVSE)
    assert (limited.status, limited.headers["Retry-After"]) == (429, "90")

    sandbox.faults.add("locations.nearby", Fault.unavailable(90))
    away = service.ask("GET", "/chargers?latitude=1&longitude=1")
    assert (away.status, away.headers["Retry-After"]) == (503, "90")

    assert service.start("nowhere", "NL*TNM*E99999999*9").status == 404
    assert service.ask("GET", "/charges/00000000-0000-4000-8000-000000000000").status == 404
    assert service.ask("GET", "/charges/no-uuid").status == 404
    assert service.ask("GET", "/charges/%20x").status == 422
    assert service.ask("GET", "/chargers?latitude=99&longitude=1").status == 422


def test_the_charge_of_another_customer_is_not_found(service: Running, foreign: Charge) -> None:
    assert service.ask("GET", f"/charges/{foreign.session_id}").status == 404
    assert service.ask("POST", f"/charges/{foreign.session_id}/stop").status == 404
    assert foreign.is_running


def test_a_stop_that_does_not_work_is_loud(service: Running, sandbox: Sandbox) -> None:
    session_id = service.start("stuck", FAILING_STOP_EVSE).body["session_id"]
    answer = service.ask("POST", f"/charges/{session_id}/stop")
    assert (answer.status, answer.body["title"], answer.body["session_id"]) == (
        504,
        "ChargeNotStoppedError",
        session_id,
    )
    assert "may still be charging" in answer.body["what_to_do"]
    assert sandbox.charges[0].is_running


def test_refused_credentials_are_logged_and_not_in_the_answer(service: Running, sandbox: Sandbox) -> None:
    sandbox.revoke_tokens()
    sandbox.faults.always("token", Fault.status(401))
    answer = service.ask("GET", "/chargers?latitude=1&longitude=1")
    assert (answer.status, answer.body["title"]) == (502, "CredentialsRefusedError")
    assert "invalid_client" not in str(answer.body)
    service.says("http_problems: answered 502: the token endpoint refused with 401: invalid_client")
    assert sandbox.client_secret not in service.output


def test_a_start_is_found_again_after_its_process_was_killed(
    service: Running, serve: Serve, sandbox: Sandbox, folder: Path
) -> None:
    killed = serve(NAME, folder=folder)
    sandbox.faults.add("charging.start", Fault.hang())
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(killed.start, "killed", EXAMPLE_EVSE)
        wait_until(lambda: len(sandbox.charges) == 1)
        killed.kill()
        assert isinstance(asked.exception(), OSError)
    # The same key may be asked as often as one likes: 409 while the dead process still counts as alive.
    wait_until(lambda: service.start("killed", EXAMPLE_EVSE).status == 202)
    assert service.start("killed", EXAMPLE_EVSE).body["session_id"] == sandbox.charges[0].session_id
    assert starts(sandbox) == 1


def test_sigterm_answers_what_is_under_way_and_leaves_charges_running(serve: Serve, sandbox: Sandbox) -> None:
    service = serve(NAME)
    left = service.start("left", EXAMPLE_EVSE).body["session_id"]
    ended = service.start("ended", FAILING_EVSES["EvseInUse"]).body["session_id"]
    assert service.ask("GET", f"/charges/{ended}").body["state"] == "failed-to-start"
    sandbox.faults.add("charging.start", Fault.delay(0.3))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.start, "late", "NL*TNM*E02003451*1")
        wait_until(lambda: len(sandbox.charges) == 3)
        assert service.ends() in (0, -signal.SIGTERM)
        late = asked.result()
    assert late.status == 202
    said = ", ".join(sorted([left, late.body["session_id"]]))
    assert f"shutdown leaves running, if still they do: {said}\n" in service.output
    assert [charge.is_running for charge in sandbox.charges] == [True, False, True]
    assert is_quiet(service.output)


def test_sigterm_stops_charges_when_so_configured(serve: Serve, sandbox: Sandbox) -> None:
    service = serve(NAME, instead={"60": "1"}, CHARGES_ON_SHUTDOWN="stop")
    stopped = service.start("stopped", EXAMPLE_EVSE).body["session_id"]
    stuck = service.start("stuck", FAILING_STOP_EVSE).body["session_id"]
    # One more is on its way, and for longer than the server waits: its caller hears nothing, its charge is not lost.
    sandbox.faults.add("charging.start", Fault.delay(1.5))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.start, "late", "NL*TNM*E02003451*1")
        wait_until(lambda: len(sandbox.charges) == 3)
        assert service.ends() in (0, -signal.SIGTERM)
        assert asked.result().status == 500
    assert [charge.is_over for charge in sandbox.charges] == [True, False, True]
    for session_id in (stopped, sandbox.charges[2].session_id):
        assert f"shutdown stopped {session_id}\n" in service.output
    assert f"shutdown: the car may still be charging: session {stuck}" in service.output


async def test_a_wrong_setting_of_the_shutdown_is_an_error_at_the_start(
    examples_importable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi_service import app, lifespan

    monkeypatch.setenv("CHARGES_ON_SHUTDOWN", "explode")
    with pytest.raises(ValueError, match="must be 'leave' or 'stop', not 'explode'"):
        async with lifespan(app):
            pass
