"""Raw probes: look a name up, connect, encrypt, ask for the head of an answer. Each bounded by a time of its own.

Knows sockets and TLS, but not what an outcome means; raises what asyncio, socket and ssl raise.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import urlsplit

import attrs

from .._version import __version__

_HEAD_LIMIT = 64 * 1024
_MOST_HEADERS = 500


@attrs.frozen
class Origin:
    """Scheme, host and port that requests go to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a URL that has been checked."""
        parts = urlsplit(url)
        encrypted = parts.scheme == "https"
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii")
        return cls(parts.scheme, host, parts.port or (443 if encrypted else 80))

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port, as CONNECT wants them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As a URL, without a slash at the end."""
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this very machine."""
        address = as_address(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)


def as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host that is an address already; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def look_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, in the order to try them. Raises OSError, TimeoutError among them, and UnicodeError."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def deliver(addresses: list[str] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(addresses or [])

    def ask() -> None:
        addresses, failure = None, None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits
            loop.call_soon_threadsafe(deliver, addresses, failure)

    # A thread of its own, that nobody joins: the executor's would hold up the end of the program until a dead name
    # server has been given up, and no resolver call can be cancelled.
    threading.Thread(target=ask, name="shell_ev doctor look-up", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await answer


@attrs.frozen
class Stream:
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session, None before :func:`encrypt`."""
        found: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return found


@attrs.frozen
class Attempt:
    """One address that was tried."""

    address: str
    seconds: float
    error: OSError | None = None
    """Also a TimeoutError."""


async def try_address(address: str, port: int, seconds: float) -> Attempt:
    """Connect to one address, and hang up."""
    began = time.monotonic()
    try:
        async with connected(address, port, seconds):
            return Attempt(address, time.monotonic() - began)
    except OSError as error:
        return Attempt(address, time.monotonic() - began, error)


@contextlib.asynccontextmanager
async def connected(host: str, port: int, seconds: float) -> AsyncGenerator[Stream, None]:
    """A connection for a block. Raises OSError, TimeoutError among them."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port, limit=_HEAD_LIMIT)
    stream = Stream(reader, writer)
    try:
        yield stream
    finally:
        # Not closed with a farewell: a silent peer would be waited for.
        writer.transport.abort()
        await asyncio.sleep(0)


async def encrypt(stream: Stream, context: ssl.SSLContext, host: str, seconds: float) -> None:
    """Put TLS over a connection. Raises ssl.SSLError, OSError, TimeoutError."""
    async with asyncio.timeout(seconds):
        await stream.writer.start_tls(context, server_hostname=host)


@attrs.frozen
class Head:
    """The beginning of an HTTP answer."""

    status: int
    reason: str
    headers: dict[str, str]
    """Names in lower case."""


class NotHttp(Exception):
    """Something answered that is no HTTP."""


async def ask(stream: Stream, lines: Sequence[str], seconds: float) -> Head:
    """Send a request without a body and read the head of its answer.

    Raises NotHttp, EOFError, OSError, TimeoutError among them.
    """
    request = "\r\n".join((*lines, f"User-Agent: shell_ev/{__version__} doctor", "Connection: close", "", ""))
    try:
        async with asyncio.timeout(seconds):
            stream.writer.write(request.encode("latin-1"))
            await stream.writer.drain()
            return await _read_head(stream.reader)
    except ValueError:  # from the reader
        raise NotHttp("a line without end") from None


async def _read_head(reader: asyncio.StreamReader) -> Head:
    first = await reader.readline()
    if not first:
        raise EOFError
    version, _, tail = first.decode("latin-1").strip().partition(" ")
    status, _, reason = tail.partition(" ")
    if not version.startswith("HTTP/") or not (status.isascii() and status.isdigit() and len(status) == 3):
        raise NotHttp(repr(first[:40])[1:])
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
        if len(headers) > _MOST_HEADERS:
            raise NotHttp("more headers than anybody sends")
    return Head(int(status), reason.strip(), headers)
