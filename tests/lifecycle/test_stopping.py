"""Stopping: seen stopped, or loud; sent again only when the service shows that the charge still runs."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from fakes import CARD, EVSE, SESSION, good, reply
from harness import EPOCH
from stages import LOSSES, Problems, Stage, errors_logged, scripted, shows, tasks_left
from virtual_time import virtual_time

from shell_ev import (
    AsyncCharge,
    AsyncShellEV,
    ChargeNotStoppedError,
    ConfigurationError,
    ForbiddenError,
    Polling,
    SessionState,
)
from shell_ev.charges.charge import ChargeOptions
from shell_ev.core.call import Reply, Request
from shell_ev.sandbox import FAILING_EVSES, FAILING_STOP_EVSE, Fault, Sandbox
from shell_ev.sandbox import SessionState as TrueState

#: The answers to a stop that get lost; one with no session in it is a success here.
LOST_STOPS = {name: fault for name, fault in LOSSES.items() if name != "202 and no session"}


async def running(stage: Stage, evse: str = EVSE, **options: Any) -> AsyncCharge:
    """A charge that has started."""
    charge = await stage.client.start_charge(CARD, evse, **options)
    await charge.wait_started()
    return charge


class TestAStop:
    @virtual_time
    async def test_gives_the_session_as_it_ended(self) -> None:
        stage = Stage()
        charge = await running(stage)
        session = await charge.stop()
        assert session is charge.session
        assert session is not None
        assert session.state is SessionState.STOPPED
        assert session.stopped_at is not None
        assert stage.sent.count("stop") == 1
        assert not tasks_left()

    @virtual_time
    async def test_of_a_charge_seen_stopped_sends_nothing(self) -> None:
        stage = Stage()
        charge = await running(stage)
        await charge.stop()
        seen = len(stage.sent)
        assert await charge.stop() is charge.session
        assert len(stage.sent) == seen

    @virtual_time
    async def test_of_a_charge_that_ended_by_itself_is_success(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.book.end(stage.only_charge)
        session = await charge.stop()
        assert session is not None
        assert session.state is SessionState.STOPPED
        assert stage.sent.count("stop") == 1  # it answered 404, and the look told why

    @virtual_time
    async def test_of_a_charge_that_was_stopped_elsewhere_is_success(self) -> None:
        stage = Stage()
        charge = await running(stage)
        await stage.client.charging.stop(charge.session_id)
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED

    @virtual_time
    async def test_of_an_attached_charge_needs_no_look_before(self) -> None:
        stage = Stage()
        charge = await running(stage)
        again = stage.client.attach(charge.session_id)
        await again.stop()
        assert again.state is SessionState.STOPPED

    @virtual_time
    async def test_of_a_pending_start_waits_until_that_is_over_too(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        session = await charge.stop()
        assert session is not None
        assert session.state is SessionState.STOPPED
        assert stage.only_charge.is_over

    @virtual_time
    async def test_of_a_start_that_fails_meanwhile_is_success(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, FAILING_EVSES["EvNotConnectedToEvse"])
        session = await charge.stop()
        assert session is not None
        assert session.state is SessionState.FAILED_TO_START

    @virtual_time
    async def test_before_the_session_is_shown(self) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 60.0
        charge = await stage.client.start_charge(CARD, EVSE)
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED
        assert stage.sent.count("stop") == 1

    @virtual_time
    async def test_of_a_session_the_service_does_not_know_yet_is_sent_until_it_does(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.stop", Fault.status(404), times=5)
        charge = await running(stage)
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED
        assert stage.sent.count("stop") == 6

    @virtual_time
    async def test_of_a_session_that_does_not_exist_is_loud(self) -> None:
        stage = Stage()
        with pytest.raises(ChargeNotStoppedError, match="not seen"):
            await stage.client.attach(SESSION).stop(timeout=30)
        assert stage.age == pytest.approx(30, abs=3)


class TestAStopWithoutAnAnswer:
    @pytest.mark.parametrize("loss", LOST_STOPS)
    def test_that_took_effect_is_seen_and_not_sent_again(self, loss: str) -> None:
        @virtual_time
        async def run() -> None:
            stage, problems = Stage(), Problems()
            charge = await running(stage, on_problem=problems)
            stage.service.faults.add("charging.stop", LOST_STOPS[loss])
            await charge.stop()
            assert stage.only_charge.state is TrueState.STOPPED
            assert stage.sent.count("stop") == 1
            assert len(problems) == 1

        run()

    @pytest.mark.parametrize("loss", LOST_STOPS)
    def test_that_took_no_effect_is_sent_again_once_the_charge_is_shown_to_run_on(self, loss: str) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            charge = await running(stage)
            stage.service.faults.add("charging.stop", attrs.evolve(LOST_STOPS[loss], after_effect=False))
            await charge.stop()
            assert stage.only_charge.state is TrueState.STOPPED
            stops = [r.at - EPOCH for r in stage.service.requests if r.operation == "charging.stop"]
            assert len(stops) == 2
            polls = [r.at - EPOCH for r in stage.service.requests if r.operation == "charging.retrieve"]
            assert any(stops[0] < poll < stops[1] for poll in polls)
            # A stop without an answer may be slow; one that was answered with a failure is sent again at the next poll.
            silent = LOST_STOPS[loss].kind != "status"
            assert (stops[1] - stops[0] >= 30) is silent

        run()

    @virtual_time
    async def test_answered_with_503_is_not_sent_again_before_its_retry_after(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.faults.add("charging.stop", Fault.unavailable(retry_after=45))
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED
        stops = [r.at - EPOCH for r in stage.service.requests if r.operation == "charging.stop"]
        polls = [r.at - EPOCH for r in stage.service.requests if r.operation == "charging.retrieve"]
        assert len(stops) == 2
        assert 45 <= stops[1] - stops[0] <= 47
        assert [poll for poll in polls if stops[0] < poll < stops[1]]

    @virtual_time
    async def test_is_not_sent_again_while_nothing_shows_that_the_charge_runs(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.faults.add("charging.stop", Fault.drop(after_effect=False))
        stage.service.faults.always("charging.retrieve", Fault.status(500))
        with pytest.raises(ChargeNotStoppedError):
            await charge.stop(timeout=100)
        assert stage.sent.count("stop") == 1

    @virtual_time
    async def test_is_not_sent_again_while_the_service_works_on_it(self) -> None:
        stage = Stage()
        stage.service.book.stop_delay = 100.0
        charge = await running(stage)
        stage.service.faults.add("charging.stop", Fault.drop())
        await charge.stop(timeout=150)
        assert stage.sent.count("stop") == 1

    @virtual_time
    async def test_lost_every_time_ends_at_the_deadline(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.faults.always("charging.stop", Fault.drop(after_effect=False))
        before = stage.age
        with pytest.raises(ChargeNotStoppedError, match="may still be charging"):
            await charge.stop(timeout=100)
        assert stage.age - before <= 103
        assert 2 <= stage.sent.count("stop") <= 4


class TestAStopThatFails:
    @virtual_time
    async def test_once_is_sent_again(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.book.fail_stops(EVSE, 1)
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED
        assert stage.sent.count("stop") == 2

    @virtual_time
    async def test_three_times_is_loud(self) -> None:
        stage = Stage()
        charge = await running(stage, FAILING_STOP_EVSE)
        with pytest.raises(ChargeNotStoppedError) as caught:
            await charge.stop()
        error = caught.value
        assert "may still be charging" in str(error)
        assert "failed-to-stop" in str(error)
        assert error.session_id == charge.session_id
        assert error.session is not None
        assert error.session.state is SessionState.FAILED_TO_STOP
        assert error.outcome_unknown
        assert stage.sent.count("stop") == 3
        assert stage.only_charge.is_running

    @virtual_time
    async def test_can_be_tried_again_as_the_error_says(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.book.fail_stops(EVSE, 3)
        with pytest.raises(ChargeNotStoppedError) as caught:
            await charge.stop()
        await stage.client.attach(caught.value.session_id).stop()
        assert stage.only_charge.state is TrueState.STOPPED

    @virtual_time
    async def test_is_not_taken_for_failed_while_stops_do_not_get_through(self) -> None:
        # What the service shows is the outcome of an earlier stop: three looks at it are not three failures.
        stage = Stage()
        charge = await running(stage)
        stage.service.book.fail_stops(EVSE, 1)
        stage.service.faults.add("charging.stop", Fault.unavailable(), after=1, times=5)
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED

    @virtual_time
    async def test_by_a_refusal_is_loud_at_once(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.faults.always("charging.stop", Fault.status(403))
        before = stage.age
        with pytest.raises(ChargeNotStoppedError, match="refused") as caught:
            await charge.stop()
        assert isinstance(caught.value.__cause__, ForbiddenError)
        assert stage.age - before < 5
        assert stage.sent.count("stop") == 1
        assert stage.only_charge.is_running

    @virtual_time
    async def test_by_a_refusal_of_a_charge_that_is_over_is_success(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.book.end(stage.only_charge)
        stage.service.faults.always("charging.stop", Fault.status(403))
        session = await charge.stop()
        assert session is not None
        assert session.state is SessionState.STOPPED

    @virtual_time
    async def test_by_a_token_refused_for_a_while_is_tolerated(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.faults.add("charging.stop", Fault.status(401), times=6)
        stage.service.faults.add("charging.retrieve", Fault.status(401), times=6)
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED

    @virtual_time
    async def test_by_a_rate_limit_or_an_outage_is_tolerated(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.faults.add("charging.stop", Fault.rate_limit(5), times=4)
        stage.service.faults.add("charging.stop", Fault.unavailable(), times=4)
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED

    @virtual_time
    async def test_to_come_true_by_the_deadline_is_loud(self) -> None:
        stage = Stage()
        stage.service.book.stop_delay = 1_000.0
        charge = await running(stage)
        before = stage.age
        with pytest.raises(ChargeNotStoppedError, match="within 50 s") as caught:
            await charge.stop(timeout=50)
        assert stage.age - before == pytest.approx(50, abs=2)
        assert caught.value.session is not None
        assert caught.value.session.state is SessionState.STOP_REQUESTED
        assert stage.sent.count("stop") == 1

    @virtual_time
    async def test_by_a_hanging_service_still_keeps_to_the_deadline(self) -> None:
        stage = Stage()
        charge = await running(stage)
        stage.service.faults.always("charging.stop", Fault.hang(after_effect=False))
        stage.service.faults.always("charging.retrieve", Fault.hang())
        before = stage.age
        with pytest.raises(ChargeNotStoppedError):
            await charge.stop(timeout=50)
        assert stage.age - before <= 53

    @virtual_time
    async def test_by_a_client_that_was_closed_is_loud(self) -> None:
        stage = Stage()
        charge = await running(stage)
        await stage.client.aclose()
        with pytest.raises(ChargeNotStoppedError) as caught:
            await charge.stop()
        assert isinstance(caught.value.__cause__, ConfigurationError)

    @virtual_time
    async def test_by_an_unknown_state_is_an_error_at_the_deadline(self) -> None:
        client, _ = scripted(good("stop"), always=shows("paused"))
        with pytest.raises(ChargeNotStoppedError, match="paused"):
            await client.attach(SESSION).stop(timeout=60)

    @virtual_time
    async def test_by_a_session_that_goes_unknown_afterwards_is_loud(self) -> None:
        client, _ = scripted(good("stop"), always=reply(404))
        with pytest.raises(ChargeNotStoppedError):
            await client.attach(SESSION).stop(timeout=60)


class TestStopsAtOnce:
    @virtual_time
    async def test_all_succeed(self) -> None:
        stage = Stage()
        charge = await running(stage)
        others = [stage.client.attach(charge.session_id) for _ in range(3)]
        sessions = await asyncio.gather(charge.stop(), charge.stop(), *(other.stop() for other in others))
        assert [session.state for session in sessions if session] == [SessionState.STOPPED] * 5
        assert stage.only_charge.state is TrueState.STOPPED

    @virtual_time
    async def test_as_changes_are_shown_elsewhere_end_those(self) -> None:
        stage = Stage()
        charge = await running(stage)

        async def watch() -> list[str]:
            return [session.state.value async for session in charge.changes() if session.state]

        watching = asyncio.ensure_future(watch())
        await asyncio.sleep(5)
        await charge.stop()
        seen = await watching
        assert seen[-1] == "stopped"
        assert not tasks_left()

    @virtual_time
    async def test_one_cancelled_leaves_the_other_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        charge = await running(stage)
        one, other = asyncio.ensure_future(charge.stop()), asyncio.ensure_future(charge.stop())
        await asyncio.sleep(1)
        one.cancel()
        await asyncio.wait([one, other])
        assert one.cancelled()
        assert other.result() is not None
        assert not errors_logged(caplog)


async def test_over_sockets_a_service_that_restarts_in_the_middle_is_tolerated() -> None:
    async with (
        Sandbox(stations=0, speed=200) as sandbox,
        AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev,
    ):
        polling = Polling(eager=0.02, steady=0.02, patient=0.02, started=0.02)
        async with ev.charge(CARD, EVSE, polling=polling):
            sandbox.faults.add("charging.stop", Fault.reset(after_effect=False))
            sandbox.faults.add("charging.retrieve", Fault.drop(), times=2)
            restarting = asyncio.ensure_future(sandbox.restart(downtime=0.05))
            await asyncio.sleep(0.01)
            sandbox.end_charge(sandbox.charges[0].session_id)
        await restarting
        assert sandbox.charges[0].is_over


class TestAStopThatMayHaveBeenSentBefore:
    """By a process that has ended: a charge of an earlier call with its key, or one that recovery stops."""

    @staticmethod
    def _left(client: AsyncShellEV, session_id: str = SESSION) -> AsyncCharge:
        return AsyncCharge(client._manager, session_id, ChargeOptions(), is_new=False)

    @virtual_time
    async def test_is_looked_up_and_not_sent_again_while_it_is_under_way(self) -> None:
        stage = Stage()
        stage.service.book.stop_delay = 10.0
        charge = await running(stage)
        await stage.client.charging.stop(charge.session_id)
        session = await self._left(stage.client, charge.session_id).stop()
        assert session.state is SessionState.STOPPED
        assert stage.sent.count("stop") == 1

    @virtual_time
    async def test_is_not_sent_to_a_charge_that_is_over(self) -> None:
        client, sender = scripted(shows("stopped"))
        assert (await self._left(client).stop()).state is SessionState.STOPPED
        assert len(sender.requests) == 1

    @virtual_time
    async def test_of_a_charge_last_seen_stopping_is_not_sent_again(self) -> None:
        stage = Stage()
        stage.service.book.stop_delay = 10.0
        charge = await running(stage)
        await stage.client.charging.stop(charge.session_id)
        await charge.refresh()
        await charge.stop()
        assert stage.sent.count("stop") == 1

    @virtual_time
    async def test_is_sent_again_when_the_service_shows_half_a_minute_later_that_it_took_no_effect(self) -> None:
        def look(_: Request) -> Reply:
            return shows("stop-requested" if len(sender.requests) == 1 else "Started")

        client, sender = scripted(always=look)
        with pytest.raises(ChargeNotStoppedError):
            await self._left(client).stop()
        stops = [at for at, request in zip(sender.times, sender.requests, strict=True) if request.method == "POST"]
        assert stops[0] - sender.times[0] == pytest.approx(30, abs=6)

    @pytest.mark.parametrize("look", [reply(403), reply(503), reply(404)], ids=["403", "503", "404"])
    def test_is_sent_when_the_session_cannot_be_read(self, look: Reply) -> None:
        @virtual_time
        async def run() -> None:
            client, sender = scripted(look, good("stop"), shows("stopped"))
            assert (await self._left(client).stop()).state is SessionState.STOPPED
            assert [request.method for request in sender.requests] == ["GET", "POST", "GET"]

        run()
