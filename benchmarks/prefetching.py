"""8. ``iterate(prefetch=10)`` over 20 pages of 500 locations, 200 ms of latency each: time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
import tracemalloc
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from aiohttp import web

from . import payloads, rivals
from .harness import Options, Table, finish, missing, options, pin, prepare, take_turns_async

PAGES, LATENCY = 20, 0.2
CONTENDERS = (("plain", "cattrs", 0), ("prefetch=10", "cattrs", 10), ("plain[speed]", "msgspec", 0),
              ("prefetch=10[speed]", "msgspec", 10))  # fmt: skip


def _serve(ready: Connection) -> None:
    pin(client=False)
    pages = [payloads.locations(tariffs=False, start=number * payloads.PAGE) for number in range(PAGES)]

    async def page(request: web.Request) -> web.Response:
        await asyncio.sleep(LATENCY)
        number = int(request.query["pageNumber"])
        body = pages[number - 1] if number <= PAGES else payloads.locations(0)
        return web.Response(body=body, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/ev/v2/locations", page)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextlib.contextmanager
def slow_server() -> Iterator[str]:
    """A server of a process of its own, until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join(10)


async def walked(url: str, given: Options) -> list[Table]:
    """Every contender in turn, and the peak of memory of one walk each."""
    from shell_ev import AsyncShellEV, StaticToken

    spent = Table("prefetch", f"iterate over {PAGES} pages with {LATENCY * 1e3:.0f} ms of latency each", "ms")
    peak = Table("prefetch_memory", "peak of memory of that walk", "MiB")
    async with contextlib.AsyncExitStack() as stack:
        contenders: dict[str, Any] = {}
        for label, engine, prefetch in CONTENDERS:
            if engine == "msgspec" and not rivals.PRESENT["msgspec"]:
                continue
            with rivals.engine(engine):
                client = AsyncShellEV(token_source=StaticToken("t"), base_url=url)
            await stack.enter_async_context(client)

            async def walk(client: AsyncShellEV = client, prefetch: int = prefetch) -> float:
                began, seen = time.perf_counter(), 0
                async for _ in client.locations.iterate(prefetch=prefetch):
                    seen += 1
                assert seen == PAGES * payloads.PAGE, seen
                return (time.perf_counter() - began) * 1e3

            contenders[label] = walk
        await take_turns_async(spent, contenders, 2 if given.quick else min(given.rounds, 5))
        for label, walk in contenders.items():
            tracemalloc.start()
            await walk()
            peak.add(label, tracemalloc.get_traced_memory()[1] / 2**20)
            tracemalloc.stop()
    return [spent, peak]


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = options(arguments)
    prepare()
    missing(rivals.PRESENT)
    with slow_server() as url:
        finish(asyncio.run(walked(url, given)), given)


if __name__ == "__main__":
    main()
