"""The state machine of the charges, on a clock that moves only when it is told to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shell_ev.sandbox import (
    EXAMPLE_EVSE,
    FAILING_EVSES,
    FAILING_STOP_EVSE,
    SESSION_MESSAGES,
    Dialect,
    Service,
    SessionState,
)

S = SessionState


def states(service: Service, index: int = -1) -> list[SessionState]:
    return [change.state for change in service.charges[index].history]


def test_a_charge_runs_its_whole_course(service: Service, caller: Any, clock: Any) -> None:
    began = clock.at
    session_id = caller.start()
    charge = service.charges[0]
    assert caller.state(session_id) == "start-requested"
    assert not charge.has_started
    clock.advance(19.99)
    assert caller.state(session_id) == "start-requested"
    clock.advance(0.01)
    assert caller.state(session_id) == "started"
    assert charge.is_running
    assert charge.started_at == began + 20
    clock.advance(1800)
    assert caller.stop(session_id) == 202
    assert caller.state(session_id) == "stop-requested"
    assert charge.is_running
    clock.advance(10)
    assert caller.state(session_id) == "stopped"
    assert not charge.is_running
    assert charge.has_started
    assert [(change.state, round(change.at - began, 3)) for change in charge.history] == [
        (S.START_REQUESTED, 0),
        (S.STARTED, 20),
        (S.STOP_REQUESTED, 1820),
        (S.STOPPED, 1830),
    ]
    assert (charge.ema_id, charge.evse_id, charge.request_id) == (caller.card, caller.evse, caller.request_id)


@pytest.mark.parametrize("code", sorted(SESSION_MESSAGES))
def test_every_session_code_has_an_evse(service: Service, caller: Any, clock: Any, code: str) -> None:
    session_id = caller.start(evse_id=FAILING_EVSES[code])
    assert caller.state(session_id) == "start-requested"
    assert caller.active() == [session_id]
    clock.advance(20)
    assert caller.session(session_id)["sessionState"] == {
        "status": "failed-to-start",
        "error": {"code": code, "message": SESSION_MESSAGES[code]},
    }
    assert caller.active() == []
    assert not service.charges[0].has_started
    assert caller.stop(session_id) == 404


def test_a_second_start_on_a_taken_evse_fails(service: Service, caller: Any, clock: Any) -> None:
    first, second = caller.start(), caller.start(card="NL-TNM-C0216599X-A")
    clock.advance(20)
    assert caller.state(first) == "started"
    assert caller.session(second)["sessionState"]["error"]["code"] == "EvseInUse"
    caller.stop(first)
    clock.advance(10)
    third = caller.start()
    clock.advance(20)
    assert caller.state(third) == "started"
    assert sum(charge.has_started for charge in service.charges) == 2


def test_a_stop_that_overtakes_the_start_ends_the_charge_after_it_began(
    service: Service, caller: Any, clock: Any
) -> None:
    session_id = caller.start()
    clock.advance(5)
    assert caller.stop(session_id) == 202
    clock.advance(16)
    assert caller.state(session_id) == "stop-requested"
    assert service.charges[0].is_running
    clock.advance(9)
    assert caller.state(session_id) == "stopped"
    assert states(service) == [S.START_REQUESTED, S.STOP_REQUESTED, S.STOPPED]


def test_a_repeated_stop_changes_nothing_until_the_session_is_over(service: Service, caller: Any, clock: Any) -> None:
    session_id = caller.start()
    clock.advance(20)
    assert [caller.stop(session_id), caller.stop(session_id)] == [202, 202]
    clock.advance(10)
    assert caller.stop(session_id) == 404
    assert len(service.charges[0].stops) == 1


def test_an_evse_where_every_stop_fails(service: Service, caller: Any, clock: Any) -> None:
    session_id = caller.start(evse_id=FAILING_STOP_EVSE)
    clock.advance(20)
    for _ in range(2):
        assert caller.stop(session_id) == 202
        assert caller.state(session_id) == "stop-requested"
        clock.advance(10)
        assert caller.session(session_id)["sessionState"]["status"] == "failed-to-stop"
        assert caller.session(session_id)["sessionState"]["error"]["code"] == "InternalError"
        assert service.charges[0].is_running
        assert caller.active() == [session_id]


def test_stops_can_be_made_to_fail_for_a_while(service: Service, caller: Any, clock: Any) -> None:
    service.book.fail_stops(EXAMPLE_EVSE)
    session_id = caller.start()
    clock.advance(20)
    caller.stop(session_id)
    clock.advance(10)
    assert caller.state(session_id) == "failed-to-stop"
    caller.stop(session_id)
    clock.advance(10)
    assert caller.state(session_id) == "stopped"
    assert states(service)[2:] == [S.STOP_REQUESTED, S.FAILED_TO_STOP, S.STOP_REQUESTED, S.STOPPED]


def test_a_charge_can_end_by_itself(service: Service, caller: Any, clock: Any) -> None:
    session_id = caller.start()
    clock.advance(100)
    service.book.end(service.charges[0])
    clock.advance(1)
    assert caller.state(session_id) == "stopped"
    assert states(service) == [S.START_REQUESTED, S.STARTED, S.STOPPED]
    assert caller.stop(session_id) == 404


def test_a_charge_that_ends_before_it_began_never_started(service: Service, caller: Any, clock: Any) -> None:
    session_id = caller.start()
    clock.advance(1)
    service.book.end(service.charges[0])
    clock.advance(100)
    assert caller.state(session_id) == "stopped"
    assert not service.charges[0].has_started


def test_sessions_can_stay_invisible_for_a_while(service: Service, caller: Any, clock: Any) -> None:
    service.book.show_sessions_after = 30
    session_id = caller.start()
    clock.advance(29)
    assert caller.ask(caller.retrieve_call(Dialect.V2, session_id)).status == 404
    assert caller.active() == []
    assert service.charges[0].is_running
    clock.advance(1)
    assert caller.state(session_id) == "started"
    assert caller.active() == [session_id]


def test_active_lists_the_open_sessions_of_one_card(caller: Any, clock: Any) -> None:
    other = "NL-TNM-C0216599X-A"
    first = caller.start()
    second = caller.start(evse_id="NL*TNM*E02003451*1")
    foreign = caller.start(card=other, evse_id="NL*TNM*E02003452*1")
    clock.advance(20)
    assert caller.active() == [first, second]
    assert caller.active(other) == [foreign]
    caller.stop(first)
    assert caller.active() == [first, second]
    clock.advance(10)
    assert caller.active() == [second]
    assert caller.active("NL-TNM-C99999999-X") == []


def test_delays_hold_for_what_comes_after_they_were_set(service: Service, caller: Any) -> None:
    slow = caller.start()
    service.book.start_delay = 0
    quick = caller.start(evse_id="NL*TNM*E02003451*1")
    assert caller.state(quick) == "started"
    assert caller.state(slow) == "start-requested"
    service.book.stop_delay = 0
    caller.stop(quick)
    assert caller.state(quick) == "stopped"


def test_session_ids_follow_from_the_seed(clock: Any, caller: Any) -> None:
    def ids(seed: int) -> list[str]:
        twin = type(caller)(Service(clock=clock, seed=seed, stations=0))
        return [twin.start() for _ in range(3)]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_what_a_start_on_a_status_of_the_network_leads_to(caller: Any, clock: Any) -> None:
    outcomes = {}
    for station in caller.locations(Dialect.V2, perPage="500"):
        for evse in station["evses"]:
            if evse["status"] in outcomes or int(station["uid"]) < 10_000:
                continue
            session_id = caller.start(evse_id=evse["evseId"])
            clock.advance(20)
            outcomes[evse["status"]] = caller.session(session_id)["sessionState"].get("error", {}).get("code")
    assert outcomes == {
        "Available": None,
        "Unknown": None,
        "Occupied": "EvseInUse",
        "Unavailable": "EvseOutOfService",
    }


def test_a_session_of_one_dialect_is_known_in_the_others(caller: Any, clock: Any) -> None:
    session_id = caller.start(Dialect.V1_PASCAL)
    clock.advance(20)
    for dialect in Dialect:
        assert caller.ask(caller.retrieve_call(dialect, session_id)).status == 200
        body = json.loads(caller.ask(caller.active_call(dialect)).body)
        assert len(body["Data" if dialect is Dialect.V1_PASCAL else "data"]) == 1
