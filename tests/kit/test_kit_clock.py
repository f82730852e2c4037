"""Waits, late answers and expiry on the clock of a test: real clients, real sockets, the test's time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from shell_ev import (
    AsyncShellEV,
    ChargeNotStoppedError,
    ChargePendingError,
    OutcomeUnknownError,
    RequestTimeoutError,
    SessionState,
    Timeout,
    TooManyRequestsError,
)
from shell_ev.sandbox import EXAMPLE_CARD, EXAMPLE_EVSE, FAILING_STOP_EVSE, Fault
from shell_ev.testing import ControlledSandbox

CARD, EVSE = EXAMPLE_CARD, EXAMPLE_EVSE
EVSES = [f"NL*TNM*E02003453*{number}" for number in range(1, 5)]
pytestmark = pytest.mark.usefixtures("quick")


class TestWaitsOfTheClient:
    async def test_a_charge_that_starts_and_stops(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        async with ev.charge(CARD, EVSE) as charge:
            assert charge.state is SessionState.STARTED
            assert sandbox.time.elapsed == 20
        assert sandbox.time.elapsed == 30
        assert charge.session is not None
        assert charge.session.stopped_at == sandbox.time.utcnow()

    async def test_one_that_stays_pending(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.start_delay = 1_000
        with pytest.raises(ChargePendingError) as caught:
            async with ev.charge(CARD, EVSE, start_timeout=180):
                raise AssertionError("it did not start")
        assert sandbox.time.elapsed == 180
        later = ev.attach(caught.value.session_id)
        sandbox.advance(timedelta(seconds=820))
        assert (await later.refresh()).state is SessionState.STARTED

    async def test_looks_are_the_same_every_time(self) -> None:
        async def looks() -> list[float]:
            with ControlledSandbox(start_delay=1_000) as sandbox:
                with pytest.raises(ChargePendingError):
                    async with sandbox.client().charge(CARD, EVSE):
                        pass
                return [request.at - sandbox.now() for request in sandbox.requests_to("charging.retrieve")]

        first, second = await looks(), await looks()
        assert first == second
        assert {round(later - sooner) for sooner, later in pairwise(first)} == {2, 5, 15}

    async def test_retry_after(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.add("charging.start", Fault.rate_limit(30))
        answer = await ev.charging.start(CARD, EVSE)
        assert (answer.attempts, answer.elapsed, sandbox.time.elapsed) == (2, 30, 30)

    async def test_retry_after_as_a_date_of_this_time(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.advance(timedelta(days=400))
        date = format_datetime(sandbox.time.utcnow() + timedelta(seconds=45), usegmt=True)
        sandbox.faults.add("charging.active", Fault.unavailable(date))
        assert (await ev.charging.active(CARD)).elapsed == 45

    async def test_more_than_the_time_of_the_call(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.always("charging.active", Fault.rate_limit(25))
        with pytest.raises(TooManyRequestsError) as caught:
            await ev.charging.active(CARD)
        assert (caught.value.attempts, caught.value.retry_after, sandbox.time.elapsed) == (3, 25, 50)

    async def test_pauses_between_tries_are_not_left_to_chance(
        self, sandbox: ControlledSandbox, ev: AsyncShellEV
    ) -> None:
        sandbox.faults.add("charging.active", Fault.status(500), times=2)
        assert (await ev.charging.active(CARD)).elapsed == 0.25 + 0.5

    async def test_following_many(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        charges = [await ev.start_charge(CARD, evse) for evse in EVSES]
        for minutes, charge in enumerate(charges, 1):
            sandbox.after(minutes * 600, sandbox.end_charge, charge.session_id)
        ended = [
            session_id async for session_id, session in ev.follow(charges) if session.state is SessionState.STOPPED
        ]
        assert ended == [charge.session_id for charge in charges]
        assert 2_400 <= sandbox.time.elapsed <= 2_440

    async def test_a_lost_start_is_found(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.show_sessions_after = 60
        sandbox.faults.add("charging.start", Fault.drop())
        async with ev.charge(CARD, EVSE) as charge:
            assert charge.session_id == sandbox.only_charge().session_id
        assert 60 <= sandbox.time.elapsed <= 80

    async def test_a_lost_start_is_found_after_the_clock_was_moved(
        self, sandbox: ControlledSandbox, ev: AsyncShellEV
    ) -> None:
        """The answers are dated by the clock of the test: an old session is not taken for the one just started."""
        await ev.charging.start(CARD, EVSE)
        sandbox.advance(timedelta(days=1))
        sandbox.end_charge(sandbox.only_charge().session_id)
        sandbox.faults.add("charging.start", Fault.drop())
        charge = await sandbox.client().start_charge(CARD, EVSE)
        assert [charge.session_id] == [charge.session_id for charge in sandbox.charges[1:]]

    async def test_a_stop_that_fails_is_sent_again(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        with pytest.raises(ChargeNotStoppedError):
            async with ev.charge(CARD, FAILING_STOP_EVSE):
                pass
        sandbox.assert_requested("charging.stop", 3)

    async def test_many_charges_at_once(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        async def one(evse: str) -> None:
            async with ev.charge(CARD, evse):
                pass

        await asyncio.gather(*map(one, EVSES))
        assert sandbox.time.elapsed == 30
        sandbox.assert_nothing_running()

    def test_many_blocking_ones_in_threads(self, sandbox: ControlledSandbox) -> None:
        ev = sandbox.blocking_client()

        def one(evse: str) -> None:
            with ev.charge(CARD, evse):
                pass

        with ThreadPoolExecutor() as pool:
            list(pool.map(one, EVSES))
        assert len(sandbox.charges) == len(EVSES)
        sandbox.assert_nothing_running()


class TestAnswersThatAreLate:
    async def test_one_that_never_comes(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.add("charging.start", Fault.hang())
        with pytest.raises(OutcomeUnknownError, match="no answer in time"):
            await ev.charging.start(CARD, EVSE)
        assert sandbox.time.elapsed == 30  # the limit on reading
        sandbox.assert_started_once()

    async def test_the_limit_on_the_whole_call(self, sandbox: ControlledSandbox) -> None:
        sandbox.faults.add("charging.start", Fault.hang())
        with pytest.raises(OutcomeUnknownError):
            await sandbox.client(timeout=7).charging.start(CARD, EVSE)
        assert sandbox.time.elapsed == 7

    async def test_both_limits_at_the_same_moment(self, sandbox: ControlledSandbox) -> None:
        sandbox.faults.add("charging.active", Fault.hang())
        with pytest.raises(RequestTimeoutError):
            await sandbox.client(timeout=Timeout(total=30, read=30)).charging.active(CARD)
        assert sandbox.time.elapsed == 30

    async def test_no_limit_at_all(self, sandbox: ControlledSandbox) -> None:
        sandbox.faults.add("charging.active", Fault.delay(100_000))
        answer = await sandbox.client(timeout=Timeout(None, None, None)).charging.active(CARD)
        assert answer.elapsed == 100_000

    async def test_one_that_is_late(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.add("charging.active", Fault.delay(29.5))
        assert (await ev.charging.active(CARD)).elapsed == 29.5

    async def test_one_that_is_too_late_and_the_try_after_it(
        self, sandbox: ControlledSandbox, ev: AsyncShellEV
    ) -> None:
        sandbox.faults.add("charging.active", Fault.delay(31))
        answer = await ev.charging.active(CARD)
        assert (answer.attempts, answer.elapsed) == (2, 30.25)

    async def test_time_continues_for_the_others(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        await ev.charging.active(CARD)
        sandbox.faults.add("charging.active", Fault.delay(25))
        late = asyncio.ensure_future(ev.charging.active(CARD))
        async with ev.charge(CARD, EVSE):
            assert sandbox.time.elapsed == 20
        assert (await late).elapsed == 25
        assert sandbox.time.elapsed == 30

    async def test_the_token_is_late(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.add("token", Fault.delay(12))
        answers = await asyncio.gather(*(ev.charging.active(CARD) for _ in range(5)))
        assert {answer.elapsed for answer in answers} == {12}
        sandbox.assert_requested("token", 1)

    async def test_a_cancelled_start_that_hangs_gives_up_in_its_time(
        self, sandbox: ControlledSandbox, ev: AsyncShellEV
    ) -> None:
        sandbox.time.auto = False
        await ev.charging.active(CARD)
        sandbox.faults.add("charging.start", Fault.hang())
        starting = asyncio.ensure_future(ev.start_charge(CARD, EVSE, stop_timeout=10))
        await sandbox.time.settled()
        starting.cancel()
        await sandbox.time.settled()
        assert not starting.done()
        sandbox.time.auto = True
        await asyncio.wait([starting])
        assert sandbox.time.elapsed == 10  # and not the 30 of the request itself
        assert starting.cancelled()


class TestTheTestSaysWhen:
    async def test_charges_start_and_stop(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        session_id = (await ev.charging.start(CARD, EVSE)).data.session_id

        async def state() -> SessionState | None:
            return (await ev.charging.retrieve(session_id)).data.state

        sandbox.advance(19.75)
        assert await state() is SessionState.START_REQUESTED
        sandbox.advance(0.25)
        assert await state() is SessionState.STARTED
        await ev.charging.stop(session_id)
        sandbox.advance(9.75)
        assert await state() is SessionState.STOP_REQUESTED
        sandbox.advance(0.25)
        assert await state() is SessionState.STOPPED

    async def test_tokens_run_out(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        await ev.charging.active(CARD)
        sandbox.advance(3_000)
        await ev.charging.active(CARD)
        sandbox.assert_requested("token", 1)
        sandbox.advance(600)
        await ev.charging.active(CARD)
        sandbox.assert_requested("token", 2)
        sandbox.assert_requested("charging.active", 3)  # none was refused

    async def test_tokens_that_the_client_does_not_see_running_out(self, sandbox: ControlledSandbox) -> None:
        ev = sandbox.client()
        await ev.charging.active(CARD)
        sandbox.revoke_tokens()
        assert (await ev.charging.active(CARD)).attempts == 2

    async def test_a_charge_under_way(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.time.auto = False
        seen: list[str] = []

        async def watch() -> None:
            async with ev.charge(CARD, EVSE) as charge:
                async for session in charge.changes():
                    seen.append(session.state.value if session.state else "")

        watching = asyncio.ensure_future(watch())
        await sandbox.time.settled()
        assert sandbox.only_charge().state == "start-requested"
        sandbox.advance(20)
        await sandbox.time.settled()
        sandbox.end_charge(sandbox.only_charge().session_id)
        await sandbox.time.settled()
        assert seen == []
        sandbox.advance(30)
        await asyncio.wait_for(watching, 1)
        assert [text.lower() for text in seen] == ["stopped"]

    async def test_what_the_test_has_done_later(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.after(3_000, lambda: sandbox.end_charge(sandbox.only_charge().session_id))
        async with ev.charge(CARD, EVSE) as charge:
            last = [session async for session in charge.changes()][-1]
        assert last.started_at is not None
        assert last.stopped_at is not None
        assert last.stopped_at - last.started_at == timedelta(seconds=2_980)

    async def test_what_goes_wrong_with_it_is_not_lost(self) -> None:
        with pytest.raises(KeyError, match="no such session"), ControlledSandbox() as sandbox:
            sandbox.after(10, sandbox.end_charge, "no such session")
            await sandbox.time.sleep(10)
