"""What a lost start reads from the card's sessions: EVSE ids, empty lists, candidates, and what its error says."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from shell_ev import ForbiddenError, NotFoundError, OutcomeUnknownError, ShellEVError, ValidationError
from shell_ev.observing import CallEnded, CallInfo, CallObserver, Observer

from .raw_server import (
    Fault,
    RawServer,
    drop_before_effect,
    forbidden,
    gateway_404,
    lose_answer_after_effect,
    service_404,
    status,
)
from .support import CARD, EVSE, client_of, now, virtual


@virtual
async def test_an_evse_with_other_separators_is_another_evse(server: RawServer) -> None:
    # The same characters without separators, and another connector of another station.
    session = server.foreign(CARD, "NL*TNM*E0200345*10", began=-0.1)
    server.script("start", drop_before_effect)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, "NL*TNM*E02003451*0", start_timeout=20)
    assert session.id in caught.value.reasons


@pytest.mark.parametrize("shown", ["NLTNME020034510", "nl*tnm*e02003451*0", "NL*TNM*E02003451*0"])
@virtual
async def test_an_evse_without_separators_is_compared_without_them(shown: str, server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    server.new_session = lambda _: {"shown_evse": shown}
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
    assert charge.session_id == server.own_sessions()[0].id


@virtual
async def test_a_404_of_the_service_is_an_empty_list(server: RawServer) -> None:
    server.script("active", service_404)
    async with client_of(server) as ev:
        answer = await ev.charging.active(CARD)
    assert answer.data == ()
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "fault",
    [
        gateway_404,
        gateway_404.but(body=b"<html>404</html>", headers={"Content-Type": "text/html"}),
        gateway_404.but(body=b""),
        gateway_404.but(body=b"{}"),
        gateway_404.but(body=b'{"error":"not found","status":404}'),
    ],
    ids=["kong", "html", "empty", "empty object", "flat"],
)
@virtual
async def test_a_404_of_a_gateway_is_an_error_and_no_answered_look_up(fault: Fault, server: RawServer) -> None:
    server.always("active", fault)
    server.script("start", drop_before_effect)
    async with client_of(server) as ev:
        with pytest.raises(NotFoundError):
            await ev.charging.active(CARD)
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=20)
    assert caught.value.lookups_answered == 0
    assert caught.value.lookups >= 1


@virtual
async def test_empty_lists_worded_as_404_do_not_end_the_search(server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    server.script("active", service_404, service_404, service_404)
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
    assert charge.session_id == server.own_sessions()[0].id
    assert server.count("active") == 4


@virtual
async def test_answered_look_ups_are_counted(server: RawServer) -> None:
    server.script("start", drop_before_effect)
    server.script("active", *[status(502, after_effect=False)] * 6, service_404)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=30)
    answered = sum(seen.status in (200, 404) for seen in server.seen("active"))
    assert caught.value.lookups_answered == answered > 3
    assert caught.value.lookups > answered


@virtual
async def test_two_candidates_are_unknown_and_both_are_named(server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    server.on_start = lambda _: server.foreign(CARD, EVSE, began=1)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=20)
    assert set(caught.value.reasons) == {session.id for session in server.sessions}
    assert not any(session.stops for session in server.sessions)


@virtual
async def test_a_session_listed_twice_is_one_candidate(server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    server.new_session = lambda _: {"copies": 2}
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE, start_timeout=20)
    assert charge.session_id == server.own_sessions()[0].id


@pytest.mark.parametrize("ahead", [-7200, 0, 7200])
@virtual
async def test_the_error_has_the_time_of_sending_on_the_clock_of_the_service(ahead: float, server: RawServer) -> None:
    server.date_offset = server.service_offset = 500
    server.script("start", drop_before_effect)
    async with client_of(server, ahead=ahead) as ev:
        sent = datetime.fromtimestamp(now() + 500, UTC)
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=20)
    error = caught.value
    assert error.sent_at is not None
    assert 1 <= error.sent_at_error < 5
    assert abs((error.sent_at - sent).total_seconds()) <= error.sent_at_error


@virtual
async def test_the_error_of_a_service_without_dates_says_how_far_off_its_time_can_be(server: RawServer) -> None:
    server.sends_date = False
    server.script("start", drop_before_effect)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=20)
    assert caught.value.sent_at_error >= 60


@pytest.mark.parametrize("ahead", [-3600, 3600])
@virtual
async def test_a_pickled_error_reconciles_on_a_machine_with_another_clock(ahead: float, server: RawServer) -> None:
    server.script("start", lose_answer_after_effect)
    server.listing_delay = 60
    theirs = server.foreign(CARD, EVSE, began=-20)
    async with client_of(server, ahead=ahead) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, start_timeout=20)
    carried = pickle.loads(pickle.dumps(caught.value))
    assert carried.reasons == caught.value.reasons
    async with client_of(server, ahead=-ahead) as other:
        charge = await other.reconcile(carried)
    assert charge.session_id == server.own_sessions()[0].id != theirs.id
    assert charge.adopted


@virtual
async def test_the_baseline_is_asked_once_before_the_start(server: RawServer) -> None:
    async with client_of(server) as ev:
        async with ev.charge(CARD, EVSE, baseline=True):
            pass
        await ev.start_charge(CARD, EVSE, baseline=True)
    operations = [seen.operation for seen in server.requests if seen.operation in ("active", "start")]
    assert operations == ["active", "start", "active", "start"]


@virtual
async def test_a_session_of_the_baseline_is_not_adopted_with_any_clock(server: RawServer) -> None:
    theirs = server.foreign(CARD, EVSE, began=-30, shown_start=now() + 20)
    server.script("start", lose_answer_after_effect)
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE, baseline=True)
    assert charge.session_id == server.own_sessions()[0].id
    assert not theirs.stops


@virtual
async def test_the_baseline_travels_in_the_error(server: RawServer) -> None:
    theirs = server.foreign(CARD, EVSE, began=-30, shown_start=now() + 20)
    server.script("start", drop_before_effect)
    async with client_of(server) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.start_charge(CARD, EVSE, baseline=True, start_timeout=20)
    async with client_of(server, "other") as other:
        with pytest.raises(OutcomeUnknownError) as again:
            await other.reconcile(pickle.loads(pickle.dumps(caught.value)), start_timeout=20)
    assert theirs.id in again.value.reasons


@pytest.mark.parametrize("block", [True, False], ids=["charge", "start_charge"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [(forbidden, ForbiddenError), (gateway_404, NotFoundError), (status(502, after_effect=False), ShellEVError)],
    ids=["403", "404 of a gateway", "502"],
)
@virtual
async def test_without_its_baseline_nothing_is_sent(
    block: bool, fault: Fault, expected: type[ShellEVError], server: RawServer
) -> None:
    server.always("active", fault)
    async with client_of(server) as ev:
        began = now()
        with pytest.raises(expected) as caught:
            if block:
                async with ev.charge(CARD, EVSE, baseline=True, start_timeout=30):
                    pass
            else:
                await ev.start_charge(CARD, EVSE, baseline=True, start_timeout=30)
    assert not caught.value.outcome_unknown
    assert now() - began <= 31
    assert server.count("start") == 0


@virtual
async def test_a_baseline_needs_an_ema_id(server: RawServer) -> None:
    async with client_of(server) as ev:
        with pytest.raises(ValidationError, match="ema_id"):
            await ev.start_charge("04A2B3C4D5E6F7", EVSE, baseline=True)
        with pytest.raises(ValidationError, match="ema_id"):
            async with ev.charge("04A2B3C4D5E6F7", EVSE, baseline=True):
                pass
        assert server.requests == []
        await ev.start_charge("04A2B3C4D5E6F7", EVSE, baseline=True, ema_id=CARD)
    assert server.count("start") == 1


class Ends(Observer, CallObserver):
    """Keeps the ends of calls."""

    def __init__(self) -> None:
        self.ends: list[CallEnded] = []

    def call_began(self, call: CallInfo) -> CallObserver:
        return self

    def ended(self, event: CallEnded) -> None:
        self.ends.append(event)


@virtual
async def test_an_observer_sees_an_empty_list_worded_as_404_as_a_success(server: RawServer) -> None:
    server.script("active", service_404)
    watching = Ends()
    async with client_of(server, observer=watching) as ev:
        answer = await ev.charging.active(CARD)
    [end] = watching.ends
    assert (end.outcome, end.status_code, end.response) == ("success", 404, answer)
