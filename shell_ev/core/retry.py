"""After a failed try: raise, or wait how long? Pure functions; the table is design section 5."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import NamedTuple

import backoff

FLOOR = 0.1
FACTOR = 0.5
CEILING = 8.0
#: With less time than this a try is not begun: it would end between connecting and sending, nobody could tell where.
SHORTEST_TRY = 0.05

Jitter = Callable[[float], float]

#: Answers after which a repeatable call is worth another try.
_TRANSIENT = frozenset({500, 502, 503, 504})
#: Server errors that say the request was not carried out.
_NOT_CARRIED_OUT = frozenset({501, 503, 505})


class Failure(NamedTuple):
    """What a try came to: ``status`` is None when no answer came."""

    sent: bool = True
    status: int | None = None
    retry_after: float | None = None


class Decision(NamedTuple):
    """Wait ``wait`` seconds and try again, or raise if it is None."""

    wait: float | None
    outcome_unknown: bool


def outcome_is_unknown(failure: Failure, *, repeatable: bool) -> bool:
    """Whether a start or stop may have taken effect although this try failed."""
    if repeatable or not failure.sent:
        return False
    return failure.status is None or (500 <= failure.status <= 599 and failure.status not in _NOT_CARRIED_OUT)


def decide(
    failure: Failure,
    *,
    repeatable: bool,
    retries_done: int,
    max_retries: int,
    remaining: float = math.inf,
    jitter: Jitter = backoff.full_jitter,
) -> Decision:
    """What to do after a failed try. ``remaining`` is what is left of the call's time, in seconds."""
    unknown = outcome_is_unknown(failure, repeatable=repeatable)
    if retries_done >= max_retries or not _worth_another(failure, repeatable=repeatable):
        return Decision(None, unknown)
    wait = pause(retries_done, jitter)
    if failure.retry_after is not None:
        # As told, never less: jitter may spread a wait, not cut one short.
        wait = failure.retry_after if failure.retry_after > 0 else wait
    return Decision(None if wait + SHORTEST_TRY >= remaining else wait, unknown)


def _worth_another(failure: Failure, *, repeatable: bool) -> bool:
    if not failure.sent:
        return True
    if failure.status is None:
        return repeatable
    if failure.status == 429 or (failure.status == 503 and failure.retry_after is not None):
        return True
    return repeatable and failure.status in _TRANSIENT


def pause(retries_done: int, jitter: Jitter = backoff.full_jitter) -> float:
    """Seconds before the next try: exponential, fully jittered, never below the floor."""
    waits = backoff.expo(base=2, factor=FACTOR, max_value=CEILING)
    next(waits)  # backoff's generators yield nothing of use before the first send
    return max(FLOOR, jitter(next(islice(waits, min(retries_done, 32), None))))


def parse_retry_after(value: str | None, date: str | None = None, now: datetime | None = None) -> float | None:
    """Seconds out of a Retry-After header: a number or an HTTP date; nonsense is None.

    A date is taken against the answer's own ``Date`` header when there is one, so that a clock that is off, ours or
    theirs, does not stretch or swallow the wait.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        moment = http_date(text)
        if moment is None:
            return None
        reference = http_date(date) or now or datetime.now(UTC)
        return max(0.0, (moment - reference).total_seconds())
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def http_date(text: str | None) -> datetime | None:
    """The moment an HTTP date names, None for anything else."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
