"""The only room that imports aiohttp's client: one try over the network, its exceptions translated.

Knows nothing of tokens, retries or what an answer means.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from ..errors import ConfigurationError
from ..models.response import Headers
from ..options import ClientConfig
from .call import Reply, Request, SendFailure
from .deadlines import Deadline
from .proxies import proxy_for

#: Larger than aiohttp's own: takes a sixth off a page of locations and costs a small answer nothing.
_READ_BUFFER: Final = 256 * 1024
_USERINFO: Final = re.compile(r"//[^/\s]*@")
_NO_CONTENT_TYPE: Final = frozenset({"Content-Type"})

_ADDRESSES = ("Connect call failed", "Multiple exceptions")
_NOT_SENT = (
    aiohttp.ClientConnectorError,  # refused, DNS, TLS handshake and, through its heirs, the proxy
    aiohttp.ClientSSLError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    UnicodeError,  # a host name that no resolver can be asked for
)

Listening = dict["asyncio.Task[Any] | None", Deadline]


class _Connector(aiohttp.TCPConnector):
    """A connector that can be let go of: aiohttp's finaliser complains, and works on a loop that may not be ours.

    In a forked child that loop's selector is the parent's own: unregistering there would make the parent deaf. The
    sockets are closed when they are collected.
    """

    listening: Listening
    abandoned_unclosed = False

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout, **more: Any
    ) -> aiohttp.connector.Connection:
        """As it was, and from here on the server's silence is counted."""
        connection = await super().connect(req, traces, timeout, **more)
        deadline = self.listening.get(asyncio.current_task())
        if deadline is not None:
            deadline.restart_idle()
        return connection

    def __del__(self, *args: Any) -> None:
        if not self.abandoned_unclosed:
            super().__del__(*args)


class Transport:
    """Connections of one client on one event loop."""

    def __init__(self, config: ClientConfig, http_session: aiohttp.ClientSession | None) -> None:
        self._config = config
        self._ours = http_session is None
        #: By task: the call under way in it.
        self._listening: Listening = {}
        self._timeout = _client_timeout(config.timeout.connect, None if self._ours else config.timeout.read)
        self._headers = {"Accept": "application/json", "User-Agent": config.user_agent}
        self._session = http_session if http_session is not None else self._open()
        self._options = self._usual_options()
        self._proxies: dict[str, str | None] = {}

    def _open(self) -> aiohttp.ClientSession:
        connector = _Connector(limit=self._config.max_connections)
        connector.listening = self._listening
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Here once and not with each request: 0.5 us a header.
            headers=self._headers,
            timeout=self._timeout,
            read_bufsize=_READ_BUFFER,
            # Proxies from the environment are looked up below: aiohttp's own switch would read .netrc as well.
            trust_env=False,
        )

    async def send(self, request: Request, connect_within: float | None, deadline: Deadline) -> Reply:
        """Send once. Never follows a redirect. Raises SendFailure when no whole answer came."""
        session = self._session
        if session.closed:
            whose = "this client" if self._ours else "the aiohttp.ClientSession of this client"
            raise ConfigurationError(f"{whose} is closed")
        # No name for the task here: a frame that holds it, held by the error it ends with, is a cycle.
        self._listening[deadline.task] = deadline
        # aiohttp's own watch over silence sets a timer for every piece (5 % of a call); on our own connections there
        # is better.
        deadline.idle_timeout = request.timeout.read if self._ours else None
        try:
            headers = request.headers if self._ours else {**self._headers, **request.headers}
            response = await session.request(
                request.method, request.url, headers=headers, **self._options_for(request, connect_within)
            )
            if response.content.is_eof():
                # Nearly always: all of it came with its head, and needs no waiting for.
                body = response.content.read_nowait()
                oversized = len(body) > request.max_bytes
                if oversized:
                    body = body[: request.max_bytes]
            else:
                body, oversized = await self._read(response, request, deadline)
            if not response.closed:
                response.release()
        except asyncio.CancelledError as cancellation:
            if deadline.take_idle_expiry():
                raise SendFailure("no answer in time", sent=True, timed_out=True) from cancellation
            if self._session.closed and not deadline.asked_to_end():
                # Closing ends the wait for a free connection like this.
                raise ConfigurationError("this client was closed during the call; nothing was sent") from cancellation
            raise
        except ConfigurationError:
            raise
        except Exception as error:
            # A ClientResponseError holds the request with its Authorization header: it must not show in a report.
            raise _translated(error) from (None if isinstance(error, aiohttp.ClientResponseError) else error)
        finally:
            self._listening.pop(deadline.task, None)
            deadline.stop_idle()
        return Reply(response.status, Headers(response.raw_headers), body, oversized)

    async def _read(self, response: aiohttp.ClientResponse, request: Request, deadline: Deadline) -> tuple[bytes, bool]:
        """What is still to come, piece by piece."""
        kept: list[bytes] = []
        size = 0
        try:
            deadline.restart_idle()
            # Counted after decompression: a small body can unpack into a large one.
            while chunk := await response.content.readany():
                size += len(chunk)
                if size > request.max_bytes:
                    kept.append(chunk[: request.max_bytes - size])
                    response.close()
                    return b"".join(kept), True
                kept.append(chunk)
                deadline.restart_idle()
        except BaseException:
            response.close()
            raise
        return b"".join(kept), False

    def _usual_options(self) -> dict[str, Any]:
        """What every request has to say. What our own session knows need not be said: an option costs 0.2 us."""
        options: dict[str, Any] = {"allow_redirects": False}
        if not self._ours:
            options |= {"raise_for_status": False, "timeout": self._timeout}
        if self._config.ssl is not None:
            options["ssl"] = self._config.ssl
        if self._config.proxy is not None:
            options["proxy"] = self._config.proxy
        return options

    def _options_for(self, request: Request, connect_within: float | None) -> dict[str, Any]:
        options, usual = self._options, self._timeout
        connect, read = request.timeout.connect, None if self._ours else request.timeout.read
        if connect_within is not None and (connect is None or connect_within < connect):
            connect = connect_within
        if connect != usual.connect or read != usual.sock_read:
            options = {**options, "timeout": _client_timeout(connect, read)}
        if request.method != "GET":
            # Without being told aiohttp gives a POST without a body a Content-Type of its own.
            bodily = {"data": request.body} if request.body is not None else {"skip_auto_headers": _NO_CONTENT_TYPE}
            options = {**options, **bodily}
        if self._config.trust_env:
            options = {**options, "proxy": self._proxy(request.url)}
        return options

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        if key not in self._proxies:
            self._proxies[key] = proxy_for(self._config, url)
        return self._proxies[key]

    async def aclose(self) -> None:
        """Close the connections, unless the session is the caller's."""
        if self._ours:
            await self._session.close()

    def abandon(self) -> None:
        """Let go of connections whose loop is gone or belongs to another process, without a sound."""
        if self._ours and not self._session.closed:
            connector = self._session.connector
            if isinstance(connector, _Connector):
                connector.abandoned_unclosed = True
            self._session.detach()


