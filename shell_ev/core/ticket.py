"""The entry of one start: the intent before the socket, and the record after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreError, one_line
from ..store import journal
from ..store.base import Conflict, clock
from ..store.journal import Entry, OnCrash, State
from .ledger import LEAST_LEFT, Ledger, in_progress

if TYPE_CHECKING:
    from .call import Call
    from .session_manager import SessionManager

logger: logging.Logger = logging.getLogger("shell_ev")

#: Error of the time of sending where the service's clock is not known, in seconds.
_UNDATED: Final = 60.0
#: The same where an answer has dated it and nothing confirms the Date.
_DATED_ONCE: Final = 59.0


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
        self.entry: Entry = fresh if replaces is None else journal.restarted(replaces, fresh)
        self.baseline: tuple[str, ...] = ()
        #: Whether the journal knows how far the start has come.
        self.is_recorded: bool = True

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
            is_first = not self._is_stored
            self.entry, self._is_stored, self.is_recorded = intent, True, True
            if is_first:
                self._manager.journal_notifier.claimed(intent)
        if cancelled is not None:
            raise cancelled
        if conflict is not None:
            raise in_progress(conflict, intent)
        if until - clock() < LEAST_LEFT:
            await self.undo(call)
            raise StoreError("the store answered too late to send the start safely; nothing was sent: try again")

    async def _write(self, intent: Entry) -> Conflict | None:
        store = self._ledger.store
        if self._is_stored:
            return await store.replace(intent, self.entry.fence)
        if self._replaces is None:
            return await store.insert(intent)
        if self._replaces.state is State.GIVEN_UP and self._replaces.card is not None:
            # Its session may still show, and is to be seen then.
            await store.insert(journal.set_aside(self._replaces))
        return await store.replace(intent, self._replaces.fence)

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

    async def looked_in_vain(self, answered_for: float | None) -> None:
        """Record that look-ups were answered for some seconds and showed no session; None: that none was answered."""
        now = await self._now()
        if answered_for is not None:
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
        card_digest=ledger.vault.digest(card),
        card=ledger.vault.seal_card(card, ema_id),
        on_crash=on_crash,
        owner=ledger.owner,
        created_at=now.timestamp(),
    )
