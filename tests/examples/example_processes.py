"""Examples as somebody runs them: the command of their header, in a process group of its own, against a sandbox.

Knows how to start, read, ask and end such a process; knows nothing of what the examples do.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import Any

import attrs

from shell_ev.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CARD = "NL-TNM-C00122045-K"
HARD_LIMIT = 60.0
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*", re.DOTALL)
_COMMAND = re.compile(r"(?:^ {4}.*\n?)+", re.MULTILINE)


@attrs.frozen
class Command:
    """A command of a header, taken apart."""

    variables: dict[str, str]
    arguments: list[str]


def commands_of(text: str) -> list[Command]:
    """The indented blocks of a header that are commands, each as somebody would type it."""
    found: list[Command] = []
    for block in _COMMAND.findall(text):
        words = shlex.split(block.replace("\\\n", " "))
        variables = [word for word in words if _ASSIGNMENT.fullmatch(word)]
        arguments = [word for word in words if word not in variables]
        found.append(Command(dict(word.split("=", 1) for word in variables), arguments))
    return found


def header_of(path: Path) -> str:
    """The docstring at the top of an example, or the first cell of a notebook."""
    if path.suffix == ".ipynb":
        return "".join(json.loads(path.read_text())["cells"][0]["source"])
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def variables_for(sandbox: Sandbox) -> dict[str, str]:
    """Where a client finds the sandbox."""
    return {
        "SHELL_EV_BASE_URL": sandbox.url,
        "SHELL_EV_CLIENT_ID": sandbox.client_id,
        "SHELL_EV_CLIENT_SECRET": sandbox.client_secret,
    }


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The surroundings of a child: no settings of ours but these, the tools of this interpreter first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SHELL_EV_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "PYTHONWARNINGS": "always::ResourceWarning", **variables}


@attrs.frozen
class Answer:
    """What came over HTTP."""

    status: int
    headers: Message
    body: Any


class Running:
    """A command in a process group of its own, its output read as it comes."""

    def __init__(self, arguments: list[str], variables: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def output(self) -> str:
        with self._news:
            return "".join(self._lines)

    def says(self, pattern: str, times: int = 1) -> list[str]:
        """Wait until a pattern has come up so often in the output; what its group matched."""
        ends_at = time.monotonic() + HARD_LIMIT
        with self._news:
            while True:
                found = re.findall(pattern, "".join(self._lines))
                if len(found) >= times:
                    return found
                left = ends_at - time.monotonic()
                is_over = left <= 0 or not self._reader.is_alive()
                assert not is_over, f"{pattern!r} never came up in:\n{''.join(self._lines)}"
                self._news.wait(min(left, 0.5))

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request over a connection of its own."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, dict(headers or {}), method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=HARD_LIMIT) as response:
                return Answer(response.status, response.headers, json.loads(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                is_json = "json" in error.headers.get("Content-Type", "")
                return Answer(error.code, error.headers, json.loads(text) if is_json else text.decode())

    def start(self, key: str, evse_id: str, *, card: str = CARD, query: str = "") -> Answer:
        """Ask an example for a charge."""
        body = {"card": card, "evse_id": evse_id}
        return self.ask("POST", f"/charges{query}", body, {"Idempotency-Key": key})

    def ends(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, wait for that, and see that nobody of its group is left; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(HARD_LIMIT)
        ends_at = time.monotonic() + HARD_LIMIT
        while self._has_group():
            assert time.monotonic() < ends_at, "it ended and left a process behind"
            time.sleep(0.005)
        self._reader.join(HARD_LIMIT)
        return code

    def _has_group(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End it and everything it started, whatever they are doing."""
        if self._has_group():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(HARD_LIMIT)
        self._reader.join(HARD_LIMIT)
        assert self.process.stdout is not None
        self.process.stdout.close()


def is_quiet(output: str) -> bool:
    """Whether nothing in an output tells of something left open, never awaited or fallen over."""
    return not re.search(r"ResourceWarning|Traceback|Unclosed|Exception ignored|never awaited", output)


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds that happens in another process."""
    ends_at = time.monotonic() + HARD_LIMIT
    while not holds():
        assert time.monotonic() < ends_at, "it never happened"
        time.sleep(0.005)
