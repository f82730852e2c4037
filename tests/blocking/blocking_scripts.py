"""Scripts in fresh interpreters, and what else the tests of this room share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

from shell_ev.sandbox import Sandbox

CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"
HARD_LIMIT = 20.0
PRELUDE = """\
import gc, os, signal, sys, threading, time
from shell_ev import ConfigurationError, ShellEV
CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"
def call(ev):
    return ev.charging.active(CARD).status_code
def refused(function):
    try:
        function()
    except ConfigurationError as error:
        return str(error)
    return "went through"
"""


def loop_threads() -> set[threading.Thread]:
    """The threads of the blocking clients of this process."""
    return {thread for thread in threading.enumerate() if thread.name == "shell_ev"}


class Script:
    """A script in a fresh interpreter in development mode, every warning an error."""

    def __init__(self, sandbox: Sandbox, source: str, folder: Path, before: str = "") -> None:
        path = folder / "script.py"
        path.write_text(before + "\n" + PRELUDE + textwrap.dedent(source))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
            "SHELL_EV_BASE_URL": sandbox.url,
            "SHELL_EV_CLIENT_ID": sandbox.client_id,
            "SHELL_EV_CLIENT_SECRET": sandbox.client_secret,
            "SHELL_EV_MAX_RETRIES": "0",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-X", "dev", str(path)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A reader that waits for a line for ever is freed by the end of the process.
        self._limit = threading.Timer(HARD_LIMIT, self.process.kill)
        self._limit.daemon = True
        self._limit.start()

    def line(self) -> str:
        """The next line the script prints: how a test knows that the script has come so far."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ends(self, *lines: str, code: int = 0) -> None:
        """Wait for the end; what is left of the output is these lines, and stderr is empty."""
        out, err = self.process.communicate(timeout=HARD_LIMIT + 5)
        self._limit.cancel()
        shown = f"stdout: {out}\nstderr: {err}"
        assert (err, out.splitlines(), self.process.returncode) == ("", list(lines), code), shown

    def stop(self) -> None:
        self._limit.cancel()
        self.process.kill()
        self.process.communicate()
