"""The errors of the library, one tree under :class:`ShellEVError`.

Every error can be made from its text alone, pickles and unpickles equal, and has a text of one line without a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

import attrs

from .export import Exported

if TYPE_CHECKING:
    from .models.charging import ChargeSession
    from .models.enums import SessionErrorCode
    from .models.locations import Location

_TEXT_LIMIT = 300


def one_line(text: object, limit: int | None = _TEXT_LIMIT) -> str:
    """A text as one printable line.

    Args:
        text: Anything; ``str`` is taken of it.
        limit: Longest result in characters; None keeps the whole text.

    Returns:
        The text without line breaks, escape sequences and other unprintable characters. Never raises.
    """
    try:
        plain = str(text)
    except Exception:
        plain = f"<unprintable {type(text).__name__}>"
    if limit is not None:
        plain = plain[: limit * 4]
    folded = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return folded if limit is None or len(folded) <= limit else folded[: limit - 1] + "…"


def shown(value: object, limit: int = 60) -> str:
    """The ``repr`` of a value as one short printable line. Never raises."""
    try:
        return one_line(repr(value), limit)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


@attrs.frozen(kw_only=True, repr=False)
class ErrorDetail(Exported):
    """One entry of an error body's ``errors``, in any dialect."""

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
    # Pickles name this function. The constructor is passed by: its keywords are in the state already.
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ShellEVError(Exported, Exception):
    """Base of all errors of this library.

    ``args`` is ``(text, outcome_unknown)``, and every class can be made from it: ``type(error)(*error.args)``.

    Args:
        message: What happened, in one line.
        outcome_unknown: Whether a start or stop may have taken effect; None for what the class stands for.
    """

    _unknown: ClassVar[bool] = False

    def __init__(self, message: str = "", outcome_unknown: bool | None = None) -> None:
        text = one_line(message, 1000)
        super().__init__(text)
        # After the constructor of the base: OSError reads two arguments as a number and its words.
        self.args = (text, self._unknown if outcome_unknown is None else bool(outcome_unknown))

    @property
    def outcome_unknown(self) -> bool:
        """True when a start or stop may have taken effect all the same: look it up, never send another blindly."""
        return bool(self.args[1]) if len(self.args) > 1 else self.__dict__.get("outcome_unknown", self._unknown)

    @outcome_unknown.setter
    def outcome_unknown(self, value: bool) -> None:
        self.args: tuple[Any, ...] = (str(self), value)

    @property
    def message(self) -> str | None:
        """What happened, in one line."""
        return str(self.args[0]) if self.args else ""

    def _exported(self) -> Iterable[tuple[str, object]]:
        yield "type", type(self).__name__
        yield "message", str(self)
        yield "outcome_unknown", self.outcome_unknown
        for name, value in vars(self).items():
            # What came over the wire as it was, and the notes of tracebacks, are no data.
            if not name.startswith("_") and name not in ("headers", "body"):
                yield name, value

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

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
    """Arguments that the service would refuse. Raised before anything is sent.

    Args:
        faults: Every fault, one line each; a text is one fault.
        outcome_unknown: False: nothing was sent.
        operation: Operation such as ``charging.start``; None outside a call.
    """

    def __init__(
        self,
        faults: Sequence[str] = (),
        outcome_unknown: bool | str | None = None,
        *,
        operation: str | None = None,
    ) -> None:
        if isinstance(outcome_unknown, str):
            # The second argument was the operation once.
            operation, outcome_unknown = outcome_unknown, None
        if isinstance(faults, str):
            # Perhaps the text of an error with many faults: as long as that may be.
            self.faults: tuple[str, ...] = (one_line(faults, 1000),) if faults else ()
        else:
            self.faults = tuple(one_line(fault) for fault in faults)  #: Every fault, one line each.
        self.operation = operation  #: Operation such as ``charging.start``; None outside a call.
        where = f"{operation}: " if operation else ""
        super().__init__(f"{where}{'; '.join(self.faults)}", outcome_unknown)


class AuthenticationError(ShellEVError):
    """There is no token. It may pass by itself, unless it is a :class:`CredentialsRefusedError`."""

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        error: str | None = None,
        error_description: str | None = None,
        status_code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, outcome_unknown)
        self.error = error  #: OAuth error code such as ``invalid_client``; None when there was none.
        self.error_description = error_description  #: The endpoint's own words.
        self.status_code = status_code  #: HTTP status; None when a token source failed without one.
        #: Headers of the answer, empty when there was none.
        self.headers: Mapping[str, str] = headers if headers is not None else {}


class CredentialsRefusedError(AuthenticationError):
    """The token endpoint refused the credentials themselves: the same credentials will be refused again."""


