"""What a failing store did not take: tried again until the client is closed, then logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from ..errors import ShellEVError, one_line
from ..store.journal import Entry

logger: logging.Logger = logging.getLogger("shell_ev")

#: Seconds until an attempt is repeated, doubled each time up to the longest.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0


@attrs.define(eq=False)
class Record:
    """One record that is to be written."""

    write: Callable[[Record], Awaitable[object]]
    """Writes it, or finds that it is void. Raises StoreError while the store fails."""
    entry: Entry | None = None
    """The entry as it is to be; None where the record is about a session, or where the entry is to be removed."""
    lost: str | None = None
    """What the log says, at level ERROR, if it is never written; None where recovery needs no hint."""
    reason: str = ""


class Unwritten:
    """Records that a store did not take, by the key or session that they are about."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._task: asyncio.Task[None] | None = None

    def get(self, name: str) -> Record | None:
        """The record of a name."""
        return self._records.get(name)

    def with_session(self, session_id: str) -> Record | None:
        """The record of an entry with that session."""
        for record in self._records.values():
            if record.entry is not None and record.entry.session_id == session_id:
                return record
        return None

    def drop(self, name: str) -> None:
        """Forget a record."""
        self._records.pop(name, None)

    def keep(self, name: str, record: Record, reason: Exception) -> None:
        """Keep a record and try again in the background, on the running loop."""
        record.reason = str(reason)
        self._records[name] = record
        if self._task is None or self._task.done() or self._task.get_loop().is_closed():
            self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def _repeat(self) -> None:
        pause = _FIRST_PAUSE
        while self._records:
            await asyncio.sleep(pause)
            await self._write()
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _write(self) -> None:
        for name, record in list(self._records.items()):
            entry = record.entry
            try:
                await record.write(record)
            except ShellEVError as error:
                record.reason = str(error)
            else:
                # It may have been changed, or replaced, meanwhile.
                if self._records.get(name) is record and record.entry is entry:
                    del self._records[name]

    async def aclose(self) -> None:
        """Try once more, and log what is not written then."""
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            if task.get_loop() is asyncio.get_running_loop():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            else:
                task.get_loop().call_soon_threadsafe(task.cancel)
        await self._write()
        for record in self._records.values():
            if record.lost is not None:
                logger.error("%s: %s", record.lost, one_line(record.reason, 300))
        self._records.clear()
