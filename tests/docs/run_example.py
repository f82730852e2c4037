"""Runs examples, each in a process of its own, as a notebook does: ``await`` may stand at the top level.

Imports the library once and forks for each example that standard input names: starting over would cost more than most
examples take. Turns the official SDK, whose hosts are fixed, to the server that the environment names for ours.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - to have it in every child

import shell_ev.client
import shell_ev.sandbox
import shell_ev.sync  # noqa: F401

LONGEST = 60


def redirect_official_sdk(url: str) -> None:
    """Point every environment of ``ev-recharge-sdk`` to another server."""
    from shellev.configuration import Configuration, Environment, Server

    for environment in Environment:
        Configuration.environments[environment] = {Server.OAUTH_SERVER: url, Server.SHELL: f"{url}/ev"}


def run(path: Path) -> None:
    """Run a file in this process."""
    source = path.read_text()
    if "shellev" in source:
        redirect_official_sdk(os.environ["SHELL_EV_BASE_URL"])
    code = compile(source, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    running = types.FunctionType(code, vars(types.ModuleType("__main__")))()
    if inspect.iscoroutine(running):
        asyncio.run(running)


def become(job: dict[str, Any]) -> None:
    """Make this process the example's: its directory, its environment, files for what it prints, an end in any case."""
    signal.alarm(LONGEST)
    os.chdir(job["directory"])
    os.environ.update(job["environment"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)


def main() -> None:
    """One job per line in, one exit code per line out."""
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            become(job)
            run(Path(job["script"]))
            return  # and so to the end of the process, exit hooks and all
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
