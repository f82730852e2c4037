"""The sender of a test's clients: reports each request to the test's clock and leaves no idle connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import attrs

from ..core.call import Reply, Request, Sender, SendFailure
from ..core.deadlines import Deadline
from .pacing import Pacer

#: Names the running request to the sandbox, so that it can hold it. It is not recorded.
TRY_HEADER: Final = "Shell-EV-Test-Try"
#: Real seconds after which a request to another server than the sandbox fails.
_REAL_PATIENCE: Final = 60.0


class WatchedSender:
    """Sends through another sender, over connections that serve one request each.

    A test's loop may end before its fixtures do, so that an idle connection could not be closed any more.
    """

    def __init__(self, pacer: Pacer, sender: Sender) -> None:
        self._pacer = pacer
        self._sender = sender
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[int, asyncio.Timeout] = {}

    async def send(self, request: Request, connect_within: float | None, deadline: Deadline) -> Reply:
        """Send once. The timeouts of the call are test time; connecting takes real time and has a limit of its own."""
        self._pacer.check()
        number = self._pacer.request_started()
        limit = self._under_way[number] = asyncio.timeout(_REAL_PATIENCE)
        tagged = attrs.evolve(
            request,
            headers={**request.headers, TRY_HEADER: str(number), "Connection": "close"},
            timeout=attrs.evolve(request.timeout, connect=_REAL_PATIENCE),
        )
        try:
            async with limit:
                return await self._sender.send(tagged, None, deadline)
        except TimeoutError:
            raise SendFailure("no answer in time", sent=True, timed_out=True) from None
        finally:
            self._under_way.pop(number, None)
            self._pacer.request_finished(number, self._loop)

    async def aclose(self) -> None:
        """Close the sender behind it."""
        await self._sender.aclose()

    def abandon(self) -> None:
        """Abandon the sender behind it, and end its requests; needs no event loop."""
        for number in tuple(self._under_way):
            self._pacer.request_finished(number, self._loop)
        with contextlib.suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._end_requests)
        abandon = getattr(self._sender, "abandon", None)
        if abandon is not None:
            abandon()

    def _end_requests(self) -> None:
        for limit in self._under_way.values():
            limit.reschedule(self._loop.time())
