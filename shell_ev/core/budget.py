"""The request budget of a client: how many requests a second, and the slots of one process without a store."""

from __future__ import annotations

import threading
from typing import Final

import attrs

from ..errors import ConfigurationError, shown
from ..store import budgets

_FASTEST: Final = 1e6
_LARGEST_BURST: Final = 1e6


def _is_between(value: object, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


@attrs.frozen
class Budget:
    """How many requests a second the clients that share it may send.

    Raises:
        ConfigurationError: A number is not in its range.
    """

    rate: float
    """Requests per second, more than 0."""
    burst: float = 1
    """How many may be sent at once after a pause."""
    alone: float = attrs.field(default=0.1, kw_only=True)
    """The part of the rate that one process takes while the shared budget cannot be had: more than 0, at most 1."""

    def __attrs_post_init__(self) -> None:
        faults = [
            f"budget {name} must be a number {of}, not {shown(value)}"
            for name, value, least, most, of in (
                ("rate", self.rate, 1e-6, _FASTEST, f"of requests per second, more than 0 and at most {_FASTEST:,.0f}"),
                ("burst", self.burst, 1, _LARGEST_BURST, f"from 1 to {_LARGEST_BURST:,.0f}"),
                ("alone", self.alone, 1e-6, 1, "more than 0 and at most 1"),
            )
            if not _is_between(value, least, most)
        ]
        if faults:
            raise ConfigurationError("; ".join(faults))

    @classmethod
    def of(cls, value: Budget | float | str | None) -> Budget | None:
        """A budget from an option or a variable: a number is a rate, also as text; None is no budget."""
        if value is None or isinstance(value, Budget):
            return value
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise ConfigurationError(
                    f"budget must be a number of requests per second or a Budget, not {shown(value)}"
                ) from None
        return cls(value)

    @property
    def share(self) -> Budget:
        """What one process takes while the shared budget cannot be had."""
        return Budget(self.rate * self.alone, max(1.0, self.burst * self.alone), alone=1)

    @property
    def ahead(self) -> float:
        """Seconds by which a burst runs ahead of the rate."""
        return (self.burst - 1.0) / self.rate


class Slots:
    """The slots of a budget within one process, for its threads too.

    Args:
        budget: The budget that the slots belong to.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._kept: budgets.Kept | None = None
        self._lock = threading.Lock()

    def reserve(self, now: float, longest: float, *, urgent: bool = False) -> float:
        """Take the next slot.

        Args:
            now: Seconds on a clock of the caller, the same each time.
            longest: Seconds that the caller can wait; a later slot is not taken.
            urgent: Take a slot at once, and owe it.

        Returns:
            Seconds to wait for the slot, more than ``longest`` where it was not taken; 0 for an urgent one.
        """
        with self._lock:
            slot = budgets.reserve(self._kept, now, self.budget.rate, self.budget.burst, longest, urgent=urgent)
            if slot.kept is not None:
                self._kept = slot.kept
            return slot.wait

    def push_back(self, now: float, seconds: float) -> None:
        """Give no slot for some seconds, 60 at most."""
        with self._lock:
            self._kept = budgets.pushed_back(self._kept, now, seconds, self.budget.ahead)
