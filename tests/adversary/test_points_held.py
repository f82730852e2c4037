"""A lost start never adopts a session that is known to belong to something else: held ones, two starts at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from shell_ev import AsyncCharge, AsyncShellEV, OutcomeUnknownError

from .raw_server import (
    RawServer,
    Session,
    drop_before_effect,
    lose_answer_after_effect,
    slow,
)
from .support import CARD, EVSE, OTHER_EVSE, client_of, virtual


async def by_bare_start(ev: AsyncShellEV) -> None:
    await ev.charging.start(CARD, EVSE)


async def by_start_charge(ev: AsyncShellEV) -> None:
    await ev.start_charge(CARD, EVSE)


async def by_copy(ev: AsyncShellEV) -> None:
    await ev.with_options(timeout=20).start_charge(CARD, EVSE)


async def by_block(ev: AsyncShellEV) -> None:
    async with ev.charge(CARD, EVSE, keep_running=True):
        pass


async def by_adoption(server: RawServer, ev: AsyncShellEV) -> None:
    server.script("start", lose_answer_after_effect)
    await ev.start_charge(CARD, EVSE)


async def by_reconciling(server: RawServer, ev: AsyncShellEV) -> None:
    server.script("start", lose_answer_after_effect)
    with pytest.raises(OutcomeUnknownError) as caught:
        await ev.charging.start(CARD, EVSE)
    await ev.reconcile(caught.value)


@pytest.mark.parametrize("hold", [by_bare_start, by_start_charge, by_copy, by_block])
@virtual
async def test_a_session_of_an_own_start_is_not_adopted(
    hold: Callable[[AsyncShellEV], Awaitable[None]], server: RawServer
) -> None:
    server.start_delay = 0
    async with client_of(server) as ev:
        await hold(ev)
        await _stays_unknown(server, ev, server.sessions[0])


@pytest.mark.parametrize("hold", [by_adoption, by_reconciling])
@virtual
async def test_a_session_adopted_before_is_not_adopted_again(
    hold: Callable[[RawServer, AsyncShellEV], Awaitable[None]], server: RawServer
) -> None:
    async with client_of(server) as ev:
        await hold(server, ev)
        await _stays_unknown(server, ev, server.sessions[0])


@pytest.mark.parametrize("way", ["attach", "follow"])
@virtual
async def test_a_session_held_before_the_start_left_is_not_adopted(way: str, server: RawServer) -> None:
    async with client_of(server) as ev:
        await ev.charging.active(CARD)
        session = server.foreign(CARD, EVSE, began=-0.1)
        if way == "attach":
            ev.attach(session.id)
        else:
            async with aclosing(ev.follow([session.id])) as shown:  # type: ignore[type-var]
                await anext(shown)
        await _stays_unknown(server, ev, session)


@virtual
async def test_a_session_attached_to_after_the_start_left_can_be_its_own(server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.charging.start(CARD, EVSE)
        (session,) = server.own_sessions()
        await ev.attach(session.id).refresh()
        assert (await ev.reconcile(caught.value)).session_id == session.id


@virtual
async def test_the_same_start_is_found_twice(server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.charging.start(CARD, EVSE)
        one, other = await ev.reconcile(caught.value), await ev.reconcile(caught.value)
    assert one.session_id == other.session_id == server.own_sessions()[0].id
    assert one.adopted
    assert other.adopted


async def _stays_unknown(server: RawServer, ev: AsyncShellEV, session: Session) -> None:
    """A lost start that was not carried out adopts nothing, and its error names the session."""
    server.script("start", drop_before_effect)
    with pytest.raises(OutcomeUnknownError) as caught:
        await ev.start_charge(CARD, EVSE, start_timeout=20)
    assert session.id in caught.value.reasons
    assert not session.stops


@virtual
async def test_two_lost_starts_at_once_are_both_unknown(server: RawServer) -> None:
    # One was carried out: whichever adopts the session may stop the other's.
    server.script("start", lose_answer_after_effect, drop_before_effect)
    async with client_of(server) as ev:
        outcomes = await _both(ev, EVSE, EVSE)
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknownError, OutcomeUnknownError]


@virtual
async def test_two_lost_starts_at_once_on_two_evses_are_both_found(server: RawServer) -> None:
    server.always("start", lose_answer_after_effect)
    async with client_of(server) as ev:
        outcomes = await _both(ev, EVSE, OTHER_EVSE)
    assert all(isinstance(outcome, AsyncCharge) for outcome in outcomes)
    assert {server._by_id[charge.session_id].evse for charge in outcomes if isinstance(charge, AsyncCharge)} == {
        EVSE,
        OTHER_EVSE,
    }


@virtual
async def test_a_lost_start_does_not_take_the_session_of_a_start_in_flight(server: RawServer) -> None:
    server.script("start", slow(20), drop_before_effect)
    async with client_of(server) as ev:
        first, second = await _both(ev, EVSE, EVSE)
    assert isinstance(first, AsyncCharge), first
    assert first.session_id == server.own_sessions()[0].id
    assert isinstance(second, OutcomeUnknownError)


@virtual
async def test_a_session_id_settles_two_starts_at_once(server: RawServer) -> None:
    server.script("start", slow(20), lose_answer_after_effect)
    async with client_of(server) as ev:
        first, second = await _both(ev, EVSE, EVSE)
    assert isinstance(first, AsyncCharge), first
    assert isinstance(second, AsyncCharge), second
    assert [first.session_id, second.session_id] == [session.id for session in server.own_sessions()]
    assert [first.adopted, second.adopted] == [False, True]


async def _both(ev: AsyncShellEV, *evses: str) -> list[AsyncCharge | BaseException]:
    """What two starts at once come to."""
    starts = (ev.start_charge(CARD, evse, start_timeout=60) for evse in evses)
    return list(await asyncio.gather(*starts, return_exceptions=True))


@virtual
async def test_the_charge_of_another_client_is_not_adopted(server: RawServer) -> None:
    async with client_of(server, "one") as one, client_of(server, "two") as two:
        theirs = await one.start_charge(CARD, EVSE)
        await asyncio.sleep(5)
        server.script("start", drop_before_effect)
        with pytest.raises(OutcomeUnknownError) as caught:
            async with two.charge(CARD, EVSE, start_timeout=30):
                pass
    assert theirs.session_id in caught.value.reasons
    assert not server.sessions[0].stops


@virtual
async def test_two_clients_that_both_lose_their_answer_find_two_candidates(server: RawServer) -> None:
    server.always("start", lose_answer_after_effect)
    async with client_of(server, "one") as one, client_of(server, "two") as two:
        outcomes = await asyncio.gather(
            *(ev.start_charge(CARD, EVSE, start_timeout=30) for ev in (one, two)), return_exceptions=True
        )
    for outcome in outcomes:
        assert isinstance(outcome, OutcomeUnknownError)
        assert set(outcome.reasons) == {session.id for session in server.own_sessions()}
        assert not any(session.stops for session in server.own_sessions())
