"""Kinds of values on the command line that click does not have. Knows no command."""

from __future__ import annotations

import re
from datetime import datetime

import click

from ..identifiers import EMA_ID_LENGTHS

_NUMBER = r"([0-9]{1,8}(?:\.[0-9]{1,3})?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?", re.IGNORECASE)
_ZONE_NAME = re.compile(r"\[[^\[\]]*\]\Z")
_LONGEST = 30 * 24 * 3600.0


def duration(text: str) -> float:
    """``45s``, ``30m``, ``1h``, ``1h30m``, ``1.5h``: seconds. A bare number is refused: of what?"""
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = (float(part or 0) for part in (match.groups() if match else ()) or (0, 0, 0))
    total = hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= _LONGEST:
        raise click.BadParameter(f"{text!r} is not a length of time such as 45s, 30m or 1h30m (30 days at most)")
    return total


def degrees(text: str) -> float:
    """A latitude or longitude, with the comma that maps put between the two when they are copied."""
    try:
        return float(text.strip().removesuffix(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number of degrees such as 52.3731") from None


def ema_id(text: str) -> str:
    """The EMA-ID of a card, as long as ``active`` wants it: checked before anything is sent."""
    shortest, longest = EMA_ID_LENGTHS
    if not shortest <= len(text) <= longest:
        wanted = f"an EMA-ID of {shortest} to {longest} characters"
        raise click.BadParameter(f"{text!r} is not {wanted}, such as NL-TNM-C00122045-K")
    return text


def moment(text: str) -> str:
    """An ISO 8601 date or time, as it was written."""
    try:
        # A zone's name in brackets, as the service writes it, is more than fromisoformat knows.
        datetime.fromisoformat(_ZONE_NAME.sub("", text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-11-01T00:00:00Z") from None
    return text


def clock(seconds: float) -> str:
    """A length of time as a clock shows it: ``0:12:31``."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
