"""What a client and its copies share: connections per event loop, the token, and whether it may still be used."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from ..errors import ConfigurationError
from .auth import AccessToken, ClientCredentials, TokenCache, TokenSource, ValidatedSource
from .call import Sender
from .deadlines import DeadlineSweeper
from .runtime import Timers, running_loop

_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def fork_count() -> int:
    """How many forks lie between this process and the one that imported the library."""
    return _forks


class LoopResources(NamedTuple):
    """What belongs to one event loop: its connections and the watch over its deadlines."""

    timers: Timers
    sender: Sender
    deadlines: DeadlineSweeper


def not_pickled(self: object) -> NoReturn:
    """The ``__reduce__`` of a client and of all that hangs on it."""
    raise TypeError(
        f"{type(self).__name__} holds credentials and connections and is not pickled; make a client where it is used, "
        "and attach a charge to it by its session_id"
    )


class Connections:
    """Made once per client; ``with_options`` copies point at the same one and only the client closes it."""

    def __init__(
        self,
        source: TokenSource | ClientCredentials,
        make_sender: Callable[[], Sender],
        make_cache: Callable[[ClientCredentials], TokenCache],
        make_timers: Callable[[asyncio.AbstractEventLoop], Timers],
    ) -> None:
        self.source = make_cache(source) if isinstance(source, ClientCredentials) else ValidatedSource(source)
        self._make_sender = make_sender
        self._make_timers = make_timers
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopResources] = {}
        self._forks = _forks
        self._closed = False
        self._bearer = ("", "")

    def bearer(self, token: AccessToken) -> str:
        """The header of a token, the same text for every call that waits with it: most of a KiB each otherwise."""
        if self._bearer[0] != token.value:
            self._bearer = token.value, f"Bearer {token.value}"
        return self._bearer[1]

    def resources(self) -> LoopResources:
        """Connections for the running loop, opened on first use.

        Raises ConfigurationError where there is no loop, or if this client must not be used any more.
        """
        if self._closed:
            raise ConfigurationError("this client is closed; make a new one")
        if self._forks != _forks:
            raise ConfigurationError(
                "this client was made before a fork and its connections belong to the parent process; "
                "make a new client in the child (in a post-fork or worker-start hook)"
            )
        loop = running_loop()
        resources = self._by_loop.get(loop)
        if resources is None:
            self._forget_dead_loops()
            timers = self._make_timers(loop)
            resources = self._by_loop[loop] = LoopResources(timers, self._make_sender(), DeadlineSweeper(timers))
        return resources

    def _forget_dead_loops(self) -> None:
        for loop in [loop for loop in self._by_loop if loop.is_closed()]:
            self._abandon(self._by_loop.pop(loop))

    def _abandon(self, resources: LoopResources) -> None:
        resources.deadlines.close()
        abandon = getattr(resources.sender, "abandon", None)
        if abandon is not None:
            abandon()

    async def aclose(self) -> None:
        """Close the connections of the running loop and abandon those of loops that are gone. Idempotent."""
        running = running_loop()
        self._closed = True
        if self._forks != _forks:
            # Closing would write a farewell into sockets that the parent process is using.
            for resources in self._by_loop.values():
                self._abandon(resources)
            self._by_loop.clear()
            return
        if isinstance(self.source, TokenCache):
            await self.source.aclose()
        self._forget_dead_loops()
        for loop, resources in list(self._by_loop.items()):
            if loop is running:
                del self._by_loop[loop]
                resources.deadlines.close()
                await resources.sender.aclose()
