"""``iterate``: as few requests as can be, none before its time, one page in memory, and an end whatever the server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import pickle
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from location_servers import asked, page_number, paging

from shell_ev import (
    AsyncShellEV,
    InternalServerError,
    NotFoundError,
    RequestFailedError,
    ResponseDecodeError,
    ShellEV,
    TransportError,
    ValidationError,
)
from shell_ev.sandbox import Dialect, Fault, Sandbox
from shell_ev.sandbox.location_wire import station_document
from shell_ev.sandbox.network import load_network

VERSIONS = ["v1-pascal", "v1", "v2"]
NAMED = 14  # the documented stations, before the generated ones
Serve = Callable[..., Any]


@pytest.fixture
async def crowd() -> AsyncIterator[Sandbox]:
    """A sandbox with 5,000 stations to the dot."""
    async with Sandbox(stations=5000 - NAMED) as sandbox:
        yield sandbox


def client_of(sandbox: Sandbox, version: str = "v2") -> AsyncShellEV:
    return AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, api_version=version)


def pages_asked(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(dict(r.query)["pageNumber"], dict(r.query)["perPage"]) for r in asked(sandbox)]


def items(first: int, count: int) -> list[dict[str, Any]]:
    return [{"uid": str(uid), "operatorName": "Laadnet"} for uid in range(first, first + count)]


async def uids(stream: AsyncIterator[Any]) -> list[str | None]:
    return [location.uid async for location in stream]


# Five thousand stations


@pytest.mark.parametrize("version", VERSIONS)
async def test_iterate_gives_five_thousand_stations(crowd: Sandbox, version: str) -> None:
    async with client_of(crowd, version) as ev:
        found = [location async for location in ev.locations.iterate()]
    assert len(found) == 5000
    assert [location.uid for location in found] == [str(s.number) for s in crowd.service.locations.network.stations]
    # Ten full pages; that there is no more only an eleventh can tell.
    assert pages_asked(crowd) == [(str(page), "500") for page in range(1, 12)]
    assert len({request.headers["RequestId"] for request in asked(crowd)}) == 11


def test_iterate_gives_five_thousand_stations_blocking() -> None:
    with Sandbox(stations=5000 - NAMED) as sandbox:
        with ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
            found = [location.uid for location in ev.locations.iterate(per_page=500)]
        assert len(set(found)) == len(found) == 5000
        assert pages_asked(sandbox) == [(str(page), "500") for page in range(1, 12)]


@pytest.mark.parametrize(
    ("per_page", "sizes"), [(100, [100, 100, 100, 14]), (157, [157, 157, 0]), (314, [314, 0]), (None, [314])]
)
async def test_iterate_sends_no_request_too_many(sandbox: Sandbox, connect: Callable[..., AsyncShellEV],
                                   per_page: int | None, sizes: list[int]) -> None:  # fmt: skip
    assert len(await uids(connect().locations.iterate(per_page=per_page))) == 314
    assert pages_asked(sandbox) == [(str(page), str(per_page or 500)) for page in range(1, len(sizes) + 1)]


async def test_filters_are_sent_with_every_page(sandbox: Sandbox, connect: Callable[..., AsyncShellEV]) -> None:
    stream = connect().locations.iterate(country=["NLD", "BEL"], evse_status="available", per_page=20)
    found = [location async for location in stream]
    assert {location.address.country for location in found if location.address} == {"NLD", "BEL"}
    queries = [dict(request.query) for request in asked(sandbox)]
    assert len(queries) == len(found) // 20 + 1 > 2
    for page, query in enumerate(queries, 1):
        assert query == {
            "evseStatus": "Available",
            "pageNumber": str(page),
            "perPage": "20",
            "country[0]": "NLD",
            "country[1]": "BEL",
        }


# Not before its time


async def test_a_page_is_fetched_when_the_one_before_is_used_up(
    sandbox: Sandbox, connect: Callable[..., AsyncShellEV]
) -> None:
    stream = connect().locations.iterate(per_page=50)
    assert not sandbox.requests
    for used in range(1, 315):
        await anext(stream)
        assert len(asked(sandbox)) == (used + 49) // 50
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert len(asked(sandbox)) == 7


def test_a_page_is_fetched_when_the_one_before_is_used_up_blocking() -> None:
    with Sandbox(stations=300) as sandbox:
        with ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
            stream = ev.locations.iterate(per_page=50)
            assert not sandbox.requests
            for used in range(1, 315):
                next(stream)
                assert len(asked(sandbox)) == (used + 49) // 50
            assert next(stream, None) is None
        assert len(asked(sandbox)) == 7


# The end


@pytest.mark.parametrize(
    ("pages", "beyond", "count", "requests"),
    [
        ({1: items(0, 3), 2: items(3, 2)}, [], 5, 2),  # a short page
        ({1: items(0, 3), 2: items(3, 3)}, [], 6, 3),  # an empty one
        ({}, [], 0, 1),
        ({}, items(0, 3), 3, 2),  # a server that knows no paging: the same for ever
        ({1: items(0, 3), 2: items(3, 3)}, items(3, 3), 6, 3),  # the last page for any beyond it
        ({1: items(0, 3), 2: items(3, 3)}, items(0, 3), 6, 3),  # the first page for any beyond the last
        ({1: items(0, 3)}, [], 3, 2),
        ({}, items(0, 7), 7, 2),  # more than was asked for, for ever
        ({1: items(0, 3), 2: items(1, 3)}, [], 6, 3),  # shifted by one while reading: no repetition
        ({}, [{"operatorName": "nobody"}] * 3, 3, 2),  # no uids: compared by what they are
        ({1: [{"uid": ""}, {"uid": ""}, {"uid": "", "locationType": "x"}]}, [{"uid": ""}] * 3, 6, 3),
    ],
)
async def test_iterate_ends_at_a_short_empty_or_repeated_page(
    serve: Serve, pages: Any, beyond: Any, count: int, requests: int
) -> None:
    server, client = await serve(paging(pages, beyond))
    assert len(await uids(client.locations.iterate(per_page=3))) == count
    assert len(server.targets) == requests


async def test_a_repeated_page_is_recognised_by_its_uids(serve: Serve) -> None:
    def answer(request: web.BaseRequest) -> tuple[int, bytes]:
        status = "Available" if page_number(request) % 2 else "Occupied"
        return 200, json.dumps({"data": [{"uid": uid, "evses": [{"status": status}]} for uid in (1, 2)]}).encode()

    server, client = await serve(answer, "v1")
    assert await uids(client.locations.iterate(per_page=2)) == ["1", "2"]
    assert len(server.targets) == 2


@pytest.mark.parametrize("junk", [None, 7, "x", [], {"error": "gone"}])
async def test_bad_items_do_not_end_the_iteration(serve: Serve, junk: Any) -> None:
    full = items(0, 4)
    pages = {1: [full[0], junk, full[1]], 2: [junk, junk, full[2]], 3: [full[3], junk]}
    server, client = await serve(paging(pages))
    assert await uids(client.locations.iterate(per_page=3)) == ["0", "1", "2", "3"]
    assert len(server.targets) == 3


async def test_odd_values_do_not_end_the_iteration(serve: Serve) -> None:
    odd = [{"uid": str(uid), "coordinates": "here", "evses": [{"status": []}]} for uid in range(6)]
    _, client = await serve(paging({1: odd[:3], 2: odd[3:5]}))
    assert await uids(client.locations.iterate(per_page=3)) == ["0", "1", "2", "3", "4"]


# Memory


async def test_one_page_at_a_time_is_in_memory(serve: Serve) -> None:
    stations = load_network(1, 500).stations[:500]
    text = json.dumps([station_document(station, Dialect.V2) for station in stations])

    def answer(request: web.BaseRequest) -> tuple[int, bytes]:
        # Other stations on every page, out of one text: the server keeps nothing.
        page = page_number(request)
        documents = text.replace('{"uid": "', f'{{"uid": "{page}-') if page <= last else "[]"
        return 200, b'{"status": "SUCCESS", "data": ' + documents.encode() + b"}"

    _, client = await serve(answer)

    async def peak(pages: int) -> int:
        nonlocal last
        last, count = pages, 0
        gc.collect()
        tracemalloc.start()
        try:
            async for _ in client.locations.iterate():
                count += 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert count == 500 * pages

    last = 0
    await peak(1)
    one, ten = await peak(1), await peak(10)
    assert ten < one * 1.3  # two pages at a time would be half as much again


# Leaving early, and errors


async def test_leaving_early_sends_no_further_request(sandbox: Sandbox, connect: Callable[..., AsyncShellEV]) -> None:
    client = connect()
    before = asyncio.all_tasks()
    async for location in client.locations.iterate(per_page=10):
        assert location.uid == "1"
        break
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Nothing but the server's own task for the connection, which the client keeps for the next call.
    left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
    assert left <= {"RequestHandler.start"}
    assert len(asked(sandbox)) == 1
    async with contextlib.aclosing(client.locations.iterate(per_page=10)) as stream:
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert len(asked(sandbox)) == 2
    assert (await client.locations.list(per_page=1)).data  # and the client goes on


def test_leaving_early_sends_no_further_request_blocking() -> None:
    with Sandbox(stations=300) as sandbox:
        threads = threading.active_count()
        with ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
            for location in ev.locations.iterate(per_page=10):
                assert location.uid == "1"
                break
            stream = ev.locations.iterate(per_page=10)
            next(stream)
            stream.close()
            assert next(stream, None) is None
            assert len(asked(sandbox)) == 2
            assert ev.locations.list(per_page=1).data
        assert threading.active_count() == threads


async def test_a_cancelled_iteration_leaves_the_client_usable(
    sandbox: Sandbox, connect: Callable[..., AsyncShellEV]
) -> None:
    client = connect()
    arrived = asyncio.Event()
    sandbox.faults.add("locations.list", Fault.hang(), after=1)

    async def read() -> None:
        async for _ in client.locations.iterate(per_page=200):
            arrived.set()

    task = asyncio.create_task(read())
    await arrived.wait()
    while len(asked(sandbox)) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await uids(client.locations.iterate(per_page=200))) == 314


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (500, InternalServerError),
        (404, NotFoundError),
        ([None, None], ResponseDecodeError),
    ],
)
async def test_an_error_of_a_page_names_the_page(serve: Serve, page: Any, error: type[Exception]) -> None:
    server, client = await serve(paging({1: items(0, 2), 2: items(2, 2), 3: page}), max_retries=0)
    found: list[str | None] = []
    with pytest.raises(error) as caught:
        async for location in client.locations.iterate(per_page=2):
            found.append(location.uid)
    assert found == ["0", "1", "2", "3"]
    assert len(server.targets) == 3
    assert caught.value.__notes__ == ["locations.iterate: page 3 of 2 locations a page"]
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.__notes__ == caught.value.__notes__


async def test_a_failed_page_names_its_number(serve: Serve) -> None:
    def answer(request: web.BaseRequest) -> tuple[int, bytes]:
        good = page_number(request) == 1
        document = {"status": "SUCCESS", "data": items(0, 2)} if good else {"status": "Failed", "data": items(2, 2)}
        return 200, json.dumps(document).encode()

    _, client = await serve(answer)
    stream = client.locations.iterate(per_page=2)
    assert [(await anext(stream)).uid, (await anext(stream)).uid] == ["0", "1"]
    with pytest.raises(RequestFailedError) as caught:
        await anext(stream)
    assert "page 2" in caught.value.__notes__[0]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_an_error_of_a_page_names_the_page_blocking() -> None:
    with Sandbox(stations=300) as sandbox:
        sandbox.faults.add("locations.list", Fault.status(404), after=2)
        with ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
            stream = ev.locations.iterate(per_page=100)
            assert len([next(stream) for _ in range(200)]) == 200
            with pytest.raises(NotFoundError) as caught:
                next(stream)
            assert "page 3" in caught.value.__notes__[0]
            assert len(list(ev.locations.iterate(per_page=100))) == 314


async def test_a_page_is_retried_like_any_call(sandbox: Sandbox, connect: Callable[..., AsyncShellEV]) -> None:
    sandbox.faults.add("locations.list", Fault.rate_limit(0), after=1)
    assert len(await uids(connect().locations.iterate(per_page=200))) == 314
    assert [page for page, _ in pages_asked(sandbox)] == ["1", "2", "2"]


async def test_a_server_that_goes_away_is_a_connect_error_of_the_page(closing: contextlib.AsyncExitStack) -> None:
    sandbox = Sandbox(stations=300)
    await sandbox.start()
    client = await closing.enter_async_context(client_of(sandbox))
    stream = client.locations.iterate(per_page=300, max_retries=0)
    for _ in range(300):
        await anext(stream)
    await sandbox.close()
    with pytest.raises(TransportError) as caught:
        await anext(stream)
    assert "page 2" in caught.value.__notes__[0]


@pytest.mark.parametrize("per_page", [0, -1, 501, 2.0, "10", True])
async def test_an_invalid_page_size_is_refused(
    sandbox: Sandbox, connect: Callable[..., AsyncShellEV], per_page: Any
) -> None:
    with pytest.raises(ValidationError, match="per_page"):
        await anext(connect().locations.iterate(per_page=per_page))
    assert not sandbox.requests
