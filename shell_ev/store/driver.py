"""What the SQL stores share: each operation in the store's thread, and the awaitable store around them."""

from __future__ import annotations

import logging
import weakref
from abc import ABC, abstractmethod
from collections.abc import Collection
from functools import partial
from typing import Any, ClassVar, Final

from ..errors import StoreError
from . import sql
from .base import Conflict, SealedToken, clock
from .journal import Entry
from .threads import DriverThread

logger: logging.Logger = logging.getLogger("shell_ev")

#: Lease of an owner, how often it is renewed, how soon after a failure, and how long before its end sending stops.
LEASE: Final = 60.0
_BEAT: Final = 20.0
_BEAT_AGAIN: Final = 1.0
_MARGIN: Final = 5.0


class Taken(Exception):
    """A unique index refused a write: another entry has this session id, or is ``sent`` on this EVSE."""


class SqlDriver(ABC):
    """The operations of a store on one connection, all in one thread. Every failure is a StoreError."""

    has_leases: ClassVar[bool] = True
    statements: sql.Statements

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        self._repeated = False
        """Whether the last write may have been carried out twice: its first answer was lost."""

    @abstractmethod
    def rows(self, statement: str, *values: Any, durable: bool = True) -> list[tuple[Any, ...]]:
        """Run one statement that writes, in a transaction of its own.

        Raises:
            Taken: A unique index refused it.
        """

    @abstractmethod
    def read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement that reads."""

    @abstractmethod
    def now(self) -> float:
        """Unix seconds on the store's clock."""

    @abstractmethod
    def known_now(self) -> float | None:
        """The same from any thread; None before the store's clock is known."""

    @abstractmethod
    def reserve(self, name: str, rate: float, burst: float, longest: float, urgent: bool) -> float:
        """Take a slot of a budget."""

    @abstractmethod
    def push_back(self, name: str, seconds: float, allowance: float) -> None:
        """Give no slot of a budget for some seconds."""

    @abstractmethod
    def check(self) -> tuple[str, ...]:
        """What is wrong with the store."""

    @abstractmethod
    def close(self) -> None:
        """End all life signs and close the connection."""

    # -- owners ----------------------------------------------------------------------------------------------------

    def enrol(self, owner: str) -> None:
        """Give an owner a lease, or renew it."""
        self.rows(self.statements.forget_owners)
        self._beat(owner)

    def _beat(self, owner: str) -> None:
        begun = clock()
        self.rows(self.statements.beat, owner, LEASE)
        self._ends[owner] = begun + LEASE - _MARGIN

    def beat(self) -> float:
        """Renew all leases; seconds until the next time."""
        try:
            for owner in tuple(self._ends):
                self._beat(owner)
        except Exception as error:
            logger.debug("a lease could not be renewed: %s", error)
            return _BEAT_AGAIN
        return _BEAT

    def leave(self, owner: str) -> None:
        """End the lease of an owner."""
        if self._ends.pop(owner, None) is not None:
            self.rows(self.statements.leave, owner)

    def alive(self, owners: frozenset[str]) -> set[str]:
        """Those of some owners that have a lease."""
        return {row[0] for row in self.read(self.statements.alive)} & owners if owners else set()

    def sends_until(self, owner: str) -> float:
        """When the lease of an owner ends, less a margin. From any thread."""
        return self._ends.get(owner, float("-inf"))

    # -- journal ---------------------------------------------------------------------------------------------------

    def insert(self, entry: Entry) -> Conflict | None:
        """Add an entry."""
        if self.rows(self.statements.insert, *sql.row_of(entry)):
            return None
        found = self.get(entry.namespace, entry.key)
        if found is None:
            return self._conflict(entry)
        return None if self._repeated and found == entry else Conflict(over="key", entry=found)

    def replace(self, entry: Entry, fence: int) -> Conflict | None:
        """Write an entry over the one with its key and this fence."""
        values = (*sql.changes_of(entry), entry.namespace, entry.key, fence)
        try:
            if self.rows(self.statements.replace, *values):
                return None
        except Taken:
            return self._conflict(entry)
        found = self.get(entry.namespace, entry.key)
        return None if self._repeated and found == entry else Conflict(over="fence", entry=found)

    def _conflict(self, entry: Entry) -> Conflict:
        if entry.session_id is not None:
            for other in self.find(self.statements.by_session, entry.namespace, entry.session_id):
                if other.key != entry.key:
                    return Conflict(over="session", entry=other)
        others = self.find(self.statements.by_evse, entry.namespace, entry.evse)
        return Conflict(over="evse", entry=next((other for other in others if other.key != entry.key), None))

    def delete(self, namespace: str, key: str, fence: int) -> bool:
        """Remove an entry with this fence; whether it is gone."""
        return bool(self.rows(self.statements.delete, namespace, key, fence)) or self.get(namespace, key) is None

    def get(self, namespace: str, key: str) -> Entry | None:
        """The entry of a key."""
        rows = self.read(self.statements.get, namespace, key)
        return sql.entry_of(rows[0]) if rows else None

    def find(self, statement: str, *values: Any) -> tuple[Entry, ...]:
        """The entries of a statement."""
        return tuple(map(sql.entry_of, self.read(statement, *values)))

    # -- token -----------------------------------------------------------------------------------------------------

    def read_token(self, name: str) -> SealedToken | None:
        """The shared token."""
        for sealed, ends_in, version in self.read(self.statements.read_token, name):
            return SealedToken(sealed=bytes(sealed), ends_in=ends_in, version=version)
        return None

    def has_changed(self, statement: str, *values: Any) -> bool:
        """Whether a statement about the token changed a row."""
        return bool(self.rows(statement, *values, durable=False))


