"""The clock of the service, as the Date headers of its answers show it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from .retry import http_date

#: Answers that are kept.
_KEPT: Final = 16
#: Seconds after which an answer says nothing any more: clocks are set, and machines sleep.
_OUTDATED: Final = 600.0
#: A Date header names whole seconds.
_RESOLUTION: Final = 1.0
#: By how many seconds our own clock may differ from a Date that it confirms.
_AGREEMENT: Final = 1.0
_CACHES: Final = ("X-Cache", "CF-Cache-Status", "X-Cache-Status")


class Moment(NamedTuple):
    """A moment on a clock that is known up to an error."""

    at: datetime
    error: float
    """Seconds."""


class _Dated(NamedTuple):
    """One answer: the service's clock less ours was between ``low`` and ``high`` if its Date was fresh."""

    date: float
    asked_at: float
    answered_at: float

    @property
    def low(self) -> float:
        return self.date - self.answered_at

    @property
    def high(self) -> float:
        return self.date + _RESOLUTION - self.asked_at

    def agrees_with(self, other: _Dated) -> bool:
        return self.low <= other.high and other.low <= self.high


class _Answer:
    """An answer whose headers are read once, and only when the clock is asked for."""

    __slots__ = ("_dated", "_headers", "answered_at", "asked_at")

    def __init__(self, headers: Mapping[str, str], asked_at: float, answered_at: float) -> None:
        self._headers: Mapping[str, str] | None = headers
        self._dated: _Dated | None = None
        self.asked_at = asked_at
        self.answered_at = answered_at

    @property
    def dated(self) -> _Dated | None:
        """The answer with its Date; None where it has none that counts."""
        if self._headers is not None:
            date = _date_of(self._headers)
            self._dated = None if date is None else _Dated(date, self.asked_at, self.answered_at)
            self._headers = None
        return self._dated


class ServiceClock:
    """Relates the monotonic clock to the clock of the service.

    A Date is used once it is confirmed: by our own wall clock, or by another answer, more than a second apart, whose
    Date advanced by as much as the monotonic clock. So the Date of a cache is not used.
    """

    def __init__(self) -> None:
        self._answers: deque[_Answer] = deque(maxlen=_KEPT)

    def note(self, headers: Mapping[str, str], asked_at: float, answered_at: float) -> None:
        """Keep what an answer says. On the way of every call: the headers are read when they are needed.

        Args:
            headers: Headers of the answer.
            asked_at: When the request was sent, in seconds on the monotonic clock.
            answered_at: When the answer was complete.
        """
        self._answers.append(_Answer(headers, asked_at, answered_at))

    def dates(self, now: float) -> int:
        """Number of recent answers with a Date, confirmed or not."""
        return len(self._dated(now))

    def moment(self, then: float, *, now: float, wall: datetime) -> Moment | None:
        """What the clock of the service showed at a moment.

        Args:
            then: The moment, in seconds on the monotonic clock.
            now: The present on that clock.
            wall: The present on our own wall clock.

        Returns:
            The time with its error, from the confirmed answer with the shortest round trip; None without one.
        """
        best = self._best(now, wall.timestamp() - now)
        if best is None:
            return None
        # Counted from when the request was sent: the true time is up to a round trip earlier and a second later.
        at = datetime.fromtimestamp(best.date + then - best.asked_at, UTC)
        return Moment(at, best.answered_at - best.asked_at + _RESOLUTION)

    def unconfirmed(self, then: float, *, now: float) -> datetime | None:
        """What the clock of the service showed at a moment by the latest Date, though nothing confirms it."""
        latest = max(self._dated(now), key=lambda one: one.low, default=None)
        return None if latest is None else datetime.fromtimestamp(latest.date + then - latest.asked_at, UTC)

    def _best(self, now: float, own: float) -> _Dated | None:
        dated = self._dated(now)
        confirmed = [
            one
            for one in dated
            if one.low - _AGREEMENT <= own <= one.high + _AGREEMENT or any(_confirms(one, other) for other in dated)
        ]
        # A stale Date is earlier than the true time, never later: what a later one contradicts is stale.
        latest = max((one.low for one in confirmed), default=0.0)
        fresh = [one for one in confirmed if one.high >= latest]
        return min(fresh, key=lambda one: one.answered_at - one.asked_at, default=None)

    def _dated(self, now: float) -> list[_Dated]:
        recent = (answer.dated for answer in self._answers if now - answer.answered_at <= _OUTDATED)
        return [dated for dated in recent if dated is not None]


def _confirms(one: _Dated, other: _Dated) -> bool:
    earlier, later = (one, other) if one.answered_at <= other.answered_at else (other, one)
    return later.asked_at - earlier.answered_at > _RESOLUTION and one.agrees_with(other)


def _date_of(headers: Mapping[str, str]) -> float | None:
    """The Date of an answer that does not come from a cache, in Unix seconds."""
    if headers.get("Age", "0").strip() != "0" or any("hit" in headers.get(name, "").lower() for name in _CACHES):
        return None
    moment = http_date(headers.get("Date"))
    return None if moment is None else moment.timestamp()
