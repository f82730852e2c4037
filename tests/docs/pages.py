"""The code blocks of README and of the pages under docs, and what a comment above one says of it. Runs nothing.

A reader does not see the comments::

    <!-- not run: why not -->           nobody runs the block below
    <!-- run by tests/kit/test_x.py --> that test runs it; it names the page
    <!-- output -->                     the block below is what the Python block before it prints; ``...`` is anything
    <!-- log -->                        the block below is what it logs, where no handler is installed
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(
    r"(?:^[ ]*<!--[ ]*(?P<comment>(?:(?!-->).)*?)[ ]*-->[ ]*\n\s*?)?"
    r"^(?P<indent>[ ]*)(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Block:
    """One fenced block of a page."""

    page: str
    """Path of the page, from the root of the repository."""
    line: int
    """Line of the page on which the text begins."""
    language: str
    text: str
    comment: str
    """The comment right above it; empty when there is none."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def not_run(self) -> str | None:
        """Why nobody runs it; None when somebody does."""
        return _after("not run:", self.comment)

    @property
    def run_by(self) -> str | None:
        """The test that runs it, when that is not the one here."""
        return _after("run by ", self.comment)


def _after(prefix: str, comment: str) -> str | None:
    return comment.removeprefix(prefix).strip() if comment.startswith(prefix) else None


@attrs.frozen
class Example:
    """A Python block that runs, and what the page says that it prints and logs."""

    block: Block
    output: str | None
    log: str

    def __str__(self) -> str:
        return str(self.block)


def pages() -> list[Path]:
    """README and every Markdown page of the site."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order; directives of the site are none."""
    source = page.read_text()
    return [
        Block(
            page=page.relative_to(ROOT).as_posix(),
            line=source.count("\n", 0, found.start("text")) + 1,
            language=found["language"].strip(),
            text=textwrap.dedent(found["text"]),
            comment=found["comment"] or "",
        )
        for found in _BLOCK.finditer(source)
        if not found["language"].startswith("{")
    ]


def examples_of(page: Path) -> list[Example]:
    """The Python blocks of a page that are to run."""
    blocks = blocks_of(page)
    found: list[Example] = []
    for index, block in enumerate(blocks):
        if block.language != "python" or block.not_run is not None or block.run_by is not None:
            continue
        shown: dict[str, str] = {}
        for after in blocks[index + 1 : index + 3]:
            if after.comment not in ("output", "log") or after.comment in shown:
                break
            shown[after.comment] = after.text
        found.append(Example(block, shown.get("output"), shown.get("log", "")))
    return found
