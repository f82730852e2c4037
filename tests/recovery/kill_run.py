"""Processes that are killed at random while they start charges, and the figures that say if the promise held.

Run it by hand with ``python -m recovery.kill_run STORE [KEYS] [SEED]`` from the folder ``tests``, STORE being sqlite
or postgres; by the marker ``long``; or short in the suite. The service is the truth. It runs in the process that
kills, which is never killed itself, at speed 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from multiprocessing.context import ForkServerProcess
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import attrs
from adversary.raw_server import (
    Fault,
    RawServer,
    Seen,
    Session,
    lose_answer_after_effect,
    reset_after_effect,
    reset_before_effect,
    slow,
    status,
    too_many,
    unavailable_after_effect,
)

from recovery.child import hasten, shorten_leases
from shell_ev import AsyncShellEV, ShellEVError
from shell_ev.charges.recover import Recoverer, Recovery
from shell_ev.core.ledger import Ledger
from shell_ev.store.journal import Entry

_contexts = multiprocessing.get_context("forkserver")
#: Charges that one process has under way at once.
AT_ONCE = 4
#: Seconds of a lease on PostgreSQL, in place of a minute.
LEASE = 6.0
FAULTS: dict[str, list[Fault]] = {
    "start": [
        lose_answer_after_effect,
        reset_after_effect,
        reset_before_effect,
        status(500, after_effect=True),
        unavailable_after_effect(None),
        too_many(0.1),
        slow(0.4),
    ],
    "stop": [lose_answer_after_effect, reset_before_effect, status(500, after_effect=False), slow(0.3)],
    "retrieve": [status(503, after_effect=False), slow(0.2), reset_before_effect],
    "active": [status(503, after_effect=False), slow(0.2)],
}


@attrs.frozen(kw_only=True)
class Order:
    """One key, with its card and EVSE."""

    key: str
    card: str
    evse: str
    is_block: bool
    hold: float
    """Seconds that a block stays open."""


@attrs.frozen(kw_only=True)
class Plan:
    """The size of a run."""

    keys: int
    processes: int
    seed: int = 1
    kill_every: tuple[float, float] = (0.1, 0.5)
    longest: float = 540.0
    """Seconds in all."""
    longest_hold: float = 5.0
    """Seconds that a block stays open at most."""
    database_kills: int = 0
    least: tuple[int, int, int] = (0, 0, 0)
    """Kills, adoptions and takeovers without which a run proves nothing."""


def orders_of(plan: Plan) -> list[Order]:
    """The orders: half of them in pairs on one card and EVSE, blocks and bare charges mixed."""
    chance = random.Random(plan.seed)
    orders: list[Order] = []
    for number in range(plan.keys):
        place = number - 1 if number % 4 == 1 else number
        orders.append(
            Order(
                key=f"order-{number}",
                card=f"NL-TNM-C{place:08d}-K",
                evse=f"NL*TNM*E{place:08d}*0",
                is_block=chance.random() < 0.7,
                hold=chance.uniform(0.2, plan.longest_hold),
            )
        )
    return orders


def _count(reported: Queue[tuple[Any, ...]]) -> None:
    take_over = Ledger.take_over

    async def counted(self: Ledger, entry: Any, **options: Any) -> Any:
        taken = await take_over(self, entry, **options)
        if taken is not None:
            reported.put(("takeover", entry.key, taken.fence))
        return taken

    Ledger.take_over = counted  # type: ignore[method-assign]
    look_for = Recoverer.look_for

    async def looked_for(self: Recoverer, taken: Entry, *args: Any, **options: Any) -> Entry:
        after = await look_for(self, taken, *args, **options)
        if after.session_id is not None:
            reported.put(("adoption", taken.key))
        return after

    Recoverer.look_for = looked_for  # type: ignore[method-assign]


async def _deliver(ev: AsyncShellEV, order: Order, reported: Queue[tuple[Any, ...]]) -> None:
    options: dict[str, Any] = {"key": order.key, "start_timeout": 2.0, "stop_timeout": 6.0}
    try:
        if order.is_block:
            async with ev.charge(order.card, order.evse, **options) as charge:
                reported.put(("charge", order.key, charge.session_id, charge.is_new, charge.adopted))
                await asyncio.sleep(order.hold)
        else:
            charge = await ev.start_charge(order.card, order.evse, **options)
            reported.put(("charge", order.key, charge.session_id, charge.is_new, charge.adopted))
    except ShellEVError as error:
        reported.put(("error", order.key, type(error).__name__, error.outcome_unknown))
    reported.put(("done", order.key))


async def _serve(url: str, store: str, work: Queue[Order], reported: Queue[tuple[Any, ...]], every: float) -> None:
    def recovered(recovery: Recovery) -> None:
        for entry in recovery.stopped:
            reported.put(("recovered", entry.key, entry.session_id))

    async def one() -> None:
        while True:
            try:
                order = work.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.05)
                continue
            await _deliver(ev, order, reported)

    async with AsyncShellEV("id", "secret", base_url=url, store=store, timeout=2.0) as ev:
        await ev.recover(every=every, on_recovered=recovered)
        reported.put(("ready", ""))
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))


def _worker(url: str, store: str, work: Queue[Order], reported: Queue[tuple[Any, ...]], every: float) -> None:
    hasten()
    shorten_leases(LEASE)
    _count(reported)
    asyncio.run(_serve(url, store, work, reported, every))


class Worker:
    """A process with a queue of its own: a killed one does not break the queue of another."""

    def __init__(self, url: str, store: str, every: float) -> None:
        self.work: Queue[Order] = _contexts.Queue()
        self.reported: Queue[tuple[Any, ...]] = _contexts.Queue()
        self.given: dict[str, Order] = {}
        self.is_ready = False
        """Whether it works: a kill before that proves nothing."""
        self.process: ForkServerProcess = _contexts.Process(
            target=_worker, args=(url, store, self.work, self.reported, every)
        )
        self.process.start()

    def give(self, order: Order) -> None:
        """Deliver an order."""
        self.given[order.key] = order
        self.work.put(order)

    def drain(self) -> list[tuple[Any, ...]]:
        """What it said since the last time."""
        said: list[tuple[Any, ...]] = []
        # A message that was cut off by a kill cannot be read.
        with contextlib.suppress(queue.Empty, EOFError, OSError, ValueError):
            while True:
                said.append(self.reported.get_nowait())
        return said

    def end(self) -> None:
        """Kill the process and give its queues back."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        for used in (self.work, self.reported):
            used.cancel_join_thread()
            used.close()


