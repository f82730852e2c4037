"""Every error has an exit code and is reported as one line or one JSON object."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from cli_processes import CARD, EVSE, SECRET, Result

import shell_ev
from shell_ev import ChargeSession, SessionError, SessionErrorCode, SessionState, errors
from shell_ev.cli.main import main
from shell_ev.cli.reporting import ExitCode, exit_code_of, report_error
from shell_ev.cli.settings import Settings
from shell_ev.sandbox import FAILING_EVSES, FAILING_STOP_EVSE, Fault, Sandbox

Cli = Callable[..., Result]
SESSION = "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11"


def api(kind: type[errors.ApiError], status: int, **more: Any) -> errors.ApiError:
    return kind(f"status {status}", status_code=status, **more)


FAILED = ChargeSession(state=SessionState.FAILED_TO_START, error=SessionError(code=SessionErrorCode.EVSE_IN_USE))

#: Every error class with its exit code.
CODES: list[tuple[errors.ShellEVError, ExitCode]] = [
    (errors.ShellEVError("?"), ExitCode.INTERNAL),
    (errors.ConfigurationError("x"), ExitCode.CONFIGURATION),
    (errors.ValidationError(["x"]), ExitCode.USAGE),
    (errors.KeyReusedError(["x"]), ExitCode.USAGE),
    (errors.AuthenticationError("x"), ExitCode.AUTHENTICATION),
    (errors.CredentialsRefusedError("x"), ExitCode.AUTHENTICATION),
    (errors.TransportError("x"), ExitCode.NO_ANSWER),
    (errors.ConnectError("x"), ExitCode.NO_ANSWER),
    (errors.RequestTimeoutError("x"), ExitCode.NO_ANSWER),
    (errors.OutcomeUnknownError("x", operation="charging.start"), ExitCode.OUTCOME_UNKNOWN),
    (api(errors.ApiError, 418), ExitCode.REFUSED),
    (api(errors.BadRequestError, 400), ExitCode.REFUSED),
    (api(errors.UnauthorizedError, 401), ExitCode.AUTHENTICATION),
    (api(errors.ForbiddenError, 403), ExitCode.AUTHENTICATION),
    (api(errors.NotFoundError, 404), ExitCode.REFUSED),
    (api(errors.MethodNotAllowedError, 405), ExitCode.REFUSED),
    (api(errors.TooManyRequestsError, 429), ExitCode.REFUSED),
    (api(errors.InternalServerError, 500), ExitCode.REFUSED),
    (api(errors.InternalServerError, 500, outcome_unknown=True), ExitCode.OUTCOME_UNKNOWN),
    (api(errors.ServiceUnavailableError, 503), ExitCode.REFUSED),
    (api(errors.RequestFailedError, 200), ExitCode.REFUSED),
    (errors.ResponseDecodeError("x", status_code=200), ExitCode.REFUSED),
    (errors.ResponseDecodeError("x", status_code=200, outcome_unknown=True), ExitCode.OUTCOME_UNKNOWN),
    (errors.ChargeFailedError("x", session_id=SESSION, session=FAILED), ExitCode.CHARGE_FAILED),
    (errors.ChargePendingError("x", session_id=SESSION, session=None), ExitCode.CHARGE_PENDING),
    (errors.EvseNotAvailableError("x", uid="1"), ExitCode.NO_ANSWER),
    (errors.ChargeNotStoppedError("x", session_id=SESSION, session=None), ExitCode.OUTCOME_UNKNOWN),
    (errors.ChargeInProgressError("x", key="order-1"), ExitCode.IN_PROGRESS),
    (errors.StoreError("x"), ExitCode.STORE),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_every_error_has_its_exit_code(error: errors.ShellEVError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_every_public_error_has_an_exit_code_case() -> None:
    every = {getattr(shell_ev, name) for name in shell_ev.__all__ if name.endswith("Error")} - {SessionError}
    assert {type(error) for error, _ in CODES} == every


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_every_error_is_a_json_object_with_the_same_keys(
    error: errors.ShellEVError, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error, Settings(json=True)) is code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    printed = json.loads(err)["error"]
    assert list(printed) == [
        *("type", "message", "exit_code", "outcome_unknown", "request_id", "session_id", "operation", "status_code"),
        *("code", "retry_after", "attempts", "faults", "errors", "next_commands"),
    ]
    assert printed["type"] == type(error).__name__
    assert printed["message"] == str(error)
    assert (printed["exit_code"], printed["outcome_unknown"]) == (code, error.outcome_unknown)


def test_an_unknown_outcome_is_reported_with_the_next_commands(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(environment="test")
    report_error(
        errors.ChargeNotStoppedError("the car may still be charging: x", session_id=SESSION, session=None), settings
    )
    assert capsys.readouterr().err == (
        f"shell-ev: CAREFUL, A CAR MAY BE CHARGING: x. Next: shell-ev stop {SESSION} --environment test  or  "
        f"shell-ev show {SESSION} --environment test\n"
    )
    report_error(errors.ChargePendingError("y", session_id=SESSION, session=None), settings)
    assert f"Next: shell-ev show {SESSION} --environment test  or  shell-ev stop" in capsys.readouterr().err
    arguments = {"ev_charge_number": CARD, "evse_id": EVSE}
    lost = errors.OutcomeUnknownError("z", operation="charging.start", arguments=arguments)
    report_error(lost, settings)
    assert f"Next: shell-ev active {CARD} --environment test\n" in capsys.readouterr().err
    lost.arguments["ev_charge_number"] = "A CARD WITHOUT EMA-ID"
    report_error(lost, Settings())
    assert "Next: shell-ev active EMA_ID\n" in capsys.readouterr().err
    # An embedded sandbox ends with the command.
    report_error(lost, Settings(sandbox=True))
    assert "Next" not in capsys.readouterr().err


def test_wrong_credentials_exit_with_4(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_EV_CLIENT_SECRET", "wrong")
    done = cli("active", CARD)
    assert (done.code, done.out, done.err.count("\n")) == (ExitCode.AUTHENTICATION, "", 1)


def test_no_answer_exits_with_6(cli: Cli, closed_port: int) -> None:
    done = cli("active", CARD, "--base-url", f"http://127.0.0.1:{closed_port}")
    assert (done.code, done.out, done.err.count("\n")) == (ExitCode.NO_ANSWER, "", 1)


def test_a_refusal_exits_with_5(cli: Cli) -> None:
    done = cli("show", SESSION)
    assert (done.code, done.out, done.err.count("\n")) == (ExitCode.REFUSED, "", 1)
    error = json.loads(cli("show", SESSION, "--json").err)["error"]
    assert (error["type"], error["status_code"], error["code"]) == ("NotFoundError", 404, "E0038")
    assert error["request_id"]


def test_an_invalid_argument_exits_with_2_and_sends_nothing(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("start", CARD, "NL*TNM", "--json")
    assert done.code == ExitCode.USAGE
    assert json.loads(done.err)["error"]["faults"] == ["evse_id must be 18 to 36 characters, it has 6: 'NL*TNM'"]
    assert not sandbox.requests


def test_a_failed_charge_exits_with_8_and_a_pending_one_with_9(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("charge", CARD, FAILING_EVSES["EvseInUse"])
    assert done.code == ExitCode.CHARGE_FAILED
    assert "EvseInUse" in done.err
    assert done.out.splitlines()[-1].endswith("failed to start")
    sandbox.start_delay = 1e6
    done = cli("charge", CARD, EVSE, "--start-timeout", "0.2s")
    assert done.code == ExitCode.CHARGE_PENDING
    session_id = sandbox.charges[-1].session_id
    assert done.err.startswith(
        f"shell-ev: CAREFUL, A CAR MAY BE CHARGING: session {session_id} has not started in time and may start yet; it "
        f"is start-requested. Next: shell-ev show {session_id}  or  shell-ev stop {session_id}"
    )


def test_a_lost_start_that_cannot_be_found_exits_with_7(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.drop())
    done = cli("start", "A CARD WITHOUT EMA-ID", EVSE)
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert done.err.startswith("shell-ev: CAREFUL, A CAR MAY BE CHARGING: a start on NL*TNM*E02003451*0 was sent")


def test_a_charge_that_cannot_be_stopped_exits_with_7(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("charge", CARD, FAILING_STOP_EVSE, "--stop-after", "0.1s", "--stop-timeout", "0.2s")
    session_id = sandbox.charges[-1].session_id
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert "NOT STOPPED" in done.out
    assert f"Next: shell-ev stop {session_id}" in done.err
    assert sandbox.charges[-1].is_running


def test_no_output_contains_a_secret_at_any_log_level(
    cli: Cli, sandbox: Sandbox, closed_port: int, tmp_path: Any
) -> None:
    (tmp_path / "x.env").write_text(f"SHELL_EV_CLIENT_SECRET='{SECRET}\n")
    outputs = [
        cli("-vv", "active", CARD),
        cli("-vv", "active", CARD, "--json"),
        cli("-vv", "nearby", "52.37", "4.89", "--limit", "1", "--json"),
        cli("-vv", "charge", CARD, EVSE, "--stop-after", "0.1s"),
        cli("-vv", "show", SESSION),
        cli("-vv", "active", CARD, "--base-url", f"http://127.0.0.1:{closed_port}"),
        cli("-vv", "active", CARD, "--env-file", str(tmp_path / "x.env")),
        cli("-vv", "active", CARD, "--base-url", f"http://user:{SECRET}@127.0.0.1"),
    ]
    sandbox.faults.add("token", Fault.status(401, body=f'{{"error": "{SECRET}"}}'.encode()))
    outputs.append(cli("-vv", "active", CARD))
    assert [one.code for one in outputs] == [0, 0, 0, 0, 5, 6, 3, 3, 4]
    for one in outputs:  # `cli` checks for the secret itself; these are the tokens
        assert not any(token in one.out + one.err for token in sandbox.service.tokens._expiry)


def test_an_output_that_cannot_be_flushed_does_not_hide_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("sys.stdout", Gone())
    assert main(["nonsense"]) == ExitCode.USAGE