class CallDetails(TypedDict, total=False):
    """What every error of a call says of it, see :class:`CallError`."""

    operation: str | None
    request_id: str | None
    attempts: int
    arguments: Mapping[str, Any] | None
    sent_at: datetime | None
    sent_at_error: float | None


class CallError(ShellEVError):
    """Base of the errors of one call: which call it was, and what it sent."""

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        operation: str | None = None,
        request_id: str | None = None,
        attempts: int = 0,
        arguments: Mapping[str, Any] | None = None,
        sent_at: datetime | None = None,
        sent_at_error: float | None = None,
    ) -> None:
        super().__init__(message, outcome_unknown)
        self.operation = operation  #: Operation such as ``charging.start``; ``token`` for a token request.
        self.request_id = request_id  #: RequestId of the call, the same on every attempt.
        self.attempts = attempts  #: Number of attempts that were made.
        self.arguments: dict[str, Any] = dict(arguments or {})  #: Arguments of the call.
        self.sent_at = sent_at  #: When the last attempt of a start or stop was sent (UTC); None for other operations.
        #: By how many seconds ``sent_at`` may differ from the clock of the service; None where it is our own clock's.
        self.sent_at_error = sent_at_error


class TransportError(CallError):
    """No whole answer came. ``request_sent`` says whether the request may have left this machine."""

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        request_sent: bool = False,
        **call: Unpack[CallDetails],
    ) -> None:
        super().__init__(message, outcome_unknown, **call)
        self.request_sent = request_sent  #: Whether the last attempt may have left this machine.


class ConnectError(TransportError):
    """No connection: name not found, refused, TLS not trusted, or no free connection in time. Nothing was sent."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The time for the call ran out. Also a builtin ``TimeoutError``."""


class OutcomeUnknownError(TransportError):
    """A start or stop left this machine and what came of it is not known. Look it up, never repeat it blindly.

    ``arguments`` and ``sent_at`` are what a look-up of the session needs; ``ev.reconcile(error)`` does it.
    """

    _unknown = True

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        request_sent: bool = True,
        lookups: int = 0,
        lookups_answered: int = 0,
        seen: Sequence[Any] = (),
        reasons: Mapping[str, str] | None = None,
        baseline: Sequence[str] | None = None,
        **call: Unpack[CallDetails],
    ) -> None:
        super().__init__(message, outcome_unknown, request_sent=request_sent, **call)
        self.lookups = lookups  #: How often the service was asked for the session.
        self.lookups_answered = lookups_answered  #: How many of these were answered.
        self.seen: tuple[Any, ...] = tuple(seen)  #: The card's sessions as the service showed them last.
        self.reasons: dict[str, str] = dict(reasons or {})  #: Why each session was not adopted, by session id.
        #: Ids of the sessions that ran before the start, with ``baseline=True``; None without.
        self.baseline: tuple[str, ...] | None = None if baseline is None else tuple(baseline)


class ApiError(CallError):
    """An answer that is a failure. Subclasses name the status; this class itself stands for any other."""

    #: The status a subclass stands for; None where it is not one status.
    for_status: ClassVar[int | None] = None

    def __init__(
        self,
        text: str = "",
        outcome_unknown: bool | None = None,
        *,
        status_code: int | None = None,
        code: str | None = None,
        message: str | None = None,
        errors: Sequence[ErrorDetail] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        retry_after: float | None = None,
        **call: Unpack[CallDetails],
    ) -> None:
        super().__init__(text, outcome_unknown, **call)
        #: HTTP status. Made from its text alone, an error has that of its class, or 0.
        self.status_code: int = (self.for_status or 0) if status_code is None else status_code
        self.code = code  #: The first code in the body, such as ``E0001``. Decide by the status, not by this.
        self._message = message
        self.errors: tuple[ErrorDetail, ...] = tuple(errors)  #: What the body said, entry by entry.
        self.headers: Mapping[str, str] = headers if headers is not None else {}  #: Response headers.
        self.body = body  #: The body as it was received, with tokens and secrets masked.
        self.retry_after = retry_after  #: Seconds the service asked to wait; None when it did not.

    @property
    def message(self) -> str | None:
        """The service's own words, None when the body held none."""
        return self._message

    def _exported(self) -> Iterable[tuple[str, object]]:
        yield from super()._exported()
        yield "service_message", self._message


class BadRequestError(ApiError):
    """400: the service cannot process the request as it is."""

    for_status: ClassVar[int | None] = 400


class UnauthorizedError(ApiError):
    """401: the service refused the token, a fresh one included."""

    for_status: ClassVar[int | None] = 401


