"""Keeps a SQLite table of locations: each night what changed, once a week all of them, to find those that were removed.

Run it, with `python -m shell_ev.sandbox` in another terminal:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    python examples/sync_locations.py chargers.sqlite3 --country NL

and from cron after that. A run that fails changes nothing: the next one begins where the last good one did. The service
does not say which locations it removed: they are those that a walk over all of them does not show.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta

from shell_ev import Location, ShellEV, ShellEVError

FULL_EVERY = timedelta(days=7)
#: What changed while a run was under way is fetched again: clocks differ, and pages move.
OVERLAP = timedelta(hours=1)
#: More removals at once are most likely a fault of the service.
MOST_REMOVED = 0.1

SCHEMA = """
CREATE TABLE IF NOT EXISTS locations (
    uid TEXT PRIMARY KEY, operator TEXT, city TEXT, country TEXT, latitude REAL, longitude REAL,
    max_power_kw REAL, updated_at TEXT, document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS runs (began TEXT NOT NULL, is_full INTEGER NOT NULL);
"""


def sync(ev: ShellEV, database: sqlite3.Connection, country: str, now: datetime) -> tuple[int, int]:
    """Bring the table up to date in one transaction.

    Returns:
        How many locations were written, and how many removed.
    """
    database.executescript(SCHEMA)
    last, last_full = (_last_run(database, is_full) for is_full in (0, 1))
    is_full = last_full is None or now - last_full >= FULL_EVERY
    since = None if is_full or last is None else last - OVERLAP
    found = ev.locations.iterate(country=country, updated_since=since, with_operator_name=True, prefetch=5)
    with database:
        seen = _write(database, found)
        removed = _remove_others(database, seen) if is_full else 0
        database.execute("INSERT INTO runs VALUES (?, ?)", (now.isoformat(), int(is_full)))
    return len(seen), removed


def _last_run(database: sqlite3.Connection, at_least: int) -> datetime | None:
    (began,) = database.execute("SELECT max(began) FROM runs WHERE is_full >= ?", (at_least,)).fetchone()
    return None if began is None else datetime.fromisoformat(began)


def _write(database: sqlite3.Connection, locations: Iterable[Location]) -> set[str]:
    seen: set[str] = set()
    for location in locations:
        if location.uid is None:
            continue
        seen.add(location.uid)
        address, place = location.address, location.coordinates
        row = (
            location.uid,
            location.operator_name,
            address and address.city,
            address and address.country,
            place and place.latitude,
            place and place.longitude,
            location.max_power_kw,
            location.updated_at and location.updated_at.isoformat(),
            location.to_json(),
        )
        database.execute("INSERT OR REPLACE INTO locations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return seen


def _remove_others(database: sqlite3.Connection, seen: set[str]) -> int:
    known = {uid for (uid,) in database.execute("SELECT uid FROM locations")}
    gone = known - seen
    if len(gone) > max(1, MOST_REMOVED * len(known)):
        raise ValueError(f"{len(gone)} of {len(known)} locations would be removed: that is too many at once")
    database.executemany("DELETE FROM locations WHERE uid = ?", [(uid,) for uid in gone])
    return len(gone)


def main(arguments: list[str] | None = None) -> int:
    """One run."""
    parser = argparse.ArgumentParser(description="Keep a SQLite table of locations up to date.")
    parser.add_argument("database")
    parser.add_argument("--country", default="NL", help="ISO 3166-1 code (default %(default)s)")
    given = parser.parse_args(arguments)
    try:
        with closing(sqlite3.connect(given.database)) as database, ShellEV.from_env(timeout=60) as ev:
            written, removed = sync(ev, database, given.country, datetime.now(UTC))
    except (ShellEVError, ValueError) as error:
        print(f"not synchronised: {error}", file=sys.stderr)
        return 1
    print(f"{written} locations written, {removed} removed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
