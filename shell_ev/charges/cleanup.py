"""Runs clean-up to its end although the caller is being cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ..core.runtime import CANCEL_NOW
from ..errors import one_line

logger: logging.Logger = logging.getLogger("shell_ev")

R = TypeVar("R")

#: Seconds within which a cancellation repeats the one before: anyio cancels at every turn of the loop.
SAME_WISH = 1.0


class Cancellations:
    """Counts the wishes to leave in a stream of cancellations, which some frameworks repeat many times a second."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def is_new(self, cancelled: asyncio.CancelledError | None = None) -> bool:
        """Whether a cancellation is a further wish to leave, and not a repetition of the last one.

        Args:
            cancelled: The cancellation; None for one that was caught elsewhere just now.
        """
        # A timer of the loop, restarted each time: a loop that stood still delivers its cancellations late, not apart.
        is_new = self._timer is None
        self.forget()
        self._timer = asyncio.get_running_loop().call_later(SAME_WISH, self.forget)
        return is_new or (cancelled is not None and CANCEL_NOW in cancelled.args)

    def forget(self) -> None:
        """The next cancellation is a new wish."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _shielded_scope() -> AbstractContextManager[object]:
    # Only a shielded scope of anyio keeps anyio from cancelling at every turn of the loop, which takes a whole core.
    anyio = sys.modules.get("anyio")
    return contextlib.nullcontext() if anyio is None else anyio.CancelScope(shield=True)


async def cleanup_during(error: BaseException, cleanup: Coroutine[Any, Any, Any], what: str) -> None:
    """Run a clean-up to its end although the caller is leaving with ``error``.

    The clean-up survives one wish to leave: ``error`` itself if that is a cancellation, else the first cancellation
    meanwhile. The next one ends it. A cancellation repeats the wish before unless a second lies between them.

    Args:
        error: What the caller is leaving with. It stays the error that the caller sees, unless it is a failure and a
            cancellation comes: a cancellation is never swallowed.
        cleanup: The work to finish.
        what: Names the work in the note and the log line of a failure.
    """
    task = asyncio.ensure_future(cleanup)
    wishes = Cancellations()
    seen = error
    leaving = not isinstance(error, Exception)
    if leaving:
        wishes.is_new()
    try:
        with _shielded_scope():
            while not task.done():
                try:
                    await asyncio.wait([task])
                except asyncio.CancelledError as cancelled:
                    if not wishes.is_new(cancelled):
                        continue
                    if leaving:
                        task.cancel(CANCEL_NOW)
                    else:
                        leaving, seen = True, cancelled
    finally:
        wishes.forget()
    failure = asyncio.CancelledError("cancelled once more") if task.cancelled() else task.exception()
    if failure is not None:
        seen.add_note(log_failed(what, failure))
    if seen is not error:
        raise seen


def log_failed(what: str, failure: BaseException) -> str:
    """Log a clean-up that failed, at level ERROR.

    Args:
        what: Names the work.
        failure: What ended it.

    Returns:
        The line, for a note on the error that the caller sees.
    """
    line = f"{one_line(what)}: clean-up failed and the car may still be charging: {one_line(repr(failure), 1000)}"
    logger.error("%s", line)
    return line


async def run_shielded(work: Coroutine[Any, Any, R], what: str) -> R:
    """Run ``work`` to its end through one cancellation of the caller, which is raised afterwards.

    Args:
        work: The work to finish.
        what: Names the work in the note and the log line of a failure.

    Returns:
        What ``work`` returns.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError as cancelled:
        await cleanup_during(cancelled, _outcome(task), what)
        raise
    return task.result()


async def _outcome(task: asyncio.Task[Any]) -> None:
    await task
