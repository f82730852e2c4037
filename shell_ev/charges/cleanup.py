"""Bringing to its end what must not be left half done, although the caller is on its way out. Knows no charge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

logger = logging.getLogger("shell_ev")

R = TypeVar("R")


async def cleanup_during(error: BaseException, cleanup: Coroutine[Any, Any, Any], what: str) -> None:
    """Run a clean-up to its end although the caller is on its way out with ``error``.

    The clean-up goes on through one wish to leave, be that ``error`` itself or a cancellation meanwhile; the next ends
    it. ``error`` stays the one the caller sees, unless it is a failure and a cancellation came: that is never
    swallowed. If the clean-up fails, the one seen gets a note, and the log a line at level ERROR.
    """
    task = asyncio.ensure_future(cleanup)
    seen = error
    leaving = not isinstance(error, Exception)
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as cancelled:
            if leaving:
                task.cancel()
            else:
                leaving, seen = True, cancelled
    failure = asyncio.CancelledError("cancelled once more") if task.cancelled() else task.exception()
    if failure is not None:
        seen.add_note(log_failed(what, failure))
    if seen is not error:
        raise seen


def log_failed(what: str, failure: BaseException) -> str:
    """Log a clean-up that failed, at level ERROR; the words, for a note."""
    told = f"{what}: cleaning up failed and the car may still be charging: {failure!r}"
    logger.error("%s", told)
    return told


async def run_shielded(work: Coroutine[Any, Any, R], what: str) -> R:
    """The outcome of ``work``, which goes on through one cancellation of the caller before that is passed on."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError as cancelled:
        await cleanup_during(cancelled, _end(task), what)
        raise
    return task.result()


async def _end(task: asyncio.Task[Any]) -> None:
    await task
