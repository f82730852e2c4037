"""Polls charge sessions: intervals, tolerated errors, deadlines."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable

import attrs
import backoff

from ..core.retry import Jitter
from ..core.runtime import Timers
from ..errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    ResponseDecodeError,
    ShellEVError,
    TooManyRequestsError,
    TransportError,
    UnauthorizedError,
    shown,
)
from ..models.charging import ChargeSession
from ..models.enums import SessionState

logger = logging.getLogger("shell_ev")

#: Told of every error that is ridden out: session id (None while none is known) and the error.
OnProblem = Callable[[str | None, ShellEVError], None]

#: How long to wait for the next look, given the state and for how long it has been that.
Interval = Callable[[SessionState | None, float], float]

#: A look is given at least this long: a shorter one would fail for sure and tell nothing.
SHORTEST_LOOK = 1.0


def watching_faults(polling: object, on_problem: object) -> list[str]:
    """What is wrong with how a charge is to be watched; found after the start it would leave a car charging."""
    faults: list[str] = []
    if not isinstance(polling, Polling):
        faults.append(f"polling must be a shell_ev.Polling, such as Polling(started=5.0), not {shown(polling)}")
    if on_problem is not None and not callable(on_problem):
        faults.append(f"on_problem must be callable with a session id and an error, not {shown(on_problem)}")
    return faults


def is_transient(error: ShellEVError) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, ApiError):
        return isinstance(error, TooManyRequestsError) or error.status_code >= 500 or error.status_code < 300
    return isinstance(error, (TransportError, ResponseDecodeError))


def is_refused_token(error: ShellEVError) -> bool:
    """Whether the credentials are the trouble: hopeless for most, worth the wait where a car may be charging."""
    return isinstance(error, (AuthenticationError, UnauthorizedError))


def tell(on_problem: OnProblem | None, session_id: str | None, error: ShellEVError) -> None:
    """Hand an error that is ridden out to the callback, else to the log; a callback that fails is logged too."""
    if on_problem is None:
        logger.info("session %s: ridden out: %s", session_id, error)
        return
    try:
        on_problem(session_id, error)
    except Exception:
        logger.exception("on_problem raised; session %s goes on being followed", session_id)


class Watch:
    """A run of looks at one charge: rides out what is transient, paces itself, keeps to a deadline.

    A ``stubborn`` one rides out a refused token as well.
    """

    def __init__(
        self,
        look: Callable[[float | None], Awaitable[ChargeSession]],
        *,
        timers: Timers,
        session_id: str,
        interval: Interval,
        on_problem: OnProblem | None,
        state: SessionState | None = None,
        longest_look: float | None = None,
        limit: float | None = None,
        stubborn: bool = False,
    ) -> None:
        self._look = look
        self._session_id = session_id
        self._interval = interval
        self._on_problem = on_problem
        self._state: SessionState | None = state
        self._longest_look = longest_look
        self._stubborn = stubborn
        self.timers = timers
        self._since = timers.time()
        self._ends_at = None if limit is None else self._since + limit
        self._gone_since: float | None = None
        self._told_to_wait = 0.0

    @property
    def gone_for(self) -> float:
        """For how many seconds the service has not known the session."""
        return 0.0 if self._gone_since is None else self.timers.time() - self._gone_since

    def patience(self) -> float | None:
        """Seconds a single request may take: no longer than is left; None for the client's own limit."""
        if self._ends_at is None:
            return None
        remaining = self._ends_at - self.timers.time()
        return max(SHORTEST_LOOK, remaining if self._longest_look is None else min(self._longest_look, remaining))

    async def look(self) -> ChargeSession | None:
        """The session, or None when this look did not show it. Raises what waiting does not mend."""
        try:
            session = await self._look(self.patience())
        except ShellEVError as error:
            if isinstance(error, NotFoundError):
                # A fresh session may take a minute to show: this alone is not the end of it.
                self._gone_since = self.timers.time() if self._gone_since is None else self._gone_since
            elif not is_transient(error) and not (self._stubborn and is_refused_token(error)):
                raise
            self.report(error)
            return None
        self._gone_since = None
        if session.state != self._state:
            self._state, self._since = session.state, self.timers.time()
        return session

    def report(self, error: ShellEVError) -> None:
        """Tell of an error that is ridden out, and heed its Retry-After."""
        self._told_to_wait = max(self._told_to_wait, getattr(error, "retry_after", None) or 0.0)
        tell(self._on_problem, self._session_id, error)

    async def wait(self) -> bool:
        """Wait until the next look is due; False, at once, when the time is up."""
        pause = max(self._interval(self._state, self.timers.time() - self._since), self._told_to_wait)
        self._told_to_wait = 0.0
        if self._ends_at is not None:
            remaining = self._ends_at - self.timers.time()
            if remaining <= 0:
                return False
            # The last look falls on the deadline, not before it.
            pause = min(pause, remaining)
        await self.timers.sleep(pause)
        return True


#: States in which something is about to happen: a start or a stop was asked for and has not come true.
_PENDING = frozenset({None, SessionState.START_REQUESTED, SessionState.STOP_REQUESTED})

#: States after which nothing more happens.
OVER = frozenset({SessionState.STOPPED, SessionState.FAILED_TO_START})


@attrs.frozen(kw_only=True)
class Polling:
    """Intervals in seconds between two looks at a charge.

    While a start or stop is pending: ``eager`` for the first ``eager_for`` seconds, ``steady`` until ``steady_for``
    seconds have passed, ``patient`` from then on. Once started: ``started``. Each interval is spread by ``spread``
    (0.2: a tenth up and down), so that a thousand charges started together do not poll together. Raises
    ConfigurationError for what is no positive finite number.
    """

    eager: float = 2.0  #: Between looks at first.
    eager_for: float = 20.0  #: How long that is.
    steady: float = 5.0  #: Between looks after that.
    steady_for: float = 120.0  #: Until when, counted from the beginning.
    patient: float = 15.0  #: Between looks from then on.
    started: float = 30.0  #: Between looks at a charge that has started.
    spread: float = 0.2  #: By what part of itself an interval varies, from 0 to 1.

    def __attrs_post_init__(self) -> None:
        faults = [
            f"polling {name} must be a positive number of seconds, not {shown(value)}"
            for name, value in attrs.asdict(self).items()
            if name != "spread" and not is_positive(value)
        ]
        if not (isinstance(self.spread, (int, float)) and 0 <= self.spread <= 1):  # pyright: ignore[reportUnnecessaryIsInstance]
            faults.append(f"polling spread must be from 0 to 1, not {shown(self.spread)}")
        if faults:
            raise ConfigurationError("; ".join(faults))

    def interval(self, state: SessionState | None, waited: float, jitter: Jitter = backoff.full_jitter) -> float:
        """Seconds until the next look, for a charge that has been in ``state`` for ``waited`` seconds."""
        if state not in _PENDING:
            base = self.started
        elif waited < self.eager_for:
            base = self.eager
        else:
            base = self.steady if waited < self.steady_for else self.patient
        return base * (1 - self.spread / 2) + jitter(base * self.spread)


def is_positive(value: object) -> bool:
    """Whether a value is a positive finite number."""
    # Compared and not converted: an integer may be larger than any float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max
