"""One stop, from the first request until the session is seen stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from ..endpoints.charging import AsyncCharging
from ..errors import ApiError, ChargeNotStoppedError, NotFoundError, ShellEVError
from ..models.charging import ChargeSession
from ..models.enums import SessionState
from .poller import OVER, Poller, are_credentials_refused, is_transient, retry_after_of

#: How often a stop that the service reports as failed is sent before that is the outcome.
_FAILED_STOPS = 3
#: Seconds after a stop that was accepted, or got no answer, before it is sent again to a charge still started.
_RESTOP_AFTER = 30.0


class Stoppable(Protocol):
    """What a stop needs of a charge."""

    session_id: str
    session: ChargeSession

    @property
    def is_over(self) -> bool:
        """Whether it was seen to be over."""
        ...


class Stopping:
    """Sends the stop, polls the session, and sends again only when the service shows that the stop took no effect.

    Args:
        charge: What is stopped.
        charging: Sends the stop.
        poller: Paces the polls.
        limit: Seconds in all.
        poll: Retrieves the session; None where that failed and is to be repeated.
        looks_first: Whether a stop may have been sent before: the session is retrieved before one is sent.
    """

    def __init__(
        self,
        charge: Stoppable,
        charging: AsyncCharging,
        poller: Poller,
        limit: float,
        poll: Callable[[], Awaitable[ChargeSession | None]],
        *,
        looks_first: bool,
    ) -> None:
        self._charge = charge
        self._charging = charging
        self._poller = poller
        self._poll = poll
        self._limit = limit
        self._looks_first = looks_first
        self._timers = poller.timers
        self._sent = False
        self._has_waited = False
        self._resend_at = 0.0
        self._refusal: ShellEVError | None = None
        self._last_error: ShellEVError | None = None
        self._accepted = False
        self._failures = 0

    async def run(self) -> ChargeSession:
        """Stop the charge; the session as it ended. Raises ChargeNotStoppedError."""
        if self._charge.is_over:
            return self._charge.session
        before = await self._seen_before() if self._looks_first else None
        if before is not None and before.state in OVER:
            return before
        if before is not None and before.state is SessionState.STOP_REQUESTED:
            self._note_accepted()
            self._has_waited = await self._poller.wait()
        else:
            await self._send()
        while True:
            shown = await self._look_up()
            if shown is not None:
                if shown.state in OVER:
                    return shown
                if self._refusal is not None:
                    raise self._not_stopped(f"the service refused: {self._refusal}") from self._refusal
                self._count_failure(shown)
            if self._is_due(shown):
                await self._send()
            if not await self._poller.wait():
                raise self._not_stopped(f"not seen to stop within {self._limit:g} s") from self._last_error
            self._has_waited = True

    async def _seen_before(self) -> ChargeSession | None:
        """The session before anything is sent; None where it cannot be read, which a stop does not depend on."""
        try:
            return await self._poll()
        except ShellEVError:
            return None

    def _note_accepted(self) -> None:
        self._sent = self._accepted = True
        self._resend_at = self._timers.time() + _RESTOP_AFTER

    def _count_failure(self, shown: ChargeSession) -> None:
        # Counted once for each accepted stop: a poll may show the failure of the one before.
        if shown.state is SessionState.FAILED_TO_STOP and self._accepted:
            self._accepted = False
            self._failures += 1
            if self._failures >= _FAILED_STOPS:
                raise self._not_stopped(f"{self._failures} stops were accepted and failed")

    def _is_due(self, shown: ChargeSession | None) -> bool:
        """Whether to send again, given a poll; the one right after a stop shows nothing of it yet."""
        if not self._has_waited:
            return False
        if not self._sent:
            return True
        if shown is None:
            return False
        if shown.state is SessionState.FAILED_TO_STOP:
            return True
        return shown.state is SessionState.STARTED and self._timers.time() >= self._resend_at

    async def _send(self) -> None:
        self._refusal = self._last_error = None
        self._has_waited = False
        try:
            await self._charging.stop(self._charge.session_id, timeout=self._poller.request_timeout())
        except ShellEVError as error:
            self._poller.pacer.report(error)
            if error.outcome_unknown:
                self._sent = True
                # A status other than a success says that something failed: sent again as soon as the service shows
                # the charge started. Silence may be an acceptance.
                answered = isinstance(error, ApiError)
                self._resend_at = self._timers.time() + (retry_after_of(error) if answered else _RESTOP_AFTER)
            elif not (isinstance(error, NotFoundError) or is_transient(error) or are_credentials_refused(error)):
                # Not found is "already stopped" as well as "not shown yet": the poll that follows shows which.
                self._refusal = error
            self._last_error = error
        else:
            self._note_accepted()

    async def _look_up(self) -> ChargeSession | None:
        try:
            return await self._poll()
        except ShellEVError as error:
            raise self._not_stopped(f"its state cannot be read: {error}") from error

    def _not_stopped(self, reason: str) -> ChargeNotStoppedError:
        return not_stopped(self._charge, reason)


def not_stopped(charge: Stoppable, reason: str) -> ChargeNotStoppedError:
    """The error for a charge that may run on, with the reason why it was not stopped."""
    session = charge.session
    shown = session.state.value if session.state is not None else "not seen"
    return ChargeNotStoppedError(
        f"the car may still be charging: session {charge.session_id} ({shown}) was not stopped; {reason}",
        session_id=charge.session_id,
        session=session,
    )
