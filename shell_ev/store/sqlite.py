"""The store of one machine: a SQLite file, on disk before anything is sent."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from ..errors import StoreError
from . import budgets, sql
from .base import Conflict, DriverThread, SealedToken, store_error
from .journal import Entry

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has none: life signs are leases there
    fcntl = importlib.import_module("fcntl")

logger = logging.getLogger("shell_ev")

#: Seconds to wait for another process that writes.
_BUSY: Final = 5.0
#: Lease of an owner where the system has no flock, and how often it is renewed, in seconds.
_LEASE: Final = 60.0
_BEAT: Final = 20.0
#: Marks a file as ours in its header.
_APPLICATION_ID: Final = 0x5E_C4A6E5
_NAME: Final = re.compile(r"[\w.-]+")
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"})


class SQLiteStore:
    """A store in a SQLite file. For all processes of one machine; the file is readable by its user alone.

    Args:
        path: The file; made, with a folder of the same name and ``-owners`` beside it, where there is none.
        accept_loss: Make a new, empty journal although there was one here: charges of the old one are not known then.
    """

    def __init__(self, path: str | os.PathLike[str], *, accept_loss: bool = False) -> None:
        self.path = Path(path).absolute()
        self._accept_loss = accept_loss
        self._folder = self.path.with_name(f"{self.path.name}-owners")
        self._sql = sql.Statements("", "?")
        self._thread = DriverThread("shell_ev store", idle=self._beat, every=_BEAT)
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._life_signs: dict[str, IO[bytes] | None] = {}
        self._beaten_at = float("-inf")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def _forget(self) -> None:
        # A descriptor that the child keeps would keep the parent's life sign after the parent's death.
        for file in self._life_signs.values():
            if file is not None and self._thread.is_forked:
                with contextlib.suppress(OSError):
                    os.close(os.dup2(os.open(os.devnull, os.O_RDONLY), file.fileno()))

    # -- opening ---------------------------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        with self._errors("opened"):
            if not self.path.parent.is_dir():
                raise store_error(f"the store {self.path}", "its folder does not exist", "make the folder")
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with self._schema_lock():
                self._check_presence()
                # Made by hand: sqlite3 would make it readable for others.
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
                connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
                try:
                    self._prepare(connection)
                except BaseException:
                    connection.close()
                    raise
        stat = self.path.stat()
        self._inode = stat.st_dev, stat.st_ino
        self._warn_of_network()
        return connection

    def _check_presence(self) -> None:
        made = self._folder / "made"
        if not made.exists():
            return
        if self._accept_loss:
            made.unlink()
        elif not self.path.exists() or self.path.stat().st_size == 0:
            raise store_error(
                f"the store {self.path}",
                "the journal that was here is gone, and an empty one would start charges twice",
                "restore the file; or look at each card with charging.active and open it with accept_loss "
                "(shell-ev journal check --accept-loss)",
            )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA busy_timeout = {int(_BUSY * 1000)}")
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if known > sql.VERSION:
            raise store_error(
                f"the store {self.path}",
                f"its schema is version {known}, newer than {sql.VERSION}, which this release knows",
                "update shell_ev",
            )
        if tables and application != _APPLICATION_ID:
            raise store_error(f"the store {self.path}", "the file belongs to another program", "choose another path")
        connection.execute("PRAGMA journal_mode = WAL")
        if known < sql.VERSION:
            connection.execute("BEGIN IMMEDIATE")
            for statement in (*sql.schema(), *sql.shared_schema()):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {sql.VERSION}")
            connection.execute("COMMIT")
        made = self._folder / "made"
        if not made.exists():
            made.write_text(secrets.token_hex(8))

    @contextmanager
    def _schema_lock(self) -> Iterator[None]:
        if fcntl is None:
            yield
            return
        with (self._folder / "schema").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _warn_of_network(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
            around = [row for row in mounts if self.path.is_relative_to(row[1])]
            kind = max(around, key=lambda row: len(row[1]))[2]
            if kind in _NETWORK:
                logger.warning(
                    "the store %s is on a network file system (%s), whose locks SQLite cannot rely on; use a local "
                    "disk, or PostgreSQL",
                    self.path,
                    kind,
                )

    # -- running ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        """Every failure of SQLite or the file system as a StoreError that says what to do."""
        try:
            yield
        except StoreError:
            raise
        except sqlite3.DatabaseError as error:
            raise store_error(f"the store {self.path} cannot be {done}", error, _advice(error)) from error
        except OSError as error:
            raise store_error(
                f"the store {self.path} cannot be {done}", error.strerror or error, "make its folder writable"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connected()
        with self._errors("used"):
            self._check_inode()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _check_inode(self) -> None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            stat = None
        if stat is None or (stat.st_dev, stat.st_ino) != self._inode:
            raise store_error(
                f"the store {self.path}",
                "the file was removed or replaced while it was open",
                "restore it and restart the process",
            )

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._transaction() as connection:
            return connection.execute(statement, values).fetchall()

    def _read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = self._connected()
        with self._errors("read"):
            return connection.execute(statement, values).fetchall()

    # -- life signs ------------------------------------------------------------------------------------------------

    def _life_file(self, owner: str) -> Path:
        return self._folder / (owner if _NAME.fullmatch(owner) else owner.encode().hex())

    def _enrol(self, owner: str) -> None:
        self._connected()
        if fcntl is None:
            self._life_signs[owner] = None
            self._beat(now=True)
            return
        with self._errors("used"):
            file = os.fdopen(os.open(self._life_file(owner), os.O_RDWR | os.O_CREAT, 0o600), "r+b", 0)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._life_signs[owner] = file

    def _beat(self, *, now: bool = False) -> None:
        leased = [owner for owner, file in self._life_signs.items() if file is None]
        if not leased or not (now or time.monotonic() - self._beaten_at > _BEAT):
            return
        began = time.monotonic()
        with contextlib.suppress(StoreError):
            for owner in leased:
                self._rows(self._sql.beat, owner, time.time() + _LEASE)
            self._beaten_at = began

    def _is_alive(self, owner: str) -> bool:
        if fcntl is None:
            return bool(self._read(f"{self._sql.alive} AND owner = ?", time.time(), owner))
        try:
            with self._life_file(owner).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _leave(self, owner: str) -> None:
        file = self._life_signs.pop(owner, None)
        if file is not None:
            with contextlib.suppress(OSError):
                self._life_file(owner).unlink()
            file.close()
        elif fcntl is None:
            self._rows(self._sql.leave, owner)

    async def now(self) -> float:
        return time.time()

    async def enrol(self, owner: str) -> None:
        await self._thread.run(lambda: self._enrol(owner))

    async def leave(self, owner: str) -> None:
        await self._thread.run(lambda: self._leave(owner))

    async def alive(self, owners: Collection[str]) -> set[str]:
        wanted = set(owners)
        return await self._thread.run(lambda: {owner for owner in wanted if self._is_alive(owner)})

    def may_send(self) -> bool:
        return fcntl is not None or time.monotonic() - self._beaten_at < _LEASE - 5.0

    # -- journal ---------------------------------------------------------------------------------------------------

    async def insert(self, entry: Entry) -> Entry | None:
        return await self._thread.run(lambda: self._insert(entry))

    def _insert(self, entry: Entry) -> Entry | None:
        with self._transaction() as connection:
            if connection.execute(self._sql.insert, sql.row_of(entry)).fetchone():
                return None
            row = connection.execute(self._sql.get, (entry.namespace, entry.key)).fetchone()
        return sql.entry_of(row)

    async def replace(self, entry: Entry, fence: int) -> Conflict | None:
        return await self._thread.run(lambda: self._replace(entry, fence))

    def _replace(self, entry: Entry, fence: int) -> Conflict | None:
        values = (*sql.changes_of(entry), entry.namespace, entry.key, fence)
        try:
            with self._transaction() as connection:
                try:
                    done = connection.execute(self._sql.replace, values).fetchone()
                except sqlite3.IntegrityError as error:
                    raise _Taken from error
                if done:
                    return None
                row = connection.execute(self._sql.get, (entry.namespace, entry.key)).fetchone()
        except _Taken:
            return self._conflict(entry)
        return Conflict(over="fence", entry=None if row is None else sql.entry_of(row))

    def _conflict(self, entry: Entry) -> Conflict:
        for over, statement, value in (
            ("session", self._sql.by_session, entry.session_id),
            ("evse", self._sql.by_evse, entry.evse),
        ):
            rows = self._read(statement, entry.namespace, value) if value is not None else []
            others = [other for other in map(sql.entry_of, rows) if other.key != entry.key]
            if others:
                return Conflict(over=over, entry=others[0])
        return Conflict(over="evse", entry=None)

    async def delete(self, namespace: str, key: str, fence: int) -> bool:
        return bool(await self._thread.run(lambda: self._rows(self._sql.delete, namespace, key, fence)))

    async def get(self, namespace: str, key: str) -> Entry | None:
        rows = await self._thread.run(lambda: self._read(self._sql.get, namespace, key))
        return sql.entry_of(rows[0]) if rows else None

    async def find(
        self, namespace: str, *, session_id: str | None = None, request_id: str | None = None, evse: str | None = None
    ) -> tuple[Entry, ...]:
        statement, value = _search(self._sql, session_id, request_id, evse)
        rows = await self._thread.run(lambda: self._read(statement, namespace, value))
        return tuple(map(sql.entry_of, rows))

    async def entries(self, namespace: str, *, only_open: bool = True) -> tuple[Entry, ...]:
        statement = self._sql.open if only_open else self._sql.all
        return tuple(map(sql.entry_of, await self._thread.run(lambda: self._read(statement, namespace))))

    async def prune(self, namespace: str, over_before: float) -> int:
        return len(await self._thread.run(lambda: self._rows(self._sql.prune, namespace, over_before)))

    # -- token and budget ------------------------------------------------------------------------------------------

    async def read_token(self, name: str) -> SealedToken | None:
        rows = await self._thread.run(lambda: self._read(self._sql.read_token, name))
        return SealedToken(sealed=bytes(rows[0][0]), ends_at=rows[0][1], version=rows[0][2]) if rows else None

    async def lease_token(self, name: str, owner: str, seconds: float) -> bool:
        def lease() -> bool:
            now = time.time()
            return bool(self._rows(self._sql.lease, name, owner, now + seconds, now))

        return await self._thread.run(lease)

    async def write_token(self, name: str, owner: str, sealed: bytes, lifetime: float) -> bool:
        def write() -> bool:
            return bool(self._rows(self._sql.write_token, sealed, time.time() + lifetime, name, owner))

        return await self._thread.run(write)

    async def drop_token(self, name: str, version: int) -> bool:
        return bool(await self._thread.run(lambda: self._rows(self._sql.drop_token, name, version)))

    async def reserve(self, name: str, rate: float, burst: float, longest: float, *, urgent: bool = False) -> float:
        def reserve() -> float:
            with self._transaction() as connection:
                row = connection.execute(self._sql.next_slot, (name,)).fetchone()
                slot = budgets.reserve(row[0] if row else None, time.time(), rate, burst, longest, urgent=urgent)
                if slot.next_at is not None:
                    connection.execute(self._sql.set_slot, (name, slot.next_at)).fetchone()
                return slot.wait

        return await self._thread.run(reserve)

    async def push_back(self, name: str, seconds: float, allowance: float) -> None:
        def push() -> None:
            with self._transaction() as connection:
                row = connection.execute(self._sql.next_slot, (name,)).fetchone()
                next_at = budgets.pushed_back(row[0] if row else None, time.time(), seconds, allowance)
                connection.execute(self._sql.set_slot, (name, next_at)).fetchone()

        await self._thread.run(push)

    # -- checking and closing --------------------------------------------------------------------------------------

    async def check(self) -> tuple[str, ...]:
        def check() -> tuple[str, ...]:
            found = [row[0] for row in self._read("PRAGMA quick_check") if row[0] != "ok"]
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                found.append(f"{self.path} is readable by others: chmod 600 {self.path}")
            with self._transaction():
                pass
            return tuple(found)

        try:
            return await self._thread.run(check)
        except StoreError as error:
            return (str(error),)

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """End all life signs and close the store, from any thread. May be called twice."""
        self._thread.close(self._close)

    def _close(self) -> None:
        for owner in list(self._life_signs):
            with contextlib.suppress(StoreError):
                self._leave(owner)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Taken(Exception):
    """Another entry has this session id, or is sent on this EVSE."""


def _search(
    statements: sql.Statements, session_id: str | None, request_id: str | None, evse: str | None
) -> tuple[str, str]:
    if session_id is not None:
        return statements.by_session, session_id
    if request_id is not None:
        return statements.by_request, request_id
    if evse is not None:
        return statements.by_evse, evse
    raise ValueError("give one of session_id, request_id and evse")


def _advice(error: sqlite3.DatabaseError) -> str:
    """What to do about a failure of SQLite."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return f"another process wrote for more than {_BUSY:g} s: close what holds it"
    if "full" in text:
        return "make room on the disk"
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return "make the file and its folder writable for this user"
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        return "restore it from a copy (shell-ev journal check says more); it is never made anew by itself"
    return "see shell-ev journal check"
