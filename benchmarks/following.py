"""5. Following 1, 10, 100 and 1,000 charges, each looked at once a second: requests, CPU a poll, memory a charge."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import uuid
from pathlib import Path
from typing import Any

from . import rivals
from .harness import Options, Table, finish, missing, options, prepare
from .server import Served, served

SIZES = (1, 10, 100, 1_000)


async def followed(served: Served, given: Options) -> list[Table]:
    """Every size in turn. The sessions never end: what is measured is a second like any other."""
    polls = Table("follow_polls", "Requests a second while following at 1 Hz", "requests a second")
    cpu = Table("follow_cpu", "CPU of a poll", "us")
    share = Table("follow_core", "CPU while following at 1 Hz", "% of a core")
    memory = Table("follow_memory", "Memory of a followed charge, connections included", "KiB")
    seconds = 0.5 if given.quick else 4.0
    sizes = SIZES[1::2] if given.quick else SIZES
    for number in range(2 if given.quick else 4):
        for size in sizes:
            label = f"{size:,}"
            requests, spent, grown = await _follow(served, size, seconds, rivals.PRESENT["msgspec"])
            if number:
                polls.add(label, max(requests, 1) / seconds)
                cpu.add(label, spent / max(requests, 1) * 1e6)
                share.add(label, spent / seconds * 100)
            elif grown is not None and size == sizes[-1]:
                memory.add(label, max(grown / size, 0.01))
    return [polls, cpu, share, *([memory] if memory.rounds else [])]


async def _follow(served: Served, size: int, seconds: float, fast: bool) -> tuple[int, float, float | None]:
    from shell_ev.charges.poller import Polling

    every_second = Polling(eager=1.0, steady=1.0, patient=1.0, started=1.0, spread=0.2)
    sessions = [str(uuid.uuid4()) for _ in range(size)] if served.full_pages else [served.session_id] * size
    gc.collect()
    before = _resident()
    async with rivals.ours(served, "msgspec" if fast else "cattrs") as ev:
        counted = itertools.count()
        call = ev._manager.call

        async def counting(*arguments: Any) -> Any:
            next(counted)
            return await call(*arguments)

        ev._manager.call = counting
        watching = asyncio.create_task(_drain(ev.follow(sessions, budget=max(10.0, size * 1.5), polling=every_second)))
        # The first look at each is in a hurry: let that pass.
        await asyncio.sleep(seconds / 2 + 1.0)
        seen, used = next(counted), time.process_time()
        await asyncio.sleep(seconds)
        requests, spent = next(counted) - seen - 1, time.process_time() - used
        after = _resident()
        watching.cancel()
        await asyncio.wait([watching])
    return requests, spent, None if before is None or after is None else after - before


async def _drain(changes: Any) -> None:
    async for _ in changes:
        pass


def _resident() -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return next(float(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = options(arguments)
    prepare()
    missing(rivals.PRESENT)
    with served() as server:
        finish(asyncio.run(followed(server, given)), given)


if __name__ == "__main__":
    main()
