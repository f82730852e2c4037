"""Every Python block of README and the pages as a module of its own, for type checkers. Runs nothing.

A block that awaits at its top, as in a notebook, stands in a coroutine; all others stand as they are.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

from pages import Block, blocks_of, pages

_HEAD = "async def main() -> None:\n"


def python_blocks() -> list[Block]:
    """The Python blocks, those included that another test runs or that cannot run."""
    return [block for page in pages() for block in blocks_of(page) if block.language == "python"]


def module_name(block: Block) -> str:
    """The name of a block's module: its page and line."""
    return f"{re.sub(r'[^a-z0-9]+', '_', block.page.lower())}_{block.line}"


def awaits(source: str) -> bool:
    """Whether a block needs a coroutine around it."""
    try:
        compile(source, "block", "exec", dont_inherit=True)
    except SyntaxError:
        compile(source, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        return True
    return False


def write(block: Block, folder: Path) -> Path:
    """Write a block as a module."""
    body = _HEAD + textwrap.indent(block.text, "    ") if awaits(block.text) else block.text
    path = folder / f"{module_name(block)}.py"
    path.write_text(body)
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for one in python_blocks():
        write(one, target)
