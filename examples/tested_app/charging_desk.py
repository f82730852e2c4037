"""The charging desk of a car park: starts and stops charges, and starts none twice.

An application in small, to show how its error handling is tested: see docs/testing.md.
"""

from __future__ import annotations

import asyncio
import enum
from collections import defaultdict
from dataclasses import dataclass

from shell_ev import (
    AsyncCharge,
    AsyncShellEV,
    ChargeFailedError,
    ChargeNotStoppedError,
    ChargePendingError,
    ShellEVError,
    TooManyRequestsError,
)


class Answer(enum.Enum):
    """What a guest is told."""

    CHARGING = "Your car is charging."
    PENDING = "The charger has not begun yet. Please ask again in a minute."
    REFUSED = "The charger refused."
    BUSY = "The service is busy. Please ask again a little later."
    UNKNOWN = "We do not know whether it began. Ask again: it will not begin twice."
    FAILED = "That did not work, and nothing was started."
    STOPPED = "Your car has stopped charging."
    STILL_CHARGING = "We could not stop the charge. Please pull the plug."
    NOTHING_TO_STOP = "There is no charge of yours here."


@dataclass(frozen=True)
class Reply:
    """An answer, and what goes with it."""

    answer: Answer
    session_id: str | None = None
    reason: str | None = None
    retry_after: float | None = None


class ChargingDesk:
    """Remembers what it was asked for: asking again looks, and does not start again."""

    def __init__(self, ev: AsyncShellEV, *, patience: float = 90) -> None:
        self._ev = ev
        self._patience = patience
        self._charges: dict[tuple[str, str], AsyncCharge] = {}
        self._lost: dict[tuple[str, str], ShellEVError] = {}
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(
            asyncio.Lock
        )

    async def start(self, card: str, evse: str) -> Reply:
        """Start a charge for a guest, or tell of the one that there is."""
        key = (card, evse)
        async with self._turns[key]:
            try:
                charge = self._charges.get(key) or await self._find_or_start(key)
                self._charges[key] = charge
                await charge.wait_started(timeout=self._patience)
            except ChargePendingError as error:
                # The charge is kept: it may begin at any moment, and is then theirs.
                return Reply(Answer.PENDING, error.session_id)
            except ChargeFailedError as error:
                del self._charges[key]
                return Reply(Answer.REFUSED, error.session_id, reason=error.code)
            except TooManyRequestsError as error:
                return Reply(Answer.BUSY, retry_after=error.retry_after)
            except ShellEVError as error:
                if not error.outcome_unknown:
                    return Reply(Answer.FAILED, reason=str(error))
                self._lost.setdefault(key, error)
                return Reply(Answer.UNKNOWN, reason=str(error))
            return Reply(Answer.CHARGING, charge.session_id)

    async def _find_or_start(self, key: tuple[str, str]) -> AsyncCharge:
        lost = self._lost.get(key)
        if lost is None:
            return await self._ev.start_charge(*key, start_timeout=self._patience)
        # A start is out there without an answer: look for its charge, start nothing.
        charge = await self._ev.reconcile(lost, start_timeout=self._patience)
        del self._lost[key]
        return charge

    def forget(self, card: str, evse: str) -> None:
        """Somebody has looked: nothing of this guest runs at the charger."""
        self._lost.pop((card, evse), None)

    async def stop(self, card: str, evse: str) -> Reply:
        """Stop the charge of a guest, and wait until it has stopped."""
        key = (card, evse)
        async with self._turns[key]:
            charge = self._charges.get(key)
            if charge is None:
                return Reply(Answer.NOTHING_TO_STOP)
            try:
                await charge.stop()
            except ChargeNotStoppedError as error:
                return Reply(Answer.STILL_CHARGING, charge.session_id, str(error))
            del self._charges[key]
            return Reply(Answer.STOPPED, charge.session_id)
