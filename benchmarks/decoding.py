"""3. Bytes to models: a session, a page of 500 locations without and with tariffs, 5,000; and fetched with it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any

from . import payloads, rivals
from .harness import (
    FAST,
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
from .server import FULL_PAGE, Served, served


def decoded(given: Options) -> list[Table]:
    """Decoding alone, from bytes in memory."""
    from shell_ev.endpoints.locations import LOCATIONS
    from shell_ev.wire.results import SESSION

    session, plain, full = payloads.session(), payloads.locations(tariffs=False), payloads.locations()
    many = payloads.locations(5_000) if not given.quick else payloads.locations(50)
    readers = rivals.official_decoders() if rivals.PRESENT["ev-recharge-sdk"] else (None, None, None)
    rows: list[tuple[str, str, bytes, Any, Any, int]] = [
        ("decode_session", f"One session ({len(session)} bytes)", session, SESSION, readers[0], given.times(200)),
        ("decode_plain", _size("500 locations without tariffs", plain), plain, LOCATIONS, readers[1], 1),
        ("decode_full", _size("500 full locations with tariffs", full), full, LOCATIONS, readers[2], 1),
        ("decode_many", _size("5,000 full locations in one body", many), many, LOCATIONS, None, 1),
    ]
    tables: list[Table] = []
    for name, title, body, result, reader, times in rows:
        table = Table(name, f"{title}, decoded", "us" if name == "decode_session" else "ms")
        scale = 1e6 if table.unit == "us" else 1e3
        calls: dict[str, Callable[[], object]] = {}
        if rivals.PRESENT["orjson"]:
            import orjson

            calls["orjson.loads"] = lambda body=body: orjson.loads(body)
        for label, codec in codecs().items():
            calls[label] = lambda codec=codec, body=body, result=result: codec.decode(result, body)
        if reader is not None:
            calls[OFFICIAL] = lambda reader=reader, body=body: reader(body)
        elif name == "decode_many":
            table.notes.append("The official SDK is left out: ten times the page takes it ten times the time.")
        contenders = {label: functools.partial(_timing, call, times, scale) for label, call in calls.items()}
        rounds = given.rounds if name != "decode_many" else min(given.rounds, 7)
        tables.append(take_turns(table, contenders, rounds, pieces=10 if times > 1 else 1))
    return tables


def codecs() -> dict[str, Any]:
    """Our decoders, one per engine that is here."""
    from shell_ev.dialects import ApiVersion
    from shell_ev.wire.codec import Codec

    found = {OURS: Codec(ApiVersion.V2, "cattrs")}
    if rivals.PRESENT["msgspec"]:
        found[FAST] = Codec(ApiVersion.V2, "msgspec")
    return found


async def fetched(served: Served, given: Options) -> list[Table]:
    """Pages over HTTP, decoded."""
    pages = [("fetch_plain", "500 locations without tariffs", 1)]
    if served.full_pages:
        pages.append(("fetch_full", "500 full locations with tariffs", FULL_PAGE))
    tables: list[Table] = []
    async with contextlib.AsyncExitStack() as stack:
        clients = {OURS: await stack.enter_async_context(rivals.ours(served))}
        if rivals.PRESENT["msgspec"]:
            clients[FAST] = await stack.enter_async_context(rivals.ours(served, "msgspec"))
        for name, title, number in pages:
            table = Table(name, f"{title}, fetched and decoded", "ms")
            contenders: dict[str, Any] = {}
            if rivals.PRESENT["orjson"]:
                contenders["aiohttp + orjson"] = await _bare(stack, served.page_url(number), served.headers)
            for label, client in clients.items():
                contenders[label] = _timed(
                    lambda client=client, number=number: client.locations.list(
                        page_number=number, per_page=payloads.PAGE
                    )
                )
            if rivals.PRESENT["ev-recharge-sdk"]:
                contenders[OFFICIAL] = _official(served, number)
            tables.append(await take_turns_async(table, contenders, given.rounds))
    return tables


async def _bare(stack: contextlib.AsyncExitStack, url: str, headers: dict[str, str]) -> Any:
    import aiohttp
    import orjson

    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def fetch() -> Any:
        async with session.get(url, headers=headers) as response:
            return orjson.loads(await response.read())

    return _timed(fetch)


def _timed(call: Any) -> Any:
    async def measure() -> float:
        return await repeat_async(call, 1) * 1e3

    return measure


def _official(served: Served, number: int) -> Any:
    locations = rivals.official(served).locations
    request_id = "eb621f45-a543-4d9a-a934-2f223b263c42"

    async def measure() -> float:
        began = time.perf_counter()
        if number == FULL_PAGE:  # its list has no tariffs: the model that has comes with the look-up by uid
            answer = locations.ev_locations_by_id(request_id, "full")
        else:
            answer = locations.get_ev_locations(request_id, page_number=number, per_page=payloads.PAGE)
        spent = time.perf_counter() - began
        assert len(answer.data) == payloads.PAGE
        return spent * 1e3

    return measure


def _size(title: str, body: bytes) -> str:
    return f"{title} ({len(body) / 1e6:.1f} MB, {payloads.objects(body):,} objects)"


def _timing(call: Callable[[], object], times: int, scale: float) -> float:
    return repeat(call, times) * scale


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = options(arguments)
    prepare()
    missing(rivals.PRESENT)
    tables = decoded(given)
    payloads.locations.cache_clear()
    with served() as server:
        tables += asyncio.run(fetched(server, given))
    finish(tables, given)


if __name__ == "__main__":
    main()
