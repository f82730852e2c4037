"""Walking the pages of a list: one after the other, or some ahead of their use."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

from ..errors import ShellEVError
from ..models.locations import Location
from ..models.response import ApiResponse

#: Most pages that are fetched ahead.
MAX_PREFETCH: Final = 100

Page: TypeAlias = ApiResponse[tuple[Location, ...]]
Fetch: TypeAlias = Callable[[int], Awaitable[Page]]


class Pages:
    """The pages of one list, in order. At most ``prefetch`` are under way or held beside the one in use."""

    def __init__(self, fetch: Fetch, size: int, *, limit: int | None, prefetch: int) -> None:
        self._fetch = fetch
        self._size = size
        self._limit = limit
        self._prefetch = prefetch
        self._ahead: deque[asyncio.Task[Page]] = deque()
        self._next = 1

    async def locations(self) -> AsyncGenerator[Location, None]:
        """Every location, until a page is short, empty or equal to an earlier one, or the limit is reached."""
        left = self._limit
        seen: set[int] = set()
        try:
            while True:
                answer = await self._take()
                page = answer.data
                # A service without paging repeats its page, or begins again after the last one. Only uids are
                # compared: a status may have changed. As a hash, because a page may be large.
                mark = hash(tuple(location.uid or location for location in page))
                if not page or mark in seen:
                    return
                seen.add(mark)
                # An unreadable item is a problem, and was on the page all the same.
                is_last = len(page) + len(answer.problems) < self._size
                if is_last:
                    # What was fetched beyond a short page is dropped, and its errors with it.
                    await self._drop()
                else:
                    self._fetch_ahead(left and left - len(page))
                for location in page:
                    yield location
                    left = left and left - 1
                    if left == 0:
                        return
                if is_last:
                    return
                # Released before the next page is fetched: two would be in memory otherwise.
                del answer, page
        finally:
            await self._drop()

    async def _take(self) -> Page:
        """The next page. The first goes out alone: it shows whether there are more."""
        if self._ahead:
            return await self._ahead.popleft()
        number = self._next
        self._next += 1
        return await self._named(number)

    def _fetch_ahead(self, left: int | None) -> None:
        pages = self._prefetch if left is None else min(self._prefetch, -(-left // self._size))
        while len(self._ahead) < pages:
            self._ahead.append(asyncio.create_task(self._named(self._next)))
            self._next += 1

    async def _named(self, number: int) -> Page:
        try:
            return await self._fetch(number)
        except ShellEVError as error:
            error.add_note(f"locations.iterate: page {number} of {self._size} locations a page")
            raise

    async def _drop(self) -> None:
        dropped = list(self._ahead)
        self._ahead.clear()
        for task in dropped:
            task.cancel()
        if dropped:
            await asyncio.wait(dropped)
        for task in dropped:
            # Looked at, so that asyncio does not complain of an error that nothing asked for.
            with suppress(asyncio.CancelledError):
                task.exception()
