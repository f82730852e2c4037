"""Decides which of a card's sessions a lost start made. Pure: times, ids and what is held come in, one decision out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

import attrs

from ..core.ownership import same_evse
from ..core.service_clock import Moment
from ..endpoints.validation import is_session_id
from ..errors import one_line
from ..models.charging import ChargeSession
from .poller import OVER

#: Seconds by which a service's clock may differ from its gateway's: a session that began within is in doubt.
DOUBT: Final = 60.0
#: Error of the time of sending where no Date header can be used, in seconds.
UNDATED: Final = 60.0

_OTHER_EVSE = "on another EVSE"
_UNSENDABLE = "its id cannot be sent"


@attrs.frozen(kw_only=True)
class Search:
    """What is known of a lost start when its card's sessions are judged."""

    evse_id: str
    sent: Moment
    """When it was sent, on the service's clock."""
    held: Collection[str] = ()
    """Sessions of other starts of this client."""
    watched: Collection[str] = ()
    """Sessions attached to, or followed, before it was sent."""
    baseline: Collection[str] = ()
    """Sessions that were listed before it was sent."""
    rivals: int = 0
    """Other starts of this client on the same card and EVSE in flight meanwhile, without a session id."""
    is_certain: bool = True
    """False: the service's clock is still being compared, and nothing is adopted."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What a list of sessions says of a lost start."""

    session: ChargeSession | None = None
    """The session to adopt."""
    candidates: tuple[str, ...] = ()
    """Ids of the sessions that may be the start's, as texts of one line."""
    reasons: dict[str, str] = attrs.field(factory=dict[str, str])
    """Why each session is not adopted, by its id."""
    on_evse: int = 0
    """Number of sessions on the EVSE."""


def judge(sessions: Iterable[ChargeSession], search: Search) -> Verdict:
    """Judge the sessions of a card.

    Args:
        sessions: All of one answer.
        search: What is known of the start.

    Returns:
        The session to adopt, where exactly one may be the start's; and why every other is not adopted.
    """
    reasons: dict[str, str] = {}
    fitting: dict[str, ChargeSession] = {}
    on_evse = 0
    for session in sessions:
        key = one_line(session.id, 255)
        is_here = same_evse(session.evse_id, search.evse_id)
        on_evse += is_here
        reason = reason_against(session, search) if is_here else _OTHER_EVSE
        if reason is None:
            fitting[key] = session
        else:
            # A session that is listed twice is excluded by either.
            reasons.setdefault(key, reason)
    candidates = tuple(key for key in fitting if key not in reasons)
    verdict = Verdict(candidates=candidates, reasons=reasons, on_evse=on_evse)
    shared = _reason_against_all(len(candidates), search)
    if shared is not None:
        reasons.update(dict.fromkeys(candidates, shared))
        return verdict
    for key in candidates:
        session = fitting[key]
        if session.id is not None and is_session_id(session.id):
            return attrs.evolve(verdict, session=session)
        reasons[key] = _UNSENDABLE
    return verdict


def _reason_against_all(candidates: int, search: Search) -> str | None:
    if candidates > 1:
        return f"one of {candidates} sessions that may be the start's"
    if search.rivals:
        return "another start of this client on this card and EVSE is in flight, and the session may be its own"
    return None if search.is_certain else "the clock of the service is not known yet"


def reason_against(session: ChargeSession, search: Search) -> str | None:
    """Why a session on the EVSE is not the start's, or is in doubt; None for a candidate."""
    if session.id in search.held:
        return "belongs to another start of this client"
    if session.id in search.watched:
        return "was attached to, or followed, before the start was sent"
    if session.id in search.baseline:
        return "was listed before the start was sent"
    ended = _reason_by_end(session, search.sent)
    if ended is not None:
        return ended
    if session.started_at is not None:
        return _reason_by_beginning(session.started_at, search.sent)
    early = _before(session.last_updated, search.sent)
    if early is not None and early > DOUBT:
        return f"was last updated {early:.1f} s before the start was sent"
    return None


def _reason_by_end(session: ChargeSession, sent: Moment) -> str | None:
    if session.state not in OVER:
        return None
    # The last update of a session that is over is its end, at the latest.
    end = session.stopped_at or session.last_updated
    if end is None and session.started_at is None:
        return "is over, and no time says since when"
    if end is None or _is_from(end, sent):
        return None
    return f"ended {_before(end, sent):.1f} s before the start was sent"


def _reason_by_beginning(began: datetime, sent: Moment) -> str | None:
    if _is_from(began, sent):
        return None
    early = _before(began, sent) or 0.0
    if early > DOUBT:
        return f"began {early:.1f} s before the start was sent"
    return f"in doubt: began {early:.1f} s before the start was sent, by clocks that may differ"


def _is_from(moment: datetime, sent: Moment) -> bool:
    """Whether a time is that of sending or later, as far as both are known."""
    return (_before(moment, sent) or 0.0) <= sent.error + (1.0 if moment.microsecond == 0 else 0.0)


def _before(moment: datetime | None, sent: Moment) -> float | None:
    """Seconds from a time to the time of sending."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (sent.at - aware).total_seconds()
