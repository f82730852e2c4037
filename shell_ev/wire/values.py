"""Readers of single values. A value in another form than documented is read if it has one meaning only."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeGuard

from ..models.enums import OpenEnum
from .codegen import FunctionBuilder


class Unreadable(ValueError):
    """A value that cannot be read as its type."""


def read_text(value: Any, _: Any = None) -> str:
    """Text. A number or boolean becomes its JSON text."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        # 42.0 is 42: some languages have one kind of number.
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    raise Unreadable(f"expected text, got {_kind(value)}")


def read_float(value: Any, _: Any = None) -> float:
    """A finite number, or its text."""
    if type(value) is float:
        number = value
    elif isinstance(value, bool):
        raise Unreadable("expected a number, got a boolean")
    elif isinstance(value, (int, str)):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise Unreadable(f"expected a number, got {_kind(value)}") from None
    else:
        raise Unreadable(f"expected a number, got {_kind(value)}")
    if not math.isfinite(number):
        raise Unreadable("expected a finite number")
    return number


def read_int(value: Any, _: Any = None) -> int:
    """A whole number, 3.0 included, or its text."""
    if type(value) is int:
        return value
    number = read_float(value)
    if not number.is_integer():
        raise Unreadable("expected a whole number, got a fraction")
    return int(number)


def read_bool(value: Any, _: Any = None) -> bool:
    """True or false, or their text, or 1 and 0."""
    if type(value) is bool:
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if value == 1 or value == 0:
        return bool(value)
    raise Unreadable(f"expected true or false, got {_kind(value)}")


_AMERICAN = re.compile(r"(\d{2})/(\d{2})/(\d{4})[ T](.+)", re.ASCII)
_FINER = re.compile(r"[.,]\d{6}(\d)", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-?\d{2}-?\d{2}[T ]\d{2}.*", re.ASCII | re.IGNORECASE)


#: The class of times. In a tuple, and found among the bases: freezegun replaces it by its own in every module.
DATETIME: Final[tuple[type[datetime]]] = (next(base for base in datetime.__mro__ if base.__module__ == "datetime"),)


def read_datetime(value: Any, _: Any = None) -> datetime:
    """An aware time from RFC 3339 or from the documented form ``08/19/2015 11:20:27``. Without a zone it is UTC.

    A fraction of a microsecond is rounded.
    """
    if not isinstance(value, str):
        raise Unreadable(f"expected a date and time, got {_kind(value)}")
    text = value.strip().upper()  # RFC 3339 allows t and z
    american = _AMERICAN.fullmatch(text)
    if american is not None:
        month, day, year, clock = american.groups()
        text = f"{year}-{month}-{day}T{clock}"
    elif not _DATE_TIME.fullmatch(text):
        # fromisoformat would also read a date or a week, as midnight.
        raise Unreadable("expected a date and time")
    try:
        moment = datetime.fromisoformat(text)
        finer = _FINER.search(text)
    except ValueError:
        raise Unreadable("expected a date and time") from None
    if finer is not None and finer.group(1) >= "5":
        with contextlib.suppress(OverflowError):  # the last moment of a datetime, as .NET writes it
            moment += timedelta(microseconds=1)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def add_datetime(builder: FunctionBuilder, value: str, indent: int = 0) -> None:
    """Append the lines that read the time in a variable: RFC 3339 in place, all else by :func:`read_datetime`.

    A fifth of the time of :func:`read_datetime`, for what is nearly always sent.
    """
    from_iso, read = builder.use(DATETIME[0].fromisoformat, "iso"), builder.use(read_datetime, "read")
    # fromisoformat also reads weeks and a time without a zone, and cuts off a seventh digit of the fraction.
    usual = f"{value}[10] == 'T' and {value}[7] == '-' and t.tzinfo is not None"
    builder.add(
        "try:",
        f"    t = {from_iso}({value})",
        f"    if not ({usual} and (len({value}) < 27 or not {value}[26].isdigit())): t = None",
        "except (TypeError, ValueError, IndexError):",
        "    t = None",
        f"{value} = {read}({value}) if t is None else t",
        indent=indent,
    )


def _quick_datetime() -> Callable[..., datetime]:
    builder = FunctionBuilder("datetime", "value, _=None")
    add_datetime(builder, "value")
    builder.add("return value")
    return builder.build()


#: :func:`read_datetime`, faster for RFC 3339.
quick_datetime: Final = _quick_datetime()


def enum_reader(enum: type[OpenEnum]) -> Callable[..., OpenEnum]:
    """A reader for one enum: a look-up for the documented spelling, the enum itself for any other."""
    known = {member.value: member for member in enum}

    def read_enum(value: Any, _: Any = None) -> OpenEnum:
        try:
            return known[value]
        except (KeyError, TypeError):
            return enum(read_text(value))

    return read_enum


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a decoded value is a JSON object."""
    return type(value) is dict


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a decoded value is a JSON list."""
    return type(value) is list


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "null" if value is None else "an object" if is_object(value) else "a list"
