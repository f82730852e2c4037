"""SIGKILL at every crash point, in real processes, and what each way of recovering makes of it.

Each crash leaves an entry and perhaps a session. Three ways to recover follow it: ``recover()`` in another process, in
two processes at once, and a start with the same key.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest
from adversary.raw_server import (
    Fault,
    RawServer,
    hang_after_effect,
    hang_before_effect,
    late_effect,
    lose_answer_after_effect,
    too_many,
)

from recovery.child import CARD, EVSE, Child, Job, Result, Way, in_process, options_of
from recovery.conftest import Until
from shell_ev import AsyncShellEV
from shell_ev.charges.journal import JournalEntry

TICKET, LEDGER = "shell_ev.core.ticket:Ticket", "shell_ev.core.ledger:Ledger"


@attrs.frozen(kw_only=True)
class Point:
    """One crash, and what has to follow."""

    name: str
    before: str | None = None
    after: str | None = None
    """Where the process kills itself."""
    start: Fault | None = None
    stop: Fault | None = None
    killed_once: str | None = None
    """Operation whose first request has the test kill the process; with a fault that holds it."""
    block_only: bool = False
    leaves: str | None = "sent"
    """State of the entry."""
    runs: bool = True
    """Whether a session was made, or is going to be."""
    start_delay: float = 0.1
    is_over: bool = False
    """Whether the session is over, or a stop of it was sent."""


POINTS = [
    Point(name="before the gate", before=f"{TICKET}.enter", leaves=None, runs=False),
    Point(name="between two attempts", start=too_many(3), killed_once="start", leaves="waiting", runs=False),
    Point(name="intent written, not sent", after=f"{TICKET}.enter", runs=False),
    Point(name="on arrival", start=hang_before_effect, killed_once="start", runs=False),
    Point(name="on arrival, effect later", start=late_effect(0.3), killed_once="start"),
    Point(name="after the effect", start=hang_after_effect, killed_once="start"),
    Point(name="after the answer", before=f"{TICKET}.accepted"),
    Point(name="during the look-up", start=lose_answer_after_effect, before=f"{LEDGER}.hold_listed"),
    Point(name="accepted, recorded", after=f"{TICKET}.accepted", leaves="accepted"),
    Point(name="accepted, pending", after=f"{TICKET}.accepted", leaves="accepted", start_delay=1.0),
    Point(
        name="stop sent, no answer",
        stop=hang_after_effect,
        killed_once="stop",
        leaves="accepted",
        block_only=True,
        is_over=True,
    ),
    Point(name="stop not carried out", stop=hang_before_effect, killed_once="stop", leaves="accepted", block_only=True),
    Point(name="over, not recorded", before=f"{LEDGER}.ended", leaves="accepted", block_only=True, is_over=True),
]
CASES = [
    pytest.param(point, way, id=f"{point.name}-{way}")
    for point in POINTS
    for way in ("start_charge", "block")
    if way == "block" or not point.block_only
]
crashes = pytest.mark.parametrize(("point", "way"), CASES)
#: The blocking twin shares all of this below its portal: its runs are those of .ci/run.
twins = pytest.mark.parametrize(
    "blocking", [False, pytest.param(True, marks=pytest.mark.long)], ids=["async", "blocking"]
)


#: On PostgreSQL a dead process is seen when its lease ends: after these seconds here, a minute in earnest.
LEASE = 2.0


def is_leased(job: Job) -> bool:
    """Whether the store of a job sees a death by a lease."""
    return job.store is not None and job.store.startswith("postgresql")


def crash(point: Point, job: Job, service: RawServer, until: Until) -> None:
    """Kill a process at a point, and see that it left what the point is about."""
    service.start_delay = point.start_delay
    if point.start is not None:
        service.script("start", point.start)
    if point.stop is not None:
        service.script("stop", point.stop)
    lease = LEASE if is_leased(job) else None
    with Child(attrs.evolve(job, die_before=point.before, die_after=point.after, lease=lease)) as child:
        if point.killed_once is not None:
            killed_once = point.killed_once
            until(lambda: service.count(killed_once))
            if point.leaves == "waiting":
                until(lambda: getattr(entry_of(service, job), "state", None) == "waiting")
            child.kill()
        else:
            child.wait_killed()
    if lease is not None:
        time.sleep(lease + 0.2)
    entry = entry_of(service, job)
    assert (None if entry is None else entry.state) == point.leaves
    is_released = entry is None or (entry.state == "accepted" and job.way == "start_charge")
    assert is_released or entry.owner, "the entry has no owner: it is not what a crash leaves"


def entry_of(service: RawServer, job: Job) -> JournalEntry | None:
    """The entry of a job's key."""

    async def find() -> JournalEntry | None:
        async with AsyncShellEV("id", "secret", **options_of(job)) as ev:
            return await ev.journal.find(job.key)

    return asyncio.run(find())


