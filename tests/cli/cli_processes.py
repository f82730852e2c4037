"""Commands in their own processes, and values that the tests of the command line share."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[2]
CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"
#: The sandbox's secret in all of these tests; no output may contain it.
SECRET = "pl4nted-s3cret-Zq7"
HARD_LIMIT = 40.0


@attrs.frozen
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


class Process:
    """A command in its own process."""

    def __init__(self, words: tuple[str, ...], variables: dict[str, str], **how: Any) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SHELL_EV_", "PYTHON"))}
        environment = {**kept, "PYTHONPATH": str(ROOT), **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", *how.pop("before", ("-m", "shell_ev")), *words],
            env={name: value for name, value in environment.items() if value},
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "encoding": "utf-8",
                **how,
            },
        )
        self.seen = ""
        self._limit = threading.Timer(HARD_LIMIT, self.process.kill)
        self._limit.daemon = True
        self._limit.start()

    def until(self, text: str) -> str:
        """Read lines until one contains the text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen += line
            if text in line:
                return line
        raise AssertionError(f"{text!r} did not appear: {self.seen!r}, {self.process.communicate()[1]!r}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self) -> Result:
        """Wait until the command ends."""
        out, err = self.process.communicate(timeout=HARD_LIMIT + 5)
        self._limit.cancel()
        out, err = self.seen + (out or ""), err or ""
        assert "Traceback" not in out + err, err
        assert SECRET not in out + err
        return Result(self.process.returncode, out, err)

    def stop(self) -> None:
        self._limit.cancel()
        self.process.kill()
        self.process.communicate()
