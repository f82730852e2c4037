"""Polls charge sessions: the intervals of a charge, and what ends it. What is shared is core/polling.py."""

from __future__ import annotations

import attrs
import backoff

from ..core.polling import GONE_AFTER as GONE_AFTER
from ..core.polling import LONGEST_RETRY_AFTER as LONGEST_RETRY_AFTER
from ..core.polling import SHORTEST_POLL as SHORTEST_POLL
from ..core.polling import OnProblem as OnProblem
from ..core.polling import Pacer as Pacer
from ..core.polling import Poller as Poller
from ..core.polling import are_credentials_refused as are_credentials_refused
from ..core.polling import is_positive as is_positive
from ..core.polling import is_tolerated as is_tolerated
from ..core.polling import is_transient as is_transient
from ..core.polling import report_problem as report_problem
from ..core.polling import retry_after_of as retry_after_of
from ..core.retry import Jitter
from ..errors import ConfigurationError, shown
from ..models.enums import SessionState

#: States in which something is about to happen: a start or a stop was asked for and has not come true.
_PENDING = frozenset({None, SessionState.START_REQUESTED, SessionState.STOP_REQUESTED})

#: States after which nothing more happens.
OVER = frozenset({SessionState.STOPPED, SessionState.FAILED_TO_START})


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
        """Seconds until the next poll of a charge that has been in ``state`` for ``waited`` seconds.

        Args:
            state: The state; None before the first poll.
            waited: Seconds since the start or stop was sent.
            jitter: Gives a random number from 0 to its argument.
        """
        if state not in _PENDING:
            base = self.started
        elif waited < self.eager_for:
            base = self.eager
        else:
            base = self.steady if waited < self.steady_for else self.patient
        return base * (1 - self.spread / 2) + jitter(base * self.spread)


def polling_faults(polling: object, on_problem: object) -> list[str]:
    """What is wrong with ``polling`` and ``on_problem``, one text each; found after a start it would be too late."""
    faults: list[str] = []
    if not isinstance(polling, Polling):
        faults.append(f"polling must be a shell_ev.Polling, such as Polling(started=5.0), not {shown(polling)}")
    if on_problem is not None and not callable(on_problem):
        faults.append(f"on_problem must be callable with a session id and an error, not {shown(on_problem)}")
    return faults
