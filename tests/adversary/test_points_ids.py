"""Session ids are the service's: each that a start or a list gave can be retrieved, followed and stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from shell_ev import AsyncShellEV, OutcomeUnknownError, ShellEVError, ValidationError

from .raw_server import IMPOSSIBLE_IDS, ODD_IDS, Fault, RawServer, lose_answer_after_effect
from .support import CARD, EVSE, SESSION, client_of, virtual

DIALECTS = ("v2", "v1", "v1-pascal")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("form", ODD_IDS)
@virtual
async def test_a_charge_with_an_odd_id_starts_and_stops(form: str, dialect: str, server: RawServer) -> None:
    server.new_session = lambda _: {"id": ODD_IDS[form]()}
    async with client_of(server, api_version=dialect) as ev, ev.charge(CARD, EVSE) as charge:
        assert charge.session_id == str(server.sessions[0].id)
    assert charge.is_over
    (session,) = server.own_sessions()
    assert len(session.stops) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("form", ODD_IDS)
@virtual
async def test_a_listed_session_with_an_odd_id_can_be_used(form: str, dialect: str, server: RawServer) -> None:
    server.foreign(CARD, EVSE, id=ODD_IDS[form]())
    async with client_of(server, api_version=dialect) as ev:
        (listed,) = (await ev.charging.active(CARD)).data
        assert listed.id is not None
        assert (await ev.charging.retrieve(listed.id)).data.id == listed.id
        async for session_id, _ in ev.follow([listed.id]):
            assert session_id == listed.id
            if server.running(own=False):
                await ev.charging.stop(listed.id)
        assert (await ev.attach(listed.id).refresh()).stopped_at is not None
    assert server.running(own=False) == []


@pytest.mark.parametrize("form", ODD_IDS)
@virtual
async def test_a_lost_start_with_an_odd_id_is_found(form: str, server: RawServer) -> None:
    server.new_session = lambda _: {"id": ODD_IDS[form]()}
    server.script("start", lose_answer_after_effect)
    async with client_of(server) as ev, ev.charge(CARD, EVSE) as charge:
        assert charge.session_id == str(server.sessions[0].id)
    assert server.running() == []


REFUSED: dict[str, Any] = {
    "empty": "",
    "dot": ".",
    "two dots": "..",
    "space before": f" {SESSION}",
    "space after": f"{SESSION} ",
    "line break": f"{SESSION}\r\nX-Evil: 1",
    "escape": "\x1b[31mred",
    "256 characters": "x" * 256,
    "EVSE id": EVSE,
    "EVSE id without separators": "NLTNME020034510",
    "number": 7,
    "None": None,
    "bytes": b"abc",
}


async def _retrieve(ev: AsyncShellEV, session_id: Any) -> None:
    await ev.charging.retrieve(session_id)


async def _stop(ev: AsyncShellEV, session_id: Any) -> None:
    await ev.charging.stop(session_id)


async def _attach(ev: AsyncShellEV, session_id: Any) -> None:
    ev.attach(session_id)


async def _follow(ev: AsyncShellEV, session_id: Any) -> None:
    ev.follow([session_id])


@pytest.mark.parametrize("use", [_retrieve, _stop, _attach, _follow])
@pytest.mark.parametrize("case", REFUSED)
@virtual
async def test_an_id_that_cannot_travel_is_refused_before_anything_is_sent(
    case: str, use: Callable[[AsyncShellEV, Any], Awaitable[None]], server: RawServer
) -> None:
    async with client_of(server) as ev:
        with pytest.raises(ValidationError) as caught:
            await use(ev, REFUSED[case])
    assert str(caught.value).isprintable()
    assert server.requests == []


@pytest.mark.parametrize("session_id", ["a", "x" * 255, SESSION, SESSION.upper(), "{" + SESSION + "}", "...", "a b"])
@virtual
async def test_any_printable_id_is_sent(session_id: str, server: RawServer) -> None:
    session = server.foreign(CARD, EVSE, id=session_id)
    async with client_of(server) as ev:
        await ev.charging.stop(session_id)
    assert session.stops


@virtual
async def test_a_uuid_is_sent(server: RawServer) -> None:
    session_id = uuid4()
    server.foreign(CARD, EVSE, id=str(session_id))
    async with client_of(server) as ev:
        await ev.charging.retrieve(session_id)


@pytest.mark.parametrize("case", IMPOSSIBLE_IDS)
@virtual
async def test_a_start_answered_with_no_usable_id_is_unknown(case: str, server: RawServer) -> None:
    server.script("start", Fault(name=case, data=[{"sessionId": IMPOSSIBLE_IDS[case]}]))
    async with client_of(server) as ev:
        with pytest.raises(ShellEVError) as caught:
            await ev.charging.start(CARD, EVSE)
        assert caught.value.outcome_unknown
        assert str(caught.value).isprintable()
        charge = await ev.reconcile(caught.value)
    assert charge.session_id == server.own_sessions()[0].id


@pytest.mark.parametrize(
    "fault",
    [Fault(drop_data=True), Fault(data=[]), Fault(data=[{}]), Fault(data={}), Fault(data="accepted")],
    ids=["no data", "empty list", "empty object in it", "object", "text"],
)
@virtual
async def test_a_start_answered_without_an_id_is_unknown_and_found(fault: Fault, server: RawServer) -> None:
    server.script("start", fault, fault)
    async with client_of(server) as ev:
        with pytest.raises(ShellEVError) as caught:
            await ev.charging.start(CARD, EVSE)
        assert caught.value.outcome_unknown
        server._by_card.clear()
        charge = await ev.start_charge(CARD, EVSE)
    assert charge.session_id == server.own_sessions()[1].id
    assert server.count("start") == 2


@pytest.mark.parametrize("case", IMPOSSIBLE_IDS)
@virtual
async def test_a_session_without_a_usable_id_is_never_adopted(case: str, server: RawServer) -> None:
    server.new_session = lambda _: {"id": IMPOSSIBLE_IDS[case]}
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=20)
    assert caught.value.outcome_unknown
    assert str(caught.value).isprintable()
    assert server.count("start") == 1
