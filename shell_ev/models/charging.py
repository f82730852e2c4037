"""What the charging operations answer (contract section 4), one set of classes for all API versions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

import attrs

from ..export import Exported, brief, first_of
from .enums import SessionErrorCode, SessionState


@attrs.frozen(kw_only=True, repr=False)
class SessionError(Exported):
    """Why a session failed, as the service tells it."""

    code: SessionErrorCode | None = None
    """Machine-readable reason; an unlisted one survives as itself."""
    message: str | None = None
    """The service's own words."""


@attrs.frozen(kw_only=True, repr=False)
class StartedSession(Exported):
    """An accepted start. Accepted is not charging: follow the session until its state says so."""

    session_id: str
    """UUID of the new charge session, to retrieve or stop it by."""


@attrs.frozen(kw_only=True, repr=False)
class ChargeSession(Exported):
    """One charge session. Missing and null are None; zero, False and the empty text stay what they are."""

    id: str | None = None
    """UUID of the session."""
    user_id: str | None = None
    """UUID of the account the card belongs to."""
    ema_id: str | None = None
    """EMA-ID of the card."""
    evse_id: str | None = None
    """EVSE the session runs on."""
    state: SessionState | None = None
    """Where the session stands."""
    error: SessionError | None = None
    """Why it failed, when it did."""
    started_at: datetime | None = None
    """When charging began; timezone-aware, a wire time without a zone is read as UTC."""
    stopped_at: datetime | None = None
    """When charging ended. The service's own examples end before they start: the order is not checked."""
    last_updated: datetime | None = None
    """When the service last touched the session (V1 and V2)."""

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
