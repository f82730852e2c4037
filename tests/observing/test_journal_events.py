"""What observers, OpenTelemetry and the page on observability show of a client with a store."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fakes import CARD, EVSE
from telemetry import Telemetry
from test_page import attributes_in, first_cells, section

from shell_ev import AsyncShellEV, OutcomeUnknownError, StoreError
from shell_ev.charges import open_blocks
from shell_ev.charges.poller import Polling
from shell_ev.observing import Claimed, EntryRecovered, Observer, RecoveryEnded, RecoveryObserver, TakenOver
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.testing.storing import crash

QUICK = Polling(eager=0.01)


class Pass(RecoveryObserver):
    """Remembers one pass."""

    def __init__(self, everything: list[Any]) -> None:
        self._everything = everything

    def entry_recovered(self, event: EntryRecovered) -> None:
        self._everything.append(event)

    def ended(self, event: RecoveryEnded) -> None:
        self._everything.append(event)


class Watching(Observer):
    """Remembers what becomes of entries."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def claimed(self, event: Claimed) -> None:
        self.events.append(event)

    def taken_over(self, event: TakenOver) -> None:
        self.events.append(event)

    def recovery_began(self) -> RecoveryObserver:
        self.events.append("recovery began")
        return Pass(self.events)


@pytest.fixture
def quick(sandbox: Sandbox) -> Sandbox:
    sandbox.start_delay = sandbox.stop_delay = 0.0
    return sandbox


def client(sandbox: Sandbox, folder: Path, **options: Any) -> AsyncShellEV:
    return AsyncShellEV(
        sandbox.client_id,
        sandbox.client_secret,
        base_url=sandbox.url,
        store=folder / "charges.sqlite3",
        timeout=5,
        **options,
    )


async def killed_in_a_block(sandbox: Sandbox, folder: Path, key: str = "order-1") -> None:
    """Leave what a process leaves that is killed with a charge."""
    dead = client(sandbox, folder)
    block = dead.charge(CARD, EVSE, key=key, polling=QUICK)
    await block.__aenter__()
    crash(dead)
    open_blocks.left(block)
    await dead.aclose()


