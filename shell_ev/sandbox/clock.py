"""The clock of a sandbox: it runs at a speed, stands still, and jumps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class SandboxClock:
    """Sandbox time in unix seconds. Call it for the time.

    A clock that was given to the sandbox stays with its owner: `speed` is None, and a change is a RuntimeError.
    """

    def __init__(
        self,
        speed: float = 60.0,
        *,
        given: Callable[[], float] | None = None,
        step: Callable[[float], object] | None = None,
        real: Callable[[], float] | None = None,
    ) -> None:
        """Begin at the true time.

        Args:
            speed: Sandbox seconds per real second.
            given: A clock of the caller, in unix seconds, which replaces this one.
            step: Moves the given clock forward by seconds; without it the given clock cannot be moved from here.
            real: Real seconds; None for those of the machine.
        """
        self._given = given
        self._step = step
        self._real = real or time.monotonic
        self._first_speed = _checked_speed(speed)
        self.changed: Callable[[], None] = lambda: None
        """Called after each change."""
        self._begin(self._first_speed)

    def __call__(self) -> float:
        """Return the sandbox time."""
        if self._given is not None:
            return self._given()
        if self._paused:
            return self._at
        return self._at + (self._real() - self._since) * self._speed

    @property
    def speed(self) -> float | None:
        """Sandbox seconds per real second while it runs; None for a clock that was given."""
        return None if self._given is not None else self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._own()
        checked = _checked_speed(speed)
        self._rebase()
        self._speed = checked
        self.changed()

    @property
    def paused(self) -> bool:
        """Whether the time stands still."""
        return self._given is None and self._paused

    def pause(self) -> None:
        """Let the time stand still."""
        self._own()
        self._rebase()
        self._paused = True
        self.changed()

    def resume(self) -> None:
        """Let the time run again."""
        self._own()
        self._rebase()
        self._paused = False
        self.changed()

    def step(self, seconds: float) -> None:
        """Move the time forward, paused or not.

        Args:
            seconds: Sandbox seconds, not negative.

        Raises:
            ValueError: The number is negative or not finite.
            RuntimeError: The clock was given to the sandbox and cannot be moved from here.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError("seconds must be a number of at least 0")
        if self._step is not None:
            self._step(seconds)
        else:
            self._own()
            self._rebase()
            self._at += seconds
        self.changed()

    def reset(self) -> None:
        """Run at the first speed again, from the true time. A clock that was given is left alone."""
        if self._given is None:
            self._begin(self._first_speed)
            self.changed()

    def _begin(self, speed: float) -> None:
        self._speed = speed
        self._paused = False
        self._at = time.time()
        self._since = self._real()

    def _rebase(self) -> None:
        self._at, self._since = self(), self._real()

    def _own(self) -> None:
        if self._given is not None:
            raise RuntimeError("this sandbox runs on a clock that was given to it: move that clock")


def _checked_speed(speed: float) -> float:
    if not 0 < speed < math.inf:
        raise ValueError("speed must be greater than 0")
    return speed