@contextmanager
def recoverers(job: Job, count: int) -> Iterator[list[Child]]:
    """Processes that recover at the same time."""
    children = [Child(attrs.evolve(job, recover=True)) for _ in range(count)]
    try:
        yield children
    finally:
        for child in children:
            child.__exit__()


def recovered_by(job: Job, count: int) -> Result:
    """What some processes that recover at once come to together."""
    with recoverers(job, count) as children:
        results = [child.result() for child in children]
    names = ("stopped", "kept", "unknown", "failed")
    return Result(**{name: tuple(key for result in results for key in getattr(result, name)) for name in names})


def expected(point: Point, way: Way) -> Result:
    """What recovery says of a crash."""
    if point.leaves in (None, "waiting"):
        return Result()
    if not point.runs:
        return Result(unknown=("order-1",))
    return Result(stopped=("order-1",)) if way == "block" else Result(kept=("order-1",))


@crashes
@twins
@pytest.mark.parametrize("count", [1, 2], ids=["by another", "by two at once"])
def test_recovery_makes_of_a_crash_what_the_table_says(
    service: RawServer, store: str, until: Until, point: Point, way: Way, blocking: bool, count: int
) -> None:
    job = Job(url=service.url, store=store, way=way, blocking=blocking)
    crash(point, job, service, until)
    starts, stops = service.count("start"), service.count("stop")
    result = recovered_by(job, count)
    wanted = expected(point, way)
    for name in ("stopped", "unknown", "failed"):
        assert Counter(getattr(result, name)) == Counter(getattr(wanted, name)), name
    assert set(result.kept) == set(wanted.kept)  # listed by everyone, owned by none
    assert service.count("start") == starts, "recovery started something"
    assert len(service.own_sessions()) == point.runs
    assert bool(service.running()) == (point.runs and way == "start_charge")
    to_be_stopped = point.runs and way == "block"
    assert service.count("stop") - stops == (to_be_stopped and not point.is_over), "recovery looks before it stops"
    assert sum(seen.carried_out for seen in service.seen("stop")) == to_be_stopped, "stopped more than once"
    entry = entry_of(service, job)
    after = {(False, "block"): "unknown", (True, "block"): "over", (True, "start_charge"): "accepted"}
    left = None if wanted == Result() else after.get((point.runs, way), "unknown")
    assert (None if entry is None else entry.state) == left
    assert entry is None or entry.owner is None


@crashes
@twins
def test_a_start_with_the_key_of_a_crash_meets_what_the_table_says(
    service: RawServer, store: str, until: Until, point: Point, way: Way, blocking: bool
) -> None:
    job = Job(url=service.url, store=store, way=way, blocking=blocking)
    crash(point, job, service, until)
    result = in_process(job)
    if point.leaves in (None, "waiting"):
        assert (result.error, result.is_new) == (None, True)
    elif not point.runs:
        assert result.error == "OutcomeUnknownError"
    else:
        assert (result.error, result.is_new, result.journalled) == (None, False, True)
        assert result.session_id == service.own_sessions()[0].id
    assert len(service.own_sessions()) <= 1, "doubled"
    has_one = point.runs or result.is_new
    assert bool(service.running()) == (bool(has_one) and way == "start_charge")
    carried_out = [seen for seen in service.seen("start") if seen.carried_out]
    assert len(carried_out) == bool(has_one)


RECOVERY_POINTS = [
    pytest.param(f"{LEDGER}.take_over", None, id="after the takeover"),
    pytest.param(f"{LEDGER}.write", None, id="after the session was written"),
    pytest.param(None, "shell_ev.endpoints.charging:AsyncCharging.stop", id="before the stop"),
    pytest.param("shell_ev.endpoints.charging:AsyncCharging.stop", None, id="after the stop"),
    pytest.param(None, f"{LEDGER}.ended", id="before the end is written"),
    pytest.param(f"{LEDGER}.ended", None, id="after the end was written"),
    pytest.param(None, f"{LEDGER}.release", id="before the entry is released"),
]


