"""The journal as one client uses it: who owns an entry, the intent before the socket, and the record after it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from ..errors import ChargeInProgressError, ShellEVError, StoreError, one_line
from ..models.charging import ChargeSession
from ..options import ClientConfig
from ..store import journal
from ..store.base import Conflict, Store, clock, new_owner
from ..store.journal import Entry, OnCrash, State
from ..store.opening import open_store
from ..store.vault import Vault
from .auth import ClientCredentials, TokenSource
from .unwritten import Record, Unwritten

if TYPE_CHECKING:
    from .call import Call
    from .session_manager import SessionManager

logger = logging.getLogger("shell_ev")

#: Seconds that the life sign of this process must hold on when an intent is written: connecting takes a while.
_MARGIN: Final = 15.0
#: Error of the time of sending where the service's clock is not known, in seconds.
_UNDATED: Final = 60.0
#: The same where an answer has dated it and nothing confirms the Date.
_DATED_ONCE: Final = 59.0
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
        self.owner = new_owner()
        self._is_enrolled = False
        self._unwritten = Unwritten()

    async def enrol(self) -> None:
        """Give this process its life sign, or renew it where it ends soon."""
        if not self._is_enrolled or self.store.sends_until(self.owner) - clock() < _MARGIN:
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

    async def hold_listed(self, sessions: Sequence[ChargeSession], ownership: Any) -> None:
        """Mark the sessions of a list that belong to other entries as held: they are not to be adopted."""
        for session in sessions:
            if session.id is None or ownership.is_held(session.id, None):
                continue
            for entry in await self.store.find(self.namespace, session_id=session.id):
                ownership.hold(session.id, entry.request_id)

    async def ended(self, session_id: str, session: ChargeSession) -> None:
        """Record that a session is over. A failing store does not stop anything: recovery finds it over."""
        waiting = self._unwritten.with_session(session_id)
        if waiting is not None and waiting.entry is not None:
            if waiting.entry.state is not State.OVER:
                waiting.entry = _ended(waiting.entry, session, time.time())
            return
        name = f"session {one_line(session_id, 300)}"

        async def end(_: Record) -> None:
            await self._end(session_id, session)

        try:
            await self._end(session_id, session)
        except StoreError as error:
            self._unwritten.keep(name, Record(end, lost=f"{name} is over, which the store does not know"), error)

    async def _end(self, session_id: str, session: ChargeSession) -> None:
        for _ in range(_WRITES):
            entries = await self.store.find(self.namespace, session_id=session_id)
            if not entries or entries[0].state is State.OVER:
                return
            entry = entries[0]
            done = _ended(entry, session, await self.store.now())
            # The fence is raised: an owner that read the entry before is not to undo this.
            if await self.store.replace(attrs.evolve(done, fence=entry.fence + 1), entry.fence) is None:
                return

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
    target: str | os.PathLike[str] | Store, config: ClientConfig, source: TokenSource | ClientCredentials
) -> Ledger:
    """The journal of a client. Nothing is opened before its first use.

    Args:
        target: The option ``store``.
        config: Of the client.
        source: Where its tokens come from.

    Raises:
        ConfigurationError: ``target`` names no store.
    """
    store = open_store(target)
    given = [key.strip() for key in os.environ.get("SHELL_EV_STORE_KEY", "").split(",") if key.strip()]
    if isinstance(source, ClientCredentials):
        identity: str | None = source.client_id
        secrets = given or [source.client_secret]
    else:
        identity = os.environ.get("SHELL_EV_STORE_NAMESPACE") or None
        secrets = given
    return Ledger(store, Vault(secrets), journal.namespace_of(config.api_url, identity), is_ours=store is not target)


class Ticket:
    """The entry of one start. As the gate of its call it writes the intent as the last thing before the socket.

    Args:
        ledger: Of the client.
        manager: Of the client.
        fresh: The entry as it is made.
        replaces: The entry with the same key that starts again; None where there is none.
    """

    def __init__(self, ledger: Ledger, manager: SessionManager, fresh: Entry, replaces: Entry | None) -> None:
        self._ledger = ledger
        self._manager = manager
        self._replaces = replaces
        self._is_stored = False
        self.entry = fresh if replaces is None else journal.restarted(replaces, fresh)
        self.baseline: tuple[str, ...] = ()
        #: Whether the journal knows how far the start has come.
        self.is_recorded = True

    async def enter(self, call: Call) -> None:
        """Write the intent.

        Raises:
            ChargeInProgressError: Another start has this key, or is open on this EVSE.
            StoreError: It cannot be written.
        """
        ledger = self._ledger
        await ledger.enrol()
        until = ledger.store.sends_until(ledger.owner)
        sent_at, error = self._sending()
        intent = journal.sent(self.entry, sent_at=sent_at, sent_at_error=error, not_ours=self.baseline)
        ledger.forget_unwritten(self.entry)
        writing = asyncio.ensure_future(self._write(intent))
        cancelled = await _finish(writing)
        try:
            conflict = writing.result()
        except StoreError as error:
            # It may have been written all the same.
            ledger.remove_later(intent, error)
            raise
        if conflict is None:
            self.entry, self._is_stored, self.is_recorded = intent, True, True
        if cancelled is not None:
            raise cancelled
        if conflict is not None:
            raise in_progress(conflict, intent)
        if until - clock() < _MARGIN:
            await self.undo(call)
            raise StoreError("the store answered too late to send the start safely; nothing was sent: try again")

    async def _write(self, intent: Entry) -> Conflict | None:
        store = self._ledger.store
        if self._is_stored:
            return await store.replace(intent, self.entry.fence)
        if self._replaces is not None:
            return await store.replace(intent, self._replaces.fence)
        return await store.insert(intent)

    def _sending(self) -> tuple[float, float]:
        """The present on the service's clock with its error, in seconds."""
        manager = self._manager
        now, wall = manager.timers().time(), manager.hooks.utcnow()
        moment = manager.service_clock.moment(now, now=now, wall=wall)
        if moment is not None:
            return moment.at.timestamp(), moment.error
        dated = manager.service_clock.unconfirmed(now, now=now)
        if dated is None:
            return wall.timestamp(), _UNDATED
        # One of the two clocks is right: a time that is too late would hide the session from a recovery.
        return min(wall, dated).timestamp(), _DATED_ONCE

    async def undo(self, call: Call) -> None:
        """Put the entry back: the attempt had no effect."""
        await self._update(journal.put_back(self.entry))

    async def accepted(self, session_id: str, *, owned: bool) -> Conflict | None:
        """Record the session id.

        Args:
            session_id: Id of the session.
            owned: Whether this process continues to work on the entry.

        Returns:
            None once it is recorded. A conflict over the fence: the entry was taken over meanwhile, by a process that
            took this one for dead. A conflict over the session: it belongs to another entry.
        """
        entry = journal.accepted(self.entry, session_id)
        return await self._update(entry if owned else journal.released(entry))

    async def looked_in_vain(self, answered_for: float) -> None:
        """Record that look-ups were answered and showed no session, or, for 0 seconds, that none was answered."""
        now = await self._now()
        if answered_for > 0:
            await self._update(journal.looked_in_vain(self.entry, now=now, answered_for=answered_for))
        else:
            await self._update(journal.look_failed(self.entry, now=now))

    async def cannot_be_looked_for(self) -> None:
        """Record that the outcome is open and stays so: the card has no EMA-ID."""
        await self._update(journal.looked_in_vain(self.entry, now=await self._now(), answered_for=0.0))
        log_without_ema_id(self.entry)

    async def lost(self) -> None:
        """Record that the outcome is open and that no look-up follows here."""
        await self._update(journal.released(self.entry))

    async def void(self) -> None:
        """Remove the entry: the start was refused, or surely not sent."""
        if not self._is_stored:
            return
        try:
            await self._ledger.store.delete(self.entry.namespace, self.entry.key, self.entry.fence)
        except StoreError as error:
            self._ledger.remove_later(self.entry, error)

    async def _now(self) -> float:
        try:
            return await self._ledger.store.now()
        except StoreError:
            return self._manager.hooks.utcnow().timestamp()

    async def _update(self, entry: Entry) -> Conflict | None:
        """Write what came of the start. A failing store is logged: the start itself was sent already."""
        if not self._is_stored:
            return None
        try:
            conflict = await self._ledger.write(entry)
        except StoreError as error:
            self.entry = entry
            self._not_recorded(error)
            self._ledger.write_later(entry, error)
            return None
        if conflict is None:
            self.entry, self.is_recorded = entry, True
        return conflict

    def _not_recorded(self, error: StoreError) -> None:
        self.is_recorded = False
        session = "" if self.entry.session_id is None else f", session {one_line(self.entry.session_id, 300)}"
        logger.error(
            "start on %s (request %s%s) is not recorded as it is (%s): %s",
            one_line(self.entry.evse_id, 100),
            self.entry.request_id,
            session,
            self.entry.state.value,
            error,
        )


