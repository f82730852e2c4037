"""A world without sockets or waiting: the sandbox's logic behind a client, on one virtual clock."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from shell_ev import AsyncShellEV, ClientCredentials
from shell_ev.core.call import Reply, Request, SendFailure
from shell_ev.core.deadlines import Deadline
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.models.response import Headers
from shell_ev.options import make_config
from shell_ev.sandbox import SandboxRequest
from shell_ev.sandbox.records import Ending
from shell_ev.sandbox.service import Service

EPOCH = 1_700_000_000.0
CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"
#: Longest silence a client bears, as the transport's read timeout would have it.
READ_TIMEOUT = 30.0


class InMemorySender:
    """Carries requests straight to the sandbox's logic: travel takes time, and things go wrong on the way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.open = 0

    async def send(self, request: Request, connect_within: float | None, _: Deadline) -> Reply:
        world = self._world
        self.open += 1
        try:
            if world.random.random() < world.refused:
                raise SendFailure("refused", sent=False)
            await asyncio.sleep(world.latency)
            parts = urlsplit(request.url)
            query = tuple(parse_qsl(parts.query, keep_blank_values=True))
            reply = world.service.handle(
                SandboxRequest(request.method, parts.path, query, request.headers, request.body or b"")
            )
            if reply.delay >= READ_TIMEOUT or reply.ending is Ending.HANG:
                await asyncio.sleep(READ_TIMEOUT)
                raise SendFailure("no answer in time", sent=True, timed_out=True)
            await asyncio.sleep(reply.delay + world.latency)
            if reply.ending is not Ending.NORMAL:
                raise SendFailure(str(reply.ending), sent=True)
            raw = tuple((name.encode(), value.encode()) for name, value in reply.headers)
            return Reply(status=reply.status, headers=Headers(raw), body=reply.body)
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        """Nothing to close."""


class World:
    """Service, client and clock of one simulation. Make it inside a virtual-time loop."""

    def __init__(self, *, seed: int = 1, stations: int = 0, timeout: float = 60.0, refused: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.random = random.Random(seed)
        self.refused = refused
        self.latency = 0.05
        self.service = Service(
            clock=self.now, client_id="id", client_secret="secret", seed=seed, stations=stations, token_lifetime=900
        )
        self.sender = InMemorySender(self)
        config = make_config(base_url="http://sandbox", timeout=timeout)
        hooks = Hooks(
            utcnow=lambda: datetime.fromtimestamp(self.now(), UTC),
            jitter=lambda value: self.random.uniform(0, value),
            clock=self._loop.time,
        )
        manager = SessionManager(config, ClientCredentials("id", "secret"), lambda: self.sender, hooks=hooks)
        self.client = AsyncShellEV._over(manager)

    def now(self) -> float:
        """Unix seconds, shared by client and service."""
        return EPOCH + self._loop.time() - self._began

    def count(self, operation: str) -> int:
        """How many requests of an operation reached the service (of the last 10,000 requests)."""
        return sum(1 for request in self.service.requests if request.operation == operation)

    def running(self, card: str | None = None) -> list[Any]:
        """The charges that run or may come to run."""
        return [
            charge for charge in self.service.charges if not charge.is_over and (card is None or charge.ema_id == card)
        ]
