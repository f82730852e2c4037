"""Takes up what dead processes left in the journal: finds lost starts, stops what was to be stopped. Never starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from ..core.journal_notify import RecoveryNotifier
from ..core.ledger import Ledger
from ..core.session_manager import SessionManager
from ..core.ticket import log_without_ema_id
from ..dialects import ApiVersion
from ..endpoints.sending import own_start
from ..errors import (
    ChargeNotStoppedError,
    ConfigurationError,
    OutcomeUnknownError,
    ShellEVError,
    StoreError,
    one_line,
    shown,
)
from ..identifiers import EmaId
from ..observing import RecoveryOutcome
from ..store import journal
from ..store.base import Store
from ..store.journal import Entry, Looking, State
from ..wire.operations import START
from .charge import DEFAULT_START_TIMEOUT, DEFAULT_STOP_TIMEOUT, AsyncCharge, ChargeOptions
from .journal import JournalEntry, public_entry
from .reconcile import find_start, search_for

logger: logging.Logger = logging.getLogger("shell_ev")

#: Seconds to look whether the session of a start that was given up shows.
_WATCH: Final = 15.0
#: Entries that are recovered at once.
_AT_ONCE: Final = 32


@attrs.frozen(kw_only=True)
class Recovery:
    """What one pass over the journal came to. Entries that a live process works on are in none of these."""

    stopped: tuple[JournalEntry, ...] = ()
    """Charges that were stopped, or were over already."""
    kept: tuple[JournalEntry, ...] = ()
    """Charges that run on, as they are to."""
    unknown: tuple[JournalEntry, ...] = ()
    """Starts whose session does not show."""
    failed: tuple[JournalEntry, ...] = ()
    """Entries that could not be dealt with now: the next pass tries again."""


class _Pass:
    """What one pass came to so far."""

    def __init__(self, notifier: RecoveryNotifier, time: Callable[[], float], give_up_after: float | None) -> None:
        self.notifier = notifier
        self.give_up_after = give_up_after
        self._time = time
        self._ahead_by = 0.0
        self._found: dict[RecoveryOutcome, list[Entry]] = {
            name: [] for name in ("stopped", "kept", "unknown", "failed")
        }

    async def set_clock(self, store: Store) -> None:
        """Read the clock of the store, once for the pass."""
        self._ahead_by = await store.now() - self._time()

    def now(self) -> float:
        """Unix seconds on the clock of the store."""
        return self._time() + self._ahead_by

    def add(self, outcome: RecoveryOutcome, entry: Entry) -> None:
        self._found[outcome].append(entry)

    def public(self) -> Recovery:
        return Recovery(**{name: tuple(map(public_entry, entries)) for name, entries in self._found.items()})

    def ended(self, error: BaseException | None = None) -> None:
        self.notifier.ended({name: len(entries) for name, entries in self._found.items()}, error)


class Recoverer:
    """Recovers the entries of one client's namespace.

    Args:
        manager: Of the client.
        ledger: Of the client.
        start_timeout: Seconds to look for a lost start.
        stop_timeout: Seconds to see a charge stopped.
    """

    def __init__(
        self,
        manager: SessionManager,
        ledger: Ledger,
        *,
        start_timeout: float = DEFAULT_START_TIMEOUT,
        stop_timeout: float = DEFAULT_STOP_TIMEOUT,
    ) -> None:
        self._manager = manager
        self._ledger = ledger
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout

    def _manager_for(self, entry: Entry) -> SessionManager:
        config = self._manager.config
        try:
            version = ApiVersion(entry.api_version)
        except ValueError:
            raise ConfigurationError(
                f"the entry was written for API version {shown(entry.api_version)}, which this release does not speak: "
                "install the release that wrote it"
            ) from None
        if version is config.api_version:
            return self._manager
        return self._manager.with_config(attrs.evolve(config, api_version=version))

    def looking(self, entry: Entry) -> Looking:
        """Whether the session of an entry can be looked for."""
        card = self._ledger.vault.open_card(entry.card)
        if card is None:
            return Looking.UNREADABLE
        number, ema_id = card
        return Looking.POSSIBLE if ema_id is not None or EmaId.looks_like(number) else Looking.NO_EMA_ID

    async def one_pass(self, timeout: float | None, give_up_after: float | None) -> Recovery:
        """Recover every entry once.

        Args:
            timeout: Seconds in all; what is not done by then stays for the next pass.
            give_up_after: Seconds of answered look-ups after which an unknown entry is given up; None for never.

        Raises:
            StoreError: The journal cannot be read.
        """
        notifier = self._manager.journal_notifier.recovery_began()
        found = _Pass(notifier, self._manager.timers().time, give_up_after)
        try:
            await self._pass_over(found, timeout)
        except BaseException as error:
            found.ended(error)
            raise
        found.ended()
        return found.public()

    async def _pass_over(self, found: _Pass, timeout: float | None) -> None:
        store = self._ledger.store
        await found.set_clock(store)
        entries = await store.entries(self._ledger.namespace)
        owned = await self._ledger.owned(entries)
        room = asyncio.Semaphore(_AT_ONCE)

        async def recover(entry: Entry) -> None:
            async with room:
                await self._recover(entry, found)

        tasks = [asyncio.ensure_future(recover(entry)) for entry in entries if entry.key not in owned]
        if tasks:
            try:
                await self._within(tasks, timeout)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _within(self, tasks: Sequence[asyncio.Future[None]], timeout: float | None) -> None:
        if timeout is None:
            await asyncio.wait(tasks)
            return
        try:
            with self._manager.limit(timeout):
                await asyncio.wait(tasks)
        except TimeoutError:
            logger.info("recovery: %.0f s are over, the rest is for the next pass", timeout)

    async def _recover(self, entry: Entry, found: _Pass) -> None:
        began_at = found.notifier.time()
        try:
            await self._deal_with(entry, found, began_at)
        except ShellEVError as error:
            found.add("failed", entry)
            found.notifier.recovered(entry, "failed", began_at, error)
            logger.warning("recovery of key %s failed, a later pass tries again: %s", one_line(entry.key, 300), error)
        except Exception as error:
            found.add("failed", entry)
            found.notifier.recovered(entry, "failed", began_at, error)
            logger.exception("recovery of key %s failed, a later pass tries again", one_line(entry.key, 300))

    async def _deal_with(self, entry: Entry, found: _Pass, began_at: float) -> None:
        now = found.now()
        looking = Looking.POSSIBLE if entry.state in (State.WAITING, State.ACCEPTED) else self.looking(entry)
        action = journal.after_crash(entry, owned=False, now=now, looking=looking)
        if action is journal.Recovery.KEEP:
            found.add("kept", entry)
            return
        if action is journal.Recovery.NOTHING:
            await self._leave(entry, found)
            return
        taken = await self._ledger.take_over(entry)
        if taken is None:
            return  # another recovery was faster
        self._manager.journal_notifier.taken_over(taken, entry, "recovery")
        after = taken
        try:
            came_to = await self._act(action, taken)
            if came_to is not None:
                outcome, after = came_to
                found.add(outcome, after)
                found.notifier.recovered(after, outcome, began_at)
        finally:
            await self._ledger.release(after)

    async def _leave(self, entry: Entry, found: _Pass) -> None:
        if entry.state is State.UNKNOWN and journal.may_give_up(entry, found.give_up_after):
            given_up = attrs.evolve(journal.given_up(entry, now=found.now()), fence=entry.fence + 1)
            conflict = await self._ledger.store.replace(given_up, entry.fence)
            if conflict is None:
                logger.error(
                    "key %s was given up after %.0f s of look-ups that showed no session on %s (request %s)",
                    one_line(entry.key, 300),
                    entry.answered_for,
                    entry.evse_id,
                    entry.request_id,
                )
                return
        if entry.state is not State.GIVEN_UP:
            found.add("unknown" if entry.state is State.UNKNOWN else "failed", entry)

    async def _act(self, action: journal.Recovery, taken: Entry) -> tuple[RecoveryOutcome, Entry] | None:
        match action:
            case journal.Recovery.DROP:
                await self._ledger.store.delete(taken.namespace, taken.key, taken.fence)
                return None
            case journal.Recovery.STOP:
                return await self._stop(taken)
            case journal.Recovery.LOOK_FOR:
                after = await self.look_for(taken, self._start_timeout)
                if after.state is not State.ACCEPTED:
                    return ("unknown" if after.state is State.UNKNOWN else "failed"), after
                return await self._stop(after) if after.on_crash == "stop" else ("kept", after)
            case journal.Recovery.CALL_UNKNOWN:
                return "unknown", await self._call_unknown(taken)
            case journal.Recovery.WATCH:
                await self._watch(taken)
                return None
            case journal.Recovery.FORGET:
                await self._ledger.write(journal.forgotten(taken))
                return None
            case _:
                logger.error(
                    "the start on %s (request %s, key %s) cannot be looked for: its card was encrypted with another "
                    "secret; give it in SHELL_EV_STORE_KEY",
                    taken.evse_id,
                    taken.request_id,
                    one_line(taken.key, 300),
                )
                return "failed", taken

    async def _call_unknown(self, taken: Entry) -> Entry:
        unknown = journal.looked_in_vain(taken, now=await self._ledger.store.now(), answered_for=0.0)
        await self._ledger.write(unknown)
        log_without_ema_id(taken)
        return unknown

    async def _stop(self, taken: Entry) -> tuple[RecoveryOutcome, Entry] | None:
        options = ChargeOptions(stop_timeout=self._stop_timeout, keep_running=True)
        charge = AsyncCharge(self._manager_for(taken), taken.session_id or "", options, is_new=False, entry=taken)
        try:
            await charge.stop(shield=False)
        except ChargeNotStoppedError:
            await self._ledger.write(journal.stop_failed(taken, now=await self._ledger.store.now()))
            raise
        after = charge.entry or taken
        if after.fence > taken.fence + 1:
            return None  # taken over and stopped by another recovery: this process was taken for dead
        logger.info("recovery stopped session %s (key %s)", shown(taken.session_id, 300), one_line(taken.key, 300))
        return "stopped", after

    async def _watch(self, taken: Entry) -> None:
        """Look whether the session of a start that was given up shows after all. It is never adopted."""
        card = self._ledger.vault.open_card(taken.card)
        if card is None:
            return
        manager = self._manager_for(taken)
        arguments = {"ev_charge_number": card[0], "evse_id": taken.evse_id}
        start = own_start(manager, arguments, taken.request_id, card[1])
        start.is_foreign = True
        options = ChargeOptions(ema_id=card[1], keep_running=True)
        search = search_for(manager, start, _lost(taken, arguments), options, arguments, taken.not_ours)
        try:
            session = await search.resolve(min(_WATCH, self._start_timeout))
        except OutcomeUnknownError:
            await self._ledger.write(journal.watched(taken, now=await self._ledger.store.now()))
            return
        finally:
            start.lost()
        await self._ledger.write(journal.forgotten(taken))
        logger.error(
            "the start on %s (request %s, key %s) was given up, and its session %s shows now: the car may be charging; "
            "attach() to it, or stop it",
            one_line(taken.evse_id, 100),
            taken.request_id,
            one_line(taken.key, 300),
            shown(session.id, 300),
        )

    async def look_for(self, taken: Entry, limit: float) -> Entry:
        """Look for the session of a lost start that this process owns now.

        Args:
            taken: The entry.
            limit: Seconds to look for.

        Returns:
            The entry as it was written: ``accepted``, ``unknown``, or ``sent`` where no look-up was answered.
        """
        ledger, manager = self._ledger, self._manager_for(taken)
        card = ledger.vault.open_card(taken.card)
        if card is None:
            return taken
        if self.looking(taken) is Looking.NO_EMA_ID:
            return await self._call_unknown(taken)
        arguments = {"ev_charge_number": card[0], "evse_id": taken.evse_id}
        start = own_start(manager, arguments, taken.request_id, card[1])
        start.is_foreign = True
        options = ChargeOptions(start_timeout=limit, ema_id=card[1], keep_running=True)
        ends_at = manager.timers().time() + limit
        while True:
            left = max(0.0, ends_at - manager.timers().time())
            try:
                charge = await find_start(
                    manager,
                    start,
                    _lost(taken, arguments),
                    options,
                    arguments=arguments,
                    limit=left,
                    baseline=taken.not_ours,
                )
            except OutcomeUnknownError as error:
                now = await ledger.store.now()
                after = (
                    journal.looked_in_vain(taken, now=now, answered_for=start.answered_for)
                    if error.lookups_answered
                    else journal.look_failed(taken, now=now)
                )
                await ledger.write(after)
                return after
            adopted = journal.accepted(taken, charge.session_id)
            conflict = await ledger.write(adopted)
            if conflict is None:
                logger.info(
                    "recovery found session %s for key %s", shown(charge.session_id, 300), shown(taken.key, 300)
                )
                return adopted
            if conflict.over != "session" or conflict.entry is None:
                raise StoreError("the entry was taken over by another recovery meanwhile; nothing was sent")
            manager.ownership.hold(charge.session_id, conflict.entry.request_id)


def _lost(entry: Entry, arguments: dict[str, str]) -> OutcomeUnknownError:
    """The error of a start whose process ended before its outcome was recorded."""
    return OutcomeUnknownError(
        f"the process ended with a start on {entry.evse_id} under way",
        operation=START.name,
        request_id=entry.request_id,
        arguments=arguments,
        sent_at=None if entry.sent_at is None else datetime.fromtimestamp(entry.sent_at, UTC),
        sent_at_error=entry.sent_at_error,
        baseline=entry.not_ours,
    )
