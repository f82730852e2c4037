"""Connections for the checks: DNS look-up, TCP, TLS, the head of an HTTP answer, and proxies.

Each step has its own time limit. Direct connections raise what asyncio, socket and ssl raise; a proxy's faults are
:class:`~.plan.CheckFailed`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import unquote, urlsplit

import attrs

from .._version import __version__
from .plan import CheckFailed, Limits

_HEAD_LIMIT = 64 * 1024
_MOST_HEADERS = 500
#: Path of the request without a token. Not the root: there a web page may answer, of another server.
PROBE_PATH = "/ev"


@attrs.frozen
class Origin:
    """Scheme, host and port that requests go to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a valid URL."""
        parts = urlsplit(url)
        encrypted = parts.scheme == "https"
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii")
        return cls(parts.scheme, host, parts.port or (443 if encrypted else 80))

    @property
    def encrypted(self) -> bool:
        """Whether the scheme is https."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port, as CONNECT takes them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The origin as a URL, without a slash at the end."""
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine."""
        address = as_address(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)


def as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host that is an IP address; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def look_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, in the order to connect to. Raises OSError, UnicodeError or TimeoutError."""
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
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, addresses, failure)

    # getaddrinfo cannot be cancelled: an executor's thread would delay the end of the program, a daemon does not.
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
        """The TLS session; None before :func:`encrypt`."""
        found: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return found


@attrs.frozen
class Attempt:
    """Result of one attempt to connect to an address."""

    address: str
    seconds: float
    error: OSError | None = None
    """Also a TimeoutError."""


async def try_address(address: str, port: int, seconds: float) -> Attempt:
    """Connect to one address and close the connection."""
    began = time.monotonic()
    try:
        async with connected(address, port, seconds):
            return Attempt(address, time.monotonic() - began)
    except OSError as error:
        return Attempt(address, time.monotonic() - began, error)


@contextlib.asynccontextmanager
async def connected(host: str, port: int, seconds: float) -> AsyncGenerator[Stream, None]:
    """A TCP connection for a block. Raises OSError or TimeoutError."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port, limit=_HEAD_LIMIT)
    stream = Stream(reader, writer)
    try:
        yield stream
    finally:
        # Aborted: a clean close would wait for a peer that may be silent.
        writer.transport.abort()
        await asyncio.sleep(0)


async def encrypt(stream: Stream, context: ssl.SSLContext, host: str, seconds: float) -> None:
    """Start TLS on a connection. Raises ssl.SSLError, OSError or TimeoutError."""
    async with asyncio.timeout(seconds):
        await stream.writer.start_tls(context, server_hostname=host)


@attrs.frozen
class Head:
    """Status line and headers of an HTTP answer."""

    status: int
    reason: str
    headers: dict[str, str]
    """Names in lower case."""


class NotHttp(Exception):
    """The answer is not HTTP."""


async def ask(stream: Stream, lines: Sequence[str], seconds: float) -> Head:
    """Send a request without a body and read the head of its answer.

    Raises NotHttp, EOFError, OSError or TimeoutError.
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
            raise NotHttp(f"more than {_MOST_HEADERS} headers")
    return Head(int(status), reason.strip(), headers)


@attrs.frozen
class Proxy:
    """A proxy: http or https, CONNECT for https targets and absolute URLs for http targets."""

    url: str = attrs.field(repr=False)
    """With user and password, therefore not in the repr."""
    origin: Origin

    @classmethod
    def of(cls, url: str) -> Proxy:
        """The proxy of a valid URL."""
        return cls(url, Origin.of(url))

    @property
    def has_login(self) -> bool:
        """Whether the URL has a user name."""
        return urlsplit(self.url).username is not None

    @property
    def login(self) -> tuple[str, ...]:
        """The Proxy-Authorization header line; empty without a user name."""
        parts = urlsplit(self.url)
        if parts.username is None:
            return ()
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return (f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}",)


@contextlib.asynccontextmanager
async def _reached(proxy: Proxy, limits: Limits, trusted: ssl.SSLContext) -> AsyncGenerator[Stream, None]:
    """A connection to the proxy itself. Raises CheckFailed."""
    where = proxy.origin
    try:
        addresses = await look_up(where.host, where.port, limits.look_up)
    except (OSError, UnicodeError):
        raise CheckFailed(f"the proxy's host name {where.host} is not found in DNS", _CHECK_PROXY) from None
    async with contextlib.AsyncExitStack() as stack:
        stream, failure = None, "has no address"
        for address in addresses:
            try:
                stream = await stack.enter_async_context(connected(address, where.port, limits.connect))
                break
            except TimeoutError:
                failure = f"does not answer within {limits.connect:g} s"
            except ConnectionRefusedError:
                failure = "refuses the connection: nothing listens there"
            except OSError as error:
                failure = f"cannot be reached: {error.strerror or type(error).__name__}"
        if stream is None:
            raise CheckFailed(f"the proxy {where.authority} {failure}", _CHECK_PROXY)
        if where.encrypted:
            try:
                await encrypt(stream, trusted, where.host, limits.handshake)
            except (OSError, ssl.SSLError) as error:
                reason = getattr(error, "reason", None) or type(error).__name__
                raise CheckFailed(
                    f"no TLS with the proxy {where.authority}: {reason}",
                    f"Is it an https proxy? Most are written http://. {_CHECK_PROXY}",
                ) from None
        yield stream


