"""7. What a call takes in instructions, counted by valgrind: no clock, hence no noise.

For judging a change of a hundredth, which no timing on a shared machine shows: twice the same is the same to a part in
a thousand. Counts the client's process without the kernel, so that neither waiting nor system calls are in it. Left out
where valgrind is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from . import rivals
from .harness import FAST, OURS, Options, Table, finish, missing, options, prepare
from .server import Served, served

_BLOCKING = f"{OURS}, blocking"
#: What is counted, and with which engine of ours.
_CONTENDERS = {"aiohttp": "", "aiohttp, no timeout": "", OURS: "cattrs", FAST: "msgspec", _BLOCKING: "cattrs"}
_COUNTED = re.compile(r"Collected : (\d+)")


def a_call(given: Options) -> list[Table]:
    """One look-up after another, every contender in processes of its own."""
    table = Table("instructions", "Instructions of a call, without the kernel's (by valgrind)", "thousand")
    few, many = (1, 2) if given.quick else (100, 400)
    counting = shutil.which("valgrind") is not None
    if not counting:
        print("valgrind is not installed: instructions are not counted", file=sys.stderr)
    with served() as server, tempfile.TemporaryDirectory() as folder:
        for contender, engine in _CONTENDERS.items():
            if engine == "msgspec" and not rivals.PRESENT["msgspec"]:
                continue
            _run([], contender, 1, server)  # whatever has to be compiled is compiled now
            if counting and not (given.quick and table.rounds):
                first, second = (_count(contender, times, server, Path(folder)) for times in (few, many))
                # What starting and stopping takes is in both.
                table.add(contender, (second - first) / (many - few) / 1000)
    return [table] if counting else []


def _count(contender: str, times: int, server: Served, folder: Path) -> int:
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / 'out'}"]
    said = _run(valgrind, contender, times, server)
    counted = _COUNTED.search(said)
    if counted is None:
        raise RuntimeError(f"valgrind gave no figure for {contender}: {said[-2000:]}")
    return int(counted[1])


def _run(before: list[str], contender: str, times: int, server: Served) -> str:
    """Have another process make the calls; what it says on its standard error."""
    asked = {"kind": server.kind, "url": server.url, "token": server.token, "session_id": server.session_id}
    child = ["--contender", contender, "--times", str(times), "--served", json.dumps(asked)]
    done = subprocess.run(
        [*before, sys.executable, "-m", "benchmarks.instructions", *child],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{contender}: {done.stderr[-2000:]}")
    return done.stderr


async def _async_calls(contender: str, server: Served, times: int) -> None:
    import aiohttp

    async def repeat(call: Callable[[], Awaitable[object]]) -> None:
        for _ in range(times):
            await call()

    if contender in (OURS, FAST):
        async with rivals.ours(server, _CONTENDERS[contender]) as ev:
            await repeat(lambda: ev.charging.retrieve(server.session_id))
        return
    how: dict[str, Any] = {} if contender == "aiohttp" else {"timeout": aiohttp.ClientTimeout(total=None)}
    async with aiohttp.ClientSession(**how) as session:

        async def call() -> None:
            async with session.get(server.session_url, headers=server.headers) as response:
                json.loads(await response.read())

        await repeat(call)


def _work(given: argparse.Namespace) -> None:
    server = Served(**json.loads(given.served), full_pages=False)
    if given.contender != _BLOCKING:
        asyncio.run(_async_calls(given.contender, server, given.times))
        return
    with rivals.ours_blocking(server) as ev:
        for _ in range(given.times):
            ev.charging.retrieve(server.session_id)


def main(arguments: list[str] | None = None) -> None:
    """Run it, or be one of the processes that are counted."""
    child = argparse.ArgumentParser(add_help=False)
    child.add_argument("--contender")
    child.add_argument("--times", type=int)
    child.add_argument("--served")
    counted, rest = child.parse_known_args(arguments)
    if counted.contender is not None:
        _work(counted)
        return
    given = options(rest)
    prepare()
    missing(rivals.PRESENT)
    finish(a_call(given), given)


if __name__ == "__main__":
    main()
