"""Set-ups with one real fault each, and the findings expected of them. docs/command-line.md has a row for each."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import trustme
from doctor_servers import (
    CLIENT_ID,
    SECRET,
    answer_everything,
    behind_tls,
    black_hole,
    listening,
    proxy,
    self_signed,
    server_context,
    set_clock,
    trusting,
    with_its_authority,
)

from shell_ev.doctor import Limits
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.sandbox.records import SandboxReply

Options = dict[str, Any]
WRONG_SECRET = "not-the-secret-0815"
PROXY_PASSWORD = "proxy-pass-4711"
#: No output of the doctor may contain one of these.
SECRETS = (SECRET, WRONG_SECRET, PROXY_PASSWORD, CLIENT_ID)

#: The operations that the doctor tries.
READS = (
    *("charging.retrieve", "charging.active"),
    *("locations.list", "locations.nearby", "locations.markers", "locations.get"),
)


@attrs.frozen
class FaultCase:
    """A set-up with one fault."""

    title: str
    """Its name in the documentation."""
    set_up: Callable[[], AbstractAsyncContextManager[Options]]
    """Creates the fault and yields the options of a client that meets it."""
    failed: tuple[str, ...]
    """The checks that must fail; every other must pass or be skipped."""
    named: tuple[str, ...]
    """Regular expressions that every failed finding must match."""
    advised: str
    """Regular expression that the advice must match."""
    limits: Limits = attrs.field(factory=Limits)


FAULT_CASES: list[FaultCase] = []


def fault_case(
    title: str, failed: str | tuple[str, ...], *named: str, advised: str, limits: Limits | None = None
) -> Callable[[Callable[[], AsyncIterator[Options]]], None]:
    def add(function: Callable[[], AsyncIterator[Options]]) -> None:
        names = (failed,) if isinstance(failed, str) else failed
        FAULT_CASES.append(FaultCase(title, asynccontextmanager(function), names, named, advised, limits or Limits()))

    return add


def options(url: str, **more: Any) -> Options:
    return {"client_id": CLIENT_ID, "client_secret": SECRET, "base_url": url, **more}


# Credentials


@fault_case(
    "wrong secret",
    "token",
    "the client id or the client secret is wrong",
    "401: invalid_client",
    advised="Check SHELL_EV_CLIENT_ID .* and SHELL_EV_CLIENT_SECRET .* for a typo",
)
async def _wrong_secret() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        yield options(sandbox.url, client_secret=WRONG_SECRET)


# Hosts


@fault_case(
    "dead host (nothing listens)",
    "tcp",
    "refuses the connection",
    advised="Check host and port in SHELL_EV_BASE_URL .* listens",
)
async def _dead_host() -> AsyncIterator[Options]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield options(f"http://127.0.0.1:{probe.getsockname()[1]}")


@fault_case(
    "dead host (silent)",
    "tcp",
    "does not answer within 0.2 s",
    advised="a firewall or a wrong route",
    limits=Limits(connect=0.2),
)
async def _black_hole() -> AsyncIterator[Options]:
    with black_hole() as port:
        yield options(f"http://127.0.0.1:{port}")


@fault_case(
    "host that accepts connections and never answers",
    "token",
    "the token endpoint accepts the connection and gives no answer within 0.3 s",
    advised="a server that hangs",
    limits=Limits(hello=0.2, answer=0.3),
)
async def _mute() -> AsyncIterator[Options]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass

    async with listening(serve) as port:
        yield options(f"http://127.0.0.1:{port}")


@fault_case(
    "unknown host name",
    "dns",
    # Without a name server the resolver cannot find out that the name does not exist.
    "(unknown host name: no-such-host.invalid is not found|host name no-such-host.invalid cannot be looked up)",
    advised="Check host and port in SHELL_EV_BASE_URL",
)
async def _unknown_name() -> AsyncIterator[Options]:
    yield options("https://no-such-host.invalid")


@fault_case(
    "another service on that port",
    "http",
    "does not speak HTTP: it answers 'SSH-2.0-OpenSSH_9.6",
    advised="Check host and port in SHELL_EV_BASE_URL .* Another service listens on that port",
)
async def _no_http() -> AsyncIterator[Options]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read(1024)

    async with listening(serve) as port:
        yield options(f"http://127.0.0.1:{port}")


@fault_case(
    "base_url with an extra path",
    "token",
    "no token endpoint there: it answers 404",
    advised="Check SHELL_EV_BASE_URL, SHELL_EV_TOKEN_URL and SHELL_EV_API_VERSION",
)
async def _wrong_path() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        yield options(f"{sandbox.url}/api")


@fault_case(
    "base_url of another API",
    READS[:-1],
    "does not know this operation: 404 messaging",
    advised="Check base_url",
)
async def _wrong_api() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        yield options(f"{sandbox.url}/api", token_url=f"{sandbox.url}/v2/oauth/token")


# TLS


def _for(authority: trustme.CA, host: str, **more: Any) -> trustme.LeafCert:
    return authority.issue_cert(host, organization_name="Our Company", **more)


@fault_case("TLS: self-signed certificate", "tls", "self-signed .*Test Authority", advised="SSL_CERT_FILE=ca.pem")
async def _self_signed() -> AsyncIterator[Options]:
    async with behind_tls(self_signed()) as (_, url):
        yield options(url)


@fault_case(
    "TLS: unknown authority",
    "tls",
    "signed by an unknown authority, which this machine does not trust .*issued by .*Corporate Interception",
    advised="A company's proxy .* SSL_CERT_FILE",
)
async def _unknown_authority() -> AsyncIterator[Options]:
    authority = trustme.CA(organization_name="Corporate Interception")
    async with behind_tls(server_context(_for(authority, "localhost"))) as (_, url):
        yield options(url)


@fault_case(
    "TLS: unknown authority, sent along",
    "tls",
    "a chain with a self-signed root, which this machine does not trust .*issued by .*Corporate Interception",
    advised="A company's proxy .* SSL_CERT_FILE",
)
async def _unknown_root() -> AsyncIterator[Options]:
    authority = trustme.CA(organization_name="Corporate Interception")
    async with behind_tls(with_its_authority(authority, _for(authority, "localhost"))) as (_, url):
        yield options(url)


def _issued(**more: Any) -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA(organization_name="Our Authority")
    return authority, _for(authority, "localhost", **more)


@fault_case("TLS: expired", "tls", "has expired on 2024-02-01 .*Our Authority", advised="renew the certificate")
async def _expired() -> AsyncIterator[Options]:
    authority, certificate = _issued(
        not_before=datetime(2024, 1, 1, tzinfo=UTC), not_after=datetime(2024, 2, 1, tzinfo=UTC)
    )
    async with behind_tls(server_context(certificate)) as (_, url):
        yield options(url, ssl=trusting(authority))


@fault_case("TLS: not yet valid", "tls", "is not yet valid, not before 20", advised="renew the certificate")
async def _not_yet() -> AsyncIterator[Options]:
    begins = datetime.now(UTC) + timedelta(days=30)
    authority, certificate = _issued(not_before=begins, not_after=begins + timedelta(days=90))
    async with behind_tls(server_context(certificate)) as (_, url):
        yield options(url, ssl=trusting(authority))


@fault_case(
    "TLS: wrong host name", "tls", "is for api.example and not for localhost: wrong host name", advised="Check the host"
)
async def _wrong_name() -> AsyncIterator[Options]:
    authority = trustme.CA(organization_name="Our Authority")
    async with behind_tls(server_context(_for(authority, "api.example"))) as (_, url):
        yield options(url, ssl=trusting(authority))


@fault_case("TLS: https on an http port", "tls", "no TLS with 127.0.0.1", advised="does not speak TLS")
async def _no_tls() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        yield options(sandbox.url.replace("http:", "https:"))


# Clock


@fault_case("clock ten minutes ahead", "clock", "clock is 10 minutes ahead of that of 127", advised="network time")
async def _ahead() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        set_clock(sandbox, ahead=-600)
        yield options(sandbox.url)


@fault_case("clock ten minutes behind", "clock", "clock is 10 minutes behind that of localhost", advised="network time")
async def _behind() -> AsyncIterator[Options]:
    authority, certificate = _issued()
    async with behind_tls(server_context(certificate)) as (sandbox, url):
        set_clock(sandbox, ahead=600)
        yield options(url, ssl=trusting(authority))


# Proxies


@fault_case("proxy: nothing listens", "proxy", "the proxy 127.0.0.1:[0-9]+ refuses the connection", advised="NO_PROXY")
async def _dead_proxy() -> AsyncIterator[Options]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        yield options("https://api.invalid", proxy=f"http://user:{PROXY_PASSWORD}@127.0.0.1:{port}")


@fault_case(
    "proxy: unknown host name", "proxy", "the proxy's host name no-such-proxy.invalid is not found", advised="proxy="
)
async def _unknown_proxy() -> AsyncIterator[Options]:
    yield options("https://api.invalid", proxy=f"http://user:{PROXY_PASSWORD}@no-such-proxy.invalid:3128")


@fault_case(
    "proxy: silent",
    "proxy",
    "the proxy 127.0.0.1:[0-9]+ does not answer within 0.2 s",
    advised="proxy's address",
    limits=Limits(connect=0.2),
)
async def _silent_proxy() -> AsyncIterator[Options]:
    with black_hole() as port:
        yield options("https://api.invalid", proxy=f"http://127.0.0.1:{port}")


@fault_case(
    "proxy: CONNECT refused (403)",
    "proxy",
    r"refuses to connect to api.invalid:443 \(it answers 403 Forbidden\)",
    advised="allow api.invalid:443",
)
async def _forbidden() -> AsyncIterator[Options]:
    async with proxy("403 Forbidden") as served:
        yield options("https://api.invalid", proxy=served.url)


@fault_case(
    "proxy: login required (407)",
    "proxy",
    "requires a user name and a password .*407",
    advised="user:password@host:port",
)
async def _login_wanted() -> AsyncIterator[Options]:
    async with proxy(login="Basic xyz", headers=('Proxy-Authenticate: Basic realm="x"',)) as served:
        yield options("https://api.invalid", proxy=served.url)


@fault_case(
    "proxy: login refused (407)", "proxy", "refuses the user name and password given .*407", advised="percent-encoded"
)
async def _login_refused() -> AsyncIterator[Options]:
    async with proxy(login="Basic xyz", headers=('Proxy-Authenticate: Basic realm="x"',)) as served:
        url = served.url.replace("//", f"//user:{PROXY_PASSWORD}@")
        yield options("https://api.invalid", proxy=url)


@fault_case(
    "proxy: plain http refused (403)", "proxy", "refuses to connect to .* 403 Forbidden", advised="allow 127.0.0.1"
)
async def _plain_forbidden() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox, proxy("403 Forbidden") as served:
        yield options(sandbox.url, proxy=served.url)


@fault_case(
    "proxy: plain http, login required (407)", "proxy", "requires a user name and a password", advised="user:password"
)
async def _plain_login() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox, proxy(login="Basic xyz") as served:
        yield options(sandbox.url, proxy=served.url)


@fault_case(
    "proxy: cannot reach the host (502)", "proxy", "cannot reach api.invalid:443 .*502", advised="Is the host right"
)
async def _unreachable_behind() -> AsyncIterator[Options]:
    async with proxy("502 Bad Gateway") as served:
        yield options("https://api.invalid", proxy=served.url)


# The service


@fault_case(
    "503 from the API",
    READS[:-1],
    "answers 503: E0014 Service Unavailable \\(request [0-9a-f-]{36}\\)",
    advised="The fault is the service's, not yours. .*with the request id",
)
async def _unavailable() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", Fault.unavailable())
        yield options(sandbox.url)


@fault_case(
    "503 from one operation",
    "locations.markers",
    "answers 503: E0014 Service Unavailable",
    advised="The fault is the service's, not yours",
)
async def _one_unavailable() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("locations.markers", Fault.unavailable(retry_after=30))
        yield options(sandbox.url)


@fault_case(
    "503 from the token endpoint",
    "token",
    "the token endpoint answers 503",
    advised="The fault is the service's, not yours. .*with the time",
)
async def _token_unavailable() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("token", Fault.unavailable())
        yield options(sandbox.url)


@fault_case("429 from the token endpoint", "token", "answers 429: too many requests", advised="try again in 30 s")
async def _token_limited() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("token", Fault.rate_limit(30))
        yield options(sandbox.url)


@fault_case(
    "product without an operation (403)",
    "charging.active",
    "refused with 403 although the token is fresh",
    advised="Your product does not include this operation",
)
async def _not_included() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("charging.active", Fault.status(403))
        yield options(sandbox.url)


# Something else answers

_PAGE = b"<!DOCTYPE html><html><body>Welcome to Hotel Wifi! Please log in.</body></html>"


@fault_case(
    "captive portal: a page", "token", "200 with an HTML page instead of JSON .*captive portal", advised="log in to the"
)
async def _portal_page() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(sandbox, SandboxReply(200, (("Content-Type", "text/html; charset=utf-8"),), _PAGE))
        yield options(sandbox.url)


@fault_case("captive portal: a redirect", "token", "302, a redirect to http://portal.example", advised="log in to the")
async def _portal_redirect() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(sandbox, SandboxReply(302, (("Location", "http://portal.example/login?from=you"),), b""))
        yield options(sandbox.url)


@fault_case("captive portal: 511", "token", "511: this network requires a login first", advised="log in to the")
async def _portal_511() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(sandbox, SandboxReply(511, (("Content-Type", "text/html"),), _PAGE))
        yield options(sandbox.url)


@fault_case(
    "a page instead of the API's answers", READS[:-1], "200 with an HTML page instead of JSON", advised="A proxy or"
)
async def _page() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", Fault.garbage())
        yield options(sandbox.url)


@fault_case(
    "garbage instead of the API's answers", READS[:-1], "200 with a body that cannot be read", advised="api_version"
)
async def _garbage() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", Fault.garbage(b"\x00\xff{", content_type="application/json"))
        yield options(sandbox.url)
