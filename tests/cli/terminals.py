"""Commands on a pseudo terminal."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time

from cli_processes import HARD_LIMIT, ROOT, SECRET

#: Makes the terminal the controlling one, so that Ctrl-C and closing it send signals.
_LAUNCHER = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, '-W', 'error', '-m', 'shell_ev', *sys.argv[1:]])"
)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a pseudo terminal with this number of columns."""

    def __init__(self, *words: str, variables: dict[str, str], columns: int = 100, stdout: int | None = None) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SHELL_EV_", "PYTHON")) and name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *words],
            env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **variables},
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""
        # A read may end in the middle of a letter.
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def text(self) -> str:
        """The output so far, without escape sequences."""
        return _ESCAPE.sub("", self.seen)

    def until(self, text: str) -> None:
        """Read until the text appears."""
        ends_at = time.monotonic() + HARD_LIMIT
        while text not in self.text:
            assert self._read(ends_at), f"{text!r} did not appear: {self.text!r}"

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def hang_up(self) -> None:
        """Close the terminal."""
        os.close(self._ours)
        self._ours = -1

    def has_ended_within(self, seconds: float) -> bool:
        """Whether the command ends within this time."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ends(self) -> int:
        """Read until the command has ended; its exit code."""
        ends_at = time.monotonic() + HARD_LIMIT
        while self._ours >= 0 and self._read(ends_at):
            pass
        code = self.process.wait(timeout=HARD_LIMIT)
        assert "Traceback" not in self.seen
        assert SECRET not in self.seen
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._ours >= 0:
            self.hang_up()

    def _read(self, ends_at: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, ends_at - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other side is gone
            return False
        self.seen += self._decoder.decode(data)
        return bool(data)
