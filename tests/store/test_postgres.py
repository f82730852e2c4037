"""PostgreSQL: leases on its clock, a server that comes back, and nothing secret in an error."""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest

from shell_ev.errors import ConfigurationError, StoreError
from shell_ev.store import budgets, driver, journal, postgres, sql
from shell_ev.store.base import clock
from shell_ev.store.postgres import PostgresDriver, PostgresStore
from store.entries import NAMESPACE, entry
from store.processes import line, workers
from store.servers import PostgresServer

pytestmark = pytest.mark.servers

PASSWORD = "not-asked-for"


@pytest.fixture
async def open_at(postgres_url: str) -> AsyncIterator[Callable[..., PostgresStore]]:
    stores: list[PostgresStore] = []

    def opened(url: str = postgres_url) -> PostgresStore:
        stores.append(PostgresStore(url))
        return stores[-1]

    yield opened
    for store in stores:
        await store.aclose()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may kill."""
    server = PostgresServer()
    yield server
    server.close()


def _driver(store: PostgresStore) -> PostgresDriver:
    found = store._driver
    assert isinstance(found, PostgresDriver)
    return found


async def _on_the_connection(store: PostgresStore, statement: str) -> list[tuple[Any, ...]]:
    return await store._thread.run(lambda: _driver(store).read(statement))


async def _refusal(store: PostgresStore) -> str:
    with pytest.raises(StoreError) as caught:
        await store.insert(entry("refused"))
    text = str(caught.value)
    assert "\n" not in text
    assert PASSWORD not in text
    assert PASSWORD not in repr(pickle.loads(pickle.dumps(caught.value)))
    assert ";" in text, "what to do"
    assert await store.check() != ()
    return text


# -- leases --------------------------------------------------------------------------------------------------------


async def test_a_lease_ends_60_seconds_after_the_last_beat_on_the_clock_of_the_server(
    open_at: Callable[..., PostgresStore],
) -> None:
    store, other = open_at(), open_at()
    await store.enrol("one")
    assert clock() + 50.0 < store.sends_until("one") <= clock() + driver.LEASE - 5.0
    assert await other.alive(["one"]) == {"one"}
    with psycopg.connect(store_url(store), autocommit=True) as connection:
        connection.execute("UPDATE shell_ev_owners SET ends_at = ends_at - 59")
        assert await other.alive(["one"]) == {"one"}
        connection.execute("UPDATE shell_ev_owners SET ends_at = ends_at - 2")
    assert await other.alive(["one"]) == set()


def store_url(store: PostgresStore) -> str:
    options = _driver(store)._options
    return " ".join(f"{name}={options[name]}" for name in ("user", "host", "port", "dbname"))


async def test_a_beat_renews_every_lease_and_a_beat_that_fails_is_repeated_soon(
    open_at: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at()
    await store.enrol("one")
    await store.enrol("two")
    with psycopg.connect(store_url(store), autocommit=True) as connection:
        connection.execute("UPDATE shell_ev_owners SET ends_at = 0")
        assert await store.alive(["one", "two"]) == set()
        assert await store._thread.run(_driver(store).beat) == 20.0
        assert await store.alive(["one", "two"]) == {"one", "two"}

    def fails(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise StoreError("the server is away")

    before = store.sends_until("one")
    monkeypatch.setattr(_driver(store), "rows", fails)
    assert await store._thread.run(_driver(store).beat) == 1.0
    assert store.sends_until("one") == before, "a beat that failed promises nothing"
    monkeypatch.undo()


async def test_a_lease_counts_from_before_its_beat_was_sent(
    open_at: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(driver, "clock", lambda: now[0])
    store = open_at()
    rows = _driver(store).rows

    def slow(*arguments: Any, **options: Any) -> list[tuple[Any, ...]]:
        now[0] += 30.0
        return rows(*arguments, **options)

    monkeypatch.setattr(_driver(store), "rows", slow)
    await store._thread.run(lambda: _driver(store)._beat("one"))
    assert store.sends_until("one") == 1000.0 + driver.LEASE - 5.0


async def test_an_intent_from_before_a_pause_is_not_sent_after_it(
    open_at: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(driver, "clock", lambda: now[0])
    store, recoverer = open_at(), open_at()
    await store.enrol("one")
    until = store.sends_until("one")
    intent = journal.sent(entry(owner="one"), sent_at=1.0, sent_at_error=1.0)
    assert await store.insert(intent) is None
    assert now[0] < until, "it may be sent now"
    now[0] += 70.0  # the process is paused, its lease ends, another takes the entry over
    with psycopg.connect(store_url(store), autocommit=True) as connection:
        connection.execute("UPDATE shell_ev_owners SET ends_at = 0")
    assert await recoverer.alive(["one"]) == set()
    taken = journal.taken_over(intent, "two")
    assert await recoverer.replace(taken, intent.fence) is None
    assert await store._thread.run(_driver(store).beat) == 20.0  # it wakes up, and its lease is renewed
    assert store.sends_until("one") > now[0]
    assert now[0] > until, "what was read before the intent says so still"
    conflict = await store.replace(journal.accepted(intent, "S"), intent.fence)
    assert conflict is not None
    assert conflict.over == "fence"


async def test_a_paused_process_keeps_no_row_from_the_others(postgres_url: str) -> None:
    """A budget and a token are used while another process stops again and again in the midst of its own use."""
    store = PostgresStore(postgres_url)
    await store.check()
    with workers(1, "spend", postgres_url) as (process,):
        assert line(process) == "ready"
        for _ in range(30):
            process.send_signal(signal.SIGSTOP)
            await asyncio.wait_for(store.reserve("B", 1e6, 1.0, 60.0), 30)
            process.send_signal(signal.SIGCONT)
    await store.aclose()


# -- the server ------------------------------------------------------------------------------------------------------


async def test_a_server_that_was_killed_and_comes_back_has_lost_no_entry_and_is_found_again(
    own_server: PostgresServer,
) -> None:
    store = PostgresStore(own_server.url())
    try:
        for number in range(20):
            assert await store.insert(entry(f"order-{number}", evse=f"E{number}")) is None
        await store.enrol("one")
        await store.lease_token("T", "one", 60.0)
        await store.write_token("T", "one", b"sealed", 3600.0)
        own_server.kill()
        own_server.start()
        assert len(await store.entries(NAMESPACE)) == 20
        assert await store.alive(["one"]) == {"one"}, "owners are as durable as the journal"
        assert await store.read_token("T") is None, "the token is not"
        assert await store.lease_token("T", "one", 60.0)
        assert await store.reserve("B", 10.0, 1.0, 1.0) < 0.1
        assert await store.insert(entry("after")) is None
    finally:
        await store.aclose()


async def test_a_server_that_is_away_is_an_error_after_a_while(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_REACH_WITHIN", 0.2)
    store = PostgresStore(own_server.url())
    try:
        await store.check()
        own_server.kill()
        text = await _refusal(store)
        assert f"the store postgresql://127.0.0.1:{own_server.port}/postgres: cannot be reached" in text
        assert "is the server running, and is the URL right?" in text
        own_server.start()
        assert await store.insert(entry()) is None
    finally:
        await store.aclose()


async def test_a_write_with_a_lost_answer_is_recognised_when_it_is_repeated(
    open_at: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at()
    await store.check()
    real, lost = postgres._all, [True]

    def loses_the_answer(connection: Any, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        rows = real(connection, statement, *values)
        if lost and not statement.startswith("SELECT"):
            lost.clear()
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return rows

    monkeypatch.setattr(postgres, "_all", loses_the_answer)
    made = entry()
    assert await store.insert(made) is None, "it was written the first time"
    lost.append(True)
    taken = journal.taken_over(made, "one")
    assert await store.replace(taken, made.fence) is None, "the fence is raised by the first write"
    lost.append(True)
    assert await store.delete(NAMESPACE, made.key, taken.fence)
    lost.append(True)
    assert await store.insert(made) is None
    lost.append(True)
    conflict = await store.insert(entry(request_id="another"))
    assert conflict is not None, "what another wrote is not taken for it"
    assert conflict.entry == made


async def test_a_server_that_answers_before_the_disk_is_made_to_wait_for_the_journal(
    postgres_url: str, open_at: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off".encode())
    store = open_at()
    seen: list[tuple[str, str]] = []
    real = postgres._all

    def watched(connection: Any, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        rows = real(connection, statement, *values)
        (level,) = connection.execute("SELECT current_setting('synchronous_commit')").fetchone()
        seen.append((statement.split()[0], level))
        return rows

    monkeypatch.setattr(postgres, "_all", watched)
    await store.insert(entry())
    await store.lease_token("T", "one", 1.0)
    assert seen == [("INSERT", "on"), ("INSERT", "off")]


async def test_token_and_budget_are_not_journalled_and_entries_and_owners_are(
    open_at: Callable[..., PostgresStore],
) -> None:
    store = open_at()
    await store.check()
    rows = await _on_the_connection(
        store, "SELECT relname, relpersistence FROM pg_class WHERE relkind = 'r' AND relname LIKE 'shell_ev_%%'"
    )
    kinds = {name: kind.decode() if isinstance(kind, bytes) else kind for name, kind in rows}
    assert {name for name, kind in kinds.items() if kind == "u"} == {"shell_ev_tokens", "shell_ev_budgets"}
    assert {name for name, kind in kinds.items() if kind == "p"} == {
        "shell_ev_entries",
        "shell_ev_owners",
        "shell_ev_schema",
    }


async def test_no_statement_is_prepared_and_no_lock_outlives_its_transaction(
    open_at: Callable[..., PostgresStore],
) -> None:
    """Behind a pooler the next transaction may have another connection."""
    store = open_at()
    for number in range(10):
        await store.insert(entry(f"order-{number}", evse=f"E{number}"))
        await store.reserve("B", 1000.0, 1.0, 1.0)
    assert await _on_the_connection(store, "SELECT name FROM pg_prepared_statements") == []
    assert await _on_the_connection(store, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == []


async def test_a_newer_schema_is_refused(open_at: Callable[..., PostgresStore], postgres_url: str) -> None:
    store = open_at()
    made = entry()
    await store.insert(made)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"UPDATE shell_ev_schema SET version = {sql.VERSION + 1}".encode())
        connection.execute("ALTER TABLE shell_ev_entries ADD COLUMN tariff TEXT DEFAULT 'dear'")
    assert await store.replace(made, made.fence) is None, "a store that is open works on"
    assert "its schema is version 2, and this release knows 1; update shell_ev" in await _refusal(open_at())


async def test_a_database_or_user_that_is_missing_is_an_error_at_once(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, open_at: Callable[..., PostgresStore]
) -> None:
    monkeypatch.setattr(postgres, "_TRY_EVERY", 3600.0)
    assert "make the database" in await _refusal(open_at(postgres_server.url("missing")))
    assert "check the user" in await _refusal(open_at(postgres_server.url().replace("shell_ev:", "another:")))


async def test_a_user_without_rights_is_an_error(
    postgres_server: PostgresServer, postgres_url: str, open_at: Callable[..., PostgresStore]
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = f"poor_{connection.info.dbname}"
        connection.execute(f"CREATE ROLE {name} LOGIN".encode())
    text = await _refusal(open_at(postgres_url.replace("shell_ev:", f"{name}:")))
    assert "grant this user the right" in text
    assert postgres_server.port


async def test_a_standby_is_an_error(postgres_url: str, open_at: Callable[..., PostgresStore]) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET default_transaction_read_only = on".encode())
    assert "give the URL of the primary server" in await _refusal(open_at())


async def test_a_dropped_table_is_an_error_and_is_not_made_anew(
    postgres_url: str, open_at: Callable[..., PostgresStore]
) -> None:
    store = open_at()
    await store.check()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP TABLE shell_ev_entries")
    assert "does not exist" in await _refusal(store)
    assert "does not exist" in await _refusal(open_at())


# -- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:{}@host.example:5433/charges?sslmode=require",
        "postgresql://host.example:5433/charges?user=user&password={}",
        "postgresql://user:{}@host.example:5433/charges",
    ],
)
def test_the_password_of_a_url_is_not_shown(url: str) -> None:
    store = PostgresStore(url.format("hid%2Fden"))
    assert repr(store) == "PostgresStore('postgresql://host.example:5433/charges')"
    error = _driver(store)._error("password hid/den or hid%2Fden\nis wrong", "check it")
    assert "hid" not in str(error)


@pytest.mark.parametrize(
    "url", ["postgresql://user:secret@host:port/db", "postgresql://user:secret@host/db?colour=red&x", "postgresql://["]
)
def test_a_url_that_cannot_be_read_is_an_error_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the store's URL cannot be read") as caught:
        PostgresStore(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None, "a traceback would show it"


async def test_the_log_of_a_beat_that_fails_has_no_password(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_REACH_WITHIN", 0.0)
    caplog.set_level(logging.DEBUG, "shell_ev")
    store = PostgresStore(own_server.url())
    await store.enrol("one")
    own_server.kill()
    assert await store._thread.run(_driver(store).beat) == 1.0
    await store.aclose()
    assert "could not be renewed" in caplog.text
    assert PASSWORD not in caplog.text


# -- the budget ------------------------------------------------------------------------------------------------------


async def test_the_budget_in_the_server_is_that_of_the_pure_functions(
    open_at: Callable[..., PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at()
    await store.check()
    with psycopg.connect(store_url(store), autocommit=True) as connection:
        connection.execute("CREATE TABLE test_clock (now float8)")
        connection.execute("INSERT INTO test_clock VALUES (0)")
        fixed = "(SELECT now FROM test_clock)"
        monkeypatch.setattr(postgres, "_RESERVE", postgres._RESERVE.replace(postgres._NOW, fixed))
        monkeypatch.setattr(postgres, "_PUSH_BACK", postgres._PUSH_BACK.replace(postgres._NOW, fixed))
        kept: budgets.Kept | None = None
        now = 1000.0
        script: list[tuple[float, Any]] = [
            (0.0, (10.0, 1.0, 5.0, False)),
            (0.0, (10.0, 1.0, 5.0, False)),
            (0.01, (10.0, 3.0, 5.0, False)),
            (0.0, (10.0, 1.0, 0.05, False)),
            (0.0, (10.0, 1.0, 0.05, True)),
            (5.0, (10.0, 3.0, 0.0, False)),
            (0.0, (10.0, 3.0, 0.0, False)),
            (0.0, 7.0),
            (1.0, (10.0, 3.0, 0.0, False)),
            (0.0, (10.0, 3.0, 60.0, False)),
            (-3000.0, (10.0, 3.0, 60.0, False)),
            (0.0, 1000.0),
            (0.5, (10.0, 3.0, 100.0, False)),
            (100.0, (2.0, 1.0, 0.0, False)),
        ]
        for step, action in script:
            now += step
            connection.execute("UPDATE test_clock SET now = %s", (now,))
            if isinstance(action, float):
                await store.push_back("B", action, 0.2)
                kept = budgets.pushed_back(kept, now, action, 0.2)
                continue
            rate, burst, longest, urgent = action
            slot = budgets.reserve(kept, now, rate, burst, longest, urgent=urgent)
            kept = slot.kept or kept
            assert await store.reserve("B", rate, burst, longest, urgent=urgent) == pytest.approx(slot.wait)


async def test_the_clock_of_the_store_is_that_of_the_server(open_at: Callable[..., PostgresStore]) -> None:
    store = open_at()
    (row,) = await _on_the_connection(store, f"SELECT {postgres._NOW}")
    assert abs(await store.now() - row[0]) < 30.0
    assert abs(await store.now() - time.time()) < 30.0
