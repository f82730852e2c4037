"""What the tests of a single charge share: a world with dials, answers to script, and counting what was sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
from fakes import SESSION, FakeSender, client_over, reply
from harness import EPOCH, InMemorySender, World

from shell_ev import AsyncCharge, AsyncShellEV, ShellEVError
from shell_ev.core.call import Reply, Request
from shell_ev.core.deadlines import Deadline
from shell_ev.core.session_manager import Hooks
from shell_ev.models.response import Headers
from shell_ev.sandbox import Charge, Fault

#: Every way in which the answer to a start or stop gets lost after the request has taken effect.
LOSSES = {
    "the connection is closed": Fault.drop(),
    "the connection is reset": Fault.reset(),
    "the answer breaks off": Fault.truncate(),
    "no answer comes in time": Fault.hang(),
    "500": Fault.status(500, after_effect=True),
    "502": Fault.status(502, after_effect=True),
    "504": Fault.status(504, after_effect=True),
    "202 and no JSON": Fault.garbage(status=202),
    "202 and no session": Fault.garbage(b'{"status":"SUCCESS","data":[]}', 202, "application/json"),
}
OTHER_EVSE = "NL*TNM*E02003451*1"


class Stage(World):
    """A world whose requests can be counted and whose client may have a clock of its own."""

    def __init__(self, *, client_is_ahead: float = 0.0, dated: bool = False, **options: Any) -> None:
        super().__init__(**options)
        manager = self.client._manager
        ahead = timedelta(seconds=client_is_ahead)
        manager.hooks = Hooks(
            utcnow=lambda: datetime.fromtimestamp(self.now(), UTC) + ahead, jitter=manager.hooks.jitter
        )
        if dated:
            self.sender = _Dated(self)

    @property
    def sent(self) -> list[str]:
        """The charging operations that reached the service, in order, without their prefix."""
        names = [request.operation or "unknown" for request in self.service.requests]
        return [name.removeprefix("charging.") for name in names if name != "token"]

    @property
    def only_charge(self) -> Charge:
        """The one charge the service ever accepted."""
        [charge] = self.service.charges
        return charge

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen when the world is that many seconds old."""
        asyncio.get_running_loop().call_later(seconds - (self.now() - EPOCH), what)

    @property
    def age(self) -> float:
        """Seconds since the world began."""
        return self.now() - EPOCH


class _Dated(InMemorySender):
    """Puts the service's clock into every answer, as HTTP servers do."""

    async def send(self, request: Request, connect_within: float | None, deadline: Deadline | None = None) -> Reply:
        answer = await super().send(request, connect_within, deadline)
        date = format_datetime(datetime.fromtimestamp(self._world.now(), UTC), usegmt=True)
        return attrs.evolve(answer, headers=Headers((*answer.headers.raw, (b"Date", date.encode()))))


def shows(state: object, session_id: str = SESSION, **fields: Any) -> Reply:
    """An answer of retrieve."""
    session = {"id": session_id, "sessionState": {"status": state} if isinstance(state, str) else state, **fields}
    return reply(200, {"requestId": "r", "status": "SUCCESS", "data": [session]})


def scripted(*outcomes: Any, always: Any = None, **options: Any) -> tuple[AsyncShellEV, FakeSender]:
    """A client whose answers are given; it never tries twice, so that each answer is one look."""
    sender = FakeSender(*outcomes, always=always)
    return client_over(sender, max_retries=0, **options), sender


class Problems(list[tuple[str | None, ShellEVError]]):
    """A callback for errors that polling tolerates, that remembers."""

    def __call__(self, session_id: str | None, error: ShellEVError) -> None:
        self.append((session_id, error))

    @property
    def names(self) -> list[str]:
        """The classes of the errors."""
        return [type(error).__name__ for _, error in self]


def errors_logged(caplog: Any) -> list[str]:
    """What was logged at level ERROR."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def tasks_left() -> set[asyncio.Task[Any]]:
    """Tasks of this loop besides the test's own."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def settled() -> None:
    """Let what was cancelled or closed come to its end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def states(charge: AsyncCharge) -> list[str]:
    """Every state a charge shows from now on until it is over."""
    return [session.state.value if session.state else "" async for session in charge.changes()]
