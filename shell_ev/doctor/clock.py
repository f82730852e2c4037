"""The clock of this machine compared with a server's ``Date`` header."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.retry import http_date
from .plan import CheckFailed, Limits, Verdict, ok, warn


def offset(local: float, headers: Mapping[str, str]) -> float | None:
    """Seconds by which this machine is ahead of the server; None without a usable ``Date``.

    Args:
        local: This machine's time in the middle of the exchange, in Unix seconds.
        headers: Response headers, names in lower case.
    """
    date = http_date(headers.get("date"))
    if date is None:
        return None
    age = headers.get("age", "").strip()
    # A cached response keeps its old Date; its Age header is how old that is.
    seconds_old = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
    # Date has whole seconds: half a second is the mean error.
    return local - (date.timestamp() + seconds_old + 0.5)


def judge(ahead: float, host: str, limits: Limits) -> Verdict:
    """Verdict on a clock offset in seconds. Raises CheckFailed if it is too large."""
    if abs(ahead) < limits.clock_odd:
        return ok(f"agrees with {host} to within {max(1, round(abs(ahead)) + 1)} s")
    where = "ahead of" if ahead > 0 else "behind"
    seen = f"this machine's clock is {duration(abs(ahead))} {where} that of {host}"
    advice = "Set this machine's clock, best by network time (NTP)."
    if abs(ahead) < limits.clock_wrong:
        return warn(seen, advice)
    raise CheckFailed(
        seen,
        f"{advice} With a wrong clock valid certificates look expired or not yet valid, and times in your logs and in "
        "updated_since differ from the service's.",
    )


def duration(seconds: float) -> str:
    """A duration in words, in the largest unit that gives at least 2."""
    for name, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {name}"
    return f"{round(seconds)} seconds"
