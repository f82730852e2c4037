"""Tables and lists of names and values: cells wrap at words, and a table that does not fit becomes a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from .output import printable, wrapped

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_GAP = 2


@attrs.frozen
class Column:
    """A column of a table."""

    title: str
    right: bool = False
    """Align to the right, for numbers."""
    wraps: bool = False
    """Wrap its cells at words where the output is narrow. A word is never broken."""


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or one field a line where its columns do not fit. A cell may have several lines."""
    _write(console, table_lines(console, columns, rows))


def print_pairs(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, with the values aligned."""
    _write(console, pair_lines(console, facts))


def table_lines(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of :func:`print_table`, with the escape sequences of a terminal."""
    cleaned = [[_cell(text) for text in row] for row in rows]
    widths = fitted(columns, cleaned, console.width)
    if widths is not None:
        return _lines(console, _table(columns, cleaned, widths))
    lines: list[str] = []
    for index, row in enumerate(cleaned):
        facts = [(column.title, cell) for column, cell in zip(columns, row, strict=True) if cell]
        lines += [*([""] if index else []), *pair_lines(console, facts)]
    return lines


def pair_lines(console: Console, facts: Sequence[tuple[str, str]]) -> list[str]:
    """The lines of :func:`print_pairs`, with the escape sequences of a terminal."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    room = console.width - _GAP - max((cell_len(name) for name, _ in facts), default=0)
    for name, value in facts:
        lines = [part for line in _cell(value).split("\n") for part in wrapped(line, room, "")]
        grid.add_row(name, Text("\n".join(lines)))
    return _lines(console, grid)


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The width of each column; None if they do not fit without breaking a word.

    Args:
        columns: The columns.
        rows: The cells, without control characters.
        width: Columns of the output.
    """
    from rich.cells import cell_len

    least: list[int] = []
    most: list[int] = []
    for index, column in enumerate(columns):
        lines = [column.title, *(line for row in rows for line in row[index].split("\n"))]
        widest = max(map(cell_len, lines))
        most.append(widest)
        word = max(cell_len(word) for line in lines for word in line.split(" "))
        least.append(max(word, cell_len(column.title)) if column.wraps else widest)
    room = width - _GAP * (len(columns) - 1) - sum(least)
    if room < 0:
        return None
    # Each column gets the same, the columns that need less than that first: few of them wrap then.
    widths = list(least)
    order = sorted(range(len(columns)), key=lambda index: most[index] - least[index])
    for number, index in enumerate(order):
        more = min(most[index] - least[index], room // (len(order) - number))
        widths[index] += more
        room -= more
    return widths


def _lines(console: Console, renderable: RenderableType) -> list[str]:
    with console.capture() as captured:
        console.print(renderable)
    lines = captured.get().splitlines()
    # rich pads lines with blanks, which have no use in a file or a pipe.
    return lines if console.is_terminal else [line.rstrip() for line in lines]


def _write(console: Console, lines: Sequence[str]) -> None:
    console.file.writelines(f"{line}\n" for line in lines)
    console.file.flush()


def _cell(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column.title, justify="right" if column.right else "left", width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
