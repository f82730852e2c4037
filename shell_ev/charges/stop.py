"""One stop, from the first request to the session seen stopped. Knows nothing of how the charge came to be."""

from __future__ import annotations

from typing import Protocol

from ..endpoints.charging import AsyncCharging
from ..errors import ChargeNotStoppedError, NotFoundError, ShellEVError
from ..models.charging import ChargeSession
from ..models.enums import SessionState
from .poller import OVER, Watch, is_refused_token, is_transient

#: How often a stop that the service reports as failed is sent before that is the outcome.
_FAILED_STOPS = 3
#: A stop was accepted, or may have been, and the charge still runs: how long until it is worth sending again.
_RESTOP_AFTER = 30.0


class Stoppable(Protocol):
    """What a stop needs of a charge."""

    session_id: str
    session: ChargeSession | None

    @property
    def is_over(self) -> bool:
        """Whether it was seen to be over."""
        ...


class Stopping:
    """Sends the stop, looks whether it took, and sends it again only when the service shows that it did not."""

    def __init__(self, charge: Stoppable, charging: AsyncCharging, watch: Watch, limit: float) -> None:
        self._charge = charge
        self._charging = charging
        self._watch = watch
        self._limit = limit
        self._timers = watch.timers
        self._sent_at: float | None = None
        self._refusal: ShellEVError | None = None
        self._trouble: ShellEVError | None = None
        self._accepted = False
        self._failures = 0

    async def run(self) -> ChargeSession | None:
        """The session as it ended. Raises ChargeNotStoppedError."""
        if self._charge.is_over:
            return self._charge.session
        shown: ChargeSession | None = None
        while True:
            if self._is_due(shown):
                await self._send()
            shown = await self._look()
            if shown is not None and shown.state in OVER:
                return shown
            if shown is not None and self._refusal is not None:
                raise self._not_stopped(f"the service refused: {self._refusal}") from self._refusal
            if shown is not None and shown.state is SessionState.FAILED_TO_STOP:
                # Of an accepted stop, and of each once: a look may show what became of the one before.
                self._failures += self._accepted
                self._accepted = False
                if self._failures >= _FAILED_STOPS:
                    raise self._not_stopped(f"{self._failures} stops were accepted and failed")
            if not await self._watch.wait():
                raise self._not_stopped(f"not seen to stop within {self._limit:g} s") from self._trouble

    def _is_due(self, shown: ChargeSession | None) -> bool:
        if self._sent_at is None:
            return True
        if shown is None:
            return False
        if shown.state is SessionState.FAILED_TO_STOP:
            return True
        return shown.state is SessionState.STARTED and self._timers.time() - self._sent_at >= _RESTOP_AFTER

    async def _send(self) -> None:
        self._refusal = self._trouble = None
        try:
            await self._charging.stop(self._charge.session_id, timeout=self._watch.patience())
        except ShellEVError as error:
            self._watch.report(error)
            if error.outcome_unknown:
                self._sent_at = self._timers.time()
            elif not (isinstance(error, NotFoundError) or is_transient(error) or is_refused_token(error)):
                # Not found is "already stopped" as well as "not shown yet": the look that follows tells which.
                self._refusal = error
            self._trouble = error
        else:
            self._sent_at = self._timers.time()
            self._accepted = True

    async def _look(self) -> ChargeSession | None:
        try:
            return await self._watch.look()
        except ShellEVError as error:
            raise self._not_stopped(f"its state cannot be read: {error}") from error

    def _not_stopped(self, reason: str) -> ChargeNotStoppedError:
        return not_stopped(self._charge, reason)


def not_stopped(charge: Stoppable, reason: str) -> ChargeNotStoppedError:
    """The error for a charge that may run on, and why it was not stopped."""
    session = charge.session
    shown = session.state.value if session is not None and session.state is not None else "not seen"
    return ChargeNotStoppedError(
        f"the car may still be charging: session {charge.session_id} ({shown}) was not stopped; {reason}",
        session_id=charge.session_id,
        session=session,
    )
