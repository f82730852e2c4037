"""Answers that arrive slowly or break off, proxies and TLS that fail, exceptions of the caller's objects."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import ssl
import traceback
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from fakes import CARD, EVSE, GOOD_BODIES, POSTS, call
from raw_servers import raw_server

from shell_ev import (
    AsyncShellEV,
    ConfigurationError,
    ConnectError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ShellEVError,
    StaticToken,
    Timeout,
    TransportError,
    ValidationError,
)
from shell_ev.core.proxies import proxy_in_environment

TOKEN = StaticToken("the-token")


def pieces_then_hold(*pieces: bytes, pause: float) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                await asyncio.sleep(pause)
                writer.write(piece)
                await writer.drain()
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return serve


BODY = GOOD_BODIES["active"]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
SLOW: dict[str, tuple[bytes, ...]] = {
    "interim answers": (b"HTTP/1.1 102 Processing\r\n\r\n",) * 6 + (HEAD + BODY,),
    "a head in parts": (*(HEAD[i : i + 12] for i in range(0, len(HEAD), 12)), BODY),
    "a chunk in parts": (
        HEAD.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked"),
        b"%x\r\n" % len(BODY),
        *(BODY[i : i + 8] for i in range(0, len(BODY), 8)),
        b"\r\n",
        b"0\r\n",
        b"\r\n",
    ),
}


class TestTheIdleTimeout:
    @pytest.mark.parametrize("kind", SLOW)
    async def test_any_data_restarts_it(self, kind: str) -> None:
        limits = Timeout(total=20, read=0.4)
        async with (
            raw_server(pieces_then_hold(*SLOW[kind], pause=0.1)) as url,
            AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, max_retries=0) as ev,
        ):
            answer = await call(ev, "active")
        assert answer.data == ()
        assert answer.elapsed > 0.4

    @pytest.mark.parametrize("kind", SLOW)
    async def test_it_ends_an_answer_that_stops_in_its_middle(self, kind: str) -> None:
        limits = Timeout(total=20, read=0.2)
        async with (
            raw_server(pieces_then_hold(*SLOW[kind][:3], pause=0.01)) as url,
            AsyncShellEV(token_source=TOKEN, base_url=url, timeout=limits, max_retries=0) as ev,
        ):
            with pytest.raises(RequestTimeoutError) as caught:
                await call(ev, "active")
        assert caught.value.request_sent

    async def test_interim_answers_without_end_are_ended_by_the_whole_timeout(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            try:
                while True:
                    writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            except ConnectionError:
                pass
            finally:
                writer.close()

        async with (
            raw_server(serve) as url,
            AsyncShellEV(token_source=TOKEN, base_url=url, timeout=Timeout(total=0.3, read=0.2)) as ev,
        ):
            with pytest.raises(OutcomeUnknownError):
                await call(ev, "start")


@pytest.mark.parametrize("operation", ["active", "start"])
@pytest.mark.parametrize(
    ("late", "words"),
    [(b"zz\r\n", "zz"), (b"5\r\nabcdefg\r\n", "broke off"), (b"", "broke off")],
    ids=["no size", "too long", "closed"],
)
async def test_a_bad_chunk_after_the_head_says_what_it_was(operation: str, late: bytes, words: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{  \r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(late)
        writer.close()

    async with raw_server(serve) as url, AsyncShellEV(token_source=TOKEN, base_url=url, max_retries=0) as ev:
        with pytest.raises(TransportError) as caught:
            await call(ev, operation)
    text = str(caught.value)
    assert "the answer broke off: " in text
    assert words in text
    assert not re.search(r"\b400\b", text), "a status that was never sent"
    assert "ClientPayloadError" not in text
    assert caught.value.outcome_unknown is (operation == "start")


class TestProxies:
    @pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy"])
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_all_proxy_is_the_proxy_of_every_scheme(
        self, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
    ) -> None:
        self.clear(monkeypatch)
        monkeypatch.setenv(name, "proxy.example:3128")
        assert proxy_in_environment(f"{scheme}://ev.example") == "http://proxy.example:3128"

    def test_the_proxy_of_the_scheme_comes_before_all_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clear(monkeypatch)
        monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
        monkeypatch.setenv("https_proxy", "http://one.example:2")
        assert proxy_in_environment("https://ev.example") == "http://one.example:2"
        assert proxy_in_environment("http://ev.example") == "http://all.example:1"

    def test_no_proxy_exempts_from_all_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clear(monkeypatch)
        monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
        monkeypatch.setenv("no_proxy", "ev.example")
        assert proxy_in_environment("https://ev.example") is None

    def test_a_socks_proxy_is_named_with_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clear(monkeypatch)
        monkeypatch.setenv("ALL_PROXY", "socks5://user:proxy-password@all.example:1")
        with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
            proxy_in_environment("https://ev.example")
        assert "proxy-password" not in str(caught.value)

    @staticmethod
    def clear(monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("all", "http", "https", "no"):
            monkeypatch.delenv(f"{name}_proxy", raising=False)
            monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)

    FAILURES: dict[str, bytes] = {  # noqa: RUF012 - test data
        "closes": b"",
        "garbage": b"\x00\x01\x02\r\n\r\n",
        "half a head": b"HTTP/1.1 200 Conn",
        "refuses": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        "closes after the tunnel stands": b"HTTP/1.1 200 Connection established\r\n\r\n",
    }

    @pytest.mark.parametrize("operation", POSTS)
    @pytest.mark.parametrize("failure", FAILURES)
    async def test_one_that_fails_before_the_tunnel_stands_means_not_sent(
        self, failure: str, operation: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.FAILURES[failure])
            writer.close()

        caplog.set_level(logging.DEBUG)
        async with raw_server(serve) as proxy:
            with_password = proxy.replace("http://", "http://me:proxy-password@")
            async with AsyncShellEV(
                token_source=TOKEN, base_url="https://ev.invalid", proxy=with_password, max_retries=1
            ) as ev:
                with pytest.raises(ConnectError) as caught:
                    await call(ev, operation)
        assert not caught.value.outcome_unknown
        assert not caught.value.request_sent
        assert caught.value.attempts == 2
        assert not str(caught.value).startswith("(")
        shown = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
        error: BaseException | None = caught.value
        while error is not None:
            shown += repr(error) + repr(vars(error))
            error = error.__cause__ or error.__context__
        assert "proxy-password" not in shown

    @pytest.mark.parametrize("kind", ["absent", "silent"])
    async def test_its_password_is_not_in_a_chained_error(self, kind: str) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with raw_server(serve) as running:
            host = running.removeprefix("http://") if kind == "silent" else f"127.0.0.1:{unused_port()}"
            async with AsyncShellEV(
                token_source=TOKEN,
                base_url="https://ev.invalid",
                proxy=f"http://me:proxy-password@{host}",
                max_retries=0,
                timeout=Timeout(connect=0.1),
            ) as ev:
                with pytest.raises((ConnectError, RequestTimeoutError)) as caught:
                    await ev.charging.start(CARD, EVSE)
        assert not caught.value.request_sent
        error: BaseException | None = caught.value
        shown = ""
        while error is not None:
            shown += repr(error) + str(error) + repr(vars(error))
            error = error.__cause__ or error.__context__
        assert "proxy-password" not in shown


def _connector_raising(error: BaseException) -> Callable[[], aiohttp.TCPConnector]:
    class Failing(aiohttp.TCPConnector):
        async def connect(self, req: Any, *_: Any, **__: Any) -> Any:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise aiohttp.ClientConnectorCertificateError(req.connection_key, error)
            if isinstance(error, ssl.SSLError):
                raise aiohttp.ClientConnectorSSLError(req.connection_key, error)
            assert isinstance(error, OSError)
            raise aiohttp.ClientConnectorError(req.connection_key, error)

    return Failing


class TestTls:
    @pytest.mark.parametrize(
        "error",
        [
            ssl.SSLError(),
            ssl.SSLError(1, ""),
            ssl.SSLEOFError(),
            ssl.SSLCertVerificationError(),
            ssl.SSLCertVerificationError(1, ""),
            ConnectionResetError(),
            ConnectionAbortedError(),
            OSError(),
            OSError(errno.ECONNRESET, ""),
        ],
        ids=repr,
    )
    async def test_a_failure_always_has_a_reason(self, error: OSError) -> None:
        async with aiohttp.ClientSession(connector=_connector_raising(error)()) as session:
            ev = AsyncShellEV(token_source=TOKEN, base_url="https://ev.invalid", max_retries=0, http_session=session)
            with pytest.raises(ConnectError) as caught:
                await ev.charging.active(CARD)
        reason = str(caught.value).split(" (charging.active")[0].removeprefix("cannot connect to ev.invalid:443: ")
        assert len(reason.removesuffix("()").strip(" :")) > 5, reason
        assert "()" not in reason

    @pytest.mark.parametrize("how", ["close", "reset"])
    async def test_a_server_that_closes_during_the_handshake_is_named(self, how: str) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            if how == "reset":
                writer.transport.abort()
            else:
                writer.close()

        async with raw_server(serve) as url:
            asked = url.removeprefix("http://")
            async with AsyncShellEV(token_source=TOKEN, base_url=f"https://{asked}", max_retries=0) as ev:
                with pytest.raises(ConnectError) as caught:
                    await ev.charging.start(CARD, EVSE)
        assert not caught.value.outcome_unknown
        reason = str(caught.value).split(" (charging.start")[0].removeprefix(f"cannot connect to {asked}: ")
        assert len(reason) > 5, reason


class Hostile:
    """An object of the caller's that can be neither shown nor printed."""

    def __repr__(self) -> str:
        raise RuntimeError("its own error")

    __str__ = __repr__


