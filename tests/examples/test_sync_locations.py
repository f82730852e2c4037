"""The nightly sync: what changed, what was removed, and nothing half done."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from example_processes import EXAMPLES, ROOT, commands_of, environment, header_of, variables_for

from shell_ev import InternalServerError, Location, ShellEV
from shell_ev.sandbox import Fault, Sandbox

sys.path.insert(0, str(EXAMPLES))
import sync_locations

NIGHT = datetime(2026, 6, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def ev(sandbox: Sandbox) -> Iterator[ShellEV]:
    with ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, max_retries=0) as client:
        yield client


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


def uids(database: sqlite3.Connection) -> set[str]:
    return {uid for (uid,) in database.execute("SELECT uid FROM locations")}


def queries(sandbox: Sandbox) -> list[dict[str, str]]:
    return [dict(request.query) for request in sandbox.requests if request.operation == "locations.list"]


def test_the_first_run_writes_all_and_the_next_one_what_changed(
    ev: ShellEV, database: sqlite3.Connection, sandbox: Sandbox
) -> None:
    written, removed = sync_locations.sync(ev, database, "NL", NIGHT)
    assert (written, removed) == (len(uids(database)), 0)
    assert written >= 5
    (document,) = database.execute("SELECT document FROM locations WHERE uid = '1'").fetchone()
    assert json.loads(document)["evses"][0]["evse_id"] == "NL*TNM*E02003451*0"
    assert sync_locations.sync(ev, database, "NLD", NIGHT + DAY)[1] == 0
    first, second = queries(sandbox)
    assert first["country[0]"] == second["country[0]"] == "NLD"
    assert "updatedSince" not in first
    assert second["updatedSince"].startswith("2026-06-01T01:00:00")


def test_a_week_later_what_was_removed_is_found(ev: ShellEV, database: sqlite3.Connection, sandbox: Sandbox) -> None:
    sync_locations.sync(ev, database, "NL", NIGHT)
    kept = uids(database)
    database.execute("INSERT INTO locations (uid, document) VALUES ('gone', '{}')")
    assert sync_locations.sync(ev, database, "NL", NIGHT + 6 * DAY)[1] == 0
    assert "gone" in uids(database)
    assert sync_locations.sync(ev, database, "NL", NIGHT + 7 * DAY)[1] == 1
    assert uids(database) == kept
    assert ["updatedSince" in query for query in queries(sandbox)] == [False, True, False]


def test_a_run_that_fails_changes_nothing(ev: ShellEV, database: sqlite3.Connection, sandbox: Sandbox) -> None:
    sandbox.faults.add("locations.list", Fault.status(500))
    with pytest.raises(InternalServerError):
        sync_locations.sync(ev, database, "NL", NIGHT)
    assert uids(database) == set()
    assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    assert sync_locations.sync(ev, database, "NL", NIGHT)[0] >= 5


def test_too_many_removals_at_once_are_refused_and_change_nothing(ev: ShellEV, database: sqlite3.Connection) -> None:
    sync_locations.sync(ev, database, "NL", NIGHT)
    database.executemany("INSERT INTO locations (uid, document) VALUES (?, '{}')", [(f"x{n}",) for n in range(50)])
    database.commit()
    before = uids(database)
    with pytest.raises(ValueError, match=r"^50 of \d+ locations would be removed: that is too many at once$"):
        sync_locations.sync(ev, database, "NL", NIGHT + 8 * DAY)
    assert uids(database) == before


def test_a_location_without_a_uid_is_left_out(database: sqlite3.Connection) -> None:
    database.executescript(sync_locations.SCHEMA)
    assert sync_locations._write(database, [Location(), Location(uid="1")]) == {"1"}


def run(sandbox: Sandbox, folder: Path, **variables: str) -> Any:
    command = commands_of(header_of(EXAMPLES / "sync_locations.py"))[0]
    arguments = [str(ROOT / part) if part.startswith("examples/") else part for part in command.arguments[1:]]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment({**variables_for(sandbox), **variables}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_of_its_header_works_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    first, second = run(sandbox, tmp_path), run(sandbox, tmp_path)
    assert (first.returncode, first.stderr) == (second.returncode, second.stderr) == (0, "")
    assert first.stdout.endswith(" locations written, 0 removed\n")
    assert not first.stdout.startswith("0 ")
    assert (tmp_path / "chargers.sqlite3").is_file()


def test_a_service_that_cannot_be_reached_is_one_line(sandbox: Sandbox, tmp_path: Path) -> None:
    failed = run(sandbox, tmp_path, SHELL_EV_BASE_URL="http://127.0.0.1:9", SHELL_EV_MAX_RETRIES="0")
    assert failed.returncode == 1
    assert failed.stderr.startswith("not synchronised: ")
    assert failed.stderr.count("\n") == 1
