"""Charge sessions, one set of classes for all API versions."""

from __future__ import annotations

from datetime import datetime

import attrs

from .enums import SessionErrorCode, SessionState


@attrs.frozen(kw_only=True)
class SessionError:
    """Reason why a session failed."""

    code: SessionErrorCode | None = None
    """Machine-readable reason. An undocumented one is kept as it is."""
    message: str | None = None
    """Message of the service."""


@attrs.frozen(kw_only=True)
class StartedSession:
    """An accepted start. The charge runs once the state of its session says so."""

    session_id: str
    """Id of the new charge session."""


@attrs.frozen(kw_only=True)
class ChargeSession:
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
