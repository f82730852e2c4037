"""Charge sessions, one set of classes for all API versions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

import attrs

from ..export import Exported, brief, first_of
from .enums import SessionErrorCode, SessionState


@attrs.frozen(kw_only=True, repr=False)
class SessionError(Exported):
    """Reason why a session failed."""

    code: SessionErrorCode | None = None
    """Machine-readable reason. An undocumented one is kept as it is."""
    message: str | None = None
    """Message of the service."""


@attrs.frozen(kw_only=True, repr=False)
class StartedSession(Exported):
    """An accepted start. The charge runs once the state of its session says so."""

    session_id: str
    """Id of the new charge session."""


@attrs.frozen(kw_only=True, repr=False)
class ChargeSession(Exported):
    """One charge session. Missing and null are None; zero, False and the empty text are kept."""

    id: str | None = None
    """Id of the session."""
    user_id: str | None = None
    """Id of the account of the card."""
    ema_id: str | None = None
    """EMA-ID of the card."""
    evse_id: str | None = None
    """Id of the EVSE."""
    state: SessionState | None = None
    """State of the session."""
    error: SessionError | None = None
    """Reason why it failed."""
    started_at: datetime | None = None
    """Start of charging; timezone-aware. A time without a zone on the wire is UTC."""
    stopped_at: datetime | None = None
    """End of charging. It is not checked to be after the start: the service's own examples are not."""
    last_updated: datetime | None = None
    """Last change of the session by the service (V1 and V2)."""

    def _summary(self) -> Iterable[str]:
        # Without card and account: what is printed ends up in logs.
        yield first_of(self.id)
        yield self.state.value if self.state is not None else "state unknown"
        if self.evse_id:
            yield brief(self.evse_id)
        if self.error is not None:
            yield brief(self.error.code.value if self.error.code is not None else self.error.message)
        if self.started_at is not None:
            yield f"since {brief(self.started_at)}"

    _columns: ClassVar[tuple[str, ...]] = ("session id", "state", "EVSE id", "started", "stopped", "error")

    def _row(self) -> tuple[str, ...]:
        error = self.error
        return (
            self.id or "",
            self.state.value if self.state is not None else "",
            self.evse_id or "",
            "" if self.started_at is None else brief(self.started_at),
            "" if self.stopped_at is None else brief(self.stopped_at),
            ": ".join(filter(None, (error.code, error.message))) if error is not None else "",
        )

    def _repr_html_(self) -> str:
        return self._table((self,))
