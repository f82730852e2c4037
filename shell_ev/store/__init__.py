"""What charges are journalled in: the ``Store`` protocol for stores of your own, and ``open_store`` for ours."""

from .base import Conflict, SealedToken, Store
from .journal import Entry, OnCrash, State
from .opening import open_store

__all__ = ["Conflict", "Entry", "OnCrash", "SealedToken", "State", "Store", "open_store"]
