"""Starting: accepted and started, or a typed failure; never a second start."""

from __future__ import annotations

import asyncio
import math
from typing import Any, ClassVar

import attrs
import pytest
from fakes import CARD, EVSE, REQUEST_ID
from stages import LOSSES, OTHER_EVSE, Problems, Stage, errors_logged, settled, tasks_left
from virtual_time import virtual_time

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    BadRequestError,
    ChargeFailedError,
    ChargePendingError,
    ChargeSession,
    ConfigurationError,
    ConnectError,
    Evse,
    EvseId,
    ForbiddenError,
    NotFoundError,
    OutcomeUnknownError,
    Polling,
    SessionErrorCode,
    SessionState,
    ShellEVError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from shell_ev.sandbox import FAILING_EVSES, Fault, Sandbox
from shell_ev.sandbox import SessionState as TrueState


class TestAStartThatIsAnswered:
    @virtual_time
    async def test_is_a_charge_that_can_be_seen_to_start(self) -> None:
        stage = Stage()

        charge = await stage.client.start_charge(CARD, EVSE, request_id=REQUEST_ID)

        assert charge.session_id == stage.only_charge.session_id
        assert (charge.request_id, charge.state, charge.is_over) == (REQUEST_ID, None, False)
        assert charge.session == ChargeSession(id=charge.session_id)
        session = await charge.wait_started()
        assert session.state is SessionState.STARTED
        assert charge.session is session
        assert 20 <= stage.age <= 25  # the sandbox starts a charge after 20 seconds
        assert stage.sent.count("start") == 1
        assert "active" not in stage.sent
        assert not tasks_left()

    @virtual_time
    async def test_sends_the_minted_request_id_and_returns_it(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        assert stage.only_charge.request_id == charge.request_id

    @pytest.mark.parametrize("code", FAILING_EVSES)
    def test_and_then_fails_says_why_without_comparing_strings(self, code: str) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            charge = await stage.client.start_charge(CARD, FAILING_EVSES[code])
            with pytest.raises(ChargeFailedError) as caught:
                await charge.wait_started()
            error = caught.value
            assert error.code is SessionErrorCode(code)
            assert error.code.is_known
            assert error.session.error is not None
            assert error.session.error.message in str(error)
            assert error.session_id == charge.session_id
            assert charge.is_over
            assert not error.outcome_unknown
            assert stage.sent.count("stop") == 0

        run()

    @virtual_time
    async def test_on_an_evse_in_use_fails_with_that_code(self) -> None:
        stage = Stage()
        await stage.client.start_charge(CARD, EVSE)
        second = await stage.client.start_charge("NL-TNM-C00122046-K", EVSE)
        with pytest.raises(ChargeFailedError) as caught:
            await second.wait_started()
        assert caught.value.code is SessionErrorCode.EVSE_IN_USE

    @virtual_time
    async def test_still_requested_at_the_deadline_is_pending_and_nothing_is_rewritten(self) -> None:
        stage = Stage()
        stage.service.book.start_delay = 300.0
        charge = await stage.client.start_charge(CARD, EVSE, start_timeout=60)
        before = stage.age

        with pytest.raises(ChargePendingError) as caught:
            await charge.wait_started()

        assert stage.age - before == pytest.approx(60, abs=2)
        error = caught.value
        assert error.session_id == charge.session_id
        assert error.session is not None
        assert error.session.state is SessionState.START_REQUESTED
        assert isinstance(error, TimeoutError)
        assert error.outcome_unknown
        assert set(stage.sent[1:]) == {"retrieve"}
        assert not stage.only_charge.stops

    @virtual_time
    async def test_pending_can_be_waited_for_and_stopped_by_its_id(self) -> None:
        stage = Stage()
        stage.service.book.start_delay = 300.0
        with pytest.raises(ChargePendingError) as caught:
            async with stage.client.charge(CARD, EVSE, start_timeout=60):
                raise AssertionError("not started")
        assert "stop" not in stage.sent

        charge = stage.client.attach(caught.value.session_id)
        session = await charge.wait_started(timeout=600)
        assert session.state is SessionState.STARTED
        await charge.stop()
        assert stage.only_charge.state is TrueState.STOPPED
        assert stage.sent.count("start") == 1

    @virtual_time
    async def test_is_pending_when_the_service_never_shows_it(self) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 1_000.0
        charge = await stage.client.start_charge(CARD, EVSE, start_timeout=60)
        with pytest.raises(ChargePendingError, match="not shown") as caught:
            await charge.wait_started()
        assert caught.value.session == ChargeSession(id=charge.session_id)

    @virtual_time
    async def test_that_ran_and_ended_before_the_first_look_did_start(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        await asyncio.sleep(30)
        stage.service.book.end(stage.only_charge)
        session = await charge.wait_started()
        assert session.state is SessionState.STOPPED
        assert session.started_at is not None

    @virtual_time
    async def test_that_was_stopped_before_it_ran_is_a_failure(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        stage.service.book.end(stage.only_charge)
        with pytest.raises(ChargeFailedError, match="stopped before it started") as caught:
            await charge.wait_started()
        assert caught.value.code is None

    @virtual_time
    async def test_tolerates_and_reports_errors_of_polls(self) -> None:
        stage, problems = Stage(), Problems()
        stage.service.faults.add("charging.retrieve", Fault.status(502), times=6)
        charge = await stage.client.start_charge(CARD, EVSE, on_problem=problems)
        assert (await charge.wait_started()).state is SessionState.STARTED
        assert problems.names == ["InternalServerError"] * 2  # six requests are two looks of three tries

    @virtual_time
    async def test_raises_a_refused_token_while_waiting(self) -> None:
        stage = Stage()
        charge = await stage.client.start_charge(CARD, EVSE)
        stage.service.faults.always("charging.retrieve", Fault.status(401))
        with pytest.raises(UnauthorizedError):
            await charge.wait_started()

    @pytest.mark.parametrize("version", list(ApiVersion))
    async def test_works_over_sockets_in_every_dialect(self, version: ApiVersion) -> None:
        async with (
            Sandbox(stations=0, speed=600) as sandbox,
            AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, api_version=version) as ev,
        ):
            polling = Polling(eager=0.02, steady=0.02, patient=0.02, started=0.02)
            async with ev.charge(CARD, EVSE, polling=polling) as charge:
                assert charge.state is SessionState.STARTED
            assert charge.state is SessionState.STOPPED
            [truth] = sandbox.charges
            assert [change.state.value for change in truth.history] == [
                "start-requested",
                "started",
                "stop-requested",
                "stopped",
            ]


class TestAStartThatIsRefused:
    REFUSALS: ClassVar[dict[int, type[ShellEVError]]] = {
        400: BadRequestError,
        401: UnauthorizedError,
        403: ForbiddenError,
        404: NotFoundError,
        429: TooManyRequestsError,
    }

    @pytest.mark.parametrize("status", REFUSALS)
    @pytest.mark.parametrize("block", [False, True], ids=["start_charge", "block"])
    def test_is_raised_as_it_is_and_not_looked_up(self, status: int, block: bool) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            stage.service.faults.always("charging.start", Fault.status(status))
            with pytest.raises(self.REFUSALS[status]) as caught:
                if block:
                    async with stage.client.charge(CARD, EVSE):
                        raise AssertionError("not started")
                else:
                    await stage.client.start_charge(CARD, EVSE)
            assert not caught.value.outcome_unknown
            assert set(stage.sent) == {"start"}
            assert not stage.service.charges
            assert not tasks_left()

        run()

    @virtual_time
    async def test_for_an_evse_that_does_not_exist(self) -> None:
        stage = Stage()
        with pytest.raises(NotFoundError):
            await stage.client.start_charge(CARD, "NL*TNM*E99999999*9")

    @virtual_time
    async def test_by_the_network_before_it_left_is_not_looked_up(self) -> None:
        stage = Stage(refused=1.0)
        with pytest.raises(ConnectError):
            await stage.client.start_charge(CARD, EVSE)
        assert stage.sent == []

    @virtual_time
    async def test_by_the_token_endpoint_sends_no_start(self) -> None:
        stage = Stage()
        stage.service.faults.always("token", Fault.status(401))
        with pytest.raises(ShellEVError) as caught:
            await stage.client.start_charge(CARD, EVSE)
        assert not caught.value.outcome_unknown
        assert stage.sent == []


class TestAnEvseOfALocation:
    @virtual_time
    async def test_is_taken_by_both_ways_to_start(self) -> None:
        stage = Stage()
        for evse in (Evse(evse_id=EVSE), EvseId.parse(EVSE)):
            charge = await stage.client.start_charge(CARD, evse)
            await charge.wait_started()
            assert isinstance(await charge.stop(), ChargeSession)
            async with stage.client.charge(CARD, evse) as entered:
                assert entered.session.evse_id == EVSE
        assert stage.sent.count("start") == 4


class TestWhatIsChecked:
    BAD: ClassVar[list[dict[str, Any]]] = [
        {"ev_charge_number": ""},
        {"ev_charge_number": 7},
        {"evse_id": "NL*TNM"},
        {"request_id": "not a uuid"},
        {"timeout": -1},
        {"headers": {"Authorization": "x"}},
        {"start_timeout": 0},
        {"start_timeout": math.nan},
        {"start_timeout": None},
        {"stop_timeout": -5},
        {"stop_timeout": math.inf},
        {"stop_timeout": None},
        {"stop_timeout": "10"},
        {"ema_id": "too short"},
        {"ema_id": ""},
        {"ema_id": 7},
    ]

    @pytest.mark.parametrize("bad", BAD, ids=str)
    @pytest.mark.parametrize("block", [False, True], ids=["start_charge", "block"])
    def test_is_checked_before_anything_is_sent(self, bad: dict[str, Any], block: bool) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            # Would an argument be looked at later only, then after this.
            stage.service.faults.always("charging.start", Fault.drop())
            arguments: dict[str, Any] = {"ev_charge_number": CARD, "evse_id": EVSE, **bad}
            with pytest.raises(ValidationError) as caught:
                if block:
                    async with stage.client.charge(**arguments):
                        raise AssertionError("not started")
                else:
                    await stage.client.start_charge(**arguments)
            assert next(iter(bad)) in str(caught.value)
            assert not stage.service.requests

        run()

    @pytest.mark.parametrize("bad", [{"session_id": ""}, {"start_timeout": 0}, {"stop_timeout": None}], ids=str)
    async def test_attach_checks_too(self, bad: dict[str, Any]) -> None:
        async with AsyncShellEV("id", "secret") as ev:
            with pytest.raises(ValidationError, match=next(iter(bad))):
                ev.attach(**{"session_id": REQUEST_ID, **bad})

    @pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, "1"])
    async def test_so_are_the_limits_of_single_waits(self, timeout: Any) -> None:
        async with AsyncShellEV("id", "secret") as ev:
            charge = ev.attach(REQUEST_ID)
            for wait in (charge.wait_started, charge.stop):
                with pytest.raises(ValidationError):
                    await wait(timeout=timeout)

    def test_an_ema_id_of_another_length_is_fine_for_the_oldest_dialect(self) -> None:
        ev = AsyncShellEV("id", "secret", api_version=ApiVersion.V1_PASCAL)
        ev.charge("my card", EVSE, ema_id="NL-TNM-122045")


