"""Through a proxy: reaching it, and what its refusals mean.

Knows HTTP proxies (CONNECT, and absolute URLs for plain http), not which proxy is the one to take.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import AsyncGenerator
from urllib.parse import unquote, urlsplit

import attrs

from .limits import Limits
from .plan import Trouble
from .streams import Head, NotHttp, Origin, Stream, ask, connected, encrypt, look_up


@attrs.frozen
class Proxy:
    """A proxy by its URL. Prints without its user and password."""

    url: str = attrs.field(repr=False)
    origin: Origin

    @classmethod
    def of(cls, url: str) -> Proxy:
        """A proxy of a URL that has been checked."""
        return cls(url, Origin.of(url))

    @property
    def has_login(self) -> bool:
        """Whether a user and a password come with it."""
        return urlsplit(self.url).username is not None

    @property
    def login(self) -> tuple[str, ...]:
        """The header line that logs in, if there is a login."""
        parts = urlsplit(self.url)
        if parts.username is None:
            return ()
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return (f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}",)


@contextlib.asynccontextmanager
async def reached(proxy: Proxy, limits: Limits, trusted: ssl.SSLContext) -> AsyncGenerator[Stream, None]:
    """A connection to the proxy. Raises Trouble that says what is wrong with it."""
    where = proxy.origin
    try:
        addresses = await look_up(where.host, where.port, limits.look_up)
    except (OSError, UnicodeError):
        raise Trouble(f"the proxy's host name {where.host} is not found in DNS", _CHECK_PROXY) from None
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
            raise Trouble(f"the proxy {where.authority} {failure}", _CHECK_PROXY)
        if where.encrypted:
            try:
                await encrypt(stream, trusted, where.host, limits.handshake)
            except (OSError, ssl.SSLError) as error:
                reason = getattr(error, "reason", None) or type(error).__name__
                raise Trouble(
                    f"no TLS with the proxy {where.authority}: {reason}",
                    f"Is it an https proxy? Most are written http://. {_CHECK_PROXY}",
                ) from None
        yield stream


_CHECK_PROXY = (
    "Check the proxy's address (proxy=, HTTPS_PROXY, HTTP_PROXY), or leave it out if this network needs none; "
    "NO_PROXY=host makes an exception."
)


@contextlib.asynccontextmanager
async def tunnel(proxy: Proxy, target: Origin, limits: Limits, trusted: ssl.SSLContext) -> AsyncGenerator[Stream, None]:
    """A connection to the target through the proxy, by CONNECT. Raises Trouble that says what was refused."""
    async with reached(proxy, limits, trusted) as stream:
        lines = (f"CONNECT {target.authority} HTTP/1.1", f"Host: {target.authority}", *proxy.login)
        head = await _answer(proxy, stream, lines, limits)
        if not 200 <= head.status <= 299:
            raise _refusal(proxy, target, head)
        yield stream


async def ask_through(proxy: Proxy, target: Origin, limits: Limits, trusted: ssl.SSLContext) -> Head:
    """The head of the target's answer to a plain-http GET through the proxy. Raises Trouble for a refusal."""
    async with reached(proxy, limits, trusted) as stream:
        lines = (f"GET {target.url}/ HTTP/1.1", f"Host: {target.authority}", "Accept: application/json", *proxy.login)
        head = await _answer(proxy, stream, lines, limits)
    # A 407 is always the proxy's own. What else the API answers is JSON; a refusing proxy shows a page.
    its_own = head.status == 407 or "json" not in head.headers.get("content-type", "").lower()
    if its_own and head.status in (403, 407, 502, 503, 504):
        raise _refusal(proxy, target, head)
    return head


async def _answer(proxy: Proxy, stream: Stream, lines: tuple[str, ...], limits: Limits) -> Head:
    where = proxy.origin.authority
    try:
        return await ask(stream, lines, limits.hello)
    except NotHttp as error:
        raise Trouble(f"what listens at {where} is no HTTP proxy: it answers {error}", _CHECK_PROXY) from None
    except TimeoutError:
        raise Trouble(f"the proxy {where} does not answer within {limits.hello:g} s", _CHECK_PROXY) from None
    except (OSError, EOFError):
        raise Trouble(f"the proxy {where} hangs up without an answer: is it an HTTP proxy?", _CHECK_PROXY) from None


def _refusal(proxy: Proxy, target: Origin, head: Head) -> Trouble:
    said = f"{head.status} {head.reason}".strip()
    where = proxy.origin.authority
    if head.status == 407:
        wants = head.headers.get("proxy-authenticate", "").partition(" ")[0]
        if wants and wants.lower() != "basic":
            return Trouble(
                f"the proxy {where} wants a login of the kind {wants} (it answers {said})",
                "shell_ev logs in to a proxy with user and password (Basic) only. Ask whoever runs the proxy for such "
                "a login, or for an exception for this host.",
            )
        if proxy.has_login:
            return Trouble(
                f"the proxy {where} refuses the user name and password given (it answers {said})",
                "Correct them in the proxy's URL; characters such as @ : / in them have to be percent-encoded.",
            )
        return Trouble(
            f"the proxy {where} wants a user name and a password (it answers {said})",
            "Write them into the proxy's URL, in front of the host: user:password@host:port.",
        )
    if head.status == 403:
        return Trouble(
            f"the proxy {where} refuses to connect to {target.authority} (it answers {said})",
            f"Ask whoever runs the proxy to allow {target.authority}.",
        )
    if head.status in (502, 503, 504):
        return Trouble(
            f"the proxy {where} cannot reach {target.authority} (it answers {said})",
            f"Is the host right? If so, ask whoever runs the proxy why it cannot reach {target.authority}.",
        )
    return Trouble(f"the proxy {where} does not connect to {target.authority}: it answers {said}", _CHECK_PROXY)
