"""The way out to the sandbox of a test: tells the clock of each request under way, and leaves nothing behind on a loop.

Knows how client and sandbox recognise a request; knows neither pytest nor what is asked.
"""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

from ..core.call import Reply, Request, Sender, SendFailure
from ..core.deadlines import Deadline
from .pacing import Pacer

#: By this header the sandbox knows which of the requests under way it is answering late. It is not recorded.
TRY_HEADER: Final = "Shell-EV-Test-Try"
#: Real seconds after which a server that is not the sandbox, and does not answer, is given up.
_REAL_PATIENCE: Final = 60.0


class WatchedSender:
    """Sends through another sender, over connections that serve one request each.

    A test's loop may end before or after the fixtures of the test, and nobody gets a chance to close a connection in
    it then: so there is none that is idle.
    """

    def __init__(self, pacer: Pacer, sender: Sender) -> None:
        self._pacer = pacer
        self._sender = sender
        self._loop = asyncio.get_running_loop()

    async def send(self, request: Request, connect_within: float | None, deadline: Deadline) -> Reply:
        """Send once. The limits of the call are of test time; connecting, which is real, has its own."""
        self._pacer.check()
        number = self._pacer.request_started()
        tagged = attrs.evolve(
            request,
            headers={**request.headers, TRY_HEADER: str(number), "Connection": "close"},
            timeout=attrs.evolve(request.timeout, connect=_REAL_PATIENCE),
        )
        try:
            async with asyncio.timeout(_REAL_PATIENCE):
                return await self._sender.send(tagged, None, deadline)
        except TimeoutError:
            raise SendFailure("no answer in time", sent=True, timed_out=True) from None
        finally:
            self._pacer.land(number, self._loop)

    async def aclose(self) -> None:
        """Close what is behind it."""
        await self._sender.aclose()

    def abandon(self) -> None:
        """Let go of what is behind it, without a loop."""
        abandon = getattr(self._sender, "abandon", None)
        if abandon is not None:
            abandon()
