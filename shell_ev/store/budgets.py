"""Slots of a budget by the generic cell rate algorithm (GCRA): reserve first, then wait. Pure functions."""

from __future__ import annotations

from typing import Final, NamedTuple

#: Longest push-back, in seconds.
LONGEST_PUSH: Final = 60.0


class Kept(NamedTuple):
    """What is kept of a budget between two slots."""

    next_at: float
    """Time of the next slot, if none is taken before it."""
    at: float
    """When this was written: a clock that reads less was set back."""


class Slot(NamedTuple):
    """A slot that was asked for."""

    wait: float
    """Seconds until it; 0 for an urgent one."""
    kept: Kept | None
    """What to keep; None where the slot was not taken."""


def reserve(kept: Kept | None, now: float, rate: float, burst: float, longest: float, *, urgent: bool = False) -> Slot:
    """Take the next slot.

    Args:
        kept: What was kept; None at first.
        now: Seconds on the clock of what was kept.
        rate: Slots per second.
        burst: Slots that may be taken at once after a pause.
        longest: Seconds that the caller can wait; a later slot is not taken.
        urgent: Take a slot at once, and owe it.
    """
    gap = 1.0 / rate
    next_at = _next_at(kept, now)
    wait = max(0.0, next_at - (burst - 1.0) * gap - now)
    if wait > longest and not urgent:
        return Slot(wait, None)
    return Slot(0.0 if urgent else wait, Kept(max(next_at, now) + gap, now))


def pushed_back(kept: Kept | None, now: float, seconds: float, allowance: float) -> Kept:
    """What to keep so that no slot comes for some seconds.

    Args:
        kept: What was kept; None at first.
        now: Seconds on the clock of what was kept.
        seconds: How long; at most 60.
        allowance: Seconds by which a burst runs ahead of the rate.
    """
    return Kept(max(_next_at(kept, now), now + min(seconds, LONGEST_PUSH) + allowance), now)


def _next_at(kept: Kept | None, now: float) -> float:
    """The next slot on the clock as it is now: a clock that was set back takes the slot with it."""
    return now if kept is None else kept.next_at + min(0.0, now - kept.at)
