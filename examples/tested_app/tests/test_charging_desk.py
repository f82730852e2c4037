"""What guests are told when things go wrong, and that no car is charged twice."""

from __future__ import annotations

import asyncio

import pytest
from shell_ev.sandbox import FAILING_EVSES, FAILING_STOP_EVSE, Fault
from shell_ev.testing import ControlledSandbox

from charging_desk import Answer, ChargingDesk, Reply

CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"


async def test_a_charge_begins_and_ends(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    started = await desk.start(CARD, EVSE)
    assert started.answer is Answer.CHARGING
    assert started.session_id == shell_ev_sandbox.only_charge().session_id

    stopped = await desk.stop(CARD, EVSE)
    assert stopped == Reply(Answer.STOPPED, started.session_id)
    shell_ev_sandbox.assert_nothing_running()


async def test_two_guests_press_the_button_at_once(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    first, second = await asyncio.gather(desk.start(CARD, EVSE), desk.start(CARD, EVSE))
    assert first == second
    shell_ev_sandbox.assert_started_once()


@pytest.mark.parametrize("code", ["EvNotConnectedToEvse", "EvseOutOfService"])
async def test_the_charger_refuses(desk: ChargingDesk, code: str) -> None:
    reply = await desk.start(CARD, FAILING_EVSES[code])
    assert (reply.answer, reply.reason) == (Answer.REFUSED, code)


async def test_the_charger_takes_three_minutes(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    shell_ev_sandbox.start_delay = 180
    assert (await desk.start(CARD, EVSE)).answer is Answer.PENDING
    assert shell_ev_sandbox.time.elapsed == 90  # and no real time has passed

    assert (await desk.start(CARD, EVSE)).answer is Answer.CHARGING
    shell_ev_sandbox.assert_started_once()


async def test_the_service_asks_for_patience(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    shell_ev_sandbox.faults.add("charging.start", Fault.rate_limit(retry_after=15))
    assert (await desk.start(CARD, EVSE)).answer is Answer.CHARGING
    assert shell_ev_sandbox.time.elapsed == 15 + 20


async def test_the_service_asks_for_more_patience_than_there_is(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    shell_ev_sandbox.faults.add("charging.start", Fault.rate_limit(retry_after=30))
    assert await desk.start(CARD, EVSE) == Reply(Answer.BUSY, retry_after=30)
    shell_ev_sandbox.assert_nothing_started()

    shell_ev_sandbox.advance(30)
    assert (await desk.start(CARD, EVSE)).answer is Answer.CHARGING


@pytest.mark.parametrize("loss", [Fault.drop(), Fault.truncate(), Fault.hang()])
async def test_the_answer_is_lost(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox, loss: Fault
) -> None:
    shell_ev_sandbox.faults.add("charging.start", loss)
    assert (await desk.start(CARD, EVSE)).answer is Answer.CHARGING
    shell_ev_sandbox.assert_requested("charging.start", times=1)
    shell_ev_sandbox.assert_faults_used()


async def test_the_answer_is_lost_and_the_charge_is_not_shown_for_minutes(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    shell_ev_sandbox.faults.add("charging.start", Fault.drop())
    shell_ev_sandbox.show_sessions_after = 120
    assert (await desk.start(CARD, EVSE)).answer is Answer.UNKNOWN

    assert (await desk.start(CARD, EVSE)).answer is Answer.CHARGING
    shell_ev_sandbox.assert_requested("charging.start", times=1)


async def test_the_request_was_lost_and_nothing_was_started(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    shell_ev_sandbox.faults.add("charging.start", Fault.drop(after_effect=False))
    for _ in range(2):  # asked again it looks again, and still starts nothing
        assert (await desk.start(CARD, EVSE)).answer is Answer.UNKNOWN
    shell_ev_sandbox.assert_nothing_started()

    desk.forget(CARD, EVSE)
    assert (await desk.start(CARD, EVSE)).answer is Answer.CHARGING


async def test_the_service_is_down(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    with shell_ev_sandbox.down():
        assert (await desk.start(CARD, EVSE)).answer is Answer.FAILED
    assert (await desk.start(CARD, EVSE)).answer is Answer.CHARGING
    shell_ev_sandbox.assert_started_once()


async def test_the_token_is_revoked_meanwhile(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    await desk.start(CARD, EVSE)
    shell_ev_sandbox.revoke_tokens()
    assert (await desk.stop(CARD, EVSE)).answer is Answer.STOPPED
    shell_ev_sandbox.assert_requested("token", times=2)


async def test_a_charge_that_cannot_be_stopped(
    desk: ChargingDesk, shell_ev_sandbox: ControlledSandbox
) -> None:
    await desk.start(CARD, FAILING_STOP_EVSE)
    assert (await desk.stop(CARD, FAILING_STOP_EVSE)).answer is Answer.STILL_CHARGING
    assert shell_ev_sandbox.running()


async def test_there_is_nothing_to_stop(desk: ChargingDesk) -> None:
    assert (await desk.stop(CARD, EVSE)).answer is Answer.NOTHING_TO_STOP
