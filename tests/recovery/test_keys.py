"""What a call with a key meets: every row of the table of keys, through the public API and real processes."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from adversary.raw_server import (
    RawServer,
    Seen,
    drop_before_effect,
    forbidden,
    hang_after_effect,
    lose_answer_after_effect,
    status,
    too_many,
)

from recovery.child import CARD, EVSE, Child, Job, Result, Way, in_process, options_of, run_async, run_blocking
from recovery.conftest import Until, end_leases
from shell_ev import (
    AsyncShellEV,
    ChargeInProgressError,
    ConfigurationError,
    OutcomeUnknownError,
    ShellEV,
    ShellEVError,
    ValidationError,
)

OTHER_CARD = "NL-TNM-C00122046-K"
OTHER_EVSE = "NL*TNM*E02003452*0"
SESSION = "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"
WAYS = pytest.mark.parametrize("way", ["start_charge", "block"])
TWINS = pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])


def once(job: Job) -> Result:
    """Do a job in this process, on a client of its own."""

    async def run() -> Result:
        async with AsyncShellEV(job.client_id, job.secret, **options_of(job)) as ev:
            return await run_async(job, ev)

    if job.blocking:
        with ShellEV(job.client_id, job.secret, **options_of(job)) as ev:
            return run_blocking(job, ev)
    return asyncio.run(run())


WHERE = pytest.mark.parametrize("repeat", [once, in_process], ids=["this process", "another process"])
Repeat = Callable[[Job], Result]


def client(service: RawServer, store: str | None) -> AsyncShellEV:
    """A client in this process."""
    return AsyncShellEV("id", "secret", **options_of(Job(url=service.url, store=store)))


async def key_state(ev: AsyncShellEV, key: str = "order-1") -> str | None:
    """State of the entry of a key."""
    entry = await ev.journal.find(key)
    return None if entry is None else entry.state


class TestFirst:
    @WAYS
    @TWINS
    def test_a_new_key_starts_a_charge_that_is_new_and_journalled(
        self, service: RawServer, store: str, way: Way, blocking: bool
    ) -> None:
        result = once(Job(url=service.url, store=store, way=way, blocking=blocking))
        assert (result.error, result.is_new, result.key, result.journalled) == (None, True, "order-1", True)
        assert service.count("start") == 1

    @TWINS
    def test_a_key_without_a_store_is_a_configuration_error_and_nothing_is_sent(
        self, service: RawServer, blocking: bool
    ) -> None:
        result = once(Job(url=service.url, store=None, blocking=blocking))
        assert result.error == "ConfigurationError"
        assert "store=" in result.text
        assert not service.requests

    @pytest.mark.parametrize("key", ["", " order", "~own", "a\nb", "x" * 256])
    def test_a_key_that_cannot_be_kept_is_a_validation_error_and_nothing_is_sent(
        self, service: RawServer, store: str, key: str
    ) -> None:
        assert once(Job(url=service.url, store=store, key=key)).error == "ValidationError"
        assert not service.requests

    async def test_recover_and_journal_without_a_store_are_configuration_errors(self, service: RawServer) -> None:
        async with client(service, None) as ev:
            with pytest.raises(ConfigurationError, match="store="):
                await ev.recover()
            with pytest.raises(ConfigurationError, match="store="):
                _ = ev.journal

    def test_a_charge_without_a_store_is_not_journalled(self, service: RawServer) -> None:
        result = once(Job(url=service.url, store=None, key=None))
        assert (result.error, result.is_new, result.key, result.journalled) == (None, True, None, False)


class TestAccepted:
    @WHERE
    @TWINS
    def test_start_charge_attaches_to_the_charge_of_its_key(
        self, service: RawServer, store: str, repeat: Repeat, blocking: bool
    ) -> None:
        job = Job(url=service.url, store=store, blocking=blocking)
        first, second = once(job), repeat(job)
        assert (second.error, second.is_new, second.key, second.journalled) == (None, False, "order-1", True)
        assert second.session_id == first.session_id
        assert service.count("start") == 1

    @WHERE
    def test_the_same_card_and_evse_in_another_spelling_are_the_same_arguments(
        self, service: RawServer, store: str, repeat: Repeat
    ) -> None:
        job = Job(url=service.url, store=store)
        first = once(job)
        second = repeat(attrs.evolve(job, card=CARD.replace("-", "").lower(), evse=EVSE.lower()))
        assert (second.error, second.session_id) == (None, first.session_id)

    @WHERE
    @TWINS
    def test_a_block_takes_the_charge_over_and_stops_it_on_leaving(
        self, service: RawServer, store: str, repeat: Repeat, blocking: bool
    ) -> None:
        first = once(Job(url=service.url, store=store))
        second = repeat(Job(url=service.url, store=store, way="block", blocking=blocking))
        assert (second.error, second.is_new, second.session_id) == (None, False, first.session_id)
        assert second.state == "stopped"
        assert not service.running()
        assert service.count("start") == 1

    async def test_a_block_that_keeps_running_and_takes_over_what_a_dead_block_left_keeps_it_running(
        self, service: RawServer, store: str
    ) -> None:
        with Child(Job(url=service.url, store=store, way="block", hold=True)) as child:
            await asyncio.to_thread(child.result)
            await asyncio.to_thread(child.kill)
        end_leases(store)
        async with client(service, store) as ev:
            async with ev.charge(CARD, EVSE, key="order-1", keep_running=True) as charge:
                assert not charge.is_new
            recovery = await ev.recover()
            assert [entry.on_crash for entry in recovery.kept] == ["keep"]
            assert recovery.stopped == ()
        assert service.running()

    def test_a_block_that_took_a_charge_over_and_is_killed_leaves_it_to_be_stopped(
        self, service: RawServer, store: str
    ) -> None:
        once(Job(url=service.url, store=store))
        with Child(Job(url=service.url, store=store, way="block", hold=True)) as child:
            child.result()
            child.kill()
        end_leases(store)
        assert service.running()
        assert once(Job(url=service.url, store=store, recover=True)).stopped == ("order-1",)
        assert not service.running()

    @pytest.mark.parametrize("changed", [{"card": OTHER_CARD}, {"evse": OTHER_EVSE}], ids=["card", "EVSE"])
    @WHERE
    @TWINS
    def test_another_card_or_evse_is_refused_and_nothing_is_sent(
        self, service: RawServer, store: str, repeat: Repeat, blocking: bool, changed: dict[str, Any]
    ) -> None:
        job = Job(url=service.url, store=store, blocking=blocking)
        once(job)
        result = repeat(attrs.evolve(job, **changed))
        assert result.error == "KeyReusedError"
        assert "new key" in result.text
        assert "\n" not in result.text
        assert CARD not in result.text
        assert OTHER_CARD not in result.text
        assert service.count("start") == 1

    def test_a_pending_charge_is_released_and_a_repeat_waits_on(self, service: RawServer, store: str) -> None:
        service.start_delay = 1.5
        job = Job(url=service.url, store=store, way="block", start_timeout=0.5)
        first = once(job)
        assert first.error == "ChargePendingError"
        second = once(attrs.evolve(job, start_timeout=10.0))
        assert (second.error, second.is_new, second.session_id) == (None, False, first.session_id)
        assert service.count("start") == 1
        assert not service.running()

    def test_a_block_that_is_pending_at_its_deadline_is_stopped_by_recovery(
        self, service: RawServer, store: str
    ) -> None:
        service.start_delay = 1.0
        assert once(Job(url=service.url, store=store, way="block", start_timeout=0.2)).error == "ChargePendingError"
        assert once(Job(url=service.url, store=store, recover=True)).stopped == ("order-1",)
        assert not service.running()


class TestOwned:
    @WAYS
    @TWINS
    def test_a_key_held_by_an_open_block_of_another_process_is_in_progress(
        self, service: RawServer, store: str, way: Way, blocking: bool
    ) -> None:
        with Child(Job(url=service.url, store=store, way="block", hold=True)) as child:
            child.result()
            result = once(Job(url=service.url, store=store, way=way, blocking=blocking))
            assert result.error == "ChargeInProgressError"
            assert result.error_key == "order-1"
            child.go()
            assert child.result().state == "stopped"
        assert service.count("start") == 1

    async def test_a_key_held_by_another_task_of_this_process_is_in_progress_and_says_by_whom_and_since_when(
        self, service: RawServer, store: str
    ) -> None:
        async with client(service, store) as ev, ev.charge(CARD, EVSE, key="order-1"):
            entry = await ev.journal.find("order-1")
            assert entry is not None
            with pytest.raises(ChargeInProgressError) as caught:
                await ev.start_charge(CARD, EVSE, key="order-1")
            error = caught.value
            assert (error.owner, error.key, error.since) == (entry.owner, "order-1", entry.created_at)
            assert not error.outcome_unknown
            assert "\n" not in str(error)

    def test_a_start_that_is_under_way_in_another_process_is_in_progress(
        self, service: RawServer, store: str, until: Until
    ) -> None:
        service.script("start", hang_after_effect)
        with Child(Job(url=service.url, store=store)) as child:
            until(lambda: service.count("start"))
            result = once(Job(url=service.url, store=store))
            assert (result.error, result.error_key) == ("ChargeInProgressError", "order-1")
            child.kill()
        assert service.count("start") == 1

    def test_another_key_on_the_evse_of_a_start_under_way_is_in_progress_and_names_that_key(
        self, service: RawServer, store: str, until: Until
    ) -> None:
        service.script("start", hang_after_effect)
        with Child(Job(url=service.url, store=store)) as child:
            until(lambda: service.count("start"))
            result = once(Job(url=service.url, store=store, key="order-2", card=OTHER_CARD, evse=EVSE.lower()))
            assert (result.error, result.error_key) == ("ChargeInProgressError", "order-1")
            child.kill()
        assert service.count("start") == 1

    def test_a_paused_process_on_sqlite_is_not_taken_for_dead(
        self, service: RawServer, tmp_path: Any, until: Until
    ) -> None:
        store = str(tmp_path / "charges.sqlite3")
        with Child(Job(url=service.url, store=store, way="block", hold=True)) as child:
            child.result()
            child.signal(signal.SIGSTOP)
            result = once(Job(url=service.url, store=store, recover=True))
            assert result == Result()
            assert service.running()
            child.signal(signal.SIGCONT)
            child.go()
            assert child.result().state == "stopped"


class TestOver:
    @WAYS
    @WHERE
    def test_the_charge_is_returned_as_it_ended(self, service: RawServer, store: str, repeat: Repeat, way: Way) -> None:
        first = once(Job(url=service.url, store=store, way="block"))
        second = repeat(Job(url=service.url, store=store, way=way))
        assert (second.error, second.is_new, second.session_id) == (None, False, first.session_id)
        assert second.state == "stopped"
        assert service.count("start") == service.count("stop") == 1

    @WAYS
    @WHERE
    @TWINS
    def test_a_charge_that_failed_to_start_raises_the_same_error_and_sends_nothing(
        self, service: RawServer, store: str, repeat: Repeat, way: Way, blocking: bool
    ) -> None:
        service.new_session = lambda _: {"fails": True}
        first = once(Job(url=service.url, store=store, way="block"))
        assert first.error == "ChargeFailedError"
        sent = len(service.requests)
        second = repeat(Job(url=service.url, store=store, way=way, blocking=blocking))
        assert (second.error, second.session_id) == ("ChargeFailedError", first.session_id)
        assert "EvNotConnectedToEvse" in second.text
        assert "new" in second.text
        assert [seen.operation for seen in service.requests[sent:] if seen.operation != "token"] == []

    def test_other_arguments_are_refused_after_the_charge_is_over(self, service: RawServer, store: str) -> None:
        once(Job(url=service.url, store=store, way="block"))
        assert once(Job(url=service.url, store=store, card=OTHER_CARD)).error == "KeyReusedError"


class TestRefused:
    @pytest.mark.parametrize("fault", [forbidden, status(409, after_effect=False)], ids=["403", "409"])
    @WAYS
    def test_a_refused_start_leaves_the_key_free_for_any_arguments(
        self, service: RawServer, store: str, fault: Any, way: Way
    ) -> None:
        service.script("start", fault)
        assert once(Job(url=service.url, store=store, way=way)).error not in (None, "OutcomeUnknownError")
        second = once(Job(url=service.url, store=store, way=way, card=OTHER_CARD, evse=OTHER_EVSE))
        assert (second.error, second.is_new) == (None, True)

    async def test_a_start_that_was_surely_not_sent_leaves_no_entry(self, store: str, closed_port: int) -> None:
        options = {"base_url": f"http://127.0.0.1:{closed_port}", "store": store, "max_retries": 0}
        async with AsyncShellEV("id", "secret", **options) as ev:
            with pytest.raises(ShellEVError) as caught:
                await ev.start_charge(CARD, EVSE, key="order-1")
            assert not caught.value.outcome_unknown
            assert await ev.journal.find("order-1") is None

    async def test_attempts_that_are_refused_and_repeated_send_one_start(self, service: RawServer, store: str) -> None:
        service.script("start", too_many(0.1))
        async with client(service, store) as ev:
            charge = await ev.start_charge(CARD, EVSE, key="order-1")
            assert charge.is_new
            assert charge.journalled
        assert service.count("start") == 2
        assert len(service.own_sessions()) == 1


class TestUnknown:
    async def _lose(self, ev: AsyncShellEV, service: RawServer) -> None:
        service.script("start", drop_before_effect)
        with pytest.raises(OutcomeUnknownError):
            await ev.start_charge(CARD, EVSE, key="order-1", start_timeout=0.3)

    @WAYS
    @TWINS
    def test_an_unknown_key_raises_at_once_and_sends_nothing(
        self, service: RawServer, store: str, way: Way, blocking: bool
    ) -> None:
        service.script("start", drop_before_effect)
        assert once(Job(url=service.url, store=store, start_timeout=0.3)).error == "OutcomeUnknownError"
        sent = len(service.requests)
        result = once(Job(url=service.url, store=store, way=way, blocking=blocking))
        assert result.error == "OutcomeUnknownError"
        assert "settle" in result.text
        assert "give_up" in result.text
        assert "\n" not in result.text
        assert len(service.requests) == sent

    async def test_settle_says_which_session_it_is_and_the_key_attaches(self, service: RawServer, store: str) -> None:
        async with client(service, store) as ev:
            await self._lose(ev, service)
            session = service.foreign(CARD, EVSE, id=SESSION)
            settled = await ev.journal.settle("order-1", session.id)
            assert (settled.state, settled.session_id) == ("accepted", SESSION)
            charge = await ev.start_charge(CARD, EVSE, key="order-1")
            assert (charge.session_id, charge.is_new) == (SESSION, False)
        assert service.count("start") == 1

    async def test_a_session_of_another_key_cannot_be_settled_on(self, service: RawServer, store: str) -> None:
        async with client(service, store) as ev:
            await self._lose(ev, service)
            other = await ev.start_charge(OTHER_CARD, OTHER_EVSE, key="order-2")
            with pytest.raises(ChargeInProgressError, match="order-2"):
                await ev.journal.settle("order-1", other.session_id)

    @WHERE
    async def test_a_key_that_is_given_up_starts_again(self, service: RawServer, store: str, repeat: Repeat) -> None:
        async with client(service, store) as ev:
            await self._lose(ev, service)
            assert (await ev.journal.give_up("order-1")).state == "given_up"
            assert await ev.journal.open_charges() == ()
        result = await asyncio.to_thread(repeat, Job(url=service.url, store=store))
        assert (result.error, result.is_new) == (None, True)
        assert service.count("start") == 2

    @pytest.mark.parametrize("operation", ["settle", "give_up"])
    async def test_only_open_starts_are_settled_or_given_up(
        self, service: RawServer, store: str, operation: str
    ) -> None:
        async with client(service, store) as ev:
            await ev.start_charge(CARD, EVSE, key="order-1")
            more = (SESSION,) if operation == "settle" else ()
            for key, word in (("order-1", "accepted"), ("order-9", "no such entry")):
                with pytest.raises(ValidationError, match=word):
                    await getattr(ev.journal, operation)(key, *more)

    async def test_an_entry_without_an_ema_id_is_unknown_at_once_with_an_error_in_the_log(
        self, service: RawServer, store: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        service.script("start", lose_answer_after_effect)
        async with client(service, store) as ev:
            with pytest.raises(OutcomeUnknownError, match="give ema_id="), caplog.at_level(logging.ERROR):
                await ev.start_charge("tag 04A2B3", EVSE, key="order-1")
            assert await key_state(ev) == "unknown"
            assert [record.levelname for record in caplog.records if "ema_id=" in record.message] == ["ERROR"]
            with pytest.raises(OutcomeUnknownError, match="ema_id="):
                await ev.start_charge("tag 04A2B3", EVSE, key="order-1")
        assert service.count("start") == 1


class TestLost:
    def test_a_lost_start_is_found_and_journalled(self, service: RawServer, store: str) -> None:
        service.script("start", lose_answer_after_effect)
        first = once(Job(url=service.url, store=store))
        assert (first.error, first.is_new, first.journalled) == (None, True, True)
        second = once(Job(url=service.url, store=store))
        assert (second.session_id, second.is_new) == (first.session_id, False)

    async def test_reconcile_writes_the_entry_of_a_start_that_shows_late(self, service: RawServer, store: str) -> None:
        service.listing_delay = 1.0
        service.script("start", lose_answer_after_effect)
        async with client(service, store) as ev:
            with pytest.raises(OutcomeUnknownError) as lost:
                await ev.start_charge(CARD, EVSE, key="order-1", start_timeout=0.3)
            assert await key_state(ev) == "unknown"
            charge = await ev.reconcile(lost.value, start_timeout=5)
            entry = await ev.journal.find("order-1")
            assert entry is not None
            assert (entry.state, entry.session_id) == ("accepted", charge.session_id)
            again = await ev.start_charge(CARD, EVSE, key="order-1")
            assert (again.session_id, again.is_new) == (charge.session_id, False)
        assert service.count("start") == 1

    async def test_reconcile_in_another_client_does_not_take_the_session_of_another_key(
        self, service: RawServer, store: str
    ) -> None:
        service.script("start", drop_before_effect)
        async with client(service, store) as ev, client(service, store) as other:
            with pytest.raises(OutcomeUnknownError) as lost:
                await ev.start_charge(CARD, EVSE, key="order-1", start_timeout=0.2)
            started = await other.start_charge(CARD, EVSE, key="order-2")
            with pytest.raises(OutcomeUnknownError):
                await ev.reconcile(lost.value, start_timeout=0.5)
            entry = await ev.journal.find(session_id=started.session_id)
            assert entry is not None
            assert entry.key == "order-2"


class TestJournal:
    async def test_a_bare_start_is_journalled_under_a_key_of_its_own(self, service: RawServer, store: str) -> None:
        async with client(service, store) as ev:
            started = await ev.charging.start(CARD, EVSE)
            (entry,) = await ev.journal.open_charges()
            assert entry.key.startswith("~")
            assert entry.owner is None
            assert entry.on_crash == "keep"
            assert (entry.state, entry.session_id) == ("accepted", started.data.session_id)
            assert entry.request_id == started.request_id
            assert await ev.journal.find(request_id=started.request_id) == entry
            assert await ev.journal.find(session_id=started.data.session_id) == entry

    async def test_a_bare_start_that_is_refused_leaves_no_entry(self, service: RawServer, store: str) -> None:
        service.script("start", forbidden)
        async with client(service, store) as ev:
            with pytest.raises(ShellEVError):
                await ev.charging.start(CARD, EVSE)
            assert await ev.journal.open_charges() == ()

    async def test_the_stop_of_an_attached_charge_writes_the_entry_in_another_client(
        self, service: RawServer, store: str
    ) -> None:
        async with client(service, store) as ev, client(service, store) as other:
            charge = await ev.start_charge(CARD, EVSE, key="order-1")
            await other.attach(charge.session_id).stop()
            entry = await ev.journal.find("order-1")
            assert entry is not None
            assert entry.state == "over"
            assert entry.over_at is not None
            assert await ev.journal.open_charges() == ()

    async def test_the_stop_of_a_charge_with_a_block_open_elsewhere_is_written_and_the_block_ends_well(
        self, service: RawServer, store: str
    ) -> None:
        async with client(service, store) as ev, client(service, store) as other:
            async with ev.charge(CARD, EVSE, key="order-1") as charge:
                await other.attach(charge.session_id).stop()
            assert charge.is_over
            assert await key_state(ev) == "over"

    async def test_prune_removes_what_is_over_and_keeps_what_is_open(self, service: RawServer, store: str) -> None:
        async with client(service, store) as ev:
            async with ev.charge(CARD, EVSE, key="order-1"):
                pass
            await ev.start_charge(CARD, OTHER_EVSE, key="order-2")
            assert await ev.journal.prune() == 0
            await asyncio.sleep(0.01)
            assert await ev.journal.prune(older_than=0.001) == 1
            assert await key_state(ev) is None
            assert await key_state(ev, "order-2") == "accepted"

    async def test_keys_of_another_client_id_are_other_keys(self, service: RawServer, store: str) -> None:
        first = await asyncio.to_thread(once, Job(url=service.url, store=store))
        second = await asyncio.to_thread(once, Job(url=service.url, store=store, client_id="other"))
        assert second.is_new
        assert second.session_id != first.session_id
        async with client(service, store) as ev:
            assert [entry.session_id for entry in await ev.journal.open_charges()] == [first.session_id]

    def test_the_blocking_journal_does_the_same(self, service: RawServer, store: str) -> None:
        with ShellEV("id", "secret", **options_of(Job(url=service.url, store=store))) as ev:
            charge = ev.start_charge(CARD, EVSE, key="order-1")
            (entry,) = ev.journal.open_charges()
            assert (entry.key, entry.session_id) == ("order-1", charge.session_id)
            assert ev.recover().kept[0].key == "order-1"
            ev.attach(charge.session_id).stop()
            found = ev.journal.find("order-1")
            assert found is not None
            assert found.state == "over"
            assert ev.journal.check() == ()
            assert ev.journal.prune() == 0


class TestCrossing:
    async def test_two_orders_on_one_card_and_evse_each_keep_their_own_session(
        self, service: RawServer, store: str
    ) -> None:
        """The first is lost without an effect; the second one's session must not become its own."""

        def choose(seen: Seen) -> Any:
            is_first = seen.operation == "start" and service.count("start") == 0
            return drop_before_effect if is_first else None

        service.choose = choose
        async with client(service, store) as ev, client(service, store) as other:
            with pytest.raises(OutcomeUnknownError):
                await ev.start_charge(CARD, EVSE, key="order-1", start_timeout=0.2)
            second = await other.start_charge(CARD, EVSE, key="order-2")
            with pytest.raises(OutcomeUnknownError):
                await ev.start_charge(CARD, EVSE, key="order-1")
            entry = await ev.journal.find(session_id=second.session_id)
            assert entry is not None
            assert entry.key == "order-2"


async def test_a_start_whose_session_was_settled_by_another_process_hides_no_session_of_a_dead_one(
    service: RawServer, store: str, until: Until
) -> None:
    """A start of unknown outcome is in the way of every adoption on its card and EVSE, until the journal knows it."""
    async with client(service, store) as ev:
        service.script("start", drop_before_effect)
        with pytest.raises(OutcomeUnknownError):
            await ev.start_charge(CARD, EVSE, key="order-1", start_timeout=0.3)
        async with client(service, store) as operator:
            await operator.journal.settle("order-1", SESSION)
        service.script("start", hang_after_effect)
        with Child(Job(url=service.url, store=store, key="order-2")) as child:
            await asyncio.to_thread(until, lambda: len(service.own_sessions()) == 1)
            child.kill()
        await asyncio.to_thread(end_leases, store)
        charge = await ev.start_charge(CARD, EVSE, key="order-2", start_timeout=5.0)
        assert (charge.session_id, charge.is_new) == (service.own_sessions()[0].id, False)
    assert service.count("start") == 2
