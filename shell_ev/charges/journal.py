"""The journal as users see it: entries without cards, settled and given up by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import attrs

from ..core.ledger import Ledger, in_progress
from ..dialects import ApiVersion
from ..errors import ValidationError, shown
from ..store import journal
from ..store.base import Conflict
from ..store.journal import Entry, OnCrash, State
from .poller import is_positive


@attrs.frozen(kw_only=True)
class JournalEntry:
    """One charge in the journal. Times are UTC."""

    key: str
    """Its key; of a charge without one, a key of the journal's own that begins with ``~``."""
    state: str
    """``waiting``, ``sent``, ``accepted``, ``over``, ``unknown`` or ``given_up``."""
    evse_id: str
    """EVSE of the charge."""
    session_id: str | None
    """Id of the session; None while it is not known."""
    request_id: str
    """RequestId of the start."""
    api_version: ApiVersion | str
    """Dialect in which it was started; a text where a newer release wrote one that this release does not know."""
    on_crash: OnCrash
    """What a recovery does with it: ``stop``, or ``keep`` it running."""
    owner: str | None
    """Process that works on it; None when none does."""
    created_at: datetime
    """When its entry was made."""
    sent_at: datetime | None
    """When the start was sent, on the service's clock."""
    over_at: datetime | None
    """When the charge was seen to be over, or was given up."""

    @property
    def is_open(self) -> bool:
        """Whether a charge may run."""
        return self.state in journal.OPEN


_VERSIONS: Final = {version.value: version for version in ApiVersion}


def public_entry(entry: Entry) -> JournalEntry:
    """An entry as users see it: without the card."""
    return JournalEntry(
        key=entry.key,
        state=entry.state.value,
        evse_id=entry.evse_id,
        session_id=entry.session_id,
        request_id=entry.request_id,
        api_version=_VERSIONS.get(entry.api_version, entry.api_version),
        on_crash=entry.on_crash,
        owner=entry.owner,
        created_at=datetime.fromtimestamp(entry.created_at, UTC),
        sent_at=None if entry.sent_at is None else datetime.fromtimestamp(entry.sent_at, UTC),
        over_at=None if entry.over_at is None else datetime.fromtimestamp(entry.over_at, UTC),
    )


class AsyncJournal:
    """The journal of a client's charges. Reached as ``client.journal``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def open_charges(self) -> tuple[JournalEntry, ...]:
        """List the entries behind which a charge may run, the oldest first.

        Raises:
            StoreError: The store cannot be read.
        """
        entries = await self._ledger.store.entries(self._ledger.namespace)
        return tuple(public_entry(entry) for entry in entries if entry.is_open)

    async def find(
        self, key: str | None = None, *, session_id: str | None = None, request_id: str | None = None
    ) -> JournalEntry | None:
        """Find an entry by its key, session id or RequestId.

        Args:
            key: The key.
            session_id: The session id.
            request_id: The RequestId of the start.

        Returns:
            The entry, the newest of several; None if there is none.

        Raises:
            ValidationError: Not exactly one of the three is given.
            StoreError: The store cannot be read.
        """
        if sum(value is not None for value in (key, session_id, request_id)) != 1:
            raise ValidationError(["give one of key, session_id and request_id"], operation="journal.find")
        if key is not None:
            entry = await self._ledger.get(key)
            return None if entry is None else public_entry(entry)
        entries = await self._ledger.store.find(self._ledger.namespace, session_id=session_id, request_id=request_id)
        return public_entry(entries[0]) if entries else None

    async def settle(self, key: str, session_id: str) -> JournalEntry:
        """Say which session the start of a key made, where the library could not find out.

        Args:
            key: Key of an entry that is ``sent`` or ``unknown``.
            session_id: Id of its session.

        Raises:
            ValidationError: There is no such entry, or it is in another state.
            ChargeInProgressError: The session belongs to another key, or a live process works on the entry.
            StoreError: The store cannot be written.
        """
        entry = await self._entry(key, (State.SENT, State.UNKNOWN, State.GIVEN_UP), "settle")
        return await self._write(journal.accepted(journal.released(entry), session_id), entry)

    async def give_up(self, key: str) -> JournalEntry:
        """Release the key of a start whose session does not show: the key starts again.

        Look at the card with ``charging.active`` before: a session that shows later is never adopted.

        Args:
            key: Key of an entry that is ``sent`` or ``unknown``.

        Raises:
            ValidationError: There is no such entry, or it is in another state.
            ChargeInProgressError: A live process works on the entry.
            StoreError: The store cannot be written.
        """
        entry = await self._entry(key, (State.SENT, State.UNKNOWN), "give_up")
        return await self._write(journal.given_up(entry, now=await self._ledger.store.now()), entry)

    async def prune(self, *, older_than: float = 30 * 86_400.0) -> int:
        """Remove entries that have been over, or given up, for some time. Open ones stay.

        Args:
            older_than: Seconds since they were over.

        Returns:
            How many were removed.

        Raises:
            ValidationError: ``older_than`` is not a positive number.
            StoreError: The store cannot be written.
        """
        if not is_positive(older_than):
            raise ValidationError(
                [f"older_than must be a positive number of seconds, not {shown(older_than)}"], operation="journal.prune"
            )
        return await self._ledger.store.prune(self._ledger.namespace, await self._ledger.store.now() - older_than)

    async def check(self) -> tuple[str, ...]:
        """List what is wrong with the store, one line each; nothing when all is well."""
        return await self._ledger.store.check()

    async def _entry(self, key: str, states: tuple[State, ...], operation: str) -> Entry:
        entry = await self._ledger.get(key)
        if entry is None or entry.state not in states:
            what = "there is no such entry" if entry is None else f"it is {entry.state.value}"
            allowed = " or ".join(state.value for state in states)
            raise ValidationError(
                [f"key {shown(key)} must be that of an entry that is {allowed}: {what}"],
                operation=f"journal.{operation}",
            )
        return entry

    async def _write(self, entry: Entry, before: Entry) -> JournalEntry:
        if await self._ledger.is_owned(before):
            raise in_progress(Conflict(over="fence", entry=before), before)
        conflict = await self._ledger.store.replace(attrs.evolve(entry, fence=before.fence + 1), before.fence)
        if conflict is not None:
            raise in_progress(conflict, before)
        return public_entry(entry)
