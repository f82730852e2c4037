"""The SQLite file: its troubles, each one line that says what to do, and nothing made anew."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shell_ev.errors import ConfigurationError, StoreError
from shell_ev.store import budgets, lifesigns, sqlite
from shell_ev.store.base import clock, new_owner
from shell_ev.store.driver import SqlStore
from shell_ev.store.sqlite import SQLiteDriver, SQLiteStore
from store.entries import NAMESPACE, entry
from store.processes import line, workers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "charges.sqlite3"


@pytest.fixture
async def open_at(path: Path) -> AsyncIterator[Callable[..., SQLiteStore]]:
    stores: list[SQLiteStore] = []

    def opened(where: Path = path, **options: bool) -> SQLiteStore:
        stores.append(SQLiteStore(where, **options))
        return stores[-1]

    yield opened
    for store in stores:
        await store.aclose()


async def _refusal(store: SQLiteStore) -> str:
    """The one line of a store that cannot be used."""
    with pytest.raises(StoreError) as caught:
        await store.insert(entry("refused"))
    text = str(caught.value)
    assert "\n" not in text
    assert str(store.path) in text
    assert ";" in text, "what to do"
    assert caught.value.outcome_unknown is False
    assert await store.check() != ()
    return text


# -- the file ------------------------------------------------------------------------------------------------------


async def test_every_file_is_for_its_user_alone_from_the_first_byte(
    open_at: Callable[..., SQLiteStore], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    connect = sqlite3.connect

    def spied(*arguments: object, **options: object) -> sqlite3.Connection:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return connect(*arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", spied)
    before = os.umask(0)
    try:
        store = open_at()
        await store.enrol(new_owner())
        await store.insert(entry())
    finally:
        os.umask(before)
    assert modes == [0o600], "before SQLite opens it"
    for file in [*path.parent.glob("*.sqlite3*"), *path.parent.glob("*/*")]:
        expected = 0o700 if file.is_dir() else 0o600
        assert stat.S_IMODE(file.stat().st_mode) == expected, file.name


async def test_a_file_that_others_can_read_is_a_warning_and_a_finding(
    open_at: Callable[..., SQLiteStore], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.touch(mode=0o644)
    path.chmod(0o644)
    store = open_at()
    (problem,) = await store.check()
    assert "readable by others" in problem
    assert "chmod 600" in caplog.text


async def test_each_commit_of_the_journal_waits_for_the_disk_and_those_of_token_and_budget_do_not(
    open_at: Callable[..., SQLiteStore],
) -> None:
    store = open_at()
    driver = store._driver
    assert isinstance(driver, SQLiteDriver)

    async def level() -> int:
        return int((await store._thread.run(lambda: driver.read("PRAGMA synchronous")))[0][0])

    full, normal = 2, 1
    await store.insert(entry())
    assert await level() == full
    await store.reserve("B", 10.0, 1.0, 1.0)
    assert await level() == normal
    await store.replace(entry(), 1)
    assert await level() == full
    await store.lease_token("T", "one", 1.0)
    assert await level() == normal
    assert await store.prune(NAMESPACE, 0.0) == 0
    assert await level() == full
    assert (await store._thread.run(lambda: driver.read("PRAGMA journal_mode")))[0][0] == "wal"


@pytest.mark.parametrize("leave", ["wal", "nothing", "an empty file"])
async def test_a_journal_that_is_gone_is_not_made_anew(
    open_at: Callable[..., SQLiteStore], path: Path, leave: str
) -> None:
    first = open_at()
    await first.insert(entry())
    if leave == "wal":
        path.unlink()
    else:
        await first.aclose()
        path.unlink()
    if leave == "an empty file":
        path.touch(mode=0o600)
    text = await _refusal(open_at())
    assert "the journal that was here is gone, and an empty one would start charges twice" in text
    assert "--accept-loss" in text
    assert not path.exists() or path.stat().st_size == 0


async def test_a_loss_that_is_accepted_makes_a_new_journal_and_is_logged(
    open_at: Callable[..., SQLiteStore], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_at()
    await first.insert(entry())
    path.unlink()
    second = open_at(accept_loss=True)
    assert await second.entries(NAMESPACE) == ()
    assert await second.check() == ()
    assert "is made anew" in caplog.text
    third = open_at(accept_loss=True)
    await second.insert(entry())
    assert len(await third.entries(NAMESPACE)) == 1, "a journal that is there is never made anew"


async def test_a_file_that_was_unlinked_or_replaced_takes_no_claim(
    open_at: Callable[..., SQLiteStore], path: Path, tmp_path: Path
) -> None:
    store = open_at()
    await store.insert(entry())
    path.rename(tmp_path / "aside")
    assert "removed or replaced while it was open" in await _refusal(store)
    path.write_bytes((tmp_path / "aside").read_bytes())
    assert "removed or replaced while it was open" in await _refusal(store)
    path.unlink()
    (tmp_path / "aside").rename(path)
    assert await store.insert(entry("order-2")) is None, "the file is back"


async def test_a_process_without_its_life_sign_claims_nothing(open_at: Callable[..., SQLiteStore], path: Path) -> None:
    store = open_at()
    owner = new_owner()
    await store.enrol(owner)
    (path.with_name(f"{path.name}-owners") / owner).unlink()
    assert "others take it for dead" in await _refusal(store)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00" * 100 + b"this is no database, and longer than its header" * 100, "file is not a database"),
        (b"short text", "file is not a database"),
    ],
)
async def test_what_is_no_database_is_refused_and_left_as_it_is(
    open_at: Callable[..., SQLiteStore], path: Path, content: bytes, words: str
) -> None:
    path.write_bytes(content)
    text = await _refusal(open_at())
    assert words in text
    assert "restore it from a copy" in text
    assert path.read_bytes() == content


async def test_a_damaged_database_is_refused_and_left_as_it_is(open_at: Callable[..., SQLiteStore], path: Path) -> None:
    first = open_at()
    for number in range(300):
        await first.insert(entry(f"order-{number}", evse=f"E{number}"))
    await first.aclose()
    content = bytearray(path.read_bytes())
    page = 4096
    for start in range(page, len(content), page):
        content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    second = open_at()
    problems = await second.check()
    assert len(problems) == 1
    assert "malformed" in problems[0] or "damaged" in problems[0]
    assert "restore it from a copy" in problems[0]
    assert path.read_bytes() == bytes(content)


async def test_a_database_of_another_program_is_refused_and_left_as_it_is(
    open_at: Callable[..., SQLiteStore], path: Path
) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE entries (theirs)")
    other.close()
    before = path.read_bytes()
    assert "belongs to another program" in await _refusal(open_at())
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused_and_a_column_of_a_newer_release_is_kept(
    open_at: Callable[..., SQLiteStore], path: Path
) -> None:
    store = open_at()
    made = entry()
    await store.insert(made)
    newer = sqlite3.connect(path, isolation_level=None)
    newer.execute("ALTER TABLE entries ADD COLUMN tariff TEXT DEFAULT 'dear'")
    newer.execute("PRAGMA user_version = 2")
    assert await store.replace(made, made.fence) is None, "a store that is open works on"
    assert await store.get(NAMESPACE, made.key) == made
    assert newer.execute("SELECT tariff FROM entries").fetchall() == [("dear",)]
    newer.close()
    text = await _refusal(open_at())
    assert "its schema is version 2, and this release knows 1; update shell_ev" in text


async def test_a_store_that_another_process_keeps_locked_is_an_error_after_a_while(
    open_at: Callable[..., SQLiteStore], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY", 0.05)
    store = open_at()
    await store.insert(entry())
    backup = sqlite3.connect(path, isolation_level=None)
    backup.execute("BEGIN IMMEDIATE")
    assert "locked" in (text := await _refusal(store))
    assert "end what holds the file" in text
    backup.execute("ROLLBACK")
    backup.close()
    assert await store.insert(entry("order-2")) is None


async def test_a_schema_that_another_process_keeps_locked_is_an_error_after_a_while(
    open_at: Callable[..., SQLiteStore], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY", 0.05)
    files = lifesigns.LockFiles(path.with_name(f"{path.name}-owners"))
    files.make_folder()
    with files.schema_lock(1.0):
        assert "another process is making the schema" in await _refusal(open_at())


async def test_a_full_disk_is_an_error_and_loses_nothing_that_was_written(
    open_at: Callable[..., SQLiteStore],
) -> None:
    store = open_at()
    await store.insert(entry())
    driver = store._driver
    assert isinstance(driver, SQLiteDriver)
    pages = (await store._thread.run(lambda: driver.read("PRAGMA page_count")))[0][0]
    await store._thread.run(lambda: driver.read(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StoreError, match="make room on the disk") as caught:
        for number in range(10_000):
            await store.insert(entry(f"filling-{number}", evse=f"E{number}", card=b"x" * 1000))
    assert "\n" not in str(caught.value)
    written = len(await store.entries(NAMESPACE))
    await store._thread.run(lambda: driver.read("PRAGMA max_page_count = 100000"))
    assert await store.insert(entry("after")) is None
    assert len(await store.entries(NAMESPACE)) == written + 1


@pytest.mark.skipif(os.name != "posix", reason="needs a user without rights")
def test_a_file_that_is_read_only_is_an_error() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        where = folder / "charges.sqlite3"
        store = SQLiteStore(where)
        asyncio.run(_insert(store))
        store.close()
        for file in [folder, *folder.rglob("*")]:
            file.chmod(0o555 if file.is_dir() else 0o444)
        environment = {**os.environ, "WORKER_USER": "65534"} if os.geteuid() == 0 else dict(os.environ)
        try:
            with workers(1, "insert", str(where), env=environment) as (process,):
                text = line(process)
        finally:
            for file in [folder, *folder.rglob("*")]:
                file.chmod(0o700)
    assert text.startswith("StoreError")
    assert "make the file and its folder writable for this user" in text


async def _insert(store: SQLiteStore) -> None:
    await store.insert(entry())


async def test_a_folder_that_is_missing_is_an_error_and_is_not_made(
    open_at: Callable[..., SQLiteStore], tmp_path: Path
) -> None:
    store = open_at(tmp_path / "missing" / "charges.sqlite3")
    assert "its folder does not exist" in await _refusal(store)
    assert not (tmp_path / "missing").exists()
    (tmp_path / "missing").mkdir()
    assert await store.insert(entry()) is None, "the next call tries again"


@pytest.mark.parametrize(
    ("kind", "warned"),
    [("nfs4", "network file system (nfs4)"), ("overlay", "inside a container"), ("ext4", None), (None, None)],
)
async def test_a_file_system_that_breaks_the_promise_is_a_warning(
    open_at: Callable[..., SQLiteStore],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str | None,
    warned: str | None,
) -> None:
    monkeypatch.setattr(sqlite, "_file_system", lambda _: kind)
    await open_at().insert(entry())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (0 if warned is None else 1)
    assert warned is None or warned in warnings[0]


# -- processes and threads -------------------------------------------------------------------------------------------


async def test_a_process_that_dies_at_any_statement_of_making_the_store_leaves_one_that_opens(tmp_path: Path) -> None:
    survived, deaths = "", 0
    while not survived:
        where = tmp_path / f"{deaths}.sqlite3"
        with workers(1, "die", str(where), str(deaths)) as (process,):
            assert process.stdout is not None
            survived = process.stdout.read()
        store = SQLiteStore(where)
        assert await store.check() == (), f"after a death before statement {deaths}"
        assert len(await store.entries(NAMESPACE)) == (1 if survived else 0)
        assert await store.insert(entry("after")) is None
        await store.aclose()
        deaths += 1
    assert deaths > 15


async def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.35 or later"):
        SQLiteStore(path)


async def test_what_is_read_before_a_write_cannot_change_until_it_is_written(
    open_at: Callable[..., SQLiteStore], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at()
    await store.check()
    reserve, refused = budgets.reserve, list[str]()

    def while_another_writes(*arguments: Any, **options: Any) -> budgets.Slot:
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            refused.append(str(error))
        other.close()
        return reserve(*arguments, **options)

    monkeypatch.setattr(budgets, "reserve", while_another_writes)
    await store.reserve("B", 1.0, 1.0, 1.0)
    assert refused == ["database is locked"]


async def test_two_that_look_for_a_dead_owner_at_once_both_find_it_dead(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = lifesigns.LockFiles(path.with_name("owners"))
    files.make_folder()
    (files.folder / "dead.1.0").touch()
    inner: list[bool] = []
    flock = lifesigns.fcntl.flock

    def looked_at_twice(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        if not inner:
            inner.append(True)
            inner.append(files.is_alive("dead.1.0"))

    monkeypatch.setattr(lifesigns.fcntl, "flock", looked_at_twice)
    assert files.is_alive("dead.1.0") is False
    assert inner == [True, False]


async def test_where_there_are_no_locks_owners_have_leases(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_700_000_000.0]
    monkeypatch.setattr(SQLiteDriver, "has_leases", True)
    monkeypatch.setattr(lifesigns, "fcntl", None)
    store, other = (SqlStore(SQLiteDriver(path, clock=lambda: now[0])) for _ in range(2))
    try:
        await store.enrol("one")
        assert clock() < store.sends_until("one") <= clock() + 55.0
        assert await other.alive(["one"]) == {"one"}
        now[0] += 59.0
        assert await other.alive(["one"]) == {"one"}
        now[0] += 2.0
        assert await other.alive(["one"]) == set()
        await store.enrol("one")
        assert await other.alive(["one"]) == {"one"}
        await store.aclose()
        assert await other.alive(["one"]) == set()
    finally:
        await store.aclose()
        await other.aclose()


async def test_a_budget_survives_a_clock_that_is_set_back(path: Path) -> None:
    now = [1_700_000_000.0]
    store = SqlStore(SQLiteDriver(path, clock=lambda: now[0]))
    try:
        assert await store.reserve("B", 1.0, 1.0, 60.0) == 0.0
        assert await store.reserve("B", 1.0, 1.0, 60.0) == pytest.approx(1.0)
        now[0] -= 3600.0
        assert await store.reserve("B", 1.0, 1.0, 60.0) == pytest.approx(2.0)
        assert await store.lease_token("T", "one", 3.0)
        now[0] -= 3600.0
        assert await store.lease_token("T", "two", 3.0), "a lease that ends in an hour was never given"
    finally:
        await store.aclose()


async def test_a_store_that_is_forgotten_ends_its_thread_and_its_life_sign(path: Path) -> None:
    store = SQLiteStore(path)
    owner = new_owner()
    await store.enrol(owner)
    thread = store._thread._thread
    assert thread is not None
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None
    thread.join(30)
    assert not thread.is_alive()
    other = SQLiteStore(path)
    assert await other.alive([owner]) == set()
    await other.aclose()


def test_closing_waits_for_the_thread_when_the_loop_is_gone(path: Path) -> None:
    store = SQLiteStore(path)
    asyncio.run(_insert(store))
    names = [thread.name for thread in threading.enumerate()]
    assert "shell_ev store" in names
    store.close()
    assert "shell_ev store" not in [thread.name for thread in threading.enumerate()]


def test_a_write_after_its_loop_was_closed_harms_no_later_one(path: Path) -> None:
    store = SQLiteStore(path)
    begun, leave = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        leave.wait(30)

    async def abandon() -> None:
        task = asyncio.ensure_future(store._thread.run(block))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(abandon())
    leave.set()
    asyncio.run(_insert(store))
    store.close()


async def test_a_call_that_is_cancelled_before_it_began_has_no_effect(path: Path) -> None:
    store = SQLiteStore(path)
    begun, leave = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        leave.wait(30)

    blocking = asyncio.ensure_future(store._thread.run(block))
    await asyncio.to_thread(begun.wait, 30)
    insert = asyncio.ensure_future(store.insert(entry()))
    await asyncio.sleep(0)
    insert.cancel()
    with pytest.raises(asyncio.CancelledError):
        await insert
    leave.set()
    await blocking
    assert await store.get(NAMESPACE, "order-1") is None
    await store.aclose()


def test_a_store_that_is_never_closed_makes_no_noise_at_the_end_of_the_process(path: Path) -> None:
    script = (
        "import asyncio, sys; from shell_ev.store.sqlite import SQLiteStore\n"
        f"store = SQLiteStore({str(path)!r})\n"
        "asyncio.run(store.enrol('one'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_behind_a_link_it_is_the_same_store(
    open_at: Callable[..., SQLiteStore], path: Path, tmp_path: Path
) -> None:
    store = open_at()
    owner = new_owner()
    await store.enrol(owner)
    link = tmp_path / "link"
    link.symlink_to(path)
    other = open_at(link)
    assert await other.alive([owner]) == {owner}
    assert await store.insert(entry()) is None
    assert len(await other.entries(NAMESPACE)) == 1


async def test_a_failed_call_leaves_no_cycle_behind(path: Path) -> None:
    store = SQLiteStore(path / "missing" / "charges.sqlite3")
    raised: list[weakref.ref[StoreError]] = []
    gc.disable()
    try:
        try:
            await store.insert(entry())
        except StoreError as error:
            raised.append(weakref.ref(error))
        await store.aclose()
        assert [ref() for ref in raised] == [None]
    finally:
        gc.enable()


def test_a_store_shows_its_path_and_nothing_else(path: Path) -> None:
    assert repr(SQLiteStore(path)) == f"SQLiteStore({str(path)!r})"


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder; give the path of a file in it"):
        SQLiteStore(tmp_path)
