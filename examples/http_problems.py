"""What an error of the library means to a caller over HTTP: status, headers and a body after RFC 9457.

Pure; knows no web framework. A start or stop that may have taken effect is never answered as if it had failed.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from shell_ev import (
    BadRequestError,
    ChargeFailedError,
    ChargeInProgressError,
    ChargeNotStoppedError,
    ConfigurationError,
    EvseNotAvailableError,
    NotFoundError,
    RequestTimeoutError,
    ServiceUnavailableError,
    ShellEVError,
    StoreError,
    TooManyRequestsError,
    ValidationError,
)

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

_STATUS = (
    (ValidationError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (BadRequestError, HTTPStatus.BAD_REQUEST),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ChargeFailedError, HTTPStatus.CONFLICT),
    (ChargeInProgressError, HTTPStatus.CONFLICT),
    (EvseNotAvailableError, HTTPStatus.CONFLICT),
    (TooManyRequestsError, HTTPStatus.TOO_MANY_REQUESTS),
    (ServiceUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (RequestTimeoutError, HTTPStatus.GATEWAY_TIMEOUT),
    (ConfigurationError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
_LOOK_AGAIN = "Send the same request with the same Idempotency-Key: it looks for the charge and never starts another."
_STOP_AGAIN = "The car may still be charging. Send the stop again; if it keeps failing call the operator."


@dataclass(frozen=True)
class Problem:
    """An answer that is a failure."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def problem_of(error: ShellEVError) -> Problem:
    """The answer for an error. What is wrong here (credentials, settings, store) is logged and not shown."""
    status = _status_of(error)
    body: dict[str, Any] = {"title": type(error).__name__, "status": status.value, "detail": str(error)}
    headers: dict[str, str] = {}
    if status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.INTERNAL_SERVER_ERROR) or isinstance(error, StoreError):
        logger.error("answered %d: %s", status, error)
        body["detail"] = status.description
    if isinstance(error, ValidationError):
        body["faults"] = error.faults
    if isinstance(error, ChargeFailedError):
        body["code"] = error.code
    if isinstance(error, (ChargeFailedError, ChargeNotStoppedError)):
        body["session_id"] = error.session_id
    if error.outcome_unknown:
        body["what_to_do"] = _STOP_AGAIN if isinstance(error, ChargeNotStoppedError) else _LOOK_AGAIN
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return Problem(status.value, headers, body)


def _status_of(error: ShellEVError) -> HTTPStatus:
    if error.outcome_unknown:
        return HTTPStatus.GATEWAY_TIMEOUT
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return HTTPStatus.BAD_GATEWAY  # the service, or the way to it, is what failed
