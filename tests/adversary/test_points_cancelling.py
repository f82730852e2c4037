"""Repeated cancellation is one wish to leave: the stop is carried through, without spinning."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shell_ev import AsyncShellEV

from .raw_server import Ending, Fault, RawServer, lose_answer_after_effect, nothing, slow
from .support import CARD, EVSE, SocketTimeLoop, client_of, virtual

#: Far more than the polls of a stop need, far less than a busy wait makes in a second.
FEW_TURNS = 3_000


def turns() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SocketTimeLoop)
    return loop.turns


async def in_block(ev: AsyncShellEV) -> None:
    async with ev.charge(CARD, EVSE):
        await asyncio.Event().wait()


async def on_entry(ev: AsyncShellEV) -> None:
    # The scope is left while the start is on its way.
    async with ev.charge(CARD, EVSE):
        pytest.fail("entered")


async def in_stop(ev: AsyncShellEV) -> None:
    charge = await ev.start_charge(CARD, EVSE)
    await charge.wait_started()
    await charge.stop()


STAGES: dict[str, tuple[Callable[[AsyncShellEV], Awaitable[None]], Fault]] = {
    "in the block": (in_block, nothing),
    "on entry": (on_entry, slow(20)),
    "on entry, answer lost": (on_entry, lose_answer_after_effect.but(answer_after=15)),
    "in stop": (in_stop, nothing),
}


@pytest.mark.parametrize("stage", STAGES)
@virtual
async def test_an_anyio_scope_that_ends_leaves_no_charge_running(stage: str, server: RawServer) -> None:
    run, fault = STAGES[stage]
    server.script("start", fault)
    server.stop_delay = 30
    async with client_of(server) as ev:
        before = turns()
        with anyio.move_on_after(6) as scope:
            await run(ev)
        assert scope.cancelled_caught
        assert turns() - before < FEW_TURNS
    (session,) = server.own_sessions()
    assert session.is_over(server.clock())


@virtual
async def test_nested_scopes_cancelled_one_after_the_other_leave_no_charge_running(server: RawServer) -> None:
    server.stop_delay = 30
    async with client_of(server) as ev:
        with anyio.move_on_after(9), anyio.move_on_after(6):
            await in_block(ev)
    assert server.running() == []


@virtual
async def test_a_task_group_that_fails_leaves_no_charge_running(server: RawServer) -> None:
    async def fails() -> None:
        await asyncio.sleep(6)
        raise LookupError("of the application")

    async with client_of(server) as ev:
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(in_block, ev)
                group.start_soon(fails)
    assert caught.group_contains(LookupError)
    assert server.running() == []


@virtual
async def test_a_stop_inside_a_cancelled_scope_opens_new_connections(server: RawServer) -> None:
    for operation in ("start", "retrieve", "stop", "active", "token"):
        server.always(operation, Fault(name="closes", ending=Ending.CLOSE))
    async with client_of(server) as ev:
        with anyio.move_on_after(6):
            await in_block(ev)
    assert server.running() == []
    assert server.connections == len(server.requests)


@virtual
async def test_a_shielded_stop_still_fetches_a_token(server: RawServer) -> None:
    server.token_lifetime = 5
    async with client_of(server) as ev:
        with anyio.move_on_after(8):
            await in_block(ev)
    assert server.running() == []
    assert server.count("token") >= 2


@pytest.mark.parametrize("distance", [0.0, 0.1, 0.9])
@virtual
async def test_cancellations_within_a_second_of_the_last_are_one_wish(distance: float, server: RawServer) -> None:
    server.stop_delay = 10
    async with client_of(server) as ev:
        block = asyncio.ensure_future(in_block(ev))
        await asyncio.sleep(6)
        for _ in range(40):
            if block.done():
                break
            block.cancel()
            await asyncio.sleep(distance)
        with pytest.raises(asyncio.CancelledError):
            await block
    assert server.running() == []


@virtual
async def test_a_later_cancellation_ends_the_clean_up_with_an_error_line(
    server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop_delay = 100
    async with client_of(server) as ev:
        block = asyncio.ensure_future(in_block(ev))
        await asyncio.sleep(6)
        block.cancel()
        await asyncio.sleep(0.9)
        block.cancel()
        await asyncio.sleep(1.5)
        assert not block.done()
        block.cancel()
        await asyncio.sleep(0.5)
        assert block.done()
        with pytest.raises(asyncio.CancelledError):
            await block
    (session,) = server.own_sessions()
    assert [record for record in caplog.records if record.levelname == "ERROR" and session.id in record.getMessage()]


@virtual
async def test_a_blocked_loop_does_not_make_two_wishes_of_one(server: RawServer) -> None:
    server.stop_delay = 10
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SocketTimeLoop)
    async with client_of(server) as ev:
        block = asyncio.ensure_future(in_block(ev))
        await asyncio.sleep(6)
        block.cancel()
        await asyncio.sleep(0.2)
        # Something of the application holds the loop for five seconds; no timer could fire meanwhile.
        loop.skip(5)
        block.cancel()
        with pytest.raises(asyncio.CancelledError):
            await block
    assert server.running() == []


class _Limits(BaseHTTPMiddleware):
    """What many applications have: an answer in time, or none."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        with anyio.fail_after(6):
            return await call_next(request)


@pytest.mark.parametrize("layers", [1, 3])
@virtual
async def test_a_starlette_middleware_that_gives_up_leaves_no_charge_running(layers: int, server: RawServer) -> None:
    server.stop_delay = 30
    async with client_of(server) as ev:

        async def endpoint(_: Request) -> Response:
            await in_block(ev)
            return PlainTextResponse("charged")

        app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(_Limits)] * layers)
        before = turns()
        with pytest.raises(TimeoutError):
            await _get(app)
        assert turns() - before < FEW_TURNS
    (session,) = server.own_sessions()
    assert session.is_over(server.clock())


async def _get(app: Starlette) -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: MutableMapping[str, Any]) -> None:
        pass

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [],
        "asgi": {"version": "3.0"},
    }
    await app(scope, receive, send)
