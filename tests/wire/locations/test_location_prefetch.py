"""``iterate(limit=, prefetch=)``: pages ahead of their use, in order, few in memory; no error of a page not needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from location_servers import AnswerServer, page_number

from shell_ev import AsyncShellEV, InternalServerError, ShellEV, StaticToken, ValidationError
from shell_ev.sandbox import Sandbox


class HeldServer(AnswerServer):
    """Pages of ``size`` locations; each is held until the test lets it go."""

    def __init__(self, pages: int, size: int, last: int = 0) -> None:
        super().__init__(lambda _: (200, b""))
        self.pages, self.size, self.last = pages, size, last
        self.broken: set[int] = set()
        self.held: dict[int, asyncio.Event] = {}
        self.asked: list[int] = []
        self.free = False
        self.most = 0

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        number = page_number(request)
        self.asked.append(number)
        gate = self.held[number] = asyncio.Event()
        self.most = max(self.most, len(self.held))
        if not self.free:
            await gate.wait()
        del self.held[number]
        if number in self.broken:
            return web.Response(status=500)
        count = self.size if number <= self.pages else self.last if number == self.pages + 1 else 0
        first = (number - 1) * self.size
        items = [{"uid": str(uid)} for uid in range(first, first + count)]
        return web.Response(body=json.dumps({"status": "SUCCESS", "data": items}), content_type="application/json")

    async def until_asked(self, *numbers: int) -> None:
        """Wait until exactly these pages are under way."""
        async with asyncio.timeout(10):
            while sorted(self.held) != sorted(numbers):
                await asyncio.sleep(0.001)

    def let_go(self, *numbers: int) -> None:
        for number in numbers:
            self.held[number].set()


def client_of(server: AnswerServer) -> AsyncShellEV:
    return AsyncShellEV(token_source=StaticToken("t"), base_url=server.url, max_retries=0)


async def uids(stream: AsyncIterator[Any]) -> list[int]:
    return [int(location.uid) async for location in stream]


async def test_the_first_page_goes_out_alone_and_then_as_many_as_are_wanted() -> None:
    async with HeldServer(pages=20, size=2) as server, client_of(server) as ev:
        stream = ev.locations.iterate(per_page=2, prefetch=3)
        first = asyncio.create_task(anext(stream))
        await server.until_asked(1)
        await asyncio.sleep(0.02)
        assert server.asked == [1]
        server.let_go(1)
        assert (await first).uid == "0"
        await server.until_asked(2, 3, 4)
        await stream.aclose()  # type: ignore[attr-defined]


async def test_pages_come_in_order_however_they_arrive() -> None:
    async with HeldServer(pages=3, size=2, last=1) as server, client_of(server) as ev:
        found = asyncio.create_task(uids(ev.locations.iterate(per_page=2, prefetch=3)))
        await server.until_asked(1)
        server.let_go(1)
        await server.until_asked(2, 3, 4)
        server.let_go(4)
        await server.until_asked(2, 3)
        server.let_go(3)
        await server.until_asked(2)
        server.free = True
        server.let_go(2)
        assert await found == list(range(7))


async def test_a_page_more_is_fetched_when_one_is_used_up() -> None:
    async with HeldServer(pages=20, size=2) as server, client_of(server) as ev:
        server.free = True
        async with aclosing(ev.locations.iterate(per_page=2, prefetch=3)) as stream:  # type: ignore[type-var]
            for used in range(1, 13):
                await anext(stream)
                page = (used + 1) // 2
                async with asyncio.timeout(10):
                    while len(server.asked) < page + 3:
                        await asyncio.sleep(0.001)
                await asyncio.sleep(0.005)
                assert sorted(server.asked) == list(range(1, page + 4))


async def test_no_more_requests_are_under_way_than_pages_ahead() -> None:
    async with HeldServer(pages=30, size=2) as server, client_of(server) as ev:
        server.free = True
        assert await uids(ev.locations.iterate(per_page=2, prefetch=4)) == list(range(60))
        assert server.most <= 4


@pytest.mark.parametrize("prefetch", [0, 1, 3, 50])
@pytest.mark.parametrize("last", [0, 1])
async def test_the_same_locations_come_with_any_prefetch(prefetch: int, last: int) -> None:
    async with HeldServer(pages=5, size=3, last=last) as server, client_of(server) as ev:
        server.free = True
        assert await uids(ev.locations.iterate(per_page=3, prefetch=prefetch)) == list(range(15 + last))


async def test_a_page_after_a_short_one_is_dropped_and_its_error_too() -> None:
    async with HeldServer(pages=1, size=2, last=1) as server, client_of(server) as ev:
        server.broken = {3, 4}
        server.free = True
        assert await uids(ev.locations.iterate(per_page=2, prefetch=3)) == [0, 1, 2]
        assert sorted(server.asked) == [1, 2, 3, 4]


async def test_a_page_that_is_under_way_after_a_short_one_is_not_waited_for() -> None:
    async with HeldServer(pages=1, size=2, last=1) as server, client_of(server) as ev:
        found = asyncio.create_task(uids(ev.locations.iterate(per_page=2, prefetch=3)))
        await server.until_asked(1)
        server.let_go(1)
        await server.until_asked(2, 3, 4)
        server.let_go(2)
        assert await asyncio.wait_for(found, 10) == [0, 1, 2]
        server.let_go(3, 4)


async def test_an_error_names_its_page_and_comes_where_its_page_would() -> None:
    async with HeldServer(pages=9, size=2) as server, client_of(server) as ev:
        server.broken = {3, 4}
        server.free = True
        found: list[str] = []
        with pytest.raises(InternalServerError) as caught:
            async for location in ev.locations.iterate(per_page=2, prefetch=5):
                found.append(str(location.uid))
        assert found == ["0", "1", "2", "3"]
        assert caught.value.__notes__ == ["locations.iterate: page 3 of 2 locations a page"]


async def test_leaving_early_cancels_what_is_under_way() -> None:
    before = asyncio.all_tasks()
    async with HeldServer(pages=20, size=2) as server, client_of(server) as ev:
        async with aclosing(ev.locations.iterate(per_page=2, prefetch=5)) as stream:  # type: ignore[type-var]
            first = asyncio.create_task(anext(stream))
            await server.until_asked(1)
            server.let_go(1)
            await first
            await server.until_asked(2, 3, 4, 5, 6)
        left = [task for task in asyncio.all_tasks() - before if "_named" in repr(task)]
        assert left == []
        server.let_go(2, 3, 4, 5, 6)


async def test_a_cancelled_walk_leaves_nothing_under_way() -> None:
    before = asyncio.all_tasks()
    async with HeldServer(pages=20, size=2) as server, client_of(server) as ev:
        walking = asyncio.create_task(uids(ev.locations.iterate(per_page=2, prefetch=2)))
        await server.until_asked(1)
        server.let_go(1)
        await server.until_asked(2, 3)
        walking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await walking
        assert [task for task in asyncio.all_tasks() - before if "_named" in repr(task)] == []
        server.let_go(2, 3)


# Limit


@pytest.mark.parametrize(
    ("limit", "asked"), [(1, [1]), (2, [1]), (3, [1, 2]), (7, [1, 2, 3, 4]), (40, [*range(1, 21)])]
)
@pytest.mark.parametrize("prefetch", [0, 6])
async def test_a_limit_ends_the_walk_and_no_page_is_fetched_for_nothing(
    limit: int, asked: list[int], prefetch: int
) -> None:
    async with HeldServer(pages=30, size=2) as server, client_of(server) as ev:
        server.free = True
        assert await uids(ev.locations.iterate(per_page=2, limit=limit, prefetch=prefetch)) == list(range(limit))
        assert sorted(server.asked) == asked


async def test_a_limit_makes_the_page_as_small_as_that() -> None:
    async with (
        Sandbox(stations=100) as sandbox,
        AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev,
    ):
        assert len([location async for location in ev.locations.iterate(limit=7)]) == 7
        sizes = [dict(r.query)["perPage"] for r in sandbox.requests if "perPage" in dict(r.query)]
    assert sizes == ["7"]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"limit": 0}, "limit must be a whole number of at least 1, not 0"),
        ({"limit": True}, "limit must be a whole number of at least 1, not True"),
        ({"prefetch": -1}, "prefetch must be a whole number from 0 to 100, not -1"),
        ({"prefetch": 101}, "prefetch must be a whole number from 0 to 100, not 101"),
        ({"prefetch": 1.5}, "prefetch must be a whole number from 0 to 100, not 1.5"),
    ],
)
async def test_a_wrong_number_is_refused_before_anything_is_sent(options: Any, fault: str) -> None:
    async with HeldServer(pages=1, size=1) as server, client_of(server) as ev:
        with pytest.raises(ValidationError) as caught:
            await anext(ev.locations.iterate(**options))
        assert caught.value.faults == (fault,)
        assert server.asked == []


def test_the_blocking_client_prefetches_too() -> None:
    with (
        Sandbox(stations=200) as sandbox,
        ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev,
    ):
        plain = [location.uid for location in ev.locations.iterate(per_page=20)]
        ahead = [location.uid for location in ev.locations.iterate(per_page=20, prefetch=5)]
        some = [location.uid for location in ev.locations.iterate(limit=33, prefetch=5)]
    assert ahead == plain
    assert some == plain[:33]
