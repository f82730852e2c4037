"""One attempt over the network with aiohttp, and the translation of its exceptions."""

from __future__ import annotations

import asyncio
import errno
import functools
import math
import os
import re
import select
import ssl
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from ..errors import ConfigurationError, one_line
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
    aiohttp.ClientConnectorError,  # refused, DNS, TLS handshake and, by inheritance, the proxy
    aiohttp.ClientSSLError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    UnicodeError,  # a host name that DNS cannot hold
)


class _Attempt:
    """One request on its way: its deadline, and the connection once there is one."""

    __slots__ = ("connecting", "deadline", "protocol")

    def __init__(self, deadline: Deadline, connecting: bool) -> None:
        self.deadline = deadline
        #: True until the connector gives a connection: until then nothing of the request was sent.
        self.connecting = connecting
        self.protocol: _Connection | None = None


_data_received = ResponseHandler.data_received  # found here faster than by super()

#: The attempt of the running task. Set to None at the end and not reset: a coroutine may be closed in another context.
_active_attempt: ContextVar[_Attempt | None] = ContextVar("_active_attempt", default=None)


class _Connection(ResponseHandler):
    """aiohttp's protocol; each piece of data restarts the idle timeout, and data in the pool ends the connection's use.

    aiohttp's own read timeout sets a timer for each piece, which is 5 % of a call.
    """

    deadline: Deadline | None = None
    was_used = False

    def data_received(self, data: bytes) -> None:
        """Data from the socket."""
        deadline = self.deadline
        if deadline is not None:
            deadline.restart_idle()
        elif data:
            self.force_close()
        _data_received(self, data)

    def set_exception(self, exc: BaseException, *more: Any, **named: Any) -> None:
        """A failed connection. aiohttp's C parser does not pass the error of a chunk on to the reader of the body."""
        super().set_exception(exc, *more, **named)
        body = getattr(self, "_payload", None)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)


class _Connector(aiohttp.TCPConnector):
    """Checks a pooled connection before it is used again, and can be dropped unclosed.

    aiohttp's ``__del__`` warns and touches the loop, which after a fork is the parent's: unregistering a socket there
    would stop the parent from reading it.
    """

    abandoned_unclosed = False

    def use_own_protocol(self) -> None:
        """Make each new connection a :class:`_Connection`. aiohttp has no public way to say so."""
        factory: Any = functools.partial(_Connection, loop=asyncio.get_running_loop())
        self._factory = factory

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout, **more: Any
    ) -> aiohttp.connector.Connection:
        """A connection without unread data. From here on the idle timeout runs."""
        attempt = _active_attempt.get()
        while True:
            connection = await super().connect(req, traces, timeout, **more)
            protocol: Any = connection.protocol
            if not protocol.was_used:
                protocol.was_used = True
            elif protocol.should_close or (req.method != "GET" and _is_readable(protocol.transport)):
                connection.close()
                continue
            if attempt is not None:
                protocol.deadline = deadline = attempt.deadline
                attempt.protocol = protocol
                attempt.connecting = False
                deadline.restart_idle()
            return connection

    def __del__(self, *args: Any) -> None:
        if not self.abandoned_unclosed:
            super().__del__(*args)


def _is_readable(transport: asyncio.BaseTransport | None) -> bool:
    """Whether the socket holds data, or its end, that the loop has not read yet. 1 us, so only for starts and stops."""
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None:
        return False
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock.fileno()], [], [], 0)[0])


