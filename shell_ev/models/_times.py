"""Reading the opaque texts of ``updated`` fields."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2})", re.ASCII)


def moment_of(text: str | None) -> datetime | None:
    """The moment of an ``updated`` text, aware; None where it cannot be read.

    ISO 8601, and ``MM/DD/YYYY hh:mm:ss``. A time without a zone is UTC.
    """
    if not text:
        return None
    plain = text.strip()
    try:
        american = _AMERICAN.fullmatch(plain)
        if american is not None:
            month, day, year, hour, minute, second = map(int, american.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        found = datetime.fromisoformat(plain)
    except ValueError:
        return None
    # A date alone is no moment.
    if len(plain) <= len("2021-10-06"):
        return None
    return found if found.utcoffset() is not None else found.replace(tzinfo=UTC)
