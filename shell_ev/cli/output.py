"""Where a command writes: data to stdout, everything else to stderr, as text or as JSON. Knows no command.

Whatever the service sent is shown without control characters: a name must not move the reader's cursor.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TextIO

from .settings import PROGRAM, Settings

if TYPE_CHECKING:
    from rich.console import Console

#: Width of what goes to no terminal: nothing is to be squeezed there.
_WIDE = 160


def printable(text: object) -> str:
    """A text on one line, without anything a terminal would act on."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at it through a terminal that can do more than print."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def dumps(value: Any) -> str:
    """One line of JSON, in ASCII: any encoding of the output will do."""
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))


def make_streams_lenient() -> None:
    """Let no character raise: an output that is not UTF-8 shows a question mark. One that was closed goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        _reconfigure(stream, errors="replace")


def reconfigure(**how: str) -> None:
    """Change how stdout encodes, if it is a stream that can."""
    _reconfigure(sys.stdout, **how)


def _reconfigure(stream: object, **how: Any) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(**how)


class Output:
    """The two streams of one command."""

    def __init__(self, settings: Settings) -> None:
        self.json = settings.json
        self._no_color = settings.no_color

    def console(self, stream: TextIO | None = None) -> Console:
        """A rich console on stdout, or on another stream."""
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
        """One JSON document on stdout."""
        self.line(dumps(value))

    def line(self, text: str) -> None:
        """One line on stdout, at once."""
        print(text, flush=True)

    def note(self, text: str) -> None:
        """One line for a person, on stderr; nothing with ``--json``."""
        if not self.json:
            say(f"{PROGRAM}: {text}")


_above: list[Callable[[str], None]] = []


@contextlib.contextmanager
def lines_go_above(live: Callable[[str], None]) -> Generator[None]:
    """While something is drawn on the terminal, lines for that terminal go above it instead of through it."""
    if not is_terminal(sys.stderr):
        yield
        return
    _above.append(live)
    try:
        yield
    finally:
        _above.remove(live)


def say(line: str) -> None:
    """One line on stderr; if nobody is there to read it, that is that."""
    try:
        if _above:
            _above[-1](line)
        else:
            print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Send a stream that cannot be written nowhere from now on, or Python would complain about it at the end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
