"""The random run: short in the suite, long by the marker ``long``. How it is judged is in ``kill_run.py``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import attrs
import pytest
from store.servers import PostgresServer

from recovery.child import shorten_leases
from recovery.kill_run import LEASE, LONG, SHORT, Plan, run
from shell_ev.core import ledger, ticket
from shell_ev.store import driver


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of seconds, as in the processes of the run; undone afterwards."""
    for name in ("LEASE", "_BEAT", "_MARGIN"):
        monkeypatch.setattr(driver, name, getattr(driver, name))
    monkeypatch.setattr(ledger, "LEAST_LEFT", ledger.LEAST_LEFT)
    monkeypatch.setattr(ticket, "LEAST_LEFT", ticket.LEAST_LEFT)
    shorten_leases(LEASE)


def _run(plan: Plan, store: str, database: PostgresServer | None = None) -> None:
    figures = asyncio.run(run(plan, store, database))
    print("\n".join(figures.lines()))
    assert not figures.broken(plan), "\n".join(figures.lines())


def test_no_charge_is_doubled_or_lost_when_processes_are_killed_at_random(tmp_path: Path) -> None:
    _run(SHORT, str(tmp_path / "charges.sqlite3"))


@pytest.mark.servers
def test_no_charge_is_doubled_or_lost_on_postgresql_when_its_server_is_killed_too() -> None:
    database = PostgresServer()
    try:
        _run(attrs.evolve(SHORT, database_kills=1), database.make_database("short"), database)
    finally:
        database.close()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def test_two_thousand_keys_under_three_hundred_kills(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        _run(LONG, str(tmp_path / "charges.sqlite3"))
        return
    database = PostgresServer()
    try:
        _run(attrs.evolve(LONG, database_kills=2), database.make_database("long"), database)
    finally:
        database.close()
