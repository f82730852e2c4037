"""What the processes of the tests do: ``python worker.py COMMAND TARGET [ARGUMENT ...]``."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from shell_ev.errors import StoreError
from shell_ev.store import journal
from shell_ev.store.base import Store, new_owner
from shell_ev.store.opening import open_store
from store.entries import NAMESPACE, entry


def _say(*words: object) -> None:
    print(*words, flush=True)


def _wait_for_line() -> None:
    sys.stdin.readline()


async def check(store: Store) -> None:
    """Open the store at the same moment as others."""
    _say("ready")
    _wait_for_line()
    _say("found", await store.check())


async def claim(store: Store, count: str) -> None:
    """Claim keys in a race; print those that were granted."""
    owner = new_owner()
    await store.enrol(owner)
    _say("ready")
    _wait_for_line()
    for number in range(int(count)):
        if await store.insert(entry(f"order-{number}", owner=owner, evse=f"E{number}")) is None:
            _say("granted", f"order-{number}")
    _say("done")


async def take_over(store: Store) -> None:
    """Take over every entry of a dead owner; print those that were taken."""
    owner = new_owner()
    await store.enrol(owner)
    _say("ready")
    _wait_for_line()
    found = await store.entries(NAMESPACE)
    alive = await store.alive({e.owner for e in found if e.owner})
    for left in found:
        if left.owner not in alive and await store.replace(journal.taken_over(left, owner), left.fence) is None:
            _say("taken", left.key)
    _say("done")


async def hold(store: Store) -> None:
    """Enrol, own one entry, and live until killed."""
    owner = new_owner()
    await store.enrol(owner)
    assert await store.insert(entry("held", owner=owner)) is None
    _say("ready", owner)
    await asyncio.to_thread(_wait_for_line)


async def fork(store: Store) -> None:
    """As hold, with a child that lives on."""
    owner = new_owner()
    await store.enrol(owner)
    assert await store.insert(entry("held", owner=owner)) is None
    child = os.fork()
    if child == 0:
        # What a worker does with a client it inherited; one that waits for a thread of its parent waits for ever.
        signal.alarm(20)
        try:
            await store.get(NAMESPACE, "held")
        except Exception as error:
            _say("child", type(error).__name__, str(error))
        store.close()
        signal.alarm(0)
        _say("ready", owner)
        _wait_for_line()
        os._exit(0)
    await asyncio.to_thread(_wait_for_line)


async def write(store: Store) -> None:
    """Write entries without an end; print each key after the store said that it is written."""
    owner = new_owner()
    await store.enrol(owner)
    number = 0
    while True:
        key = f"{owner}-{number}"
        made = entry(key, owner=owner, evse=key)
        assert await store.insert(made) is None
        assert await store.replace(journal.sent(made, sent_at=1.0, sent_at_error=1.0), 1) is None
        _say(key)
        number += 1


async def spend(store: Store) -> None:
    """Use token and budget without an end."""
    await store.check()
    _say("ready")
    while True:
        await store.reserve("B", 1e6, 1.0, 60.0)
        await store.push_back("B", 0.0, 0.0)
        await store.lease_token("T", "one", 60.0)


async def die(store: Store, count: str) -> None:
    """Open the store, and die before that many statements."""
    left = [int(count)]

    class Mortal(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return super().execute(*arguments)

    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **options: connect(*args, factory=Mortal, **options)  # type: ignore[assignment]
    await store.insert(entry("one"))
    _say("written")


async def insert(store: Store) -> None:
    """Try one insert; print what came of it."""
    try:
        await store.insert(entry("one"))
    except StoreError as error:
        _say("StoreError", str(error))
    else:
        _say("written")


async def _main() -> None:
    command, target, *arguments = sys.argv[1:]
    store = open_store(target)
    user = os.environ.get("WORKER_USER")
    if user:
        # Only now: this user may not be able to read the library.
        os.setgid(int(user))
        os.setuid(int(user))
    try:
        await globals()[command](store, *arguments)
    finally:
        await store.aclose()


if __name__ == "__main__":
    asyncio.run(_main())
