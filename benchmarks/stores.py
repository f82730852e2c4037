"""What a store costs: a start with SQLite and with PostgreSQL beside one without, and the recovery of dead entries.

    python -m benchmarks.stores [--rounds 15] [--quick] [--entries 1000]

The contenders take turns, a start each. PostgreSQL is left out where no server can be found.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from adversary.raw_server import RawServer

from shell_ev import AsyncShellEV
from shell_ev.store.base import new_owner
from shell_ev.store.journal import State

CARD = "NL-TNM-C00122045-K"
#: Milliseconds that a store may add to a start, and that recovery may take of its own for an entry.
START_TARGET, RECOVERY_TARGET = 1.5, 2.0


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        async with RawServer() as server:
            server.start_delay = server.stop_delay = 0.0
            pipe.send(server.url)
            await asyncio.Event().wait()

    asyncio.run(serve())


@contextmanager
def served() -> Iterator[str]:
    """The URL of a service in a process of its own: in a thread it would share the interpreter's lock."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _evse(number: int) -> str:
    return f"NL*TNM*E{number:08d}*0"


def _ms(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3


async def starts(url: str, stores: dict[str, str | None], count: int) -> dict[str, list[float]]:
    """Seconds of each start, the contenders in turns."""
    found: dict[str, list[float]] = {name: [] for name in stores}
    async with AsyncExitStack() as stack:
        clients: dict[str, AsyncShellEV] = {}
        for name, store in stores.items():
            options: dict[str, Any] = {} if store is None else {"store": store}
            clients[name] = await stack.enter_async_context(
                AsyncShellEV(f"bench-{name}", "secret", base_url=url, **options)
            )
        for number in range(-20, count):
            for name, ev in clients.items():
                key = {} if stores[name] is None else {"key": f"order-{number}"}
                began = time.perf_counter()
                await ev.start_charge(CARD, _evse(number + 20), **key)
                if number >= 0:
                    found[name].append(time.perf_counter() - began)
    return found


async def recovery(url: str, store: str, entries: int) -> tuple[float, float]:
    """Milliseconds for each entry of a recovery that stops them all, and for the same stops without a journal."""
    async with AsyncShellEV(f"recovery-{entries}", "secret", base_url=url, store=store) as ev:
        ledger = ev.journal._ledger
        dead = new_owner()
        for number in range(entries):
            charge = await ev.start_charge(CARD, _evse(number), key=f"dead-{number}")
            entry = await ledger.get(f"dead-{number}")
            assert entry is not None
            await ledger.store.replace(attrs.evolve(entry, owner=dead, on_crash="stop"), entry.fence)
            assert entry.state is State.ACCEPTED, charge
        began = time.perf_counter()
        recovered = await ev.recover()
        took = time.perf_counter() - began
        assert len(recovered.stopped) == entries, recovered
    async with AsyncShellEV(f"bare-{entries}", "secret", base_url=url) as ev:
        charges = [await ev.start_charge(CARD, _evse(number)) for number in range(entries)]
        room = asyncio.Semaphore(32)

        async def stop(number: int) -> None:
            async with room:
                await charges[number].stop()

        began = time.perf_counter()
        await asyncio.gather(*(stop(number) for number in range(entries)))
        bare = time.perf_counter() - began
    return took / entries * 1e3, bare / entries * 1e3


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit code says whether the targets are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="hundreds of starts (default %(default)s)")
    parser.add_argument("--entries", type=int, default=1000, help="entries to recover (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few iterations")
    given = parser.parse_args(arguments)
    count, entries = (20, 20) if given.quick else (given.rounds * 100, given.entries)
    database: Any = None
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as folder, served() as url:
        stores: dict[str, str | None] = {"no store": None, "SQLite": str(Path(folder) / "charges.sqlite3")}
        try:
            from store.servers import PostgresServer

            database = PostgresServer()
        except (ImportError, RuntimeError) as error:
            print(f"without PostgreSQL: {error}", file=sys.stderr)
        else:
            stores["PostgreSQL"] = database.make_database("bench")
        try:
            found = asyncio.run(starts(url, stores, count))
            base = _ms(found["no store"])[0]
            print(f"a start, {count} each in turns      p50 ms   p99 ms   more than without")
            for name, values in found.items():
                middle, high = _ms(values)
                print(f"{name:32} {middle:8.2f} {high:8.2f} {middle - base:8.2f}")
                if middle - base > START_TARGET:
                    missed.append(f"a start with {name}: {middle - base:.2f} ms more, target {START_TARGET} ms")
            print(f"\nrecovery of {entries} entries     ms each   stops alone   own cost")
            for name, store in stores.items():
                if store is None:
                    continue
                took, bare = asyncio.run(recovery(url, store, entries))
                print(f"{name:32} {took:8.2f} {bare:8.2f} {took - bare:8.2f}")
                if took - bare > RECOVERY_TARGET:
                    missed.append(f"recovery with {name}: {took - bare:.2f} ms each, target {RECOVERY_TARGET} ms")
        finally:
            if database is not None:
                database.close()
    print("\n" + ("; ".join(missed) if missed else "the targets are met"))
    return bool(missed) and not given.quick


if __name__ == "__main__":
    sys.exit(main())
