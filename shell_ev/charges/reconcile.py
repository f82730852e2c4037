"""Finding a charge whose start got no answer: through the card's active sessions, with patience, never by a new start.

Knows how a session is recognised as ours; knows nothing of what is then done with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from ..core.ownership import Claims
from ..core.session_manager import SessionManager
from ..dialects import ApiVersion
from ..endpoints.charging import AsyncCharging, checked_ema_id
from ..endpoints.validation import Checks
from ..errors import (
    ApiError,
    OutcomeUnknownError,
    ResponseDecodeError,
    ShellEVError,
    ValidationError,
    shown,
)
from ..identifiers import EmaId, EvseId
from ..models.charging import ChargeSession
from ..models.response import ApiResponse
from ..wire.operations import START, STOP
from .charge import AsyncCharge, ChargeOptions
from .poller import SHORTEST_POLL, Polling, are_credentials_refused, is_transient, report_problem

logger = logging.getLogger("shell_ev")

#: How far the service's clock may be from its own Date header, and our sending from its receiving.
_TOLERANCE = timedelta(seconds=60)


def ema_id_of(ev_charge_number: str) -> str | None:
    """The card number as the EMA-ID to look active sessions up by; None when it is not one."""
    return ev_charge_number if EmaId.looks_like(ev_charge_number) else None


def check_ema_id(ema_id: str | None, version: ApiVersion) -> None:
    """Raise ValidationError for what ``active`` would refuse: better before a start than after it was lost."""
    if ema_id is None:
        return
    checks = Checks(START.name)
    checked_ema_id(checks, ema_id, version)
    checks.raise_if_any()


def same_evse(left: str | None, right: str) -> bool:
    """Whether two texts name the same EVSE, separators and case aside."""
    if left is None:
        return False
    one, other = EvseId.try_parse(left), EvseId.try_parse(right)
    if one is not None and other is not None:
        return one == other
    return left.replace("*", "").casefold() == right.replace("*", "").casefold()


class Reconciler:
    """The search for one started session."""

    def __init__(
        self,
        manager: SessionManager,
        claims: Claims,
        *,
        arguments: Mapping[str, Any],
        request_id: str | None,
        sent_at: datetime,
        ema_id: str | None,
        polling: Polling,
        report: Callable[[ShellEVError], None],
    ) -> None:
        self._charging = AsyncCharging(manager)
        self._jitter = manager.hooks.jitter
        self._utcnow = manager.hooks.utcnow
        self._timers = manager.timers()
        self._claims = claims
        self._arguments = arguments
        self._evse_id = str(arguments["evse_id"])
        self._request_id = request_id
        self._sent_at = sent_at
        self._ema_id = ema_id or ema_id_of(str(arguments["ev_charge_number"]))
        self._polling = polling
        self._report = report
        self._longest_look = manager.config.timeout.total
        self._skew = timedelta(0)
        self._lookups = 0
        self._seen: tuple[ChargeSession, ...] = ()

    async def resolve(self, limit: float, cause: ShellEVError) -> ChargeSession:
        """The session our start made, claimed. Raises OutcomeUnknownError with what was looked at if none shows."""
        if self._ema_id is None:
            raise self._unknown("the card number is no EMA-ID: give ema_id= to look the session up", cause) from cause
        began = self._timers.time()
        while True:
            pause = await self._look(self._ema_id, began + limit - self._timers.time(), cause)
            found = self._ours()
            if len(found) == 1:
                session = found[0]
                self._claims.add(session.id or "", self._request_id)
                return session
            waited = self._timers.time() - began
            if waited >= limit:
                shown = "no session" if not found else f"{len(found)} sessions, any of which may be it,"
                looks = "1 look-up" if self._lookups == 1 else f"{self._lookups} look-ups"
                raise self._unknown(f"{shown} on this EVSE in {looks} over {waited:.0f} s", cause) from cause
            pause = max(pause, self._polling.interval(None, waited, self._jitter))
            await self._timers.sleep(min(pause, limit - waited))

    async def _look(self, ema_id: str, remaining: float, cause: ShellEVError) -> float:
        """One look at the card's sessions; seconds the service wants us to wait."""
        self._lookups += 1
        try:
            answer = await self._charging.active(ema_id, timeout=self._patience(remaining))
        except ShellEVError as error:
            if not is_transient(error) and not are_credentials_refused(error):
                raise self._unknown(f"the card's sessions cannot be read: {error}", cause) from error
            self._report(error)
            return getattr(error, "retry_after", None) or 0.0
        self._seen = answer.data
        self._skew = _skew(answer, self._utcnow())
        return 0.0

    def _patience(self, remaining: float) -> float:
        return max(SHORTEST_POLL, remaining if self._longest_look is None else min(self._longest_look, remaining))

    def _ours(self) -> list[ChargeSession]:
        earliest = self._sent_at + self._skew - _TOLERANCE
        return [
            session
            for session in self._seen
            if session.id
            and self._claims.is_free(session.id, self._request_id)
            and same_evse(session.evse_id, self._evse_id)
            and not _is_before(earliest, session)
        ]

    def _unknown(self, reason: str, cause: ShellEVError) -> OutcomeUnknownError:
        return OutcomeUnknownError(
            f"a start on {self._evse_id} was sent and {_came(cause)}; {reason}; it may be charging "
            f"(request {self._request_id or '-'})",
            operation="charging.start",
            request_id=self._request_id,
            arguments=self._arguments,
            sent_at=self._sent_at,
            lookups=self._lookups,
            seen=self._seen,
        )


