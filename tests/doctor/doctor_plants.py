"""Faults, really planted, and what the doctor must say of each. The table in docs/command-line.md is made of them."""

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
    tell_time,
    trusting,
    with_its_authority,
)

from shell_ev.doctor import Limits
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.sandbox.records import SandboxReply

Options = dict[str, Any]
WRONG_SECRET = "not-the-secret-0815"
PROXY_PASSWORD = "proxy-pass-4711"
#: None of them may show, in whatever the doctor puts out.
SECRETS = (SECRET, WRONG_SECRET, PROXY_PASSWORD, CLIENT_ID)

#: What is tried of the API.
READS = (
    *("charging.retrieve", "charging.active"),
    *("locations.list", "locations.nearby", "locations.markers", "locations.get"),
)


@attrs.frozen
class Plant:
    """One fault."""

    title: str
    """As the documentation names it."""
    plant: Callable[[], AbstractAsyncContextManager[Options]]
    """Plants it, and gives the client's options by which it is met."""
    failed: tuple[str, ...]
    """The checks that must fail; every other must be well or skipped."""
    named: tuple[str, ...]
    """What the findings must say (regular expressions)."""
    advised: str
    """What the advice must say."""
    limits: Limits = attrs.field(factory=Limits)


PLANTS: list[Plant] = []


def planted(
    title: str, failed: str | tuple[str, ...], *named: str, advised: str, limits: Limits | None = None
) -> Callable[[Callable[[], AsyncIterator[Options]]], None]:
    def add(function: Callable[[], AsyncIterator[Options]]) -> None:
        names = (failed,) if isinstance(failed, str) else failed
        PLANTS.append(Plant(title, asynccontextmanager(function), names, named, advised, limits or Limits()))

    return add


def options(url: str, **more: Any) -> Options:
    return {"client_id": CLIENT_ID, "client_secret": SECRET, "base_url": url, **more}


# Credentials


@planted(
    "wrong secret",
    "token",
    "the client id or the client secret is wrong",
    "401: invalid_client",
    advised="Check client_id .* and client_secret .* for a slip",
)
async def _wrong_secret() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        yield options(sandbox.url, client_secret=WRONG_SECRET)


# Hosts


@planted(
    "dead host (nothing listens)", "tcp", "refuses the connection", advised="Check host and port in base_url .* listens"
)
async def _dead_host() -> AsyncIterator[Options]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield options(f"http://127.0.0.1:{probe.getsockname()[1]}")


@planted(
    "dead host (says nothing)",
    "tcp",
    "does not answer within 0.2 s",
    advised="a firewall or a wrong route",
    limits=Limits(connect=0.2),
)
async def _black_hole() -> AsyncIterator[Options]:
    with black_hole() as port:
        yield options(f"http://127.0.0.1:{port}")


@planted(
    "host that takes connections and never answers",
    "token",
    "the token endpoint takes the connection and gives no answer within 0.3 s",
    advised="a server that hangs",
    limits=Limits(hello=0.2, answer=0.3),
)
async def _mute() -> AsyncIterator[Options]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass

    async with listening(serve) as port:
        yield options(f"http://127.0.0.1:{port}")


@planted(
    "unknown host name",
    "dns",
    # Without any name server the resolver cannot know that there is no such name.
    "(unknown host name: no-such-host.invalid is not found|host name no-such-host.invalid cannot be looked up)",
    advised="Check host and port in base_url",
)
async def _unknown_name() -> AsyncIterator[Options]:
    yield options("https://no-such-host.invalid")


@planted(
    "another service on that port",
    "http",
    "does not speak HTTP: it answers 'SSH-2.0-OpenSSH_9.6",
    advised="Check host and port in base_url .* Another service listens on that port",
)
async def _no_http() -> AsyncIterator[Options]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read(1024)

    async with listening(serve) as port:
        yield options(f"http://127.0.0.1:{port}")


@planted(
    "base_url with a path too much",
    "token",
    "no token endpoint there: it answers 404",
    advised="Check base_url, SHELL_EV_TOKEN_URL and SHELL_EV_API_VERSION",
)
async def _wrong_path() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        yield options(f"{sandbox.url}/api")


