"""Notifies the observers of what becomes of entries in the journal. Observers cannot affect it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..observing import (
    Claimed,
    EntryRecovered,
    Observer,
    RecoveryEnded,
    RecoveryObserver,
    RecoveryOutcome,
    TakenOver,
    Taker,
)
from ..store.journal import Entry, is_own_key
from .notify import log_broken


class JournalNotifier:
    """The observers of one client.

    Args:
        observers: Of the client.
        broken: Hooks that have raised before.
        time: Seconds on the monotonic clock.
    """

    def __init__(self, observers: Sequence[Observer], broken: set[str], time: Callable[[], float]) -> None:
        self._observers = observers
        self._broken = broken
        self._time = time

    def claimed(self, entry: Entry) -> None:
        """The intent of a start was written."""
        if self._observers:
            event = Claimed(**_of(entry), on_crash=entry.on_crash)
            self.notify([(type(one).__qualname__, one) for one in self._observers], "claimed", event)

    def taken_over(self, taken: Entry, before: Entry, by: Taker) -> None:
        """An entry that no live process worked on was taken over."""
        if self._observers:
            event = TakenOver(
                **_of(taken), state=taken.state.value, on_crash=taken.on_crash, previous_owner=before.owner, by=by
            )
            self.notify([(type(one).__qualname__, one) for one in self._observers], "taken_over", event)

    def recovery_began(self) -> RecoveryNotifier:
        """A pass of recovery begins."""
        listeners: list[tuple[str, RecoveryObserver]] = []
        for observer in self._observers:
            name = type(observer).__qualname__
            try:
                listener: object = observer.recovery_began()
                if listener is None:
                    continue
                if not isinstance(listener, RecoveryObserver):  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise TypeError(
                        f"recovery_began must return a RecoveryObserver or None, not {type(listener).__name__}"
                    )
                listeners.append((name, listener))
            except (Exception, asyncio.CancelledError) as error:  # the observer's own: this is no coroutine
                log_broken(self._broken, name, "recovery_began", error)
        return RecoveryNotifier(self, listeners, self._time)

    def notify(self, listeners: Sequence[tuple[str, object]], hook: str, event: object) -> None:
        """Call a hook of some observers; what it raises is logged."""
        for name, listener in listeners:
            try:
                getattr(listener, hook)(event)
            except (Exception, asyncio.CancelledError) as error:  # the observer's own: this is no coroutine
                log_broken(self._broken, name, hook, error)


class RecoveryNotifier:
    """The observers of one pass of recovery."""

    def __init__(
        self, notifier: JournalNotifier, listeners: list[tuple[str, RecoveryObserver]], time: Callable[[], float]
    ) -> None:
        self._notifier = notifier
        self._listeners = listeners
        self._time = time
        self._began_at: Final = time()

    def time(self) -> float:
        """Seconds on the clock of the events."""
        return self._time()

    def recovered(
        self, entry: Entry, outcome: RecoveryOutcome, began_at: float, error: BaseException | None = None
    ) -> None:
        """The pass is done with an entry that it had taken over."""
        if self._listeners:
            event = EntryRecovered(**_of(entry), outcome=outcome, elapsed=self._time() - began_at, error=error)
            self._notifier.notify(self._listeners, "entry_recovered", event)

    def ended(self, counts: dict[RecoveryOutcome, int], error: BaseException | None = None) -> None:
        """The pass is over."""
        if self._listeners:
            event = RecoveryEnded(**counts, elapsed=self._time() - self._began_at, error=error)
            # In reverse: observers that set something current restore what was there before, the last one first.
            self._notifier.notify(self._listeners[::-1], "ended", event)


def _of(entry: Entry) -> dict[str, Any]:
    return {
        "key": None if is_own_key(entry.key) else entry.key,
        "request_id": entry.request_id,
        "evse_id": entry.evse_id,
        "session_id": entry.session_id,
    }
