"""Both stores of the library pass the contract for stores, and a store with a fault does not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from shell_ev.store.base import Conflict, Store
from shell_ev.store.journal import Entry
from shell_ev.store.opening import open_store
from shell_ev.store.sqlite import SQLiteStore
from shell_ev.testing.store_contract import StoreContract, store_contract
from store.servers import PostgresServer

_folder: list[str] = []


@pytest.fixture(autouse=True, scope="module")
def folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as name:
        _folder.append(name)
        yield


def _sqlite(name: str) -> Store:
    return open_store(Path(_folder[-1]) / name)


TestSQLite = store_contract(_sqlite)


@pytest.mark.servers
class TestPostgres(StoreContract):
    """The same over PostgreSQL: each name is a database."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres_server: PostgresServer) -> None:
        self.server = postgres_server
        self.urls: dict[str, str] = {}

    def make_store(self, name: str) -> Store:
        if name not in self.urls:
            self.urls[name] = self.server.make_database(name)
        return open_store(self.urls[name])


class _Forgetful(SQLiteStore):
    async def insert(self, entry: Entry) -> Conflict | None:
        return await super().insert(attrs.evolve(entry, not_ours=()))


class _Unfenced(SQLiteStore):
    async def replace(self, entry: Entry, fence: int) -> Conflict | None:
        current = await self.get(entry.namespace, entry.key)
        return await super().replace(entry, fence if current is None else current.fence)


class _Careless(SQLiteStore):
    async def replace(self, entry: Entry, fence: int) -> Conflict | None:
        await super().replace(entry, fence)
        return None


class _Undying(SQLiteStore):
    async def alive(self, owners: Any) -> set[str]:
        return set(owners)


class _Generous(SQLiteStore):
    async def reserve(self, name: str, rate: float, burst: float, longest: float, *, urgent: bool = False) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("faulty", "test"),
    [
        (_Forgetful, "test_an_entry_comes_back_as_it_was_written"),
        (_Unfenced, "test_a_write_needs_the_fence_of_the_entry"),
        (_Careless, "test_of_many_who_claim_a_key_or_take_over_an_entry_one_succeeds"),
        (_Undying, "test_an_owner_lives_until_it_leaves_or_its_store_is_closed"),
        (_Generous, "test_slots_come_at_the_rate_for_all_who_share_the_budget"),
    ],
)
def test_a_store_with_a_fault_fails_the_contract(faulty: type[SQLiteStore], test: str, tmp_path: Path) -> None:
    contract = store_contract(lambda name: faulty(tmp_path / name))
    with pytest.raises(AssertionError):
        getattr(contract(), test)()
