"""Fixtures of the recovery tests: a service that is never killed, and empty stores."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adversary.raw_server import RawServer
from adversary.support import in_thread
from store.servers import PostgresServer

from recovery.child import hastened

_schemas = itertools.count(1)


@pytest.fixture
def service() -> Iterator[RawServer]:
    """The service, in a thread of this process: the processes that are killed are others."""
    with in_thread(start_delay=0.1, stop_delay=0.1) as server:
        yield server


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Short polls and look-ups in this process too."""
    with hastened():
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What names an empty store: a file, then a schema of a database."""
    if request.param == "sqlite":
        return str(tmp_path / "charges.sqlite3")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.make_schema(f"recovery{next(_schemas)}")


def end_leases(store: str | None) -> None:
    """Let the time of the leases in a store pass: a dead process is seen at once, and a slow machine spoils nothing."""
    if store is None or not store.startswith("postgresql"):
        return
    import psycopg

    with psycopg.connect(store, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('shell_ev_owners')").fetchone() != (None,):
            connection.execute("UPDATE shell_ev_owners SET ends_at = 0")


Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def until() -> Until:
    """Waits until something is true; fails after thirty seconds."""

    def wait(condition: Callable[[], object]) -> None:
        ends_at = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < ends_at, "it did not come true within 30 s"
            time.sleep(0.005)

    return wait
