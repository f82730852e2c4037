"""Thousands of charges against the hostile service, and the figures that say whether the promise held.

Run it by hand with ``python -m adversary.chaos_run 3000 [seed]`` from the folder ``tests``, or by the marker ``long``.
How each figure is judged is in :mod:`adversary.chaos_judge`.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from shell_ev import AsyncCharge, AsyncShellEV, ShellEVError

from .chaos_faults import Chaos, foreign_sessions
from .chaos_judge import Charge, ErrorLines, Judge
from .raw_server import RawServer
from .support import SocketTimeLoop, client_of, now

#: Scenes that run at once, each on a card of its own.
AT_ONCE = 60
START_TIMEOUT, STOP_TIMEOUT = 90.0, 240.0
#: Seconds after the last caller is done until the server is asked what still runs.
SETTLE = 120.0


class Bug(Exception):
    """An error of the application inside its block."""


class Callers:
    """The callers of one run: two clients, and every way to make a charge."""

    def __init__(self, server: RawServer, seed: int, clients: dict[str, AsyncShellEV]) -> None:
        self._server = server
        self._seed = seed
        self._clients = clients
        self.charges: list[Charge] = []
        takes = inspect.signature(AsyncShellEV.charge).parameters
        self._has_baseline = "baseline" in takes

    async def scene(self, number: int) -> None:
        """One card and EVSE with its starts and the sessions of others."""
        chance = random.Random(f"scene {self._seed} {number}")
        card, evse = f"NL-TNM-C{number:08d}-K", f"NL*TNM*E{number:08d}*0"
        twin = f"{evse[:-3]}*{evse[-3]}{evse[-1]}"
        foreign_sessions(self._server, chance, card, evse, twin)
        await asyncio.sleep(chance.uniform(0, 3))
        kind = chance.choices(["one", "two own", "two clients", "one after the other"], [14, 2, 3, 1])[0]
        first, second = chance.sample(list(self._clients), 2)
        if kind == "one":
            await self._charge(chance, first, card, evse)
        elif kind == "one after the other":
            await self._charge(chance, first, card, evse)
            await self._charge(chance, first, card, evse)
        else:
            other = first if kind == "two own" else second
            await asyncio.gather(
                self._charge(chance, first, card, evse),
                self._charge(chance, other, card, evse, after=chance.choice([0.0, chance.uniform(0, 15)])),
            )

    async def _charge(self, chance: random.Random, client: str, card: str, evse: str, after: float = 0.0) -> None:
        """One charge as a user makes it, perhaps cut short."""
        await asyncio.sleep(after)
        request_id = str(UUID(int=chance.getrandbits(128), version=4))
        charge = Charge(request_id, client, card, evse, began=now())
        self.charges.append(charge)
        ways = [self._block, self._start_charge, self._endpoints]
        way = chance.choices(ways, [6, 3, 2])[0]
        hold, fails = chance.uniform(0, 60), chance.random() < 0.12
        task = asyncio.ensure_future(way(charge, hold, fails, chance.random() < 0.15))
        if chance.random() < 0.22:
            loop, at = asyncio.get_running_loop(), chance.uniform(0, 120)
            # Once; again and again as scopes do it; or a second wish some seconds later.
            for delay in chance.choice([(0.0,), (0.0, 0.2, 0.4, 0.6), (0.0, 5.0)]):
                loop.call_later(at + delay, self._cancel, task, charge)
        try:
            await task
        except BaseException as error:
            charge.errors.append(error)
            if isinstance(error, asyncio.CancelledError) and not charge.cancelled:
                raise
        finally:
            charge.ended = now()

    def _cancel(self, task: asyncio.Task[None], charge: Charge) -> None:
        # Inside the bare endpoint nothing of the library is left to stop what comes of it.
        if not task.done() and not charge.in_endpoint:
            charge.cancelled = True
            task.cancel()

    def _options(self, baseline: bool) -> dict[str, Any]:
        options: dict[str, Any] = {"start_timeout": START_TIMEOUT, "stop_timeout": STOP_TIMEOUT}
        if baseline and self._has_baseline:
            options["baseline"] = True
        return options

    async def _block(self, charge: Charge, hold: float, fails: bool, baseline: bool) -> None:
        ev = self._clients[charge.client]
        options = self._options(baseline)
        async with ev.charge(charge.card, charge.evse, request_id=charge.request_id, **options) as entered:
            charge.held, charge.asked_to_stop = entered.session_id, True
            await asyncio.sleep(hold)
            if fails:
                raise Bug

    async def _start_charge(self, charge: Charge, hold: float, fails: bool, baseline: bool) -> None:
        ev = self._clients[charge.client]
        options = self._options(baseline)
        started = await ev.start_charge(charge.card, charge.evse, request_id=charge.request_id, **options)
        await self._until_stopped(charge, started, hold)

    async def _endpoints(self, charge: Charge, hold: float, fails: bool, baseline: bool) -> None:
        ev = self._clients[charge.client]
        charge.in_endpoint = True
        try:
            answer = await ev.charging.start(charge.card, charge.evse, request_id=charge.request_id)
        except ShellEVError as error:
            if not error.outcome_unknown:
                raise
            charge.in_endpoint = False
            charge.errors.append(error)
            started = await ev.reconcile(error, start_timeout=START_TIMEOUT, stop_timeout=STOP_TIMEOUT)
            charge.errors.remove(error)
        else:
            charge.in_endpoint = False
            started = ev.attach(answer.data.session_id, stop_timeout=STOP_TIMEOUT)
        await self._until_stopped(charge, started, hold)

    async def _until_stopped(self, charge: Charge, started: AsyncCharge, hold: float) -> None:
        charge.held = started.session_id
        await asyncio.sleep(hold)
        charge.asked_to_stop = True
        await started.stop()


@contextmanager
def _error_lines() -> Iterator[ErrorLines]:
    lines, logger = ErrorLines(now), logging.getLogger("shell_ev")
    propagate, level = logger.propagate, logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(lines)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
        logger.propagate = propagate
        logger.setLevel(level)


async def chaos(charges: int, seed: int) -> dict[str, Any]:
    """Run at least that many charges; the figures."""
    loop_errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))
    with _error_lines() as lines:
        async with RawServer(now) as server:
            trouble = Chaos(server, seed)
            clients = {name: client_of(server, name, seed=seed) for name in ("one", "two")}
            callers = Callers(server, seed, clients)
            await _warm_up(clients)
            warm = len(server.requests)
            server.sessions.clear()
            trouble.on = True
            await _scenes(callers, charges)
            trouble.on = False
            await asyncio.sleep(SETTLE)
            for ev in clients.values():
                await ev.aclose()
            gc.collect()  # a task that failed unseen complains only then
            await asyncio.sleep(1)
            del server.requests[:warm]
            judge = Judge(server, callers.charges, lines)
            figures = _figures(server, judge, callers, loop_errors)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    return figures | {"tasks left": len(left)}


async def _warm_up(clients: dict[str, AsyncShellEV]) -> None:
    """One good start and stop of each client, so that it has seen the service echo its RequestIds."""
    for number, ev in enumerate(clients.values()):
        started = await ev.charging.start(f"NL-TNM-X{number:08d}-K", f"NL*TNM*X{number:08d}*0")
        await ev.charging.stop(started.data.session_id)


async def _scenes(callers: Callers, charges: int) -> None:
    """Scenes at once, a new one for each that ends, until there were enough charges."""
    running: set[asyncio.Task[None]] = set()
    number = 0
    while len(callers.charges) < charges or running:
        while len(running) < AT_ONCE and len(callers.charges) + len(running) < charges + AT_ONCE // 2:
            if len(callers.charges) >= charges:
                break
            number += 1
            running.add(asyncio.ensure_future(callers.scene(number)))
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for scene in done:
            scene.result()


def _figures(server: RawServer, judge: Judge, callers: Callers, loop_errors: list[dict[str, Any]]) -> dict[str, Any]:
    allowed = (ShellEVError, Bug, asyncio.CancelledError)
    untyped = judge.untyped(allowed)
    wrong, untellable = judge.adopted_of_another()
    lost, tellable, rightly = judge.lost()
    kinds = Counter(type(error).__name__ for charge in callers.charges for error in charge.errors)
    faulted = sum(seen.fault.name != "none" for seen in server.requests)
    return {
        "charges": len(callers.charges),
        "requests": len(server.requests),
        "faulted": round(faulted / len(server.requests), 3),
        "carried out": len(server.own_sessions()),
        "foreign sessions": sum(session.owner is None for session in server.sessions),
        "doubled": len(judge.doubled()),
        "adopted wrongly": len(wrong),
        "untellable": untellable,
        "orphaned silently": len(judge.orphaned_silently()),
        "orphaned, marked": len(judge.orphaned_and_marked()),
        "still running, said": len(server.running())
        - len(judge.orphaned_silently())
        - len(judge.orphaned_and_marked()),
        "cancelled": sum(charge.cancelled for charge in callers.charges),
        "untyped errors": len(untyped) + len(loop_errors),
        "untyped": sorted({repr(error)[:200] for error in untyped} | {str(e)[:200] for e in loop_errors})[:5],
        "lost and carried out": lost,
        "tellable": len(tellable),
        "adopted rightly": len(rightly),
        "outcomes": dict(kinds),
        "faults": len({seen.fault.name for seen in server.requests}),
    }


def run(charges: int, seed: int) -> dict[str, Any]:
    """The figures of a run on a loop of its own."""
    with asyncio.Runner(loop_factory=lambda: SocketTimeLoop(grace=0)) as runner:
        return runner.run(chaos(charges, seed))


def show(figures: dict[str, Any]) -> str:
    """The figures, one a line."""
    share = figures["adopted rightly"] / max(1, figures["tellable"])
    lines = [f"  {name}: {value}" for name, value in figures.items()]
    return "\n".join(["chaos run", *lines, f"  share adopted rightly of the tellable: {share:.3f}"])


if __name__ == "__main__":
    print(show(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)))
