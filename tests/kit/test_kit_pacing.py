"""When a test's time goes on, and when it must not. No sockets: loops, threads and timers alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shell_ev import ConfigurationError
from shell_ev.testing import ControlledTime
from shell_ev.testing.pacing import Pacer

#: Real seconds within which whatever happens of its own accord has happened, and nothing that must not has.
SOON = 5.0
A_WHILE = 0.05


@pytest.fixture
def pacer() -> Pacer:
    return Pacer(auto=True)


def timers(pacer: Pacer) -> Any:
    return pacer.timers(asyncio.get_running_loop())


class Diary:
    """Who woke when."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self.entries: list[tuple[str, float]] = []

    async def sleep(self, who: str, *seconds: float) -> None:
        for pause in seconds:
            await timers(self._pacer).sleep(pause)
            self.entries.append((who, self._pacer.elapsed))


async def in_time(awaitable: Any) -> Any:
    return await asyncio.wait_for(awaitable, SOON)


async def stands_still(pacer: Pacer) -> None:
    before, called = pacer.elapsed, list[float]()
    limit = timers(pacer).call_at(before + 10, lambda: called.append(pacer.elapsed))
    await asyncio.sleep(A_WHILE)
    assert (pacer.elapsed, called) == (before, [])
    limit.cancel()


class TestWaitingMakesTimeJump:
    async def test_a_wait_has_its_exact_length_and_takes_no_real_time(self, pacer: Pacer) -> None:
        began = time.monotonic()
        for _ in range(10):
            await timers(pacer).sleep(0.1)
        await timers(pacer).sleep(86_400)
        assert pacer.elapsed == pytest.approx(86_401)
        assert time.monotonic() - began < 1

    async def test_waits_end_in_the_order_of_time(self, pacer: Pacer) -> None:
        diary = Diary(pacer)
        await in_time(asyncio.gather(diary.sleep("a", 10, 20), diary.sleep("b", 5, 20), diary.sleep("c", 25)))
        assert diary.entries == [("b", 5), ("a", 10), ("c", 25), ("b", 25), ("a", 30)]

    async def test_a_wait_of_nothing_is_over_at_once(self, pacer: Pacer) -> None:
        await in_time(timers(pacer).sleep(0))
        await in_time(timers(pacer).sleep(-1))
        assert pacer.elapsed == 0

    async def test_time_stands_still_while_there_is_no_wait(self, pacer: Pacer) -> None:
        await stands_still(pacer)

    async def test_a_limit_that_lies_on_the_way_is_kept(self, pacer: Pacer) -> None:
        called: list[float] = []
        timers(pacer).call_at(10, lambda: called.append(pacer.elapsed))
        timers(pacer).call_at(31, lambda: called.append(pacer.elapsed))
        timers(pacer).call_at(5, lambda: called.append(pacer.elapsed)).cancel()
        await in_time(timers(pacer).sleep(30))
        assert called == [10]

    async def test_a_limit_that_has_passed_already_is_called(self, pacer: Pacer) -> None:
        await timers(pacer).sleep(30)
        called = asyncio.Event()
        timers(pacer).call_at(20, called.set)
        await in_time(called.wait())

    async def test_a_wait_that_is_cancelled_moves_nothing(self, pacer: Pacer) -> None:
        number = pacer.request_started()
        waiting = asyncio.ensure_future(timers(pacer).sleep(1_000))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        pacer.request_finished(number, asyncio.get_running_loop())
        await in_time(timers(pacer).sleep(3))
        assert pacer.elapsed == 3
        await stands_still(pacer)

    async def test_a_wait_without_an_end_moves_nothing(self, pacer: Pacer) -> None:
        forever = asyncio.ensure_future(timers(pacer).sleep(float("inf")))
        await stands_still(pacer)
        forever.cancel()