def log_without_ema_id(entry: Entry) -> None:
    """Log that the outcome of a start stays unknown."""
    logger.error(
        "the start on %s (request %s, key %s) cannot be looked for: its card number is no EMA-ID; give ema_id= to "
        "charge() and start_charge()",
        one_line(entry.evse_id, 100),
        entry.request_id,
        one_line(entry.key, 300),
    )


async def _finish(work: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait for a write although the caller is cancelled, for its outcome decides what has to be undone.

    Returns:
        The cancellation, to be raised afterwards.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def new_entry(
    ledger: Ledger,
    arguments: Mapping[str, str],
    *,
    key: str,
    request_id: str,
    api_version: str,
    on_crash: OnCrash,
    ema_id: str | None,
    now: datetime,
) -> Entry:
    """The entry of a start that is about to be sent, owned by this process."""
    card = arguments["ev_charge_number"]
    return Entry(
        namespace=ledger.namespace,
        key=key,
        request_id=request_id,
        api_version=api_version,
        evse=journal.normal_evse(arguments["evse_id"]),
        evse_id=arguments["evse_id"],
        card_digest=ledger.vault.digest(journal.normal_card(card)),
        card=ledger.vault.seal_card(card, ema_id),
        on_crash=on_crash,
        owner=ledger.owner,
        created_at=now.timestamp(),
    )


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
