"""The checks of one host: proxy, DNS and TCP (:class:`Route`), then TLS, HTTP and clock (:class:`ServerProbe`)."""

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

import attrs

from ..core.proxies import proxy_for, proxy_in_environment
from ..errors import ConfigurationError
from ..options import ClientConfig
from .certificates import TIME_CODES, Certificate, described, explain_distrust, fetch_untrusted, unverified_context
from .clock import judge, offset
from .plan import CheckFailed, Limits, Verdict, ok, skip, warn
from .settings import DEFAULT, Settings
from .streams import (
    PROBE_PATH,
    Attempt,
    Head,
    NotHttp,
    Origin,
    Proxy,
    Stream,
    as_address,
    ask,
    ask_through,
    connected,
    encrypt,
    look_up,
    try_address,
    tunnel,
)

Clock = Callable[[], float]
_PUBLIC_HOST = "This is the service's own host: check the network of this machine, a VPN, its DNS."
_BY_PROXY = "the proxy does that"


@attrs.frozen
class TimedResponse:
    """The head of an answer and this machine's time, in Unix seconds, in the middle of the exchange."""

    head: Head
    local: float


class Route:
    """Proxy, DNS and TCP checks of one origin. They run in order: each keeps what the next one needs."""

    def __init__(self, origin: Origin, settings: Settings, url_option: str, limits: Limits, now: Clock) -> None:
        if settings.config is None:
            raise ValueError("a route needs a valid configuration")
        self.origin = origin
        self.config: ClientConfig = settings.config
        self.check_url: str = ""
        """Advice to check the host; empty for the built-in hosts, which are known to be right."""
        if settings.origin(url_option) != DEFAULT:
            self.check_url = f"Check host and port in {settings.origin_of(url_option)}. "
        self.limits = limits
        self.now = now
        self._proxy: Proxy | None = None
        self._ignored: str | None = None
        self._addresses: list[str] = []
        self.response: TimedResponse | None = None
        """Answer through a plain-http proxy, which the proxy check already has."""

    async def proxy(self) -> Verdict:
        """Which proxy is used, if any, and whether it connects to the origin."""
        origin = self.origin
        try:
            url = proxy_for(self.config, origin.url)
        except ConfigurationError as error:
            raise CheckFailed(
                f"{_variable(origin)} cannot be used: {error}",
                "shell_ev supports http and https proxies, not SOCKS. Set one of those, or make an exception for this "
                "host with NO_PROXY.",
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
            self.response = TimedResponse(head, (began + self.now()) / 2)
        source = "proxy=" if self.config.proxy is not None else _variable(origin)
        return ok(f"{origin.host} is reached through the proxy {proxy.origin.authority} (from {source})")

    def _no_proxy(self) -> Verdict:
        direct = f"none: {self.origin.host} is reached directly"
        if self.config.trust_env:
            return ok(direct)
        try:
            named = proxy_in_environment(self.origin.url) is not None
        except ConfigurationError:
            named = True
        if not named:
            return ok(direct)
        self._ignored = _variable(self.origin)
        return warn(
            f"{direct}; {self._ignored} is set and not used, as trust_env is not True",
            f"If this network needs its proxy: trust_env=True uses {self._ignored}, proxy=... sets one. "
            "If not, nothing is wrong.",
        )

    async def dns(self) -> Verdict:
        """The addresses of the host name."""
        if self._proxy is not None:
            return skip(_BY_PROXY)
        host = self.origin.host
        if as_address(host) is not None:
            self._addresses = [host]
            return ok(f"{host} is an address and needs no look-up")
        began = time.monotonic()
        try:
            self._addresses = await look_up(host, self.origin.port, self.limits.look_up)
        except TimeoutError:
            raise CheckFailed(
                f"the look-up of the host name {host} got no answer within {self.limits.look_up:g} s",
                f"The name server of this machine does not answer: check the network, a VPN, its DNS.{self._hint()}",
            ) from None
        except (OSError, UnicodeError) as error:
            raise self._unknown_name(error) from None
        shown = ", ".join(self._addresses[:4]) + (" ..." if len(self._addresses) > 4 else "")
        return ok(f"{host} is {shown} ({_milliseconds(time.monotonic() - began)})")

    def _unknown_name(self, error: Exception) -> CheckFailed:
        host = self.origin.host
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            return CheckFailed(
                f"the host name {host} cannot be looked up now (temporary failure in name resolution)",
                f"Either there is no such name, or no name server answers. {self.check_url}"
                f"Check the network, a VPN, its DNS.{self._hint()}",
            )
        return CheckFailed(
            f"unknown host name: {host} is not found in DNS",
            (f"{self.check_url}An internal name may need a VPN." if self.check_url else _PUBLIC_HOST) + self._hint(),
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
                "The library then uses the next address, but a silent one can cost time on each new connection: "
                "IPv6 without a route is the usual cause.",
            )
        return ok(f"{seen}; {others}")

    def _unreachable(self, attempts: list[Attempt]) -> CheckFailed:
        seconds = self.limits.connect
        tried = ", ".join(f"{attempt.address} {_failure(attempt, seconds)}" for attempt in attempts[:3])
        seen = f"no connection to port {self.origin.port}: {tried}"
        if all(isinstance(attempt.error, ConnectionRefusedError) for attempt in attempts):
            advice = f"{self.check_url}Nothing listens there: the server is down, or a firewall refuses the connection."
        elif any(isinstance(attempt.error, TimeoutError) for attempt in attempts):
            advice = f"{self.check_url}The host is off, or a firewall or a wrong route drops the packets."
        else:
            advice = f"{self.check_url}Check the network of this machine."
        return CheckFailed(seen, advice + self._hint())

    def _hint(self) -> str:
        if self._ignored is None:
            return ""
        return f" This network may need its proxy: {self._ignored} is set and not used (trust_env=True uses it)."

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[Stream, None]:
        """A new connection to the origin, without TLS."""
        if self._proxy is not None:
            async with tunnel(self._proxy, self.origin, self.limits, self.context()) as stream:
                yield stream
        else:
            async with connected(self._addresses[0], self.origin.port, self.limits.connect) as stream:
                yield stream

    def context(self) -> ssl.SSLContext:
        """The context that the client verifies servers with."""
        return self.config.ssl if self.config.ssl is not None else ssl.create_default_context()


class ServerProbe:
    """TLS, HTTP and clock checks of the server at the end of a route. They run in order, as those of the route do."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._encrypted = False
        self._response: TimedResponse | None = None

    async def tls(self) -> Verdict:
        """The TLS handshake. The certificate is verified as the client verifies it."""
        origin = self._route.origin
        if not origin.encrypted:
            if origin.is_loopback:
                return skip("plain http on this machine: nothing is encrypted")
            return warn(
                "plain http: the client secret and the tokens can be read in transit",
                "Use an https URL.",
            )
        context = self._route.context()
        try:
            async with self._route.opened() as stream:
                await encrypt(stream, context, origin.host, self._route.limits.handshake)
                certificate = Certificate.of(stream)
                version = stream.tls.version() if stream.tls is not None else None
        except ssl.SSLCertVerificationError as error:
            raise await self._untrusted(error) from None
        except ssl.SSLError as error:
            raise self._no_tls(error.reason or type(error).__name__) from None
        except TimeoutError:
            raise self._no_tls(f"no answer within {self._route.limits.handshake:g} s") from None
        except OSError as error:
            raise self._no_tls(f"the connection was lost ({type(error).__name__})") from None
        self._encrypted = True
        seen = f"{version}{described(certificate)}"
        if context.verify_mode is ssl.CERT_NONE or not context.check_hostname:
            return warn(
                f"{seen}; the SSLContext given as ssl= does not verify the server",
                "The secret can be read in transit: use ssl.create_default_context(), with cafile= for an authority of "
                "your own.",
            )
        ends = None if certificate is None else certificate.not_after
        if ends is not None and ends - datetime.fromtimestamp(self._route.now(), UTC) < self._route.limits.expiry:
            return warn(seen, f"It expires on {ends:%Y-%m-%d}: the operator of the server has to renew it.")
        return ok(seen)

    async def _untrusted(self, error: ssl.SSLCertVerificationError) -> CheckFailed:
        certificate = await fetch_untrusted(self._route.opened, self._route.origin.host, self._route.limits.handshake)
        seen, advice = explain_distrust(
            error, self._route.origin.host, certificate, given=self._route.config.ssl is not None
        )
        if error.verify_code in TIME_CODES:
            # Expired certificate or wrong clock? The server's Date header decides.
            with contextlib.suppress(OSError, EOFError, NotHttp, CheckFailed):
                self._response = await self._ask(unverified_context())
            if self._clock_is_why(certificate):
                return CheckFailed(
                    f"{seen} by this machine's clock; by the server's it is valid", "Set the clock first."
                )
        return CheckFailed(seen, advice)

    def _clock_is_why(self, certificate: Certificate | None) -> bool:
        ahead = self._ahead()
        if ahead is None or certificate is None or abs(ahead) < self._route.limits.clock_wrong:
            return False
        return certificate.is_valid_at(self._route.now() - ahead)

    def _no_tls(self, reason: str) -> CheckFailed:
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
            advice = f"{self._route.check_url}What listens on that port does not speak TLS: should it be http?"
        else:
            advice = f"{self._route.check_url}A firewall, or a proxy that intercepts TLS, can be the cause."
        return CheckFailed(f"no TLS with {self._route.origin.authority}: {reason}", advice)

    async def http(self) -> Verdict:
        """A request without a token. Fails only if the answer is not HTTP: status and body are for the later checks."""
        origin = self._route.origin
        self._response = self._route.response
        if self._response is None:
            try:
                self._response = await self._ask(self._route.context() if origin.encrypted else None)
            except NotHttp as error:
                raise CheckFailed(
                    f"what listens at {origin.authority} does not speak HTTP: it answers {error}",
                    f"{self._route.check_url}Another service listens on that port.",
                ) from None
            except (OSError, EOFError, CheckFailed):
                return skip("no answer to a request without a token")
        return ok(f"{origin.authority} answers, with {self._response.head.status} to a request without a token")

    async def clock(self) -> Verdict:
        """This machine's clock compared with the server's."""
        origin = self._route.origin
        if self._response is None:
            if origin.encrypted and not self._encrypted:
                return skip("not tried: tls failed")
            return skip("no HTTP answer to read the time from")
        ahead = self._ahead()
        if ahead is None:
            return skip(f"{origin.host} sends no Date header")
        return judge(ahead, origin.host, self._route.limits)

    def _ahead(self) -> float | None:
        return None if self._response is None else offset(self._response.local, self._response.head.headers)

    async def _ask(self, context: ssl.SSLContext | None) -> TimedResponse:
        origin, limits, now = self._route.origin, self._route.limits, self._route.now
        async with self._route.opened() as stream:
            if context is not None:
                await encrypt(stream, context, origin.host, limits.handshake)
            began = now()
            lines = (f"GET {PROBE_PATH} HTTP/1.1", f"Host: {origin.authority}", "Accept: application/json")
            head = await ask(stream, lines, limits.hello)
            return TimedResponse(head, (began + now()) / 2)


def _variable(origin: Origin) -> str:
    """Name of the setting that defines a proxy for this origin."""
    named = urllib.request.getproxies_environment()
    return next(
        (f"{name}_proxy".upper() for name in (origin.scheme, "all") if name in named),
        "the proxy in the system's settings",
    )


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
