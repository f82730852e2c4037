"""What follows a failed attempt: an error, or a wait and another attempt. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Final, NamedTuple

import attrs
import backoff

Jitter = Callable[[float], float]

#: Statuses after which a request that may be repeated is sent again.
_REPEATED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
#: The closed list of statuses that say a start or stop was not carried out. 503 is not one: gateways answer it after
#: the effect as well as before.
CLEAR_REFUSALS: Final = frozenset(
    {400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 429, 431, 451, 501, 505}
)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RetryPolicy:
    """Lengths of the waits between attempts, in seconds."""

    floor: float = 0.1
    """The shortest wait."""
    factor: float = 0.5
    """The first wait before jitter; each further one is twice as long."""
    ceiling: float = 8.0
    """The longest wait before jitter."""
    shortest_attempt: float = 0.05
    """With less time left no attempt begins: it would end between connecting and sending."""


DEFAULT_POLICY: Final = RetryPolicy()


class Failure(NamedTuple):
    """What a failed attempt came to."""

    sent: bool = True
    """False only where the request surely did not leave this machine."""
    status: int | None = None
    """HTTP status; None without a whole answer."""
    retry_after: float | None = None
    """Seconds the service asked to wait; None without a usable Retry-After header."""
    unreadable: bool = False
    """A 2xx answer that cannot be read."""


class Decision(NamedTuple):
    """What follows a failed attempt."""

    wait: float | None
    """Seconds until the next attempt; None raises the error."""
    outcome_unknown: bool
    """Whether a start or stop may have taken effect although the attempt failed."""


def outcome_is_unknown(failure: Failure, *, repeatable: bool) -> bool:
    """Whether a start or stop may have taken effect although this attempt failed."""
    return not repeatable and failure.sent and failure.status not in CLEAR_REFUSALS


def decide(
    failure: Failure,
    *,
    repeatable: bool,
    retries_done: int,
    max_retries: int,
    remaining: float = math.inf,
    jitter: Jitter = backoff.full_jitter,
    policy: RetryPolicy = DEFAULT_POLICY,
) -> Decision:
    """What to do after a failed attempt. ``remaining`` is what is left of the call's time, in seconds."""
    unknown = outcome_is_unknown(failure, repeatable=repeatable)
    if retries_done >= max_retries or not _is_worth_another(failure, repeatable=repeatable):
        return Decision(None, unknown)
    # Retry-After is never shortened; zero says nothing about how long to wait.
    wait = failure.retry_after or pause(retries_done, jitter, policy)
    return Decision(None if wait + policy.shortest_attempt >= remaining else wait, unknown)


def _is_worth_another(failure: Failure, *, repeatable: bool) -> bool:
    if not failure.sent or failure.status == 429:
        return True
    return repeatable and (failure.status is None or failure.status in _REPEATED or failure.unreadable)


def pause(retries_done: int, jitter: Jitter = backoff.full_jitter, policy: RetryPolicy = DEFAULT_POLICY) -> float:
    """Seconds before the next attempt: exponential, with full jitter, never below the floor."""
    waits = backoff.expo(base=2, factor=policy.factor, max_value=policy.ceiling)
    next(waits)  # backoff's generators give None before the first value
    return max(policy.floor, jitter(next(islice(waits, min(retries_done, 32), None))))


def parse_retry_after(value: str | None, date: str | None = None, now: datetime | None = None) -> float | None:
    """Seconds out of a Retry-After header: a number or an HTTP date. Anything else is None.

    A date counts from the answer's own ``Date`` header where there is one, so that a wrong clock on either side does
    not change the wait.
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
    """The moment an HTTP date names. Anything else is None."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
