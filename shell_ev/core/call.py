"""One logical call: what it may set for itself, and how far it has come. Knows nothing of how it is carried out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from ..config import Timeout
from ..wire.codec import Result
from .auth import AccessToken, ClientCredentials
from .deadline import Deadline
from .failures import CallFacts
from .telling import Watcher


@attrs.define(eq=False, repr=False)
class Progress:
    """How far a call has come, for a caller that must know what to do when it is cancelled half-way."""

    sent: bool = False
    """Whether the request may be on its way right now, or was left without an answer."""
    abandoned: bool = False
    """Set by the caller: finish the try under way, begin no other."""


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
    watcher: Watcher | None = None

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
