"""2. Many calls at once: 100 in flight with await, 32 threads on one blocking client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import rivals
from .harness import OFFICIAL, OURS, Options, Table, finish, missing, options, prepare, take_turns, take_turns_async
from .server import Served, served

IN_FLIGHT = 100
THREADS = 32


async def with_await(served: Served, given: Options) -> Table:
    """100 tasks on one loop; the official SDK, which cannot, in 100 threads."""
    import aiohttp

    table = Table("flight_async", f"{IN_FLIGHT} calls in flight, async", "us a call")
    each = given.times(2)
    url, headers = served.session_url, served.headers
    async with contextlib.AsyncExitStack() as stack:
        bare = await stack.enter_async_context(aiohttp.ClientSession())

        async def aiohttp_call() -> None:
            async with bare.get(url, headers=headers) as response:
                json.loads(await response.read())

        calls: dict[str, Any] = {"aiohttp": aiohttp_call}
        for label, engine in ((OURS, "cattrs"), ("shell_ev[speed]", "msgspec")):
            if engine == "cattrs" or rivals.PRESENT["msgspec"]:
                client = await stack.enter_async_context(rivals.ours(served, engine))
                calls[label] = lambda client=client: client.charging.retrieve(served.session_id)
        if rivals.PRESENT["httpx"]:
            import httpx

            http = await stack.enter_async_context(httpx.AsyncClient())

            async def httpx_call() -> None:
                (await http.get(url, headers=headers)).json()

            calls["httpx"] = httpx_call

        def measured(call: Any) -> Any:
            async def worker(times: int) -> None:
                for _ in range(times):
                    await call()

            async def measure() -> float:
                await asyncio.gather(*(worker(1) for _ in range(IN_FLIGHT)))  # see harness.WARM
                began = time.perf_counter()
                await asyncio.gather(*(worker(each) for _ in range(IN_FLIGHT)))
                return (time.perf_counter() - began) / (IN_FLIGHT * each) * 1e6

            return measure

        contenders = {name: measured(call) for name, call in calls.items()}
        if rivals.PRESENT["ev-recharge-sdk"]:
            sdk = rivals.official(served)
            pool = stack.enter_context(ThreadPoolExecutor(IN_FLIGHT))

            async def official() -> float:
                return _threads(pool, lambda: _retrieve(sdk, served), IN_FLIGHT, each)

            contenders[f"{OFFICIAL}, {IN_FLIGHT} threads"] = official
        return await take_turns_async(table, contenders, given.rounds, pieces=5)


def without_await(served: Served, given: Options) -> Table:
    """32 threads that share one client."""
    table = Table("flight_blocking", f"{THREADS} threads on one client, blocking", "us a call")
    each = given.times(6)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        calls: dict[str, Any] = {}
        if rivals.PRESENT["requests"]:
            import requests

            session = stack.enter_context(requests.Session())
            session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=THREADS))
            calls["requests"] = lambda: session.get(served.session_url, headers=served.headers).json()
        for label, engine in ((OURS, "cattrs"), ("shell_ev[speed]", "msgspec")):
            if engine == "cattrs" or rivals.PRESENT["msgspec"]:
                client = stack.enter_context(rivals.ours_blocking(served, engine))
                calls[label] = lambda client=client: client.charging.retrieve(served.session_id)
        if rivals.PRESENT["ev-recharge-sdk"]:
            sdk = rivals.official(served)
            calls[OFFICIAL] = lambda: _retrieve(sdk, served)
        contenders = {name: (lambda call=call: _threads(pool, call, THREADS, each)) for name, call in calls.items()}
        return take_turns(table, contenders, given.rounds, pieces=5)


def _retrieve(sdk: Any, served: Served) -> Any:
    return sdk.charging.get_charge_session_retrieve("eb621f45-a543-4d9a-a934-2f223b263c42", served.session_id)


def _threads(pool: ThreadPoolExecutor, call: Any, threads: int, each: int) -> float:
    def worker(times: int) -> None:
        for _ in range(times):
            call()

    for job in [pool.submit(worker, 1) for _ in range(threads)]:  # see harness.WARM
        job.result()
    began = time.perf_counter()
    for job in [pool.submit(worker, each) for _ in range(threads)]:
        job.result()
    return (time.perf_counter() - began) / (threads * each) * 1e6


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = options(arguments)
    prepare()
    missing(rivals.PRESENT)
    with served() as server:
        finish([asyncio.run(with_await(server, given)), without_await(server, given)], given)


if __name__ == "__main__":
    main()
