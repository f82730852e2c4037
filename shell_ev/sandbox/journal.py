"""What has changed in a sandbox, in order, for readers that come back for it.

Holds topics and ids, bounded.
"""

from __future__ import annotations

import threading
from collections import deque

_KEPT = 2_000

Change = tuple[int, str, str]
"""Number, topic (`charge`, `evse`, `faults`, `tokens`, `clock`, `settings`, `requests`, `reset`) and id, or ""."""


class Journal:
    """A bounded list of changes. Methods may be called from any thread."""

    def __init__(self, kept: int = _KEPT) -> None:
        """Keep the last `kept` changes."""
        self._changes: deque[Change] = deque(maxlen=kept)
        self._last = 0
        self._lock = threading.Lock()

    @property
    def last(self) -> int:
        """Number of the last change, 0 before the first."""
        return self._last

    def note(self, topic: str, key: str = "") -> None:
        """Add a change."""
        with self._lock:
            self._last += 1
            self._changes.append((self._last, topic, key))

    def since(self, number: int) -> list[Change] | None:
        """Return the changes after a number, oldest first; None when some of them are no longer kept."""
        with self._lock:
            missing = self._last - number
            if missing <= 0:
                return []
            if missing > len(self._changes):
                return None
            return [self._changes[index] for index in range(len(self._changes) - missing, len(self._changes))]
