"""Tables that fit: columns side by side where there is room, one field a line where there is not. Knows no command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from .output import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_GAP = 2


@attrs.frozen
class Column:
    """One column."""

    title: str
    right: bool = False
    """Numbers stand to the right."""
    folds: int | None = None
    """May be folded to this many characters when room is short; None never."""


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts, which are made printable here; a cell may hold several lines."""
    cleaned = [[_cell(text) for text in row] for row in rows]
    if _least_width(columns, cleaned) <= console.width:
        emit(console, _columns(columns, cleaned))
        return
    for index, row in enumerate(cleaned):
        if index:
            console.print()
        print_pairs(console, [(column.title, cell) for column, cell in zip(columns, row, strict=True) if cell])


def print_pairs(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one a line, the values under each other."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, Text(_cell(value)))
    emit(console, grid)


def emit(console: Console, picture: RenderableType) -> None:
    """Print without the blanks that fill up lines: where no terminal is they are only in the way."""
    if console.is_terminal:
        console.print(picture)
        return
    with console.capture() as captured:
        console.print(picture)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")
    console.file.flush()


def _cell(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    from rich.cells import cell_len

    total = _GAP * (len(columns) - 1)
    for index, column in enumerate(columns):
        lines = [column.title, *(line for row in rows for line in row[index].split("\n"))]
        widest = max(map(cell_len, lines))
        total += widest if column.folds is None else min(widest, column.folds)
    return total


def _columns(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=column.folds is None,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
