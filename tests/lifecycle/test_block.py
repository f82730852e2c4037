"""Leaving the block: the charge is stopped, whatever the way out, and what went wrong first is what the caller sees."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest
from fakes import CARD, EVSE
from stages import Stage, errors_logged, settled, tasks_left
from virtual_time import virtual_time

from shell_ev import (
    ChargeFailedError,
    ChargeNotStoppedError,
    ChargePendingError,
    OutcomeUnknownError,
    SessionState,
    UnauthorizedError,
)
from shell_ev.charges.cleanup import cleanup_during, run_shielded
from shell_ev.sandbox import FAILING_EVSES, Fault, Sandbox
from shell_ev.sandbox import SessionState as TrueState


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))


class TestLeaving:
    @virtual_time
    async def test_stops_and_waits_until_stopped(self) -> None:
        stage = Stage()
        async with stage.client.charge(CARD, EVSE) as charge:
            assert charge.state is SessionState.STARTED
            assert stage.only_charge.is_running
        assert charge.state is SessionState.STOPPED
        assert stage.only_charge.state is TrueState.STOPPED
        assert stage.sent.count("stop") == 1
        assert not tasks_left()

    @virtual_time
    async def test_a_charge_that_was_seen_to_end_sends_nothing(self) -> None:
        stage = Stage()
        async with stage.client.charge(CARD, EVSE) as charge:
            stage.at(100, lambda: stage.service.book.end(stage.only_charge))
            async for _ in charge.changes():
                pass
            seen = len(stage.sent)
        assert len(stage.sent) == seen

    @virtual_time
    async def test_a_charge_stopped_in_the_body_is_not_stopped_again(self) -> None:
        stage = Stage()
        async with stage.client.charge(CARD, EVSE) as charge:
            await charge.stop()
        assert stage.sent.count("stop") == 1

    @virtual_time
    async def test_with_an_exception_stops_and_that_stays_the_exception(self) -> None:
        stage = Stage()
        mistake = KeyError("a bug of the application")
        with pytest.raises(KeyError) as caught:
            async with stage.client.charge(CARD, EVSE):
                raise mistake
        assert caught.value is mistake
        assert not notes(mistake)
        assert stage.only_charge.state is TrueState.STOPPED

    @virtual_time
    async def test_when_the_stop_fails_is_loud(self) -> None:
        stage = Stage()
        stage.service.book.fail_stops(EVSE, -1)
        with pytest.raises(ChargeNotStoppedError, match="may still be charging") as caught:
            async with stage.client.charge(CARD, EVSE) as charge:
                pass
        assert caught.value.session_id == charge.session_id
        assert stage.only_charge.is_running

    @virtual_time
    async def test_when_body_and_stop_fail_notes_the_stop_and_logs_it(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        stage.service.book.fail_stops(EVSE, -1)
        with pytest.raises(KeyError) as caught:
            async with stage.client.charge(CARD, EVSE) as charge:
                raise KeyError("a bug of the application")
        [note] = notes(caught.value)
        assert "may still be charging" in note
        assert charge.session_id in note
        assert errors_logged(caplog) == [note]

    @virtual_time
    async def test_keep_running_leaves_it_on_purpose(self) -> None:
        stage = Stage()
        async with stage.client.charge(CARD, EVSE, keep_running=True):
            pass
        with pytest.raises(KeyError):
            async with stage.client.charge(CARD, "NL*TNM*E02003451*1", keep_running=True):
                raise KeyError
        assert "stop" not in stage.sent
        assert len(stage.running()) == 2

    @pytest.mark.parametrize("leave", [KeyboardInterrupt, SystemExit])
    def test_with_an_interrupt_raised_in_the_body_stops_too(self, leave: type[BaseException]) -> None:
        stages: list[Stage] = []

        @virtual_time
        async def run() -> None:
            stages.append(Stage())
            async with stages[0].client.charge(CARD, EVSE):
                raise leave

        with pytest.raises(leave):
            run()
        assert [charge.stops != [] for charge in stages[0].service.charges] == [True]

    @virtual_time
    async def test_an_async_generator_closed_early_stops_its_charge(self) -> None:
        stage = Stage()

        async def application() -> Any:
            async with stage.client.charge(CARD, EVSE) as charge:
                yield charge

        generator = application()
        await anext(generator)
        await generator.aclose()
        assert stage.only_charge.state is TrueState.STOPPED


class TestLeavingByCancellation:
    @virtual_time
    async def test_stops_first(self) -> None:
        stage = Stage()

        async def body() -> None:
            async with stage.client.charge(CARD, EVSE):
                await asyncio.sleep(10_000)

        task = asyncio.ensure_future(body())
        await asyncio.sleep(100)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert stage.only_charge.state is TrueState.STOPPED
        assert not notes(caught.value)
        assert not tasks_left()

    @virtual_time
    async def test_of_the_stop_itself_is_bounded_and_said(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        stage.service.book.stop_delay = 10_000.0

        async def body() -> None:
            async with stage.client.charge(CARD, EVSE, stop_timeout=60):
                pass

        task = asyncio.ensure_future(body())
        await asyncio.sleep(40)
        assert stage.only_charge.stops
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert stage.age <= 120
        assert "may still be charging" in notes(caught.value)[0]
        assert len(errors_logged(caplog)) == 1

    @virtual_time
    async def test_of_the_stop_itself_that_then_succeeds_is_silent(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()

        async def body() -> None:
            async with stage.client.charge(CARD, EVSE):
                pass

        task = asyncio.ensure_future(body())
        await asyncio.sleep(25)
        assert stage.only_charge.stops
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stage.only_charge.state is TrueState.STOPPED
        assert not errors_logged(caplog)
        assert not tasks_left()

    @virtual_time
    async def test_by_a_timeout_around_it_is_a_timeout_error(self) -> None:
        stage = Stage()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                async with stage.client.charge(CARD, EVSE):
                    await asyncio.sleep(10_000)
        assert stage.only_charge.state is TrueState.STOPPED
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    @virtual_time
    async def test_by_a_timeout_while_entering_is_a_timeout_error(self) -> None:
        stage = Stage()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                async with stage.client.charge(CARD, EVSE):
                    raise AssertionError("not started")
        await asyncio.sleep(60)
        assert stage.only_charge.is_over
        assert not tasks_left()

    @virtual_time
    async def test_while_the_exception_of_the_body_is_on_its_way_is_not_swallowed(self) -> None:
        stage = Stage()

        async def body() -> None:
            async with stage.client.charge(CARD, EVSE):
                raise KeyError("a bug of the application")

        task = asyncio.ensure_future(body())
        await asyncio.sleep(25)
        assert stage.only_charge.stops
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert stage.only_charge.state is TrueState.STOPPED  # it went on through one cancellation
        contexts, error = [], caught.value.__context__
        while error is not None:
            contexts.append(type(error))
            error = error.__context__
        assert KeyError in contexts

    @virtual_time
    async def test_a_worker_that_continues_after_failures_can_be_cancelled_in_any_second(self) -> None:
        for second in range(1, 60):
            stage = Stage()

            async def worker(stage: Stage = stage) -> None:
                while True:
                    try:
                        async with stage.client.charge(CARD, EVSE):
                            raise KeyError("a bug of the application")
                    except KeyError:
                        pass

            task = asyncio.ensure_future(worker())
            await asyncio.sleep(second)
            task.cancel()
            await asyncio.wait([task], timeout=400)
            assert task.cancelled(), second
            assert not stage.running(), second

    @virtual_time
    async def test_twice_ends_the_stop_and_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()

        async def body() -> None:
            async with stage.client.charge(CARD, EVSE):
                await asyncio.sleep(10_000)

        task = asyncio.ensure_future(body())
        await asyncio.sleep(100)
        task.cancel()
        await asyncio.sleep(1)
        task.cancel()
        before = stage.age
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert stage.age - before < 1
        assert "may still be charging" in notes(caught.value)[0]
        assert len(errors_logged(caplog)) == 1
        await settled()
        assert not tasks_left()

    @virtual_time
    async def test_in_a_task_group_ends_the_others_and_stops_them_all(self) -> None:
        stage = Stage()

        async def body(evse: str, hours: float) -> None:
            async with stage.client.charge(CARD, evse):
                await asyncio.sleep(hours * 3600)
                raise KeyError("a bug of the application")

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(body(EVSE, 1))
                group.create_task(body("NL*TNM*E02003451*1", 2))
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        assert len(stage.service.charges) == 2
        assert not stage.running()


class TestEnteringFails:
    @virtual_time
    async def test_by_a_charge_that_failed_and_nothing_is_stopped(self) -> None:
        stage = Stage()
        with pytest.raises(ChargeFailedError):
            async with stage.client.charge(CARD, FAILING_EVSES["EvNotConnectedToEvse"]):
                raise AssertionError("not started")
        assert "stop" not in stage.sent

    @virtual_time
    async def test_by_a_charge_that_is_pending_and_nothing_is_stopped(self) -> None:
        stage = Stage()
        stage.service.book.start_delay = 1_000.0
        with pytest.raises(ChargePendingError):
            async with stage.client.charge(CARD, EVSE, start_timeout=30):
                raise AssertionError("not started")
        assert stage.age == pytest.approx(30, abs=2)  # the start is within the time given
        assert "stop" not in stage.sent

    @virtual_time
    async def test_in_the_time_given_though_its_answer_was_lost_and_looked_for(self) -> None:
        stage = Stage()
        stage.service.book.start_delay = 1_000.0
        stage.service.book.show_sessions_after = 60.0
        stage.service.faults.add("charging.start", Fault.drop())
        with pytest.raises(ChargePendingError):
            async with stage.client.charge(CARD, EVSE, start_timeout=90):
                raise AssertionError("not started")
        assert stage.age == pytest.approx(90, abs=2)

    @virtual_time
    async def test_by_a_refused_token_and_the_charge_is_stopped(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        stage.service.faults.add("charging.retrieve", Fault.status(401), times=2)
        with pytest.raises(UnauthorizedError) as caught:
            async with stage.client.charge(CARD, EVSE):
                raise AssertionError("not started")
        assert stage.only_charge.is_over
        assert not notes(caught.value)
        assert not errors_logged(caplog)

    @virtual_time
    async def test_by_a_refused_token_for_good_and_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        stage.service.faults.always("charging.retrieve", Fault.status(401))
        with pytest.raises(UnauthorizedError) as caught:
            async with stage.client.charge(CARD, EVSE):
                raise AssertionError("not started")
        assert "may still be charging" in notes(caught.value)[0]
        assert len(errors_logged(caplog)) == 1

    @virtual_time
    async def test_by_a_lost_answer_that_cannot_be_looked_up(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        with pytest.raises(OutcomeUnknownError):
            async with stage.client.charge("04A2B3C4D5E6F7", EVSE):
                raise AssertionError("not started")


class TestSeeingACleanUpThrough:
    """The shield itself, with clean-ups that take several turns of the loop to end."""

    @staticmethod
    async def slow(turns: int, events: list[str]) -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            for _ in range(turns):
                await asyncio.sleep(0)
            events.append("cancelled")
            raise
        events.append("done")
        return "outcome"

    @pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()], ids=repr)
    def test_who_is_leaving_already_needs_one_more_to_end_it(
        self, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        @virtual_time
        async def run() -> None:
            events: list[str] = []
            task = asyncio.ensure_future(cleanup_during(error, self.slow(9, events), "the work"))
            await asyncio.sleep(1)
            for _ in range(5):  # impatience beyond that is not let through either: the end has to be told
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])
            assert task.exception() is None
            assert events != ["done"]
            assert len(notes(error)) == 1
            assert len(errors_logged(caplog)) == 1
            assert not tasks_left()

        run()

    @virtual_time
    async def test_a_failure_meets_one_cancellation_with_patience_and_passes_it_on(self) -> None:
        events: list[str] = []
        error = KeyError("x")
        task = asyncio.ensure_future(cleanup_during(error, self.slow(0, events), "the work"))
        await asyncio.sleep(1)
        task.cancel("go")
        await asyncio.wait([task])
        assert task.cancelled()
        assert events == ["done"]
        assert not notes(error)

    @virtual_time
    async def test_a_failure_and_two_cancellations_end_it_and_the_note_is_on_what_is_seen(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        events: list[str] = []
        error = KeyError("x")
        task = asyncio.ensure_future(cleanup_during(error, self.slow(3, events), "the work"))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert events == ["cancelled"]
        assert len(notes(caught.value)) == 1
        assert len(errors_logged(caplog)) == 1

    @virtual_time
    async def test_work_is_carried_through_one_cancellation(self) -> None:
        events: list[str] = []
        assert await run_shielded(self.slow(0, events), "the work") == "outcome"
        task = asyncio.ensure_future(run_shielded(self.slow(0, events), "the work"))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert events == ["done", "done"]


INTERRUPTED = """
import asyncio, sys
from shell_ev import AsyncShellEV, Polling

async def main():
    async with AsyncShellEV("sandbox-client", "sandbox-secret", base_url=sys.argv[1]) as ev:
        polling = Polling(eager=0.05, steady=0.05, patient=0.05, started=0.05)
        if sys.argv[2] == "entering":
            print("go", flush=True)
        async with ev.charge("NL-TNM-C00122045-K", "NL*TNM*E02003451*0", polling=polling) as charge:
            print("go", flush=True)
            await asyncio.sleep(60)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


class TestCtrlCUnderAsyncioRun:
    @pytest.mark.parametrize("where", ["body", "entering"])
    def test_stops_the_charge_and_is_a_keyboard_interrupt(self, where: str) -> None:
        with Sandbox(stations=0, speed=60) as sandbox:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", textwrap.dedent(INTERRUPTED), sandbox.url, where],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "go\n"
                if where == "entering":
                    ends_at = time.monotonic() + 10
                    while not sandbox.charges and time.monotonic() < ends_at:
                        time.sleep(0.002)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=15)
            finally:
                process.kill()
                process.communicate()
            assert (out, err, process.returncode) == ("interrupted\n", "", 0)
            [charge] = sandbox.charges
            assert charge.is_over
            assert charge.stops
