"""One key, at most one start: a row per key, written before anything is sent, decides who may start.

Holds the rows and the one way to start by them; knows no web framework and no task queue. SQLite, so that the examples
need nothing installed: it serves every process of one machine. For more machines put the same table into your database.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from shell_ev import AsyncShellEV, OutcomeUnknownError, ShellEV, ShellEVError, ValidationError

_TABLE = """
CREATE TABLE IF NOT EXISTS starts (
    key        TEXT PRIMARY KEY,
    card       TEXT NOT NULL,
    evse_id    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    claimed_at TEXT NOT NULL,
    session_id TEXT UNIQUE      -- NULL: under way, or nobody heard how it ended
)
"""


@dataclass(frozen=True)
class Claim:
    """A key and the one start that belongs to it."""

    key: str
    card: str
    evse_id: str
    request_id: str
    claimed_at: str
    session_id: str | None
    is_new: bool = False
    """Whether this call took the key: it alone may start."""

    def lost(self) -> OutcomeUnknownError:
        """The error of a start of which nobody heard how it ended: what ``reconcile`` looks a charge up by."""
        return OutcomeUnknownError(
            f"the start of key {self.key!r} was under way and nobody heard how it ended",
            operation="charging.start",
            request_id=self.request_id,
            arguments={"ev_charge_number": self.card, "evse_id": self.evse_id},
            sent_at=datetime.fromisoformat(self.claimed_at),
        )


class Ledger:
    """The starts and their keys. Safe from any number of threads and processes of one machine."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        with self._open() as db:
            db.execute(_TABLE)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # A connection per transaction: none is shared between threads, none is carried over a fork.
        db = sqlite3.connect(self._path, timeout=10)
        try:
            with db:
                yield db
        finally:
            db.close()

    def claim(self, key: str, card: str, evse_id: str) -> Claim:
        """Take the key, or find what was started with it. Raises ValidationError if that was another charge."""
        texts = {"key": key, "card": card, "evse_id": evse_id}
        faults = [f"{name} must be printable text" for name, text in texts.items() if not is_printable(text)]
        if faults:
            raise ValidationError(faults, "start")
        request_id = str(uuid4())
        with self._open() as db:
            db.execute(
                "INSERT INTO starts (key, card, evse_id, request_id, claimed_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO NOTHING",
                (key, card, evse_id, request_id, datetime.now(UTC).isoformat()),
            )
            claim = _find(db, key)
        if (claim.card, claim.evse_id) != (card, evse_id):
            raise ValidationError([f"the key {key!r} was used for another card or another EVSE"], "start")
        return replace(claim, is_new=claim.request_id == request_id)

    def look(self, key: str) -> Claim:
        """What is known of a key that was claimed. Raises LookupError for one that was not."""
        with self._open() as db:
            return _find(db, key)

    def settle(self, claim: Claim, session_id: str) -> None:
        """Write down which session the start made. Raises OutcomeUnknownError if it is the one of another key."""
        try:
            with self._open() as db:
                db.execute("UPDATE starts SET session_id = ? WHERE key = ?", (session_id, claim.key))
        except sqlite3.IntegrityError:
            raise claim.lost() from None

    def release(self, claim: Claim) -> None:
        """Give the key back: nothing was started with it, and it may be tried again."""
        with self._open() as db:
            db.execute("DELETE FROM starts WHERE request_id = ? AND session_id IS NULL", (claim.request_id,))

    def holds(self, session_id: str) -> bool:
        """Whether a session was started through this ledger."""
        with self._open() as db:
            return db.execute("SELECT 1 FROM starts WHERE session_id = ?", (session_id,)).fetchone() is not None


def is_printable(value: object) -> bool:
    """Whether a value out of somebody's JSON is text that can be kept and sent."""
    return isinstance(value, str) and value.isprintable()


def _find(db: sqlite3.Connection, key: str) -> Claim:
    row = db.execute(
        "SELECT key, card, evse_id, request_id, claimed_at, session_id FROM starts WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        raise LookupError(f"nothing was ever started with the key {key!r}")
    return Claim(*row)


def ledger_from_env() -> Ledger:
    """The ledger that ``CHARGES_DB`` names, else ``charges.sqlite3`` in the present folder."""
    return Ledger(os.environ.get("CHARGES_DB", "charges.sqlite3"))


def start_once(ev: ShellEV, ledger: Ledger, key: str, card: str, evse_id: str, *, patience: float = 20) -> str:
    """The session id of this key's charge. Only the first call with a key starts; every other one looks.

    ``patience`` is for how many seconds a start is looked for whose answer was lost, or that another process began.
    Raises OutcomeUnknownError when it does not show: call again with the same key. After any other error whose
    ``outcome_unknown`` is False nothing was started, and the same key starts anew.
    """
    claim = ledger.claim(key, card, evse_id)
    if not claim.is_new:
        return find_started(ev, ledger, claim, patience=patience)
    try:
        charge = ev.start_charge(card, evse_id, request_id=claim.request_id, start_timeout=patience)
    except ShellEVError as error:
        if not error.outcome_unknown:
            ledger.release(claim)
        raise
    ledger.settle(claim, charge.session_id)
    return charge.session_id


def find_started(ev: ShellEV, ledger: Ledger, claim: Claim, *, patience: float = 20) -> str:
    """The session id of a start that somebody made: as written down, else looked up. Never starts."""
    if claim.session_id is not None:
        return claim.session_id
    charge = ev.reconcile(claim.lost(), start_timeout=patience)
    ledger.settle(claim, charge.session_id)
    return charge.session_id


async def start_once_async(
    ev: AsyncShellEV, ledger: Ledger, key: str, card: str, evse_id: str, *, patience: float = 20
) -> str:
    """:func:`start_once` with ``await``; the ledger is asked in a thread."""
    claim = await asyncio.to_thread(ledger.claim, key, card, evse_id)
    if claim.session_id is not None:
        return claim.session_id
    try:
        if claim.is_new:
            charge = await ev.start_charge(card, evse_id, request_id=claim.request_id, start_timeout=patience)
        else:
            charge = await ev.reconcile(claim.lost(), start_timeout=patience)
    except ShellEVError as error:
        if claim.is_new and not error.outcome_unknown:
            await asyncio.to_thread(ledger.release, claim)
        raise
    await asyncio.to_thread(ledger.settle, claim, charge.session_id)
    return charge.session_id