@attrs.define(kw_only=True)
class Figures:
    """What a run came to, from the records of the service."""

    keys: int = 0
    deliveries: int = 0
    kills: int = 0
    pauses: int = 0
    database_kills: int = 0
    sent: int = 0
    accepted: int = 0
    adoptions: int = 0
    takeovers: int = 0
    doubled: int = 0
    """Keys with more than one session."""
    wrong_session: int = 0
    """Charges and entries whose session is that of another key."""
    orphaned: int = 0
    """Sessions that run at the end and that the journal does not list."""
    running_and_listed: int = 0
    """Sessions of start_charge that run at the end, as they are to, and are listed."""
    left_running: int = 0
    """Sessions of blocks that run at the end."""
    unknown: int = 0
    unknown_running: int = 0
    """Unknown entries with a session that runs."""
    recovered: int = 0
    recovered_twice: int = 0
    stopped_after: list[float] = attrs.field(factory=list[float])
    """Seconds from the kill of a block to the stop of its session."""
    errors: Counter[str] = attrs.field(factory=Counter[str])
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """The figures, one a line."""
        shown = {name: value for name, value in attrs.asdict(self).items() if name not in ("stopped_after", "errors")}
        lines = [
            f"{name:20} {value:.1f}" if isinstance(value, float) else f"{name:20} {value}"
            for name, value in shown.items()
        ]
        after = sorted(self.stopped_after)
        if after:
            middle, high = statistics.median(after), after[int(len(after) * 0.99)]
            lines.append(f"killed to stopped    p50 {middle:.2f} s, p99 {high:.2f} s ({len(after)})")
        return [*lines, f"errors               {dict(self.errors)}"]

    def broken(self, plan: Plan) -> list[str]:
        """What was promised and is not so."""
        zeros = ("doubled", "wrong_session", "orphaned", "left_running", "unknown_running", "recovered_twice")
        found = [f"{name} {getattr(self, name)}" for name in zeros if getattr(self, name)]
        names = ("kills", "adoptions", "takeovers")
        found += [
            f"only {getattr(self, name)} {name}: the run proves nothing"
            for name, least in zip(names, plan.least, strict=True)
            if getattr(self, name) < least
        ]
        return found


