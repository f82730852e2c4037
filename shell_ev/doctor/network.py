"""The way to one host, step by step: proxy, DNS, TCP, TLS, clock.

Knows what the outcome of a probe means and what to do about it; knows nothing of tokens or operations.
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
from datetime import UTC, datetime

from ..core.proxies import proxy_for, proxy_in_environment
from ..errors import ConfigurationError
from .certificates import TIME_CODES, Certificate, blind_context, described, distrust, look_at
from .clock import in_time, judge, offset
from .limits import Limits
from .plan import Trouble, Verdict, ok, skip, warn
from .proxying import Proxy, ask_through, tunnel
from .settings import DEFAULT, Settings
from .streams import Attempt, NotHttp, Origin, Stream, as_address, ask, connected, encrypt, look_up, try_address

Clock = Callable[[], float]
_ITS_OWN = "This is the service's own host: check the network of this machine, a VPN, its DNS."
_BY_PROXY = "the proxy does that"


class Route:
    """The way to one origin. Its checks are called in order; each leaves what the next needs."""

    def __init__(self, origin: Origin, settings: Settings, url_option: str, limits: Limits, now: Clock) -> None:
        if settings.config is None:
            raise ValueError("a route needs a valid configuration")
        self.origin = origin
        self._config = settings.config
        #: What to check where the host could be the wrong one; the hosts of the environments are as they are.
        self._check_url = ""
        if settings.origin(url_option) != DEFAULT:
            self._check_url = f"Check host and port in {settings.told(url_option)}. "
        self._limits = limits
        self._now = now
        self._proxy: Proxy | None = None
        self._ignored: str | None = None
        self._addresses: list[str] = []
        self._ahead: float | None = None
        self._encrypted = False

    async def proxy(self) -> Verdict:
        """Which proxy is taken, if any, and whether it lets us through."""
        origin = self.origin
        try:
            url = proxy_for(self._config, origin.url)
        except ConfigurationError as error:
            raise Trouble(
                f"{_variable(origin)} cannot be used: {error}",
                "shell_ev speaks to http and https proxies, not to SOCKS. Name one of those, or make an exception for "
                "this host with NO_PROXY.",
            ) from None
        if url is None:
            return self._no_proxy()
        self._proxy = proxy = Proxy.of(url)
        began = self._now()
        if origin.encrypted:
            async with tunnel(proxy, origin, self._limits, self._context()):
                pass
        else:
            head = await ask_through(proxy, origin, self._limits, self._context())
            self._note_time(began, head.headers)
        source = "proxy=" if self._config.proxy is not None else _variable(origin)
        return ok(f"{origin.host} is reached through the proxy {proxy.origin.authority} (from {source})")

    def _no_proxy(self) -> Verdict:
        direct = f"none: {self.origin.host} is reached directly"
        if self._config.trust_env:
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
            self._addresses = await look_up(host, self.origin.port, self._limits.look_up)
        except TimeoutError:
            raise Trouble(
                f"the look-up of the host name {host} got no answer within {self._limits.look_up:g} s",
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
                f"Either there is no such name, or no name server can be asked. {self._check_url}"
                f"Check the network, a VPN, its DNS.{self._hint()}",
            )
        return Trouble(
            f"unknown host name: {host} is not found in DNS",
            (f"{self._check_url}An internal name may need a VPN." if self._check_url else _ITS_OWN) + self._hint(),
        )

    async def tcp(self) -> Verdict:
        """A connection to every address of the host."""
        if self._proxy is not None:
            return skip(_BY_PROXY)
        port, seconds = self.origin.port, self._limits.connect
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
        seconds = self._limits.connect
        tried = ", ".join(f"{attempt.address} {_failure(attempt, seconds)}" for attempt in attempts[:3])
        seen = f"no connection to port {self.origin.port}: {tried}"
        if all(isinstance(attempt.error, ConnectionRefusedError) for attempt in attempts):
            advice = f"{self._check_url}Nothing listens there: the server does not run, or a firewall refuses for it."
        elif any(isinstance(attempt.error, TimeoutError) for attempt in attempts):
            advice = f"{self._check_url}A host that is off, a firewall or a wrong route swallows what is sent there."
        else:
            advice = f"{self._check_url}Check the network of this machine."
        return Trouble(seen, advice + self._hint())

    def _hint(self) -> str:
        if self._ignored is None:
            return ""
        return f" This network may want its proxy: {self._ignored} is set and not followed (trust_env=True follows it)."

    async def tls(self) -> Verdict:
        """The handshake, with the certificate verified as the client verifies it."""
        origin = self.origin
        if not origin.encrypted:
            if origin.is_loopback:
                return skip("plain http on this machine: nothing is encrypted")
            return warn(
                "plain http: the client secret and the tokens can be read on the way",
                "Use an https URL.",
            )
        context = self._context()
        try:
            async with self._opened() as stream:
                await encrypt(stream, context, origin.host, self._limits.handshake)
                certificate = Certificate.of(stream)
                version = stream.tls.version() if stream.tls is not None else None
        except ssl.SSLCertVerificationError as error:
            raise await self._distrusted(error) from None
        except ssl.SSLError as error:
            raise self._no_tls(error.reason or type(error).__name__) from None
        except TimeoutError:
            raise self._no_tls(f"no answer within {self._limits.handshake:g} s") from None
        except OSError as error:
            raise self._no_tls(f"the connection was lost ({type(error).__name__})") from None
        self._encrypted = True
        seen = f"{version}{described(certificate)}"
        if context.verify_mode is ssl.CERT_NONE or not context.check_hostname:
            return warn(
                f"{seen}; the SSLContext given as ssl= does not verify the server",
                "Anybody on the way can read the secret: use ssl.create_default_context(), with cafile= for an "
                "authority of your own.",
            )
        ends = None if certificate is None else certificate.not_after
        if ends is not None and ends - datetime.fromtimestamp(self._now(), UTC) < self._limits.expiry:
            return warn(seen, f"The certificate ends on {ends:%Y-%m-%d}: whoever runs the server has to renew it.")
        return ok(seen)

    async def _distrusted(self, error: ssl.SSLCertVerificationError) -> Trouble:
        certificate = await look_at(self._opened, self.origin.host, self._limits.handshake)
        seen, advice = distrust(error, self.origin.host, certificate, given=self._config.ssl is not None)
        if error.verify_code in TIME_CODES:
            # A certificate out of its time, or a clock out of its own? The server's Date tells.
            with contextlib.suppress(OSError, EOFError, ValueError, NotHttp, Trouble):
                await self._read_time(blind_context())
            if self._clock_is_why(certificate):
                return Trouble(f"{seen} by this machine's clock; by the server's it is valid", "Set the clock first.")
        return Trouble(seen, advice)

    def _clock_is_why(self, certificate: Certificate | None) -> bool:
        if self._ahead is None or certificate is None or abs(self._ahead) < self._limits.clock_wrong:
            return False
        return in_time(self._now() - self._ahead, certificate.not_before, certificate.not_after)

    def _no_tls(self, reason: str) -> Trouble:
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
            advice = f"{self._check_url}What listens on that port does not speak TLS: should it be http?"
        else:
            advice = f"{self._check_url}A firewall, or a proxy that opens TLS, can be the cause."
        return Trouble(f"no TLS with {self.origin.authority}: {reason}", advice)

    async def clock(self) -> Verdict:
        """This machine's clock against the server's."""
        origin = self.origin
        if self._ahead is None:
            if origin.encrypted and not self._encrypted:
                return skip("not tried: tls failed")
            if self._proxy is None or origin.encrypted:
                try:
                    await self._read_time(self._context() if origin.encrypted else None)
                except (OSError, EOFError, ValueError, NotHttp, Trouble):
                    return skip(f"{origin.host} gives no HTTP answer to read the time from")
        if self._ahead is None:
            return skip(f"{origin.host} does not tell the time (no Date header)")
        return judge(self._ahead, origin.host, self._limits)

    async def _read_time(self, context: ssl.SSLContext | None) -> None:
        origin = self.origin
        async with self._opened() as stream:
            if context is not None:
                await encrypt(stream, context, origin.host, self._limits.handshake)
            began = self._now()
            lines = ("GET / HTTP/1.1", f"Host: {origin.authority}", "Accept: application/json")
            head = await ask(stream, lines, self._limits.answer)
            self._note_time(began, head.headers)

    def _note_time(self, began: float, headers: dict[str, str]) -> None:
        self._ahead = offset((began + self._now()) / 2, headers)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncGenerator[Stream, None]:
        """A new connection to the origin, before any TLS."""
        if self._proxy is not None:
            async with tunnel(self._proxy, self.origin, self._limits, self._context()) as stream:
                yield stream
        else:
            async with connected(self._addresses[0], self.origin.port, self._limits.connect) as stream:
                yield stream

    def _context(self) -> ssl.SSLContext:
        return self._config.ssl if self._config.ssl is not None else ssl.create_default_context()


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
