"""Blocks that were entered and not left: an ERROR line names the charge of one that nothing can stop any more."""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol

from ..core.runtime import running_loop
from ..errors import ConfigurationError
from .cleanup import log_failed


class OpenBlock(Protocol):
    """A block as this module needs it."""

    entered_on: weakref.ref[asyncio.AbstractEventLoop] | None
    """The loop of an open block; None for one that is not entered, was left or was reported."""

    def left_behind(self) -> str | None:
        """The charge or start that runs on if the block is never left; None if there is none."""
        ...


#: For the end of the interpreter only: the collector clears weak references before it closes a coroutine.
_open: weakref.WeakSet[OpenBlock] = weakref.WeakSet()


def _forget_all() -> None:
    # The blocks of the parent are left by the parent.
    for block in list(_open):
        left(block)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def opened(block: OpenBlock) -> None:
    """Note a block that is being entered. Raises ConfigurationError outside asyncio."""
    block.entered_on = weakref.ref(running_loop())
    _open.add(block)


def left(block: OpenBlock) -> None:
    """Forget a block that was left."""
    block.entered_on = None
    _open.discard(block)


def can_send(block: OpenBlock) -> bool:
    """Whether the loop of the block runs here, so that its charge can be stopped. Logs the charge if not."""
    loop = block.entered_on
    running: Any = asyncio._get_running_loop()  # get_running_loop() raises where there is none
    if running is not None and (loop is None or loop() is running):
        return True
    _report(block, "the event loop was closed inside the block")
    return False


def collected(block: OpenBlock) -> None:
    """A block goes away: logs its charge if the block is still open."""
    if block.entered_on is not None:
        _report(block, "the block was dropped while it was open")


@contextmanager
def guarded(block: OpenBlock) -> Generator[None]:
    """Entering or leaving a block: logs its charge if the coroutine is thrown away half-way with its loop."""
    try:
        yield
    except GeneratorExit:
        _report(block, "the event loop was closed while the block was entered or left")
        raise
    except BaseException:
        left(block)
        raise


def _report(block: OpenBlock, reason: str) -> None:
    # Once: a block that the end of the interpreter reported may be collected later.
    is_open = block.entered_on is not None
    left(block)
    behind = block.left_behind()
    if is_open and behind is not None:
        log_failed(behind, ConfigurationError(reason))


@atexit.register
def report_all() -> None:
    """Log the charge of every open block. Runs at the end of the interpreter."""
    for block in list(_open):
        _report(block, "the interpreter ended inside the block")
