"""The charges: a state machine. The state follows from recorded moments and the clock, never from a timer."""

from __future__ import annotations

import enum
import random
import uuid
from collections.abc import Callable

import attrs

from shell_ev.sandbox.named import FAILING_STOP_EVSE
from shell_ev.sandbox.records import Dialect

Clock = Callable[[], float]

_USERS = uuid.UUID("96f69b3b-8ad4-487a-baaa-f1d3db741e88")


class SessionState(enum.StrEnum):
    """States of a charge session, in the lower-case spelling of the contract."""

    START_REQUESTED = "start-requested"
    STARTED = "started"
    STOP_REQUESTED = "stop-requested"
    STOPPED = "stopped"
    FAILED_TO_START = "failed-to-start"
    FAILED_TO_STOP = "failed-to-stop"


_FINAL = frozenset({SessionState.STOPPED, SessionState.FAILED_TO_START})
# A session that failed to stop still runs and holds its EVSE, so `active` reports it.
_LISTED = frozenset(SessionState) - _FINAL

SESSION_MESSAGES: dict[str, str] = {
    "InternalError": "The platform of the operator ran into an internal error.",
    "ServiceUnavailable": "The charging station could not be reached.",
    "ChargeTokenNotSupported": "The operator does not accept this charge card.",
    "SessionInvalid": "The operator no longer knows this session.",
    "EvNotConnectedToEvse": "No vehicle was connected to the EVSE in time.",
    "EvseInUse": "The EVSE is in use by another vehicle.",
    "EvseOutOfService": "The EVSE is out of service.",
    "EvseNotFound": "The operator does not know this EVSE.",
    "EvseNotSupported": "The EVSE cannot be started remotely.",
}
"""The nine documented session codes, each with the message the sandbox sends along."""


@attrs.frozen
class SessionFailure:
    """Why a charge did not start, or could not be stopped."""

    code: str
    message: str

    @classmethod
    def of(cls, code: str) -> SessionFailure:
        """Build the failure of a documented session code.

        Args:
            code: The code.
        """
        return cls(code, SESSION_MESSAGES[code])


@attrs.frozen
class StateChange:
    """One step in the life of a charge."""

    state: SessionState
    at: float
    """Sandbox time, unix seconds."""


@attrs.frozen
class StopAttempt:
    """A stop that was accepted, and how it is going to end."""

    at: float
    delay: float
    fails: bool = False