class ForbiddenError(ApiError):
    """403: these credentials may not do this."""

    for_status: ClassVar[int | None] = 403


class NotFoundError(ApiError):
    """404: no such session, EVSE, card or location; on stop also a session that has already been stopped."""

    for_status: ClassVar[int | None] = 404


class MethodNotAllowedError(ApiError):
    """405: the host does not know this operation; is ``base_url`` or ``api_version`` right?"""

    for_status: ClassVar[int | None] = 405


class TooManyRequestsError(ApiError):
    """429: the rate limit was reached. ``retry_after`` says for how many seconds, when the service said so."""

    for_status: ClassVar[int | None] = 429


class InternalServerError(ApiError):
    """500 and every other 5xx but 503."""

    for_status: ClassVar[int | None] = 500


class ServiceUnavailableError(InternalServerError):
    """503: the service cannot answer now."""

    for_status: ClassVar[int | None] = 503


class RequestFailedError(ApiError):
    """A 2xx answer whose envelope says FAILED."""


class ResponseDecodeError(CallError):
    """A 2xx answer that cannot be read. ``problems`` are JSON paths with what was wrong at each."""

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        status_code: int = 0,
        content_type: str | None = None,
        excerpt: str = "",
        problems: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        **call: Unpack[CallDetails],
    ) -> None:
        super().__init__(message, outcome_unknown, **call)
        self.status_code = status_code  #: HTTP status; 0 when the error was made from its text alone.
        self.content_type = content_type  #: The answer's own Content-Type.
        self.excerpt = excerpt  #: The first 200 characters of the body, on one line.
        self.problems: tuple[str, ...] = tuple(problems)  #: JSON paths, each with what was wrong there.
        self.headers: Mapping[str, str] = headers if headers is not None else {}  #: Response headers.
        self.body = body  #: The body as it was received, with tokens and secrets masked.


class ChargeError(ShellEVError):
    """Base of the errors of one charge."""

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        session_id: str = "",
        session: ChargeSession | None = None,
    ) -> None:
        super().__init__(message, outcome_unknown)
        self.session_id = session_id  #: Id of the session; empty when the error was made from its text alone.
        self.session = session  #: The session as it was last seen; None when the error was made from its text alone.


class ChargeFailedError(ChargeError):
    """The charge did not start, and the service says so: ``code`` is the reason, ``session`` its last state."""

    @property
    def code(self) -> SessionErrorCode | None:
        """The service's reason, to compare by member: ``error.code is SessionErrorCode.EVSE_IN_USE``."""
        return self.session.error.code if self.session is not None and self.session.error is not None else None

    def _exported(self) -> Iterable[tuple[str, object]]:
        yield from super()._exported()
        yield "code", self.code


class ChargePendingError(ChargeError, TimeoutError):
    """Accepted, and neither started nor failed within the time given. It may start yet.

    Nothing was changed on the server: ``client.attach(error.session_id)`` waits on, or stops it.
    """

    _unknown = True


class ChargeNotStoppedError(ChargeError):
    """The charge could not be stopped, or was not seen stopped: the car may still be charging.

    ``client.attach(error.session_id).stop()`` tries again.
    """

    _unknown = True


class KeyReusedError(ValidationError):
    """The key belongs to a charge of another card or EVSE. Nothing was sent: a new order needs a new key."""


class ChargeInProgressError(ShellEVError):
    """A live process works on this key, or a start on this EVSE is open. Nothing was sent.

    Args:
        message: What is in progress, in one line.
        outcome_unknown: False: nothing was sent by this call.
        owner: The process that works on it, as host, process id and a random part; None when it is not known.
        key: The key of the charge that is in progress.
        since: When its entry was made (UTC).
    """

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        owner: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
    ) -> None:
        super().__init__(message, outcome_unknown)
        self.owner = owner  #: The process that works on it.
        self.key = key  #: The key that is in progress.
        self.since = since  #: When its entry was made (UTC).


class StoreError(ShellEVError):
    """The store cannot be used. Raised by a start: nothing was sent. The text says what to do."""


class EvseNotAvailableError(ShellEVError, TimeoutError):
    """No EVSE of the kind came free in time, or the location has none of the kind. Also a builtin ``TimeoutError``."""

    def __init__(
        self,
        message: str = "",
        outcome_unknown: bool | None = None,
        *,
        uid: str = "",
        location: Location | None = None,
    ) -> None:
        super().__init__(message, outcome_unknown)
        self.uid = uid  #: Uid of the location; empty when the error was made from its text alone.
        self.location = location  #: The location as it was last seen; None if it was not seen.


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
