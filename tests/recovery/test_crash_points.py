"""SIGKILL at a crash point, and what crosses with its recovery: other keys, blocks, clocks that are wrong."""

from __future__ import annotations

import attrs
import pytest
from adversary.raw_server import RawServer, hang_before_effect

from recovery.child import CARD, EVSE, Job, in_process
from recovery.conftest import Until
from recovery.crash_points import AFTER_THE_EFFECT, NOT_SENT, crash, entry_of, recovered_by, twins


@twins
def test_a_block_that_takes_over_the_lost_start_of_a_dead_block_stops_it(
    service: RawServer, store: str, until: Until, blocking: bool
) -> None:
    job = Job(url=service.url, store=store, way="start_charge", blocking=blocking)
    crash(AFTER_THE_EFFECT, job, service, until)
    result = in_process(attrs.evolve(job, way="block"))
    assert (result.error, result.is_new, result.state) == (None, False, "stopped")
    assert not service.running()


def test_another_key_on_the_evse_of_a_lost_start_recovers_that_first(
    service: RawServer, store: str, until: Until
) -> None:
    job = Job(url=service.url, store=store)
    crash(AFTER_THE_EFFECT, job, service, until)
    result = in_process(attrs.evolve(job, key="order-2", evse=EVSE.lower()))
    assert (result.error, result.is_new) == (None, True)
    entry = entry_of(service, job)
    assert entry is not None
    assert (entry.state, entry.session_id) == ("accepted", service.own_sessions()[0].id)
    assert result.session_id == service.own_sessions()[1].id


def test_another_key_on_the_evse_of_a_lost_start_that_stays_open_is_in_progress_and_names_it(
    service: RawServer, store: str, until: Until
) -> None:
    job = Job(url=service.url, store=store)
    crash(AFTER_THE_EFFECT, job, service, until)
    service.always("active", hang_before_effect)
    result = in_process(attrs.evolve(job, key="order-2"))
    assert (result.error, result.error_key) == ("ChargeInProgressError", "order-1")
    assert service.count("start") == 1


def test_two_orders_that_cross_each_keep_their_own_session(service: RawServer, store: str, until: Until) -> None:
    """A is killed before it is sent, B starts on the same card and EVSE: A's recovery must not take B's session."""
    job = Job(url=service.url, store=store)
    crash(NOT_SENT, job, service, until)
    other = in_process(attrs.evolve(job, key="order-2", start_timeout=0.3))
    assert (other.error, other.is_new) == (None, True)
    assert recovered_by(job, 1).unknown in ((), ("order-1",))
    assert in_process(job).error == "OutcomeUnknownError"
    entry = entry_of(service, attrs.evolve(job, key="order-2"))
    assert entry is not None
    assert entry.session_id == other.session_id == service.own_sessions()[0].id
    assert CARD not in str(entry)


@pytest.mark.parametrize("ahead", [-90.0, 90.0], ids=["behind", "ahead"])
def test_a_session_is_found_although_the_clock_of_the_dead_process_was_wrong(
    service: RawServer, store: str, until: Until, ahead: float
) -> None:
    job = Job(url=service.url, store=store, way="block", clock_ahead=ahead)
    crash(AFTER_THE_EFFECT, job, service, until)
    assert recovered_by(attrs.evolve(job, clock_ahead=0.0), 1).stopped == ("order-1",)
    assert not service.running()


def test_a_session_is_found_by_a_process_with_a_wrong_clock(service: RawServer, store: str, until: Until) -> None:
    job = Job(url=service.url, store=store, way="block")
    crash(AFTER_THE_EFFECT, job, service, until)
    assert recovered_by(attrs.evolve(job, clock_ahead=90.0), 1).stopped == ("order-1",)
