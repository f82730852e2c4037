"""The rules of opening hours, for :meth:`Location.is_open`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from .enums import WeekDay

_CLOCK = re.compile(r"\s*([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\s*")
_DAY = 24 * 60 * 60
_DAYS = {day: index for index, day in enumerate(WeekDay)}  # Monday is 0, as in datetime.weekday()


class Period(Protocol):
    """An opening period."""

    @property
    def week_day(self) -> WeekDay | None:
        """Day of the beginning."""
        ...

    @property
    def start_time(self) -> str | None:
        """Local time of the beginning."""
        ...

    @property
    def end_time(self) -> str | None:
        """Local time of the end. Unless it is later than the beginning, it is on the next day."""
        ...


def open_at(periods: Iterable[Period], at: datetime) -> bool | None:
    """Whether a period covers the wall clock of ``at``; None if only one that cannot be read may cover it."""
    second = at.hour * 3600 + at.minute * 60 + at.second
    verdict: bool | None = False
    for period in periods:
        covered = _covers(period, at.weekday(), second)
        if covered:
            return True
        if covered is None:
            verdict = None
    return verdict


def _covers(period: Period, today: int, second: int) -> bool | None:
    day = None if period.week_day is None else _DAYS.get(period.week_day)
    # A period ends on the next day at the latest: those of today and yesterday matter.
    if day is not None and (today - day) % 7 > 1:
        return False
    start, end = _seconds(period.start_time), _seconds(period.end_time)
    if start is None or start == _DAY or end is None:
        return None
    if end // 60 == _DAY // 60 - 1:
        end = _DAY
    if end <= start:
        end += _DAY
    on_its_day = start <= second < end
    on_the_next = start <= second + _DAY < end
    if day is None:
        return None if on_its_day or on_the_next else False
    return on_its_day if day == today else on_the_next


def _seconds(text: str | None) -> int | None:
    match = _CLOCK.fullmatch(text) if text is not None else None
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups())
    total = hour * 3600 + minute * 60 + second
    return total if minute < 60 and second < 60 and total <= _DAY else None
