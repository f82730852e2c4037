"""1. One call after another: a charge session looked up, with await and without."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from . import rivals
from .harness import (
    OFFICIAL,
    OURS,
    Options,
    Table,
    finish,
    missing,
    options,
    prepare,
    repeat,
    repeat_async,
    take_turns,
    take_turns_async,
)
from .server import Served, served


async def with_await(served: Served, given: Options) -> Table:
    """Asynchronous clients on one loop."""
    import aiohttp

    table = Table("call_async", "One call after another, async", "us a call")
    times = given.times(20)
    url, headers = served.session_url, served.headers
    async with contextlib.AsyncExitStack() as stack:
        bare = await stack.enter_async_context(aiohttp.ClientSession())
        lean = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)))

        async def aiohttp_call(session: Any) -> None:
            async with session.get(url, headers=headers) as response:
                json.loads(await response.read())

        calls: dict[str, Any] = {
            "aiohttp": lambda: aiohttp_call(bare),
            "aiohttp, no timeout": lambda: aiohttp_call(lean),
        }
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
            async def measure() -> float:
                return await repeat_async(call, times) * 1e6

            return measure

        contenders = {name: measured(call) for name, call in calls.items()}
        if rivals.PRESENT["ev-recharge-sdk"]:
            sdk = rivals.official(served)

            async def official() -> float:
                # It has no async form; blocking the loop is what a user of it would do, or hand it to a thread.
                return repeat(lambda: _retrieve(sdk, served), times) * 1e6

            contenders[OFFICIAL] = official
        return await take_turns_async(table, contenders, given.rounds, pieces=10)


def without_await(served: Served, given: Options) -> Table:
    """Blocking clients in the main thread."""
    table = Table("call_blocking", "One call after another, blocking", "us a call")
    times = given.times(20)
    with contextlib.ExitStack() as stack:
        calls: dict[str, Any] = {}
        if rivals.PRESENT["requests"]:
            import requests

            session = stack.enter_context(requests.Session())
            calls["requests"] = lambda: session.get(served.session_url, headers=served.headers).json()
        for label, engine in ((OURS, "cattrs"), ("shell_ev[speed]", "msgspec")):
            if engine == "cattrs" or rivals.PRESENT["msgspec"]:
                client = stack.enter_context(rivals.ours_blocking(served, engine))
                calls[label] = lambda client=client: client.charging.retrieve(served.session_id)
        if rivals.PRESENT["httpx"]:
            import httpx

            http = stack.enter_context(httpx.Client())
            calls["httpx"] = lambda: http.get(served.session_url, headers=served.headers).json()
        if rivals.PRESENT["ev-recharge-sdk"]:
            sdk = rivals.official(served)
            calls[OFFICIAL] = lambda: _retrieve(sdk, served)
        contenders = {name: (lambda call=call: repeat(call, times) * 1e6) for name, call in calls.items()}
        return take_turns(table, contenders, given.rounds, pieces=10)


def _retrieve(sdk: Any, served: Served) -> Any:
    return sdk.charging.get_charge_session_retrieve("eb621f45-a543-4d9a-a934-2f223b263c42", served.session_id)


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = options(arguments)
    prepare()
    missing(rivals.PRESENT)
    with served() as server:
        finish([asyncio.run(with_await(server, given)), without_await(server, given)], given)


if __name__ == "__main__":
    main()
