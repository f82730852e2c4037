"""``async with client.charge(...)``: started on entry, stopped on exit."""

from __future__ import annotations

import asyncio
import logging
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from ..errors import (
    ChargeFailedError,
    ChargePendingError,
    ConfigurationError,
    ShellEVError,
)
from . import open_blocks
from .charge import AsyncCharge
from .cleanup import cleanup_during, log_failed
from .start import Starter
from .stop import not_stopped

logger: logging.Logger = logging.getLogger("shell_ev")

_HINT = "use `async with client.charge(...) as charge`, or `charge = await client.start_charge(...)`"


def not_entered(block: object, name: str, hint: str) -> AttributeError:
    """The error for an attribute a block does not have: its charge has it, and that comes of entering."""
    lacks = f"{type(block).__name__!r} object has no attribute {name!r}"
    is_charge_s = not name.startswith("_") and (name in vars(AsyncCharge) or name in _CHARGE_FIELDS)
    return AttributeError(f"{lacks}; {hint}" if is_charge_s else lacks, name=name, obj=block)


_CHARGE_FIELDS = frozenset({"session_id", "request_id", "session", "adopted"})


class AsyncChargeBlock:
    """``async with client.charge(...) as charge:`` - started on entry, stopped on the way out."""

    if not TYPE_CHECKING:  # type checkers know that it has none, and say so earlier

        def __getattr__(self, name: str) -> NoReturn:
            raise not_entered(self, name, _HINT)

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._entered = False
        self.entered_on: weakref.ref[asyncio.AbstractEventLoop] | None = None
        """The event loop while the block is open."""
        self._charge: AsyncCharge | None = None
        #: The charge while it is entered or left.
        self._in_passage: AsyncCharge | None = None

    def __del__(self) -> None:
        if "entered_on" in vars(self):  # not for a block whose making failed
            open_blocks.collected(self)

    @property
    def longest_cleanup(self) -> float:
        """Seconds that a cancelled entry or exit may take: to learn what a start came to, and to stop it."""
        return 2 * self._starter.options.stop_timeout + 1

    @property
    def held(self) -> AsyncCharge | None:
        """The charge that was entered and has not been left."""
        return self._charge

    @property
    def keeps_running(self) -> bool:
        """Whether leaving is to leave the charge running."""
        return self._starter.options.keep_running

    def left_behind(self) -> str | None:
        """The charge or start that runs on if this block is never left; None if there is none."""
        charge = self._charge or self._in_passage
        if charge is None:
            return self._starter.unsettled
        return None if charge.is_over else f"session {charge.session_id}"

    async def __aenter__(self) -> AsyncCharge:
        if self._entered:
            raise ConfigurationError("a charge is entered once: ask the client for another one")
        open_blocks.opened(self)
        self._entered = True
        with open_blocks.guarded(self):
            try:
                charge = await self._enter()
            except BaseException:
                # The entry is released however entering failed: a repeat of the key, or a recovery, takes it up.
                if self._in_passage is not None:
                    await self._in_passage.release()
                raise
        if self.keeps_running:
            open_blocks.left(self)
        return charge

    async def _enter(self) -> AsyncCharge:
        timers = self._starter.manager.timers()
        ends_at = timers.time() + self._starter.options.start_timeout
        charge = self._in_passage = await self._starter.start()
        if charge.is_over:  # that of an earlier call with the same key
            self._charge, self._in_passage = charge, None
            return charge
        try:
            await charge.wait_started(timeout=max(0.001, ends_at - timers.time()))
        except (ChargeFailedError, ChargePendingError):
            raise
        except GeneratorExit:  # thrown away with its loop
            raise
        except BaseException as error:
            # The caller never gets this charge: it must not run on unseen.
            await cleanup_during(error, charge.stop(shield=False), f"session {charge.session_id}")
            if isinstance(error, ShellEVError) and not charge.is_over:
                # It was accepted, and neither its start nor its stop was seen.
                error.outcome_unknown = True
            raise
        self._charge, self._in_passage = charge, None
        return charge

    async def abandon(self, error: BaseException) -> None:
        """Stop a charge that was entered and never reached its caller, with ``keep_running`` too."""
        charge, self._charge = self._charge, None
        open_blocks.left(self)
        if charge is not None:
            await cleanup_during(error, charge.stop(shield=False), f"session {charge.session_id}")

    def give_up(self, charge: AsyncCharge, error: BaseException | None, reason: ShellEVError) -> None:
        """Leave without a stop, since nothing can be sent any more: a note on ``error``, or raise; and log it."""
        self._charge = None
        open_blocks.left(self)
        if charge.is_over:
            return
        note = log_failed(f"session {charge.session_id}", reason)
        if error is None:
            raise not_stopped(charge, str(reason)) from reason
        error.add_note(note)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        can_send = open_blocks.can_send(self)
        charge, self._charge = self._charge, None
        is_done = charge is None or self.keeps_running or (charge.is_over and not charge.adopted)
        if charge is None or is_done or not can_send:
            open_blocks.left(self)
            if charge is not None and can_send:
                await charge.release()
            return
        self._in_passage = charge
        with open_blocks.guarded(self):
            try:
                if exc is not None:
                    await cleanup_during(exc, charge.stop(shield=False), f"session {charge.session_id}")
                else:
                    await charge.stop()
            finally:
                await charge.release()
        open_blocks.left(self)