@pytest.mark.parametrize(("after", "before"), RECOVERY_POINTS)
@twins
@pytest.mark.parametrize("count", [1, 2], ids=["by another", "by two at once"])
def test_a_recovery_that_is_killed_is_taken_over_by_the_next(
    service: RawServer,
    store: str,
    until: Until,
    after: str | None,
    before: str | None,
    blocking: bool,
    count: int,
) -> None:
    service.stop_delay = 1.0  # longer than the next process takes to begin: the stop is under way then
    job = Job(url=service.url, store=store, way="block", blocking=blocking)
    crash(next(point for point in POINTS if point.name == "after the effect"), job, service, until)
    lease = LEASE if is_leased(job) else None
    with Child(attrs.evolve(job, recover=True, die_after=after, die_before=before, lease=lease)) as child:
        child.wait_killed()
    if lease is not None:
        time.sleep(lease + 0.2)
    result = recovered_by(job, count)
    entry = entry_of(service, job)
    assert entry is not None
    assert (entry.state, entry.owner, result.failed, result.unknown) == ("over", None, (), ())
    assert len(result.stopped) <= 1
    assert not service.running()
    assert len(service.own_sessions()) == service.count("start") == 1
    assert service.count("stop") == sum(seen.carried_out for seen in service.seen("stop")) == 1


@twins
def test_a_block_that_takes_over_the_lost_start_of_a_dead_block_stops_it(
    service: RawServer, store: str, until: Until, blocking: bool
) -> None:
    job = Job(url=service.url, store=store, way="start_charge", blocking=blocking)
    crash(next(point for point in POINTS if point.name == "after the effect"), job, service, until)
    result = in_process(attrs.evolve(job, way="block"))
    assert (result.error, result.is_new, result.state) == (None, False, "stopped")
    assert not service.running()


def test_another_key_on_the_evse_of_a_lost_start_recovers_that_first(
    service: RawServer, store: str, until: Until
) -> None:
    job = Job(url=service.url, store=store)
    crash(next(point for point in POINTS if point.name == "after the effect"), job, service, until)
    result = in_process(attrs.evolve(job, key="order-2", evse=EVSE.lower()))
    assert (result.error, result.is_new) == (None, True)
    entry = entry_of(service, job)
    assert entry is not None
    assert (entry.state, entry.session_id) == ("accepted", service.own_sessions()[0].id)
    assert result.session_id == service.own_sessions()[1].id


def test_another_key_on_the_evse_of_a_lost_start_that_stays_open_is_in_progress_and_names_it(
    service: RawServer, store: str, until: Until
) -> None:
    job = Job(url=service.url, store=store)
    crash(next(point for point in POINTS if point.name == "after the effect"), job, service, until)
    service.always("active", hang_before_effect)
    result = in_process(attrs.evolve(job, key="order-2"))
    assert (result.error, result.error_key) == ("ChargeInProgressError", "order-1")
    assert service.count("start") == 1


def test_two_orders_that_cross_each_keep_their_own_session(service: RawServer, store: str, until: Until) -> None:
    """A is killed before it is sent, B starts on the same card and EVSE: A's recovery must not take B's session."""
    job = Job(url=service.url, store=store)
    crash(next(point for point in POINTS if point.name == "intent written, not sent"), job, service, until)
    other = in_process(attrs.evolve(job, key="order-2", start_timeout=0.3))
    assert (other.error, other.is_new) == (None, True)
    assert recovered_by(job, 1).unknown in ((), ("order-1",))
    assert in_process(job).error == "OutcomeUnknownError"
    entry = entry_of(service, attrs.evolve(job, key="order-2"))
    assert entry is not None
    assert entry.session_id == other.session_id == service.own_sessions()[0].id
    assert CARD not in str(entry)


@pytest.mark.parametrize("ahead", [-90.0, 90.0], ids=["behind", "ahead"])
def test_a_session_is_found_although_the_clock_of_the_dead_process_was_wrong(
    service: RawServer, store: str, until: Until, ahead: float
) -> None:
    job = Job(url=service.url, store=store, way="block", clock_ahead=ahead)
    crash(next(point for point in POINTS if point.name == "after the effect"), job, service, until)
    assert recovered_by(attrs.evolve(job, clock_ahead=0.0), 1).stopped == ("order-1",)
    assert not service.running()


def test_a_session_is_found_by_a_process_with_a_wrong_clock(service: RawServer, store: str, until: Until) -> None:
    job = Job(url=service.url, store=store, way="block")
    crash(next(point for point in POINTS if point.name == "after the effect"), job, service, until)
    assert recovered_by(attrs.evolve(job, clock_ahead=90.0), 1).stopped == ("order-1",)
