"""The store of one machine: a SQLite file, on disk before anything is sent."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote

from ..errors import ConfigurationError, StoreError
from . import budgets, lifesigns, sql
from .base import store_error
from .driver import SqlDriver, SqlStore, Taken
from .lifesigns import LockFiles
from .threads import fork_count

logger: logging.Logger = logging.getLogger("shell_ev")

#: Seconds to wait for another process that writes.
BUSY: Final = 5.0
#: Marks a file as ours in its header.
_APPLICATION_ID: Final = 0x5EC4A6E5
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"})
_OLDEST_SQLITE: Final = (3, 35)

_SLOT: Final = "SELECT next_at, at FROM budgets WHERE name = ?"
_SET_SLOT: Final = (
    "INSERT INTO budgets (name, next_at, at) VALUES (?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at, at = excluded.at RETURNING name"
)

#: Connections of the parent in a forked child: to close them there could take the parent's locks away.
_of_the_parent: list[sqlite3.Connection] = []


class SQLiteStore(SqlStore):
    """A store in a SQLite file, for all processes of one machine. The file is readable by its user alone.

    The file is opened by the first call. Beside it lies a folder, its name and ``-owners``, with a locked file for
    each process that uses it.

    Args:
        path: The file; made where there was none.
        accept_loss: Make a new, empty journal although the one that was here is gone: its charges are not known then.
    """

    def __init__(self, path: str | os.PathLike[str], *, accept_loss: bool = False) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigurationError(f"a store needs SQLite 3.35 or later, and this is {sqlite3.sqlite_version}")
        # The file itself: behind a link of another name its owners would have another folder, and pass for dead.
        self.path: Path = Path(os.path.realpath(path))
        if self.path.is_dir():
            raise ConfigurationError(f"the store {self.path} is a folder; give the path of a file in it")
        super().__init__(SQLiteDriver(self.path, accept_loss=accept_loss))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class SQLiteDriver(SqlDriver):
    """One connection to a SQLite file, used in one thread.

    Args:
        path: The file.
        accept_loss: Make a new journal in the place of one that is gone.
        clock: Unix seconds.
    """

    has_leases: ClassVar[bool] = lifesigns.fcntl is None

    def __init__(self, path: Path, *, accept_loss: bool = False, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.statements: sql.Statements = sql.Statements("", "?", "shell_ev_now()")
        self.path = path
        self._accept_loss = accept_loss
        self._clock = clock
        self._files = LockFiles(path.with_name(f"{path.name}-owners"))
        self._connection: sqlite3.Connection | None = None
        self._forks = fork_count()
        self._inode: tuple[int, int] | None = None
        self._is_durable = True

    def __del__(self) -> None:
        if self._connection is not None and self._forks != fork_count():
            _of_the_parent.append(self._connection)

    # -- opening ---------------------------------------------------------------------------------------------------

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, opened on first use."""
        if self._connection is None:
            with self._errors("opened"):
                self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if not self.path.parent.is_dir():
            raise self._error("its folder does not exist", "make the folder, or give another path")
        self._files.make_folder()
        with self._files.schema_lock(BUSY):
            is_new = self._check_presence()
            # Made by hand, not by SQLite: it would be readable for others at first.
            os.close(os.open(self.path, os.O_RDWR | (os.O_CREAT if is_new else 0), 0o600))
            connection = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=rw", uri=True, timeout=BUSY, isolation_level=None
            )
            try:
                self._prepare(connection)
                self._inode = self._current_inode()
                self._files.made.touch(mode=0o600)
            except BaseException:
                connection.close()
                raise
        self._warn()
        return connection

    def _check_presence(self) -> bool:
        """Whether the file may be made: there never was a journal here."""
        there = self.path.stat() if self.path.exists() else None
        if there is not None and there.st_size > 0:
            return False
        log = self.path.with_name(f"{self.path.name}-wal")
        if not self._files.made.exists() and not (log.exists() and log.stat().st_size > 0):
            return True
        if not self._accept_loss:
            raise self._error(
                "the journal that was here is gone, and an empty one would start charges twice",
                "restore the file, or look up each card with charging.active and then run "
                "'shell-ev journal check --accept-loss'",
            )
        for left in (log, self.path.with_name(f"{self.path.name}-shm")):
            if left.exists():
                left.rename(left.with_name(f"{left.name}.lost-{time.time_ns()}"))
        logger.error("the store %s is made anew: the charges of the journal that was here are not known", self.path)
        return True

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.create_function("shell_ev_now", 0, self._clock)
        connection.execute("PRAGMA fullfsync = ON")
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION_ID:
            raise self._error("the file belongs to another program", "give another path")
        if known > sql.VERSION:
            raise self._error(
                f"its schema is version {known}, and this release knows {sql.VERSION}",
                "update shell_ev in this process",
            )
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise self._error("its file system cannot be used with a write-ahead log", "put it on a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        if known < sql.VERSION:
            connection.execute("BEGIN IMMEDIATE")
            for statement in (*sql.schema(), *sql.shared_schema()):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {sql.VERSION}")
            connection.execute("COMMIT")

    def _warn(self) -> None:
        kind = _file_system(self.path)
        if kind in _NETWORK:
            logger.warning(
                "the store %s is on a network file system (%s), whose locks are not reliable; use a local disk, or "
                "PostgreSQL for several machines",
                self.path,
                kind,
            )
        elif kind == "overlay":
            logger.warning("the store %s is inside a container and is lost with it; mount a volume", self.path)
        for problem in self._mode_problems():
            logger.warning("%s", problem)

    def _mode_problems(self) -> tuple[str, ...]:
        if os.name != "posix" or not self.path.stat().st_mode & 0o077:
            return ()
        return (f"the store {self.path} is readable by others: chmod 600 it",)

    # -- running ---------------------------------------------------------------------------------------------------

    def _error(self, reason: object, advice: str) -> StoreError:
        return store_error(f"the store {self.path}", reason, advice)

    @contextmanager
    def _errors(self, done: str) -> Generator[None]:
        """Every failure of SQLite or the file system as a StoreError that says what to do."""
        try:
            yield
        except (StoreError, ConfigurationError):
            raise
        except TimeoutError as error:
            raise self._error(f"cannot be {done}: {error}", "end that process if it hangs") from error
        except sqlite3.Error as error:
            raise self._error(f"cannot be {done}: {error}", _advice(error)) from error
        except OSError as error:
            raise self._error(
                f"cannot be {done}: {error.strerror or error}", "make the file and its folder writable for this user"
            ) from error

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Generator[sqlite3.Connection]:
        connection = self.connection
        with self._errors("written"):
            if self._current_inode() != self._inode:
                raise self._error(
                    "the file was removed or replaced while it was open", "restore it and restart this process"
                )
            if durable and not self._files.are_held():
                raise self._error(
                    f"a file of this process in {self._files.folder.name} was removed, so others take it for dead",
                    "keep clean-up jobs away from that folder and restart this process",
                )
            if durable is not self._is_durable:
                # Token and budget may be lost with the power, and are not worth a wait for the disk.
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._is_durable = durable
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _current_inode(self) -> tuple[int, int] | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino

    def rows(self, statement: str, *values: Any, durable: bool = True) -> list[tuple[Any, ...]]:
        """Run one statement that writes, in a transaction of its own."""
        with self._transaction(durable=durable) as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.IntegrityError as error:
                raise Taken from error

    def read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement that reads."""
        connection = self.connection
        with self._errors("read"):
            return connection.execute(statement, values).fetchall()

    def now(self) -> float:
        """Unix seconds on the clock of this machine."""
        return self._clock()

    def known_now(self) -> float:
        """The same from any thread."""
        return self._clock()

    # -- owners ----------------------------------------------------------------------------------------------------

    def enrol(self, owner: str) -> None:
        """Lock the file of an owner; a lease where there are no locks."""
        if self.has_leases:
            super().enrol(owner)
            return
        self.connection  # noqa: B018  makes the folder
        with self._errors("locked"):
            self._files.hold(owner)
        self._ends[owner] = float("inf")

    def leave(self, owner: str) -> None:
        """End the life sign of an owner."""
        if self.has_leases:
            super().leave(owner)
            return
        self._ends.pop(owner, None)
        self._files.end(owner)

    def alive(self, owners: frozenset[str]) -> set[str]:
        """Those of some owners whose file is locked."""
        if self.has_leases:
            return super().alive(owners)
        with self._errors("read"):
            return {owner for owner in owners if self._files.is_alive(owner)}

    # -- budget ----------------------------------------------------------------------------------------------------

    def reserve(self, name: str, rate: float, burst: float, longest: float, urgent: bool) -> float:
        """Take a slot of a budget."""
        with self._transaction(durable=False) as connection:
            slot = budgets.reserve(_kept(connection, name), self._clock(), rate, burst, longest, urgent=urgent)
            if slot.kept is not None:
                connection.execute(_SET_SLOT, (name, *slot.kept)).fetchall()
            return slot.wait

    def push_back(self, name: str, seconds: float, allowance: float) -> None:
        """Give no slot of a budget for some seconds."""
        with self._transaction(durable=False) as connection:
            kept = budgets.pushed_back(_kept(connection, name), self._clock(), seconds, allowance)
            connection.execute(_SET_SLOT, (name, *kept)).fetchall()

    # -- checking and closing --------------------------------------------------------------------------------------

    def check(self) -> tuple[str, ...]:
        """What is wrong with the file."""
        damage = [row[0] for row in self.read("PRAGMA quick_check") if row[0] != "ok"]
        if damage:
            raise self._error(f"damaged: {'; '.join(damage[:3])}", _RESTORE)
        with self._transaction():
            pass
        return self._mode_problems()

    def close(self) -> None:
        """End all life signs and close the file."""
        if self.has_leases:
            for owner in tuple(self._ends):
                with contextlib.suppress(StoreError):
                    self.leave(owner)
        self._ends.clear()
        self._files.end_all()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _kept(connection: sqlite3.Connection, name: str) -> budgets.Kept | None:
    row = connection.execute(_SLOT, (name,)).fetchone()
    return None if row is None else budgets.Kept(*row)


_RESTORE: Final = "restore it from a copy; it is never made anew by itself (shell-ev journal check says more)"


def _advice(error: sqlite3.Error) -> str:
    """What to do about a failure of SQLite."""
    name = getattr(error, "sqlite_errorname", "") or ""
    for beginning, advice in (
        ("SQLITE_BUSY", f"another process wrote for more than {BUSY:g} s: end what holds the file"),
        ("SQLITE_LOCKED", f"another process wrote for more than {BUSY:g} s: end what holds the file"),
        ("SQLITE_FULL", "make room on the disk"),
        ("SQLITE_IOERR", "look at the disk: is it full, or gone?"),
        ("SQLITE_READONLY", "make the file and its folder writable for this user"),
        ("SQLITE_CANTOPEN", "make the file and its folder writable for this user"),
        ("SQLITE_PERM", "make the file and its folder writable for this user"),
        ("SQLITE_CORRUPT", _RESTORE),
        ("SQLITE_NOTADB", f"is the path right? Else {_RESTORE}"),
    ):
        if name.startswith(beginning):
            return advice
    return "shell-ev journal check says more"


def _file_system(path: Path) -> str | None:
    """Kind of the file system of a path; None where it cannot be seen."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        around = [row for row in mounts if path.is_relative_to(row[1].replace("\\040", " "))]
        return max(around, key=lambda row: len(row[1]))[2]
    return None
