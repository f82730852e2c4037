"""Locations as lines that are printed on arrival: a table of fixed columns, or two lines each on a narrow terminal."""

from __future__ import annotations

from typing import TextIO

import attrs

from .. import Location
from .location_views import address_words, availability, plugs
from .output import is_terminal, printable, width_of, wrapped

_GAP = "  "
_NARROW = 90
_WIDTH_WITHOUT_TERMINAL = 140
_WIDEST = 36


@attrs.frozen
class _Column:
    title: str
    least: int
    share: int = 0
    """Share of the width that is left over."""
    right: bool = False


_COLUMNS = (
    _Column("Uid", 8),
    _Column("Country", 7),
    _Column("City", 17, 1),
    _Column("Street", 16, 2),
    _Column("Operator", 13, 1),
    _Column("Free", 4, right=True),
    _Column("Plugs (kW)", 14, 1),
)


class LocationLines:
    """Locations as lines. On a terminal cells wrap at words; elsewhere each location is one line.

    Args:
        file: The stream that they go to.
    """

    def __init__(self, file: TextIO) -> None:
        self._wraps = is_terminal(file)
        self._width = width_of(file) - 1 if self._wraps else _WIDTH_WITHOUT_TERMINAL
        self._is_narrow = self._wraps and self._width < _NARROW
        room = self._width - len(_GAP) * (len(_COLUMNS) - 1) - sum(column.least for column in _COLUMNS)
        parts = sum(column.share for column in _COLUMNS)
        self._widths = [min(_WIDEST, column.least + max(0, room) * column.share // parts) for column in _COLUMNS]

    def head(self) -> list[str]:
        """The line of titles; none on a narrow terminal."""
        return [] if self._is_narrow else [self._join([column.title for column in _COLUMNS])]

    def lines(self, location: Location) -> list[str]:
        """The lines of one location."""
        if self._is_narrow:
            return self._record(location)
        cells = [printable(cell or "") for cell in _cells(location)]
        if not self._wraps:
            return [self._join(cells)]
        parts = [wrapped(cell, width, "") for cell, width in zip(cells, self._widths, strict=True)]
        if any(_cells_of(line) > width for lines, width in zip(parts, self._widths, strict=True) for line in lines):
            return self._record(location)  # a word is wider than its column
        rows = range(max(map(len, parts)))
        return [self._join([lines[row] if row < len(lines) else "" for lines in parts]) for row in rows]

    def _record(self, location: Location) -> list[str]:
        country = location.address.country if location.address is not None else None
        where = ", ".join(filter(None, (address_words(location), country)))
        first = printable(f"{location.uid or '?'}  {where}").replace(" ", _GAP, 1)
        second = printable(f"{availability(location)} free, {plugs(location)}")
        return [*wrapped(first, self._width), *wrapped(f"{_GAP}{second}", self._width, "    ")]

    def _join(self, cells: list[str]) -> str:
        fitted = [
            _pad(cell, width, right=column.right)
            for cell, width, column in zip(cells, self._widths, _COLUMNS, strict=True)
        ]
        return _GAP.join(fitted).rstrip()


def _cells(location: Location) -> tuple[str | None, ...]:
    address = location.address
    return (
        location.uid,
        address.country if address is not None else None,
        address.city if address is not None else None,
        address.street_and_number if address is not None else None,
        location.operator_name,
        availability(location),
        plugs(location),
    )


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _cells_of(text))
    return blanks + text if right else text + blanks


def _cells_of(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
