"""Polls charge sessions: which errors polling tolerates, how long to wait, when a session is gone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import backoff

from ..core.retry import Jitter
from ..core.runtime import Timers
from ..errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    CredentialsRefusedError,
    NotFoundError,
    ResponseDecodeError,
    ShellEVError,
    TransportError,
    UnauthorizedError,
    one_line,
    shown,
)
from ..models.enums import SessionState

logger = logging.getLogger("shell_ev")

P = TypeVar("P")

#: Called for each error that polling tolerates, with the session id (None while none is known).
OnProblem = Callable[[str | None, ShellEVError], None]

#: States in which something is about to happen: a start or a stop was asked for and has not come true.
_PENDING = frozenset({None, SessionState.START_REQUESTED, SessionState.STOP_REQUESTED})

#: States after which nothing more happens.
OVER = frozenset({SessionState.STOPPED, SessionState.FAILED_TO_START})

#: A request of a poll is given at least this many seconds: with less it fails for certain.
SHORTEST_POLL = 1.0
#: Seconds after which a session that the service does not know is gone for good.
GONE_AFTER = 300.0
#: Longest Retry-After, in seconds, that polling without a deadline obeys.
LONGEST_RETRY_AFTER = 900.0
#: Statuses of the API that say nothing of the session: the same request may succeed later.
_TRANSIENT_STATUSES = frozenset({408, 425, 429})


@attrs.frozen(kw_only=True)
class Polling:
    """Intervals in seconds between two polls of a charge.

    While a start or stop is pending: ``eager`` for the first ``eager_for`` seconds, ``steady`` until ``steady_for``
    seconds have passed, ``patient`` from then on. Once started: ``started``. Each interval is spread by ``spread``
    (0.2: a tenth up and down), so that a thousand charges started together do not poll together.

    Raises:
        ConfigurationError: A value is not a positive finite number, or ``spread`` is not from 0 to 1.
    """

    eager: float = 2.0  #: Between polls at first.
    eager_for: float = 20.0  #: How long that is.
    steady: float = 5.0  #: Between polls after that.
    steady_for: float = 120.0  #: Until when, counted from the beginning.
    patient: float = 15.0  #: Between polls from then on.
    started: float = 30.0  #: Between polls of a charge that has started.
    spread: float = 0.2  #: The part of itself by which an interval varies, from 0 to 1.

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
        """Seconds until the next poll of a charge that has been in ``state`` for ``waited`` seconds."""
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


def polling_faults(polling: object, on_problem: object) -> list[str]:
    """What is wrong with ``polling`` and ``on_problem``, one text each; found after a start it would be too late."""
    faults: list[str] = []
    if not isinstance(polling, Polling):
        faults.append(f"polling must be a shell_ev.Polling, such as Polling(started=5.0), not {shown(polling)}")
    if on_problem is not None and not callable(on_problem):
        faults.append(f"on_problem must be callable with a session id and an error, not {shown(on_problem)}")
    return faults


def are_credentials_refused(error: ShellEVError) -> bool:
    """Whether the credentials or the token were refused, which waiting rarely mends."""
    return isinstance(error, (CredentialsRefusedError, UnauthorizedError))


def is_transient(error: ShellEVError) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, ApiError):
        return error.status_code in _TRANSIENT_STATUSES or error.status_code >= 500 or error.status_code < 300
    if isinstance(error, AuthenticationError):
        return not are_credentials_refused(error)
    return isinstance(error, (TransportError, ResponseDecodeError))


def is_tolerated(error: ShellEVError, *, stubborn: bool = False) -> bool:
    """Whether polling continues after an error.

    Args:
        error: What a poll raised.
        stubborn: Whether refused credentials are tolerated too: a car may be charging.
    """
    # A fresh session may take a minute to show: "not found" alone is not the end of it.
    return isinstance(error, NotFoundError) or is_transient(error) or (stubborn and are_credentials_refused(error))


def report_problem(on_problem: OnProblem | None, session_id: str | None, error: ShellEVError) -> None:
    """Pass a tolerated error to the callback, or to the log where there is none.

    An exception of the callback is logged and goes no further.
    """
    if on_problem is None:
        logger.info("session %s: polling continues after: %s", one_line(session_id, 300), error)
        return
    try:
        on_problem(session_id, error)
    except Exception:
        logger.exception("on_problem raised an exception; polling of session %s continues", one_line(session_id, 300))


class Pacer:
    """The pace of polling one session: how long to wait for the next poll, and since when the session is gone."""

    __slots__ = ("_interval", "_on_problem", "_retry_after", "_session_id", "_since", "_time", "gone_since", "state")

    def __init__(
        self,
        interval: Callable[[SessionState | None, float], float],
        *,
        time: Callable[[], float],
        session_id: str | None = None,
        state: SessionState | None = None,
        on_problem: OnProblem | None = None,
    ) -> None:
        self._interval = interval
        self._time = time
        self._session_id = session_id
        self._on_problem = on_problem
        self._since = time()
        self._retry_after = 0.0
        self.state = state
        self.gone_since: float | None = None

    @property
    def gone_for(self) -> float:
        """Seconds since the service first did not know the session; 0 while it knows it."""
        return 0.0 if self.gone_since is None else self._time() - self.gone_since

    def succeeded(self, state: SessionState | None) -> bool:
        """Note a poll that showed the session; whether its state changed."""
        self.gone_since = None
        if state == self.state:
            return False
        self.state, self._since = state, self._time()
        return True

    def failed(self, error: ShellEVError, *, stubborn: bool = False, longest: float | None = None) -> None:
        """Note a poll that failed.

        Args:
            error: What the poll raised.
            stubborn: Whether refused credentials are tolerated too.
            longest: Longest Retry-After to obey, in seconds; None for any.

        Raises:
            ShellEVError: ``error`` itself, where waiting does not mend it.
        """
        if not is_tolerated(error, stubborn=stubborn):
            raise error
        if isinstance(error, NotFoundError):
            self.gone_since = self._time() if self.gone_since is None else self.gone_since
        self.report(error, longest=longest)

    def report(self, error: ShellEVError, *, longest: float | None = None) -> None:
        """Report a tolerated error, and obey its Retry-After at the next :meth:`pause`."""
        retry_after = retry_after_of(error)
        if longest is not None and retry_after > longest:
            note = f"Retry-After of {retry_after:g} s is longer than polling waits: it is cut to {longest:g} s"
            error.add_note(note)
            logger.warning("session %s: %s", one_line(self._session_id, 300), note)
            retry_after = longest
        self._retry_after = max(self._retry_after, retry_after)
        report_problem(self._on_problem, self._session_id, error)

    def pause(self) -> float:
        """Seconds until the next poll: those of the state, and at least those that the service asked for."""
        pause = max(self._interval(self.state, self._time() - self._since), self._retry_after)
        self._retry_after = 0.0
        return pause


def retry_after_of(error: ShellEVError) -> float:
    """Seconds that the service asked to wait; 0 where it did not."""
    return getattr(error, "retry_after", None) or 0.0


class Poller:
    """Polls one subject until a deadline: tolerates what is transient, keeps the pace, obeys Retry-After."""

    def __init__(
        self,
        pacer: Pacer,
        timers: Timers,
        *,
        limit: float | None = None,
        longest_request: float | None = None,
        stubborn: bool = False,
    ) -> None:
        self.pacer = pacer
        self.timers = timers
        self._began = timers.time()
        self._ends_at = None if limit is None else self._began + limit
        self._longest_request = longest_request
        self._stubborn = stubborn

    @property
    def waited(self) -> float:
        """Seconds since polling began."""
        return self.timers.time() - self._began

    def request_timeout(self) -> float | None:
        """Seconds for a single request: no more than are left; None for the client's own limit."""
        if self._ends_at is None:
            return None
        left = self._ends_at - self.timers.time()
        return max(SHORTEST_POLL, left if self._longest_request is None else min(self._longest_request, left))

    async def poll(self, fetch: Callable[[float | None], Awaitable[P]]) -> P | None:
        """One request.

        Args:
            fetch: Sends it, given its timeout in seconds.

        Returns:
            What ``fetch`` returned, or None after an error that is tolerated.

        Raises:
            ShellEVError: An error that waiting does not mend.
        """
        try:
            return await fetch(self.request_timeout())
        except ShellEVError as error:
            self.pacer.failed(
                error, stubborn=self._stubborn, longest=LONGEST_RETRY_AFTER if self._ends_at is None else None
            )
            return None

    async def wait(self) -> bool:
        """Wait for the next poll.

        Returns:
            False, at once, when the time is up.
        """
        pause = self.pacer.pause()
        if self._ends_at is not None:
            left = self._ends_at - self.timers.time()
            if left <= 0:
                return False
            # The last poll falls on the deadline, not before it.
            pause = min(pause, left)
        await self.timers.sleep(pause)
        return True
