"""One logical call, the request it sends and the reply or failure it gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from ..models.response import Headers
from ..options import DEFAULT_MAX_RESPONSE_BYTES, Timeout
from ..wire.results import Result
from .failures import CallFacts

if TYPE_CHECKING:
    from .auth import AccessToken, ClientCredentials
    from .deadlines import Deadline
    from .notify import CallNotifier


@attrs.define(eq=False, repr=False)
class Progress:
    """How far a call has come, for a caller that must know what to do when it is cancelled half-way."""

    sent: bool = False
    """Whether the request may be on its way right now, or was left without an answer."""
    abandoned: bool = False
    """Set by the caller: finish the try under way, begin no other."""

    def begin(self, now: float) -> None:
        """An attempt begins: from here on the request may be on its way.

        Args:
            now: Seconds on the loop's clock.
        """
        self.sent = True


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CallOptions:
    """What a single call may set for itself, already checked."""

    request_id: str | None = None
    timeout: float | Timeout | None = None
    max_retries: int | None = None
    headers: Mapping[str, str] | None = None
    progress: Progress | None = None


NO_OPTIONS = CallOptions()


#: What the variant of a UUID (RFC 9562) makes of a random digit.
_VARIANT: Final = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def mint_request_id() -> str:
    """A random UUID (version 4) as text; a quarter of the cost of ``str(uuid.uuid4())``."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


@attrs.define(eq=False, repr=False)
class Call:
    """How far one logical call has come: what an error tells if it ends now."""

    name: str
    repeatable: bool
    arguments: Mapping[str, Any]
    result: Result
    request_id: str
    started: float
    deadline: Deadline
    max_retries: int
    progress: Progress
    credentials: ClientCredentials | None
    attempts: int = 0
    retries: int = 0
    replayed: bool = False
    sent_at: datetime | None = None
    token: AccessToken | None = None
    """The one in use."""
    tokens: tuple[str, ...] = ()
    """What it travelled with, as text: a source may renew its token in place."""
    notifier: CallNotifier | None = None

    def facts(self) -> CallFacts:
        """What an error tells of the call, and what it must not show."""
        return CallFacts(
            operation=self.name,
            request_id=self.request_id,
            attempts=self.attempts,
            repeatable=self.repeatable,
            # Put together here and not before: only a call that fails has something to hide.
            secrets=(
                *(() if self.credentials is None else self.credentials.secrets),
                *self.tokens,
            ),
            arguments=self.arguments,
            sent_at=self.sent_at,
        )


@attrs.define(repr=False)
class Request:
    """One try, ready to go. Not frozen, like the reply: that would cost each call 0.5 us.

    Made in order and not by name, like the reply and the call: Python makes a dict of names for a class, 0.2 us each.
    """

    method: str
    url: str
    headers: dict[str, str]
    """The loop's own: a replay puts a fresh token in."""
    body: bytes | None = None
    timeout: Timeout = attrs.field(factory=Timeout)
    """Limits of this call; ``total`` is watched by the loop."""
    max_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    """Where reading the answer's body stops."""


@attrs.define(eq=False, repr=False)
class Reply:
    """A whole answer, whatever its status. ``oversized`` says that the body was cut at the size limit."""

    status: int
    headers: Headers = attrs.field(factory=Headers)
    body: bytes = b""
    oversized: bool = False
    discard: Callable[[], None] | None = None
    """Closes the connection that the answer came over, so that no later call uses it. Called before any ``await``."""


class SendFailure(Exception):
    """No whole answer came. ``sent`` is False only when the request surely did not leave this machine."""

    def __init__(self, reason: str, *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.timed_out = timed_out


class Sender(Protocol):
    """One try over the network. Raises :class:`SendFailure`, ``ConfigurationError`` or ``CancelledError`` only."""

    async def send(self, request: Request, connect_within: float | None, deadline: Deadline) -> Reply:
        """Send once; ``connect_within`` is the time left for getting a connection, if less than configured.

        ``deadline`` is that of the whole call, for limiting silences in it.
        """
        ...

    async def aclose(self) -> None:
        """Give up the connections that are ours."""
        ...
