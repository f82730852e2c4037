"""Looks for the session of one start among those of its card."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from ..core.ownership import OwnStart
from ..core.service_clock import Moment
from ..core.session_manager import SessionManager
from ..endpoints.charging import AsyncCharging
from ..errors import ApiError, OutcomeUnknownError, ResponseDecodeError, ShellEVError, StoreError, shown
from ..models.charging import ChargeSession
from ..wire.operations import START
from .adoption import UNDATED, Search, Verdict, judge
from .charge import ChargeOptions
from .poller import SHORTEST_POLL, is_tolerated, report_problem, retry_after_of

logger: logging.Logger = logging.getLogger("shell_ev")

#: Answered look-ups without a usable Date after which the error of our own clock decides.
_LOOKS_FOR_A_DATE: Final = 3
#: The least that a look-up may take, in seconds.
_LOOK_UP: Final = 15.0
#: How often the sessions are listed at most to confirm an adoption.
_CONFIRMATIONS: Final = 3
#: Error of our own clock before that, in seconds: a session that began later began after the start in any case.
_OWN_CLOCK: Final = 1.0


class StartSearch:
    """Looks for the session of one start.

    Args:
        manager: Of the client.
        start: Registration of the start.
        error: What the start raised.
        arguments: Arguments of the start.
        options: Options of the charge.
        ema_id: EMA-ID of the card; None where it has none.
        baseline: Ids of the sessions that were listed before the start; None without.
    """

    def __init__(
        self,
        manager: SessionManager,
        start: OwnStart,
        error: ShellEVError,
        arguments: Mapping[str, Any],
        options: ChargeOptions,
        *,
        ema_id: str | None,
        baseline: Sequence[str] | None,
    ) -> None:
        self._manager = manager
        self._charging = AsyncCharging(manager)
        self._timers = manager.timers()
        self._start = start
        self._cause = error
        self._arguments = arguments
        self._options = options
        self._baseline = baseline
        self._ema_id = ema_id
        self._sent_at = _sent_at(error) or self._wall_at_sending()
        self._sent_at_error: float | None = getattr(error, "sent_at_error", None)
        self._lookups = self._answered = 0
        #: When the last look-up was answered; None if it was not.
        self._answered_at: float | None = None
        self._limit = 0.0
        self._seen: tuple[ChargeSession, ...] = ()
        self._verdict = Verdict()

    async def resolve(self, limit: float) -> ChargeSession:
        """Look until one session can be adopted.

        Args:
            limit: Seconds to look for. A Retry-After of the start's answer counts towards it.

        Returns:
            The session, which from now on belongs to the start.

        Raises:
            OutcomeUnknownError: With what was seen, and why it was not adopted.
        """
        if self._ema_id is None:
            reason = "the card number is no EMA-ID: give ema_id= to look the session up"
            raise self._unknown(reason) from self._cause
        self._limit = limit
        began = self._timers.time()
        pause = retry_after_of(self._cause)
        while True:
            waited = self._timers.time() - began
            if pause > 0 and waited < limit:
                await self._timers.sleep(min(pause, limit - waited))
            pause = await self._look_up(self._ema_id, began + limit - self._timers.time())
            session = self._verdict.session
            if session is not None:
                return session
            waited = self._timers.time() - began
            if waited >= limit:
                raise self._unknown(self._without_one(waited)) from self._cause
            pause = max(pause, self._interval(waited))

    async def _look_up(self, ema_id: str, remaining: float) -> float:
        """List the card's sessions and judge them. Returns the seconds that the service asks to wait."""
        self._lookups += 1
        try:
            answer = await self._charging.active(ema_id, timeout=self._look_up_timeout(remaining))
        except ShellEVError as error:
            if not is_tolerated(error, stubborn=True):
                raise self._unknown(f"the card's sessions cannot be read: {error}") from error
            report_problem(self._options.on_problem, None, error)
            self._answered_at = None
            return retry_after_of(error)
        try:
            await self._hold_listed(answer.data)
        except StoreError as error:
            # Without the journal a session of another key could be adopted.
            report_problem(self._options.on_problem, None, error)
            self._answered_at = None
            return 0.0
        self._answered += 1
        now = self._timers.time()
        if self._answered_at is not None:
            self._start.answered_for += now - self._answered_at
        self._answered_at = now
        self._seen = answer.data
        self._verdict = self._judge()
        return 0.0

    def _judge(self) -> Verdict:
        search = self._search()
        verdict = judge(self._seen, search)
        if verdict.session is None or self._answered >= _LOOKS_FOR_A_DATE or self._measured() is not None:
            return verdict
        # A Date may still come, or be confirmed: what our own clock leaves open waits for it.
        close = attrs.evolve(search, sent=Moment(search.sent.at, _OWN_CLOCK))
        is_dated = self._manager.service_clock.dates(self._timers.time()) > 0
        if not is_dated and judge(self._seen, close).session is not None:
            return verdict
        return judge(self._seen, attrs.evolve(search, is_certain=False))

    async def _hold_listed(self, sessions: Sequence[ChargeSession]) -> None:
        """Leave out the sessions of other keys, those of other processes too, and rivals whose session is known."""
        ledger, ownership = self._manager.ledger, self._manager.ownership
        if ledger is not None:
            await ledger.hold_listed(sessions, ownership)
            await ledger.settle_rivals(self._start, ownership)

    async def confirm(self, session_id: str, timeout: float) -> bool:
        """Look once more whether the session that was adopted is the only one that can be the start's.

        The start's own session may show only after another's was adopted, which no field distinguishes from it.

        Args:
            session_id: The session that was adopted.
            timeout: Seconds for the look-up.

        Returns:
            Whether no other session can be the start's. Otherwise a line at level ERROR names them.
        """
        listed = await self._list(session_id, self._timers.time() + timeout)
        sent = self._sent()
        latest = sent.at + timedelta(seconds=self._limit + sent.error)
        # A later session on this EVSE is the next charge.
        self._seen = tuple(
            session
            for session in listed
            if session.id != session_id and (session.started_at is None or session.started_at <= latest)
        )
        others = judge(self._seen, attrs.evolve(self._search(), rivals=0)).candidates
        if not others:
            return True
        logger.error(
            "start on %s (request %s): session %s was adopted, but its own may be %s, and the car may be charging",
            self._start.evse_id,
            self._start.request_id,
            shown(session_id, 300),
            " or ".join(others),
        )
        return False

    async def _list(self, session_id: str, ends_at: float) -> tuple[ChargeSession, ...]:
        """The card's sessions, asked for a few times at most; none if there is no answer."""
        for _ in range(_CONFIRMATIONS):
            left = ends_at - self._timers.time()
            if left <= 0:
                break
            try:
                listed = (await self._charging.active(self._ema_id or "", timeout=self._look_up_timeout(left))).data
                await self._hold_listed(listed)
                return listed
            except ShellEVError as error:
                report_problem(self._options.on_problem, session_id, error)
                pause = max(retry_after_of(error), self._interval(0.0))
                await self._timers.sleep(min(pause, max(0.0, ends_at - self._timers.time())))
        return ()

    def _interval(self, waited: float) -> float:
        return self._options.polling.interval(None, waited, self._manager.hooks.jitter)

    def _look_up_timeout(self, left: float) -> float:
        """Seconds for one look-up: one without an answer does not take the time of all."""
        longest = max(_LOOK_UP, self._limit / 6)
        total = self._manager.config.timeout.total
        return max(SHORTEST_POLL, min(left, longest if total is None else min(longest, total)))

    def _search(self) -> Search:
        start, ownership = self._start, self._manager.ownership
        sent = self._sent()
        left_at = self._left_at(sent)
        ids = [session.id for session in self._seen if session.id is not None]
        return Search(
            evse_id=start.evse_id,
            sent=sent,
            held=[id_ for id_ in ids if ownership.is_held(id_, start.request_id)],
            watched=[id_ for id_ in ids if ownership.was_watched(id_, start, left_at)],
            baseline=self._baseline or (),
            rivals=ownership.rivals(start),
        )

    def _sent(self) -> Moment:
        """When the start was sent, on the service's clock as far as that is known."""
        return self._measured() or Moment(self._on_service_clock(), UNDATED)

    def _measured(self) -> Moment | None:
        """The time of sending by Date headers: those of this client, or those that the error was made with."""
        moments: list[Moment] = []
        if self._start.left_at is not None:
            moment = self._clock_at(self._start.left_at)
            moments += [] if moment is None else [moment]
        if self._sent_at_error is not None and self._sent_at_error < UNDATED:
            moments.append(Moment(self._sent_at, self._sent_at_error))
        return min(moments, key=lambda moment: moment.error, default=None)

    def _clock_at(self, then: float) -> Moment | None:
        now, wall = self._timers.time(), self._manager.hooks.utcnow()
        return self._manager.service_clock.moment(then, now=now, wall=wall)

    def _on_service_clock(self) -> datetime:
        """The time of sending as our own clock showed it, less what that clock differs from the service's today."""
        present = self._clock_at(self._timers.time())
        if present is None or self._start.left_at is not None:
            return self._sent_at
        return self._sent_at + (present.at - self._manager.hooks.utcnow())

    def _left_at(self, sent: Moment) -> float:
        """When the start was sent, on the monotonic clock of this process."""
        if self._start.left_at is not None:
            return self._start.left_at
        now = self._timers.time()
        present = self._clock_at(now)
        at = self._manager.hooks.utcnow() if present is None else present.at
        return now - (at - sent.at).total_seconds()

    def _wall_at_sending(self) -> datetime:
        now = self._timers.time()
        left_at = now if self._start.left_at is None else self._start.left_at
        return self._manager.hooks.utcnow() - timedelta(seconds=now - left_at)

    def _without_one(self, waited: float) -> str:
        verdict = self._verdict
        if len(verdict.candidates) > 1:
            found = f"{len(verdict.candidates)} sessions, any of which may be it,"
        else:
            found = "no session that can be its own" if verdict.on_evse else "no session on this EVSE"
        look_ups = "1 look-up" if self._lookups == 1 else f"{self._lookups} look-ups"
        answered = "" if self._answered == self._lookups else f" ({self._answered} of them answered)"
        return f"{found} in {look_ups} over {waited:.0f} s{answered}"

    def _unknown(self, reason: str) -> OutcomeUnknownError:
        sent = self._measured() or Moment(self._sent_at, max(UNDATED, self._sent_at_error or UNDATED))
        return OutcomeUnknownError(
            f"a start on {self._start.evse_id} was sent and {_outcome_of(self._cause)}; {reason}; it may be charging "
            f"(request {self._start.request_id})",
            operation=START.name,
            request_id=self._start.request_id,
            arguments=self._arguments,
            sent_at=sent.at,
            sent_at_error=sent.error,
            lookups=self._lookups,
            lookups_answered=self._answered,
            seen=self._seen,
            reasons=self._verdict.reasons,
            baseline=self._baseline,
        )


def _outcome_of(cause: ShellEVError) -> str:
    """What came of the request that leaves the outcome open."""
    if isinstance(cause, ResponseDecodeError):
        return f"was answered with a {cause.status_code} that cannot be read"
    if isinstance(cause, ApiError):
        return f"was answered with status {cause.status_code}"
    return "got no answer"


def _sent_at(error: ShellEVError) -> datetime | None:
    """When the request of a failed start left, if its error says so."""
    moment = getattr(error, "sent_at", None)
    if not isinstance(moment, datetime):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
