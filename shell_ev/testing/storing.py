"""The store of a test's clients: on the test's clock, which stands still while its thread works."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ..store.base import Store
    from .clock import ControlledTime


class PacedStore:
    """Passes every call on to a store. Its clock is that of the test.

    Args:
        time: The clock.
        store: Keeps the entries.
    """

    def __init__(self, time: ControlledTime, store: Store) -> None:
        self._time = time
        self._store = store

    @classmethod
    def over(cls, time: ControlledTime, store: Store) -> Store:
        """The store as a ``Store``."""
        return cast("Store", cls(time, store))

    async def now(self) -> float:
        """Unix seconds on the clock of the test."""
        return self._time.now()

    def crash(self) -> None:
        """End the life signs and close the store; its entries stay as they are."""
        self._store.close()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            return method

        @functools.wraps(method)
        async def paced(*args: Any, **kwargs: Any) -> Any:
            # The thread of the store takes real time: without this, test time would jump meanwhile.
            pacer = self._time.pacer
            number = pacer.request_started()
            try:
                return await method(*args, **kwargs)
            finally:
                pacer.request_finished(number, asyncio.get_running_loop())

        return paced


def crash(client: Any) -> None:
    """End a client as a killed process ends: nothing more is sent, nothing more is recorded.

    Args:
        client: An ``AsyncShellEV``, or the original of a ``ShellEV``.
    """
    manager: Any = client._manager
    if manager.ledger is not None:
        store: Any = manager.ledger.store
        getattr(store, "crash", store.close)()
    manager.cut_off()
