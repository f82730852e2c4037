"""What the transport does and never does: redirects, cookies, proxies, sizes, TLS, sessions of the caller, closing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import gzip
import json
import logging
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import weakref
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer, unused_port
from fakes import CALLS, CARD, EVSE, GOOD_BODIES, POSTS, SESSION, call
from raw_servers import raw_server

from shell_ev import (
    ApiError,
    AsyncShellEV,
    ClientCredentials,
    ConfigurationError,
    ConnectError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ResponseDecodeError,
    ShellEVError,
    StaticToken,
    Timeout,
    TransportError,
)
from shell_ev.core.retry import RetryPolicy
from shell_ev.core.runtime import Hooks, ambient
from shell_ev.sandbox import Fault, Sandbox

TOKEN = StaticToken("the-token")
OK = {"requestId": "r", "status": "SUCCESS", "data": []}


@pytest.fixture(autouse=True)
def short_pauses() -> Iterator[None]:
    with ambient(Hooks(retry=RetryPolicy(floor=0.005, factor=0.005))):
        yield


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """A server with one handler for everything."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app, **options) as server:
        yield str(server.make_url("/")).rstrip("/")


def answering(body: bytes, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return handler


class TestWhatItNeverDoes:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("operation", CALLS)
    async def test_it_follows_no_redirect(self, operation: str, status: int) -> None:
        asked: list[str] = []

        async def handler(request: web.Request) -> web.StreamResponse:
            asked.append(request.path)
            return web.Response(status=status, headers={"Location": "/elsewhere"})

        async with serving(handler) as url, AsyncShellEV(token_source=TOKEN, base_url=url) as ev:
            with pytest.raises(ApiError, match="redirect to '/elsewhere'") as caught:
                await call(ev, operation)
        assert caught.value.status_code == status
        assert caught.value.outcome_unknown is (operation in POSTS)
        assert len(asked) == 1
        assert "/elsewhere" not in asked

    async def test_it_sends_no_cookie_back_not_even_to_another_path(self) -> None:
        cookies: list[str | None] = []

        async def handler(request: web.Request) -> web.StreamResponse:
            cookies.append(request.headers.get("Cookie"))
            if request.path.endswith("/token"):
                body: dict[str, Any] = {"access_token": "t"}
            else:
                body = OK
            return web.json_response(body, headers={"Set-Cookie": "id=1; Path=/"})

        async with serving(handler) as url, AsyncShellEV("id", "secret", base_url=url) as ev:
            for _ in range(3):
                await ev.charging.active(CARD)
        assert cookies == [None] * 4


SCRIPT = """
import asyncio, json, sys
from shell_ev import AsyncShellEV, StaticToken
from shell_ev.errors import ShellEVError

async def main(url, options):
    async with AsyncShellEV(token_source=StaticToken("the-token"), base_url=url, max_retries=0, **options) as ev:
        try:
            answer = await ev.charging.active("NL-TNM-C00122045-K")
            print(answer.status_code)
        except ShellEVError as error:
            print(type(error).__name__, error)

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""


async def in_a_process(url: str, environ: dict[str, str], **options: Any) -> str:
    """One call in a fresh process with that environment; what it printed."""
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, url, json.dumps(options),
        env={**clean, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert err.decode() == ""
    return out.decode().strip()


class TestTheEnvironment:
    async def test_proxies_are_left_alone_unless_trusted_and_netrc_always(self, tmp_path: Path) -> None:
        seen: list[tuple[str, str, dict[str, str]]] = []

        def noting(name: str) -> Handler:
            async def handler(request: web.Request) -> web.StreamResponse:
                seen.append((name, request.raw_path, dict(request.headers)))
                return web.json_response(OK)

            return handler

        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password netrc-password\n")
        netrc.chmod(0o600)
        async with serving(noting("service")) as url, serving(noting("proxy")) as proxy:
            bare = proxy.removeprefix("http://")
            base = {"NETRC": str(netrc), "HOME": str(tmp_path)}
            with_scheme, without = {**base, "HTTP_PROXY": proxy, "http_proxy": proxy}, {**base, "http_proxy": bare}
            results = await asyncio.gather(
                in_a_process(url, with_scheme),
                in_a_process(url + "/trusted", with_scheme, trust_env=True),
                in_a_process(url + "/bare", without, trust_env=True),
                in_a_process(url + "/bypassed", {**with_scheme, "no_proxy": "127.0.0.1"}, trust_env=True),
                in_a_process(url + "/none", base, trust_env=True),
            )
        assert results == ["200"] * 5
        went = {
            (name, path.removeprefix(url).removesuffix("/ev/v2/charge-session/active?emaId=" + CARD))
            for name, path, _ in seen
        }
        assert went == {
            ("service", ""),
            ("proxy", "/trusted"),
            ("proxy", "/bare"),
            ("service", "/bypassed"),
            ("service", "/none"),
        }
        for _, _, headers in seen:
            assert headers["Authorization"] == "Bearer the-token"
            assert "netrc-password" not in repr(headers)

    async def test_a_proxy_that_cannot_be_used_is_a_configuration_error_and_nothing_is_sent(self) -> None:
        said = await in_a_process("http://127.0.0.1:9", {"http_proxy": "socks5://127.0.0.1:9"}, trust_env=True)
        assert said.startswith("ConfigurationError")

    @pytest.mark.parametrize("operation", POSTS)
    async def test_a_given_proxy_sees_the_call_and_an_absent_one_is_no_unknown_outcome(self, operation: str) -> None:
        seen: list[str] = []

        async def handler(request: web.Request) -> web.StreamResponse:
            seen.append(request.raw_path)
            return web.json_response({**OK, "data": [{"sessionId": SESSION}]})

        async with (
            serving(handler) as proxy,
            AsyncShellEV(token_source=TOKEN, base_url="http://ev.invalid", proxy=proxy) as ev,
        ):
            await call(ev, operation)
        assert seen[0].startswith(f"http://ev.invalid/ev/v2/charge-session/{operation}")
        gone = f"http://127.0.0.1:{unused_port()}"
        async with AsyncShellEV(token_source=TOKEN, base_url="http://ev.invalid", proxy=gone) as ev:
            with pytest.raises(ConnectError) as caught:
                await call(ev, operation)
        assert not caught.value.outcome_unknown
        assert caught.value.attempts == 3

    async def test_a_proxy_that_refuses_the_tunnel_is_no_unknown_outcome_and_its_password_is_not_shown(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        caplog.set_level(logging.DEBUG)
        async with raw_server(serve) as proxy:
            with_password = proxy.replace("http://", "http://me:proxy-password@")
            async with AsyncShellEV(token_source=TOKEN, base_url="https://ev.invalid", proxy=with_password) as ev:
                with pytest.raises(ConnectError, match="407") as caught:
                    await ev.charging.start(CARD, EVSE)
        assert not caught.value.outcome_unknown
        everything = caplog.text + str(caught.value) + repr(vars(caught.value)) + repr(caught.value.__cause__)
        assert "proxy-password" not in everything
        assert "the-token" not in everything


LIMIT = 10_000


def page(size: int) -> bytes:
    """A readable body of exactly that many bytes."""
    empty = json.dumps({**OK, "pad": ""}).encode()
    return json.dumps({**OK, "pad": "x" * (size - len(empty))}).encode()


class TestSizes:
    @asynccontextmanager
    async def client(self, handler: Handler) -> AsyncIterator[AsyncShellEV]:
        async with (
            serving(handler) as url,
            AsyncShellEV(token_source=TOKEN, base_url=url, max_response_bytes=LIMIT) as ev,
        ):
            yield ev

    def chunked(self, body: bytes) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            for start in range(0, len(body), 1000):
                await response.write(body[start : start + 1000])
            return response

        return handler

    @pytest.mark.parametrize("way", ["announced", "chunked", "gzip", "deflate"])
    async def test_a_body_of_exactly_the_limit_is_read(self, way: str) -> None:
        body = page(LIMIT)
        assert len(body) == LIMIT
        handler = {
            "announced": answering(body),
            "chunked": self.chunked(body),
            "gzip": answering(gzip.compress(body), Content_Encoding="gzip"),
            "deflate": answering(zlib.compress(body), Content_Encoding="deflate"),
        }[way]
        async with self.client(handler) as ev:
            response = await ev.charging.active(CARD)
        assert response.body == body

    @pytest.mark.parametrize("way", ["announced", "chunked", "gzip bomb", "deflate bomb"])
    @pytest.mark.parametrize("operation", CALLS)
    async def test_a_body_beyond_the_limit_is_not_read_to_its_end(self, operation: str, way: str) -> None:
        size = LIMIT + 1 if way == "announced" else 5_000_000
        body = page(size)
        bomb = gzip.compress(body) if way.startswith("gzip") else zlib.compress(body)
        assert len(bomb) < LIMIT, "small on the wire"
        handler = {
            "announced": answering(body),
            "chunked": self.chunked(page(200_000)),
            "gzip bomb": answering(bomb, Content_Encoding="gzip"),
            "deflate bomb": answering(bomb, Content_Encoding="deflate"),
        }[way]
        async with self.client(handler) as ev:
            with pytest.raises(ResponseDecodeError, match=r"larger than max_response_bytes \(10000 bytes\)") as caught:
                await call(ev, operation)
            assert len(caught.value.body) == LIMIT
            assert caught.value.outcome_unknown is (operation in POSTS)
            assert caught.value.attempts == 1

    async def test_after_a_body_that_was_too_large_the_client_still_works(self) -> None:
        bodies = [page(50_000), json.dumps(OK).encode()]

        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(body=bodies.pop(0))

        async with self.client(handler) as ev:
            with pytest.raises(ResponseDecodeError):
                await ev.charging.active(CARD)
            assert (await ev.charging.active(CARD)).data == ()

    async def test_an_error_page_beyond_the_limit_is_cut_and_still_its_status(self) -> None:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(status=404, body=b"x" * 50_000)

        async with self.client(handler) as ev:
            with pytest.raises(ApiError) as caught:
                await ev.charging.active(CARD)
        assert caught.value.status_code == 404
        assert len(caught.value.body) == LIMIT

    async def test_the_limit_of_a_copy_is_its_own(self) -> None:
        async with self.client(answering(page(5_000))) as ev:
            assert (await ev.charging.active(CARD)).status_code == 200
            with pytest.raises(ResponseDecodeError, match="larger than"):
                await ev.with_options(max_response_bytes=4_999).charging.active(CARD)
            assert (await ev.with_options(max_response_bytes=5_000).charging.active(CARD)).status_code == 200

    @pytest.mark.parametrize("operation", CALLS)
    async def test_compressed_nonsense_after_a_post_is_an_unknown_outcome(self, operation: str) -> None:
        async with self.client(answering(b"no gzip at all", Content_Encoding="gzip")) as ev:
            with pytest.raises(OutcomeUnknownError if operation in POSTS else TransportError):
                await call(ev, operation, max_retries=0)


class TestAnswersThatAreNoHttp:
    @pytest.mark.parametrize("operation", CALLS)
    @pytest.mark.parametrize(
        "raw",
        [
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/1.1 200\r\nContent-Length: nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
            b"HTTP/1.1 99999 Bearer the-token\r\n\r\n",
            b"",
        ],
        ids=["ssh", "length", "chunks", "short", "header", "status", "nothing"],
    )
    async def test_they_leave_a_post_unknown_and_show_no_token(self, operation: str, raw: bytes) -> None:
        arrived = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal arrived
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            arrived += 1
            writer.write(raw)
            writer.close()

        async with raw_server(serve) as url, AsyncShellEV(token_source=TOKEN, base_url=url) as ev:
            with pytest.raises(OutcomeUnknownError if operation in POSTS else TransportError) as caught:
                await call(ev, operation, max_retries=1)
        if operation in POSTS:
            assert arrived == 1
        else:
            assert caught.value.attempts == 2
            assert not caught.value.outcome_unknown
        error: BaseException | None = caught.value
        while error is not None:
            assert "the-token" not in str(error) + repr(error) + repr(vars(error))
            error = error.__cause__ or error.__context__

    async def test_an_answer_that_changes_the_protocol_is_a_failure_and_its_connection_is_let_go(self) -> None:
        left = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_debug(True)  # then aiohttp complains of answers that nobody let go
        complaints: list[Any] = []
        loop.set_exception_handler(lambda _, context: complaints.append(context))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            await reader.read()
            left.set()
            writer.close()

        async with raw_server(serve) as url, AsyncShellEV(token_source=TOKEN, base_url=url, max_retries=0) as ev:
            with pytest.raises(ApiError) as caught:
                await call(ev, "active")
            assert caught.value.status_code == 101
            await asyncio.wait_for(left.wait(), 5)
        assert complaints == []


class TestASessionOfTheCaller:
    @pytest.mark.parametrize("jar", ["aiohttp's own", "DummyCookieJar"])
    async def test_its_cookie_jar_decides_about_cookies(self, jar: str) -> None:
        """As docs/configuration.md says. A jar takes no cookies of an IP address, so the host has a name."""
        cookies: list[str | None] = []

        async def handler(request: web.Request) -> web.StreamResponse:
            cookies.append(request.headers.get("Cookie"))
            return web.json_response(OK, headers={"Set-Cookie": "id=1; Path=/"})

        given = aiohttp.DummyCookieJar() if jar == "DummyCookieJar" else None
        async with (
            serving(handler, host="localhost") as url,
            aiohttp.ClientSession(cookie_jar=given) as session,
            AsyncShellEV(token_source=TOKEN, base_url=url, http_session=session) as ev,
        ):
            for _ in range(2):
                await ev.charging.active(CARD)
        assert cookies == [None, None if jar == "DummyCookieJar" else "id=1"]

    async def test_it_is_used_and_not_closed(self) -> None:
        async with serving(answering(json.dumps(OK).encode())) as url, aiohttp.ClientSession() as session:
            async with AsyncShellEV(token_source=TOKEN, base_url=url, http_session=session) as ev:
                await ev.charging.active(CARD)
            assert not session.closed
            async with session.get(url) as response:
                assert response.status == 200

    async def test_its_own_settings_do_not_change_what_a_failure_is(self) -> None:
        seen: list[dict[str, str]] = []

        async def handler(request: web.Request) -> web.StreamResponse:
            seen.append(dict(request.headers))
            return web.json_response({"errors": [{"code": "E0038"}]}, status=404)

        async with (
            serving(handler) as url,
            aiohttp.ClientSession(
                raise_for_status=True,
                headers={"X-Tenant": "blue", "Accept": "text/html", "Authorization": "Basic mine", "User-Agent": "x"},
                timeout=aiohttp.ClientTimeout(total=0.000001),
            ) as session,
            AsyncShellEV(token_source=TOKEN, base_url=url, http_session=session) as ev,
        ):
            with pytest.raises(ApiError) as caught:
                await ev.charging.retrieve(SESSION)
        assert (caught.value.status_code, caught.value.code) == (404, "E0038")
        (headers,) = seen
        assert headers["X-Tenant"] == "blue"
        assert headers["Accept"] == "application/json"
        assert headers["Authorization"] == "Bearer the-token"
        assert headers["User-Agent"].startswith("shell_ev/")

    async def test_one_with_a_base_url_of_its_own_still_asks_our_host(self) -> None:
        async with (
            serving(answering(json.dumps(OK).encode())) as url,
            aiohttp.ClientSession(base_url="http://elsewhere.invalid/") as session,
            AsyncShellEV(token_source=TOKEN, base_url=url, http_session=session) as ev,
        ):
            assert (await ev.charging.active(CARD)).status_code == 200

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    async def test_one_with_credentials_of_its_own_is_a_configuration_error(self) -> None:
        async with (
            aiohttp.ClientSession(auth=aiohttp.BasicAuth("me", "session-password")) as session,
            AsyncShellEV(token_source=TOKEN, base_url="http://127.0.0.1:9", http_session=session) as ev,
        ):
            with pytest.raises(ConfigurationError, match="auth") as caught:
                await ev.charging.start(CARD, EVSE)
        assert "session-password" not in str(caught.value)

    @pytest.mark.parametrize("operation", CALLS)
    async def test_a_closed_one_is_a_configuration_error(self, operation: str) -> None:
        session = aiohttp.ClientSession()
        await session.close()
        async with AsyncShellEV(token_source=TOKEN, base_url="http://127.0.0.1:9", http_session=session) as ev:
            with pytest.raises(ConfigurationError, match=r"ClientSession .* is closed"):
                await call(ev, operation)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=shell-ev-test",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


class TestTls:
    @pytest.mark.parametrize("operation", CALLS)
    async def test_an_untrusted_certificate_is_refused_before_anything_is_sent(
        self, certificate: tuple[Path, Path], operation: str
    ) -> None:
        asked: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.read(1))
            writer.close()

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the broken handshake
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        try:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with AsyncShellEV(token_source=TOKEN, base_url=url, max_retries=1) as ev:
                with pytest.raises(ConnectError, match=r"(?i)certificate") as caught:
                    await call(ev, operation)
        finally:
            server.close()
        assert not caught.value.outcome_unknown
        assert not caught.value.request_sent
        assert caught.value.attempts == 2
        assert not any(asked), "not a byte of a request"

    async def test_a_context_that_trusts_the_certificate_makes_the_call(self, certificate: tuple[Path, Path]) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            body = json.dumps(OK).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
            await writer.drain()
            writer.close()

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        try:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with AsyncShellEV(token_source=TOKEN, base_url=url, ssl=trusting) as ev:
                assert (await ev.charging.active(CARD)).status_code == 200
        finally:
            server.close()


class TestErrorOfAConnectionThatCannotBeMade:
    """Who was asked and why it came to nothing, in words that need no knowledge of what is underneath."""

    async def reported(self, url: str, **options: Any) -> str:
        async with AsyncShellEV(token_source=TOKEN, base_url=url, max_retries=0, **options) as ev:
            with pytest.raises(ConnectError) as caught:
                await ev.charging.active(CARD)
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_no_server_listens(self, host: str) -> None:
        asked = f"{host}:{unused_port()}"
        assert (await self.reported(f"http://{asked}")).startswith(f"cannot connect to {asked}: Connection refused (")

    async def test_no_server_listens_at_any_address_of_the_host(self) -> None:
        class Two(AbstractResolver):
            async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
                found = {"hostname": host, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
                return [{**found, "host": address} for address in ("127.0.0.1", "127.0.0.2")]

            async def close(self) -> None:
                pass

        asked = f"ev.invalid:{unused_port()}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Two())) as session:
            reported = await self.reported(f"http://{asked}", http_session=session)
        assert reported.startswith(f"cannot connect to {asked}: Connection refused (")

    @pytest.mark.parametrize(
        "error",
        [
            OSError(5, b"no text"),
            OSError(5, 7),
            OSError("no number"),
            OSError(),
            OSError("Connect call failed"),
            OSError(2**70, "Connect call failed (there)"),
            OSError("x", "Connect call failed (there)"),
        ],
        ids=repr,
    )
    async def test_every_exception_of_the_callers_connector_is_in_the_error(self, error: OSError) -> None:
        class Failing(aiohttp.TCPConnector):
            async def connect(self, req: Any, *_: Any, **__: Any) -> Any:
                raise aiohttp.ClientConnectorError(req.connection_key, error)

        async with aiohttp.ClientSession(connector=Failing()) as session:
            reported = await self.reported("http://ev.invalid", http_session=session)
        assert reported.startswith("cannot connect to ev.invalid:80: ")

    async def test_an_address_of_the_newer_kind(self) -> None:
        assert (await self.reported("http://[::1]:1")).startswith("cannot connect to [::1]:1: ")

    async def test_an_unknown_host(self) -> None:
        assert (await self.reported("http://ev.invalid")).startswith("cannot connect to ev.invalid:80: ")

    async def test_a_proxy_that_is_not_there(self) -> None:
        proxy = f"127.0.0.1:{unused_port()}"
        reported = await self.reported("http://ev.invalid", proxy=f"http://me:proxy-password@{proxy}")
        assert reported.startswith(f"cannot connect to the proxy {proxy}: Connection refused (")

    async def test_a_server_that_speaks_no_tls(self) -> None:
        async with serving(answering(b"")) as url:
            reported = await self.reported(url.replace("http:", "https:"))
        assert reported.startswith(f"cannot connect to {url.removeprefix('http://')}: no TLS there (")

    async def test_a_certificate_that_is_not_trusted(self, certificate: tuple[Path, Path]) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the handshake that fails on this side, too
        port = server.sockets[0].getsockname()[1]
        try:
            reported = await self.reported(f"https://127.0.0.1:{port}")
        finally:
            server.close()
        assert reported.startswith(f"cannot connect to 127.0.0.1:{port}: its certificate is not trusted: self-signed")


@pytest.mark.parametrize("operation", ["active", "start"])
async def test_an_answer_that_is_no_http_is_named_as_that(operation: str) -> None:
    """aiohttp makes a status of 400 of it, which nobody sent, and repeats the URL with its ids."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async with raw_server(serve) as url, AsyncShellEV(token_source=TOKEN, base_url=url, max_retries=0) as ev:
        with pytest.raises(TransportError) as caught:
            await call(ev, operation)
    reported = str(caught.value)
    assert "what came is no HTTP: Bad status line: Expected HTTP/" in reported
    assert "SSH-2.0" in reported
    assert not re.search(r"400|url=|ev/v2|\\n", reported)
    assert caught.value.outcome_unknown is (operation == "start")


@pytest.mark.parametrize("cut", [1, 40, 100, 400, 900])
@pytest.mark.parametrize("begin", [0, 30, 300])
async def test_no_part_of_a_token_is_shown_at_any_cut(begin: int, cut: int) -> None:
    """By whoever shortens a text, or by the network: an answer is refused with what has come of it."""
    token = "".join(chr(97 + number * number % 26) + str(number) for number in range(250))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = await reader.readuntil(b"\r\n\r\n")
        assert token.encode() in sent
        writer.write(b"you said " + token[begin:][:cut].encode() + b"\r\n\r\n")
        writer.close()

    async with (
        raw_server(serve) as url,
        AsyncShellEV(token_source=StaticToken(token), base_url=url, max_retries=0) as ev,
    ):
        with pytest.raises(OutcomeUnknownError) as caught:
            await call(ev, "start")
    reported = str(caught.value)
    assert "you said" in reported
    assert not any(token[place : place + 12] in reported for place in range(len(token) - 11))


class TestTheLifeOfAClient:
    async def test_after_closing_every_call_is_a_configuration_error(self, sandbox: Sandbox) -> None:
        ev = AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url)
        await ev.charging.active(CARD)
        await ev.aclose()
        await ev.aclose()
        for operation in CALLS:
            with pytest.raises(ConfigurationError, match="closed"):
                await call(ev, operation)
        with pytest.raises(ConfigurationError, match="closed"):
            await ev.with_options(timeout=1).charging.active(CARD)

    async def test_one_that_was_never_used_closes_and_stays_closed(self) -> None:
        async with AsyncShellEV("id", "secret") as ev:
            pass
        with pytest.raises(ConfigurationError, match="closed"):
            await ev.charging.active(CARD)

    @pytest.mark.parametrize("operation", CALLS)
    async def test_closing_under_a_call_ends_it_with_an_error_of_ours(self, sandbox: Sandbox, operation: str) -> None:
        ev = AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url)
        sandbox.faults.always(f"charging.{operation}", Fault.hang())
        running = asyncio.ensure_future(call(ev, operation))
        while not any(request.operation == f"charging.{operation}" for request in sandbox.requests):
            await asyncio.sleep(0.001)
        await ev.aclose()
        with pytest.raises(ShellEVError) as caught:
            await asyncio.wait_for(running, 2)
        assert caught.value.outcome_unknown is (operation in POSTS)

    async def test_copies_share_connections_and_token_and_closing_one_does_nothing(self, sandbox: Sandbox) -> None:
        async with AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
            await ev.charging.active(CARD)
            patient = ev.with_options(timeout=Timeout(total=120, read=60), max_retries=5)
            async with patient, patient.with_options(api_version="v1") as other:
                await patient.charging.active(CARD)
                await other.charging.active(CARD)
            assert (await ev.charging.active(CARD)).status_code == 200
            assert (await patient.charging.active(CARD)).status_code == 200
            assert patient.config.max_retries == 5
            assert ev.config.max_retries == 2
        assert sandbox.service.tokens.issued == 1
        with pytest.raises(ConfigurationError, match="closed"):
            await patient.charging.active(CARD)

    async def test_copies_use_the_same_connection(self) -> None:
        ports: set[Any] = set()

        async def handler(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            ports.add(request.transport.get_extra_info("peername"))
            return web.json_response(OK)

        async with serving(handler) as url, AsyncShellEV(token_source=TOKEN, base_url=url) as ev:
            for _ in range(3):
                await ev.charging.active(CARD)
                await ev.with_options(max_retries=0).charging.active(CARD)
        assert len(ports) == 1

    @pytest.mark.parametrize(
        "options",
        [
            {"timeout": -1},
            {"max_retries": -1},
            {"api_version": "v9"},
            {"max_response_bytes": 0},
            {"user_agent_suffix": "\n"},
        ],
    )
    def test_a_copy_checks_its_options(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError):
            AsyncShellEV("id", "secret").with_options(**options)

    async def test_the_number_of_connections_is_limited(self) -> None:
        open_now = most = 0

        async def handler(_: web.Request) -> web.StreamResponse:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0.005)
            open_now -= 1
            return web.json_response(OK)

        async with serving(handler) as url, AsyncShellEV(token_source=TOKEN, base_url=url, max_connections=3) as ev:
            await asyncio.gather(*(ev.charging.active(CARD) for _ in range(12)))
        assert most == 3

    async def test_one_client_works_in_one_loop_after_the_other_without_noise_or_leaks(self, sandbox: Sandbox) -> None:
        script = textwrap.dedent(
            f"""
            import asyncio, gc, os
            from shell_ev import AsyncShellEV

            ev = AsyncShellEV({sandbox.client_id!r}, {sandbox.client_secret!r}, base_url={sandbox.url!r})

            async def ask():
                return (await ev.charging.active({CARD!r})).status_code

            def next_free_descriptor():
                gc.collect()
                os.close(free := os.dup(0))
                return free

            answers = [asyncio.run(ask()), asyncio.run(ask())]
            free = next_free_descriptor()
            answers += [asyncio.run(ask()) for _ in range(5)]
            leaked = next_free_descriptor() - free

            async def close():
                answers.append(await ask())
                await ev.aclose()

            asyncio.run(close())
            print(set(answers), leaked)
            """
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        assert err.decode() == ""
        assert out.decode().strip() == "{200} 0"
        assert sandbox.service.tokens.issued == 1

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    async def test_a_forked_child_gets_a_clear_error_and_its_end_does_not_make_the_parent_deaf(
        self, sandbox: Sandbox
    ) -> None:
        script = textwrap.dedent(
            f"""
            import asyncio, os, sys
            from shell_ev import AsyncShellEV, ConfigurationError

            ev = AsyncShellEV({sandbox.client_id!r}, {sandbox.client_secret!r}, base_url={sandbox.url!r})

            async def in_child():
                try:
                    await ev.charging.active({CARD!r})
                except ConfigurationError as error:
                    assert "fork" in str(error), error
                await ev.aclose()
                async with AsyncShellEV(
                    {sandbox.client_id!r}, {sandbox.client_secret!r}, base_url={sandbox.url!r}
                ) as fresh:
                    assert (await fresh.charging.active({CARD!r})).status_code == 200

            async def ask():
                return (await ev.charging.active({CARD!r}, timeout=2, max_retries=0)).attempts

            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(ask()) == 1
            child = os.fork()
            if child == 0:
                asyncio.run(in_child())  # and then out through the interpreter's usual end
            else:
                assert os.waitpid(child, 0)[1] == 0
                assert loop.run_until_complete(ask()) == 1
                loop.run_until_complete(ev.aclose())
                loop.close()
                print("heard")
            """
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        assert err.decode() == ""
        assert out.decode().strip() == "heard"


class TestLogs:
    async def test_the_log_has_every_step_without_a_secret(
        self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        credentials = ClientCredentials(sandbox.client_id, sandbox.client_secret)
        sandbox.faults.add("token", Fault.status(500))
        sandbox.faults.add("charging.active", Fault.status(502))
        sandbox.faults.add("charging.active", Fault.token_revoked())
        sandbox.faults.add("charging.start", Fault.drop())
        async with AsyncShellEV(token_source=credentials, base_url=sandbox.url) as ev:
            await ev.charging.active(CARD)
            with pytest.raises(OutcomeUnknownError):
                await ev.charging.start(CARD, EVSE)
        ours = [record for record in caplog.records if record.name == "shell_ev"]
        assert any("charging.active: status 502; trying again in" in record.getMessage() for record in ours)
        assert any("token: status 500" in record.getMessage() for record in ours)
        assert {record.levelno for record in ours} <= {logging.DEBUG, logging.INFO}
        secrets = {sandbox.client_secret, credentials.basic, credentials.basic.removeprefix("Basic ")}
        secrets |= {request.headers["Authorization"].split()[1] for request in sandbox.requests}
        for record in ours:
            for secret in secrets:
                assert secret not in record.getMessage()
                assert secret not in repr(record.args)

    def test_no_handler_is_installed(self) -> None:
        assert logging.getLogger("shell_ev").handlers == []
        assert logging.getLogger("shell_ev").level == logging.NOTSET


async def test_a_dropped_call_closes_without_a_warning_in_any_context() -> None:
    """As a collector or a closing loop does it, far from the context that the call was made in."""

    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    loop = asyncio.get_running_loop()
    complaints: list[Any] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    async with serving(silent) as url, AsyncShellEV(token_source=TOKEN, base_url=url) as ev:
        coroutine = ev.charging.active(CARD)
        waiting_for = coroutine.send(None)
        contextvars.copy_context().run(coroutine.close)
        del waiting_for
    assert complaints == []


ENDINGS: dict[str, bytes | None] = {
    "silent": None,
    "reset": b"",
    "short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "nonsense": b"NONSENSE\r\n\r\n",
    "refused": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("limits", [Timeout(total=20, read=0.1), Timeout(total=0.1)], ids=["read", "total"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_call_that_failed_lets_go_of_its_task(ending: str, limits: Timeout) -> None:
    """At once and not when the collector comes by: the task holds the request, and that its token."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = ENDINGS[ending]
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with (
        raw_server(serve) as url,
        AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, max_retries=0) as ev,
    ):
        for _ in range(2):  # the first imports and connects
            gc.collect()
            gc.disable()
            try:
                task = asyncio.create_task(ev.charging.active(CARD))
                gone = weakref.ref(task)
                await asyncio.wait([task])
                assert isinstance(task.exception(), ShellEVError)
                del task
                await asyncio.sleep(0)
                left = gone() is not None
            finally:
                gc.enable()
        assert not left


class TestSilence:
    """``Timeout.read`` is the longest silence, not the longest answer."""

    @staticmethod
    def drip(pieces: int, pause: float) -> Any:
        async def handler(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            body = GOOD_BODIES["active"]
            step = len(body) // pieces + 1
            for begin in range(0, len(body), step):
                await asyncio.sleep(pause)
                await answer.write(body[begin : begin + step])
            return answer

        return handler

    async def test_an_answer_that_keeps_coming_may_take_longer(self) -> None:
        limits = Timeout(total=20, read=0.5)
        async with (
            serving(self.drip(8, 0.1)) as url,
            AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, max_retries=0) as ev,
        ):
            response = await call(ev, "active")
        assert response.data == ()
        assert response.elapsed > 0.7

    async def test_an_answer_that_stops_coming_is_given_up(self) -> None:
        limits = Timeout(total=20, read=0.15)
        async with (
            serving(self.drip(2, 5)) as url,
            AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, max_retries=0) as ev,
        ):
            with pytest.raises(RequestTimeoutError) as caught:
                await call(ev, "active")
        assert caught.value.request_sent

    async def test_a_session_of_the_callers_has_the_limit_too(self) -> None:
        limits = Timeout(total=20, read=0.15)
        async with serving(self.drip(2, 5)) as url, aiohttp.ClientSession() as session:
            ev = AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, max_retries=0, http_session=session)
            with pytest.raises(RequestTimeoutError):
                await call(ev, "active")

    async def test_what_is_silent_between_head_and_body_begins_anew(self) -> None:
        async def in_two_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            body = GOOD_BODIES["active"]
            await asyncio.sleep(0.2)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            await asyncio.sleep(0.2)
            writer.write(body)
            await writer.drain()
            writer.close()

        limits = Timeout(total=20, read=0.3)
        async with (
            raw_server(in_two_pieces) as url,
            AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, max_retries=0) as ev,
        ):
            assert (await call(ev, "active")).data == ()

    async def test_a_wait_between_two_tries_is_none(self) -> None:
        answers = iter([web.Response(status=500), web.Response(body=GOOD_BODIES["active"])])

        async def handler(_: web.Request) -> web.StreamResponse:
            return next(answers)

        limits = Timeout(total=20, read=0.2)
        async with serving(handler) as url:
            with ambient(Hooks(retry=RetryPolicy(floor=0.4))):
                ev = AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits)
            async with ev:
                response = await call(ev, "active")
        assert response.attempts == 2
        assert response.elapsed > 0.4

    async def test_closing_under_a_call_over_the_callers_session_leaves_it_its_limit(self) -> None:
        async with serving(self.drip(2, 5)) as url, aiohttp.ClientSession() as session:
            limits = Timeout(total=0.3, read=None)
            ev = AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, http_session=session)
            under_way = asyncio.create_task(call(ev, "start"))
            await asyncio.sleep(0.05)
            await ev.aclose()
            with pytest.raises(OutcomeUnknownError):
                await under_way


async def test_closing_fails_a_call_that_waits_for_a_connection_as_not_sent() -> None:
    came = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        came.set()
        await asyncio.sleep(60)
        raise AssertionError

    async with serving(silent) as url:
        ev = AsyncShellEV(token_source=TOKEN, base_url=url, max_connections=1)
        first, second = (asyncio.create_task(call(ev, "start")) for _ in range(2))
        await came.wait()
        await ev.aclose()
        with pytest.raises(OutcomeUnknownError):
            await first
        with pytest.raises(ConfigurationError, match="closed during the call; nothing was sent") as caught:
            await second
        assert not caught.value.outcome_unknown
