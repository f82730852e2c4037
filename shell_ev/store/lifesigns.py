"""Life signs of the owners of one machine: a locked file each. The kernel ends the lock with the process."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import time
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigurationError

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has none: life signs are leases there
    fcntl = importlib.import_module("fcntl")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


class LockFiles:
    """Files in one folder, each locked by one owner for as long as its process lives.

    Args:
        folder: The folder; made by :meth:`make_folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, int] = {}
        _all.add(self)

    def make_folder(self) -> None:
        """Make the folder, for its user alone."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def hold(self, owner: str) -> None:
        """Make and lock the file of an owner.

        Raises:
            OSError: The folder is not writable, or its file system has no locks.
        """
        if owner in self._held:
            return
        if not _NAME.fullmatch(owner) or owner in (_SCHEMA, MADE):
            raise ConfigurationError("an owner must be a name of letters, digits, dots and dashes")
        path = self.folder / owner
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self._held[owner] = descriptor

    def are_held(self) -> bool:
        """Whether the files of this process are still in the folder: they may have been removed from outside."""
        for owner, descriptor in self._held.items():
            try:
                there = os.stat(self.folder / owner)
            except FileNotFoundError:
                return False
            if not os.path.samestat(there, os.fstat(descriptor)):
                return False
        return True

    def is_alive(self, owner: str) -> bool:
        """Whether a process holds the file of an owner. The file of a dead one is removed."""
        if not _NAME.fullmatch(owner):
            return False
        path = self.folder / owner
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            # Shared: two processes that look at once do not take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            with contextlib.suppress(OSError):
                path.unlink()
            return False
        finally:
            os.close(descriptor)

    def end(self, owner: str) -> None:
        """Remove and unlock the file of an owner."""
        descriptor = self._held.pop(owner, None)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                (self.folder / owner).unlink()
            os.close(descriptor)

    def end_all(self) -> None:
        """Remove and unlock all files that are held."""
        for owner in tuple(self._held):
            self.end(owner)

    def forget(self) -> None:
        """In a forked child: close the inherited descriptors. The locks stay with the parent."""
        for descriptor in self._held.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._held.clear()

    @contextmanager
    def schema_lock(self, within: float) -> Generator[None]:
        """Be alone with the schema. Without effect where there is no flock.

        Raises:
            TimeoutError: Another process had it for that many seconds.
        """
        if fcntl is None:
            yield
            return
        ends_at = time.monotonic() + within
        descriptor = os.open(self.folder / _SCHEMA, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > ends_at:
                        raise TimeoutError("another process is making the schema") from None
                    time.sleep(0.005)
            yield
        finally:
            os.close(descriptor)

    @property
    def made(self) -> Path:
        """A file that says that a journal was made here."""
        return self.folder / MADE


_SCHEMA: Final = "schema"
MADE: Final = "made"

_all: weakref.WeakSet[LockFiles] = weakref.WeakSet()


def _forget_all() -> None:
    for files in tuple(_all):
        files.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
