"""The journal as one client uses it: who owns an entry, what becomes of it, and what a failing store still owes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from ..errors import ChargeInProgressError, ConfigurationError, ShellEVError, StoreError, one_line
from ..models.charging import ChargeSession
from ..options import ClientConfig
from ..store import journal
from ..store.base import Conflict, Store, clock, new_owner
from ..store.journal import Entry, OnCrash, State
from ..store.opening import open_store
from ..store.vault import Vault, store_secrets
from .auth import ClientCredentials, TokenSource
from .unwritten import Record, Unwritten

if TYPE_CHECKING:
    from .ownership import Ownership, OwnStart

logger: logging.Logger = logging.getLogger("shell_ev")

#: Seconds that the life sign of this process must hold on when an intent is written: connecting takes a while.
LEAST_LEFT: Final = 15.0
#: How often a write that meets another fence is made again on what stands there.
_WRITES: Final = 5


class Ledger:
    """One client's part of a store.

    Args:
        store: Keeps the entries.
        vault: Seals cards.
        namespace: API host and client that the entries belong to.
        is_ours: Whether the store is closed with the client.
    """

    def __init__(self, store: Store, vault: Vault, namespace: str, *, is_ours: bool) -> None:
        self.store = store
        self.vault = vault
        self.namespace = namespace
        self._is_ours = is_ours
        self.owner: str = new_owner()
        self._is_enrolled = False
        self._unwritten = Unwritten()

    async def enrol(self) -> None:
        """Give this process its life sign, or renew it where it ends soon."""
        if not self._is_enrolled or self.store.sends_until(self.owner) - clock() < LEAST_LEFT:
            await self.store.enrol(self.owner)
            self._is_enrolled = True

    async def is_owned(self, entry: Entry) -> bool:
        """Whether a live process works on an entry, this one included."""
        return bool(await self.owned([entry]))

    async def owned(self, entries: Sequence[Entry]) -> set[str]:
        """Keys of those of some entries on which a live process works, this one included."""
        owners = {entry.owner for entry in entries if entry.owner is not None}
        alive = await self.store.alive(owners - {self.owner}) | {self.owner}
        return {entry.key for entry in entries if entry.owner in alive}

    async def get(self, key: str) -> Entry | None:
        """The entry of a key."""
        return await self.store.get(self.namespace, key)

    async def take_over(self, entry: Entry, *, on_crash: OnCrash | None = None) -> Entry | None:
        """Own an entry that no live process works on; None if another one was faster."""
        await self.enrol()
        taken = journal.taken_over(entry, self.owner, on_crash=on_crash)
        return taken if await self.store.replace(taken, entry.fence) is None else None

    async def write(self, entry: Entry) -> Conflict | None:
        """Write an entry that this process owns. A conflict over its fence says that it was taken over."""
        return await self.store.replace(entry, entry.fence)

    async def release(self, entry: Entry) -> None:
        """Stop owning an entry, if this process still does. A failing store only leaves it to the life sign."""
        if entry.owner is None:
            return
        waiting = self._unwritten.get(entry.key)
        if waiting is not None:
            if waiting.entry is not None:
                waiting.entry = journal.released(waiting.entry)
            return
        try:
            current = await self.get(entry.key)
            if current is not None and current.owner == self.owner and current.fence == entry.fence:
                await self.store.replace(journal.released(current), current.fence)
        except StoreError as error:
            logger.warning("key %s: the entry is not released yet: %s", one_line(entry.key, 300), error)
            self.write_later(journal.released(entry), error)

    def write_later(self, entry: Entry, error: StoreError) -> None:
        """Write an entry that this process owns as soon as the store works again."""
        lost: str | None = None
        if entry.session_id is not None:
            lost = (
                f"session {one_line(entry.session_id, 300)} (key {one_line(entry.key, 300)}) is {entry.state.value}, "
            )
            lost += "which the store does not know"
        self._unwritten.keep(entry.key, Record(self._write_owned, entry, lost), error)

    def forget_unwritten(self, entry: Entry) -> None:
        """Leave out what was to be written of an entry of which more is written now."""
        self._unwritten.drop(entry.key)

    def remove_later(self, entry: Entry, error: StoreError) -> None:
        """Remove an intent that may have been written although the store failed: nothing was sent."""

        async def remove(_: Record) -> None:
            current = await self.get(entry.key)
            if current is not None and (current.owner, current.request_id) == (self.owner, entry.request_id):
                await self.store.delete(current.namespace, current.key, current.fence)

        self._unwritten.keep(entry.key, Record(remove), error)

    async def _write_owned(self, record: Record) -> None:
        entry = record.entry
        current = None if entry is None else await self.get(entry.key)
        if entry is None or current is None or (current.owner, current.fence) != (self.owner, entry.fence):
            return  # another process has taken it over
        conflict = await self.store.replace(entry, entry.fence)
        if conflict is not None and record.lost is not None:
            logger.error("%s: %s", record.lost, in_progress(conflict, entry))

    async def hold_listed(self, sessions: Sequence[ChargeSession], ownership: Ownership) -> None:
        """Mark the sessions of a list that belong to other entries as held: they are not to be adopted."""
        for session in sessions:
            if session.id is None or ownership.is_held(session.id, None):
                continue
            for entry in await self.store.find(self.namespace, session_id=session.id):
                ownership.hold(session.id, entry.request_id)

    async def settle_rivals(self, start: OwnStart, ownership: Ownership) -> None:
        """Drop the rivals of a start whose session another process has found, or was given by hand."""
        for rival in ownership.rival_starts(start):
            for entry in await self.store.find(self.namespace, request_id=rival.request_id):
                if entry.session_id is not None:
                    rival.accepted(entry.session_id)

    async def ended(self, session_id: str, session: ChargeSession, known: Entry | None = None) -> Entry | None:
        """Record that a session is over. A failing store does not stop anything: recovery finds it over.

        Args:
            session_id: The session.
            session: The session as it ended.
            known: Its entry, where the caller has it.

        Returns:
            The entry as the store has it now; None where there is none, or the store fails.
        """
        waiting = self._unwritten.with_session(session_id)
        if waiting is not None and waiting.entry is not None:
            if waiting.entry.state is not State.OVER:
                waiting.entry = _ended(waiting.entry, session, time.time())
            return None
        name = f"session {one_line(session_id, 300)}"

        async def end(_: Record) -> None:
            await self._end(session_id, session, None)

        try:
            return await self._end(session_id, session, known)
        except StoreError as error:
            self._unwritten.keep(name, Record(end, lost=f"{name} is over, which the store does not know"), error)
            return None

    async def _end(self, session_id: str, session: ChargeSession, known: Entry | None) -> Entry | None:
        entry = known
        for _ in range(_WRITES):
            if entry is None:
                entry = next(iter(await self.store.find(self.namespace, session_id=session_id)), None)
            if entry is None or entry.state is State.OVER:
                return entry
            # The fence is raised: an owner that read the entry before is not to undo this.
            done = attrs.evolve(_ended(entry, session, await self.store.now()), fence=entry.fence + 1)
            if await self.store.replace(done, entry.fence) is None:
                return done
            entry = None
        return None

    async def found(self, request_id: str, session_id: str) -> tuple[str | None, bool]:
        """Record the session of a lost start that the caller had looked up.

        Returns:
            The caller's key of the entry, None where there is none; and whether the journal knows the session.

        Raises:
            ChargeInProgressError: The session belongs to another entry.
        """
        key: str | None = None
        try:
            for entry in await self.store.find(self.namespace, request_id=request_id):
                key = None if journal.is_own_key(entry.key) else entry.key
                if entry.session_id == session_id:
                    return key, True
                if entry.state in (State.SENT, State.UNKNOWN) and not await self.is_owned(entry):
                    # The fence is raised: a writer that read the entry before is not to undo this.
                    known = attrs.evolve(journal.accepted(entry, session_id), owner=None, fence=entry.fence + 1)
                    conflict = await self.store.replace(known, entry.fence)
                    if conflict is None:
                        return key, True
                    if conflict.over == "session":
                        raise in_progress(conflict, entry)
        except StoreError as error:
            logger.error("session %s of request %s is not recorded: %s", one_line(session_id, 300), request_id, error)
        return key, False

    async def aclose(self) -> None:
        """End the life sign of this process, and close the store if it belongs to the client."""
        await self._unwritten.aclose()
        if self._is_ours:
            await self.store.aclose()
        elif self._is_enrolled:
            try:
                await self.store.leave(self.owner)
            except ShellEVError as error:
                logger.warning("the life sign of this process could not be ended: %s", error)
        self._is_enrolled = False


def _ended(entry: Entry, session: ChargeSession, now: float) -> Entry:
    """An entry once its session is over."""
    return journal.over(
        entry,
        now=now,
        ended_state=session.state.value if session.state is not None else None,
        ended_error=session.error.code.value if session.error is not None and session.error.code else None,
    )


def open_ledger(
    target: str | os.PathLike[str] | Store,
    config: ClientConfig,
    source: TokenSource | ClientCredentials,
    *,
    key: str | None = None,
    namespace: str | None = None,
) -> Ledger:
    """The journal of a client. Nothing is opened before its first use.

    Args:
        target: The option ``store``.
        config: Of the client.
        source: Where its tokens come from.
        key: The option ``store_key``.
        namespace: The option ``store_namespace``.

    Raises:
        ConfigurationError: ``target`` names no store, or another of the options cannot be used.
    """
    if isinstance(source, ClientCredentials):
        if namespace:
            raise ConfigurationError(
                "store_namespace (SHELL_EV_STORE_NAMESPACE) is for a token_source: with a client_id the charges in the "
                "store belong to that"
            )
        identity: str | None = source.client_id
        secrets = store_secrets(key, source.client_secret)
    else:
        identity = namespace or None
        secrets = store_secrets(key, None)
    store = open_store(target)
    return Ledger(store, Vault(secrets), journal.namespace_of(config.api_url, identity), is_ours=store is not target)


def in_progress(conflict: Conflict, entry: Entry) -> ChargeInProgressError:
    """The error for an entry that stands in the way of a start."""
    other = conflict.entry
    if other is None:
        return ChargeInProgressError(f"the entry of key {one_line(entry.key, 300)} was taken over by another process")
    since = datetime.fromtimestamp(other.created_at, UTC)
    what = {
        "evse": f"a start on {one_line(entry.evse_id, 100)} is open, under key {one_line(other.key, 300)}",
        "session": f"the session belongs to key {one_line(other.key, 300)}",
    }.get(conflict.over, f"key {one_line(other.key, 300)} is in progress")
    by = "no process works on it: recover() finds out what came of it" if other.owner is None else f"by {other.owner}"
    return ChargeInProgressError(
        f"{what} since {since:%Y-%m-%d %H:%M:%S} UTC ({by}); nothing was sent",
        owner=other.owner,
        key=other.key,
        since=since,
    )
