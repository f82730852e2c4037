"""What a client and its copies share: connections per event loop, the token, and whether the client is closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from ..dialects import ApiVersion
from ..errors import ConfigurationError
from ..redaction import Secret
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
    """Number of forks between this process and the one that imported the library."""
    return _forks


class Bearer(NamedTuple):
    """A token as text, and the Authorization header made of it."""

    token: Secret
    header: Secret


class LoopResources(NamedTuple):
    """What belongs to one event loop: its clock, its connections and its deadlines."""

    timers: Timers
    sender: Sender
    deadlines: DeadlineSweeper


def not_pickled(self: object) -> NoReturn:
    """The ``__reduce__`` of a client and of all objects that use its connections."""
    raise TypeError(
        f"{type(self).__name__} holds credentials and connections and is not pickled; make a client where it is used, "
        "and attach a charge to it by its session_id"
    )


class Connections:
    """Connections, token and state of one client; ``with_options`` copies share it and only the client closes it."""

    def __init__(
        self,
        source: TokenSource | ClientCredentials,
        make_sender: Callable[[], Sender],
        make_cache: Callable[[ClientCredentials], TokenCache],
        make_timers: Callable[[asyncio.AbstractEventLoop], Timers],
    ) -> None:
        self.source: TokenCache | ValidatedSource = (
            make_cache(source) if isinstance(source, ClientCredentials) else ValidatedSource(source)
        )
        self._make_sender = make_sender
        self._make_timers = make_timers
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopResources] = {}
        self._forks = _forks
        self._closed = False
        self._bearer = Bearer(Secret(), Secret())
        #: Where the service was seen to echo our RequestId: operation, URL of the API, dialect.
        self.echoing: set[tuple[str, str, ApiVersion]] = set()

    def bearer(self, token: AccessToken) -> Bearer:
        """The header of a token: one text for all calls that use the token, where each of its own takes 1 KiB."""
        if self._bearer.token != token.value:
            self._bearer = Bearer(Secret(token.value), Secret(f"Bearer {token.value}"))
        return self._bearer

    def resources(self) -> LoopResources:
        """The resources of the running loop, made on first use.

        Raises:
            ConfigurationError: No loop runs here, the client is closed, or it was made before a fork.
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

    def cut_off(self) -> None:
        """Abandon every connection. Later calls find the client closed."""
        self._closed = True
        for resources in self._by_loop.values():
            self._abandon(resources)

    async def aclose(self) -> None:
        """Close the connections of the running loop and abandon those of closed loops. Idempotent."""
        running = running_loop()
        self._closed = True
        if self._forks != _forks:
            # Closing would write a TLS alert into sockets that the parent process uses.
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
