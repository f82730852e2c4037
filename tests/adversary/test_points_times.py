"""Which sessions a lost start can adopt by their times: on the service's clock, with its error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shell_ev import AsyncCharge, OutcomeUnknownError

from .raw_server import Fault, RawServer, drop_before_effect, lose_answer_after_effect, nothing
from .support import CARD, EVSE, WallClock, client_of, virtual


async def _lost(server: RawServer, *, ahead: float = 0.0, limit: float = 40.0) -> AsyncCharge | OutcomeUnknownError:
    """What a start comes to that was never carried out; other sessions are the only ones there are."""
    server.script("start", drop_before_effect)
    async with client_of(server, ahead=ahead) as ev:
        try:
            return await ev.start_charge(CARD, EVSE, start_timeout=limit)
        except OutcomeUnknownError as error:
            return error


@pytest.mark.parametrize("ahead", [-3600, -30, 0, 30, 3600], ids=lambda value: f"our clock {value:+d} s")
@pytest.mark.parametrize("began", [-4, -10, -30, -55, -70, -600])
@virtual
async def test_a_session_begun_before_the_start_was_sent_is_not_adopted(
    began: float, ahead: float, server: RawServer
) -> None:
    session = server.foreign(CARD, EVSE, began=began)
    outcome = await _lost(server, ahead=ahead)
    assert isinstance(outcome, OutcomeUnknownError), outcome
    assert outcome.reasons[session.id]
    assert [shown.id for shown in outcome.seen] == [session.id]


@pytest.mark.parametrize("ahead", [-3600, 0, 3600], ids=lambda value: f"our clock {value:+d} s")
@virtual
async def test_the_own_session_is_adopted_with_any_clock(ahead: float, server: RawServer) -> None:
    server.foreign(CARD, EVSE, began=-20)
    server.script("start", lose_answer_after_effect)
    async with client_of(server, ahead=ahead) as ev:
        charge = await ev.start_charge(CARD, EVSE)
    assert charge.session_id == server.own_sessions()[0].id
    assert charge.adopted


@virtual
async def test_an_answered_start_is_not_marked_as_adopted(server: RawServer) -> None:
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
    assert charge.adopted is False


@pytest.mark.parametrize("whole", [False, True], ids=["fractions", "whole seconds"])
@virtual
async def test_a_session_that_no_field_distinguishes_is_adopted_and_marked(whole: bool, server: RawServer) -> None:
    session = server.foreign(CARD, EVSE, began=-0.2, fraction=not whole)
    outcome = await _lost(server)
    assert isinstance(outcome, AsyncCharge), outcome
    assert outcome.adopted
    assert outcome.session_id == session.id


@pytest.mark.parametrize(("began", "adopted"), [(-30, True), (-58, True), (-65, False)])
@virtual
async def test_without_a_date_header_the_error_is_60_s(began: float, adopted: bool, server: RawServer) -> None:
    server.sends_date = False
    server.foreign(CARD, EVSE, began=began)
    assert isinstance(await _lost(server), AsyncCharge) is adopted


@virtual
async def test_without_a_date_header_a_session_within_60_s_is_a_second_candidate(server: RawServer) -> None:
    server.sends_date = False
    theirs = server.foreign(CARD, EVSE, began=-30)
    server.script("start", lose_answer_after_effect)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=20)
    assert set(caught.value.reasons) == {theirs.id, server.own_sessions()[0].id}


@pytest.mark.parametrize(("began", "looks"), [(-30, 3), (-0.1, 1)])
@virtual
async def test_without_a_date_header_a_doubtful_session_waits_for_one(
    began: float, looks: int, server: RawServer
) -> None:
    server.sends_date = False
    server.foreign(CARD, EVSE, began=began)
    assert isinstance(await _lost(server), AsyncCharge)
    assert server.count("active") == looks


@pytest.mark.parametrize("text", ["yesterday", "Sun, 06 Nov 1994 99:99:99 GMT", "0"])
@virtual
async def test_a_date_header_that_is_none_counts_as_missing(text: str, server: RawServer) -> None:
    server.frozen_date = text
    server.foreign(CARD, EVSE, began=-65)
    assert isinstance(await _lost(server), OutcomeUnknownError)


@virtual
async def test_a_date_that_stands_still_is_not_used(server: RawServer) -> None:
    # By that Date the start left ten minutes ago, and the other session began after it.
    server.frozen_date = "Tue, 14 Nov 2023 22:20:00 GMT"
    session = server.foreign(CARD, EVSE, began=-300, shown_from=server.clock() + 15)
    outcome = await _lost(server)
    assert isinstance(outcome, OutcomeUnknownError), outcome
    assert session.id in outcome.reasons


@virtual
async def test_a_date_of_a_cached_answer_is_not_used(server: RawServer) -> None:
    server.frozen_date = "Tue, 14 Nov 2023 22:20:00 GMT"
    for operation in ("active", "start", "token"):
        server.always(operation, Fault(name="cached", headers={"Age": "600"}))
    server.foreign(CARD, EVSE, began=-300)
    assert isinstance(await _lost(server), OutcomeUnknownError)


@pytest.mark.parametrize("step", [3600, -3600], ids=["forward", "back"])
@virtual
async def test_a_step_of_our_clock_after_sending_changes_nothing(step: float, server: RawServer) -> None:
    server.foreign(CARD, EVSE, began=-600)
    server.script("start", lose_answer_after_effect)
    server.script("active", nothing.but(data=[]))
    clock = WallClock()
    async with client_of(server, ahead=clock) as ev:
        starting = asyncio.ensure_future(ev.start_charge(CARD, EVSE, start_timeout=40))
        await asyncio.sleep(1)
        clock.ahead = step
        charge = await starting
    assert charge.session_id == server.own_sessions()[0].id


@pytest.mark.parametrize(
    ("fields", "adopted"),
    [
        ({"began": -30.0, "without": {"startedAt"}}, True),
        ({"began": -300.0, "without": {"startedAt"}}, False),
        ({"began": -300.0, "without": {"startedAt", "lastUpdated"}}, True),
        ({"began": -0.1, "without": {"lastUpdated"}}, True),
    ],
    ids=["touched 30 s before", "touched 5 minutes before", "no time at all", "started at alone"],
)
@virtual
async def test_without_started_at_only_an_old_last_updated_excludes(
    fields: dict[str, Any], adopted: bool, server: RawServer
) -> None:
    server.foreign(CARD, EVSE, **{**fields, "without": frozenset(fields["without"])})
    assert isinstance(await _lost(server), AsyncCharge) is adopted


@pytest.mark.parametrize("without", [set(), {"startedAt"}, {"startedAt", "lastUpdated"}], ids=lambda v: str(len(v)))
@virtual
async def test_a_session_that_ended_before_the_start_was_sent_is_not_adopted(
    without: set[str], server: RawServer
) -> None:
    session = server.foreign(CARD, EVSE, began=-40, ended=-10, without=frozenset(without))
    outcome = await _lost(server)
    assert isinstance(outcome, OutcomeUnknownError), outcome
    assert session.id in outcome.reasons


@virtual
async def test_a_session_that_is_over_without_a_time_is_not_adopted_and_does_not_end_the_search(
    server: RawServer,
) -> None:
    over = server.foreign(
        CARD, EVSE, began=-40, ended=-10, without=frozenset({"startedAt", "stoppedAt", "lastUpdated"})
    )
    assert isinstance(await _lost(server), OutcomeUnknownError)
    server.listing_delay = 15
    server.script("start", lose_answer_after_effect)
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
    assert charge.session_id == server.own_sessions()[0].id != over.id


@virtual
async def test_the_own_session_that_failed_at_once_is_found(server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    server.new_session = lambda _: {"fails": True, "start_delay": 0.0}
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
    assert charge.is_over
    assert charge.session_id == server.own_sessions()[0].id


@pytest.mark.parametrize("offset", [-20, 20], ids=["behind", "ahead"])
@virtual
async def test_a_service_clock_off_from_its_gateway_makes_the_own_session_doubtful_or_found(
    offset: float, server: RawServer
) -> None:
    server.service_offset = offset
    server.script("start", lose_answer_after_effect)
    async with client_of(server) as ev:
        if offset > 0:
            assert (await ev.start_charge(CARD, EVSE, start_timeout=30)).session_id == server.own_sessions()[0].id
        else:
            with pytest.raises(OutcomeUnknownError) as caught:
                await ev.start_charge(CARD, EVSE, start_timeout=30)
            assert server.own_sessions()[0].id in caught.value.reasons
