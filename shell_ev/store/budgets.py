"""Slots of a budget by the generic cell rate algorithm (GCRA): reserve first, then wait. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

#: Longest push-back, in seconds, and the slack after which a kept time is taken for that of another clock.
_LONGEST_PUSH = 60.0
_OTHER_CLOCK = 3600.0


class Slot(NamedTuple):
    """A slot that was asked for."""

    wait: float
    """Seconds until it."""
    next_at: float | None
    """What to keep: when the slot after it is; None where it was not taken."""


def reserve(
    next_at: float | None, now: float, rate: float, burst: float, longest: float, *, urgent: bool = False
) -> Slot:
    """Take the next slot.

    Args:
        next_at: What was kept; None at first.
        now: Seconds on the clock of what was kept.
        rate: Slots per second.
        burst: Slots that may be taken at once.
        longest: Seconds that the caller can wait; a later slot is not taken.
        urgent: Take a slot at once, and owe it.
    """
    if next_at is None or next_at > now + _OTHER_CLOCK:
        next_at = now
    gap = 1.0 / rate
    wait = max(0.0, next_at - (burst - 1.0) * gap - now)
    if urgent:
        return Slot(0.0, max(next_at, now) + gap)
    if wait > longest:
        return Slot(wait, None)
    return Slot(wait, max(next_at, now) + gap)


def pushed_back(next_at: float | None, now: float, seconds: float, allowance: float) -> float:
    """What to keep so that no slot comes for some seconds, 60 at most; a burst runs ahead by ``allowance`` seconds."""
    return max(next_at or now, now + min(seconds, _LONGEST_PUSH) + allowance)
