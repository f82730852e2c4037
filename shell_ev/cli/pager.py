"""Long output through the pager of the terminal. Knows lines of text, not what they say."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator

from .output import is_terminal, safe
from .settings import Settings


class Pager:
    """Prints lines, and starts the pager once they are more than fit on the terminal.

    Args:
        settings: The shared options.
    """

    def __init__(self, settings: Settings) -> None:
        self._command = None if settings.no_pager else _pager()
        self._room = shutil.get_terminal_size().lines - 2
        self._waiting: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the pager was started."""
        return self._process is not None

    def line(self, text: str, *, is_safe: bool = False) -> None:
        """Print a line.

        Args:
            text: The line.
            is_safe: Whether its escape sequences are the command's own. Other control characters are replaced.

        Raises:
            BrokenPipeError: The pager was left.
        """
        clean = text if is_safe else safe(text)
        if self._command is None:
            print(clean, flush=True)
            return
        if self._process is None:
            self._waiting.append(clean)
            if len(self._waiting) > self._room:
                self._start(self._command)
            return
        self._write(clean)

    def close(self) -> None:
        """Print the lines that wait, or wait until the pager is left."""
        if self._process is None:
            for line in self._waiting:
                print(line)
            self._waiting.clear()
            sys.stdout.flush()
            return
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None  # noqa: S101 - for type checkers
            self._process.stdin.close()
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                self._process.wait()
                return

    def _start(self, command: list[str]) -> None:
        environment = {"LESS": "FRX", **os.environ}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the pager of the user
                command,
                stdin=subprocess.PIPE,
                env=environment,
                text=True,
                encoding=sys.stdout.encoding,
                errors="replace",
            )
        except OSError:
            self._command = None
        for line in self._waiting:
            if self._process is None:
                print(line)
            else:
                self._write(line)
        self._waiting.clear()

    def _write(self, line: str) -> None:
        assert self._process is not None  # noqa: S101 - for type checkers
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def _pager() -> list[str] | None:
    """The words of the pager's command; None where there is none to use."""
    if not (is_terminal(sys.stdout) and sys.stdin is not None and sys.stdin.isatty()):
        return None
    words = shlex.split(os.environ.get("PAGER", "less"))
    return words if words and words != ["cat"] and shutil.which(words[0]) else None


@contextlib.contextmanager
def paged(settings: Settings) -> Generator[Pager]:
    """A pager for a block. To leave it before the end of the lines is no error.

    Args:
        settings: The shared options.
    """
    pager = Pager(settings)
    try:
        yield pager
    except BrokenPipeError:
        if pager.is_running:
            return
        raise
    finally:
        pager.close()