class Run:
    """One run."""

    def __init__(self, plan: Plan, server: RawServer, store: str, database: Any = None) -> None:
        self.plan, self.server, self.store, self.database = plan, server, store, database
        self.chance = random.Random(f"run {plan.seed}")
        self.figures = Figures(keys=plan.keys)
        self.orders = {order.key: order for order in orders_of(plan)}
        self.owner_of: dict[str, str] = {}
        self.killed_at: dict[str, float] = {}
        self.claims: list[tuple[str, str]] = []
        self.recovered: Counter[tuple[str, str]] = Counter()
        self.workers: list[Worker] = []
        self.began = time.monotonic()
        server.choose = self._choose
        server.start_delay = server.stop_delay = 0.05
        server.listing_delay = 0.05

    def _choose(self, seen: Seen) -> Fault | None:
        faults = FAULTS.get(seen.operation)
        if faults is None or self.chance.random() > 0.1:
            return None
        return self.chance.choice(faults)

    def _read(self, worker: Worker) -> None:
        for kind, key, *rest in worker.drain():
            if kind == "ready":
                worker.is_ready = True
            elif kind == "charge":
                session_id, _, adopted = rest
                self.claims.append((key, session_id))
                self.figures.adoptions += adopted
            elif kind == "takeover":
                self.figures.takeovers += 1
            elif kind == "adoption":
                self.figures.adoptions += 1
            elif kind == "recovered":
                self.recovered[key, rest[0]] += 1
            elif kind == "error":
                self.figures.errors[rest[0]] += 1
            elif kind == "done":
                worker.given.pop(key, None)

    async def go(self) -> Figures:
        """Deliver all orders while processes are killed; then let recovery finish, and judge."""
        plan, chance = self.plan, self.chance
        pending: deque[Order] = deque()
        for number, order in enumerate(self.orders.values()):
            times = 1 if number % 2 == 0 else chance.randint(1, 5)
            pending.extend([order] * times)
        mixed = list(pending)
        # Near each other, so that deliveries of one key meet.
        mixed = [mixed[i] for i in sorted(range(len(mixed)), key=lambda i: i + chance.uniform(0, 24))]
        pending = deque(mixed)
        every = 0.5
        self.workers = [Worker(self.server.url, self.store, every) for _ in range(plan.processes)]
        next_kill = time.monotonic() + 1.0
        database_kills = [len(mixed) * (i + 1) // (plan.database_kills + 1) for i in range(plan.database_kills)]
        paused: list[tuple[float, Worker]] = []
        while pending or any(worker.given for worker in self.workers):
            if time.monotonic() - self.began > plan.longest:
                break
            for worker in self.workers:
                self._read(worker)
                while pending and len(worker.given) < AT_ONCE:
                    order = pending.popleft()
                    worker.give(order)
                    self.figures.deliveries += 1
            if database_kills and self.figures.deliveries >= database_kills[0]:
                database_kills.pop(0)
                self.database.kill()
                await asyncio.sleep(0.5)
                await asyncio.to_thread(self.database.start)
                self.figures.database_kills += 1
            now = time.monotonic()
            for until, worker in list(paused):
                if now >= until:
                    paused.remove((until, worker))
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.process.pid or 0, signal.SIGCONT)
            if now >= next_kill and pending:
                next_kill = now + chance.uniform(*plan.kill_every)
                working = [w for w in self.workers if w.is_ready and w not in [p for _, p in paused]]
                worker = chance.choice(working) if working else None
                if worker is None:
                    pass
                elif chance.random() < 0.1:
                    os.kill(worker.process.pid or 0, signal.SIGSTOP)
                    # Every other pause is longer than a lease.
                    paused.append((now + chance.choice([0.5, LEASE * 1.3]), worker))
                    self.figures.pauses += 1
                else:
                    await self._kill(worker, pending, every)
            await asyncio.sleep(0.01)
        for _, worker in paused:
            os.kill(worker.process.pid or 0, signal.SIGCONT)
        for worker in self.workers:
            self._read(worker)
            self._note_death(worker)
            worker.end()
        await self._settle()
        self.figures.seconds = time.monotonic() - self.began
        return self.figures

    def _note_death(self, worker: Worker) -> None:
        for key in worker.given:
            self.killed_at[key] = self.server.clock()

    async def _kill(self, worker: Worker, pending: deque[Order], every: float) -> None:
        worker.process.kill()
        await asyncio.to_thread(worker.process.join)
        self.figures.kills += 1
        self._note_death(worker)
        self._read(worker)
        # A queue delivers again what was not finished; an order that is delivered once is not.
        for order in worker.given.values():
            if int(order.key.partition("-")[2]) % 2 == 1 and self.chance.random() < 0.5:
                pending.appendleft(order)
        self.workers[self.workers.index(worker)] = Worker(self.server.url, self.store, every)
        await asyncio.to_thread(worker.end)

    async def _settle(self) -> None:
        """Recover until nothing is left that recovery can do, and judge by the records of the service."""
        async with AsyncShellEV("id", "secret", base_url=self.server.url, store=self.store, timeout=5.0) as ev:
            self.server.choose = None
            ends_at = time.monotonic() + 60
            while True:
                recovery = await ev.recover()
                for entry in recovery.stopped:
                    self.recovered[entry.key, entry.session_id or ""] += 1
                entries = await ev.journal.open_charges()
                is_settled = all(
                    e.state == "unknown" or (e.state == "accepted" and e.on_crash == "keep") for e in entries
                )
                if (is_settled and not recovery.failed) or time.monotonic() > ends_at:
                    break
                await asyncio.sleep(0.5)
            await self._judge(ev)

    async def _judge(self, ev: AsyncShellEV) -> None:
        figures, server = self.figures, self.server
        entries = await ev.journal._ledger.store.entries(ev.journal._ledger.namespace, only_open=False)
        by_request = {entry.request_id: entry.key for entry in entries}
        place_of = {order.key: (order.card, order.evse) for order in self.orders.values()}
        figures.sent = server.count("start")
        figures.accepted = sum(seen.carried_out for seen in server.seen("start"))
        mine: dict[str, list[Session]] = {}
        key_of: dict[str, str] = {}
        for session in server.own_sessions():
            key = by_request.get(session.owner or "")
            if key is None:
                # Its entry was dropped although its start took effect: nothing knows of it.
                figures.orphaned += not session.is_over(server.clock())
                continue
            key_of[session.id] = key
            mine.setdefault(key, []).append(session)
        figures.doubled = sum(len(sessions) > 1 for sessions in mine.values())
        wrong = [(key, id_) for key, id_ in self.claims if key_of.get(id_) != key]
        wrong += [(e.key, e.session_id) for e in entries if e.session_id and key_of.get(e.session_id) != e.key]
        figures.wrong_session = len(wrong)
        states = {entry.key: entry for entry in entries}
        for session in server.running():
            key = key_of.get(session.id)
            if key is None:
                continue
            entry = states[key]
            if entry.session_id != session.id:
                figures.orphaned += entry.state not in ("unknown", "sent")
                figures.unknown_running += entry.state == "unknown"
            elif entry.on_crash == "stop":
                figures.left_running += 1
            else:
                figures.running_and_listed += 1
        assert all(place_of[key] == (s.card, s.evse) for key, ss in mine.items() for s in ss)
        figures.unknown = sum(entry.state == "unknown" for entry in entries)
        figures.recovered = len(self.recovered)
        figures.recovered_twice = sum(count > 1 for count in self.recovered.values())
        for key, at in self.killed_at.items():
            for session in mine.get(key, ()):
                if session.stops and session.stops[0] > at and self.orders[key].is_block:
                    figures.stopped_after.append(session.stops[0] + session.stop_delay - at)


