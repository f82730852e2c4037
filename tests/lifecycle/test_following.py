"""Following many charges at once, fairly, under one budget."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from fakes import CARD, EVSE, FakeSender, client_over, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import OTHER_EVSE, Problems, Stage, settled, shows, tasks_left
from virtual_time import virtual_time

from shell_ev import (
    AsyncShellEV,
    ConfigurationError,
    Polling,
    SessionState,
    ShellEVError,
    UnauthorizedError,
    ValidationError,
)
from shell_ev.core.call import Reply, Request
from shell_ev.sandbox import Fault, Sandbox

EVSES = [EVSE, OTHER_EVSE, "NL*TNM*E02003452*1", "NL*TNM*E02003452*2", "NL*TNM*E02003453*1"]


def session_ids(count: int) -> list[str]:
    return [str(UUID(int=number + 1, version=4)) for number in range(count)]


def asked_for(request: Request) -> str:
    return parse_qs(urlsplit(request.url).query)["sessionId"][0]


class Fleet:
    """Sessions whose states are told by a function of id and time; remembers each look."""

    def __init__(self, answer: Callable[[str, float], Any], latency: float = 0.05) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._answer = answer
        self._latency = latency
        self.looks: list[tuple[float, str]] = []
        self.open = 0
        self.client = client_over(FakeSender(always=self._reply), max_retries=2)

    async def _reply(self, request: Request) -> Reply:
        session_id = asked_for(request)
        at = self._loop.time() - self._began
        self.looks.append((at, session_id))
        self.open += 1
        try:
            answer = self._answer(session_id, at)
            await asyncio.sleep(self._latency)
        finally:
            self.open -= 1
        if isinstance(answer, (Reply, BaseException)):
            if isinstance(answer, BaseException):
                raise answer
            return answer
        return shows(answer, session_id)

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.looks]

    def waits(self) -> dict[str, list[float]]:
        """Seconds between looks, for each session."""
        seen: dict[str, list[float]] = {}
        for at, session_id in self.looks:
            seen.setdefault(session_id, []).append(at)
        return {session_id: [b - a for a, b in pairwise(moments)] for session_id, moments in seen.items()}

    async def follow_for(self, seconds: float, charges: Any, **options: Any) -> list[tuple[str, str]]:
        """Follow for a while; what was shown."""
        shown: list[tuple[str, str]] = []
        try:
            async with asyncio.timeout(seconds):
                async for session_id, session in self.client.follow(charges, **options):
                    shown.append((session_id, session.state.value if session.state else ""))
        except TimeoutError:
            pass
        return shown


def most_in_a_window(times: list[float], width: float) -> int:
    """The most requests that fall into any window of that width."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] < at - width + 1e-9:
            first += 1
        most = max(most, last - first + 1)
    return most


async def collect(changes: AsyncIterator[tuple[str, Any]]) -> dict[str, list[str]]:
    seen: dict[str, list[str]] = {}
    async for session_id, session in changes:
        seen.setdefault(session_id, []).append(session.state.value)
    return seen


