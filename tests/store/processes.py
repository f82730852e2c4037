"""Starting the processes of the tests, and reading what they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Process = subprocess.Popen[str]


@contextmanager
def workers(count: int, command: str, *arguments: str, **options: Any) -> Iterator[list[Process]]:
    """Processes of ``worker.py``, killed at the end if they live."""
    started: list[Process] = []
    try:
        for _ in range(count):
            started.append(
                subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("worker.py")), command, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    **options,
                )
            )
        yield started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def line(process: Process) -> str:
    """The next line a process says; fails where it ended instead."""
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, f"the process ended with {process.wait()}"
    return text.strip()


def go(*started: Process) -> None:
    """Let processes go on that wait for a line."""
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def rest(process: Process) -> list[str]:
    """All lines until ``done`` or the end."""
    assert process.stdout is not None
    found: list[str] = []
    for text in process.stdout:
        if text.strip() == "done":
            break
        found.append(text.strip())
    return found
