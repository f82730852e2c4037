"""The Store protocol: what a journal, a token and a budget are kept in."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Collection
from typing import Final, Literal, Protocol, runtime_checkable

import attrs

from ..errors import StoreError
from .journal import Entry

_BOOT_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def clock() -> float:
    """Seconds on a clock that is never set and runs on while the machine sleeps, where there is one."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


def new_owner() -> str:
    """A name for one start of one process: host, process id, and a random part."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40]
    return f"{host}.{os.getpid()}.{secrets.token_hex(6)}"


@attrs.frozen(kw_only=True)
class Conflict:
    """Why an entry was not written: another one stands in its way."""

    over: Literal["key", "fence", "evse", "session"]
    """``key`` (there is an entry with this key), ``fence`` (another writer took the entry over, or it is gone),
    ``evse`` (another entry is ``sent`` on this EVSE) or ``session`` (another entry has this session id)."""
    entry: Entry | None
    """The entry in the way; None where it is gone by now."""


@attrs.frozen(kw_only=True)
class SealedToken:
    """An access token at rest: readable only with the client secret."""

    sealed: bytes = attrs.field(repr=False)
    ends_in: float
    """Seconds that were left of its life when it was read."""
    version: int
    """Raised by each token written."""


@runtime_checkable
class Store(Protocol):
    """What a journal, a token and a budget are kept in: it keeps and compares, and decides nothing.

    Every method may be awaited from any event loop. Each write is one transaction that is on disk when it returns.
    Every failure of the store itself is a :class:`~shell_ev.StoreError`.
    """

    async def now(self) -> float:
        """Unix seconds on the clock that all who share the store see."""
        ...

    async def enrol(self, owner: str) -> None:
        """Give an owner a life sign, which the store keeps up until :meth:`leave`, or until the process ends.

        A second call renews it.

        Args:
            owner: The id of the owner.
        """
        ...

    async def leave(self, owner: str) -> None:
        """End the life sign of an owner.

        Args:
            owner: The id of the owner.
        """
        ...

    async def alive(self, owners: Collection[str]) -> set[str]:
        """Those of some owners whose life sign has not ended.

        Args:
            owners: The ids of owners.
        """
        ...

    def sends_until(self, owner: str) -> float:
        """Until when an owner of this process surely counts as alive.

        Read it before an intent is written; after that time, nothing of this intent may be sent. Read later it would
        be too late: a process that was paused renews its lease when it wakes, but its entries may have been taken.

        Args:
            owner: The id of an owner of this process.

        Returns:
            A time on :func:`clock`: infinity where the kernel keeps the life sign, minus infinity without one.
        """
        ...

    async def insert(self, entry: Entry) -> Conflict | None:
        """Add an entry in any state.

        Args:
            entry: The new entry.

        Returns:
            None once it is written. Else what stands in its way: an entry with this key, with this session id, or one
            that is ``sent`` on this EVSE while this one is, too.
        """
        ...

    async def replace(self, entry: Entry, fence: int) -> Conflict | None:
        """Write an entry over the one with its key, if that has this fence.

        Args:
            entry: The entry as it is to be.
            fence: The fence that the written entry must have.

        Returns:
            None once it is written. Else what stands in its way: another fence, an EVSE for which another entry is
            ``sent``, or a session id that another entry has.
        """
        ...

    async def delete(self, namespace: str, key: str, fence: int) -> bool:
        """Remove an entry, if it has this fence; whether it is gone now.

        Args:
            namespace: The API host and client it belongs to.
            key: Its key.
            fence: The fence that it must have.
        """
        ...

    async def get(self, namespace: str, key: str) -> Entry | None:
        """The entry of a key.

        Args:
            namespace: The API host and client it belongs to.
            key: The key.
        """
        ...

    async def find(
        self, namespace: str, *, session_id: str | None = None, request_id: str | None = None, evse: str | None = None
    ) -> tuple[Entry, ...]:
        """Entries by session id, by RequestId, or those that are ``sent`` on an EVSE; the newest first.

        Args:
            namespace: The API host and client they belong to.
            session_id: The session id.
            request_id: The RequestId of the start.
            evse: The EVSE id, without separators.
        """
        ...

    async def entries(
        self, namespace: str, *, only_open: bool = True, after: Entry | None = None, limit: int | None = None
    ) -> tuple[Entry, ...]:
        """Entries in the order of their making: those that recovery may have to deal with, or all.

        Args:
            namespace: The API host and client they belong to.
            only_open: Leave out those that are ``over``, and those that are ``given_up`` and have no ``card`` left.
            after: Begin behind this entry; None begins with the first.
            limit: How many at most; None for all.
        """
        ...

    async def prune(self, namespace: str, over_before: float) -> int:
        """Remove entries that were over, or given up, before a time; how many there were.

        Args:
            namespace: The API host and client they belong to.
            over_before: A time on :func:`clock`.
        """
        ...

    async def read_token(self, name: str) -> SealedToken | None:
        """The shared token of a name.

        Args:
            name: The token.
        """
        ...

    async def lease_token(self, name: str, owner: str, seconds: float) -> bool:
        """Take the right to fetch the token of a name, for some seconds; False while another owner has it.

        An owner that has the lease has it again.

        Args:
            name: The token.
            owner: The owner that is to fetch it.
            seconds: How long the lease lasts.
        """
        ...

    async def write_token(self, name: str, owner: str, sealed: bytes, lifetime: float) -> bool:
        """Keep a token and end the lease; False, and nothing is kept, for an owner without the lease.

        Args:
            name: The token.
            owner: Who has the lease.
            sealed: The token, encrypted.
            lifetime: Seconds for which it may be used; infinity where the service did not say.
        """
        ...

    async def end_token_lease(self, name: str, owner: str) -> None:
        """Give the right to fetch back, after a fetch that failed.

        Args:
            name: The token.
            owner: The owner that has the lease.
        """
        ...

    async def drop_token(self, name: str, version: int) -> bool:
        """Forget the token, if it has this version.

        Args:
            name: The token.
            version: The version that it must have.
        """
        ...

    async def reserve(self, name: str, rate: float, burst: float, longest: float, *, urgent: bool = False) -> float:
        """Take the next slot of a budget.

        Args:
            name: The budget.
            rate: Slots per second.
            burst: Slots that may be taken at once.
            longest: Seconds that the caller can wait; a later slot is not taken.
            urgent: Take a slot at once, and owe it.

        Returns:
            Seconds to wait for the slot, more than ``longest`` where it was not taken; 0 for an urgent one.
        """
        ...

    async def push_back(self, name: str, seconds: float, allowance: float) -> None:
        """Give no slot of a budget for some seconds.

        Args:
            name: The budget.
            seconds: How long no slot is given.
            allowance: Seconds by which a burst may run ahead.
        """
        ...

    async def check(self) -> tuple[str, ...]:
        """What is wrong with the store, one line each; nothing when all is well."""
        ...

    def close(self) -> None:
        """End all life signs and close the store, from any thread, without a loop. May be called twice."""
        ...

    async def aclose(self) -> None:
        """The same without blocking the loop."""
        ...


def store_error(what: str, reason: object, advice: str) -> StoreError:
    """The one-line error of a store: what cannot be done, why, and what to do."""
    return StoreError(f"{what}: {reason}; {advice}")