class Transport:
    """Connections of one client on one event loop."""

    def __init__(self, config: ClientConfig, http_session: aiohttp.ClientSession | None) -> None:
        self._config = config
        self._ours = http_session is None
        if http_session is not None and not (hasattr(http_session, "request") and hasattr(http_session, "closed")):
            raise ConfigurationError(
                f"http_session must be an aiohttp.ClientSession, not {type(http_session).__name__}"
            )
        self._timeout = _client_timeout(config.timeout.connect, None if self._ours else config.timeout.read)
        self._headers = {"Accept": "application/json", "User-Agent": config.user_agent}
        self._session = http_session if http_session is not None else self._open()
        self._options = self._usual_options()
        self._proxies: dict[str, str | None] = {}

    def _open(self) -> aiohttp.ClientSession:
        connector = _Connector(limit=self._config.max_connections)
        connector.use_own_protocol()
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
            owner = "this client" if self._ours else "the aiohttp.ClientSession of this client"
            raise ConfigurationError(f"{owner} is closed")
        attempt = _Attempt(deadline, self._ours)
        _active_attempt.set(attempt)
        # A session of the caller's has aiohttp's read timeout instead.
        read = request.timeout.read
        deadline.idle_timeout = read if self._ours and read is not None else math.inf
        try:
            headers = request.headers if self._ours else {**self._headers, **request.headers}
            response = await session.request(
                request.method, request.url, headers=headers, **self._options_for(request, connect_within)
            )
            if response.content.is_eof():
                # Nearly always: all of it came with its head.
                body = response.content.read_nowait()
                oversized = len(body) > request.max_bytes
                if oversized:
                    body = body[: request.max_bytes]
            else:
                body, oversized = await self._read(response, request)
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
            raise _translated(error, connecting=attempt.connecting) from _cause_of(error)
        finally:
            _active_attempt.set(None)
            protocol = attempt.protocol
            if protocol is not None and protocol.deadline is deadline:
                protocol.deadline = None  # idle now: data that arrives from here on belongs to no request
            deadline.stop_idle()
        if not self._ours:
            protocol = getattr(response, "_protocol", None)
        discard = None if protocol is None else protocol.close
        return Reply(response.status, Headers(response.raw_headers), body, oversized, discard)

    async def _read(self, response: aiohttp.ClientResponse, request: Request) -> tuple[bytes, bool]:
        """The rest of the body, piece by piece, and whether it was cut at the size limit."""
        kept: list[bytes] = []
        size = 0
        try:
            # Counted after decompression: a small body can unpack into a large one.
            while chunk := await response.content.readany():
                size += len(chunk)
                if size > request.max_bytes:
                    kept.append(chunk[: request.max_bytes - size])
                    response.close()
                    return b"".join(kept), True
                kept.append(chunk)
        except BaseException:
            response.close()
            raise
        return b"".join(kept), False

    def _usual_options(self) -> dict[str, Any]:
        """Options of every request. Those that our own session holds are left out: an option costs 0.2 us."""
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
            # Otherwise aiohttp gives a POST without a body a Content-Type.
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
        """Drop connections whose loop is closed or belongs to another process, without a warning."""
        if self._ours and not self._session.closed:
            connector = self._session.connector
            if isinstance(connector, _Connector):
                connector.abandoned_unclosed = True
            self._session.detach()


def _client_timeout(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    # By default aiohttp rounds timeouts over 5 s up to whole seconds.
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read, ceil_threshold=float("inf"))


def _translated(error: Exception, *, connecting: bool) -> Exception:
    # A proxy's URL comes with its password. Not cut here: the masks of the loop need the whole text.
    reason = _USERINFO.sub("//***@", _in_words(error))
    if connecting and isinstance(error, aiohttp.ClientError) and not isinstance(error, _NOT_SENT):
        return SendFailure(f"the proxy opened no tunnel: {reason}", sent=False)
    if connecting or isinstance(error, _NOT_SENT):
        timed_out = isinstance(error, asyncio.TimeoutError)
        return SendFailure("no connection in time" if timed_out else reason, sent=False, timed_out=timed_out)
    if isinstance(error, asyncio.TimeoutError):
        return SendFailure("no answer in time", sent=True, timed_out=True)
    if isinstance(error, ValueError) and "AUTHORIZATION" in _text_of(error):
        return ConfigurationError("the given aiohttp.ClientSession has credentials of its own; give one without auth=")
    return SendFailure(reason, sent=True)


def _cause_of(error: Exception) -> BaseException | None:
    """The exception to chain: one without the request's Authorization header and without the proxy's URL."""
    cause: BaseException = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    elif isinstance(error, aiohttp.ClientResponseError) or _USERINFO.search(_text_of(error)):
        return None
    # Its frames are aiohttp's, with the request in their locals.
    return cause.with_traceback(None)


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", None) or _text_of(error.certificate_error)
        return f"cannot connect to {_address(error)}: its certificate is not trusted: {why or 'no reason given'}"
    if isinstance(error, aiohttp.ClientConnectorError):
        proxy = "the proxy " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        return f"cannot connect to {proxy}{_address(error)}: {_reason_of(error)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status} {error.message}"
    if isinstance(error, aiohttp.ClientResponseError):
        # Its text has a status in it that was never sent, and the URL with its ids.
        return f"what came is no HTTP: {error.message}"
    if isinstance(error, (aiohttp.ClientPayloadError, HttpProcessingError)):
        return f"the answer broke off: {_message_of(error.__cause__ or error)}"
    text = _text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _message_of(error: BaseException) -> str:
    """What the parser says, without the status of 400 that aiohttp adds and the server never sent."""
    return _text_of(error.message if isinstance(error, HttpProcessingError) else error) or type(error).__name__


def _text_of(value: object) -> str:
    """The text of an object that may be the caller's: its ``__str__`` may raise."""
    text = one_line(value, 4000)
    return "" if text in ("()", "None") else text


def _address(error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    host = _text_of(error.host)
    return f"[{host}]:{error.port}" if ":" in host else f"{host}:{error.port}"


def _reason_of(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    # Text and number have these types only by custom: a connector of the caller's may raise anything.
    code, text = cause.errno, _text_of(cause.strerror or cause)
    if isinstance(code, int) and code in errno.errorcode and text.startswith(_ADDRESSES):
        # asyncio puts addresses in place of the system's words, and the address is in the message already.
        text = os.strerror(code)
    text = text or type(cause).__name__
    if isinstance(cause, ssl.SSLError):
        return f"no TLS there ({text})"
    # The class asyncio raises where the other side closes during the handshake; it has no number.
    if isinstance(cause, ConnectionError) and code is None:
        return f"closed during the TLS handshake ({text})"
    return text