def _came(cause: ShellEVError) -> str:
    """What came of the request that leaves the outcome open."""
    if isinstance(cause, ResponseDecodeError):
        return f"was answered with a {cause.status_code} that cannot be read"
    if isinstance(cause, ApiError):
        return f"was answered with status {cause.status_code}"
    return "got no answer"


def _is_before(earliest: datetime, session: ChargeSession) -> bool:
    """Whether a session began before that, or was not touched since. One without any time is taken for a fresh one."""
    moment = session.started_at or session.last_updated
    return moment is not None and moment < earliest


def _skew(answer: ApiResponse[Any], now: datetime) -> timedelta:
    """How far the service's clock is ahead of ours, by its Date header."""
    try:
        moment = parsedate_to_datetime(answer.headers.get("Date", ""))
        return moment - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return timedelta(0)


def sent_at(error: ShellEVError) -> datetime | None:
    """When the request of a failed start or stop left, if its error tells."""
    moment = getattr(error, "sent_at", None)
    return moment if isinstance(moment, datetime) else None


async def reconcile(
    manager: SessionManager, claims: Claims, error: ShellEVError, options: ChargeOptions
) -> AsyncCharge:
    """What came of a start or stop of the bare endpoints whose outcome is unknown, as a charge."""
    if not isinstance(error, ShellEVError):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError([f"error must be what a start or stop raised, not {shown(error)}"], "reconcile")
    operation = getattr(error, "operation", None)
    arguments: Mapping[str, Any] = getattr(error, "arguments", None) or {}
    if not error.outcome_unknown or operation not in (START.name, STOP.name) or not arguments:
        raise ValidationError([f"{type(error).__name__} leaves nothing open that could be looked up"], "reconcile")
    check_ema_id(options.ema_id, manager.version)
    request_id = getattr(error, "request_id", None)
    if operation == STOP.name:
        charge = AsyncCharge(manager, arguments["session_id"], options)
        await charge.refresh()
        return charge
    reconciler = Reconciler(
        manager,
        claims,
        arguments=arguments,
        request_id=request_id,
        sent_at=sent_at(error) or manager.hooks.utcnow(),
        ema_id=options.ema_id,
        polling=options.polling,
        report=lambda problem: report_problem(options.on_problem, None, problem),
    )
    session = await reconciler.resolve(options.start_timeout, error)
    logger.info("start on %s (request %s): adopted session %s", arguments["evse_id"], request_id, session.id)
    return AsyncCharge(manager, session.id or "", options, request_id=request_id, session=session)