async def run(plan: Plan, store: str, database: Any = None) -> Figures:
    """Make one run against a service in this process."""
    async with RawServer() as server:
        return await Run(plan, server, store, database).go()


LONG = Plan(keys=2000, processes=8, least=(300, 30, 30))
SHORT = Plan(keys=100, processes=4, kill_every=(0.3, 0.7), longest=60.0, longest_hold=1.0, least=(5, 1, 1))


def main(kind: str, keys: int, seed: int) -> int:
    """Make one run and print its figures."""
    hasten()
    shorten_leases(LEASE)
    plan = attrs.evolve(LONG, keys=keys, seed=seed, database_kills=2 if kind == "postgres" else 0)
    folder = tempfile.mkdtemp()
    database: Any = None
    store = str(Path(folder) / "charges.sqlite3")
    if kind == "postgres":
        from store.servers import PostgresServer

        database = PostgresServer()
        store = database.make_database("charges")
    try:
        figures = asyncio.run(run(plan, store, database))
    finally:
        if database is not None:
            database.close()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(figures.lines()))
    broken = figures.broken(plan)
    print("broken:", broken or "nothing")
    return bool(broken)


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    sys.exit(main(kind, int(numbers[0]) if numbers else 2000, int(numbers[1]) if len(numbers) > 1 else 1))
