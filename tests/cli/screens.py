"""A screen that reads what a command writes to a terminal, as far as the command line uses escape sequences."""

from __future__ import annotations

import io
import re
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")
#: Width of a letter by its height.
_FONT_RATIO = 0.61


class Screen:
    """Everything that was written to a terminal, also what has left it at the top.

    Args:
        columns: Columns of the terminal.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[list[tuple[str, str]]] = [[]]
        """Letters with the style in force, as the parameters of its escape sequence."""
        self.broken: list[int] = []
        """Rows that the terminal itself continued in the next one: their line was too long."""
        self._row = self._column = 0
        self._style = ""

    def feed(self, written: str) -> Screen:
        """Write a text."""
        position = 0
        while position < len(written):
            found = _SEQUENCE.match(written, position)
            if found is not None:
                self._obey(found[1], found[2])
                position = found.end()
                continue
            self._put(written[position])
            position += 1
        return self

    @property
    def lines(self) -> list[str]:
        """The text of each row, without blanks at its end."""
        return ["".join(letter for letter, _ in row).rstrip() for row in self.rows]

    @property
    def text(self) -> Text:
        """The rows with their styles."""
        return Text.from_ansi("\n".join(map(_styled, self.rows)))

    def _obey(self, parameters: str, name: str) -> None:
        number = int(parameters) if parameters.isdigit() else 1
        if name == "m":
            self._style = "" if parameters in ("", "0") else f"{self._style};{parameters}".strip(";")
        elif name == "A":
            self._row = max(0, self._row - number)
        elif name == "K":
            del self.rows[self._row][0 if parameters == "2" else self._column :]
        elif name == "H":
            self._row = self._column = 0
        elif name == "J":
            self.rows[:] = [[]]
            self._row = self._column = 0
        elif name not in ("h", "l"):
            raise AssertionError(f"a sequence that this screen does not know: {parameters}{name}")

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._next_row()
        elif letter == "\x08":
            self._column = max(0, self._column - 1)
        else:
            assert letter.isprintable(), f"a control character reached the terminal: {letter!r}"
            if self._column + cell_len(letter) > self.columns:
                self.broken.append(self._row)
                self._next_row()
            row = self.rows[self._row]
            row += [(" ", "")] * (self._column - len(row) + 1)
            row[self._column] = (letter, self._style)
            self._column += 1

    def _next_row(self) -> None:
        self._row += 1
        self._column = 0
        if self._row == len(self.rows):
            self.rows.append([])


def _styled(row: list[tuple[str, str]]) -> str:
    """A row with an escape sequence in front of each run of one style."""
    runs = [(style, "".join(letter for letter, _ in run)) for style, run in groupby(row, lambda cell: cell[1])]
    return "".join(f"\x1b[0;{style}m{text}" if style else f"\x1b[0m{text}" for style, text in runs).rstrip() + "\x1b[0m"


def picture_of(text: Text, columns: int, title: str) -> str:
    """A screen as SVG."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, soft_wrap=True, highlight=False, end="")
    svg = console.export_svg(title=title, font_aspect_ratio=_FONT_RATIO, unique_id="terminal")
    # A page of the docs must not fetch fonts from another host.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True
