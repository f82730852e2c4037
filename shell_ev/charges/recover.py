"""Takes up what dead processes left in the journal: finds lost starts, stops what was to be stopped. Never starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

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
from ..store import journal
from ..store.journal import Entry, Looking, State
from ..wire.operations import START
from .charge import DEFAULT_START_TIMEOUT, DEFAULT_STOP_TIMEOUT, AsyncCharge, ChargeOptions
from .journal import JournalEntry, public_entry
from .poller import is_positive
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


@attrs.define
class _Found:
    stopped: list[Entry] = attrs.field(factory=list[Entry])
    kept: list[Entry] = attrs.field(factory=list[Entry])
    unknown: list[Entry] = attrs.field(factory=list[Entry])
    failed: list[Entry] = attrs.field(factory=list[Entry])

    def public(self) -> Recovery:
        return Recovery(
            **{name: tuple(map(public_entry, entries)) for name, entries in attrs.asdict(self, recurse=False).items()}
        )


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
        entries = await self._ledger.store.entries(self._ledger.namespace)
        owned = await self._ledger.owned(entries)
        found = _Found()
        room = asyncio.Semaphore(_AT_ONCE)

        async def recover(entry: Entry) -> None:
            async with room:
                await self._recover(entry, found, give_up_after)

        tasks = [asyncio.ensure_future(recover(entry)) for entry in entries if entry.key not in owned]
        if tasks:
            try:
                await self._within(tasks, timeout)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return found.public()

    async def _within(self, tasks: Sequence[asyncio.Future[None]], timeout: float | None) -> None:
        if timeout is None:
            await asyncio.wait(tasks)
            return
        try:
            with self._manager.limit(timeout):
                await asyncio.wait(tasks)
        except TimeoutError:
            logger.info("recovery: %.0f s are over, the rest is for the next pass", timeout)

    async def _recover(self, entry: Entry, found: _Found, give_up_after: float | None) -> None:
        try:
            await self._deal_with(entry, found, give_up_after)
        except ShellEVError as error:
            found.failed.append(entry)
            logger.warning("recovery of key %s failed, the next pass tries again: %s", one_line(entry.key, 300), error)
        except Exception:
            found.failed.append(entry)
            logger.exception("recovery of key %s failed, the next pass tries again", one_line(entry.key, 300))

    async def _deal_with(self, entry: Entry, found: _Found, give_up_after: float | None) -> None:
        now = await self._ledger.store.now()
        looking = Looking.POSSIBLE if entry.state in (State.WAITING, State.ACCEPTED) else self.looking(entry)
        action = journal.after_crash(entry, owned=False, now=now, looking=looking)
        if action is journal.Recovery.KEEP:
            found.kept.append(entry)
            return
        if action is journal.Recovery.NOTHING:
            await self._leave(entry, found, give_up_after, now)
            return
        taken = await self._ledger.take_over(entry)
        if taken is None:
            return  # another recovery was faster
        try:
            await self._act(action, taken, found)
        finally:
            await self._ledger.release(taken)

    async def _leave(self, entry: Entry, found: _Found, give_up_after: float | None, now: float) -> None:
        if entry.state is State.UNKNOWN and journal.may_give_up(entry, give_up_after):
            given_up = attrs.evolve(journal.given_up(entry, now=now), fence=entry.fence + 1)
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
            (found.unknown if entry.state is State.UNKNOWN else found.failed).append(entry)

    async def _act(self, action: journal.Recovery, taken: Entry, found: _Found) -> None:
        match action:
            case journal.Recovery.DROP:
                await self._ledger.store.delete(taken.namespace, taken.key, taken.fence)
            case journal.Recovery.STOP:
                await self._stop(taken, found)
            case journal.Recovery.LOOK_FOR:
                after = await self.look_for(taken, self._start_timeout)
                if after.state is not State.ACCEPTED:
                    (found.unknown if after.state is State.UNKNOWN else found.failed).append(after)
                elif after.on_crash == "stop":
                    await self._stop(after, found)
                else:
                    found.kept.append(after)
            case journal.Recovery.CALL_UNKNOWN:
                found.unknown.append(await self._call_unknown(taken))
            case journal.Recovery.WATCH:
                await self._watch(taken)
            case journal.Recovery.FORGET:
                await self._ledger.write(journal.forgotten(taken))
            case _:
                logger.error(
                    "the start on %s (request %s, key %s) cannot be looked for: its card was encrypted with another "
                    "secret; give it in SHELL_EV_STORE_KEY",
                    taken.evse_id,
                    taken.request_id,
                    one_line(taken.key, 300),
                )
                found.failed.append(taken)

    async def _call_unknown(self, taken: Entry) -> Entry:
        unknown = journal.looked_in_vain(taken, now=await self._ledger.store.now(), answered_for=0.0)
        await self._ledger.write(unknown)
        log_without_ema_id(taken)
        return unknown

    async def _stop(self, taken: Entry, found: _Found) -> None:
        options = ChargeOptions(stop_timeout=self._stop_timeout, keep_running=True)
        charge = AsyncCharge(self._manager_for(taken), taken.session_id or "", options, is_new=False)
        try:
            await charge.stop(shield=False)
        except ChargeNotStoppedError:
            await self._ledger.write(journal.stop_failed(taken, now=await self._ledger.store.now()))
            raise
        after = await self._ledger.get(taken.key)
        if after is not None and after.fence > taken.fence + 1:
            return  # taken over and stopped by another recovery: this process was taken for dead
        logger.info("recovery stopped session %s (key %s)", shown(taken.session_id, 300), one_line(taken.key, 300))
        found.stopped.append(after or taken)

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


async def recover_every(
    recoverer: Recoverer,
    every: float,
    *,
    timeout: float | None,
    give_up_after: float | None,
    on_recovered: Callable[[Recovery], object] | None,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Make pass after pass until cancelled. A pass that fails is logged: the next one tries again."""
    while True:
        try:
            recovery = await recoverer.one_pass(timeout, give_up_after)
        except ShellEVError as error:
            logger.warning("recovery failed, the next pass is in %g s: %s", every, error)
        else:
            if on_recovered is not None:
                try:
                    on_recovered(recovery)
                except Exception:
                    logger.exception("on_recovered raised an exception; recovery continues")
        await sleep(every)


def recovery_faults(timeout: object, every: object, on_recovered: object, give_up_after: object) -> list[str]:
    """What is wrong with the arguments of ``recover``, one text each."""
    faults = [
        f"{name} must be a positive number of seconds or None, not {shown(value)}"
        for name, value in (("timeout", timeout), ("every", every), ("give_up_after", give_up_after))
        if value is not None and not is_positive(value)
    ]
    if on_recovered is not None and not callable(on_recovered):
        faults.append(f"on_recovered must be callable with a Recovery, not {shown(on_recovered)}")
    if on_recovered is not None and every is None:
        faults.append("on_recovered is for every=: without it, recover() returns the Recovery")
    return faults