class TestFollowing:
    @virtual_time
    async def test_shows_the_life_of_each_until_all_are_over(self) -> None:
        stage = Stage()
        charges = [await stage.client.start_charge(CARD, evse) for evse in EVSES]
        for number, charge in enumerate(stage.service.charges):
            stage.at(100 + 50 * number, lambda charge=charge: stage.service.book.end(charge))
        seen = await collect(stage.client.follow(charges))
        assert seen == {charge.session_id: ["start-requested", "started", "stopped"] for charge in charges}
        assert all(charge.is_over for charge in charges)  # the charges know what was seen
        assert stage.age == pytest.approx(300, abs=40)
        await settled()
        assert not tasks_left()

    @virtual_time
    async def test_takes_charges_texts_and_uuids_and_follows_each_once(self) -> None:
        fleet = Fleet(lambda _, at: "started" if at < 100 else "stopped")
        one, two, three = session_ids(3)
        charge = fleet.client.attach(one)
        seen = await collect(fleet.client.follow([one, charge, one, two, two, UUID(two), three, charge, three, one]))
        assert seen == {session_id: ["started", "stopped"] for session_id in (one, two, three)}
        assert charge.is_over
        assert len(fleet.looks) <= 3 * 6

    @virtual_time
    async def test_shows_only_news_of_a_charge_that_was_looked_at(self) -> None:
        fleet = Fleet(lambda _, at: "started" if at < 100 else "stopped")
        charge = fleet.client.attach(session_ids(1)[0])
        await charge.refresh()
        assert await collect(fleet.client.follow([charge])) == {charge.session_id: ["stopped"]}

    @virtual_time
    async def test_of_nothing_ends_at_once(self) -> None:
        fleet = Fleet(lambda *_: "started")
        assert await collect(fleet.client.follow([])) == {}
        assert fleet.looks == []

    @virtual_time
    async def test_of_what_is_over_already_ends(self) -> None:
        fleet = Fleet(lambda *_: "stopped")
        charges = [fleet.client.attach(session_id) for session_id in session_ids(3)]
        for charge in charges:
            await charge.refresh()
        assert await collect(fleet.client.follow(charges)) == {}

    @virtual_time
    async def test_shows_odd_sequences_as_they_are(self) -> None:
        life = ["started", "start-requested", "paused", "failed-to-stop", "stop-requested", "stopped"]
        fleet = Fleet(lambda _, at: life[min(int(at // 60), 5)])
        ids = session_ids(4)
        assert await collect(fleet.client.follow(ids)) == dict.fromkeys(ids, life)

    @virtual_time
    async def test_a_session_that_is_gone_for_good_does_not_hold_up_the_end(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gone, other = session_ids(2)
        fleet = Fleet(lambda session_id, at: reply(404) if session_id == gone else "started" if at < 50 else "stopped")
        problems = Problems()
        assert await collect(fleet.client.follow([gone, other], on_problem=problems)) == {other: ["started", "stopped"]}
        assert 300 <= fleet.times[-1] <= 340
        assert {session_id for session_id, _ in problems} == {gone}
        assert "is not known to the service any more" in caplog.text

    @virtual_time
    async def test_a_session_gone_now_and_then_is_followed_on(self) -> None:
        def answer(_: str, at: float) -> Any:
            if at > 1_200:
                return "stopped"
            return "started" if at % 300 < 60 else reply(404)

        fleet, [session_id] = Fleet(answer), session_ids(1)
        changes = fleet.client.follow([session_id], on_problem=Problems())
        assert await collect(changes) == {session_id: ["started", "stopped"]}

    async def test_works_over_sockets(self) -> None:
        async with (
            Sandbox(stations=0, speed=600) as sandbox,
            AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev,
        ):
            charges = [await ev.start_charge(CARD, evse) for evse in EVSES]
            polling = Polling(eager=0.02, steady=0.02, patient=0.02, started=0.02)
            seen: Counter[str] = Counter()
            async for session_id, session in ev.follow(charges, budget=500, polling=polling):
                seen[session.state.value if session.state else ""] += 1
                if session.state is SessionState.STARTED:
                    await ev.charging.stop(session_id)
            assert seen["started"] == seen["stopped"] == 5


class TestTheBudget:
    @settings(max_examples=15, deadline=None)
    @given(
        count=st.integers(1, 120),
        budget=st.floats(0.2, 60),
        latency=st.sampled_from([0.0, 0.05, 2.0, 20.0]),
        width=st.floats(0.5, 60),
    )
    def test_is_exceeded_in_no_window(self, count: int, budget: float, latency: float, width: float) -> None:
        @virtual_time
        async def run() -> None:
            # Slow answers fill the room for looks under way, so that the dispatcher is held up.
            fleet = Fleet(lambda *_: "start-requested", latency)
            await fleet.follow_for(120, session_ids(count), budget=budget)
            # A window holds what its width allows, the one at its edge, and a tenth of a second's worth of catching up.
            assert most_in_a_window(fleet.times, width) <= budget * (width + 0.1) + 1 + 1e-6

        run()

    @virtual_time
    async def test_is_made_use_of_when_it_is_short(self) -> None:
        fleet = Fleet(lambda *_: "start-requested")
        await fleet.follow_for(100, session_ids(200), budget=5)
        assert len(fleet.looks) == pytest.approx(500, abs=3)

    @virtual_time
    async def test_is_not_used_up_without_need(self) -> None:
        fleet = Fleet(lambda *_: "started")
        await fleet.follow_for(3_000, session_ids(5), budget=50)
        assert len(fleet.looks) == pytest.approx(5 * 100, rel=0.12)

    @virtual_time
    async def test_covers_failed_looks_too(self) -> None:
        fleet = Fleet(lambda *_: reply(503))
        await fleet.follow_for(60, session_ids(50), budget=4)
        assert len(fleet.looks) <= 4 * 60 + 2

    @virtual_time
    async def test_short_is_shared_fairly(self) -> None:
        fleet = Fleet(lambda *_: "start-requested")
        ids = session_ids(90)
        await fleet.follow_for(600, ids, budget=3)
        looks = Counter(session_id for _, session_id in fleet.looks)
        assert set(looks) == set(ids)
        assert max(looks.values()) - min(looks.values()) <= 1
        rounds = 90 / 3
        for waits in fleet.waits().values():
            assert all(wait <= 2 * rounds for wait in waits)
        assert [session_id for _, session_id in fleet.looks[:90]] == ids

    @virtual_time
    async def test_short_starves_neither_the_pending_nor_the_started(self) -> None:
        pending = set(session_ids(30))
        ids = session_ids(60)
        fleet = Fleet(lambda session_id, _: "start-requested" if session_id in pending else "started")
        await fleet.follow_for(900, ids, budget=2)
        longest = {session_id: max(waits) for session_id, waits in fleet.waits().items()}
        assert len(longest) == 60
        assert max(longest.values()) <= 33 + 60 / 2

    @virtual_time
    async def test_is_not_held_up_by_a_few_that_hang(self) -> None:
        ids = session_ids(40)
        stuck = set(ids[:5])
        loop = asyncio.get_running_loop()

        async def answer(request: Request) -> Reply:
            session_id = asked_for(request)
            looks[session_id] += 1
            if session_id in stuck:
                await loop.create_future()
            return shows("started", session_id)

        looks: Counter[str] = Counter()
        client = client_over(FakeSender(always=answer))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                async for _ in client.follow(ids):
                    pass
        assert all(looks[session_id] >= 17 for session_id in ids if session_id not in stuck)

    @virtual_time
    async def test_retry_after_pauses_all(self) -> None:
        limited = False

        def answer(_: str, at: float) -> Any:
            nonlocal limited
            if at > 30 and not limited:
                limited = True
                return reply(429, Retry_After="50")
            return "start-requested"

        fleet = Fleet(answer)
        await fleet.follow_for(200, session_ids(30), budget=10)
        refused = next(at for at in fleet.times if at > 30)
        quiet = [at for at in fleet.times if refused + 0.2 < at < refused + 50]
        assert quiet == []  # but for looks that were under way
        assert any(refused + 50 <= at <= refused + 53 for at in fleet.times)

    @virtual_time
    async def test_looks_do_not_all_fall_together_again_afterwards(self) -> None:
        fleet = Fleet(lambda _, at: reply(503, Retry_After="100") if 20 < at < 21 else "start-requested")
        await fleet.follow_for(300, session_ids(40), budget=4)
        assert most_in_a_window(fleet.times, 1.0) <= 6


#: A program that ends inside a follow() on a loop of its own, which nothing shuts down.
_ABANDONED = """
import asyncio
from fakes import FakeSender, client_over
from stages import shows

async def main():
    client = client_over(FakeSender(always=lambda request: shows("started")))
    changes = client.follow(["c3e332f0-1bb2-4f50-a96b-e075bbb71e68"], budget=100.0)
    print((await anext(changes))[1].state.value)
    await asyncio.sleep(0.05)
    return changes

loop = asyncio.new_event_loop()
changes = loop.run_until_complete(main())
loop.close()
"""


class TestErrors:
    @virtual_time
    async def test_an_absurd_retry_after_is_cut_to_a_quarter_of_an_hour_and_reported(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        (session_id,) = session_ids(1)
        fleet = Fleet(lambda _, at: reply(503, Retry_After="999999999") if at < 1 else "stopped")
        problems = Problems()
        assert await collect(fleet.client.follow([session_id], on_problem=problems)) == {session_id: ["stopped"]}
        assert [round(at) for at in fleet.times] == [0, 900]
        [(_, error)] = problems
        assert "cut to 900 s" in error.__notes__[0]
        assert "Retry-After of 1e+09 s" in caplog.text

    @virtual_time
    async def test_of_single_polls_are_tolerated_and_reported(self) -> None:
        bad, good = session_ids(2)

        def answer(session_id: str, at: float) -> Any:
            if session_id == bad and at < 100:
                return reply(500)
            return "started" if at < 200 else "stopped"

        fleet, problems = Fleet(answer), Problems()
        seen = await collect(fleet.client.follow([bad, good], on_problem=problems))
        assert seen == {bad: ["started", "stopped"], good: ["started", "stopped"]}
        assert {session_id for session_id, _ in problems} == {bad}

    @virtual_time
    async def test_passed_to_a_callback_that_fails_do_not_end_it(self) -> None:
        def broken(session_id: str | None, error: ShellEVError) -> None:
            raise ZeroDivisionError

        fleet = Fleet(lambda _, at: reply(500) if at < 50 else "stopped")
        ids = session_ids(3)
        seen = await collect(fleet.client.follow(ids, on_problem=broken))
        assert seen == {session_id: ["stopped"] for session_id in ids}

    @virtual_time
    async def test_that_waiting_does_not_mend_are_raised_and_nothing_is_left(self) -> None:
        fleet = Fleet(lambda _, at: "started" if at < 50 else reply(401))
        with pytest.raises(UnauthorizedError):
            await collect(fleet.client.follow(session_ids(50), budget=50))
        await settled()
        assert not tasks_left()
        assert fleet.open == 0

    @virtual_time
    async def test_in_the_pacing_are_raised_and_do_not_leave_it_waiting_for_ever(self) -> None:
        class Broken(Polling):
            def interval(self, *_: Any) -> float:
                raise ZeroDivisionError

        fleet = Fleet(lambda *_: "started")
        with pytest.raises(ZeroDivisionError):
            await collect(fleet.client.follow(session_ids(3), polling=Broken()))

    @virtual_time
    async def test_of_a_closed_client_are_raised(self) -> None:
        fleet = Fleet(lambda *_: "started")
        asyncio.get_running_loop().call_later(100, lambda: asyncio.ensure_future(fleet.client.aclose()))
        with pytest.raises(ConfigurationError):
            await collect(fleet.client.follow(session_ids(3)))

    @pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf"), None, "10", True, 10**400])
    async def test_a_budget_that_is_none_is_refused_at_once(self, budget: Any) -> None:
        async with AsyncShellEV("id", "secret") as ev:
            with pytest.raises(ValidationError, match="budget"):
                ev.follow(session_ids(1), budget=budget)

    async def test_all_faults_are_in_one_error(self) -> None:
        async with AsyncShellEV("id", "secret") as ev:
            with pytest.raises(ValidationError) as caught:
                ev.follow(["..", *session_ids(1), 7, None], budget=0)  # type: ignore[list-item]
            assert len(caught.value.faults) == 4


class TestLeavingEarly:
    @virtual_time
    async def test_cancels_what_is_under_way_and_leaks_no_task(self) -> None:
        fleet = Fleet(lambda *_: "started", latency=5.0)
        async for _ in fleet.client.follow(session_ids(40), budget=100):
            break
        gc.collect()
        await settled()
        assert not tasks_left()
        assert fleet.open == 0
        before = len(fleet.looks)
        await asyncio.sleep(100)
        assert len(fleet.looks) == before

    @virtual_time
    async def test_by_cancellation_leaks_no_task(self) -> None:
        fleet = Fleet(lambda *_: "started", latency=5.0)
        following = asyncio.ensure_future(collect(fleet.client.follow(session_ids(40), budget=100)))
        await asyncio.sleep(7)
        following.cancel()
        await asyncio.wait([following])
        assert following.cancelled()
        await settled()
        assert not tasks_left()
        assert fleet.open == 0

    @virtual_time
    async def test_by_an_exception_of_the_body_leaks_no_task(self) -> None:
        fleet = Fleet(lambda *_: "started", latency=5.0)
        with pytest.raises(KeyError):
            async for _ in fleet.client.follow(session_ids(40), budget=100):
                raise KeyError
        gc.collect()
        await settled()
        assert not tasks_left()

    @virtual_time
    async def test_before_the_first_look_sends_nothing(self) -> None:
        fleet = Fleet(lambda *_: "started")
        changes: Any = fleet.client.follow(session_ids(4))
        await changes.aclose()
        assert fleet.looks == []

    @virtual_time
    async def test_a_consumer_that_stalls_holds_up_the_polls_and_loses_nothing(self) -> None:
        everyone = session_ids(500)
        fleet = Fleet(lambda _, at: "started" if int(at) % 2 else "start-requested")
        async with aclosing(fleet.client.follow(everyone, budget=500.0)) as changes:
            await anext(changes)
            await asyncio.sleep(3600)
            # One poll of each, and no more than the queue and the polls under way hold.
            assert len(fleet.looks) <= 100
            seen = {(await anext(changes))[0] for _ in range(499)}
        assert len(seen) >= 499 - 1
        await settled()
        assert tasks_left() == set()

    def test_abandoned_with_its_loop_prints_nothing(self) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _ABANDONED],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")

    @virtual_time
    async def test_a_slow_consumer_loses_nothing(self) -> None:
        life = ["start-requested", "started", "stop-requested", "stopped"]
        fleet = Fleet(lambda _, at: life[min(int(at // 100), 3)])
        ids = session_ids(3)
        seen: dict[str, list[str]] = {}
        async for session_id, session in fleet.client.follow(ids):
            seen.setdefault(session_id, []).append(session.state.value if session.state else "")
            await asyncio.sleep(60)
        assert seen == dict.fromkeys(ids, life)


@virtual_time
async def test_chaos_is_tolerated() -> None:
    stage = Stage(stations=60)
    charges = [await stage.client.start_charge(CARD, evse) for evse in EVSES]
    faults = (Fault.drop(), Fault.reset(), Fault.status(500), Fault.hang(), Fault.garbage(), Fault.unavailable(3))
    stage.service.faults.chaos(7, 0.4, faults)
    for number, charge in enumerate(stage.service.charges):
        stage.at(200 + 100 * number, lambda charge=charge: stage.service.book.end(charge))
    seen = await collect(stage.client.follow(charges, on_problem=Problems()))
    assert {states[-1] for states in seen.values()} == {"stopped"}
    assert len(seen) == 5
    await settled()
    assert not tasks_left()
