"""How often a charge is looked at. Pure; knows neither clock nor network."""

from __future__ import annotations

import sys

import attrs
import backoff

from ..core.retry import Jitter
from ..errors import ConfigurationError
from ..models.enums import SessionState

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
            f"polling {name} must be a positive number of seconds, not {value!r}"
            for name, value in attrs.asdict(self).items()
            if name != "spread" and not is_positive(value)
        ]
        if not (isinstance(self.spread, (int, float)) and 0 <= self.spread <= 1):  # pyright: ignore[reportUnnecessaryIsInstance]
            faults.append(f"polling spread must be from 0 to 1, not {self.spread!r}")
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
