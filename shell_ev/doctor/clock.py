"""This machine's clock against a server's ``Date``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ..core.retry import http_date
from .limits import Limits
from .plan import Trouble, Verdict, ok, warn


def offset(local: float, headers: Mapping[str, str]) -> float | None:
    """Seconds by which this machine is ahead of the server; None when the answer does not tell its time.

    ``local`` is this machine's time (unix seconds) in the middle of the exchange. A Date counts whole seconds.
    """
    date = http_date(headers.get("date"))
    if date is None:
        return None
    age = headers.get("age", "").strip()
    # A cache hands out an old answer with its old Date, and says how old it is.
    seconds_old = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
    return local - (date.timestamp() + seconds_old + 0.5)


def judge(ahead: float, host: str, limits: Limits) -> Verdict:
    """What an offset means. Raises Trouble when it is too large."""
    if abs(ahead) < limits.clock_odd:
        return ok(f"agrees with {host} to within {max(1, round(abs(ahead)) + 1)} s")
    where = "ahead of" if ahead > 0 else "behind"
    seen = f"this machine's clock is {duration(abs(ahead))} {where} that of {host}"
    advice = "Set this machine's clock, best by network time (NTP)."
    if abs(ahead) < limits.clock_wrong:
        return warn(seen, advice)
    raise Trouble(
        seen,
        f"{advice} By a wrong clock good certificates count as expired or not yet valid, and neither the times in your "
        "logs nor those you ask for (updated_since) are the service's.",
    )


def duration(seconds: float) -> str:
    """A length of time as a person would say it."""
    for name, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {name}"
    return f"{round(seconds)} seconds"


def in_time(moment: float, not_before: datetime | None, not_after: datetime | None) -> bool:
    """Whether a certificate is valid at a moment (unix seconds)."""
    return (not_before is None or not_before.timestamp() <= moment) and (
        not_after is None or moment <= not_after.timestamp()
    )
