"""Starting one charge, once, without ever losing it: not to a lost answer, not to a cancellation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from uuid import UUID

import attrs

from ..core.call import Progress, mint_request_id
from ..core.ownership import Claims
from ..core.runtime import running_loop
from ..core.session_manager import SessionManager
from ..endpoints.charging import prepare_start
from ..errors import (
    OutcomeUnknownError,
    ShellEVError,
)
from ..identifiers import EmaId, EvseId
from ..options import Timeout
from ..wire.operations import START
from ..wire.results import STARTED
from .charge import AsyncCharge, ChargeOptions
from .cleanup import cleanup_during
from .reconcile import check_ema_id, reconcile

logger = logging.getLogger("shell_ev")


class Starter:
    """One start. Arguments are checked on construction, before anything is sent."""

    def __init__(
        self,
        manager: SessionManager,
        claims: Claims,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId,
        options: ChargeOptions,
        *,
        request_id: str | UUID | None,
        timeout: float | Timeout | None,
        headers: Mapping[str, str] | None,
    ) -> None:
        self.manager = manager
        self._claims = claims
        self.options = options
        self._arguments, call = prepare_start(
            ev_charge_number, evse_id, {"request_id": request_id, "timeout": timeout, "headers": headers}
        )
        check_ema_id(options.ema_id, manager.version)
        self._request_id = call.request_id or mint_request_id()
        self._progress = Progress()
        self._call = attrs.evolve(call, request_id=self._request_id, progress=self._progress)
        self._what = f"start on {self._arguments['evse_id']} (request {self._request_id})"

    @property
    def unsettled(self) -> str | None:
        """The start in words while it may be on its way; None when nothing was sent."""
        return self._what if self._progress.sent else None

    async def start(self) -> AsyncCharge:
        """The accepted charge, found again if its answer was lost. When cancelled, stops what it may have started."""
        starting = running_loop().create_task(self._start())
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError as cancelled:
            # Nothing more is sent that was not; what was sent is waited for, to learn what to stop.
            self._progress.abandoned = True
            if not self._progress.sent:
                starting.cancel()
            await cleanup_during(cancelled, self._undo(starting), self._what)
            raise
        return starting.result()

    async def _start(self) -> AsyncCharge:
        try:
            answer = await self.manager.call(START, self._arguments, STARTED, self._call)
        except ShellEVError as error:
            if not error.outcome_unknown:
                raise
            return await reconcile(self.manager, self._claims, error, self.options)
        session_id = answer.data.session_id
        self._claims.add(session_id, self._request_id)
        return AsyncCharge(self.manager, session_id, self.options, request_id=self._request_id)

    async def _undo(self, starting: asyncio.Task[AsyncCharge]) -> None:
        """Stop the charge that came of a cancelled start. Raises if one may have come and cannot be stopped."""
        try:
            with self.manager.limit(self.options.stop_timeout):
                charge = await starting
        except (asyncio.CancelledError, TimeoutError, ShellEVError) as error:
            if not self._progress.sent or (isinstance(error, ShellEVError) and not error.outcome_unknown):
                return
            raise OutcomeUnknownError(
                f"cancelled with a {self._what} under way; what came of it is not known",
                operation=START.name,
                request_id=self._request_id,
                arguments=self._arguments,
            ) from error
        await charge.stop(shield=False)
