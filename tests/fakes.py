"""Stand-ins the tests share: a scripted sender, clients over it, and answers to script."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

from shell_ev import AsyncShellEV, StaticToken
from shell_ev.core.call import Reply, Request, SendFailure
from shell_ev.core.deadlines import Deadline
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.models.response import Headers
from shell_ev.options import ClientConfig, make_config

CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"
SESSION = "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"
REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"
NOW = datetime(2024, 6, 19, 7, 36, 57, tzinfo=UTC)
GROUP = "charging"

#: Arguments of each charging operation; the two POSTs are those that must never be repeated blindly.
CALLS: dict[str, tuple[str, ...]] = {
    "start": (CARD, EVSE),
    "stop": (SESSION,),
    "retrieve": (SESSION,),
    "active": (CARD,),
}
POSTS = ("start", "stop")
GETS = ("retrieve", "active")

GOOD_BODIES: dict[str, bytes] = {
    "start": b'{"requestId":"r","status":"SUCCESS","data":[{"sessionId":"c3e332f0-1bb2-4f50-a96b-e075bbb71e68"}]}',
    "stop": b'{"requestId":"r","status":"SUCCESS"}',
    "retrieve": b'{"requestId":"r","status":"SUCCESS","data":[{"id":"x","sessionState":{"status":"Started"}}]}',
    "active": b'{"requestId":"r","status":"SUCCESS","data":[]}',
}

LOST = SendFailure("ServerDisconnectedError", sent=True)
REFUSED = SendFailure("ClientConnectorError", sent=False)
LATE = SendFailure("no answer in time", sent=True, timed_out=True)
NO_CONNECTION = SendFailure("no connection in time", sent=False, timed_out=True)


def reply(status: int = 200, body: bytes | dict[str, Any] | list[Any] = b"", **headers: str) -> Reply:
    """An answer; underscores in header names stand for dashes."""
    raw = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers=Headers(raw), body=content)


def good(operation: str) -> Reply:
    """The success of an operation in V2."""
    return reply(202 if operation in POSTS else 200, GOOD_BODIES[operation], Content_Type="application/json")


def token_reply(value: str = "tok-1", **fields: Any) -> Reply:
    """A granted token."""
    return reply(200, {"access_token": value, "token_type": "Bearer", **fields})


Outcome = Reply | BaseException | Callable[[Request], Any]


class FakeSender:
    """Gives scripted outcomes in order and remembers what it was asked, and when. An unscripted try fails the test."""

    def __init__(self, *outcomes: Outcome, always: Outcome | None = None) -> None:
        self.outcomes = list(outcomes)
        self.always = always
        self.requests: list[Request] = []
        self.times: list[float] = []
        self.connect_within: list[float | None] = []
        self.closed = 0

    async def send(self, request: Request, connect_within: float | None, _: Deadline | None = None) -> Reply:
        # The loop may change the headers of its request for a replay: keep them as they were.
        self.requests.append(attrs.evolve(request, headers=dict(request.headers)))
        self.times.append(asyncio.get_running_loop().time())
        self.connect_within.append(connect_within)
        outcome = self.outcomes.pop(0) if self.outcomes else self.always
        if outcome is None:
            raise AssertionError(f"try {len(self.requests)} was not expected: {request.method} {request.url}")
        if callable(outcome):
            outcome = outcome(request)
            if inspect.isawaitable(outcome):
                outcome = await outcome
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, Reply)
        return outcome

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def waits(self) -> list[float]:
        """Seconds between one try and the next."""
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


def no_jitter(value: float) -> float:
    """The whole wait: 0.5, 1, 2 seconds and so on."""
    return value


def client_over(
    sender: FakeSender,
    source: Any = None,
    *,
    jitter: Callable[[float], float] = no_jitter,
    **options: Any,
) -> AsyncShellEV:
    """A client that sends through ``sender``, on a clock that stands at ``NOW``."""
    config: ClientConfig = make_config(**{"base_url": "https://ev.example", **options})
    hooks = Hooks(utcnow=lambda: NOW, jitter=jitter)
    manager = SessionManager(config, source or StaticToken("static-token"), lambda: sender, hooks=hooks)
    return AsyncShellEV._over(manager)


async def call(client: AsyncShellEV, operation: str, **options: Any) -> Any:
    """Call a charging operation with its usual arguments."""
    return await getattr(client.charging, operation)(*CALLS[operation], **options)


def never(_: Request) -> Any:
    """An answer that does not come."""
    return asyncio.get_running_loop().create_future()