@attrs.define(eq=False)
class Charge:
    """One charge as it truly happened, which the answers may not say."""

    session_id: str
    ema_id: str
    """The charge card (evChargeNumber of the start)."""
    evse_id: str
    dialect: Dialect
    """The dialect in which the start arrived."""
    request_id: str
    """RequestId of the start."""
    requested_at: float
    start_delay: float
    failure: SessionFailure | None
    """Why this charge is not going to start; None for one that does."""
    visible_from: float
    """From this moment on retrieve and active know the session."""
    clock: Clock = attrs.field(repr=False)
    stops: list[StopAttempt] = attrs.field(factory=list[StopAttempt], init=False)
    ended_at: float | None = attrs.field(default=None, init=False)
    """When the charge ended by itself (car full, plug pulled); None when it did not."""
    next_stop_fails: bool = attrs.field(default=False, init=False)
    """Whether the next stop of this charge ends as failed-to-stop."""

    @property
    def user_id(self) -> str:
        """The account behind the charge card, the same for every charge of that card."""
        return str(uuid.uuid5(_USERS, self.ema_id))

    @property
    def state(self) -> SessionState:
        """State at this moment."""
        return self._latest(self.clock()).state

    @property
    def history(self) -> tuple[StateChange, ...]:
        """Every change of state up to this moment, oldest first."""
        now = self.clock()
        return tuple(change for change in self._course() if change.at <= now)

    @property
    def last_updated(self) -> float:
        """Moment of the last change of state."""
        return self._latest(self.clock()).at

    @property
    def has_started(self) -> bool:
        """Whether current has flowed, be it for a moment and be it over by now."""
        return self.started_at is not None

    @property
    def is_running(self) -> bool:
        """Whether current flows at this moment; a charge that failed to stop still runs."""
        return self.has_started and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether the session has ended for good: stopped, or never started."""
        return self.state in _FINAL

    @property
    def bound_for(self) -> SessionState:
        """State this charge comes to without any further request."""
        return self._course()[-1].state

    @property
    def next_change_at(self) -> float | None:
        """Sandbox time of the next change of state that is already decided, None when there is none."""
        now = self.clock()
        return next((change.at for change in self._course() if change.at > now), None)

    @property
    def is_listed(self) -> bool:
        """Whether `active` reports the session (not counting `visible_from`)."""
        return self.state in _LISTED

    @property
    def started_at(self) -> float | None:
        """When current began to flow, None when it has not so far."""
        ready = self.requested_at + self.start_delay
        if self.failure is not None or self.clock() < ready:
            return None
        return None if self.ended_at is not None and self.ended_at < ready else ready

    @property
    def stopped_at(self) -> float | None:
        """When the charge was stopped, None when it was not."""
        latest = self._latest(self.clock())
        return latest.at if latest.state is SessionState.STOPPED else None

    @property
    def error(self) -> SessionFailure | None:
        """The failure the session reports at this moment."""
        state = self.state
        if state is SessionState.FAILED_TO_START:
            return self.failure
        return _STOP_FAILURE if state is SessionState.FAILED_TO_STOP else None

    def _latest(self, now: float) -> StateChange:
        course = self._course()
        while len(course) > 1 and course[-1].at > now:
            course.pop()
        return course[-1]

    def _course(self) -> list[StateChange]:
        """Lay out the whole life of the charge as far as it is decided, future steps included."""
        ready = self.requested_at + self.start_delay
        course = [StateChange(SessionState.START_REQUESTED, self.requested_at)]
        if self.failure is not None:
            course += [StateChange(SessionState.STOP_REQUESTED, stop.at) for stop in self.stops]
            course.append(StateChange(SessionState.FAILED_TO_START, ready))
            return course
        if not self.stops or self.stops[0].at >= ready:
            course.append(StateChange(SessionState.STARTED, ready))
        for stop in self.stops:
            course.append(StateChange(SessionState.STOP_REQUESTED, stop.at))
            outcome = SessionState.FAILED_TO_STOP if stop.fails else SessionState.STOPPED
            # A stop that overtakes its start has to wait for the station: it begins to charge, and is stopped then.
            course.append(StateChange(outcome, max(stop.at, ready) + stop.delay))
        if self.ended_at is not None:
            course = [change for change in course if change.at < self.ended_at or change is course[0]]
            course.append(StateChange(SessionState.STOPPED, self.ended_at))
        return course


_STOP_FAILURE = SessionFailure("InternalError", "The charging station did not carry out the stop.")


class ChargeBook:
    """Every charge ever accepted, with the look-ups the service needs."""

    def __init__(self, clock: Clock, seed: int, changed: Callable[[str], None] = lambda session_id: None) -> None:
        """Begin an empty book.

        Args:
            clock: Unix seconds.
            seed: Decides the session ids.
            changed: Called with the session id of each charge that something was done to.
        """
        self._clock = clock
        self._seed = seed
        self._changed = changed
        self.charges: list[Charge] = []
        """Every charge, in the order of the starts."""
        self.reset()

    def reset(self) -> None:
        """Begin again: no charge, the delays as at first, and the session ids of the seed once more."""
        self.charges.clear()
        self.start_delay: float = 20.0
        """Sandbox seconds from an accepted start to the charge (or its failure)."""
        self.stop_delay: float = 10.0
        """Sandbox seconds from an accepted stop to its outcome."""
        self.show_sessions_after: float = 0.0
        """Sandbox seconds from an accepted start until retrieve and active know the session."""
        self._random = random.Random(self._seed)
        self._by_id: dict[str, Charge] = {}
        self._by_card: dict[str, list[Charge]] = {}
        self._on_evse: dict[str, Charge] = {}
        self._failing_stops: dict[str, int] = {FAILING_STOP_EVSE: -1}

    def start(self, ema_id: str, evse_id: str, failure_code: str | None, dialect: Dialect, request_id: str) -> Charge:
        """Accept a start. It is bound to fail when the EVSE is known to fail or is taken."""
        now = self._clock()
        taken = self.on_evse(evse_id) is not None
        code = failure_code or ("EvseInUse" if taken else None)
        charge = Charge(
            session_id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            ema_id=ema_id,
            evse_id=evse_id,
            dialect=dialect,
            request_id=request_id,
            requested_at=now,
            start_delay=self.start_delay,
            failure=SessionFailure.of(code) if code else None,
            visible_from=now + self.show_sessions_after,
            clock=self._clock,
        )
        self.charges.append(charge)
        self._by_id[charge.session_id] = charge
        self._by_card.setdefault(ema_id, []).append(charge)
        if code is None:
            self._on_evse[evse_id] = charge
        self._changed(charge.session_id)
        return charge

    def stop(self, charge: Charge) -> bool:
        """Accept a stop; False when there is nothing left to stop."""
        state = charge.state
        if state in _FINAL:
            return False
        if state is not SessionState.STOP_REQUESTED:
            charge.stops.append(StopAttempt(self._clock(), self.stop_delay, fails=self._stop_fails(charge)))
            self._changed(charge.session_id)
        return True

    def _stop_fails(self, charge: Charge) -> bool:
        if charge.next_stop_fails:
            charge.next_stop_fails = False
            return True
        left = self._failing_stops.get(charge.evse_id, 0)
        if left > 0:
            self._failing_stops[charge.evse_id] = left - 1
        return left != 0

    def end(self, charge: Charge) -> None:
        """Let a charge end by itself: the car is full or the driver pulls the plug."""
        if charge.failure is None and not charge.is_over:
            charge.ended_at = self._clock()
            self._changed(charge.session_id)

    def fail(self, charge: Charge, code: str = "InternalError") -> None:
        """Let a charge fail.

        One that has not started fails to start at once, with `code`. One that is being stopped fails to stop at once.
        One that runs fails at its next stop.

        Raises:
            ValueError: The charge is over, or the code is not documented.
        """
        if code not in SESSION_MESSAGES:
            raise ValueError(f"unknown session code {code!r}; known are {', '.join(SESSION_MESSAGES)}")
        if charge.is_over:
            raise ValueError(f"the charge {charge.session_id} is over: {charge.state.value}")
        now = self._clock()
        if not charge.has_started:
            charge.start_delay = now - charge.requested_at
            charge.failure = SessionFailure.of(code)
        elif charge.state is SessionState.STOP_REQUESTED:
            last = charge.stops[-1]
            begun = max(last.at, charge.requested_at + charge.start_delay)
            charge.stops[-1] = attrs.evolve(last, delay=now - begun, fails=True)
        else:
            charge.next_stop_fails = True
        self._changed(charge.session_id)

    def forget(self, charge: Charge) -> None:
        """Lose a charge: no look-up finds it from now on, and its EVSE is free."""
        self.charges.remove(charge)
        del self._by_id[charge.session_id]
        self._by_card[charge.ema_id] = [other for other in self._by_card[charge.ema_id] if other is not charge]
        if self._on_evse.get(charge.evse_id) is charge:
            del self._on_evse[charge.evse_id]
        self._changed(charge.session_id)

    def fail_stops(self, evse_id: str, times: int = 1) -> None:
        """Let the next `times` stops on an EVSE fail; -1 lets all of them fail, 0 none."""
        self._failing_stops[evse_id] = times

    def get(self, session_id: str) -> Charge | None:
        """Find a charge by its session id, in any case of the hexadecimal digits."""
        return self._by_id.get(session_id) or self._by_id.get(session_id.lower())

    def visible(self, session_id: str) -> Charge | None:
        """Find a charge that retrieve already knows."""
        charge = self.get(session_id)
        return None if charge is None or charge.visible_from > self._clock() else charge

    def active(self, ema_id: str) -> list[Charge]:
        """List the sessions of a charge card that `active` reports, oldest first."""
        known = self._by_card.get(ema_id)
        if not known:
            return []
        # What has ended never comes back, so it is dropped for good and busy cards stay cheap.
        open_charges = [charge for charge in known if not charge.is_over]
        self._by_card[ema_id] = open_charges
        now = self._clock()
        return [charge for charge in open_charges if charge.is_listed and charge.visible_from <= now]

    def on_evse(self, evse_id: str) -> Charge | None:
        """Return the charge that holds an EVSE at this moment."""
        charge = self._on_evse.get(evse_id)
        return None if charge is None or charge.is_over else charge

    def last_on_evse(self, evse_id: str) -> Charge | None:
        """Return the last charge that held an EVSE, over or not."""
        return self._on_evse.get(evse_id)
