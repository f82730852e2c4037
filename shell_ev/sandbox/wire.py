"""Bodies of the charging operations and of every documented error, dialect by dialect."""

from __future__ import annotations

import datetime
import json
from typing import Any

from shell_ev.sandbox.charges import Charge, SessionState
from shell_ev.sandbox.records import Dialect, SandboxReply

STATE_KEY = "SessionState"
"""Where the official SDKs of G1.0 look for the state of a session."""
PAGE_STATE_KEY = "Sessionstate"
"""Where the page of G1.0 writes the state in its example of retrieve."""

JSON_HEADERS: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_DETAILS = {
    400: "The server cannot process the request because of a client error.",
    401: "The request lacks valid authentication credentials for the target resource.",
    404: "Location Not Found",
    405: "The method is not supported for this resource.",
    429: "The Request reached maximum allocated rate limit",
    500: "The server met an unexpected condition.",
    503: "A connectivity failure was encountered, or the maximum number of retries is completed.",
}
_CODES_PASCAL = {400: "E0001", 401: "E0006", 404: "E0005", 405: "E0007", 429: "E0008", 500: "E0002", 503: "E0012"}
_CODES = {400: "E0001", 401: "E0003", 404: "E0038", 405: "E0007", 429: "E0009", 500: "E0005", 503: "E0014"}

# The examples of G1.3 and G2 write "Started" where the prose lists lower case; both spellings are sent on purpose.
_STATUS_TEXT = {SessionState.STARTED: "Started", SessionState.STOPPED: "Stopped"}


def json_reply(status: int, document: Any) -> SandboxReply:
    """Build a JSON reply."""
    return SandboxReply(status, JSON_HEADERS, json.dumps(document, ensure_ascii=False).encode())


def error_code(dialect: Dialect, operation: str, status: int) -> str:
    """Return the documented example code; statuses without one get `E0` and the status."""
    if dialect is not Dialect.V1_PASCAL:
        return _CODES.get(status, f"E0{status}")
    if status == 401 and operation == "charging.start":
        return "E0003"  # start has an error model of its own for 401 in G1.0
    return _CODES_PASCAL.get(status, f"E0{status}")


def error_reply(
    dialect: Dialect,
    operation: str,
    status: int,
    request_id: str,
    detail: str | None = None,
    problems: tuple[str, ...] = (),
) -> SandboxReply:
    """Build the error body that the dialect documents for an operation."""
    code = error_code(dialect, operation, status)
    title = _TITLES.get(status, "Error")
    text = detail or _detail(dialect, operation, status) or title
    if dialect is Dialect.V1_PASCAL:
        if operation.startswith("locations."):
            return json_reply(status, {"code": code, "message": " ".join((text, *problems))})
        extra = {f"Problem{number}": problem for number, problem in enumerate(problems, 1)} or None
        error = {"Code": code, "Title": title, "Detail": text[:250], "AdditionalInfo": extra}
        return json_reply(status, {"RequestId": request_id, "Status": "FAILED", "Errors": [error]})
    item: dict[str, Any] = {"code": code, "message": title, "description": text}
    envelope: dict[str, Any] = {"requestId": request_id, "status": "FAILED", "errors": [item]}
    # Only 500 carries its details beside the errors and not inside them.
    (envelope if status == 500 else item)["details"] = list(problems)
    return json_reply(status, envelope)


def _detail(dialect: Dialect, operation: str, status: int) -> str | None:
    if status == 404 and dialect is Dialect.V1_PASCAL and operation == "charging.start":
        return "Invalid charge token with given EmaId was not found."
    return _DETAILS.get(status)


def gateway_not_found(path: str) -> SandboxReply:
    """Answer as the platform in front of the API does when no API is mounted on a path."""
    fault = {
        "faultstring": f"Unable to identify proxy for host: default and url: {path}",
        "detail": {"errorcode": "messaging.adaptors.http.flow.ApplicationNotFound"},
    }
    return json_reply(404, {"fault": fault})


def envelope(dialect: Dialect, request_id: str, data: list[Any] | None = None) -> dict[str, Any]:
    """Wrap a success."""
    names = ("RequestId", "Status", "Data") if dialect is Dialect.V1_PASCAL else ("requestId", "status", "data")
    document: dict[str, Any] = {names[0]: request_id, names[1]: "SUCCESS"}
    if data is not None:
        document[names[2]] = data
    return document


def started_reply(dialect: Dialect, request_id: str, session_id: str) -> SandboxReply:
    """Answer an accepted start."""
    key = "SessionId" if dialect is Dialect.V1_PASCAL else "sessionId"
    return json_reply(202, envelope(dialect, request_id, [{key: session_id}]))


def stopped_reply(dialect: Dialect, request_id: str) -> SandboxReply:
    """Answer an accepted stop."""
    return json_reply(202, envelope(dialect, request_id))


def retrieve_reply(dialect: Dialect, request_id: str, charge: Charge, state_key: str) -> SandboxReply:
    """Answer retrieve. `state_key` is where G1.0 writes the state."""
    document = session_document(dialect, charge, listed=False, state_key=state_key)
    return json_reply(200, envelope(dialect, request_id, [document]))


def active_reply(dialect: Dialect, request_id: str, charges: list[Charge]) -> SandboxReply:
    """Answer active."""
    items = [session_document(dialect, charge, listed=True) for charge in charges]
    return json_reply(200, envelope(dialect, request_id, items))


def session_document(dialect: Dialect, charge: Charge, *, listed: bool, state_key: str = STATE_KEY) -> dict[str, Any]:
    """Describe one session as retrieve does, or with `listed` as active does: their keys differ."""
    started, stopped, error, state = charge.started_at, charge.stopped_at, charge.error, charge.state
    if dialect is Dialect.V1_PASCAL:
        document: dict[str, Any] = {"EmaId": charge.ema_id, "EvseId": charge.evse_id, "Id": charge.session_id}
        if started is not None:
            document["StartedAt"] = timestamp(started, "milliseconds")
        document[STATE_KEY if listed else state_key] = state.value
        if not listed:
            document["StoppedAt"] = None if stopped is None else timestamp(stopped, "milliseconds")
        document["SessionCode"] = None if error is None else error.code
        document["SessionMessage"] = None if error is None else error.message
        document["UserId"] = charge.user_id
        return document
    document = {
        "id": charge.session_id,
        "userId": charge.user_id,
        "emaId": charge.ema_id,
        "evseId": charge.evse_id,
        "lastUpdated": timestamp(charge.last_updated),
    }
    if started is not None:
        document["startedAt"] = timestamp(started)
    document["stoppedAt"] = None if stopped is None else timestamp(stopped)
    state_document: dict[str, Any] = {"status": _STATUS_TEXT.get(state, state.value)}
    if error is not None:
        state_document["error"] = {"code": error.code, "message": error.message}
    document["SessionState" if listed else "sessionState"] = state_document
    return document


def timestamp(at: float, precision: str = "microseconds") -> str:
    """Write unix seconds as RFC 3339 in UTC."""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
