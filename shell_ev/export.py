"""Data out: models, answers and errors as JSON-ready dicts, JSON text and one-line representations.

The mechanism is here alone. A class names its fields; names are those of the models, in every dialect.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from html import escape
from typing import ClassVar, Final, TypeAlias, cast

import attrs

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value."""

PERSONAL_FIELDS: Final[frozenset[str]] = frozenset({"ema_id", "ev_charge_number", "user_id"})
"""Names of the fields that identify a person: the card and its account. For ``to_dict(redact=PERSONAL_FIELDS)``.

They occur in :class:`~shell_ev.ChargeSession` and in the ``arguments`` of errors.
"""

REDACTED: Final = "***"
#: A shorter text occurs in others by chance.
_SHORTEST_MASKED = 4
_LONGEST_SHOWN = 60
#: A longer table is cut: a notebook keeps what it shows.
LONGEST_TABLE: Final = 100


class Exported:
    """What can be given out as data."""

    __slots__ = ()

    #: Properties that are given out beside the fields.
    _derived: ClassVar[tuple[str, ...]] = ()
    #: Heads of the columns of a table of such items; empty for what has none.
    _columns: ClassVar[tuple[str, ...]] = ()

    def _row(self) -> tuple[str, ...]:
        """The cells of this item in a table."""
        return ()

    def _exported(self) -> Iterable[tuple[str, object]]:
        """Names and values to give out."""
        for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(self))):
            if field.repr:
                yield field.name, getattr(self, field.name)
        for name in self._derived:
            yield name, getattr(self, name)

    def to_dict(self, *, redact: Collection[str] = ()) -> dict[str, Json]:
        """The fields as a dict that any JSON encoder takes.

        Times are ISO 8601 texts, enums their texts, tuples lists; a number that JSON cannot hold is None. Every field
        is there: one that is not known is None. Of an answer the headers and the body are left out.

        Args:
            redact: Names of fields to mask, at any depth, such as ``PERSONAL_FIELDS``; their values are masked in all
                other texts too.

        Returns:
            A new dict of plain values.
        """
        plain = cast("dict[str, Json]", jsonable(dict(self._exported())))
        if not redact:
            return plain
        values: set[str] = set()
        masked = _masked(plain, redact, values)
        ordered = sorted(values, key=len, reverse=True)
        return cast("dict[str, Json]", _without(masked, ordered) if ordered else masked)

    def to_json(self, *, redact: Collection[str] = (), indent: int | None = None) -> str:
        """The fields as a JSON text, in ASCII.

        Args:
            redact: As in :meth:`to_dict`.
            indent: Spaces of each level; None is one line.

        Returns:
            The text of :meth:`to_dict`.
        """
        return json.dumps(self.to_dict(redact=redact), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._summary())})"

    def _summary(self) -> Iterable[str]:
        """The parts of the one-line representation: fields that hold something."""
        for name, value in self._exported():
            if value is not None and value != () and name not in self._derived:
                yield f"{name}={brief(value)}"

    def __rich_repr__(self) -> Iterator[tuple[str, object]]:
        """The fields that hold something, for pretty printing with rich."""
        for name, value in self._exported():
            if value is not None and value != () and name not in self._derived:
                yield name, value

    @staticmethod
    def _table(items: Sequence[object]) -> str:
        """Items of one kind as an HTML table, every text escaped; empty for none, and for what has no columns."""
        kinds = {type(item) for item in items}
        rows = [item for item in items if isinstance(item, Exported)]
        if len(kinds) != 1 or not rows or not rows[0]._columns:
            return ""
        heads = "".join(f"<th>{escape(head)}</th>" for head in rows[0]._columns)
        lines = ["".join(f"<td>{_cell(text)}</td>" for text in item._row()) for item in rows[:LONGEST_TABLE]]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        return table if len(rows) <= LONGEST_TABLE else f"{table}<p>{len(rows) - LONGEST_TABLE} more</p>"


def jsonable(value: object) -> Json:
    """A value as JSON has it. An object that JSON has nothing for is its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return jsonable(cast("object", value.value))
    if isinstance(value, str):
        # Half a surrogate pair is legal in Python and breaks other readers.
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Exported):
        return value.to_dict()
    return _composite(value)


def _composite(value: object) -> Json:
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {cast("str", jsonable(str(name))): jsonable(item) for name, item in items}
    if isinstance(value, (list, tuple, set, frozenset)):
        several = cast("Collection[object]", value)
        ordered = sorted(several, key=str) if isinstance(value, (set, frozenset)) else several
        return [jsonable(item) for item in ordered]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return cast("str", jsonable(str(value)))


def _masked(value: Json, names: Collection[str], values: set[str]) -> Json:
    if isinstance(value, list):
        return [_masked(item, names, values) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Json] = {}
    for name, item in value.items():
        if name in names and item is not None:
            result[name] = REDACTED
            if isinstance(item, str) and len(item) >= _SHORTEST_MASKED:
                values.add(item)
        else:
            result[name] = _masked(item, names, values)
    return result


def _without(value: Json, texts: list[str]) -> Json:
    if isinstance(value, str):
        for text in texts:
            value = value.replace(text, REDACTED)
        return value
    if isinstance(value, list):
        return [_without(item, texts) for item in value]
    if isinstance(value, dict):
        return {name: _without(item, texts) for name, item in value.items()}
    return value


def brief(value: object) -> str:
    """A value in few characters, on one line."""
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        if items and all(isinstance(item, Exported) for item in items):
            return counted(items)
        shown = ", ".join(map(brief, items[:3]))
        return f"({shown}, ...)" if len(items) > 3 else f"({shown}{',' if len(items) == 1 else ''})"
    text = _text_of(value)
    return text if len(text) <= _LONGEST_SHOWN or isinstance(value, Exported) else f"{text[: _LONGEST_SHOWN - 3]}..."


def counted(items: Collection[object]) -> str:
    """How many of what, such as ``25 x Location``."""
    names = sorted({type(item).__name__ for item in items})
    return f"{len(items)} x {' or '.join(names)}" if names else "none"


def _text_of(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return repr(value)


def first_of(*texts: str | None) -> str:
    """The first text that is not empty, as Python shows it; ``?`` without one."""
    return brief(next((text for text in texts if text), None)) if any(texts) else "?"


def html_paragraph(text: str) -> str:
    """A text as an HTML paragraph."""
    return f"<p>{_cell(text)}</p>"


def _cell(text: str) -> str:
    return escape(" ".join("".join(c if c.isprintable() else " " for c in text).split()))
