"""Several processes on one store: races, deaths, pauses and forks."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from shell_ev.store.base import Store
from shell_ev.store.opening import open_store
from store.entries import NAMESPACE, entry
from store.processes import Process, go, line, rest, workers


def _wait_until_stopped(process: Process) -> None:
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


@pytest.mark.parametrize("count", [2, 6])
def test_processes_that_make_the_schema_at_once_all_get_a_sound_store(target: str, count: int) -> None:
    with workers(count, "check", target) as started:
        assert [line(process) for process in started] == ["ready"] * count
        go(*started)
        assert [line(process) for process in started] == ["found ()"] * count


@pytest.mark.parametrize("processes", [32])
async def test_of_32_processes_that_claim_100_keys_each_key_is_granted_once(
    opened: Callable[[], Store], target: str, processes: int
) -> None:
    with workers(processes, "claim", target, "100") as started:
        assert {line(process) for process in started} == {"ready"}
        go(*started)
        granted = Counter(text for process in started for text in rest(process))
    assert granted == {f"granted order-{number}": 1 for number in range(100)}
    assert len(await opened().entries(NAMESPACE)) == 100


async def test_of_six_processes_that_recover_at_once_one_takes_each_entry(
    opened: Callable[[], Store], target: str
) -> None:
    store = opened()
    for number in range(50):
        assert await store.insert(entry(f"order-{number}", owner="dead.1.0", evse=f"E{number}")) is None
    with workers(6, "take_over", target) as started:
        assert {line(process) for process in started} == {"ready"}
        go(*started)
        taken = Counter(text for process in started for text in rest(process))
    assert taken == {f"taken order-{number}": 1 for number in range(50)}
    assert {found.fence for found in await store.entries(NAMESPACE)} == {2}


async def test_nothing_that_was_acknowledged_is_lost_to_a_kill_in_the_middle_of_a_commit(
    opened: Callable[[], Store], target: str
) -> None:
    chance = random.Random(7)
    written: list[str] = []
    for _ in range(6):
        with workers(2, "write", target) as started:
            for process in started:
                written.append(line(process))
            time.sleep(chance.uniform(0.02, 0.3))
            for process in started:
                process.kill()
            for process in started:
                # A last line may be cut: then it was not acknowledged.
                written += [text for text in rest(process) if text]
    store = opened()
    assert await store.check() == ()
    there = {found.key: found for found in await store.entries(NAMESPACE)}
    acknowledged = [key for key in written if key.rpartition("-")[2].isdigit()]
    assert len(acknowledged) > 20
    missing = [key for key in acknowledged if key not in there and not any(k.startswith(key) for k in there)]
    assert missing == []
    assert not await store.alive({found.owner for found in there.values() if found.owner}) or "postgres" in target


async def test_a_killed_process_is_seen_dead_and_a_paused_one_is_not(tmp_path_factory: pytest.TempPathFactory) -> None:
    target = str(tmp_path_factory.mktemp("signs") / "charges.sqlite3")
    with workers(1, "hold", target) as (process,):
        _, owner = line(process).split()
        store = open_store(target)
        try:
            assert await store.alive([owner]) == {owner}
            process.send_signal(signal.SIGSTOP)
            _wait_until_stopped(process)
            assert await store.alive([owner]) == {owner}, "it wakes up and goes on"
            process.kill()
            process.wait()
            assert await store.alive([owner]) == set()
        finally:
            store.close()


async def test_a_child_neither_uses_the_store_of_its_parent_nor_keeps_its_life_sign(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    target = str(tmp_path_factory.mktemp("fork") / "charges.sqlite3")
    with workers(1, "fork", target) as (process,):
        assert line(process).startswith("child ConfigurationError this store was opened before a fork")
        _, owner = line(process).split()
        store = open_store(target)
        try:
            assert await store.alive([owner]) == {owner}, "the child's close does not end it"
            process.kill()
            process.wait()
            assert await store.alive([owner]) == set(), "though the child lives"
            assert (await store.get(NAMESPACE, "held")) is not None
        finally:
            store.close()


@pytest.mark.servers
async def test_a_child_does_not_use_the_connection_of_its_parent(postgres_url: str) -> None:
    with workers(1, "fork", postgres_url) as (process,):
        assert line(process).startswith("child ConfigurationError this store was opened before a fork")
        _, owner = line(process).split()
        store = open_store(postgres_url)
        try:
            assert await store.alive([owner]) == {owner}, "the child's close does not end the lease"
            assert (await store.get(NAMESPACE, "held")) is not None
        finally:
            store.close()