class TestRequestsHoldTime:
    async def test_a_request_under_way_holds_time_until_it_lands(self, pacer: Pacer) -> None:
        number = pacer.request_started()
        waiting = asyncio.ensure_future(timers(pacer).sleep(10))
        await asyncio.sleep(A_WHILE)
        assert (pacer.elapsed, waiting.done()) == (0, False)
        pacer.request_finished(number, asyncio.get_running_loop())
        await in_time(waiting)
        assert pacer.elapsed == 10

    async def test_a_parked_one_does_not_and_holds_it_again_from_the_moment_of_its_answer(self, pacer: Pacer) -> None:
        number = pacer.request_started()
        diary = Diary(pacer)
        waiting = asyncio.ensure_future(diary.sleep("client", 5, 100))
        await in_time(pacer.request_held(number, 30))
        await asyncio.sleep(A_WHILE)
        assert (pacer.elapsed, diary.entries) == (30, [("client", 5)])
        pacer.request_finished(number, asyncio.get_running_loop())
        await in_time(waiting)
        assert pacer.elapsed == 105

    async def test_one_that_is_never_answered_lets_time_run_to_the_limit_of_its_client(self, pacer: Pacer) -> None:
        number = pacer.request_started()
        given_up = asyncio.Event()
        timers(pacer).call_at(60, given_up.set)
        hanging = asyncio.ensure_future(pacer.request_held(number, float("inf")))
        await in_time(given_up.wait())
        assert pacer.elapsed == 60
        pacer.request_finished(number, asyncio.get_running_loop())
        await stands_still(pacer)
        hanging.cancel()
        await asyncio.wait([hanging])

    async def test_one_that_was_given_up_before_it_is_parked_moves_nothing(self, pacer: Pacer) -> None:
        number = pacer.request_started()
        pacer.request_finished(number, asyncio.get_running_loop())
        hanging = asyncio.ensure_future(pacer.request_held(number, float("inf")))
        await stands_still(pacer)
        hanging.cancel()

    async def test_a_late_answer_to_another_client_waits_on_this_clock_too(self, pacer: Pacer) -> None:
        await in_time(pacer.request_held(None, 40))
        assert pacer.elapsed == 40


class TestByHand:
    async def test_nothing_moves_but_by_advance(self) -> None:
        time_ = ControlledTime(auto=False)
        waiting = asyncio.ensure_future(time_.sleep(10))
        await time_.settled()
        time_.advance(9.5)
        await time_.settled()
        assert not waiting.done()
        time_.advance(timedelta(seconds=0.5))
        await time_.settled()
        assert waiting.done()
        assert time_.elapsed == 10

    async def test_who_is_woken_finds_all_of_that_time_gone(self) -> None:
        time_ = ControlledTime(auto=False)
        diary = Diary(time_.pacer)
        both = asyncio.gather(diary.sleep("a", 10), diary.sleep("b", 20))
        await time_.settled()
        time_.advance(300)
        await in_time(both)
        assert diary.entries == [("a", 300), ("b", 300)]

    async def test_what_was_cancelled_is_not_called(self) -> None:
        time_ = ControlledTime(auto=False)
        called: list[float] = []
        timers(time_.pacer).call_at(5, lambda: called.append(5)).cancel()
        timers(time_.pacer).call_at(6, lambda: called.append(6))
        time_.advance(10)
        await time_.settled()
        assert called == [6]

    async def test_a_wait_that_is_cancelled_as_it_ends(self) -> None:
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        time_ = ControlledTime(auto=False)
        waiting = asyncio.ensure_future(time_.sleep(10))
        await time_.settled()
        time_.advance(10)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await time_.settled()
        assert problems == []

    async def test_switched_on_again_it_makes_up_for_the_waits_under_way(self) -> None:
        time_ = ControlledTime(auto=False)
        waiting = asyncio.ensure_future(time_.sleep(10))
        await time_.settled()
        time_.auto = True
        await in_time(waiting)
        assert time_.auto
        assert time_.elapsed == 10

    async def test_settled_waits_for_a_request_under_way(self) -> None:
        time_ = ControlledTime(auto=False)
        number = time_.pacer.request_started()
        settling = asyncio.ensure_future(time_.settled())
        await asyncio.sleep(A_WHILE)
        assert not settling.done()
        time_.pacer.request_finished(number, asyncio.get_running_loop())
        await in_time(settling)

    @pytest.mark.parametrize("wrong", [-1, float("inf"), float("nan"), timedelta(seconds=-1)])
    def test_time_does_not_go_back(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match="not negative"):
            ControlledTime().advance(wrong)

    def test_it_begins_at_the_true_time_on_a_whole_second(self) -> None:
        time_ = ControlledTime()
        assert 0 <= time.time() - time_.now() < 2
        assert time_.now() % 1 == 0
        time_.advance(0.25)
        assert time_.utcnow().microsecond == 250_000
        assert time_.utcnow().timestamp() == time_.now()


