"""A start that got no answer is looked up by card, EVSE and time."""

from __future__ import annotations

import asyncio
import pickle

import attrs
import pytest
from fakes import CARD, EVSE, REQUEST_ID, SESSION
from stages import LOSSES, OTHER_EVSE, Problems, Stage, shows, tasks_left
from virtual_time import virtual_time

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    BadRequestError,
    ChargeFailedError,
    ChargePendingError,
    ClientCredentials,
    NotFoundError,
    OutcomeUnknownError,
    ResponseDecodeError,
    SessionErrorCode,
    SessionState,
    ShellEVError,
    ValidationError,
)
from shell_ev.charges.reconcile import ema_id_of
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.sandbox import SessionState as TrueState

LOST = Fault.drop(after_effect=False)


async def lost_start(stage: Stage) -> OutcomeUnknownError:
    """The error of a start that is lost on its way and not found."""
    stage.service.faults.add("charging.start", LOST)
    with pytest.raises(OutcomeUnknownError) as caught:
        await stage.client.start_charge(CARD, EVSE, start_timeout=60)
    return caught.value


class TestNotAdopted:
    @virtual_time
    async def test_a_session_on_another_evse(self) -> None:
        stage = Stage()
        await stage.client.charging.start(CARD, OTHER_EVSE)
        error = await lost_start(stage)
        assert [session.evse_id for session in error.seen] == [OTHER_EVSE]
        assert stage.sent.count("start") == 2  # the other one's, and ours

    @virtual_time
    async def test_an_older_session_on_the_same_evse(self) -> None:
        stage = Stage()
        await stage.client.charging.start(CARD, EVSE)
        await asyncio.sleep(300)
        error = await lost_start(stage)
        assert [session.state for session in error.seen] == [SessionState.STARTED]

    @virtual_time
    async def test_an_older_session_when_ours_is_there_as_well(self) -> None:
        stage = Stage()
        await stage.client.charging.start(CARD, EVSE)
        await asyncio.sleep(300)
        stage.service.faults.add("charging.start", Fault.drop())
        charge = await stage.client.start_charge(CARD, EVSE)
        assert charge.session_id == stage.service.charges[1].session_id
        with pytest.raises(ChargeFailedError) as caught:
            await charge.wait_started()
        assert caught.value.code is SessionErrorCode.EVSE_IN_USE

    @virtual_time
    async def test_an_older_session_that_never_came_to_start(self) -> None:
        stage = Stage()
        stage.service.book.start_delay = 10_000.0
        await stage.client.charging.start(CARD, EVSE)
        await asyncio.sleep(300)
        error = await lost_start(stage)
        assert [session.state for session in error.seen] == [SessionState.START_REQUESTED]

    @virtual_time
    async def test_a_session_that_belongs_to_another_charge_of_the_client(self) -> None:
        stage = Stage()
        await stage.client.start_charge(CARD, EVSE)
        error = await lost_start(stage)
        assert len(error.seen) == 1

    @virtual_time
    async def test_nor_to_one_of_a_copy_of_the_client(self) -> None:
        stage = Stage()
        copy = stage.client.with_options(timeout=30)
        await copy.start_charge(CARD, EVSE)
        await lost_start(stage)

    @virtual_time
    async def test_one_of_two_that_may_be_it(self) -> None:
        # Somebody with the same card started on this EVSE at the same moment.
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE, start_timeout=60))
        stage.service.book.show_sessions_after = 30.0
        await asyncio.sleep(0.3)
        ours = stage.only_charge
        twin = attrs.evolve(ours, session_id=SESSION)
        stage.service.book._by_card[CARD].append(twin)
        with pytest.raises(OutcomeUnknownError, match="2 sessions") as caught:
            await starting
        assert {session.id for session in caught.value.seen} == {ours.session_id, SESSION}
        assert caught.value.lookups > 5

    @virtual_time
    async def test_but_the_one_left_when_the_other_is_over(self) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 10.0
        stage.service.faults.add("charging.start", Fault.drop())
        starting = asyncio.ensure_future(stage.client.start_charge(CARD, EVSE))
        await asyncio.sleep(0.3)
        twin = attrs.evolve(stage.only_charge, session_id=SESSION)
        stage.service.book._by_card[CARD].append(twin)
        stage.at(60, lambda: setattr(twin, "ended_at", stage.now()))
        assert (await starting).session_id == stage.only_charge.session_id
        assert stage.age >= 60


