"""SIGKILL at every crash point, in real processes: the points, and what recovery has to make of each.

Each crash leaves an entry and perhaps a session. Three ways to recover follow it, each in a file of tests of its own:
``recover()`` in another process, in two processes at once, and a start with the same key.
"""

from __future__ import annotations

import asyncio
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

from recovery.child import Child, Job, Result, Way, options_of
from recovery.conftest import Until, end_leases
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
AFTER_THE_EFFECT = next(point for point in POINTS if point.name == "after the effect")
NOT_SENT = next(point for point in POINTS if point.name == "intent written, not sent")
CASES = [
    pytest.param(point, way, id=f"{point.name}-{way}")
    for point in POINTS
    for way in ("start_charge", "block")
    if way == "block" or not point.block_only
]
crashes = pytest.mark.parametrize(("point", "way"), CASES)
#: The blocking twin shares all of this below its portal: its runs are those of .ci/run.
twins = pytest.mark.parametrize(
    "blocking", [False, pytest.param(True, marks=pytest.mark.servers)], ids=["async", "blocking"]
)


def crash(point: Point, job: Job, service: RawServer, until: Until) -> None:
    """Kill a process at a point, and see that it left what the point is about."""
    service.start_delay = point.start_delay
    if point.start is not None:
        service.script("start", point.start)
    if point.stop is not None:
        service.script("stop", point.stop)
    with Child(attrs.evolve(job, die_before=point.before, die_after=point.after)) as child:
        if point.killed_once is not None:
            killed_once = point.killed_once
            until(lambda: service.count(killed_once))
            if point.leaves == "waiting":
                until(lambda: getattr(entry_of(service, job), "state", None) == "waiting")
            child.kill()
        else:
            child.wait_killed()
    end_leases(job.store)
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


def check_recovery(job: Job, service: RawServer, until: Until, point: Point, count: int) -> None:
    """Kill a process at a point, recover in some processes at once, and see that the outcome is that of the table."""
    way = job.way
    crash(point, job, service, until)
    starts, stops = service.count("start"), service.count("stop")
    result = recovered_by(job, count)
    wanted = expected(point, way)
    for name in ("stopped", "failed"):
        assert Counter(getattr(result, name)) == Counter(getattr(wanted, name)), name
    for name in ("kept", "unknown"):  # listed by a process that came later, too
        assert set(getattr(result, name)) == set(getattr(wanted, name)), name
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
