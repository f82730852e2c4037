"""What passes between the request loop and the transport: one request, one reply or one way of getting none."""

from __future__ import annotations

from typing import Protocol

import attrs

from ..config import DEFAULT_MAX_RESPONSE_BYTES, Timeout
from ..models.response import Headers
from .deadline import Deadline


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