class TestObjectsOfTheCallerThatCannotBeShown:
    async def test_an_exception_of_a_connector(self) -> None:
        class Unprintable(Exception):
            __repr__ = Hostile.__repr__
            __str__ = Hostile.__repr__

        class Failing(aiohttp.TCPConnector):
            async def connect(self, *_: Any, **__: Any) -> Any:
                raise Unprintable

        async with aiohttp.ClientSession(connector=Failing()) as session:
            ev = AsyncShellEV(token_source=TOKEN, base_url="http://ev.invalid", max_retries=0, http_session=session)
            with pytest.raises(ShellEVError):
                await ev.charging.active(CARD)

    @pytest.mark.parametrize(
        "option",
        ["environment", "api_version", "base_url", "token_url", "timeout", "max_retries", "ssl", "proxy", "trust_env",
         "max_connections", "max_response_bytes", "user_agent_suffix", "observer"],
    )  # fmt: skip
    def test_an_option_of_the_client(self, option: str) -> None:
        with pytest.raises(ShellEVError):
            AsyncShellEV(**{"token_source": TOKEN, option: Hostile()})

    async def test_a_session(self) -> None:
        async with AsyncShellEV(token_source=TOKEN, http_session=Hostile()) as ev:  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match=r"must be an aiohttp\.ClientSession, not Hostile"):
                await ev.charging.active(CARD)

    @pytest.mark.parametrize("limit", ["total", "connect", "read"])
    def test_a_limit(self, limit: str) -> None:
        with pytest.raises(ConfigurationError):
            Timeout(**{limit: Hostile()})  # type: ignore[arg-type]

    @pytest.mark.parametrize("option", ["request_id", "timeout", "max_retries", "headers"])
    async def test_an_option_of_a_call(self, option: str) -> None:
        async with AsyncShellEV(token_source=TOKEN) as ev:
            with pytest.raises(ShellEVError):
                await ev.charging.active(CARD, **{option: Hostile()})  # type: ignore[arg-type]

    @pytest.mark.parametrize("headers", [{"X": Hostile()}, {Hostile(): "x"}], ids=["value", "name"])
    async def test_a_header(self, headers: Any) -> None:
        async with AsyncShellEV(token_source=TOKEN) as ev:
            with pytest.raises(ValidationError):
                await ev.charging.active(CARD, headers=headers)

    @pytest.mark.parametrize("place", [0, 1])
    async def test_an_argument(self, place: int) -> None:
        arguments: list[Any] = [CARD, EVSE]
        arguments[place] = Hostile()
        async with AsyncShellEV(token_source=TOKEN) as ev:
            with pytest.raises(ValidationError):
                await ev.charging.start(*arguments)
            with pytest.raises(ValidationError):
                ev.charge(*arguments)

    @pytest.mark.parametrize("option", ["start_timeout", "stop_timeout", "polling", "on_problem", "ema_id"])
    async def test_an_option_of_a_charge(self, option: str) -> None:
        async with AsyncShellEV(token_source=TOKEN) as ev:
            with pytest.raises(ShellEVError):
                ev.charge(CARD, EVSE, **{option: Hostile()})

    @pytest.mark.parametrize("limit", ["latitude", "longitude", "radius"])
    async def test_a_filter(self, limit: str) -> None:
        arguments: dict[str, Any] = {"latitude": 52.0, "longitude": 4.0, limit: Hostile()}
        async with AsyncShellEV(token_source=TOKEN) as ev:
            with pytest.raises((ShellEVError, TypeError)) as caught:
                await ev.locations.nearby(**arguments)
        assert "its own error" not in str(caught.value)
