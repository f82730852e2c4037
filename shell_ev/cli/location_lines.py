"""Locations as lines under fixed columns, so that each can be printed as it comes in. Knows no command."""

from __future__ import annotations

import shutil
from typing import TextIO

from ..models.locations import Location
from .output import is_terminal, printable
from .places import availability, power

_GAP = "  "
#: Title, narrowest, and how many parts of the room that is left it gets. In the order in which they are given up last.
_COLUMNS = (("Uid", 8, 0), ("Country", 7, 0), ("City", 14, 1), ("Street", 16, 2), ("Operator", 14, 1))
_TAIL = (("Free", 5), ("Power", 8))
_WIDEST = 36
_NO_TERMINAL = 120


class Lines:
    """Cuts cells to their columns on a terminal; elsewhere pads them and cuts nothing."""

    def __init__(self, file: TextIO) -> None:
        self._cut = is_terminal(file)
        width = shutil.get_terminal_size().columns if self._cut else _NO_TERMINAL
        room = width - 1 - sum(len(_GAP) + size for _, size in _TAIL)
        chosen: list[tuple[str, int, int]] = []
        for column in _COLUMNS:
            if room - column[1] < 0:
                break
            room -= column[1] + len(_GAP)
            chosen.append(column)
        parts = sum(share for _, _, share in chosen) or 1
        self._columns = [
            (title, min(_WIDEST, size + max(0, room + len(_GAP)) * share // parts)) for title, size, share in chosen
        ]

    def head(self) -> str:
        """The titles."""
        names = [title for title, _ in self._columns]
        return self._join(names, [title for title, _ in _TAIL])

    def line(self, location: Location) -> str:
        """One location."""
        address = location.address
        cells = {
            "Uid": location.uid,
            "Country": address.country if address is not None else None,
            "City": address.city if address is not None else None,
            "Street": address.street_and_number if address is not None else None,
            "Operator": location.operator_name,
        }
        texts = [printable(cells[title] or "") for title, _ in self._columns]
        return self._join(texts, [availability(location), power(location.max_power_kw)])

    def _join(self, texts: list[str], tail: list[str]) -> str:
        fitted = [self._fit(text, size) for text, (_, size) in zip(texts, self._columns, strict=True)]
        ends = [text.rjust(size) for text, (_, size) in zip(tail, _TAIL, strict=True)]
        return _GAP.join([*fitted, *ends])

    def _fit(self, text: str, size: int) -> str:
        from rich.cells import cell_len, set_cell_size

        if cell_len(text) <= size or self._cut:
            return set_cell_size(text, size)
        return text