class TestAStartWithoutAnAnswer:
    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("shown_after", [0.0, 60.0])
    def test_is_found_and_adopted_and_never_sent_again(self, loss: str, shown_after: float) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            stage.service.book.show_sessions_after = shown_after
            stage.service.faults.add("charging.start", LOSSES[loss])

            charge = await stage.client.start_charge(CARD, EVSE, request_id=REQUEST_ID)

            assert charge.session_id == stage.only_charge.session_id
            assert charge.request_id == REQUEST_ID
            assert charge.session is not None
            assert stage.age >= shown_after
            assert stage.age <= shown_after + 40  # half a minute is the hang's
            assert stage.sent.count("start") == 1
            assert set(stage.sent[1:]) == {"active"}
            await charge.wait_started()
            await charge.stop()
            assert stage.only_charge.state is TrueState.STOPPED

        run()

    @pytest.mark.parametrize("loss", LOSSES)
    def test_and_without_an_effect_is_unknown_with_what_was_listed(self, loss: str) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            stage.service.faults.add("charging.start", attrs.evolve(LOSSES[loss], after_effect=False))
            before = stage.age
            with pytest.raises(OutcomeUnknownError) as caught:
                await stage.client.start_charge(CARD, EVSE, start_timeout=90, request_id=REQUEST_ID)
            error = caught.value
            assert 90 <= stage.age - before <= 125
            assert error.operation == "charging.start"
            assert error.request_id == REQUEST_ID
            assert error.arguments == {"ev_charge_number": CARD, "evse_id": EVSE}
            assert error.sent_at is not None
            assert error.lookups == stage.sent.count("active") >= 10
            assert error.seen == ()
            assert error.__cause__ is not None
            assert stage.sent.count("start") == 1
            assert not stage.service.charges

        run()

    @virtual_time
    async def test_in_a_block_runs_the_block(self) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 60.0
        stage.service.faults.add("charging.start", Fault.drop())
        async with stage.client.charge(CARD, EVSE) as charge:
            assert charge.state is SessionState.STARTED
        assert stage.only_charge.state is TrueState.STOPPED
        assert stage.sent.count("start") == 1

    @virtual_time
    async def test_with_a_card_that_is_no_ema_id_says_so_at_once(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        with pytest.raises(OutcomeUnknownError, match="ema_id=") as caught:
            await stage.client.start_charge("04A2B3C4D5E6F7", EVSE)
        assert stage.age < 1
        assert caught.value.lookups == 0
        assert stage.sent == ["start"]

    @virtual_time
    async def test_with_such_a_card_and_its_ema_id_is_found(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        # The service lists a card's sessions under its EMA-ID whatever number started them.
        stage.service.book._by_card[CARD] = stage.service.book._by_card.setdefault("04A2B3C4D5E6F7", [])
        charge = await stage.client.start_charge("04A2B3C4D5E6F7", EVSE, ema_id=CARD)
        assert charge.session_id == stage.only_charge.session_id

    @virtual_time
    async def test_after_a_rate_limit_counts_the_last_sending(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.rate_limit(30))
        stage.service.faults.add("charging.start", Fault.drop())
        charge = await stage.client.start_charge(CARD, EVSE)
        assert charge.session_id == stage.only_charge.session_id
        assert stage.sent.count("start") == 2  # the first was refused

    @virtual_time
    async def test_two_charges_of_one_card_each_find_their_own(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop(), times=2)
        one, other = await asyncio.gather(
            stage.client.start_charge(CARD, EVSE), stage.client.start_charge(CARD, OTHER_EVSE)
        )
        truth = {charge.evse_id: charge.session_id for charge in stage.service.charges}
        assert {EVSE: one.session_id, OTHER_EVSE: other.session_id} == truth

    @virtual_time
    async def test_nor_one_answered_with_an_id_that_is_no_uuid_is_silent(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage = Stage()
        body = b'{"status":"SUCCESS","data":[{"sessionId":"42"}]}'
        stage.service.faults.add("charging.start", Fault.garbage(body, 202, "application/json"))
        with pytest.raises(ShellEVError):
            async with stage.client.charge(CARD, EVSE):
                raise AssertionError("not entered")
        assert not stage.running() or "may still be charging" in errors_logged(caplog)[0]


class TestACancelledStart:
    @virtual_time
    async def test_before_it_was_sent_sends_nothing(self) -> None:
        stage = Stage()
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(0.06)  # under way: the token request
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert stage.sent == []
        await asyncio.sleep(1)  # the token is shared: its request goes on for others
        assert not tasks_left()

    @virtual_time
    async def test_on_its_way_is_waited_for_and_stopped(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        await stage.client.charging.active(CARD)
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(0.06)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await starting
        assert stage.only_charge.state is TrueState.STOPPED
        assert not getattr(caught.value, "__notes__", [])
        assert not errors_logged(caplog)

    @virtual_time
    async def test_without_an_answer_is_found_and_stopped(self) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 60.0
        stage.service.faults.add("charging.start", Fault.drop())
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(10)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert stage.only_charge.state is TrueState.STOPPED
        assert stage.sent.count("start") == 1

    @virtual_time
    async def test_that_cannot_be_found_says_so_loudly(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 10_000.0
        stage.service.faults.add("charging.start", Fault.drop())
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(10)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await starting
        [note] = caught.value.__notes__
        assert "may still be charging" in note
        assert EVSE in note
        assert errors_logged(caplog) == [note]
        assert stage.age <= 200
        await settled()
        assert not tasks_left()

    @virtual_time
    async def test_refused_after_the_cancellation_is_silent(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        await stage.client.charging.active(CARD)
        stage.service.faults.add("charging.start", Fault.status(404))
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(0.06)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await starting
        assert not getattr(caught.value, "__notes__", [])
        assert not errors_logged(caplog)

    @virtual_time
    async def test_begins_no_other_try_after_a_refused_token(self) -> None:
        stage = Stage()
        await stage.client.charging.active(CARD)
        stage.service.faults.add("charging.start", Fault.token_revoked())
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(0.06)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert stage.sent.count("start") == 1

    @virtual_time
    async def test_as_often_as_one_likes_is_never_silent(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 10_000.0
        stage.service.faults.add("charging.start", Fault.drop())
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(10)
        for _ in range(6):
            starting.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert len(errors_logged(caplog)) == 1
        await settled()
        assert not tasks_left()


class TestABlockIsUsedOnce:
    @virtual_time
    async def test_entering_it_again_starts_nothing(self) -> None:
        stage = Stage()
        block = stage.client.charge(CARD, EVSE)
        async with block:
            pass
        with pytest.raises(ConfigurationError, match="once"):
            async with block:
                raise AssertionError("not entered")
        assert stage.sent.count("start") == 1

    @virtual_time
    async def test_entering_it_twice_at_once_loses_no_charge(self) -> None:
        stage = Stage()
        block = stage.client.charge(CARD, EVSE)
        async with block:
            with pytest.raises(ConfigurationError):
                await block.__aenter__()
        assert len(stage.service.charges) == 1
        assert stage.only_charge.state is TrueState.STOPPED


def test_no_loop_is_needed_to_ask_for_a_charge() -> None:
    # The block may be made before there is a loop: nothing happens until it is entered.
    AsyncShellEV("id", "secret").charge(CARD, EVSE)
