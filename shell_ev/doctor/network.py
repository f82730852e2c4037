"""The way to one host, step by step: proxy, DNS, TCP.

Knows what the outcome of a probe means and what to do about it; knows nothing of what is then said on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import time
import urllib.request
from collections.abc import AsyncGenerator, Callable

import attrs

from ..core.proxies import proxy_for, proxy_in_environment
from ..errors import ConfigurationError
from .limits import Limits
from .plan import Trouble, Verdict, ok, skip, warn
from .proxying import Proxy, ask_through, tunnel
from .settings import DEFAULT, Settings
from .streams import Attempt, Head, Origin, Stream, as_address, connected, look_up, try_address

Clock = Callable[[], float]
_ITS_OWN = "This is the service's own host: check the network of this machine, a VPN, its DNS."
_BY_PROXY = "the proxy does that"


@attrs.frozen
class Heard:
    """The head of an answer, and this machine's time (unix seconds) in the middle of the exchange."""

    head: Head
    local: float


class Route:
    """The way to one origin. Its checks are called in order; each leaves what the next needs."""

    def __init__(self, origin: Origin, settings: Settings, url_option: str, limits: Limits, now: Clock) -> None:
        if settings.config is None:
            raise ValueError("a route needs a valid configuration")
        self.origin = origin
        self.config = settings.config
        self.check_url = ""
        """What to check where the host could be the wrong one; the hosts of the environments are as they are."""
        if settings.origin(url_option) != DEFAULT:
            self.check_url = f"Check host and port in {settings.told(url_option)}. "
        self.limits = limits
        self.now = now
        self._proxy: Proxy | None = None
        self._ignored: str | None = None
        self._addresses: list[str] = []
        self.heard: Heard | None = None
        """What a plain-http proxy let through: there the one request says both, that it does and what came."""

    async def proxy(self) -> Verdict:
        """Which proxy is taken, if any, and whether it lets us through."""
        origin = self.origin
        try:
            url = proxy_for(self.config, origin.url)
        except ConfigurationError as error:
            raise Trouble(
                f"{_variable(origin)} cannot be used: {error}",
                "shell_ev speaks to http and https proxies, not to SOCKS. Name one of those, or make an exception for "
                "this host with NO_PROXY.",
            ) from None
        if url is None:
            return self._no_proxy()
        self._proxy = proxy = Proxy.of(url)
        began = self.now()
        if origin.encrypted:
            async with tunnel(proxy, origin, self.limits, self.context()):
                pass
        else:
            head = await ask_through(proxy, origin, self.limits, self.context())
            self.heard = Heard(head, (began + self.now()) / 2)
        source = "proxy=" if self.config.proxy is not None else _variable(origin)
        return ok(f"{origin.host} is reached through the proxy {proxy.origin.authority} (from {source})")

    def _no_proxy(self) -> Verdict:
        direct = f"none: {self.origin.host} is reached directly"
        if self.config.trust_env:
            if urllib.request.getproxies().get("all"):
                return warn(f"{direct}; ALL_PROXY is set and not read", "Set HTTPS_PROXY if the proxy is to be used.")
            return ok(direct)
        try:
            named = proxy_in_environment(self.origin.url) is not None
        except ConfigurationError:
            named = True
        if not named:
            return ok(direct)
        self._ignored = _variable(self.origin)
        return warn(
            f"{direct}; {self._ignored} is set and not followed, as trust_env is not True",
            f"If this network needs its proxy: trust_env=True follows {self._ignored}, proxy=... names one. "
            "If not, nothing is wrong.",
        )

    async def dns(self) -> Verdict:
        """The addresses behind the host name."""
        if self._proxy is not None:
            return skip(_BY_PROXY)
        host = self.origin.host
        if as_address(host) is not None:
            self._addresses = [host]
            return ok(f"{host} is an address, there is nothing to look up")
        began = time.monotonic()
        try:
            self._addresses = await look_up(host, self.origin.port, self.limits.look_up)
        except TimeoutError:
            raise Trouble(
                f"the look-up of the host name {host} got no answer within {self.limits.look_up:g} s",
                f"The name server of this machine does not answer: check the network, a VPN, its DNS.{self._hint()}",
            ) from None
        except (OSError, UnicodeError) as error:
            raise self._unknown_name(error) from None
        shown = ", ".join(self._addresses[:4]) + (" ..." if len(self._addresses) > 4 else "")
        return ok(f"{host} is {shown} ({_milliseconds(time.monotonic() - began)})")

    def _unknown_name(self, error: Exception) -> Trouble:
        host = self.origin.host
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            return Trouble(
                f"the host name {host} cannot be looked up now (temporary failure in name resolution)",
                f"Either there is no such name, or no name server can be asked. {self.check_url}"
                f"Check the network, a VPN, its DNS.{self._hint()}",
            )
        return Trouble(
            f"unknown host name: {host} is not found in DNS",
            (f"{self.check_url}An internal name may need a VPN." if self.check_url else _ITS_OWN) + self._hint(),
        )

    async def tcp(self) -> Verdict:
        """A connection to every address of the host."""
        if self._proxy is not None:
            return skip(_BY_PROXY)
        port, seconds = self.origin.port, self.limits.connect
        attempts = await asyncio.gather(*(try_address(address, port, seconds) for address in self._addresses))
        good = [attempt for attempt in attempts if attempt.error is None]
        bad = [attempt for attempt in attempts if attempt.error is not None]
        if not good:
            raise self._unreachable(bad)
        self._addresses = [attempt.address for attempt in good]
        first = min(good, key=lambda attempt: attempt.seconds)
        seen = f"connected to {first.address} port {port} in {_milliseconds(first.seconds)}"
        if not bad:
            return ok(seen)
        others = ", ".join(f"{attempt.address} {_failure(attempt, seconds)}" for attempt in bad[:3])
        if any(isinstance(attempt.error, TimeoutError) for attempt in bad):
            return warn(
                f"{seen}; {others}",
                "The library goes on to the next address, but a silent one can cost time on each new connection: "
                "IPv6 that leads nowhere is the usual cause.",
            )
        return ok(f"{seen}; {others}")

    def _unreachable(self, attempts: list[Attempt]) -> Trouble:
        seconds = self.limits.connect
        tried = ", ".join(f"{attempt.address} {_failure(attempt, seconds)}" for attempt in attempts[:3])
        seen = f"no connection to port {self.origin.port}: {tried}"
        if all(isinstance(attempt.error, ConnectionRefusedError) for attempt in attempts):
            advice = f"{self.check_url}Nothing listens there: the server does not run, or a firewall refuses for it."
        elif any(isinstance(attempt.error, TimeoutError) for attempt in attempts):
            advice = f"{self.check_url}A host that is off, a firewall or a wrong route swallows what is sent there."
        else:
            advice = f"{self.check_url}Check the network of this machine."
        return Trouble(seen, advice + self._hint())

    def _hint(self) -> str:
        if self._ignored is None:
            return ""
        return f" This network may want its proxy: {self._ignored} is set and not followed (trust_env=True follows it)."

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[Stream, None]:
        """A new connection to the origin, before any TLS."""
        if self._proxy is not None:
            async with tunnel(self._proxy, self.origin, self.limits, self.context()) as stream:
                yield stream
        else:
            async with connected(self._addresses[0], self.origin.port, self.limits.connect) as stream:
                yield stream

    def context(self) -> ssl.SSLContext:
        """What the client verifies servers with."""
        return self.config.ssl if self.config.ssl is not None else ssl.create_default_context()


def _variable(origin: Origin) -> str:
    """The variable that names a proxy for this origin, as it is spelt in this environment."""
    name = f"{origin.scheme}_proxy"
    named = urllib.request.getproxies_environment()
    return name.upper() if origin.scheme in named else "the proxy in the system's settings"


def _failure(attempt: Attempt, seconds: float) -> str:
    error = attempt.error
    if isinstance(error, TimeoutError):
        return f"does not answer within {seconds:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection"
    if error is not None and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
        return "cannot be reached from here"
    return f"fails ({type(error).__name__})"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
