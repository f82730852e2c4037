"""What is said on the way to a host: TLS, a first word of HTTP, the time.

Knows what an outcome means and what to do about it; knows nothing of tokens or operations.
"""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime

from .certificates import TIME_CODES, Certificate, blind_context, described, distrust, look_at
from .clock import in_time, judge, offset
from .network import Heard, Route
from .plan import Trouble, Verdict, ok, skip, warn
from .streams import NotHttp, ask, encrypt


class Talk:
    """A conversation over a route. Its checks are called in order; each leaves what the next needs."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._encrypted = False
        self._heard: Heard | None = None

    async def tls(self) -> Verdict:
        """The handshake, with the certificate verified as the client verifies it."""
        origin = self._route.origin
        if not origin.encrypted:
            if origin.is_loopback:
                return skip("plain http on this machine: nothing is encrypted")
            return warn(
                "plain http: the client secret and the tokens can be read on the way",
                "Use an https URL.",
            )
        context = self._route.context()
        try:
            async with self._route.opened() as stream:
                await encrypt(stream, context, origin.host, self._route.limits.handshake)
                certificate = Certificate.of(stream)
                version = stream.tls.version() if stream.tls is not None else None
        except ssl.SSLCertVerificationError as error:
            raise await self._distrusted(error) from None
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
                "Anybody on the way can read the secret: use ssl.create_default_context(), with cafile= for an "
                "authority of your own.",
            )
        ends = None if certificate is None else certificate.not_after
        if ends is not None and ends - datetime.fromtimestamp(self._route.now(), UTC) < self._route.limits.expiry:
            return warn(seen, f"The certificate ends on {ends:%Y-%m-%d}: whoever runs the server has to renew it.")
        return ok(seen)

    async def _distrusted(self, error: ssl.SSLCertVerificationError) -> Trouble:
        certificate = await look_at(self._route.opened, self._route.origin.host, self._route.limits.handshake)
        seen, advice = distrust(error, self._route.origin.host, certificate, given=self._route.config.ssl is not None)
        if error.verify_code in TIME_CODES:
            # A certificate out of its time, or a clock out of its own? The server's Date tells.
            with contextlib.suppress(OSError, EOFError, NotHttp, Trouble):
                self._heard = await self._ask(blind_context())
            if self._clock_is_why(certificate):
                return Trouble(f"{seen} by this machine's clock; by the server's it is valid", "Set the clock first.")
        return Trouble(seen, advice)

    def _clock_is_why(self, certificate: Certificate | None) -> bool:
        ahead = self._ahead()
        if ahead is None or certificate is None or abs(ahead) < self._route.limits.clock_wrong:
            return False
        return in_time(self._route.now() - ahead, certificate.not_before, certificate.not_after)

    def _no_tls(self, reason: str) -> Trouble:
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
            advice = f"{self._route.check_url}What listens on that port does not speak TLS: should it be http?"
        else:
            advice = f"{self._route.check_url}A firewall, or a proxy that opens TLS, can be the cause."
        return Trouble(f"no TLS with {self._route.origin.authority}: {reason}", advice)

    async def http(self) -> Verdict:
        """A request without a token. Only what is no HTTP at all fails: the rest is for checks that know the API."""
        origin = self._route.origin
        self._heard = self._route.heard
        if self._heard is None:
            try:
                self._heard = await self._ask(self._route.context() if origin.encrypted else None)
            except NotHttp as error:
                raise Trouble(
                    f"what listens at {origin.authority} does not speak HTTP: it answers {error}",
                    f"{self._route.check_url}Another service listens on that port.",
                ) from None
            except (OSError, EOFError, Trouble):
                return skip("no answer to a request without a token")
        return ok(f"{origin.authority} answers, with {self._heard.head.status} to a request without a token")

    async def clock(self) -> Verdict:
        """This machine's clock against the server's."""
        origin = self._route.origin
        if self._heard is None:
            if origin.encrypted and not self._encrypted:
                return skip("not tried: tls failed")
            return skip("no HTTP answer to read the time from")
        ahead = self._ahead()
        if ahead is None:
            return skip(f"{origin.host} does not tell the time (no Date header)")
        return judge(ahead, origin.host, self._route.limits)

    def _ahead(self) -> float | None:
        return None if self._heard is None else offset(self._heard.local, self._heard.head.headers)

    async def _ask(self, context: ssl.SSLContext | None) -> Heard:
        origin, limits, now = self._route.origin, self._route.limits, self._route.now
        async with self._route.opened() as stream:
            if context is not None:
                await encrypt(stream, context, origin.host, limits.handshake)
            began = now()
            lines = ("GET / HTTP/1.1", f"Host: {origin.authority}", "Accept: application/json")
            head = await ask(stream, lines, limits.hello)
            return Heard(head, (began + now()) / 2)