class SqlStore:
    """A store over a driver, as :class:`~shell_ev.store.base.Store` describes it."""

    def __init__(self, driver: SqlDriver) -> None:
        self._driver = driver
        self._sql = driver.statements
        self._thread = DriverThread(
            "shell_ev store", close=driver.close, idle=driver.beat if driver.has_leases else None
        )
        weakref.finalize(self, self._thread.end).atexit = False

    async def now(self) -> float:
        """Unix seconds on the store's clock."""
        known = self._driver.known_now()
        # Without the thread where the clock is known: one switch of threads less for each write.
        return await self._thread.run(self._driver.now) if known is None or not self._thread.is_open else known

    async def enrol(self, owner: str) -> None:
        """Give an owner a life sign, or renew it."""
        await self._thread.run(partial(self._driver.enrol, owner))

    async def leave(self, owner: str) -> None:
        """End the life sign of an owner."""
        await self._thread.run(partial(self._driver.leave, owner))

    async def alive(self, owners: Collection[str]) -> set[str]:
        """Those of some owners whose life sign has not ended."""
        return await self._thread.run(partial(self._driver.alive, frozenset(owners)))

    def sends_until(self, owner: str) -> float:
        """Until when an owner of this process surely counts as alive, on :func:`~shell_ev.store.base.clock`."""
        return self._driver.sends_until(owner)

    async def insert(self, entry: Entry) -> Conflict | None:
        """Add an entry; what stands in its way where it was not added."""
        return await self._thread.run(partial(self._driver.insert, entry))

    async def replace(self, entry: Entry, fence: int) -> Conflict | None:
        """Write an entry over the one with its key and this fence; what stands in its way where it was not written."""
        return await self._thread.run(partial(self._driver.replace, entry, fence))

    async def delete(self, namespace: str, key: str, fence: int) -> bool:
        """Remove an entry, if it has this fence; whether it is gone now."""
        return await self._thread.run(partial(self._driver.delete, namespace, key, fence))

    async def get(self, namespace: str, key: str) -> Entry | None:
        """The entry of a key."""
        return await self._thread.run(partial(self._driver.get, namespace, key))

    async def find(
        self, namespace: str, *, session_id: str | None = None, request_id: str | None = None, evse: str | None = None
    ) -> tuple[Entry, ...]:
        """Entries by session id, by RequestId, or those that are ``sent`` on an EVSE; the newest first."""
        searches = (
            (self._sql.by_session, session_id),
            (self._sql.by_request, request_id),
            (self._sql.by_evse, evse),
        )
        given = [(statement, value) for statement, value in searches if value is not None]
        if len(given) != 1:
            raise ValueError("give one of session_id, request_id and evse")
        statement, value = given[0]
        return await self._thread.run(partial(self._driver.find, statement, namespace, value))

    async def entries(
        self, namespace: str, *, only_open: bool = True, after: Entry | None = None, limit: int | None = None
    ) -> tuple[Entry, ...]:
        """Entries in the order of their making: those that recovery may have to deal with, or all."""
        statement = self._sql.open if only_open else self._sql.all
        values: list[Any] = [namespace, *((float("-inf"), "") if after is None else (after.created_at, after.key))]
        if limit is not None:
            statement += self._sql.limit
            values.append(limit)
        return await self._thread.run(partial(self._driver.find, statement, *values))

    async def prune(self, namespace: str, over_before: float) -> int:
        """Remove entries that were over, or given up, before a time; how many there were."""
        return len(await self._thread.run(partial(self._driver.rows, self._sql.prune, namespace, over_before)))

    async def read_token(self, name: str) -> SealedToken | None:
        """The shared token of a name."""
        return await self._thread.run(partial(self._driver.read_token, name))

    async def lease_token(self, name: str, owner: str, seconds: float) -> bool:
        """Take the right to fetch the token of a name, for some seconds; False while another owner has it."""
        return await self._changed(self._sql.lease, name, owner, seconds)

    async def write_token(self, name: str, owner: str, sealed: bytes, lifetime: float) -> bool:
        """Keep a token and end the lease; False, and nothing is kept, for an owner without the lease."""
        return await self._changed(self._sql.write_token, sealed, lifetime, name, owner)

    async def end_token_lease(self, name: str, owner: str) -> None:
        """Give the right to fetch back, after a fetch that failed."""
        await self._changed(self._sql.end_lease, name, owner)

    async def drop_token(self, name: str, version: int) -> bool:
        """Forget the token, if it has this version."""
        return await self._changed(self._sql.drop_token, name, version)

    async def _changed(self, statement: str, *values: Any) -> bool:
        return await self._thread.run(partial(self._driver.has_changed, statement, *values))

    async def reserve(self, name: str, rate: float, burst: float, longest: float, *, urgent: bool = False) -> float:
        """Take the next slot of a budget; seconds to wait for it, more than ``longest`` where it was not taken."""
        return await self._thread.run(partial(self._driver.reserve, name, rate, burst, longest, urgent))

    async def push_back(self, name: str, seconds: float, allowance: float) -> None:
        """Give no slot of a budget for some seconds."""
        await self._thread.run(partial(self._driver.push_back, name, seconds, allowance))

    async def check(self) -> tuple[str, ...]:
        """What is wrong with the store, one line each; nothing when all is well."""
        try:
            return await self._thread.run(self._driver.check)
        except StoreError as error:
            return (str(error),)

    def close(self) -> None:
        """End all life signs and close the store, from any thread, without a loop. May be called twice."""
        self._thread.close()

    async def aclose(self) -> None:
        """The same without blocking the loop."""
        await self._thread.aclose()
