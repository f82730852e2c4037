"""The output of commands: data on stdout, messages on stderr, JSON values.

Nothing is printed with control characters of the service in it, so that it cannot move the cursor.
"""

from __future__ import annotations

import contextlib
import enum
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

import attrs

from .settings import PROGRAM, Settings

if TYPE_CHECKING:
    from rich.console import Console

#: Width of output that does not go to a terminal.
_WIDE = 160
#: Indent of the lines after the first one of a message.
_INDENT = "  "


def printable(text: object) -> str:
    """The text on one line, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def safe(text: str) -> str:
    """The text with its lines and blanks as they are, and a blank for each other control character."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def wrapped(text: str, width: int, indent: str = _INDENT) -> list[str]:
    """The text in lines of at most ``width`` columns. A word is never broken; one that is longer has its own line.

    Args:
        text: One line.
        width: Columns.
        indent: In front of each line but the first one.

    Returns:
        The lines.
    """
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else f"{indent if lines else ''}{word}"
        if line.strip() and cell_len(longer) > width:
            lines.append(line.rstrip())
            longer = f"{indent}{word}"
        line = longer
    return [*lines, line.rstrip()]


def width_of(stream: TextIO) -> int:
    """Columns of the terminal that a stream is; COLUMNS takes precedence."""
    if not os.environ.get("COLUMNS"):
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(stream.fileno()).columns or 80
    return shutil.get_terminal_size().columns


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
        """Print a JSON document to stdout, indented on a terminal."""
        self.line(dumps(value, indent=2 if is_terminal(sys.stdout) else None))

    def record(self, value: Any) -> None:
        """Print one of several JSON objects, on one line."""
        self.line(dumps(value))

    def line(self, text: str) -> None:
        """Print a line to stdout and flush it. Control characters are replaced."""
        print(safe(text), flush=True)

    def text(self, text: str, indent: str = _INDENT) -> None:
        """Print a line to stdout, in lines of the terminal's width if it is one."""
        clean = safe(text)
        lines = wrapped(clean, width_of(sys.stdout), indent) if is_terminal(sys.stdout) else [clean]
        print("\n".join(lines), flush=True)

    def note(self, text: str, *commands: str) -> None:
        """Print a message for people to stderr, and commands to run next; nothing with ``--json``."""
        if not self.json:
            print_message(text, commands)


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


def print_error_text(line: str) -> None:
    """Print a line to stderr, in lines of the terminal's width if it is one."""
    clean = safe(line)
    for part in wrapped(clean, width_of(sys.stderr)) if is_terminal(sys.stderr) else [clean]:
        print_error(part)


def print_message(
    text: str, commands: Sequence[str] = (), *, lead: str = ": ", alarm: str = "", red: bool = False
) -> None:
    """Print a message to stderr: in one line, or on a terminal in lines of its width, each command on its own line.

    Args:
        text: The message.
        commands: Commands to run next. They are not wrapped: they are to be copied.
        lead: Between the message and the commands, where all is one line.
        alarm: Words in front of the message.
        red: Print the alarm in red.
    """
    whole = safe(f"{PROGRAM}: {alarm}{': ' if alarm else ''}{text}")
    if not is_terminal(sys.stderr):
        print_error(f"{whole}{lead if commands else ''}{safe('  or  '.join(commands))}")
        return
    lines = wrapped(whole + (lead.rstrip() if commands else ""), width_of(sys.stderr))
    if alarm and red:
        lines[0] = lines[0].replace(alarm, f"\x1b[1;31m{alarm}\x1b[0m", 1)
    for line in (*lines, *(f"{_INDENT}{safe(command)}" for command in commands)):
        print_error(line)


def discard(stream: TextIO) -> None:
    """Redirect a broken stream to the null device: Python would report an error when it flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


# JSON


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON on one line, or indented; in ASCII for any encoding of the output."""
    return json.dumps(value, allow_nan=False, indent=indent, separators=("," if indent else ", ", ": "))


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
