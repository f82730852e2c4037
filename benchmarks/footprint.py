"""4. What it takes up: import time, time to the first answer, memory after import, of 5,000 locations, of a call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import payloads, rivals
from .harness import FAST, OFFICIAL, OURS, Options, Table, finish, missing, options, pin, prepare
from .server import Served, served

_MEMORY = """
def memory(what="VmRSS"):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024
"""
_IMPORT = "import time; began = time.perf_counter(); {code}; spent = time.perf_counter() - began\n"

_IMPORTS = {
    "aiohttp": "import aiohttp",
    OURS: "import shell_ev",
    "shell_ev, both clients": "from shell_ev import AsyncShellEV, ShellEV",
    OFFICIAL: "from shellev.shellev_client import ShellevClient",
}

_FIRST_AIOHTTP = """
import asyncio, json, aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        form = {{"grant_type": "client_credentials"}}
        auth = aiohttp.BasicAuth("sandbox-client", "sandbox-secret")
        async with session.post("{url}/v2/oauth/token", data=form, auth=auth) as response:
            token = (await response.json())["access_token"]
        headers = {{"Authorization": "Bearer " + token, "RequestId": "eb621f45-a543-4d9a-a934-2f223b263c42"}}
        async with session.get("{session_url}", headers=headers) as response:
            await response.json()
asyncio.run(main())
"""
_FIRST_OURS = """
import asyncio
from shell_ev import AsyncShellEV
async def main():
    async with AsyncShellEV("sandbox-client", "sandbox-secret", base_url="{url}") as ev:
        await ev.charging.retrieve("{session_id}")
asyncio.run(main())
"""
_FIRST_OFFICIAL = """
import types
from benchmarks import rivals
served = types.SimpleNamespace(url="{url}")
rivals.official(served).charging.get_charge_session_retrieve(
    "eb621f45-a543-4d9a-a934-2f223b263c42", "{session_id}")
"""

_HOLD_OURS = """
from shell_ev.options import ApiVersion
from shell_ev.wire.codec import Codec
from shell_ev.endpoints.locations import LOCATIONS
codec = Codec(ApiVersion.V2, "{engine}")
def read(body): return codec.decode(LOCATIONS, body).data
"""
_HOLD_OFFICIAL = """
from benchmarks import rivals
reader = rivals.official_decoders()[2]
def read(body): return reader(body).data
"""
_HOLD = """
import gc, json, sys
from pathlib import Path
small, *pages = map(Path, sys.argv[1:])
read(small.read_bytes())
gc.collect()
before = memory()
held = [read(page.read_bytes()) for page in pages]
gc.collect()
print(json.dumps([memory() - before, memory("VmHWM") - before]))
"""

_SILENT_SERVER = """
import asyncio
async def main():
    async def silent(reader, writer): await reader.read()
    server = await asyncio.start_server(silent, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
_FLIGHT = """
import asyncio, gc, json, sys
from shell_ev import AsyncShellEV, StaticToken
async def main():
    calls = int(sys.argv[2])
    url = "http://127.0.0.1:" + sys.argv[1]
    async with AsyncShellEV(token_source=StaticToken("t"), base_url=url, max_connections=calls + 10) as ev:
        async def fly(count):
            tasks = [asyncio.create_task(ev.charging.retrieve("78b5d7a3-bdba-43d7-9851-1c84fcddb782"))
                     for _ in range(count)]
            await asyncio.sleep(1.5)
            return tasks
        tasks = await fly(10)
        gc.collect()
        before = memory()
        tasks += await fly(calls)
        print(json.dumps([(memory() - before) * 1024 / calls]))
        for task in tasks: task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
asyncio.run(main())
"""


def _run(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
        env=dict(os.environ),
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def imports(given: Options) -> list[Table]:
    """Each import in a process of its own."""
    times = Table("import", "Import time", "ms")
    memories = Table("import_memory", "Memory after the import, beside a bare interpreter", "MiB")
    has_memory = Path("/proc/self/status").exists()
    for number in range(given.rounds + 1):
        for name, code in _IMPORTS.items():
            if name == OFFICIAL and not rivals.PRESENT["ev-recharge-sdk"]:
                continue
            tail = "import json; print(json.dumps([spent * 1e3, memory() - before]))"
            source = f"{_MEMORY}\nbefore = memory()\n" if has_memory else "memory = int\nbefore = 0\n"
            spent, grown = json.loads(_run(source + _IMPORT.format(code=code) + tail))
            if number:
                times.add(name, spent)
                memories.add(name, max(grown, 0.01))
    return [times, memories] if has_memory else [times]


def first_answer(served: Served, given: Options) -> Table:
    """A whole program: start, token, one session, end."""
    table = Table("first_answer", "A program from its start to its end, with one answer (token, one session)", "ms")
    fields = {"url": served.url, "session_url": served.session_url, "session_id": served.session_id}
    programs = {"aiohttp": _FIRST_AIOHTTP, OURS: _FIRST_OURS, OFFICIAL: _FIRST_OFFICIAL}
    if not rivals.PRESENT["ev-recharge-sdk"]:
        del programs[OFFICIAL]
    for number in range(given.rounds + 1):
        for name, code in programs.items():
            began = time.perf_counter()
            _run(code.format(**fields))
            if number:
                table.add(name, (time.perf_counter() - began) * 1e3)
    return table


def held(given: Options) -> list[Table]:
    """5,000 full locations in memory, ten different pages of 500, each contender in processes of its own."""
    now = Table("held", "Memory of 5,000 full locations held", "MiB")
    peak = Table("held_peak", "Peak of memory while they were read, page by page", "MiB")
    programs = {OURS: _HOLD_OURS.format(engine="cattrs")}
    if rivals.PRESENT["msgspec"]:
        programs[FAST] = _HOLD_OURS.format(engine="msgspec")
    if rivals.PRESENT["ev-recharge-sdk"]:
        programs[OFFICIAL] = _HOLD_OFFICIAL
    with tempfile.TemporaryDirectory() as name:
        small = Path(name, "small.json")
        small.write_bytes(payloads.locations(2))
        pages = [Path(name, f"page{number}.json") for number in range(1 if given.quick else 10)]
        for number, page in enumerate(pages):
            # Different ones: what repeats from page to page only because it is the same page would flatter sharing.
            page.write_bytes(payloads.locations(start=number * payloads.PAGE))
        payloads.locations.cache_clear()
        for _ in range(1 if given.quick else 3):
            for label, code in programs.items():
                after, most = json.loads(_run(_MEMORY + code + _HOLD, small, *pages))
                now.add(label, after)
                peak.add(label, most)
    return [now, peak]


def in_flight(given: Options) -> Table:
    """What one call costs in memory while it waits."""
    table = Table("call_memory", "Memory of one call in flight, connection included", "KiB")
    calls = 50 if given.quick else 1000
    server = subprocess.Popen([sys.executable, "-c", _SILENT_SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        for _ in range(1 if given.quick else 3):
            table.add(OURS, json.loads(_run(_MEMORY + _FLIGHT, port, calls))[0])
    finally:
        server.kill()
        server.communicate()
    return table


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = options(arguments)
    prepare()
    pin(client=True)
    missing(rivals.PRESENT)
    tables = imports(given)
    with served() as server:
        tables.append(first_answer(server, given))
    if Path("/proc/self/status").exists():
        tables += [*held(given), in_flight(given)]
    else:
        print("no /proc here: memory is not measured", file=sys.stderr)
    finish(tables, given)


if __name__ == "__main__":
    main()
