"""The store of many machines: tables in PostgreSQL, through psycopg 3."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from ..errors import ConfigurationError, StoreError, one_line
from . import sql
from .base import clock, store_error
from .budgets import LONGEST_PUSH
from .driver import SqlDriver, SqlStore, Taken

if TYPE_CHECKING:
    import psycopg

R = TypeVar("R")

_PREFIX: Final = "shell_ev_"
_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
#: Names the lock that is held while the schema is made.
_SCHEMA_LOCK: Final = 0x5EC4A6E5
#: For how long a call tries to reach the server, and the pause between two tries, in seconds.
_REACH_WITHIN: Final = 5.0
_TRY_EVERY: Final = 0.1
#: What libpq is given unless the URL says otherwise. A server that does not answer is not waited for for ever.
_OPTIONS: Final = {"application_name": "shell_ev", "connect_timeout": "5", "tcp_user_timeout": "10000"}

# One statement each: a process that is paused inside a transaction would keep the row from all others.
# The subqueries with OFFSET read the clock once, after the row is locked.
_RESERVE: Final = f"""
    INSERT INTO {_PREFIX}budgets AS kept (name, next_at, at, wait)
    VALUES (%(name)s, {_NOW} + %(gap)s, {_NOW}, 0)
    ON CONFLICT (name) DO UPDATE SET (next_at, at, wait) = (
        SELECT CASE WHEN %(urgent)s OR wait <= %(longest)s THEN greatest(next_at, now) + %(gap)s ELSE next_at END,
            now, wait
        FROM (
            SELECT now, next_at, greatest(0, next_at - %(ahead)s - now) AS wait
            FROM (
                SELECT now, kept.next_at + least(0, now - kept.at) AS next_at
                FROM (SELECT {_NOW} AS now OFFSET 0) AS one OFFSET 0
            ) AS two OFFSET 0
        ) AS three
    )
    RETURNING wait
"""
_PUSH_BACK: Final = f"""
    INSERT INTO {_PREFIX}budgets AS kept (name, next_at, at, wait)
    VALUES (%(name)s, {_NOW} + %(push)s, {_NOW}, 0)
    ON CONFLICT (name) DO UPDATE SET (next_at, at) = (
        SELECT greatest(kept.next_at + least(0, now - kept.at), now + %(push)s), now
        FROM (SELECT {_NOW} AS now OFFSET 0) AS one
    )
    RETURNING name
