"""Which store an option, a variable or a command line names."""

from __future__ import annotations

import importlib.util
import os
import re
from typing import Any, Final
from urllib.parse import unquote

from ..errors import ConfigurationError, shown
from .base import Store

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_FORMS: Final = "a path, 'sqlite:///path', 'postgresql://user@host/database', or an object of the Store protocol"


def open_store(target: str | os.PathLike[str] | Store, *, accept_loss: bool = False) -> Store:
    """The store that something names. Nothing is opened before its first call.

    Args:
        target: A path or ``sqlite:///path`` for a SQLite file, ``postgresql://...``, or a store, which is returned.
        accept_loss: For SQLite: make a new, empty journal although the one that was there is gone.

    Returns:
        The store.

    Raises:
        ConfigurationError: It names no store, or an extra is not installed.
    """
    if isinstance(target, os.PathLike):
        target = os.fspath(target)
    if not isinstance(target, str):
        if isinstance(target, Store) and not isinstance(target, type):  # pyright: ignore[reportUnnecessaryIsInstance]
            return target
        raise ConfigurationError(f"store must be {_FORMS}, not {_kind(target)}")
    scheme = _SCHEME.match(target)
    if scheme is None:
        return _sqlite(target, accept_loss)
    match scheme[1].lower():
        case "sqlite":
            path = target[scheme.end() :]
            if not path.startswith("/") or len(path) < 2 or "?" in path or "#" in path:
                raise ConfigurationError(
                    "a SQLite store is written 'sqlite:///relative/path' or 'sqlite:////absolute/path', without query"
                )
            return _sqlite(unquote(path[1:]), accept_loss)
        case "postgresql" | "postgres":
            if importlib.util.find_spec("cryptography") is None:
                raise ConfigurationError(
                    "a store in PostgreSQL encrypts its cards and needs cryptography: pip install 'shell_ev[postgres]'"
                )
            from .postgres import PostgresStore

            return PostgresStore(target)
        case other:
            # The rest of the URL is not repeated: there may be a password in it.
            raise ConfigurationError(f"there is no store of the kind {shown(other)}; give {_FORMS}")


def _sqlite(path: str, accept_loss: bool) -> Store:
    if path == ":memory:":
        raise ConfigurationError("a store in memory ends with the process, and is there to outlive it; give a path")
    if not path.strip() or "\0" in path:
        raise ConfigurationError(f"store must be {_FORMS}, not an empty text")
    from .sqlite import SQLiteStore

    return SQLiteStore(path, accept_loss=accept_loss)


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    missing = [name for name in vars(Store) if not name.startswith("_") and not hasattr(value, name)]
    return f"{type(value).__name__}, which has no {', '.join(missing[:3])}"
