"""The Store protocol, and the thread in which a store runs its blocking driver."""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import socket
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar, runtime_checkable

import attrs

from ..errors import ConfigurationError, StoreError
from .journal import Entry

R = TypeVar("R")

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


def new_owner() -> str:
    """A name for one start of one process: host, process id, and a random part."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40]
    return f"{host}.{os.getpid()}.{secrets.token_hex(6)}"


@attrs.frozen(kw_only=True)
class Conflict:
    """Why an entry was not written: another one stands in its way."""

    over: str
    """``fence`` (another writer took the entry over, or it is gone), ``evse`` or ``session``."""
    entry: Entry | None
    """The entry in the way, where it can be named."""


@attrs.frozen(kw_only=True)
class SealedToken:
    """An access token at rest: readable only with the client secret."""

    sealed: bytes = attrs.field(repr=False)
    ends_at: float
    """Unix seconds on the store's clock."""
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
        """Give an owner a life sign, which the store keeps up until :meth:`leave`, or until the process ends."""
        ...

    async def leave(self, owner: str) -> None:
        """End the life sign of an owner."""
        ...

    async def alive(self, owners: Collection[str]) -> set[str]:
        """Those of some owners whose life sign has not ended."""
        ...

    def may_send(self) -> bool:
        """Whether this process's own life sign is certain now: without it nothing may be sent."""
        ...

    async def insert(self, entry: Entry) -> Entry | None:
        """Add an entry; the one that has its key already, where there is one."""
        ...

    async def replace(self, entry: Entry, fence: int) -> Conflict | None:
        """Write an entry over the one with its key, if that has this fence.

        Returns:
            None once it is written. Else what stands in its way: another fence, an EVSE for which another entry is
            ``sent``, or a session id that another entry has.
        """
        ...

    async def delete(self, namespace: str, key: str, fence: int) -> bool:
        """Remove an entry, if it has this fence; whether it was removed."""
        ...

    async def get(self, namespace: str, key: str) -> Entry | None:
        """The entry of a key."""
        ...

    async def find(
        self, namespace: str, *, session_id: str | None = None, request_id: str | None = None, evse: str | None = None
    ) -> tuple[Entry, ...]:
        """Entries by session id, by RequestId, or those that are ``sent`` on an EVSE; the newest first."""
        ...

    async def entries(self, namespace: str, *, only_open: bool = True) -> tuple[Entry, ...]:
        """Entries in the order of their making: ``waiting`` and open ones, or all."""
        ...

    async def prune(self, namespace: str, over_before: float) -> int:
        """Remove entries that were over, or given up, before a time; how many there were."""
        ...

    async def read_token(self, name: str) -> SealedToken | None:
        """The shared token of a name."""
        ...

    async def lease_token(self, name: str, owner: str, seconds: float) -> bool:
        """Take the right to fetch the token of a name, for some seconds; False while another owner has it."""
        ...

    async def write_token(self, name: str, owner: str, sealed: bytes, lifetime: float) -> bool:
        """Keep a token and end the lease; False, and nothing is kept, for an owner without the lease."""
        ...

    async def drop_token(self, name: str, version: int) -> bool:
        """Forget the token, if it has this version."""
        ...

    async def reserve(self, name: str, rate: float, burst: float, longest: float, *, urgent: bool = False) -> float:
        """Take the next slot of a budget.

        Args:
            name: The budget.
            rate: Slots per second.
            burst: Slots that may be taken at once.
            longest: Seconds that the caller can wait; a later slot is not taken.
            urgent: Take the slot whatever it is, and owe it.

        Returns:
            Seconds to wait for the slot, more than ``longest`` where it was not taken; 0 for an urgent one.
        """
        ...

    async def push_back(self, name: str, seconds: float, allowance: float) -> None:
        """Give no slot of a budget for some seconds; ``allowance`` is by how many seconds a burst may run ahead."""
        ...

    async def check(self) -> tuple[str, ...]:
        """What is wrong with the store, one line each; nothing when all is well."""
        ...

    async def aclose(self) -> None:
        """End all life signs and close the store. May be called twice."""
        ...


class DriverThread:
    """One thread that runs every call of a blocking driver, one after another.

    ``idle`` runs in it when there was nothing to do for ``every`` seconds, and between calls when it is due.
    """

    def __init__(self, name: str, *, idle: Callable[[], object] | None = None, every: float = 20.0) -> None:
        self._name = name
        self._idle = idle
        self._every = every
        self._forks = _forks
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def is_forked(self) -> bool:
        """Whether this process is a child of the one that made the thread."""
        return self._forks != _forks

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Run something in the thread.

        Raises:
            ConfigurationError: The store is closed, or was made before a fork.
        """
        if self.is_forked:
            raise ConfigurationError("this store was opened before a fork; open one in the child process")
        future: Future[R] = Future()
        with self._lock:
            if self._closed:
                raise ConfigurationError("this store is closed; open another one")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            self._jobs.put((work, future))
        return future

    async def run(self, work: Callable[[], R]) -> R:
        """Run something in the thread and await its outcome. A cancelled caller does not undo it."""
        return await asyncio.wrap_future(self.submit(work))

    def _serve(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._every if self._idle is not None else None)
            except queue.Empty:
                self._run_idle()
                continue
            if job is None:
                return
            work, future = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del work, future, job
            self._run_idle()

    def _run_idle(self) -> None:
        if self._idle is not None:
            self._idle()

    def close(self, last: Callable[[], object], grace: float = 10.0) -> None:
        """Run something last, end the thread and wait for it. Without effect in a forked child, or the second time."""
        if self.is_forked:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
        if thread is None:
            last()
            return
        self._jobs.put((last, Future()))
        self._jobs.put(None)
        thread.join(grace)


def store_error(what: str, reason: object, advice: str) -> StoreError:
    """The one-line error of a store: what cannot be done, why, and what to do."""
    return StoreError(f"{what}: {reason}; {advice}")