def in_a_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class TestSeveralLoops:
    def test_each_wait_ends_in_its_own_time(self, pacer: Pacer) -> None:
        diary = Diary(pacer)
        number = pacer.request_started()  # held until both are there
        both = threading.Barrier(3)

        async def waits(who: str, *seconds: float) -> None:
            sleeping = asyncio.ensure_future(diary.sleep(who, *seconds))
            await asyncio.sleep(0)
            both.wait()
            await sleeping

        threads = [
            in_a_thread(lambda: asyncio.run(waits("a", 10, 10, 10))),
            in_a_thread(lambda: asyncio.run(waits("b", 15, 10))),
        ]
        both.wait()

        async def land() -> None:
            pacer.request_finished(number, asyncio.get_running_loop())
            await asyncio.sleep(A_WHILE)

        asyncio.run(land())
        for thread in threads:
            thread.join(SOON)
        assert diary.entries == [("a", 10), ("b", 15), ("a", 20), ("b", 25), ("a", 30)]

    def test_waits_of_a_closed_loop_do_not_stop_others(self, pacer: Pacer) -> None:
        async def leaves_things() -> None:
            timers(pacer).call_at(1, lambda: None)
            asyncio.ensure_future(timers(pacer).sleep(3)).cancel()
            timers(pacer).call_at(2, lambda: None)

        asyncio.run(leaves_things())
        asyncio.run(in_time_with(pacer, 10))
        assert pacer.elapsed == 10

    def test_a_loop_that_is_not_running_is_not_waited_for(self, pacer: Pacer) -> None:
        stopped = asyncio.new_event_loop()
        waiting = stopped.create_task(pacer.timers(stopped).sleep(5))
        stopped.run_until_complete(asyncio.sleep(0))
        began = time.monotonic()
        asyncio.run(in_time_with(pacer, 10))
        assert pacer.elapsed == 10
        assert time.monotonic() - began < 0.2
        stopped.run_until_complete(asyncio.wait_for(waiting, SOON))
        stopped.close()

    def test_a_loop_that_is_held_up_is_not_waited_for_forever(self, pacer: Pacer) -> None:
        async def waits_in_a_thread() -> None:
            waiting = asyncio.ensure_future(timers(pacer).sleep(1_000))
            await asyncio.sleep(0)
            other = in_a_thread(lambda: asyncio.run(in_time_with(pacer, 10)))
            other.join(SOON)  # as a blocking call inside a coroutine does
            assert pacer.elapsed == 10
            waiting.cancel()

        asyncio.run(waits_in_a_thread())

    def test_from_any_thread(self) -> None:
        time_ = ControlledTime(auto=False)
        asleep, woken = threading.Event(), threading.Event()

        async def waits() -> None:
            waiting = asyncio.ensure_future(time_.sleep(30))
            await time_.settled()
            asleep.set()
            await waiting
            woken.set()

        thread = in_a_thread(lambda: asyncio.run(waits()))
        assert asleep.wait(SOON)
        time_.advance(30)
        assert woken.wait(SOON)
        thread.join(SOON)


async def in_time_with(pacer: Pacer, seconds: float) -> None:
    await in_time(timers(pacer).sleep(seconds))


class TestTheEnd:
    async def test_a_waiter_is_woken_with_the_error(self) -> None:
        with ControlledTime(auto=False) as time_:
            waiting = asyncio.ensure_future(time_.sleep(10))
            forever = asyncio.ensure_future(time_.pacer.request_held(None, float("inf")))
            await time_.settled()
        for task in (waiting, forever):
            with pytest.raises(ConfigurationError, match="the test that this client was made in is over"):
                await in_time(task)
        with pytest.raises(ConfigurationError, match="is over"):
            await time_.sleep(1)
