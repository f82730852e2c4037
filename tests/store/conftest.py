"""Fixtures of the tests of the stores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shell_ev.store.base import Store
from shell_ev.store.opening import open_store
from store.servers import PostgresServer

_databases = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres_server.make_database(f"test{next(_databases)}")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What names an empty store: a file, then a database."""
    if request.param == "sqlite":
        return str(tmp_path / "charges.sqlite3")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def opened(target: str) -> Iterator[Callable[[], Store]]:
    """Opens one more store over the same data; closed at the end of the test."""
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(open_store(target))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()
