"""When a tariff element applies: its restrictions at one moment of a charge, and the moments at which that changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from .enums import DayOfWeek

if TYPE_CHECKING:
    from .tariffs import TariffRestrictions

_CLOCK = re.compile(r"\s*([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\s*", re.ASCII)
_DAY = 24 * 60 * 60
_DAYS = tuple(DayOfWeek)
#: Far below the shortest time between two changes of a zone's offset.
_OFFSET_STRIDE = timedelta(hours=6)


@attrs.frozen(kw_only=True)
class Moment:
    """One moment of a charge. What is not known is None."""

    elapsed: Fraction | None
    """Seconds since the charge began."""
    energy: Fraction | None
    """Energy so far, in kWh."""
    power: Fraction | None
    """Power, in kW."""
    current: Fraction | None
    """Current, in A, the sum of all phases."""
    wall: datetime | None
    """Time at the station."""


def number(value: object) -> Fraction | None:
    """A finite number exactly as it reads; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return Fraction(str(value))
    except ValueError:
        return None


def names_times(restrictions: TariffRestrictions) -> bool:
    """Whether restrictions name a time of day, a date or a day of the week."""
    named = (restrictions.start_time, restrictions.end_time, restrictions.start_date, restrictions.end_date)
    return any(text is not None for text in named) or bool(restrictions.day_of_week)


def holds(restrictions: TariffRestrictions | None, moment: Moment) -> bool | None:
    """Whether all restrictions hold at a moment; None if one cannot be read, or asks for what is not known."""
    if restrictions is None:
        return True
    verdicts = set(_verdicts(restrictions, moment))
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _verdicts(limits: TariffRestrictions, at: Moment) -> Iterator[bool | None]:
    yield _within(limits.min_kwh, limits.max_kwh, at.energy)
    yield _within(limits.min_current, limits.max_current, at.current)
    yield _within(limits.min_power, limits.max_power, at.power)
    yield _within(limits.min_duration, limits.max_duration, at.elapsed)
    if limits.start_time is not None or limits.end_time is not None:
        yield _in_hours(limits.start_time, limits.end_time, at.wall)
    if limits.start_date is not None or limits.end_date is not None:
        yield _in_dates(limits.start_date, limits.end_date, at.wall)
    if limits.day_of_week:
        yield _on_days(limits.day_of_week, at.wall)


def _within(low: float | None, high: float | None, value: Fraction | None) -> bool | None:
    verdicts = {_from(low, value), _until(high, value)}
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _from(limit: float | None, value: Fraction | None) -> bool | None:
    if limit is None:
        return True
    low = number(limit)
    if low is None:
        return None
    # No quantity is negative: a limit of zero always holds, also for one that is not known.
    if low <= 0:
        return True
    return None if value is None else value >= low


def _until(limit: float | None, value: Fraction | None) -> bool | None:
    if limit is None:
        return True
    high = number(limit)
    if high is None:
        return None
    if high <= 0:
        return False
    return None if value is None else value < high


def _in_hours(start: str | None, end: str | None, wall: datetime | None) -> bool | None:
    begin = 0 if start is None else seconds_of_day(start)
    stop = _DAY if end is None else seconds_of_day(end)
    if begin is None or stop is None or wall is None:
        return None
    # 00:00 as the end is the end of the day.
    stop = stop or _DAY
    if begin == stop:
        return None
    now = wall.hour * 3600 + wall.minute * 60 + wall.second
    return begin <= now < stop if begin < stop else now >= begin or now < stop


def _in_dates(start: str | None, end: str | None, wall: datetime | None) -> bool | None:
    begin = date.min if start is None else _date(start)
    stop = date.max if end is None else _date(end)
    if begin is None or stop is None or wall is None:
        return None
    return begin <= wall.date() < stop


def _on_days(days: tuple[DayOfWeek, ...], wall: datetime | None) -> bool | None:
    if wall is None:
        return None
    named = {DayOfWeek(day) for day in days}
    if _DAYS[wall.weekday()] in named:
        return True
    return False if all(day.is_known for day in named) else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def seconds_of_day(text: str) -> int | None:
    """A time of day such as ``13:30`` in seconds since midnight; None if it cannot be read."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups())
    total = hour * 3600 + minute * 60 + second
    return total if minute < 60 and second < 60 and total <= _DAY else None


def wall_at(started_at: datetime, elapsed: Fraction) -> datetime:
    """The time at the station, a number of seconds after the start, in the zone of ``started_at``."""
    return (started_at.astimezone(UTC) + _delta(elapsed)).astimezone(started_at.tzinfo)


def wall_changes(started_at: datetime, length: Fraction, all_limits: Iterable[TariffRestrictions]) -> set[Fraction]:
    """Seconds after the start at which a restriction on times, dates or days may begin or cease to hold.

    These are the midnights, the times of day that are named, and the changes of the zone's offset.
    """
    clocks = {0}
    for limits in all_limits:
        for text in (limits.start_time, limits.end_time):
            seconds = None if text is None else seconds_of_day(text)
            if seconds is not None:
                clocks.add(seconds % _DAY)
    begin = started_at.astimezone(UTC)
    end = begin + _delta(length)
    instants = set(_offset_changes(begin, end, started_at))
    day, last = started_at.date(), end.astimezone(started_at.tzinfo).date()
    while day <= last:
        for clock in clocks:
            # A time that comes twice in the night of a change is two instants.
            for fold in (0, 1):
                named = datetime.combine(day, _time(clock), started_at.tzinfo).replace(fold=fold)
                instants.add(named.astimezone(UTC))
        day += timedelta(days=1)
    return {_seconds(instant - begin) for instant in instants if begin < instant < end}


def _offset_changes(begin: datetime, end: datetime, started_at: datetime) -> Iterator[datetime]:
    zone = started_at.tzinfo
    left = begin
    while left < end:
        right = min(left + _OFFSET_STRIDE, end)
        low, high = left, right
        before = low.astimezone(zone).utcoffset()
        if before != high.astimezone(zone).utcoffset():
            while high - low > timedelta(microseconds=1):
                middle = low + (high - low) / 2
                if middle.astimezone(zone).utcoffset() == before:
                    low = middle
                else:
                    high = middle
            yield high
        left = right


def _time(seconds: int) -> time:
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)


def _delta(seconds: Fraction) -> timedelta:
    return timedelta(microseconds=int(seconds * 1_000_000))


def _seconds(delta: timedelta) -> Fraction:
    return Fraction(delta // timedelta(microseconds=1), 1_000_000)
