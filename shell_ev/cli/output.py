"""The output of commands: data on stdout, messages on stderr; JSON values and tables.

Text of the service is printed without control characters, so that it cannot move the cursor.
"""

from __future__ import annotations

import contextlib
import enum
import io
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

import attrs

from .settings import PROGRAM, Settings

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Width of output that does not go to a terminal.
_WIDE = 160
_GAP = 2


def printable(text: object) -> str:
    """The text on one line, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def shortened(text: object, limit: int) -> str:
    """The text on one line of at most ``limit`` characters, without control characters."""
    line = printable(text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clock(seconds: float) -> str:
    """A duration in the form ``0:12:31``."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal with escape sequences."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def make_streams_lenient() -> None:
    """Replace characters that an output cannot encode; open a closed stream on the null device."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the process ends
    for stream in (sys.stdout, sys.stderr):
        _reconfigure(stream, errors="replace")


def reconfigure_stdout(**options: str) -> None:
    """Change the encoding of stdout, if it is a text stream over bytes."""
    _reconfigure(sys.stdout, **options)


def _reconfigure(stream: object, **options: Any) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(**options)


class Output:
    """The streams of one command."""

    def __init__(self, settings: Settings) -> None:
        self.json: bool = settings.json
        self._no_color = settings.no_color

    def console(self, stream: TextIO | None = None) -> Console:
        """A rich console on a stream; default: stdout."""
        from rich.console import Console

        file: TextIO = sys.stdout if stream is None else stream
        terminal = is_terminal(file)
        width = None if terminal or os.environ.get("COLUMNS") else _WIDE
        return Console(
            file=file,
            force_terminal=terminal,
            no_color=True if self._no_color else None,
            highlight=False,
            markup=False,
            emoji=False,
            width=width,
        )

    def document(self, value: Any) -> None:
        """Print a JSON document to stdout."""
        self.line(dumps(value))

    def line(self, text: str) -> None:
        """Print a line to stdout and flush it."""
        print(text, flush=True)

    def note(self, text: str) -> None:
        """Print a message for people to stderr; nothing with ``--json``."""
        if not self.json:
            print_error(f"{PROGRAM}: {text}")


_live_printers: list[Callable[[str], None]] = []


@contextlib.contextmanager
def print_errors_above(live: Callable[[str], None]) -> Generator[None]:
    """While a live display is on the terminal, print lines for stderr above it, with ``live``."""
    if not is_terminal(sys.stderr):
        yield
        return
    _live_printers.append(live)
    try:
        yield
    finally:
        _live_printers.remove(live)


def print_error(line: str) -> None:
    """Print a line to stderr. A stderr that cannot be written is ignored from then on."""
    try:
        if _live_printers:
            _live_printers[-1](line)
        else:
            print(line, file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Redirect a broken stream to the null device: Python would report an error when it flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


# JSON


def dumps(value: Any) -> str:
    """JSON on one line, in ASCII for any encoding of the output."""
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))


def json_value(value: Any) -> Any:
    """A model, or a value of one, as JSON value: field names as keys, times in ISO 8601, NaN and infinity null."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        # False for NaN, too.
        return value if abs(value) <= sys.float_info.max else None
    if isinstance(value, enum.Enum):
        return json_value(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: json_value(item) for key, item in items}
    if isinstance(value, (tuple, list)):
        return [json_value(item) for item in cast("Sequence[Any]", value)]
    return {name: json_value(getattr(value, name)) for name in _fields(value)}


_fields_of: dict[Any, tuple[str, ...]] = {}


def _fields(model: Any) -> tuple[str, ...]:
    kind = cast("Any", type(model))
    if kind not in _fields_of:
        _fields_of[kind] = tuple(field.name for field in attrs.fields(kind))
    return _fields_of[kind]


# Tables


@attrs.frozen
class Column:
    """A column of a table."""

    title: str
    right: bool = False
    """Align to the right, for numbers."""
    folds: int | None = None
    """Minimum width when cells are folded on a narrow output; None: never folded."""


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or one field a line where its columns do not fit. A cell may have several lines."""
    cleaned = [[_cell(text) for text in row] for row in rows]
    if _least_width(columns, cleaned) <= console.width:
        _print(console, _table(columns, cleaned))
        return
    for index, row in enumerate(cleaned):
        if index:
            console.print()
        print_pairs(console, [(column.title, cell) for column, cell in zip(columns, row, strict=True) if cell])


def print_pairs(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, with the values aligned."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, Text(_cell(value)))
    _print(console, grid)


def _print(console: Console, renderable: RenderableType) -> None:
    if console.is_terminal:
        console.print(renderable)
        return
    # rich pads lines with blanks, which have no use in a file or a pipe.
    with console.capture() as captured:
        console.print(renderable)
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


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> RenderableType:
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
