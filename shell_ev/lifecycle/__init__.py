"""The charge above the endpoints: start once, follow, stop, whatever happens. Knows no HTTP.

Its rooms are imported when the first charge is asked for, all that a charge takes at once: nothing is left to be
imported when it has to be stopped.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..wire import structuring

if TYPE_CHECKING:
    from .charge import AsyncCharge as AsyncCharge
    from .charge import ChargeOptions as ChargeOptions
    from .following import follow as follow
    from .polling import Polling as Polling
    from .starting import AsyncChargeBlock as AsyncChargeBlock
    from .starting import Starter as Starter
    from .starting import reconcile as reconcile
    from .watching import OnProblem as OnProblem

DEFAULT_START_TIMEOUT = 180.0
DEFAULT_STOP_TIMEOUT = 120.0
#: Requests per second for all that is followed.
DEFAULT_BUDGET = 10.0

_HOMES = {
    "AsyncCharge": "charge",
    "AsyncChargeBlock": "starting",
    "ChargeOptions": "charge",
    "OnProblem": "watching",
    "Polling": "polling",
    "Starter": "starting",
    "follow": "following",
    "reconcile": "starting",
}


_loaded = False


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    load()
    return globals()[name]


def load() -> None:
    """Import every room: before the first request that may leave a charge behind."""
    global _loaded
    if not _loaded:
        for name, room in _HOMES.items():
            globals()[name] = getattr(importlib.import_module(f".{room}", __name__), name)
        structuring.load()
        _loaded = True