def _client_timeout(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    # aiohttp rounds longer timeouts up to whole seconds unless told where that begins.
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read, ceil_threshold=float("inf"))


def _translated(error: Exception) -> Exception:
    # A proxy's URL comes with its password. Not cut here: half a token is not known for what it is.
    reason = _USERINFO.sub("//***@", _in_words(error))
    if isinstance(error, _NOT_SENT):
        timed_out = isinstance(error, asyncio.TimeoutError)
        return SendFailure("no connection in time" if timed_out else reason, sent=False, timed_out=timed_out)
    if isinstance(error, asyncio.TimeoutError):
        return SendFailure("no answer in time", sent=True, timed_out=True)
    if isinstance(error, ValueError) and "AUTHORIZATION" in str(error):
        return ConfigurationError("the given aiohttp.ClientSession has credentials of its own; give one without auth=")
    return SendFailure(reason, sent=True)


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", None) or str(error.certificate_error)
        return f"cannot connect to {_address(error)}: its certificate is not trusted: {why}"
    if isinstance(error, aiohttp.ClientConnectorError):
        whose = "the proxy " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        why = _cause(error.os_error)
        if isinstance(error.os_error, ssl.SSLError):
            why = f"no TLS there ({why})"
        return f"cannot connect to {whose}{_address(error)}: {why}"
    if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
        # Its text has a status in it that nobody sent, and the URL with its ids.
        return f"what came is no HTTP: {error.message}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _address(error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    host = str(error.host)
    return f"[{host}]:{error.port}" if ":" in host else f"{host}:{error.port}"


def _cause(error: OSError) -> str:
    # Text and number are what they should be only by custom: a connector of the caller's may raise anything.
    code, said = error.errno, str(error.strerror or error)
    if isinstance(code, int) and code in errno.errorcode and said.startswith(_ADDRESSES):
        # asyncio puts addresses in place of the system's words, and who was asked is told already.
        return os.strerror(code)
    return said
