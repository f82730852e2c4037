"""An answer that is not ours: bytes left on a pooled connection, and another request's RequestId."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from shell_ev import AsyncShellEV, OutcomeUnknownError, ShellEVError

from .raw_server import (
    Fault,
    RawServer,
    Session,
    answer_of_another,
    echoes,
    extra_data,
    nothing,
    status,
)
from .support import CARD, EVSE, OTHER_EVSE, client_of, virtual

OTHERS = "0badc0de-0000-4000-8000-000000000000"


def unasked(envelope: dict[str, object], code: int = 202) -> bytes:
    """An answer to no request."""
    body = json.dumps(envelope).encode()
    head = f"HTTP/1.1 {code} Accepted\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("after", [0.0, 0.5], ids=["with the answer", "after it"])
@virtual
async def test_an_answer_left_on_a_connection_is_not_taken_for_that_of_a_start(after: float, server: RawServer) -> None:
    theirs = server.foreign(CARD, OTHER_EVSE)
    others = unasked({"requestId": OTHERS, "status": "SUCCESS", "data": [{"sessionId": theirs.id}]})
    server.script("active", extra_data(others, after))
    async with client_of(server) as ev:
        await ev.charging.active(CARD)
        await asyncio.sleep(2)
        started = await ev.charging.start(CARD, EVSE)
    (session,) = server.own_sessions()
    assert started.data.session_id == session.id
    assert server.seen("active")[0].connection != server.seen("start")[0].connection


@pytest.mark.parametrize("after", [0.0, 0.5], ids=["with the answer", "after it"])
@virtual
async def test_an_answer_left_on_a_connection_is_not_taken_for_that_of_a_stop(after: float, server: RawServer) -> None:
    server.script("active", extra_data(unasked({"requestId": OTHERS, "status": "FAILED"}, 404), after))
    async with client_of(server) as ev:
        started = await ev.charging.start(CARD, EVSE)
        await ev.charging.active(CARD)
        await asyncio.sleep(2)
        await ev.charging.stop(started.data.session_id)
    assert server.own_sessions()[0].stops


@virtual
async def test_garbage_left_on_a_connection_does_not_lose_a_start(server: RawServer) -> None:
    server.script("active", extra_data(b"\x00\x01garbage\r\n", 0.5))
    async with client_of(server) as ev:
        await ev.charging.active(CARD)
        await asyncio.sleep(2)
        started = await ev.charging.start(CARD, EVSE)
    assert started.data.session_id == server.own_sessions()[0].id


@virtual
async def test_a_clean_connection_is_used_again(server: RawServer) -> None:
    async with client_of(server) as ev:
        for _ in range(5):
            await ev.charging.active(CARD)
    assert server.connections == 1


async def _echo_seen(server: RawServer, ev: AsyncShellEV, operation: str) -> None:
    """Let the client see that the service echoes the RequestIds of an operation."""
    session = server.foreign("NL-TNM-C00000001-K", OTHER_EVSE)
    if operation == "start":
        await ev.charging.start("NL-TNM-C00000001-K", OTHER_EVSE)
    else:
        await ev.charging.stop(session.id)


@virtual
async def test_a_start_answered_with_another_request_id_is_unknown(server: RawServer) -> None:
    theirs = server.foreign(CARD, OTHER_EVSE)
    async with client_of(server) as ev:
        await _echo_seen(server, ev, "start")
        server.script("start", answer_of_another(theirs.id))
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.charging.start(CARD, EVSE)
        charge = await ev.reconcile(caught.value)
    last = server.seen("start")[-1]
    assert last.session is not None
    assert charge.session_id == last.session.id
    assert server.seen("active")[0].connection != last.connection, "the connection was used again"


@virtual
async def test_a_block_finds_its_own_session_after_an_answer_of_another(server: RawServer) -> None:
    theirs = server.foreign(CARD, OTHER_EVSE)
    async with client_of(server) as ev:
        await _echo_seen(server, ev, "start")
        server.script("start", answer_of_another(theirs.id))
        async with ev.charge(CARD, EVSE) as charge:
            assert charge.session_id == server.seen("start")[-1].session.id  # type: ignore[union-attr]
    assert not theirs.stops


@virtual
async def test_a_stop_answered_with_another_request_id_is_unknown(server: RawServer) -> None:
    async with client_of(server) as ev:
        await _echo_seen(server, ev, "stop")
        session = server.foreign(CARD, EVSE)
        server.script("stop", echoes(OTHERS).but(effect=False))
        with pytest.raises(OutcomeUnknownError):
            await ev.charging.stop(session.id)
        await ev.charging.retrieve(session.id)
    assert server.seen("retrieve")[0].connection != server.seen("stop")[-1].connection


@pytest.mark.parametrize("operation", ["start", "stop"])
@pytest.mark.parametrize("code", [400, 404, 409])
@virtual
async def test_a_refusal_of_another_request_is_an_unknown_outcome(code: int, operation: str, server: RawServer) -> None:
    async with client_of(server) as ev:
        await _echo_seen(server, ev, operation)
        session = server.foreign(CARD, EVSE)
        server.script(operation, status(code, after_effect=True).but(request_id=OTHERS))
        with pytest.raises(ShellEVError) as caught:
            await _send(ev, operation, session)
    assert isinstance(caught.value, OutcomeUnknownError), caught.value


@pytest.mark.parametrize("operation", ["start", "stop"])
@virtual
async def test_an_echo_in_a_refusal_counts_as_seen(operation: str, server: RawServer) -> None:
    session = server.foreign(CARD, EVSE)
    server.script(operation, status(409, after_effect=False), echoes(OTHERS))
    async with client_of(server) as ev:
        with pytest.raises(ShellEVError):
            await _send(ev, operation, session)
        with pytest.raises(OutcomeUnknownError):
            await _send(ev, operation, session)


@pytest.mark.parametrize("fault", [echoes(OTHERS), echoes("")], ids=["a constant id", "no id"])
@pytest.mark.parametrize("operation", ["start", "stop"])
@virtual
async def test_a_service_that_never_echoed_is_trusted(operation: str, fault: Fault, server: RawServer) -> None:
    server.always(operation, fault)
    async with client_of(server) as ev:
        for _ in range(3):
            await _send(ev, operation, server.foreign(CARD, EVSE))


@virtual
async def test_an_echo_seen_for_another_operation_does_not_count(server: RawServer) -> None:
    server.always("start", echoes(OTHERS))
    async with client_of(server) as ev:
        await ev.charging.active(CARD)
        started = await ev.charging.start(CARD, EVSE)
        await ev.charging.stop(started.data.session_id)
        await ev.charging.start(CARD, OTHER_EVSE)
    assert server.count("start") == 2


@virtual
async def test_an_answer_without_a_request_id_is_trusted_after_an_echo(server: RawServer) -> None:
    async with client_of(server) as ev:
        await _echo_seen(server, ev, "start")
        server.script("start", echoes(""))
        started = await ev.charging.start(CARD, EVSE)
    assert started.data.session_id == server.own_sessions()[-1].id


SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "braces": "{{{}}}".format,
    "hex": lambda text: text.replace("-", ""),
}


@pytest.mark.parametrize("form", SPELLINGS)
@virtual
async def test_request_ids_are_compared_as_uuids(form: str, server: RawServer) -> None:
    request_id = str(uuid4())
    async with client_of(server) as ev:
        await _echo_seen(server, ev, "start")
        server.script("start", echoes(SPELLINGS[form](request_id)))
        started = await ev.charging.start(CARD, EVSE, request_id=request_id)
    assert started.data.session_id == server.own_sessions()[-1].id


@virtual
async def test_a_look_up_with_another_request_id_is_taken_as_it_is(server: RawServer) -> None:
    server.foreign(CARD, EVSE)
    server.script("active", nothing, echoes(OTHERS))
    async with client_of(server) as ev:
        await ev.charging.active(CARD)
        assert len((await ev.charging.active(CARD)).data) == 1


async def _send(ev: AsyncShellEV, operation: str, session: Session) -> None:
    if operation == "start":
        await ev.charging.start(CARD, EVSE)
    else:
        await ev.charging.stop(session.id)