@planted(
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


@planted("TLS: self-signed certificate", "tls", "self-signed .*Nobody's Authority", advised="SSL_CERT_FILE=ca.pem")
async def _self_signed() -> AsyncIterator[Options]:
    async with behind_tls(self_signed()) as (_, url):
        yield options(url)


@planted(
    "TLS: unknown authority",
    "tls",
    "signed by an unknown authority, which this machine does not trust .*issued by .*Corporate Interception",
    advised="A company's proxy .* SSL_CERT_FILE",
)
async def _unknown_authority() -> AsyncIterator[Options]:
    authority = trustme.CA(organization_name="Corporate Interception")
    async with behind_tls(server_context(_for(authority, "localhost"))) as (_, url):
        yield options(url)


@planted(
    "TLS: unknown authority, sent along",
    "tls",
    "ends in an authority of its own, which this machine does not trust .*issued by .*Corporate Interception",
    advised="A company's proxy .* SSL_CERT_FILE",
)
async def _unknown_root() -> AsyncIterator[Options]:
    authority = trustme.CA(organization_name="Corporate Interception")
    async with behind_tls(with_its_authority(authority, _for(authority, "localhost"))) as (_, url):
        yield options(url)


def _issued(**more: Any) -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA(organization_name="Our Authority")
    return authority, _for(authority, "localhost", **more)


@planted("TLS: expired", "tls", "has expired on 2024-02-01 .*Our Authority", advised="renew the certificate")
async def _expired() -> AsyncIterator[Options]:
    authority, certificate = _issued(
        not_before=datetime(2024, 1, 1, tzinfo=UTC), not_after=datetime(2024, 2, 1, tzinfo=UTC)
    )
    async with behind_tls(server_context(certificate)) as (_, url):
        yield options(url, ssl=trusting(authority))


@planted("TLS: not yet valid", "tls", "is not yet valid, not before 20", advised="renew the certificate")
async def _not_yet() -> AsyncIterator[Options]:
    begins = datetime.now(UTC) + timedelta(days=30)
    authority, certificate = _issued(not_before=begins, not_after=begins + timedelta(days=90))
    async with behind_tls(server_context(certificate)) as (_, url):
        yield options(url, ssl=trusting(authority))


@planted(
    "TLS: wrong host name", "tls", "is for api.example and not for localhost: wrong host name", advised="Check the host"
)
async def _wrong_name() -> AsyncIterator[Options]:
    authority = trustme.CA(organization_name="Our Authority")
    async with behind_tls(server_context(_for(authority, "api.example"))) as (_, url):
        yield options(url, ssl=trusting(authority))


@planted("TLS: https where http is spoken", "tls", "no TLS with 127.0.0.1", advised="does not speak TLS")
async def _no_tls() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        yield options(sandbox.url.replace("http:", "https:"))


# Clock


@planted("clock ten minutes ahead", "clock", "clock is 10 minutes ahead of that of 127", advised="network time")
async def _ahead() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        tell_time(sandbox, ahead=-600)
        yield options(sandbox.url)


@planted("clock ten minutes behind", "clock", "clock is 10 minutes behind that of localhost", advised="network time")
async def _behind() -> AsyncIterator[Options]:
    authority, certificate = _issued()
    async with behind_tls(server_context(certificate)) as (sandbox, url):
        tell_time(sandbox, ahead=600)
        yield options(url, ssl=trusting(authority))


# Proxies


@planted("proxy: nothing listens", "proxy", "the proxy 127.0.0.1:[0-9]+ refuses the connection", advised="NO_PROXY")
async def _dead_proxy() -> AsyncIterator[Options]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        yield options("https://api.invalid", proxy=f"http://user:{PROXY_PASSWORD}@127.0.0.1:{port}")


@planted(
    "proxy: unknown host name", "proxy", "the proxy's host name no-such-proxy.invalid is not found", advised="proxy="
)
async def _unknown_proxy() -> AsyncIterator[Options]:
    yield options("https://api.invalid", proxy=f"http://user:{PROXY_PASSWORD}@no-such-proxy.invalid:3128")


@planted(
    "proxy: says nothing",
    "proxy",
    "the proxy 127.0.0.1:[0-9]+ does not answer within 0.2 s",
    advised="proxy's address",
    limits=Limits(connect=0.2),
)
async def _silent_proxy() -> AsyncIterator[Options]:
    with black_hole() as port:
        yield options("https://api.invalid", proxy=f"http://127.0.0.1:{port}")


@planted(
    "proxy: CONNECT refused (403)",
    "proxy",
    r"refuses to connect to api.invalid:443 \(it answers 403 Forbidden\)",
    advised="allow api.invalid:443",
)
async def _forbidden() -> AsyncIterator[Options]:
    async with proxy("403 Forbidden") as served:
        yield options("https://api.invalid", proxy=served.url)


@planted(
    "proxy: login wanted (407)", "proxy", "wants a user name and a password .*407", advised="user:password@host:port"
)
async def _login_wanted() -> AsyncIterator[Options]:
    async with proxy(login="Basic xyz", headers=('Proxy-Authenticate: Basic realm="x"',)) as served:
        yield options("https://api.invalid", proxy=served.url)


@planted(
    "proxy: login refused (407)", "proxy", "refuses the user name and password given .*407", advised="percent-encoded"
)
async def _login_refused() -> AsyncIterator[Options]:
    async with proxy(login="Basic xyz", headers=('Proxy-Authenticate: Basic realm="x"',)) as served:
        url = served.url.replace("//", f"//user:{PROXY_PASSWORD}@")
        yield options("https://api.invalid", proxy=url)


@planted(
    "proxy: plain http refused (403)", "proxy", "refuses to connect to .* 403 Forbidden", advised="allow 127.0.0.1"
)
async def _plain_forbidden() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox, proxy("403 Forbidden") as served:
        yield options(sandbox.url, proxy=served.url)


@planted("proxy: plain http, login wanted (407)", "proxy", "wants a user name and a password", advised="user:password")
async def _plain_login() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox, proxy(login="Basic xyz") as served:
        yield options(sandbox.url, proxy=served.url)


@planted(
    "proxy: cannot reach the host (502)", "proxy", "cannot reach api.invalid:443 .*502", advised="Is the host right"
)
async def _unreachable_behind() -> AsyncIterator[Options]:
    async with proxy("502 Bad Gateway") as served:
        yield options("https://api.invalid", proxy=served.url)


# The service


@planted(
    "503 from the API",
    READS[:-1],
    "answers 503: E0014 Service Unavailable \\(request [0-9a-f-]{36}\\)",
    advised="The fault is the service's, not yours. .*quote the request id",
)
async def _unavailable() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", Fault.unavailable())
        yield options(sandbox.url)


@planted(
    "503 from one operation",
    "locations.markers",
    "answers 503: E0014 Service Unavailable",
    advised="The fault is the service's, not yours",
)
async def _one_unavailable() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("locations.markers", Fault.unavailable(retry_after=30))
        yield options(sandbox.url)


@planted(
    "503 from the token endpoint",
    "token",
    "the token endpoint answers 503",
    advised="The fault is the service's, not yours. .*quote the time",
)
async def _token_unavailable() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("token", Fault.unavailable())
        yield options(sandbox.url)


@planted("429 from the token endpoint", "token", "answers 429: too many requests", advised="try again in 30 s")
async def _token_limited() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("token", Fault.rate_limit(30))
        yield options(sandbox.url)


@planted(
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


@planted(
    "captive portal: a page", "token", "200 with an HTML page instead of JSON .*captive portal", advised="log in to the"
)
async def _portal_page() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(sandbox, SandboxReply(200, (("Content-Type", "text/html; charset=utf-8"),), _PAGE))
        yield options(sandbox.url)


@planted("captive portal: a redirect", "token", "302, a redirect to http://portal.example", advised="log in to the")
async def _portal_redirect() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(sandbox, SandboxReply(302, (("Location", "http://portal.example/login?from=you"),), b""))
        yield options(sandbox.url)


@planted("captive portal: 511", "token", "511: this network wants a login first", advised="log in to the")
async def _portal_511() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(sandbox, SandboxReply(511, (("Content-Type", "text/html"),), _PAGE))
        yield options(sandbox.url)


@planted(
    "a page instead of the API's answers", READS[:-1], "200 with an HTML page instead of JSON", advised="A proxy or"
)
async def _page() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", Fault.garbage())
        yield options(sandbox.url)


@planted(
    "garbage instead of the API's answers", READS[:-1], "200 with a body that cannot be read", advised="api_version"
)
async def _garbage() -> AsyncIterator[Options]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", Fault.garbage(b"\x00\xff{", content_type="application/json"))
        yield options(sandbox.url)
