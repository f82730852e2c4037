"""Plain records that cross the border between the sandbox's sockets and its logic."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs


class Dialect(enum.StrEnum):
    """The three ways in which the service has spoken over the years."""

    V1_PASCAL = "v1-pascal"
    """G1.0 of the contract: PascalCase, session id in the path, plain-text state."""
    V1 = "v1"
    """G1.3 of the contract: camelCase under /ev/v1."""
    V2 = "v2"
    """G2 of the contract: camelCase under /ev/v2."""


class Ending(enum.StrEnum):
    """What happens on the connection once a reply is due."""

    NORMAL = "normal"
    """The reply goes out whole."""
    CLOSE = "close"
    """The connection is closed and nothing is sent."""
    RESET = "reset"
    """The connection is reset (TCP RST) and nothing is sent."""
    TRUNCATED = "truncated"
    """Headers announce the whole body, half of it is sent, then the connection closes."""
    HANG = "hang"
    """Nothing is sent for as long as the client waits."""


@attrs.frozen
class SandboxRequest:
    """One request as it arrived."""

    method: str
    path: str
    """Path as sent, still percent-encoded, without the query."""
    query: tuple[tuple[str, str], ...] = ()
    """Decoded pairs in the order of the URL."""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a header by its name in any case; None when it is absent.

        Args:
            name: Its name.
        """
        value = self.headers.get(name)
        if value is not None:
            return value
        wanted = name.lower()
        for key, found in self.headers.items():
            if key.lower() == wanted:
                return found
        return None

    def argument(self, name: str) -> str | None:
        """Return the first query argument of that exact spelling, None when it is absent.

        Args:
            name: Its name.
        """
        for key, value in self.query:
            if key == name:
                return value
        return None


@attrs.frozen
class SandboxReply:
    """One reply and the way it has to leave."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    delay: float = 0.0
    """Real seconds to wait before anything is sent."""
    ending: Ending = Ending.NORMAL
