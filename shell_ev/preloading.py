"""Everything that the client would import or build on first use, done ahead of time."""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import suppress
from types import ModuleType
from typing import Final

import yarl

from .core.portal import loop_factory
from .dialects import ApiVersion
from .errors import ConfigurationError
from .wire.codec import Codec, Engine, engine
from .wire.results import Result, Undecodable

#: Modules that are imported late otherwise: each is absent for a program that does not use it.
_LATE: Final = (
    "cattrs",
    "concurrent.futures.thread",
    "decimal",
    "ssl",
    "shell_ev.core.transport",
    "shell_ev.endpoints.locations",
    "shell_ev.charges.follow",
    "shell_ev.charges.reconcile",
)
_done = False
_lock: Final = threading.Lock()


def preload() -> None:
    """Import every module and build every reader that a client may need later."""
    global _done
    with _lock:
        if _done:
            return
        _import_all()
        for version in ApiVersion:
            _build_readers(version)
        # The tables for host names that are not ASCII, of Python and of yarl. aiohttp builds its SSL context on import.
        "é".encode("idna")
        yarl.URL("http://é.example")
        _done = True


def _import_all() -> None:
    package: ModuleType = sys.modules["shell_ev"]
    for name in package.__all__:
        getattr(package, name)
    for name in _LATE:
        importlib.import_module(name)
    with suppress(ConfigurationError):  # SHELL_EV_LOOP is wrong: the constructor of a blocking client says so
        loop_factory()().close()  # imports uvloop where a blocking client would use it


def _build_readers(version: ApiVersion) -> None:
    """The generated readers of each model in one dialect, for each engine that can be chosen."""
    for wanted in (Engine.CATTRS, Engine.MSGSPEC):
        with suppress(ConfigurationError):  # msgspec is an extra
            codec = Codec(version, wanted)
            for result in _results():
                for body in (b'{"data":[{"x":1}]}', b'{"data":[]}', b"{"):
                    with suppress(Undecodable):
                        codec.decode(result, body)
    with suppress(ConfigurationError):  # SHELL_EV_ENGINE is wrong: the constructor of a client says so
        engine()


def _results() -> list[Result]:
    rooms = [
        module for name, module in sys.modules.items() if name.startswith(("shell_ev.wire.", "shell_ev.endpoints."))
    ]
    found = {id(value): value for room in rooms for value in vars(room).values() if isinstance(value, Result)}
    return list(found.values())