class TestHooks:
    async def test_a_start_claims_its_key_once_before_it_is_sent(self, quick: Sandbox, tmp_path: Path) -> None:
        heard = Watching()
        quick.faults.add("charging.start", Fault.rate_limit(0.01))
        async with client(quick, tmp_path, observer=heard) as ev:
            charge = await ev.start_charge(CARD, EVSE, key="order-1")
            again = await ev.start_charge(CARD, EVSE, key="order-1")
            started = await ev.charging.start(CARD, "NL*TNM*E02003451*1")
        assert not again.is_new
        assert [type(event) for event in heard.events] == [Claimed, Claimed]
        keyed, bare = heard.events
        assert (keyed.key, keyed.request_id, keyed.evse_id) == ("order-1", charge.request_id, EVSE)
        assert (keyed.session_id, keyed.on_crash) == (None, "keep")
        assert (bare.key, bare.request_id) == (None, started.request_id)

    async def test_a_recovery_shows_its_takeovers_and_what_they_came_to(self, quick: Sandbox, tmp_path: Path) -> None:
        await killed_in_a_block(quick, tmp_path)
        heard = Watching()
        async with client(quick, tmp_path, observer=heard) as ev:
            recovery = await ev.recover()
        began, taken, recovered, ended = heard.events
        assert began == "recovery began"
        assert (taken.by, taken.key, taken.state, taken.on_crash) == ("recovery", "order-1", "accepted", "stop")
        assert taken.previous_owner is not None
        assert (recovered.outcome, recovered.key, recovered.error) == ("stopped", "order-1", None)
        assert recovered.session_id == recovery.stopped[0].session_id == taken.session_id
        assert (ended.stopped, ended.kept, ended.unknown, ended.failed, ended.error) == (1, 0, 0, 0, None)
        assert 0 < recovered.elapsed <= ended.elapsed

    async def test_a_stop_that_fails_is_shown_with_its_error(self, quick: Sandbox, tmp_path: Path) -> None:
        await killed_in_a_block(quick, tmp_path)
        quick.faults.always("charging.stop", Fault.status(400))
        heard = Watching()
        async with client(quick, tmp_path, observer=heard) as ev:
            await ev.recover()
        recovered, ended = heard.events[2:]
        assert (recovered.outcome, type(recovered.error).__name__) == ("failed", "ChargeNotStoppedError")
        assert ended.failed == 1

    async def test_a_block_and_a_start_that_take_over_say_so(self, quick: Sandbox, tmp_path: Path) -> None:
        heard = Watching()
        await killed_in_a_block(quick, tmp_path)
        async with client(quick, tmp_path, observer=heard) as ev:
            async with ev.charge(CARD, EVSE, key="order-1", polling=QUICK):
                pass
            quick.faults.add("charging.start", Fault.hang())
            quick.faults.always("charging.active", Fault.status(503))
            async with client(quick, tmp_path) as other:
                with pytest.raises(OutcomeUnknownError):
                    await other.with_options(timeout=0.3).start_charge(CARD, EVSE, key="order-2", start_timeout=0.1)
            quick.faults.clear()
            charge = await ev.start_charge(CARD, EVSE, key="order-2", polling=QUICK)
        taken = [event for event in heard.events if isinstance(event, TakenOver)]
        assert [(event.by, event.key, event.state) for event in taken] == [
            ("block", "order-1", "accepted"),
            ("start", "order-2", "sent"),
        ]
        assert not charge.is_new

    async def test_a_pass_that_cannot_read_the_store_ends_with_its_error(self, quick: Sandbox, tmp_path: Path) -> None:
        heard = Watching()
        (tmp_path / "charges.sqlite3").write_bytes(b"no database " * 1000)
        async with client(quick, tmp_path, observer=heard) as ev:
            with pytest.raises(StoreError):
                await ev.recover()
        began, ended = heard.events
        assert began == "recovery began"
        assert isinstance(ended.error, StoreError)

    @pytest.mark.parametrize("hook", ["claimed", "taken_over", "recovery_began", "entry_recovered", "ended"])
    async def test_a_hook_that_raises_is_logged_and_changes_nothing(
        self, quick: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, hook: str
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("a fault of the application")

        class Broken(Watching):
            def recovery_began(self) -> RecoveryObserver:
                listener = super().recovery_began()
                if hook in ("entry_recovered", "ended"):
                    setattr(listener, hook, fail)
                return listener

        broken, after = Broken(), Watching()
        if hook not in ("entry_recovered", "ended"):
            setattr(broken, hook, fail)
        await killed_in_a_block(quick, tmp_path)
        async with client(quick, tmp_path, observer=[broken, after]) as ev:
            assert len((await ev.recover()).stopped) == 1
            await ev.start_charge(CARD, EVSE, key="order-2")
        kinds = [type(event).__name__ for event in after.events]
        assert kinds == ["str", "TakenOver", "EntryRecovered", "RecoveryEnded", "Claimed"]
        (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert hook in line


class TestOpenTelemetry:
    @pytest.fixture
    async def seen(self, quick: Sandbox, tmp_path: Path) -> Telemetry:
        """A claim, a takeover and a recovery, and one that fails, with ids."""
        seen = Telemetry(record_ids=True)
        await self._run(quick, tmp_path, seen)
        quick.faults.always("charging.stop", Fault.status(400))
        await killed_in_a_block(quick, tmp_path, "order-3")
        async with client(quick, tmp_path, observer=seen.observer) as ev:
            await ev.recover()
        (tmp_path / "charges.sqlite3").write_bytes(b"no database " * 1000)
        async with client(quick, tmp_path, observer=seen.observer) as ev:
            with pytest.raises(StoreError):
                await ev.recover()
        return seen

    async def _run(self, sandbox: Sandbox, folder: Path, seen: Telemetry) -> None:
        await killed_in_a_block(sandbox, folder)
        async with client(sandbox, folder, observer=seen.observer) as ev:
            await ev.recover()
            charge = await ev.start_charge(CARD, EVSE, key="order-2", polling=QUICK)
            await charge.stop()

    async def test_a_recovery_is_a_span_and_its_calls_are_children(self, quick: Sandbox, tmp_path: Path) -> None:
        seen = Telemetry()
        await self._run(quick, tmp_path, seen)
        span = seen.one("shell_ev.recovery")
        assert span.attributes is not None
        assert span.attributes["shell_ev.recovery.stopped"] == 1
        assert [event.name for event in span.events] == ["shell_ev.taken_over", "shell_ev.recovered"]
        stops = seen.named("shell_ev.charging.stop")
        assert stops[0].parent is not None
        assert stops[0].parent.span_id == span.get_span_context().span_id  # type: ignore[union-attr]
        assert stops[1].parent is None
        start = seen.one("shell_ev.charging.start")
        assert [event.name for event in start.events] == ["shell_ev.claimed"]
        text = seen.everything()
        assert "order-" not in text
        assert EVSE not in text

    async def test_the_metrics_count_claims_takeovers_and_recoveries(self, seen: Telemetry) -> None:
        def value(name: str) -> dict[tuple[Any, ...], Any]:
            return {tuple(attributes.values()): point.value for attributes, point in seen.points(name)}

        assert value("shell_ev.claims") == {(): 1}
        assert value("shell_ev.takeovers") == {("recovery",): 2}
        recovered = {tuple(a.get(k) for k in sorted(a)): p.count for a, p in seen.points("shell_ev.recovered.duration")}
        assert recovered == {("stopped",): 1, ("ChargeNotStoppedError", "failed"): 1}
        assert seen.counts("shell_ev.recovery.duration") == {(): 2, ("StoreError",): 1}

    async def test_the_page_names_what_is_recorded(self, seen: Telemetry) -> None:
        text = section("Charges in a store")
        recoveries = seen.named("shell_ev.recovery")
        events = [event for span in seen.spans for event in span.events if event.name in first_cells(text)]
        assert {event.name for event in events} == {"shell_ev.claimed", "shell_ev.taken_over", "shell_ev.recovered"}
        recorded = {name for event in events for name in event.attributes or {}}
        recorded |= {name for span in recoveries for name in span.attributes or {}}
        metrics = {name for name in seen.metrics() if re.search("claims|takeovers|recover", name)}
        recorded |= {name for metric in metrics for attributes, _ in seen.points(metric) for name in attributes}
        spans = {"shell_ev.recovery", "shell_ev.charging.start"}
        assert attributes_in(text) == recorded | {event.name for event in events} | metrics | spans
