"""Runs an example that kills itself: ``python killed_at.py before|after MODULE:CLASS.METHOD SCRIPT ARGUMENTS...``."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any


def arm(where: str, *, after: bool) -> None:
    """Let the process kill itself when a blocking method is called, or when it has returned."""
    module, _, path = where.partition(":")
    owner_name, _, name = path.partition(".")
    owner = getattr(importlib.import_module(module), owner_name)
    method = getattr(owner, name)

    @functools.wraps(method)
    def armed(*args: Any, **options: Any) -> None:
        if after:
            method(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, staticmethod(armed) if inspect.ismethod(method) else armed)


def main() -> None:
    """Arm the method, then run the script as if by hand."""
    when, where, script, *arguments = sys.argv[1:]
    arm(where, after=when == "after")
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
