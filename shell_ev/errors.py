"""Every way a call can fail, as one tree under :class:`ShellEVError`.

Holds what happened, never how to react to it: decisions live in ``core/retry.py``. Building an error never raises,
every error pickles and unpickles equal, and its text is one line that holds no secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

if TYPE_CHECKING:
    from .models.charging import ChargeSession
    from .models.enums import SessionErrorCode

_TEXT_LIMIT = 300


def one_line(text: object, limit: int = _TEXT_LIMIT) -> str:
    """Fold a text to one printable line of at most ``limit`` characters."""
    try:
        plain = str(text)
    except Exception:
        plain = f"<unprintable {type(text).__name__}>"
    folded = " ".join("".join(c if c.isprintable() else " " for c in plain[: limit * 4]).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


def shown(value: object, limit: int = 60) -> str:
    """A value as a fault quotes it: its ``repr``, if it has one, on one short line."""
    try:
        return one_line(repr(value), limit)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


@attrs.frozen(kw_only=True)
class ErrorDetail:
    """One entry of an error body's ``errors``, in either dialect (contract section 6)."""

    code: str | None = None
    """Machine-readable code such as ``E0001``. The same code means different things in G1.0 and later: go by status."""
    message: str | None = None
    """Short text (``Title`` in V1_PASCAL)."""
    description: str | None = None
    """Long text (``Detail`` in V1_PASCAL)."""
    details: tuple[str, ...] = ()
    """Further texts (V1 and V2)."""
    additional_info: Mapping[str, str | None] | None = None
    """Further facts (V1_PASCAL)."""


def _rebuild(cls: type[ShellEVError], args: tuple[Any, ...], state: dict[str, Any]) -> ShellEVError:
    # The way back from a pickle: straight to the object, past any constructor and its required keywords.
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ShellEVError(Exception):
    """Base of everything this library raises on purpose."""

    #: True when a start or stop may have taken effect all the same. Look before you send another.
    outcome_unknown: bool = False

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, 1000))

    @property
    def message(self) -> str | None:
        """What happened, in one line."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, ShellEVError):
            return NotImplemented
        return self.args == other.args and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class ConfigurationError(ShellEVError):
    """The client cannot work as it is set up or used: a bad option, closed, used after a fork, on its own loop."""


class ValidationError(ShellEVError, ValueError):
    """Arguments the contract refuses. Raised before anything is sent; ``faults`` lists every one of them."""

    def __init__(self, faults: Sequence[str], operation: str | None = None) -> None:
        self.faults: tuple[str, ...] = tuple(one_line(fault) for fault in faults)  #: Every fault, one line each.
        self.operation = operation  #: Operation such as ``charging.start``; None outside a call.
        where = f"{operation}: " if operation else ""
        super().__init__(f"{where}{'; '.join(self.faults)}")


class AuthenticationError(ShellEVError):
    """The token endpoint refused the credentials, or answered something that is no token."""

    def __init__(
        self,
        message: str,
        *,
        error: str | None = None,
        error_description: str | None = None,
        status_code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.error = error  #: OAuth error code such as ``invalid_client``; None when there was none.
        self.error_description = error_description  #: The endpoint's own words.
        self.status_code = status_code  #: HTTP status; None when a token source failed without one.
        #: Those of the answer, empty when there was none: what kind of body came, from whom, where a redirect led.
        self.headers: Mapping[str, str] = headers if headers is not None else {}


class CredentialsRefusedError(AuthenticationError):
    """The token endpoint refused the credentials themselves: waiting does not mend it."""


class TransportError(ShellEVError):
    """No answer came. ``request_sent`` tells whether the request may have left this machine."""

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        request_id: str | None = None,
        attempts: int = 0,
        request_sent: bool = False,
    ) -> None:
        super().__init__(message)
        self.operation = operation  #: Operation such as ``charging.start``; ``token`` for a token call.
        self.request_id = request_id  #: RequestId of the call, the same on every try.
        self.attempts = attempts  #: How many tries were made.
        self.request_sent = request_sent  #: Whether the last try may have left this machine.


class ConnectError(TransportError):
    """No connection: name not found, refused, TLS not trusted, or no free connection in time. Nothing was sent."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The time for the call ran out. Also a builtin ``TimeoutError``."""


class OutcomeUnknownError(TransportError):
    """A start or stop may have left this machine and no answer came. It may have taken effect: look, never repeat.

    ``arguments`` are the call's own, ``sent_at`` the time (UTC) of the try that got no answer: what is needed to look
    a started session up through ``active``.
    """

    outcome_unknown = True

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        request_id: str | None = None,
        attempts: int = 0,
        arguments: Mapping[str, Any] | None = None,
        sent_at: datetime | None = None,
        lookups: int = 0,
        seen: Sequence[Any] = (),
    ) -> None:
        super().__init__(message, operation=operation, request_id=request_id, attempts=attempts, request_sent=True)
        self.arguments: dict[str, Any] = dict(arguments or {})  #: The call's own arguments.
        self.sent_at = sent_at  #: When the try that got no answer was sent (UTC).
        self.lookups = lookups  #: How often the service was asked for the session.
        self.seen: tuple[Any, ...] = tuple(seen)  #: The card's sessions as the service showed them last.


