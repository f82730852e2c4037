"""Observers that remember, and clients that are watched by them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fakes import call

from shell_ev import AsyncShellEV, ClientCredentials
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.core.transport import Transport
from shell_ev.observing import CallEnded, CallInfo, CallObserver, Observer, TryEnded, Waiting
from shell_ev.options import make_config
from shell_ev.sandbox import Sandbox


class RecordedCall(CallObserver):
    """What was told of one call."""

    def __init__(self, info: CallInfo, everything: list[tuple[str, Any]]) -> None:
        self.info = info
        self.tries: list[TryEnded] = []
        self.waits_seen: list[Waiting] = []
        self.ends: list[CallEnded] = []
        self._everything = everything

    @property
    def end(self) -> CallEnded:
        assert len(self.ends) == 1, "a call ends once"
        return self.ends[0]

    def try_ended(self, event: TryEnded) -> None:
        self.tries.append(event)
        self._everything.append(("try_ended", event))

    def waits(self, event: Waiting) -> None:
        self.waits_seen.append(event)
        self._everything.append(("waits", event))

    def ended(self, event: CallEnded) -> None:
        self.ends.append(event)
        self._everything.append(("ended", event))


class Recorder(Observer):
    """Remembers all that it is told."""

    def __init__(self) -> None:
        self.calls: list[RecordedCall] = []
        self.tokens: list[RecordedCall] = []
        self.everything: list[tuple[str, Any]] = []

    def call_began(self, call: CallInfo) -> CallObserver:
        self.everything.append(("call_began", call))
        self.calls.append(RecordedCall(call, self.everything))
        return self.calls[-1]

    def token_began(self, call: CallInfo) -> CallObserver:
        self.everything.append(("token_began", call))
        self.tokens.append(RecordedCall(call, self.everything))
        return self.tokens[-1]

    @property
    def only(self) -> RecordedCall:
        """The one call there was."""
        assert len(self.calls) == 1
        return self.calls[0]

    @property
    def hooks(self) -> list[str]:
        """The names of what was told, in order."""
        return [hook for hook, _ in self.everything]


@asynccontextmanager
async def watched(sandbox: Sandbox, *observers: Observer, **options: Any) -> AsyncIterator[AsyncShellEV]:
    """A client of the sandbox over real sockets, whose waits between tries are as short as they get."""
    http_session = options.pop("http_session", None)
    config = make_config(**{"base_url": sandbox.url, "timeout": 5, **options}, observer=observers)
    source = ClientCredentials(sandbox.client_id, sandbox.client_secret)
    hooks = Hooks(jitter=lambda _: 0.0)
    manager = SessionManager(config, source, lambda: Transport(config, http_session), hooks=hooks)
    async with AsyncShellEV._over(manager) as ev:
        yield ev


async def outcome(client: AsyncShellEV, operation: str, **options: Any) -> Any:
    """The answer of a charging operation, or the error it raised."""
    try:
        return await call(client, operation, **options)
    except Exception as error:
        return error
