"""The commands that run a sandbox with its console: `python -m shell_ev.sandbox`, `shell-ev sandbox`, the demo."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shell_ev.sandbox import Sandbox

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a module; its browser is a script that writes down what it was asked to open."""
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    script.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHELL_EV_")}
    started: list[subprocess.Popen[str]] = []

    def begin(*command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "BROWSER": f"{script} %s"},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], pattern: str) -> str:
    """The first group of the first line that matches."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found.group(1)
    raise AssertionError(f"no line has {pattern}")


def title(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        found = re.search(r"<title>(.*)</title>", reply.read().decode())
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize(
    "command", [("shell_ev.sandbox",), ("shell_ev", "sandbox")], ids=["python -m shell_ev.sandbox", "shell-ev sandbox"]
)
def test_the_console_has_a_port_of_its_own_and_opens_in_the_browser(
    run: Run, tmp_path: Path, command: tuple[str]
) -> None:
    process = run(*command, "--port", "0", "--stations", "0", "--console-port", "0", "--open")
    url = until(process, r"sandbox on (http://127\.0\.0\.1:\d+)")
    console = until(process, r"console on (http://\S+/)")
    assert not console.startswith(url + "/")
    assert title(console) == "shell_ev sandbox"
    opened = tmp_path / "opened"
    for _ in range(200):
        if opened.exists() and opened.read_text():
            break
        time.sleep(0.05)
    assert opened.read_text().strip() == console


def test_without_options_the_console_is_at_the_service(run: Run) -> None:
    process = run("shell_ev.sandbox", "--port", "0", "--stations", "0")
    url = until(process, r"sandbox on (http://127\.0\.0\.1:\d+)")
    assert until(process, r"console on (http://\S+/)") == url + "/"
    assert title(url) == "shell_ev sandbox"


def test_both_commands_print_the_same_lines_which_a_shell_reads(run: Run) -> None:
    said: list[list[str]] = []
    for command in (("shell_ev.sandbox",), ("shell_ev", "sandbox")):
        process = run(*command, "--port", "0", "--stations", "0")
        assert process.stdout is not None
        said.append([process.stdout.readline() for _ in range(5)])
    first, second = ([re.sub(r":\d+", ":8080", line) for line in lines] for lines in said)
    assert first == second
    shell = subprocess.run(
        ["sh", "-c", "".join(said[0]) + "env"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert dict(line.split("=", 1) for line in shell.stdout.splitlines() if line.startswith("SHELL_EV_")) == {
        "SHELL_EV_BASE_URL": said[0][0].split()[4],
        "SHELL_EV_CLIENT_ID": "sandbox-client",
        "SHELL_EV_CLIENT_SECRET": "sandbox-secret",
    }


def test_the_generations_of_the_sdks_are_chosen(run: Run) -> None:
    process = run(
        "shell_ev.sandbox", "--port", "0", "--stations", "0", "--sdk-1-1", "--retrieve-state-key", "Sessionstate"
    )
    sandbox = Sandbox.connect(until(process, r"sandbox on (\S+)"))
    assert (sandbox.sdk_1_1, sandbox.retrieve_state_key) == (True, "Sessionstate")


def test_other_machines_get_a_token(run: Run) -> None:
    process = run("shell_ev.sandbox", "--port", "0", "--stations", "0", "--console-host", "sandbox.example")
    assert len(until(process, r"console token for other machines: (\S+)")) == 32


def test_a_demo_that_is_kept_says_where_its_console_is(run: Run) -> None:
    process = run("shell_ev.demo", "--keep")
    assert until(process, r"(All well)") == "All well"
    console = until(process, r"Its console: (http://\S+/)")
    assert title(console) == "shell_ev sandbox"
    assert len(Sandbox.connect(console).charges) == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