class ApiError(ShellEVError):
    """An answer that is a failure. Subclasses name the status; this class itself stands for any other."""

    #: The status a subclass stands for; None where it is not one status.
    for_status: ClassVar[int | None] = None

    def __init__(
        self,
        text: str,
        *,
        status_code: int,
        operation: str | None = None,
        code: str | None = None,
        message: str | None = None,
        errors: Sequence[ErrorDetail] = (),
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        attempts: int = 1,
        retry_after: float | None = None,
        outcome_unknown: bool = False,
        arguments: Mapping[str, Any] | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        super().__init__(text)
        self.arguments: dict[str, Any] = dict(arguments or {})  #: The call's own arguments.
        self.sent_at = sent_at  #: When a start or stop was sent (UTC); None for other operations.
        self.status_code = status_code  #: HTTP status.
        self.operation = operation  #: Operation such as ``charging.start``; ``token`` for a token call.
        self.code = code  #: The first code in the body, such as ``E0001``. Decide by the status, not by this.
        self._message = message
        self.errors: tuple[ErrorDetail, ...] = tuple(errors)  #: What the body said, entry by entry.
        self.request_id = request_id  #: As the service echoed it, else as it was sent.
        self.headers: Mapping[str, str] = headers if headers is not None else {}  #: Response headers.
        self.body = body  #: The body as it was received, with tokens and secrets masked.
        self.attempts = attempts  #: How many tries were made.
        self.retry_after = retry_after  #: Seconds the service asked to wait; None when it did not.
        self.outcome_unknown = outcome_unknown  #: Whether a start or stop may have taken effect all the same.

    @property
    def message(self) -> str | None:
        """The service's own words, None when the body held none."""
        return self._message


class BadRequestError(ApiError):
    """400: the service cannot process the request as it is."""

    for_status = 400


class UnauthorizedError(ApiError):
    """401: the service refused the token, a fresh one included."""

    for_status = 401


class ForbiddenError(ApiError):
    """403: these credentials may not do this."""

    for_status = 403


class NotFoundError(ApiError):
    """404: no such session, EVSE, card or location; on stop also a session that has already been stopped."""

    for_status = 404


class MethodNotAllowedError(ApiError):
    """405: the host does not know this operation; is ``base_url`` or ``api_version`` right?"""

    for_status = 405


class TooManyRequestsError(ApiError):
    """429: the rate limit was reached. ``retry_after`` says for how many seconds, when the service said so."""

    for_status = 429


class InternalServerError(ApiError):
    """500 and every other 5xx but 503."""

    for_status = 500


class ServiceUnavailableError(InternalServerError):
    """503: the service cannot answer now."""

    for_status = 503


class RequestFailedError(ApiError):
    """A 2xx answer whose envelope says FAILED."""


class ResponseDecodeError(ShellEVError):
    """A 2xx answer that cannot be read. ``problems`` are JSON paths with what was wrong at each."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        operation: str | None = None,
        request_id: str | None = None,
        content_type: str | None = None,
        excerpt: str = "",
        problems: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        attempts: int = 1,
        outcome_unknown: bool = False,
        arguments: Mapping[str, Any] | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.arguments: dict[str, Any] = dict(arguments or {})  #: The call's own arguments.
        self.sent_at = sent_at  #: When a start or stop was sent (UTC); None for other operations.
        self.status_code = status_code  #: HTTP status.
        self.operation = operation  #: Operation such as ``charging.start``.
        self.request_id = request_id  #: RequestId as it was sent.
        self.content_type = content_type  #: What the answer called itself.
        self.excerpt = excerpt  #: The first 200 characters of the body, on one line.
        self.problems: tuple[str, ...] = tuple(problems)  #: JSON paths, each with what was wrong there.
        self.headers: Mapping[str, str] = headers if headers is not None else {}  #: Response headers.
        self.body = body  #: The body as it was received, with tokens and secrets masked.
        self.attempts = attempts  #: How many tries were made.
        self.outcome_unknown = outcome_unknown  #: Whether a start or stop may have taken effect all the same.


class ChargeFailedError(ShellEVError):
    """The charge did not start, and the service says so: ``code`` names the reason, ``session`` is its last word."""

    def __init__(self, message: str, *, session_id: str, session: ChargeSession) -> None:
        super().__init__(message)
        self.session_id = session_id  #: UUID of the session.
        self.session = session  #: The session as the service showed it.

    @property
    def code(self) -> SessionErrorCode | None:
        """The service's reason, to compare by member: ``error.code is SessionErrorCode.EVSE_IN_USE``."""
        return self.session.error.code if self.session.error is not None else None


class ChargePendingError(ShellEVError, TimeoutError):
    """Accepted, and neither started nor failed within the time given. It may start yet.

    Nothing was changed on the server: ``client.attach(error.session_id)`` waits on, or stops it.
    """

    outcome_unknown = True

    def __init__(self, message: str, *, session_id: str, session: ChargeSession | None) -> None:
        super().__init__(message)
        self.session_id = session_id  #: UUID of the session.
        self.session = session  #: The session as it was last seen; None before the first look.


class ChargeNotStoppedError(ShellEVError):
    """The charge could not be stopped, or it could not be seen to have stopped: the car may still be charging.

    ``client.attach(error.session_id).stop()`` tries again.
    """

    outcome_unknown = True

    def __init__(self, message: str, *, session_id: str, session: ChargeSession | None) -> None:
        super().__init__(message)
        self.session_id = session_id  #: UUID of the session.
        self.session = session  #: The session as it was last seen; None before the first look.


_BY_STATUS: dict[int, type[ApiError]] = {
    cls.for_status: cls
    for cls in (
        BadRequestError,
        UnauthorizedError,
        ForbiddenError,
        NotFoundError,
        MethodNotAllowedError,
        TooManyRequestsError,
        InternalServerError,
        ServiceUnavailableError,
    )
    if cls.for_status is not None
}


def error_class_for(status_code: int) -> type[ApiError]:
    """The class that stands for an HTTP status: ``ApiError`` itself where none is closer."""
    exact = _BY_STATUS.get(status_code)
    if exact is not None:
        return exact
    return InternalServerError if 500 <= status_code <= 599 else ApiError