class TestClocks:
    @pytest.mark.parametrize("ahead", [-7_200.0, -90.0, 90.0, 7_200.0])
    def test_that_differ_do_not_keep_a_start_from_being_found(self, ahead: float) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage(client_is_ahead=ahead, dated=True)
            stage.service.book.show_sessions_after = 60.0  # by then it has started, and says when
            stage.service.faults.add("charging.start", Fault.drop())
            charge = await stage.client.start_charge(CARD, EVSE)
            assert charge.session_id == stage.only_charge.session_id
            assert charge.state is SessionState.STARTED

        run()

    @pytest.mark.parametrize("ahead", [-7_200.0, 7_200.0])
    def test_that_differ_do_not_make_an_older_session_look_fresh(self, ahead: float) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage(client_is_ahead=ahead, dated=True)
            await stage.client.charging.start(CARD, EVSE)
            await asyncio.sleep(300)
            error = await lost_start(stage)
            assert len(error.seen) == 1

        run()

    @virtual_time
    async def test_are_taken_to_agree_when_the_service_sends_none(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        assert (await stage.client.start_charge(CARD, EVSE)).session_id == stage.only_charge.session_id


class TestActiveFails:
    @virtual_time
    async def test_for_a_while_and_the_search_continues(self) -> None:
        stage, problems = Stage(), Problems()
        stage.service.faults.add("charging.start", Fault.drop())
        stage.service.faults.add("charging.active", Fault.status(503), times=6)
        stage.service.faults.add("charging.active", Fault.garbage(), times=3)
        stage.service.faults.add("charging.active", Fault.status(401), times=4)
        charge = await stage.client.start_charge(CARD, EVSE, on_problem=problems)
        assert charge.session_id == stage.only_charge.session_id
        assert set(problems.names) == {"ServiceUnavailableError", "ResponseDecodeError", "UnauthorizedError"}
        assert {session_id for session_id, _ in problems} == {None}

    @virtual_time
    async def test_with_a_retry_after_and_that_is_obeyed(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        stage.service.faults.add("charging.active", Fault.rate_limit(70))
        await stage.client.start_charge(CARD, EVSE)
        looks = [r.at for r in stage.service.requests if r.operation == "charging.active"]
        assert looks[1] - looks[0] >= 70

    @pytest.mark.parametrize("status", [401, 500])
    def test_for_good_and_the_outcome_is_unknown(self, status: int) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            stage.service.faults.add("charging.start", Fault.drop())
            stage.service.faults.always("charging.active", Fault.status(status))
            before = stage.age
            with pytest.raises(OutcomeUnknownError) as caught:
                await stage.client.start_charge(CARD, EVSE, start_timeout=60)
            assert stage.age - before <= 65
            assert caught.value.lookups > 3
            assert stage.sent.count("start") == 1
            assert not tasks_left()

        run()

    @virtual_time
    async def test_with_a_refusal_and_the_outcome_is_unknown_at_once(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        stage.service.faults.always("charging.active", Fault.status(400))
        with pytest.raises(OutcomeUnknownError, match="cannot be read") as caught:
            await stage.client.start_charge(CARD, EVSE)
        assert isinstance(caught.value.__cause__, BadRequestError)
        assert stage.age < 5

    @virtual_time
    async def test_by_hanging_and_the_search_keeps_to_its_time(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        stage.service.faults.always("charging.active", Fault.hang())
        with pytest.raises(OutcomeUnknownError):
            await stage.client.start_charge(CARD, EVSE, start_timeout=60)
        assert stage.age <= 65


class TestReconcile:
    @pytest.mark.parametrize("loss", LOSSES)
    def test_adopts_a_start_of_the_bare_endpoint(self, loss: str) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            stage.service.book.show_sessions_after = 60.0
            stage.service.faults.add("charging.start", LOSSES[loss])
            with pytest.raises(ShellEVError) as caught:
                await stage.client.charging.start(CARD, EVSE, request_id=REQUEST_ID)
            assert caught.value.outcome_unknown
            # It may come from another process, and be looked into later.
            error = pickle.loads(pickle.dumps(caught.value))

            charge = await stage.client.reconcile(error)

            assert charge.session_id == stage.only_charge.session_id
            assert charge.request_id == REQUEST_ID
            assert charge.session is not None
            await charge.stop()
            assert stage.only_charge.state is TrueState.STOPPED
            assert stage.sent.count("start") == 1

        run()

    @pytest.mark.parametrize("loss", [name for name in LOSSES if name != "202 and no session"])
    def test_looks_up_the_session_of_a_stop(self, loss: str) -> None:
        @virtual_time
        async def run() -> None:
            stage = Stage()
            started = await stage.client.charging.start(CARD, EVSE)
            await asyncio.sleep(30)
            stage.service.faults.add("charging.stop", LOSSES[loss])
            with pytest.raises(ShellEVError) as caught:
                await stage.client.charging.stop(started.data.session_id)
            charge = await stage.client.reconcile(caught.value)
            assert charge.session_id == started.data.session_id
            assert charge.state in (SessionState.STOP_REQUESTED, SessionState.STOPPED)
            await charge.stop()
            assert stage.only_charge.state is TrueState.STOPPED

        run()

    @virtual_time
    async def test_raises_when_no_session_shows_and_can_be_asked_again(self) -> None:
        stage = Stage()
        stage.service.book.show_sessions_after = 200.0
        stage.service.faults.add("charging.start", Fault.drop())
        with pytest.raises(OutcomeUnknownError) as caught:
            await stage.client.charging.start(CARD, EVSE)
        with pytest.raises(OutcomeUnknownError) as once_more:
            await stage.client.reconcile(caught.value, start_timeout=30)
        assert once_more.value.lookups > 5
        assert once_more.value.sent_at == caught.value.sent_at
        charge = await stage.client.reconcile(once_more.value)
        assert charge.session_id == stage.only_charge.session_id

    @virtual_time
    async def test_gives_the_same_session_when_asked_twice(self) -> None:
        # The first answer may have been lost to a cancellation.
        stage = Stage()
        stage.service.faults.add("charging.start", Fault.drop())
        with pytest.raises(OutcomeUnknownError) as caught:
            await stage.client.charging.start(CARD, EVSE)
        one = await stage.client.reconcile(caught.value)
        other = await stage.client.reconcile(caught.value)
        assert one.session_id == other.session_id == stage.only_charge.session_id

    @virtual_time
    async def test_needs_the_ema_id_of_a_card_that_is_none(self) -> None:
        stage = Stage()
        stage.service.book._by_card[CARD] = stage.service.book._by_card.setdefault("04A2B3C4D5E6F7", [])
        stage.service.faults.add("charging.start", Fault.drop())
        with pytest.raises(OutcomeUnknownError) as caught:
            await stage.client.charging.start("04A2B3C4D5E6F7", EVSE)
        with pytest.raises(OutcomeUnknownError, match="ema_id="):
            await stage.client.reconcile(caught.value)
        with pytest.raises(ValidationError, match="ema_id"):
            await stage.client.reconcile(caught.value, ema_id="short")
        assert "active" not in stage.sent
        charge = await stage.client.reconcile(caught.value, ema_id=CARD)
        assert charge.session_id == stage.only_charge.session_id

    @virtual_time
    async def test_raises_as_retrieve_does_for_a_stop_that_cannot_be_looked_up(self) -> None:
        stage = Stage()
        stage.service.faults.add("charging.stop", Fault.drop(after_effect=False))
        with pytest.raises(OutcomeUnknownError) as caught:
            await stage.client.charging.stop(SESSION)
        with pytest.raises(NotFoundError):
            await stage.client.reconcile(caught.value)

    @pytest.mark.parametrize(
        "error",
        [
            ValidationError(["x"]),
            NotFoundError("x", status_code=404, operation="charging.start"),
            ResponseDecodeError("x", status_code=200, operation="charging.retrieve"),
            OutcomeUnknownError("x", operation="charging.start"),
            ChargePendingError("x", session_id=SESSION, session=None),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_refuses_an_error_that_leaves_nothing_open(self, error: ShellEVError) -> None:
        async with AsyncShellEV("id", "secret") as ev:
            with pytest.raises(ValidationError):
                await ev.reconcile(error)

    async def test_over_sockets_in_every_dialect(self) -> None:
        for version in ApiVersion:
            async with Sandbox(stations=0) as sandbox:
                source = ClientCredentials(sandbox.client_id, sandbox.client_secret)
                async with AsyncShellEV(token_source=source, base_url=sandbox.url, api_version=version) as ev:
                    sandbox.faults.add("charging.start", Fault.truncate())
                    with pytest.raises(OutcomeUnknownError) as caught:
                        await ev.charging.start(CARD, EVSE)
                    charge = await ev.reconcile(caught.value)
                    assert charge.session_id == sandbox.charges[0].session_id


class TestCards:
    @pytest.mark.parametrize("card", [CARD, "NLTNMC00122045K", "DE-8AA-CA2B3C4D5-1", "nl*tnm*c00122045*k"])
    def test_cards_that_are_ema_ids(self, card: str) -> None:
        assert ema_id_of(card) == card

    @pytest.mark.parametrize("card", ["", "04A2B3C4D5E6F7", "NL-TNM-1", "my card of 16 chr", CARD * 2])
    def test_cards_that_are_not(self, card: str) -> None:
        assert ema_id_of(card) is None


@virtual_time
async def test_a_session_shown_without_any_time_is_taken_for_a_fresh_one() -> None:
    stage = Stage()
    stage.service.faults.add("charging.start", Fault.drop())
    body = shows("start-requested", evseId=EVSE).body
    stage.service.faults.add("charging.active", Fault.garbage(body, 200, "application/json"))
    assert (await stage.client.start_charge(CARD, EVSE)).session_id == SESSION


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        (Fault.status(500), "was answered with status 500;"),
        (Fault.garbage(after_effect=False), "was answered with a 200 that cannot be read;"),
        (LOST, "got no answer;"),
    ],
)
@virtual_time
async def test_the_error_says_what_came_of_the_start(fault: Fault, came: str) -> None:
    stage = Stage()
    stage.service.faults.add("charging.start", fault)
    with pytest.raises(OutcomeUnknownError) as caught:
        await stage.client.start_charge(CARD, EVSE, start_timeout=60)
    assert f"a start on {EVSE} was sent and {came} no session on this EVSE in" in str(caught.value)


@virtual_time
async def test_one_look_up_is_one_look_up() -> None:
    stage = Stage()
    stage.service.faults.add("charging.start", LOST)
    with pytest.raises(OutcomeUnknownError, match="in 1 look-up over") as caught:
        await stage.client.start_charge(CARD, EVSE, start_timeout=0.01)
    assert caught.value.lookups == 1
