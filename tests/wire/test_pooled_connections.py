"""Connections that are used again: one that holds data which belongs to no request is dropped."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from fakes import CARD, EVSE, SESSION
from raw_servers import raw_server

from shell_ev import AsyncShellEV, OutcomeUnknownError, StaticToken, Timeout
from shell_ev.core.call import Request
from shell_ev.core.deadlines import Deadline, DeadlineSweeper
from shell_ev.core.runtime import LoopTimers
from shell_ev.core.transport import Transport
from shell_ev.options import make_config

STALE = "00000000-0000-4000-8000-000000000000"


def answer(session_id: str = SESSION, status: bytes = b"202 Accepted") -> bytes:
    body = json.dumps({"status": "SUCCESS", "data": [{"sessionId": session_id}]}).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Connections:
    """A raw server that answers each request with the next script and counts connections and requests."""

    def __init__(self, *scripts: Sequence[bytes]) -> None:
        self.scripts = list(scripts)
        self.requests: list[int] = []
        self.opened = 0
        self.extra_written = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with raw_server(self._serve) as url:
            yield url

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(found[1]) if found else 0)
                self.requests.append(number)
                first, *rest = self.scripts.pop(0) if self.scripts else (answer(),)
                writer.write(first)
                await writer.drain()
                for piece in rest:
                    await asyncio.sleep(0.02)
                    writer.write(piece)
                    await writer.drain()
                self.extra_written.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


EXTRAS: dict[str, bytes] = {
    "a whole answer": answer(STALE),
    "the first line of an answer": b"HTTP/1.1 202 Accepted\r\n",
    "a part of a line": b"HTTP/1.1 20",
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "no HTTP": b"\x00\x01garbage",
}


@pytest.mark.parametrize("extra", EXTRAS)
async def test_a_connection_that_received_data_in_the_pool_is_dropped(extra: str) -> None:
    server = Connections((answer(), EXTRAS[extra]))
    async with (
        server.serving() as url,
        AsyncShellEV(token_source=StaticToken("the-token"), base_url=url, max_retries=0) as ev,
    ):
        await ev.charging.start(CARD, EVSE)
        await server.extra_written.wait()
        await asyncio.sleep(0.02)
        second = await ev.charging.start(CARD, EVSE)
    assert second.data.session_id == SESSION
    assert server.requests == [1, 2]


async def test_data_that_the_loop_has_not_read_yet_drops_the_connection_before_a_start() -> None:
    """The extra answer is in the socket, and the loop has not run since."""
    server = Connections((answer(),), (answer(),))
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await server._serve(reader, writer)

    async with (
        raw_server(serve) as url,
        AsyncShellEV(token_source=StaticToken("the-token"), base_url=url, max_retries=0) as ev,
    ):
        await ev.charging.start(CARD, EVSE)
        # asyncio writes to the socket at once: the data lies in the client's socket when this returns.
        writers[0].write(answer(STALE))
        second = await ev.charging.start(CARD, EVSE)
    assert second.data.session_id == SESSION
    assert server.requests == [1, 2]


async def test_a_clean_connection_is_used_again() -> None:
    server = Connections()
    async with (
        server.serving() as url,
        AsyncShellEV(token_source=StaticToken("the-token"), base_url=url, max_retries=0) as ev,
    ):
        for _ in range(3):
            await ev.charging.start(CARD, EVSE)
            await asyncio.sleep(0)
            await ev.charging.stop(SESSION)
    assert server.requests == [1] * 6


async def test_dropping_every_pooled_connection_leaves_room_for_a_new_one() -> None:
    extra = answer(STALE)
    server = Connections((answer(), extra), (answer(), extra), (answer(), extra))
    async with (
        server.serving() as url,
        AsyncShellEV(token_source=StaticToken("the-token"), base_url=url, max_retries=0, max_connections=2) as ev,
    ):
        for _ in range(3):
            server.extra_written.clear()
            await asyncio.gather(*(ev.charging.start(CARD, EVSE) for _ in range(2)))
            await asyncio.sleep(0.05)
        started = await asyncio.wait_for(ev.charging.start(CARD, EVSE), 5)
    assert started.data.session_id == SESSION


@asynccontextmanager
async def sending(url: str, session: aiohttp.ClientSession | None = None) -> AsyncIterator[Callable[[], Any]]:
    """A transport, and how to send one request over it."""
    config = make_config(base_url=url)
    transport = Transport(config, session)
    sweeper = DeadlineSweeper(LoopTimers(asyncio.get_running_loop()))

    async def send() -> Any:
        request = Request(method="POST", url=url + "/x", headers={}, timeout=Timeout())
        with Deadline(sweeper, sweeper.now() + 10) as deadline:
            return await transport.send(request, None, deadline)

    yield send
    await transport.aclose()


@pytest.mark.parametrize("whose", ["our session", "the caller's session"])
async def test_discarding_an_answer_drops_its_connection(whose: str) -> None:
    server = Connections()
    async with (
        server.serving() as url,
        aiohttp.ClientSession() as session,
        sending(url, session if whose == "the caller's session" else None) as send,
    ):
        first = await send()
        await send()
        assert server.requests == [1, 1], "one connection as long as nothing is discarded"
        first.discard()
        first.discard()
        await send()
    assert server.requests == [1, 1, 2]


async def test_discarding_ends_a_call_that_uses_the_connection_already() -> None:
    """Where one answer is not ours the next one is not that call's either."""
    server = Connections((answer(),), (b"HTTP/1.1 202 Accepted\r\n", b"Content-Length: 2\r\n", b"\r\n", b"{}"))
    async with server.serving() as url, sending(url) as send:
        first = await send()
        second = asyncio.ensure_future(send())
        while len(server.requests) < 2:
            await asyncio.sleep(0)
        first.discard()
        with pytest.raises(Exception, match="ServerDisconnected") as caught:
            await second
    assert caught.value.sent  # type: ignore[attr-defined]


async def test_a_server_that_answers_before_it_is_asked_does_not_stop_the_next_call() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()
        writer.close()

    async with (
        raw_server(serve) as url,
        AsyncShellEV(token_source=StaticToken("the-token"), base_url=url, max_retries=0) as ev,
    ):
        for _ in range(2):
            with pytest.raises(OutcomeUnknownError):
                await asyncio.wait_for(ev.charging.start(CARD, EVSE), 5)
