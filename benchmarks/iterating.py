"""6. ``iterate`` over 5,000 stations, end to end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from . import payloads, rivals
from .harness import FAST, OFFICIAL, OURS, Options, Table, finish, missing, options, prepare, take_turns_async
from .server import STATIONS, Served, served


async def walked(served: Served, given: Options) -> Table:
    """Every station, page by page, by everyone who can."""
    table = Table("iterate", f"iterate over {STATIONS:,} stations, without tariffs", "ms")
    rounds = min(given.rounds, 9)
    async with contextlib.AsyncExitStack() as stack:
        contenders: dict[str, Any] = {}
        if rivals.PRESENT["orjson"]:
            import aiohttp
            import orjson

            session = await stack.enter_async_context(aiohttp.ClientSession())

            async def bare() -> float:
                began, seen, number = time.perf_counter(), 0, 1
                while True:
                    async with session.get(served.page_url(number), headers=served.headers) as response:
                        page = orjson.loads(await response.read())["data"]
                    seen += len(page)
                    number += 1
                    if not page:
                        return _spent(began, seen)

            contenders["aiohttp + orjson"] = bare
        for label, engine in ((OURS, "cattrs"), (FAST, "msgspec")):
            if engine == "cattrs" or rivals.PRESENT["msgspec"]:
                client = await stack.enter_async_context(rivals.ours(served, engine))

                async def ours(client: Any = client) -> float:
                    began, seen = time.perf_counter(), 0
                    async for _ in client.locations.iterate():
                        seen += 1
                    return _spent(began, seen)

                contenders[label] = ours
        if rivals.PRESENT["ev-recharge-sdk"]:
            locations = rivals.official(served).locations

            async def official() -> float:
                began, seen, number = time.perf_counter(), 0, 1
                while page := locations.get_ev_locations(
                    "eb621f45-a543-4d9a-a934-2f223b263c42", page_number=number, per_page=payloads.PAGE
                ).data:
                    seen += len(page)
                    number += 1
                return _spent(began, seen)

            contenders[OFFICIAL] = official
        return await take_turns_async(table, contenders, rounds)


def _spent(began: float, seen: int) -> float:
    spent = time.perf_counter() - began
    assert seen >= STATIONS, seen
    return spent * 1e3


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = options(arguments)
    prepare()
    missing(rivals.PRESENT)
    with served() as server:
        finish([asyncio.run(walked(server, given))], given)


if __name__ == "__main__":
    main()
