"""Time: the limit on a whole call, the one timer behind all limits, and waits that are exact."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from typing import Any

import pytest
from fakes import (
    CALLS,
    GETS,
    LOST,
    NO_CONNECTION,
    NOW,
    POSTS,
    REFUSED,
    FakeSender,
    call,
    client_over,
    good,
    never,
    reply,
)
from virtual_time import VirtualTimeLoop, virtual_time

from shell_ev import (
    ApiError,
    ConnectError,
    OutcomeUnknownError,
    RequestTimeoutError,
    Timeout,
    TooManyRequestsError,
)
from shell_ev.core.call import CallOptions, Progress, Request
from shell_ev.core.deadlines import Deadline, DeadlineSweeper
from shell_ev.wire.operations import START
from shell_ev.wire.results import STARTED


def listen(deadline: Deadline, seconds: float) -> None:
    """From now on the block may be silent for so long."""
    deadline.idle_timeout = seconds
    deadline.restart_idle()


def now() -> float:
    return asyncio.get_running_loop().time()


class TestTheLimitOfAWholeCall:
    @virtual_time
    async def test_it_covers_every_try_and_every_wait(self) -> None:
        async def slow(_: Request) -> Any:
            await asyncio.sleep(4)
            return reply(500)

        sender = FakeSender(always=slow)
        began = now()
        async with client_over(sender) as ev:
            with pytest.raises(RequestTimeoutError) as caught:
                await call(ev, "active", timeout=10, max_retries=50)
        # 4, wait 0.5, 4, wait 1, then half a second of the third.
        assert now() - began == pytest.approx(10)
        assert caught.value.attempts == 3
        assert caught.value.request_sent

    @pytest.mark.parametrize("operation", CALLS)
    @virtual_time
    async def test_it_ends_a_call_without_an_answer(self, operation: str) -> None:
        sender = FakeSender(always=never)
        began = now()
        async with client_over(sender, timeout=60) as ev:
            with pytest.raises((OutcomeUnknownError, RequestTimeoutError)) as caught:
                await call(ev, operation)
        assert now() - began == pytest.approx(60)
        assert type(caught.value) is (OutcomeUnknownError if operation in POSTS else RequestTimeoutError)
        if isinstance(caught.value, OutcomeUnknownError):
            assert caught.value.sent_at == NOW
            assert list(caught.value.arguments.values()) == list(CALLS[operation])

    @pytest.mark.parametrize("operation", POSTS)
    @virtual_time
    async def test_running_out_while_waiting_for_the_next_try_is_known_when_nothing_was_under_way(
        self, operation: str
    ) -> None:
        for failure in (REFUSED, reply(429), NO_CONNECTION):
            async with client_over(FakeSender(always=failure)) as ev:
                with pytest.raises((ConnectError, ApiError, RequestTimeoutError)) as caught:
                    await call(ev, operation, timeout=2, max_retries=50)
            assert not caught.value.outcome_unknown

    @virtual_time
    async def test_without_a_limit_a_call_may_take_its_time(self) -> None:
        async def slow(_: Request) -> Any:
            await asyncio.sleep(100_000)
            return good("active")

        sender = FakeSender(always=slow)
        async with client_over(sender, timeout=Timeout(total=None)) as ev:
            response = await call(ev, "active")
        assert response.elapsed == pytest.approx(100_000)
        assert sender.connect_within == [None]

    @virtual_time
    async def test_getting_a_connection_may_take_what_is_left_and_no_more(self) -> None:
        sender = FakeSender(REFUSED, REFUSED, good("active"))
        async with client_over(sender) as ev:
            await call(ev, "active", timeout=5)
        assert [within for within in sender.connect_within if within is not None] == pytest.approx([4.98, 4.48, 3.48])

    @virtual_time
    async def test_a_cancelled_call_is_cancelled_and_not_timed_out(self) -> None:
        async with client_over(FakeSender(always=never)) as ev:
            task = asyncio.ensure_future(call(ev, "start", timeout=5))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    @virtual_time
    async def test_it_works_inside_the_callers_own_timeout_whichever_is_first(self) -> None:
        async with client_over(FakeSender(always=never)) as ev:
            began = now()
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(1):
                    await call(ev, "start", timeout=5)
            assert type(caught.value) is TimeoutError
            assert now() - began == pytest.approx(1)
            with pytest.raises(OutcomeUnknownError):
                async with asyncio.timeout(5):
                    await call(ev, "start", timeout=1)
            assert now() - began == pytest.approx(2)


class TestProgress:
    """What whoever cancels a call may know of it at that moment."""

    @pytest.mark.parametrize(
        ("outcome", "sent"),
        [(never, True), (REFUSED, False), (reply(429), False)],
        ids=["under way", "refused", "429"],
    )
    @virtual_time
    async def test_whether_the_request_is_on_its_way_is_known_at_every_moment(self, outcome: Any, sent: bool) -> None:
        sender = FakeSender(always=outcome)
        async with client_over(sender) as ev:
            progress = Progress()
            arguments = {"ev_charge_number": CALLS["start"][0], "evse_id": CALLS["start"][1]}
            task = asyncio.ensure_future(ev._manager.call(START, arguments, STARTED, CallOptions(progress=progress)))
            assert not progress.sent
            await asyncio.sleep(0.2)  # under way, or in the pause before the second try
            assert len(sender.requests) == 1
            assert progress.sent is sent
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


class TestWaits:
    @virtual_time
    async def test_pauses_double_and_count_from_the_failure(self) -> None:
        sender = FakeSender(LOST, reply(503), reply(500), good("active"))
        async with client_over(sender) as ev:
            response = await call(ev, "active", max_retries=3)
        assert sender.waits == pytest.approx([0.5, 1.0, 2.0])
        assert response.attempts == 4
        assert response.elapsed == pytest.approx(3.5)

    @pytest.mark.parametrize("operation", CALLS)
    @pytest.mark.parametrize(
        ("status", "header", "wait"),
        [
            (429, "17", 17.0),
            (429, "2.5", 2.5),
            (429, "Wed, 19 Jun 2024 07:37:17 GMT", 20.0),
            (429, "nonsense", 0.5),
            (429, "-5", 0.5),
            (429, "nan", 0.5),
            (429, "0", 0.5),
        ],
    )
    @virtual_time
    async def test_a_retry_after_is_waited_for_exactly(
        self, operation: str, status: int, header: str, wait: float
    ) -> None:
        sender = FakeSender(reply(status, Retry_After=header), good(operation))
        async with client_over(sender) as ev:
            response = await call(ev, operation)
        assert sender.waits == pytest.approx([wait])
        assert response.attempts == 2

    @pytest.mark.parametrize(("header", "wait"), [("17", 17.0), ("Wed, 19 Jun 2024 07:37:17 GMT", 20.0)])
    @pytest.mark.parametrize("operation", GETS)
    @virtual_time
    async def test_the_retry_after_of_a_503_is_waited_for_by_a_get(
        self, operation: str, header: str, wait: float
    ) -> None:
        sender = FakeSender(reply(503, Retry_After=header), good(operation))
        async with client_over(sender) as ev:
            await call(ev, operation)
        assert sender.waits == pytest.approx([wait])

    @virtual_time
    async def test_a_date_is_taken_against_the_answers_own_clock(self) -> None:
        ours_is_wrong = reply(429, Retry_After="Mon, 01 Jan 2035 00:00:09 GMT", Date="Mon, 01 Jan 2035 00:00:00 GMT")
        sender = FakeSender(ours_is_wrong, good("start"))
        async with client_over(sender) as ev:
            await call(ev, "start")
        assert sender.waits == pytest.approx([9.0])

    @pytest.mark.parametrize("operation", CALLS)
    @pytest.mark.parametrize("status", [429, 503])
    @virtual_time
    async def test_more_than_is_left_is_raised_at_once(self, operation: str, status: int) -> None:
        sender = FakeSender(always=reply(status, Retry_After="61"))
        began = now()
        async with client_over(sender, timeout=60) as ev:
            with pytest.raises(ApiError) as caught:
                await call(ev, operation)
        assert now() == began
        assert caught.value.retry_after == 61
        assert caught.value.attempts == 1
        assert caught.value.outcome_unknown is (operation in POSTS and status == 503)

    @virtual_time
    async def test_the_budget_counts_what_earlier_tries_took(self) -> None:
        sender = FakeSender(reply(429, Retry_After="40"), reply(429, Retry_After="40"))
        began = now()
        async with client_over(sender, timeout=60) as ev:
            with pytest.raises(TooManyRequestsError) as caught:
                await call(ev, "active")
        assert caught.value.attempts == 2
        assert now() - began == pytest.approx(40)

    @pytest.mark.parametrize("retries", [0, 1, 2, 7])
    @virtual_time
    async def test_there_are_as_many_retries_as_allowed(self, retries: int) -> None:
        sender = FakeSender(always=reply(503))
        async with client_over(sender, max_retries=retries) as ev:
            with pytest.raises(ApiError) as caught:
                await call(ev, "active")
        assert caught.value.attempts == len(sender.requests) == retries + 1

    @virtual_time
    async def test_by_default_there_are_two_and_a_call_may_have_its_own(self) -> None:
        sender = FakeSender(always=reply(503))
        async with client_over(sender) as ev:
            for options, tries in (({}, 3), ({"max_retries": 0}, 1), ({"max_retries": 4}, 5)):
                with pytest.raises(ApiError) as caught:
                    await call(ev, "active", **options)
                assert caught.value.attempts == tries

    @pytest.mark.parametrize("operation", CALLS)
    @virtual_time
    async def test_every_try_carries_the_same_request(self, operation: str) -> None:
        sender = FakeSender(REFUSED, reply(429), good(operation))
        async with client_over(sender) as ev:
            await call(ev, operation)
        first, second, third = sender.requests
        assert first == second == third


class TestLimitsOfOneCall:
    @virtual_time
    async def test_seconds_change_the_whole_and_leave_the_clients_other_limits(self) -> None:
        sender = FakeSender(always=good("active"))
        async with client_over(sender, timeout=Timeout(total=60, connect=1, read=2)) as ev:
            await call(ev, "active")
            await call(ev, "active", timeout=5)
            await call(ev, "active", timeout=Timeout(total=7, connect=3, read=None))
        assert [request.timeout for request in sender.requests] == [
            Timeout(total=60, connect=1, read=2),
            Timeout(total=5, connect=1, read=2),
            Timeout(total=7, connect=3, read=None),
        ]


class TestTheOneTimer:
    @virtual_time
    async def test_each_block_ends_at_its_own_time_in_any_order(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        ended: dict[float, float] = {}
        began = now()

        async def block(limit: float) -> None:
            try:
                with Deadline(sweeper, began + limit):
                    await asyncio.sleep(1000)
            except TimeoutError:
                ended[limit] = now() - began

        limits = [5.0, 1.0, 9.0, 3.0, 3.0001, 0.0, 7.0]
        await asyncio.gather(*(block(limit) for limit in limits))
        assert ended == pytest.approx({limit: limit for limit in limits})

    @virtual_time
    async def test_a_block_that_ends_in_time_is_left_alone(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        with Deadline(sweeper, now() + 1):
            await asyncio.sleep(0.5)
        await asyncio.sleep(5)

        with Deadline(sweeper, math.inf):
            await asyncio.sleep(5)
        sweeper.close()

    @virtual_time
    async def test_an_error_of_the_block_is_passed_on(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        with pytest.raises(KeyError), Deadline(sweeper, now() + 1):
            raise KeyError("mine")
        assert asyncio.current_task() is not None
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    @virtual_time
    async def test_a_cancellation_from_outside_at_the_same_moment_is_not_swallowed(self) -> None:
        loop = asyncio.get_running_loop()
        sweeper = DeadlineSweeper(loop)
        outcome: list[str] = []

        async def block() -> None:
            try:
                with Deadline(sweeper, loop.time() + 1):
                    await asyncio.sleep(10)
            except TimeoutError:
                outcome.append("timeout")
            except asyncio.CancelledError:
                outcome.append("cancelled")
                raise

        task = asyncio.ensure_future(block())
        await asyncio.sleep(0)
        loop.call_at(loop.time() + 1, task.cancel)
        await asyncio.wait([task])
        assert outcome == ["cancelled"]
        assert task.cancelled()

    @virtual_time
    async def test_nested_limits_end_by_the_one_that_passed(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        for outer, inner, by in ((1, 5, "outer"), (5, 1, "inner")):
            ended_by = ""
            try:
                with Deadline(sweeper, now() + outer):
                    try:
                        with Deadline(sweeper, now() + inner):
                            await asyncio.sleep(10)
                    except TimeoutError:
                        ended_by = "inner"
            except TimeoutError:
                ended_by = "outer"
            assert ended_by == by
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


class TestSilence:
    """A shorter limit within a block, set again at every sign of life."""

    @virtual_time
    async def test_an_idle_timeout_can_be_caught_and_the_block_continues(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        began = now()
        with Deadline(sweeper, began + 10) as deadline:
            listen(deadline, 2)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(100)
            assert deadline.take_idle_expiry()
            assert now() - began == pytest.approx(2)
            assert not deadline.take_idle_expiry()
            await asyncio.sleep(7)  # no silence is limited any more, only the whole
        assert not deadline.expired
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    @virtual_time
    async def test_every_sign_of_life_begins_a_new_silence_and_none_lengthens_the_whole(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        began = now()
        with pytest.raises(TimeoutError), Deadline(sweeper, began + 5) as deadline:
            for _ in range(100):
                listen(deadline, 2)
                await asyncio.sleep(1.5)
        assert deadline.expired
        assert not deadline.take_idle_expiry()
        assert now() - began == pytest.approx(5)

    @virtual_time
    async def test_none_lifts_the_limit(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        with Deadline(sweeper, math.inf) as deadline:
            listen(deadline, 2)
            await asyncio.sleep(1)
            deadline.stop_idle()
            await asyncio.sleep(1000)
        assert not deadline.expired

    @virtual_time
    async def test_a_cancellation_from_outside_at_the_same_moment_is_not_taken_for_silence(self) -> None:
        loop = asyncio.get_running_loop()
        sweeper = DeadlineSweeper(loop)

        async def block() -> None:
            with Deadline(sweeper, loop.time() + 10) as deadline:
                listen(deadline, 1)
                try:
                    await asyncio.sleep(100)
                except asyncio.CancelledError:
                    assert not deadline.take_idle_expiry()
                    raise

        task = asyncio.ensure_future(block())
        await asyncio.sleep(0)
        loop.call_at(loop.time() + 1, task.cancel)
        await asyncio.wait([task])
        assert task.cancelled()

    @virtual_time
    async def test_an_idle_timeout_that_is_not_caught_ends_the_block(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        with pytest.raises(TimeoutError), Deadline(sweeper, now() + 10) as deadline:
            listen(deadline, 1)
            await asyncio.sleep(100)
        assert deadline.expired
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    @virtual_time
    async def test_a_block_that_ends_as_the_silence_passes_leaves_its_task_uncancelled(self) -> None:
        loop = asyncio.get_running_loop()
        sweeper = DeadlineSweeper(loop)
        with Deadline(sweeper, loop.time() + 10) as deadline:
            deadline.expire(loop.time())  # the cancellation is on its way, the block has nothing left to wait for
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        # As with asyncio.timeout: before 3.13 what was on its way arrives all the same.
        with contextlib.nullcontext() if sys.version_info >= (3, 13) else pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)

    @virtual_time
    async def test_what_came_in_time_is_taken_though_the_loop_stood_still(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        sweeper = DeadlineSweeper(loop)
        for limit in ("silence", "whole"):
            answer: asyncio.Future[str] = loop.create_future()
            with Deadline(sweeper, loop.time() + (100 if limit == "silence" else 1)) as deadline:
                listen(deadline, 1 if limit == "silence" else 100)
                loop.call_soon(loop.skip, 5)  # somebody computes for five seconds; meanwhile the answer comes
                loop.call_soon(answer.set_result, "in time")
                assert await answer == "in time", limit
                deadline.stop_idle()
                await asyncio.sleep(0)
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    @virtual_time
    async def test_a_steady_drip_does_not_put_off_the_end_of_the_whole(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        began = now()
        with pytest.raises(TimeoutError), Deadline(sweeper, began + 5) as deadline:
            while now() < began + 60:
                listen(deadline, 2)
                await asyncio.sleep(0 if now() >= began + 5 else 1)
                if now() >= began + 5:
                    await asyncio.sleep(1)
        assert now() - began < 7

    @virtual_time
    async def test_closing_leaves_the_calls_under_way_their_deadlines(self) -> None:
        sweeper = DeadlineSweeper(asyncio.get_running_loop())
        began = now()
        with pytest.raises(TimeoutError), Deadline(sweeper, began + 5):
            sweeper.close()
            await asyncio.sleep(100)
        assert now() - began == pytest.approx(5)

    @virtual_time
    async def test_a_doubt_about_a_silence_leaves_the_whole_its_own(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        sweeper = DeadlineSweeper(loop)
        with Deadline(sweeper, loop.time() + 20) as deadline:
            listen(deadline, 1)
            for busy in (5, 30):  # first longer than the silence, then longer than the whole
                answer: asyncio.Future[str] = loop.create_future()
                loop.call_soon(loop.skip, busy)
                loop.call_soon(answer.set_result, "in time")
                assert await answer == "in time", busy
                await asyncio.sleep(0)  # a turn in which the sweeper looks
                if busy == 5:
                    deadline.stop_idle()
