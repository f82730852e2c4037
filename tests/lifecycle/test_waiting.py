"""``changes()``: each state as the service shows it, in whatever order, until the charge is over."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from fakes import CARD, EVSE, LATE, LOST, REFUSED, SESSION, reply
from stages import Problems, Stage, scripted, settled, shows, states, tasks_left
from virtual_time import virtual_time

from shell_ev import (
    ConfigurationError,
    Polling,
    SessionState,
    ShellEVError,
    StaticToken,
    UnauthorizedError,
)
from shell_ev.core.call import Reply
from shell_ev.sandbox import Fault

GONE = reply(404)


class TestChanges:
    @virtual_time
    async def test_shows_the_whole_life(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        stage.at(100, lambda: asyncio.ensure_future(stage.client.charging.stop(charge.session_id)))
        stage.service.book.stop_delay = 100.0
        assert await states(charge) == ["start-requested", "started", "stop-requested", "stopped"]
        assert charge.is_over
        await settled()
        assert not tasks_left()

    @virtual_time
    async def test_begins_with_the_next_state_when_one_was_seen(self) -> None:
        client, _ = scripted(shows("Started"), shows("Started"), shows("Stopped"))
        charge = client.attach(SESSION)
        await charge.refresh()
        assert await states(charge) == ["stopped"]

    @virtual_time
    async def test_shows_nothing_of_a_charge_seen_to_be_over(self) -> None:
        client, sender = scripted(shows("Stopped"))
        charge = client.attach(SESSION)
        await charge.refresh()
        assert await states(charge) == []
        assert len(sender.requests) == 1

    @pytest.mark.parametrize(
        "sequence",
        [
            ["started", "start-requested", "started", "stopped"],  # backwards
            ["stop-requested", "started", "stop-requested", "stopped"],
            ["failed-to-stop", "started", "stopped"],
            ["start-requested", "paused", "suspended-by-ev", "started", "stopped"],  # unknown
            ["start-requested", "failed-to-start"],
            ["stopped"],
            ["failed-to-stop", "failed-to-start"],
        ],
        ids=" ".join,
    )
    def test_shows_odd_sequences_as_they_are(self, sequence: list[str]) -> None:
        @virtual_time
        async def run() -> None:
            client, _ = scripted(*(shows(state) for state in sequence))
            assert await states(client.attach(SESSION)) == sequence

        run()

    @virtual_time
    async def test_reads_a_state_however_it_is_spelled(self) -> None:
        client, _ = scripted(
            shows("START_REQUESTED"),
            reply(200, {"data": [{"id": SESSION, "SessionState": "Started"}]}),
            reply(200, {"data": [{"id": SESSION, "sessionstate": "stopRequested"}]}),
            shows("Stopped"),
        )
        assert await states(client.attach(SESSION)) == ["start-requested", "started", "stop-requested", "stopped"]

    @virtual_time
    async def test_lives_through_an_answer_without_a_state(self) -> None:
        client, _ = scripted(shows("started"), shows(None), shows({}), shows("started"), shows("stopped"))
        assert [state for state in await states(client.attach(SESSION)) if state] == ["started", "started", "stopped"]

    @virtual_time
    async def test_the_same_state_is_shown_once(self) -> None:
        client, _ = scripted(*[shows("started")] * 5, shows("stopped"))
        assert await states(client.attach(SESSION)) == ["started", "stopped"]

    @virtual_time
    async def test_a_session_that_vanishes_for_a_while_is_tolerated(self) -> None:
        problems = Problems()
        client, _ = scripted(shows("started"), *[GONE] * 6, shows("started"), *[GONE] * 6, shows("stopped"))
        charge = client.attach(SESSION, on_problem=problems)
        assert await states(charge) == ["started", "stopped"]
        assert problems.names == ["NotFoundError"] * 12

    @virtual_time
    async def test_a_session_that_vanishes_for_good_ends_it_after_five_minutes(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        client, sender = scripted(shows("started"), always=GONE)
        assert await states(client.attach(SESSION)) == ["started"]
        assert 300 <= sender.times[-1] - sender.times[1] <= 340
        assert "is not known to the service any more" in caplog.text

    @virtual_time
    async def test_vanishing_now_and_then_is_not_vanishing_for_good(self) -> None:
        client, _ = scripted(*[shows("started"), GONE, GONE, GONE] * 10, shows("stopped"))
        assert await states(client.attach(SESSION)) == ["started", "stopped"]

    @virtual_time
    async def test_two_at_once_both_see_the_end(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        stage.at(100, lambda: stage.service.book.end(stage.only_charge))
        seen = await asyncio.gather(states(charge), states(charge))
        assert [one[-1] for one in seen] == ["stopped", "stopped"]

    @virtual_time
    async def test_leaving_early_leaves_nothing_behind(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        async for session in charge.changes():
            if session.state is SessionState.STARTED:
                break
        await settled()
        assert not tasks_left()
        before = len(stage.sent)
        await asyncio.sleep(1_000)
        assert len(stage.sent) == before

    @virtual_time
    async def test_a_cancelled_wait_is_cancelled_at_once(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        watching = asyncio.ensure_future(states(charge))
        for _ in range(3):
            await asyncio.sleep(31.3)
        watching.cancel()
        before = stage.age
        await asyncio.wait([watching])
        assert watching.cancelled()
        assert stage.age == before
        assert not tasks_left()


class TestErrorsOfLooks:
    TRANSIENT: ClassVar[dict[str, Reply | Exception]] = {
        "InternalServerError": reply(500),
        "ServiceUnavailableError": reply(503),
        "TooManyRequestsError": reply(429),
        "ResponseDecodeError": reply(200, b"<html>"),
        "RequestFailedError": reply(200, {"status": "FAILED"}),
        "TransportError": LOST,
        "ConnectError": REFUSED,
        "RequestTimeoutError": LATE,
    }

    @pytest.mark.parametrize("name", TRANSIENT)
    def test_that_are_temporary_are_tolerated_and_reported(self, name: str) -> None:
        @virtual_time
        async def run() -> None:
            problems = Problems()
            client, _ = scripted(shows("started"), *[self.TRANSIENT[name]] * 3, shows("stopped"))
            assert await states(client.attach(SESSION, on_problem=problems)) == ["started", "stopped"]
            assert problems.names == [name] * 3
            assert {session_id for session_id, _ in problems} == {SESSION}

        run()

    @virtual_time
    async def test_go_to_the_log_without_a_callback(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", "shell_ev")
        client, _ = scripted(reply(502), shows("stopped"))
        await states(client.attach(SESSION))
        assert "polling continues after" in caplog.text
        assert SESSION in caplog.text

    @virtual_time
    async def test_passed_to_a_callback_that_fails_do_not_end_it(self, caplog: pytest.LogCaptureFixture) -> None:
        def broken(session_id: str | None, error: ShellEVError) -> None:
            raise ZeroDivisionError

        client, _ = scripted(reply(502), shows("started"), reply(502), shows("stopped"))
        assert await states(client.attach(SESSION, on_problem=broken)) == ["started", "stopped"]
        assert "on_problem raised" in caplog.text

    @virtual_time
    async def test_that_waiting_does_not_mend_are_raised(self) -> None:
        for answer, error in [(reply(401), UnauthorizedError), (reply(400), ShellEVError), (reply(403), ShellEVError)]:
            client, _ = scripted(shows("started"), answer)
            with pytest.raises(error):
                await states(client.attach(SESSION))

    @virtual_time
    async def test_of_a_closed_client_are_raised(self) -> None:
        client, _ = scripted(always=shows("started"))
        charge = client.attach(SESSION)
        asyncio.get_running_loop().call_later(100, lambda: asyncio.ensure_future(client.aclose()))
        with pytest.raises(ConfigurationError):
            await states(charge)

    @virtual_time
    async def test_a_token_refused_once_is_replaced_and_not_seen(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        stage.service.faults.add("charging.retrieve", Fault.token_revoked(), after=3)
        stage.at(100, lambda: stage.service.book.end(stage.only_charge))
        assert (await states(charge))[-1] == "stopped"


class TestPace:
    @virtual_time
    async def test_is_the_documented_one(self) -> None:
        client, sender = scripted(always=shows("start-requested"))
        charge = client.attach(SESSION)
        with pytest.raises(TimeoutError):
            await charge.wait_started(timeout=600)
        began = sender.times[0]
        for wait, moment in zip(sender.waits[:-1], sender.times, strict=False):
            waited = moment - began
            base = 2 if waited < 20 else 5 if waited < 120 else 15
            assert base * 0.9 - 1e-6 <= wait <= base * 1.1 + 1e-6
        assert sender.times[-1] - began == pytest.approx(600)  # the last look falls on the deadline

    @virtual_time
    async def test_slows_down_once_started(self) -> None:
        client, sender = scripted(shows("start-requested"), *[shows("started")] * 10, shows("stopped"))
        await states(client.attach(SESSION))
        assert all(26.9 < wait < 33.1 for wait in sender.waits[2:])

    @virtual_time
    async def test_quickens_again_when_something_is_about_to_happen(self) -> None:
        client, sender = scripted(*[shows("started")] * 3, *[shows("stop-requested")] * 5, shows("stopped"))
        await states(client.attach(SESSION))
        assert all(1.7 < wait < 2.3 for wait in sender.waits[4:])

    @virtual_time
    async def test_can_be_set(self) -> None:
        polling = Polling(eager=7, eager_for=1_000, spread=0)
        client, sender = scripted(*[shows("start-requested")] * 9, shows("stopped"))
        await states(client.attach(SESSION, polling=polling))
        assert {round(wait, 6) for wait in sender.waits[1:]} == {7.0}

    @pytest.mark.parametrize("answer", [reply(429, Retry_After="77"), reply(503, Retry_After="77")])
    def test_heeds_retry_after(self, answer: Reply) -> None:
        @virtual_time
        async def run() -> None:
            client, sender = scripted(shows("start-requested"), answer, shows("stopped"))
            await states(client.attach(SESSION))
            assert sender.waits[-1] >= 77

        run()

    @virtual_time
    async def test_heeds_it_once(self) -> None:
        answer = reply(429, Retry_After="77")
        client, sender = scripted(shows("start-requested"), answer, *[shows("start-requested")] * 3, shows("stopped"))
        await states(client.attach(SESSION))
        assert all(wait < 6 for wait in sender.waits[3:])

    @virtual_time
    async def test_does_not_outwait_the_deadline_for_it(self) -> None:
        client, sender = scripted(always=reply(429, Retry_After="100000"))
        with pytest.raises(TimeoutError):
            await client.attach(SESSION).wait_started(timeout=60)
        assert sender.times[-1] - sender.times[0] <= 61

    @pytest.mark.parametrize("limit", [0.001, 0.3, 1.0, 7.77])
    def test_of_a_wait_keeps_to_its_limit_when_anything_hangs(self, limit: float) -> None:
        @virtual_time
        async def run() -> None:
            client, _ = scripted(always=lambda _: asyncio.get_running_loop().create_future())
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(TimeoutError):
                await client.attach(SESSION).wait_started(timeout=limit)
            # A look is given a second at least, and there is one on the deadline.
            assert loop.time() - began <= limit + 2.01

        run()


@virtual_time
async def test_refresh_raises_as_retrieve_does_and_keeps_what_was_seen() -> None:
    client, _ = scripted(shows("started"), reply(404), source=StaticToken("t"))
    charge: Any = client.attach(SESSION)
    seen = await charge.refresh()
    with pytest.raises(ShellEVError):
        await charge.refresh()
    assert charge.session is seen
    assert "started" in repr(charge)
    assert SESSION in repr(charge)
