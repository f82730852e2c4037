"""The statements that SQLite and PostgreSQL share, and how rows become entries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from .journal import Entry, State

#: Columns of the journal in the order of the fields of an entry.
FIELDS: Final = tuple(field.name for field in attrs.fields(Entry))
_COLUMNS: Final = ", ".join(FIELDS)
#: What a write over an entry changes: not which entry it is, nor its place in the list.
_CHANGING: Final = tuple(name for name in FIELDS if name not in ("namespace", "key", "created_at"))
_OPEN: Final = "(state IN ('waiting', 'sent', 'accepted', 'unknown') OR (state = 'given_up' AND card IS NOT NULL))"
#: Seconds after the end of its lease when the row of an owner is removed.
_FORGET_AFTER: Final = 86400.0
_LONGEST_TOKEN_LEASE: Final = 600.0

#: Types of the columns: the names are those of PostgreSQL, and SQLite takes them too.
_TYPES: Final[Mapping[str, str]] = {
    "card": "BYTEA",
    "fence": "BIGINT",
    "looks": "BIGINT",
    **dict.fromkeys(
        ("created_at", "sent_at", "sent_at_error", "over_at", "looked_since", "answered_for", "next_look_at"),
        "DOUBLE PRECISION",
    ),
}

VERSION: Final = 1


def schema(prefix: str = "") -> tuple[str, ...]:
    """The statements that make version 1 of the schema."""
    columns = ", ".join(f"{name} {_TYPES.get(name, 'TEXT')}" for name in FIELDS)
    entries = f"{prefix}entries"
    return (
        f"CREATE TABLE IF NOT EXISTS {entries} ({columns}, PRIMARY KEY (namespace, key))",
        f"CREATE UNIQUE INDEX IF NOT EXISTS {entries}_session ON {entries} (namespace, session_id) "
        "WHERE session_id IS NOT NULL",
        f"CREATE UNIQUE INDEX IF NOT EXISTS {entries}_evse ON {entries} (namespace, evse) WHERE state = 'sent'",
        f"CREATE INDEX IF NOT EXISTS {entries}_request ON {entries} (namespace, request_id)",
        f"CREATE INDEX IF NOT EXISTS {entries}_open ON {entries} (namespace, created_at, key) WHERE {_OPEN}",
        f"CREATE TABLE IF NOT EXISTS {prefix}owners (owner TEXT PRIMARY KEY, ends_at DOUBLE PRECISION)",
    )


def shared_schema(prefix: str = "", unlogged: str = "") -> tuple[str, ...]:
    """The tables of token and budget, which may be lost with the power."""
    return (
        f"CREATE {unlogged} TABLE IF NOT EXISTS {prefix}tokens (name TEXT PRIMARY KEY, sealed BYTEA, "
        "ends_at DOUBLE PRECISION, version BIGINT, lease_owner TEXT, lease_ends_at DOUBLE PRECISION)",
        f"CREATE {unlogged} TABLE IF NOT EXISTS {prefix}budgets (name TEXT PRIMARY KEY, next_at DOUBLE PRECISION, "
        "at DOUBLE PRECISION, wait DOUBLE PRECISION)",
    )


class Statements:
    """The statements of one store. Those that write return a row for what they changed.

    Args:
        prefix: Prefix of the names of tables.
        mark: What stands for a parameter.
        now: Unix seconds on the store's clock, as an expression.
    """

    def __init__(self, prefix: str, mark: str, now: str) -> None:
        entries, owners, tokens = f"{prefix}entries", f"{prefix}owners", f"{prefix}tokens"
        marks = ", ".join([mark] * len(FIELDS))
        changed = ", ".join(f"{name} = {mark}" for name in _CHANGING)
        by_key = f"namespace = {mark} AND key = {mark}"
        self.insert: str = f"INSERT INTO {entries} ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING RETURNING key"
        self.get: str = f"SELECT {_COLUMNS} FROM {entries} WHERE {by_key}"
        self.replace: str = f"UPDATE {entries} SET {changed} WHERE {by_key} AND fence = {mark} RETURNING key"
        self.delete: str = f"DELETE FROM {entries} WHERE {by_key} AND fence = {mark} RETURNING key"
        where = f"SELECT {_COLUMNS} FROM {entries} WHERE namespace = {mark}"
        self.by_session: str = f"{where} AND session_id = {mark}"
        self.by_request: str = f"{where} AND request_id = {mark} ORDER BY created_at DESC, key"
        self.by_evse: str = f"{where} AND evse = {mark} AND state = 'sent'"
        self.all: str = f"{where} AND (created_at, key) > ({mark}, {mark}) ORDER BY created_at, key"
        self.open: str = f"{where} AND {_OPEN} AND (created_at, key) > ({mark}, {mark}) ORDER BY created_at, key"
        self.limit: str = f" LIMIT {mark}"
        self.prune: str = (
            f"DELETE FROM {entries} WHERE namespace = {mark} AND state IN ('over', 'given_up') "
            f"AND over_at < {mark} RETURNING key"
        )
        self.beat: str = (
            f"INSERT INTO {owners} (owner, ends_at) VALUES ({mark}, {now} + {mark}) "
            "ON CONFLICT (owner) DO UPDATE SET ends_at = excluded.ends_at RETURNING owner"
        )
        self.leave: str = f"DELETE FROM {owners} WHERE owner = {mark} RETURNING owner"
        self.alive: str = f"SELECT owner FROM {owners} WHERE ends_at > {now}"
        self.forget_owners: str = f"DELETE FROM {owners} WHERE ends_at < {now} - {_FORGET_AFTER} RETURNING owner"
        self.read_token: str = (
            f"SELECT sealed, ends_at - {now}, version FROM {tokens} WHERE name = {mark} AND sealed IS NOT NULL "
            f"AND ends_at > {now}"
        )
        # A lease that ends later than any can was written before the clock was set back.
        self.lease: str = (
            f"INSERT INTO {tokens} (name, version, lease_owner, lease_ends_at) VALUES ({mark}, 0, {mark}, "
            f"{now} + {mark}) ON CONFLICT (name) DO UPDATE SET lease_owner = excluded.lease_owner, "
            f"lease_ends_at = excluded.lease_ends_at WHERE {tokens}.lease_owner IS NULL "
            f"OR {tokens}.lease_owner = excluded.lease_owner OR {tokens}.lease_ends_at <= {now} "
            f"OR {tokens}.lease_ends_at > {now} + {_LONGEST_TOKEN_LEASE} RETURNING name"
        )
        self.write_token: str = (
            f"UPDATE {tokens} SET sealed = {mark}, ends_at = {now} + {mark}, version = version + 1, lease_owner = NULL "
            f"WHERE name = {mark} AND lease_owner = {mark} RETURNING version"
        )
        self.end_lease: str = (
            f"UPDATE {tokens} SET lease_owner = NULL WHERE name = {mark} AND lease_owner = {mark} RETURNING name"
        )
        self.drop_token: str = (
            f"UPDATE {tokens} SET sealed = NULL WHERE name = {mark} AND version = {mark} RETURNING name"
        )


def row_of(entry: Entry) -> tuple[Any, ...]:
    """The values of an entry in the order of the columns."""
    return tuple(_plain(getattr(entry, name)) for name in FIELDS)


def changes_of(entry: Entry) -> tuple[Any, ...]:
    """The values that a write over an entry changes."""
    return tuple(_plain(getattr(entry, name)) for name in _CHANGING)


def entry_of(row: tuple[Any, ...]) -> Entry:
    """The entry of a row."""
    values = dict(zip(FIELDS, row, strict=True))
    values["state"] = State(values["state"])
    values["not_ours"] = tuple(json.loads(values["not_ours"]))
    values["card"] = None if values["card"] is None else bytes(values["card"])
    return Entry(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, State):
        return value.value
    return json.dumps(value) if isinstance(value, tuple) else value
