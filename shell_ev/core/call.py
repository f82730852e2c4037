"""One logical call, the request it sends and what comes back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import attrs

from ..errors import ShellEVError
from ..models.response import Headers
from ..options import DEFAULT_MAX_RESPONSE_BYTES, Timeout
from ..redaction import Secret
from ..wire.operations import Operation
from ..wire.results import Result

if TYPE_CHECKING:
    from .auth import AccessToken, TokenCache, ValidatedSource
    from .connections import LoopResources
    from .deadlines import Deadline
    from .notify import CallNotifier


@attrs.define(eq=False, repr=False)
class Progress:
    """How far a call has come, for a caller that is cancelled while it runs."""

    sent: bool = False
    """Whether the request may be on its way right now, or was left without an answer."""
    abandoned: bool = False
    """Set by the caller: finish the current attempt, begin no other."""

    def begin(self, now: float) -> None:
        """An attempt begins: from here on the request may be on its way.

        Args:
            now: Seconds on the loop's clock.
        """
        self.sent = True


class Gate(Protocol):
    """What an attempt has to pass before anything is sent, within the time of the call."""

    async def enter(self, call: Call, /) -> None:
        """Called before each attempt. An error from it ends the call; nothing was sent then."""
        ...

    async def undo(self, call: Call, /) -> None:
        """Called after an attempt without effect: it surely was not sent, or it was clearly refused. Must not raise."""
        ...


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CallOptions:
    """What a single call may set for itself, already checked."""

    request_id: str | None = None
    timeout: float | Timeout | None = None
    max_retries: int | None = None
    headers: Mapping[str, str] | None = None
    progress: Progress | None = None
    gate: Gate | None = None
    """Passed after the gate of the client, as the last thing before the socket."""


NO_OPTIONS = CallOptions()


#: The variant of a UUID (RFC 9562) for a random digit.
_VARIANT: Final = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def mint_request_id() -> str:
    """A random UUID (version 4) as text; a quarter of the cost of ``str(uuid.uuid4())``."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def is_same_request(one: str, other: str) -> bool:
    """Whether two RequestIds are the same UUID in any spelling."""
    return one == other or _hex_digits(one) == _hex_digits(other)


def _hex_digits(request_id: str) -> str:
    return request_id.strip().lower().removeprefix("urn:uuid:").strip("{}").replace("-", "")


@attrs.define(kw_only=True, repr=False)
class Request:
    """One request, ready to be sent. Not frozen: that would cost each call 0.5 us."""

    method: str
    url: str
    headers: dict[str, str]
    """The loop's own: a replay puts a fresh token in."""
    body: bytes | None = attrs.field(default=None, repr=False)
    timeout: Timeout = attrs.field(factory=Timeout)
    """Limits of this call; the loop watches ``total``."""
    max_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    """Where reading the body of the answer stops."""


@attrs.define(eq=False, repr=False)
class Reply:
    """A whole answer of any status. ``oversized``: the body was cut at the size limit."""

    status: int
    headers: Headers = attrs.field(factory=Headers, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    oversized: bool = False
    discard: Callable[[], None] | None = None
    """Closes the connection that the answer came over, so that no later call uses it. Called before any ``await``."""


class Unreadable(NamedTuple):
    """A 2xx answer that cannot be read, and what is wrong with it."""

    reply: Reply
    problems: tuple[str, ...]


class SendFailure(Exception):
    """No whole answer came. ``sent`` is False only when the request surely did not leave this machine."""

    def __init__(self, reason: str, *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.timed_out = timed_out


Outcome = Reply | SendFailure | Unreadable
"""What an attempt came to."""


@attrs.define(kw_only=True, eq=False, repr=False)
class Call:
    """One logical call: what it sends, with what, and how far it has come."""

    operation: Operation
    arguments: Mapping[str, Any]
    result: Result
    request_id: str
    request: Request
    source: TokenCache | ValidatedSource | None
    """Where its tokens come from; None for a token request."""
    resources: LoopResources
    deadline: Deadline
    started: float
    max_retries: int
    progress: Progress
    read: Callable[[Call, Reply], Any]
    """Reads a 2xx answer: the result of the call, or an :class:`Unreadable`."""
    error: Callable[[Call, Reply | Unreadable, float | None, bool], ShellEVError]
    """The error of an answer that is final, from its Retry-After in seconds and whether the outcome is unknown."""
    gates: tuple[Gate, ...] = ()
    attempts: int = 0
    retries: int = 0
    replayed: bool = False
    sent_at: datetime | None = None
    token: AccessToken | None = None
    """The one in use."""
    tokens: tuple[Secret, ...] = ()
    """All that it was sent with, as text: a source may renew its token in place."""
    notifier: CallNotifier | None = None

    @property
    def name(self) -> str:
        """``group.method``."""
        return self.operation.name

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.operation.repeatable


class Sender(Protocol):
    """One attempt over the network. Raises :class:`SendFailure`, ``ConfigurationError`` or ``CancelledError`` only."""

    async def send(self, request: Request, connect_within: float | None, deadline: Deadline) -> Reply:
        """Send once.

        Args:
            request: What to send.
            connect_within: Seconds left for getting a connection, if less than configured.
            deadline: That of the whole call, for its idle timeout.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections that belong to the client."""
        ...
