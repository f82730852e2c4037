"""What a start meets in the journal: nothing, a charge of the same key, or another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from ..core.ledger import Ledger, in_progress
from ..core.session_manager import SessionManager
from ..core.ticket import Ticket, new_entry
from ..errors import ChargeFailedError, ChargeInProgressError, KeyReusedError, OutcomeUnknownError, one_line, shown
from ..models.charging import ChargeSession, SessionError
from ..models.enums import SessionErrorCode, SessionState
from ..store import journal
from ..store.base import Conflict
from ..store.journal import Entry, Looking, Meeting, OnCrash, State
from ..wire.operations import START
from .charge import AsyncCharge, ChargeOptions
from .recover import Recoverer

#: Seconds that recovering another entry takes at least: with less it would look up nothing.
_SHORTEST: Final = 1.0


@attrs.frozen(kw_only=True)
class Order:
    """What a caller asks for."""

    arguments: Mapping[str, str]
    request_id: str
    key: str | None
    is_block: bool
    on_crash: OnCrash


class KeyedStart:
    """One look at the journal for a start.

    Args:
        manager: Of the client.
        ledger: Of the client.
        order: What the caller asks for.
        options: Options of the charge.
    """

    def __init__(self, manager: SessionManager, ledger: Ledger, order: Order, options: ChargeOptions) -> None:
        self._manager = manager
        self._ledger = ledger
        self._order = order
        self._options = options
        self._recoverer = Recoverer(manager, ledger)

    async def meet(self, ends_at: float) -> AsyncCharge | Ticket:
        """Find out whether the start is to be sent.

        Args:
            ends_at: Until when a lost start with the key may be looked for, on the loop's clock.

        Returns:
            The entry to send it with, or the charge that the key has already.

        Raises:
            KeyReusedError: The key belongs to a charge of another card or EVSE.
            ChargeInProgressError: A live process works on the key.
            OutcomeUnknownError: What came of the key is not known.
            ChargeFailedError: The charge of the key failed to start: the key is spent.
            StoreError: The store cannot be used.
        """
        if self._order.key is None:
            return self._ticket(journal.own_key(), None)
        while True:
            entry = await self._ledger.get(self._order.key)
            owned = entry is not None and await self._ledger.is_owned(entry)
            meeting = journal.meet(
                entry,
                card_digest=self._digest(entry),
                evse=journal.normal_evse(self._order.arguments["evse_id"]),
                owned=owned,
            )
            if entry is None or meeting is Meeting.START:
                return self._ticket(self._order.key, entry)
            if meeting is not Meeting.RECOVER:
                return await self._standing(meeting, entry)
            await self._recover(entry, ends_at)

    def _ticket(self, key: str, replaces: Entry | None) -> Ticket:
        fresh = new_entry(
            self._ledger,
            self._order.arguments,
            key=key,
            request_id=self._order.request_id,
            api_version=self._manager.version.value,
            on_crash=self._order.on_crash,
            ema_id=self._options.ema_id,
            now=self._manager.hooks.utcnow(),
        )
        return Ticket(self._ledger, self._manager, fresh, replaces)

    def _digest(self, entry: Entry | None) -> str | None:
        """The digest to compare: None where the key of the entry's digest is not known any more."""
        if entry is None:
            return None
        same = self._ledger.vault.same_card(entry.card_digest, self._order.arguments["ev_charge_number"])
        return None if same is None else entry.card_digest if same else ""

    async def _standing(self, meeting: Meeting, entry: Entry) -> AsyncCharge:
        key = shown(entry.key, 300)
        match meeting:
            case Meeting.REUSED:
                raise KeyReusedError(
                    [f"key {key} belongs to a charge of another card or EVSE: a new order needs a new key"],
                    operation=START.name,
                )
            case Meeting.IN_PROGRESS:
                raise in_progress(Conflict(over="key", entry=entry), entry)
            case Meeting.UNKNOWN:
                raise self._unknown(entry)
            case Meeting.ENDED:
                return self._ended(entry)
            case _:
                return await self._attach(entry)

    async def _attach(self, entry: Entry) -> AsyncCharge:
        taken: Entry | None = None
        if self._order.is_block:
            taken = await self._ledger.take_over(entry, on_crash=self._order.on_crash)
            if taken is None:
                raise in_progress(Conflict(over="key", entry=entry), entry)
            self._manager.journal_notifier.taken_over(taken, entry, "block")
        return self._charge_of(entry, taken)

    def _charge_of(self, entry: Entry, taken: Entry | None = None) -> AsyncCharge:
        return AsyncCharge(
            self._manager,
            entry.session_id or "",
            self._options,
            request_id=entry.request_id,
            key=entry.key,
            is_new=False,
            journalled=True,
            entry=taken,
        )

    def _ended(self, entry: Entry) -> AsyncCharge:
        state = None if entry.ended_state is None else SessionState(entry.ended_state)
        error = None if entry.ended_error is None else SessionError(code=SessionErrorCode(entry.ended_error))
        session = ChargeSession(id=entry.session_id, evse_id=entry.evse_id, state=state, error=error)
        if state is SessionState.FAILED_TO_START:
            reason = entry.ended_error or "the service gave no reason"
            raise ChargeFailedError(
                f"the charge of key {shown(entry.key, 300)} did not start: {one_line(reason, 200)} "
                f"(session {shown(entry.session_id, 300)}); the key is spent, another attempt needs a new one",
                session_id=entry.session_id or "",
                session=session,
            )
        charge = self._charge_of(entry)
        charge.session = session
        return charge

    def _unknown(self, entry: Entry) -> OutcomeUnknownError:
        why = {
            Looking.POSSIBLE: "its session did not show" if entry.state is State.UNKNOWN else "no look-up was answered",
            Looking.NO_EMA_ID: "its card number is no EMA-ID, give ema_id= with the next start",
            Looking.UNREADABLE: "its card was encrypted with another secret, give that in SHELL_EV_STORE_KEY",
        }[self._recoverer.looking(entry)]
        return OutcomeUnknownError(
            f"what came of the start of key {shown(entry.key, 300)} on {entry.evse_id} is not known: {why}; "
            f"journal.settle() or journal.give_up() decides (request {entry.request_id})",
            operation=START.name,
            request_id=entry.request_id,
            arguments=self._order.arguments,
            lookups=entry.looks,
            lookups_answered=entry.looks if entry.answered_for > 0 else 0,
        )

    async def _recover(self, entry: Entry, ends_at: float) -> Entry | None:
        """Recover a lost start that no live process works on; None if another process was faster."""
        taken = await self._ledger.take_over(entry)
        if taken is None:
            return None
        self._manager.journal_notifier.taken_over(taken, entry, "start")
        left = max(_SHORTEST, ends_at - self._manager.timers().time())
        try:
            after = await self._recoverer.look_for(taken, left)
        finally:
            await self._ledger.release(taken)
        if after.state is State.SENT:
            raise self._unknown(after)
        return after

    async def clear(self, error: ChargeInProgressError, ends_at: float) -> bool:
        """After a start that met another one: whether it may be tried again.

        Args:
            error: What it met.
            ends_at: Until when a lost start on the EVSE may be looked for, on the loop's clock.
        """
        other = None if error.key is None else await self._ledger.get(error.key)
        if other is None or other.key == self._order.key:
            # Gone meanwhile, or the same key: the next look at the journal says which.
            return other is None or not await self._ledger.is_owned(other)
        if other.state is not State.SENT or await self._ledger.is_owned(other):
            return False
        try:
            after = await self._recover(other, ends_at)
        except OutcomeUnknownError:
            return False
        return after is None or after.state is not State.SENT