_CHECK_PROXY = (
    "Check the proxy's address (proxy=, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY), or leave it out if this network needs "
    "none; NO_PROXY=host makes an exception."
)


@contextlib.asynccontextmanager
async def tunnel(proxy: Proxy, target: Origin, limits: Limits, trusted: ssl.SSLContext) -> AsyncGenerator[Stream, None]:
    """A connection to the target through the proxy, by CONNECT. Raises CheckFailed for a refusal."""
    async with _reached(proxy, limits, trusted) as stream:
        lines = (f"CONNECT {target.authority} HTTP/1.1", f"Host: {target.authority}", *proxy.login)
        head = await _proxy_answer(proxy, stream, lines, limits)
        if not 200 <= head.status <= 299:
            raise _refusal(proxy, target, head)
        yield stream


async def ask_through(proxy: Proxy, target: Origin, limits: Limits, trusted: ssl.SSLContext) -> Head:
    """The head of the target's answer to a plain-http GET through the proxy. Raises CheckFailed for a refusal."""
    async with _reached(proxy, limits, trusted) as stream:
        lines = (
            f"GET {target.url}{PROBE_PATH} HTTP/1.1",
            f"Host: {target.authority}",
            "Accept: application/json",
            *proxy.login,
        )
        head = await _proxy_answer(proxy, stream, lines, limits)
    # 407 always comes from the proxy. The API answers JSON; the error page of a proxy is not JSON.
    from_proxy = head.status == 407 or "json" not in head.headers.get("content-type", "").lower()
    if from_proxy and head.status in (403, 407, 502, 503, 504):
        raise _refusal(proxy, target, head)
    return head


async def _proxy_answer(proxy: Proxy, stream: Stream, lines: tuple[str, ...], limits: Limits) -> Head:
    where = proxy.origin.authority
    try:
        return await ask(stream, lines, limits.hello)
    except NotHttp as error:
        raise CheckFailed(f"what listens at {where} is no HTTP proxy: it answers {error}", _CHECK_PROXY) from None
    except TimeoutError:
        raise CheckFailed(f"the proxy {where} does not answer within {limits.hello:g} s", _CHECK_PROXY) from None
    except (OSError, EOFError):
        raise CheckFailed(
            f"the proxy {where} closes the connection without an answer: is it an HTTP proxy?", _CHECK_PROXY
        ) from None


def _refusal(proxy: Proxy, target: Origin, head: Head) -> CheckFailed:
    answer = f"{head.status} {head.reason}".strip()
    where = proxy.origin.authority
    if head.status == 407:
        scheme = head.headers.get("proxy-authenticate", "").partition(" ")[0]
        if scheme and scheme.lower() != "basic":
            return CheckFailed(
                f"the proxy {where} requires {scheme} authentication (it answers {answer})",
                "shell_ev logs in to a proxy with user name and password (Basic) only. Ask the proxy's administrator "
                "for such a login, or for an exception for this host.",
            )
        if proxy.has_login:
            return CheckFailed(
                f"the proxy {where} refuses the user name and password given (it answers {answer})",
                "Correct them in the proxy's URL; characters such as @ : / in them have to be percent-encoded.",
            )
        return CheckFailed(
            f"the proxy {where} requires a user name and a password (it answers {answer})",
            "Write them into the proxy's URL, in front of the host: user:password@host:port.",
        )
    if head.status == 403:
        return CheckFailed(
            f"the proxy {where} refuses to connect to {target.authority} (it answers {answer})",
            f"Ask the proxy's administrator to allow {target.authority}.",
        )
    if head.status in (502, 503, 504):
        return CheckFailed(
            f"the proxy {where} cannot reach {target.authority} (it answers {answer})",
            f"Is the host right? If so, ask the proxy's administrator why it cannot reach {target.authority}.",
        )
    return CheckFailed(f"the proxy {where} does not connect to {target.authority}: it answers {answer}", _CHECK_PROXY)
