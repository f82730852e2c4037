"""What each error of the library becomes over HTTP: every class of the tree, one by one."""

from __future__ import annotations

import logging

import pytest

import shell_ev
from shell_ev import ChargeSession, SessionError, SessionErrorCode, SessionState

pytestmark = pytest.mark.usefixtures("examples_importable")

SESSION = ChargeSession(
    id="id", state=SessionState.FAILED_TO_START, error=SessionError(code=SessionErrorCode.EVSE_IN_USE)
)


def api(name: str, status: int, **more: object) -> shell_ev.ShellEVError:
    error: shell_ev.ShellEVError = getattr(shell_ev, name)("said", status_code=status, **more)
    return error


CASES = [
    (shell_ev.ShellEVError("said"), 502),
    (shell_ev.ConfigurationError("said"), 500),
    (shell_ev.ValidationError(["one", "two"]), 422),
    (shell_ev.KeyReusedError(["said"]), 422),
    (shell_ev.ChargeInProgressError("said", key="order", owner="host.1.x"), 409),
    (shell_ev.StoreError("said"), 503),
    (shell_ev.EvseNotAvailableError("said", uid="1"), 409),
    (shell_ev.AuthenticationError("said"), 502),
    (shell_ev.CredentialsRefusedError("said"), 502),
    (shell_ev.TransportError("said"), 502),
    (shell_ev.ConnectError("said"), 502),
    (shell_ev.RequestTimeoutError("said"), 504),
    (shell_ev.OutcomeUnknownError("said", operation="charging.start"), 504),
    (api("ApiError", 418), 502),
    (api("BadRequestError", 400), 400),
    (api("UnauthorizedError", 401), 502),
    (api("ForbiddenError", 403), 502),
    (api("NotFoundError", 404), 404),
    (api("MethodNotAllowedError", 405), 502),
    (api("TooManyRequestsError", 429, retry_after=1.2), 429),
    (api("InternalServerError", 500), 502),
    (api("InternalServerError", 500, outcome_unknown=True), 504),
    (api("ServiceUnavailableError", 503, retry_after=0.0), 503),
    (api("RequestFailedError", 200), 502),
    (api("ResponseDecodeError", 200), 502),
    (shell_ev.ChargeFailedError("said", session_id="id", session=SESSION), 409),
    (shell_ev.ChargePendingError("said", session_id="id", session=None), 504),
    (shell_ev.ChargeNotStoppedError("said", session_id="id", session=None), 504),
]


def test_every_error_of_the_library_is_here() -> None:
    tree = {error for error in vars(shell_ev).values() if isinstance(error, type) and issubclass(error, Exception)}
    assert {type(error) for error, _ in CASES} == tree


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: type(case).__name__)
def test_status_and_body(error: shell_ev.ShellEVError, status: int, caplog: pytest.LogCaptureFixture) -> None:
    from http_problems import problem_of

    problem = problem_of(error)
    assert (problem.status, problem.body["status"], problem.body["title"]) == (status, status, type(error).__name__)
    is_ours = status in (500, 502) or isinstance(error, shell_ev.StoreError)
    assert (problem.body["detail"] == str(error)) is not is_ours
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * is_ours
    assert ("what_to_do" in problem.body) is error.outcome_unknown


def test_the_particulars() -> None:
    from http_problems import problem_of

    bodies = {type(error): problem_of(error).body for error, _ in CASES}
    assert bodies[shell_ev.ValidationError]["faults"] == ("one", "two")
    assert bodies[shell_ev.ChargeFailedError]["code"] == "EvseInUse"
    assert bodies[shell_ev.ChargeNotStoppedError]["session_id"] == "id"
    assert "still be charging" in bodies[shell_ev.ChargeNotStoppedError]["what_to_do"]
    assert "same Idempotency-Key" in bodies[shell_ev.OutcomeUnknownError]["what_to_do"]
    headers = {type(error): problem_of(error).headers for error, _ in CASES}
    assert headers[shell_ev.TooManyRequestsError] == {"Retry-After": "2"}
    assert headers[shell_ev.ServiceUnavailableError] == {"Retry-After": "0"}
    assert headers[shell_ev.NotFoundError] == {}