"""


def _psycopg() -> Any:
    try:
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise ConfigurationError(
            f"a store in PostgreSQL needs psycopg: pip install 'shell_ev[postgres]' ({one_line(error, 100)})"
        ) from error


class PostgresStore(SqlStore):
    """A store in a PostgreSQL database, for all processes of all machines that reach it.

    The connection is made by the first call. Tables have the prefix ``shell_ev_`` and are made where there are none.

    Args:
        url: Such as ``postgresql://user@host/database``; libpq's own variables and its password file count, too.
    """

    def __init__(self, url: str) -> None:
        psycopg = _psycopg()
        options: dict[str, Any] = {}
        with contextlib.suppress(psycopg.Error):
            options = psycopg.conninfo.conninfo_to_dict(url)
        if not options or not str(options.get("port", "0")).replace(",", "").isdigit():
            # The text of psycopg repeats the URL, with the password.
            raise ConfigurationError(
                "the store's URL cannot be read; write it like 'postgresql://user:password@host:5432/database' and "
                "percent-encode special characters in it"
            )
        self._shown = _shown(url)
        super().__init__(PostgresDriver({**_OPTIONS, **options}, self._shown, _hidden(url, options)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown!r})"


class PostgresDriver(SqlDriver):
    """One connection to PostgreSQL, used in one thread.

    Args:
        options: Options of libpq.
        shown: The server, as errors name it.
        hidden: What errors must not show.
    """

    def __init__(self, options: dict[str, Any], shown: str, hidden: tuple[str, ...]) -> None:
        super().__init__()
        self._psycopg = _psycopg()
        self.statements: sql.Statements = sql.Statements(_PREFIX, "%s", _NOW)
        self._options = options
        self._shown = shown
        self._hidden = hidden
        self._connection: psycopg.Connection[Any] | None = None
        self._has_schema = False
        self._promises = True
        """Whether the server has a commit on disk before it answers."""
        self._ahead_by = 0.0
        """By how much the server's clock is ahead of :func:`clock`."""

    # -- connecting ------------------------------------------------------------------------------------------------

    def _open(self) -> psycopg.Connection[Any]:
        # Statements are not prepared: behind a pooler the next transaction may have another connection.
        connection: psycopg.Connection[Any] = self._psycopg.connect(
            **self._options, autocommit=True, prepare_threshold=None
        )
        try:
            if not self._has_schema:
                self._make_schema(connection)
                self._has_schema = True
            now, commits = _row(connection, f"SELECT {_NOW}, current_setting('synchronous_commit')")
            self._ahead_by = now - clock()
            self._promises = commits != "off"
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_schema(self, connection: psycopg.Connection[Any]) -> None:
        if self._version(connection) < sql.VERSION:
            with connection.transaction():
                # IF NOT EXISTS is not enough: two processes that make one index at once collide.
                _do(connection, f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
                if self._version(connection) < sql.VERSION:
                    for statement in (
                        *sql.schema(_PREFIX),
                        *sql.shared_schema(_PREFIX, "UNLOGGED"),
                        f"CREATE TABLE IF NOT EXISTS {_PREFIX}schema (version INTEGER)",
                        f"DELETE FROM {_PREFIX}schema",
                        f"INSERT INTO {_PREFIX}schema VALUES ({sql.VERSION})",
                    ):
                        _do(connection, statement)

    def _version(self, connection: psycopg.Connection[Any]) -> int:
        """Version of the schema; 0 where there is none. Raises for a newer one than this release knows."""
        if _row(connection, f"SELECT to_regclass('{_PREFIX}schema')")[0] is None:
            return 0
        version = int(_row(connection, f"SELECT coalesce(max(version), 0) FROM {_PREFIX}schema")[0])
        if version > sql.VERSION:
            raise self._error(
                f"its schema is version {version}, and this release knows {sql.VERSION}", "update shell_ev"
            )
        return version

    # -- running ---------------------------------------------------------------------------------------------------

    def _error(self, reason: object, advice: str) -> StoreError:
        text = one_line(reason)
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return store_error(f"the store {self._shown}", text, advice)

    def _run(self, work: Callable[[psycopg.Connection[Any]], R]) -> R:
        """Do something on the connection; again on a new one, for a while, when the server cannot be reached."""
        self._repeated = False
        ends_at = time.monotonic() + _REACH_WITHIN
        while True:
            try:
                with self._errors():
                    if self._connection is None:
                        self._connection = self._open()
                    return work(self._connection)
            except _Unreachable as failure:
                self._repeated = True
                self._drop_connection()
                if time.monotonic() >= ends_at:
                    raise self._error(
                        f"cannot be reached: {failure}", "is the server running, and is the URL right?"
                    ) from None
                time.sleep(_TRY_EVERY)

    @contextmanager
    def _errors(self) -> Generator[None]:
        """Every failure of psycopg as a StoreError that says what to do, or as one worth another try."""
        psycopg = self._psycopg
        try:
            yield
        except psycopg.errors.UniqueViolation as error:
            raise Taken from error
        except (psycopg.errors.InvalidPassword, psycopg.errors.InvalidAuthorizationSpecification) as error:
            raise self._error(f"refused the login: {error}", "check user and password") from None
        except psycopg.errors.InsufficientPrivilege as error:
            raise self._error(error, "grant this user the right to make and use its tables") from None
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise self._error(error, "give the URL of the primary server") from None
        except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
            raise self._error(error, "make room on the server") from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            connection = self._connection
            login = _login_problem(str(error))
            if login is not None:
                raise self._error(f"refused the login: {error}", login) from None
            if connection is None or connection.closed or connection.broken:
                raise _Unreachable(one_line(error)) from None
            raise self._error(error, "shell-ev journal check says more") from None
        except psycopg.Error as error:
            raise self._error(error, "shell-ev journal check says more") from None

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def rows(self, statement: str, *values: Any, durable: bool = True) -> list[tuple[Any, ...]]:
        """Run one statement that writes, in a transaction of its own."""

        def work(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
            if self._promises or not durable:
                return _all(connection, statement, *values)
            with connection.transaction():
                _do(connection, "SET LOCAL synchronous_commit = on")
                return _all(connection, statement, *values)

        return self._run(work)

    def read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement that reads."""
        repeated = self._repeated
        try:
            return self._run(lambda connection: _all(connection, statement, *values))
        finally:
            self._repeated = repeated

    def now(self) -> float:
        """Unix seconds on the server's clock."""
        if self._connection is None:
            self._run(lambda _: None)
        return clock() + self._ahead_by

    def known_now(self) -> float | None:
        """The same from any thread; None while there is no connection."""
        return None if self._connection is None else clock() + self._ahead_by

    # -- budget ----------------------------------------------------------------------------------------------------

    def reserve(self, name: str, rate: float, burst: float, longest: float, urgent: bool) -> float:
        """Take a slot of a budget."""
        gap = 1.0 / rate
        values = {"name": name, "gap": gap, "ahead": (burst - 1.0) * gap, "longest": longest, "urgent": urgent}
        (wait,) = self._run(lambda connection: _row(connection, _RESERVE, values))
        return 0.0 if urgent else float(wait)

    def push_back(self, name: str, seconds: float, allowance: float) -> None:
        """Give no slot of a budget for some seconds."""
        values = {"name": name, "push": min(seconds, LONGEST_PUSH) + allowance}
        self._run(lambda connection: _do(connection, _PUSH_BACK, values))

    # -- checking and closing --------------------------------------------------------------------------------------

    def check(self) -> tuple[str, ...]:
        """What is wrong with the database."""

        def work(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
            found: list[str] = []
            self._version(connection)
            _do(connection, f"SELECT count(*) FROM {_PREFIX}entries")
            for setting in ("fsync", "full_page_writes"):
                if _row(connection, f"SELECT current_setting('{setting}')")[0] == "off":
                    found.append(f"the store {self._shown} runs with {setting} = off: a power cut may lose charges")
            return tuple(found)

        return self._run(work)

    def close(self) -> None:
        """End all leases and close the connection."""
        if self._connection is not None:
            for owner in tuple(self._ends):
                with contextlib.suppress(StoreError):
                    self.leave(owner)
        self._ends.clear()
        self._drop_connection()


def _do(connection: psycopg.Connection[Any], statement: str, values: Any = None) -> None:
    connection.execute(statement.encode(), values)


def _all(connection: psycopg.Connection[Any], statement: str, *values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(statement.encode(), values).fetchall()


def _row(connection: psycopg.Connection[Any], statement: str, values: Any = None) -> tuple[Any, ...]:
    """The one row of a statement that has one."""
    row: tuple[Any, ...] = connection.execute(statement.encode(), values).fetchone() or ()
    return row


class _Unreachable(Exception):
    """The connection is lost, or cannot be made now."""


def _login_problem(text: str) -> str | None:
    """What to do about a login that was refused; None for any other failure to connect."""
    if "password authentication failed" in text or "no password supplied" in text or "pg_hba.conf" in text:
        return "check user and password"
    if 'role "' in text and "does not exist" in text:
        return "check the user"
    if 'database "' in text and "does not exist" in text:
        return "make the database"
    return None


def _shown(url: str) -> str:
    """Scheme, host, port and database of a URL, without user and password."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "postgresql://"
    return f"postgresql://{parts.hostname or ''}{port}{parts.path}"


def _hidden(url: str, options: dict[str, Any]) -> tuple[str, ...]:
    """The password as it is, and as it is written in a URL; the longest first."""
    password = str(options.get("password") or "")
    given = urlsplit(url).password or ""
    return tuple(sorted({text for text in (password, quote(password, safe=""), given) if text}, key=len, reverse=True))
