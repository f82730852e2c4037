"""Starts one charge: sends the start once and never loses it, neither to a lost answer nor to a cancellation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from ..core.call import mint_request_id
from ..core.ownership import OwnStart
from ..core.runtime import running_loop
from ..core.service_clock import Moment
from ..core.session_manager import SessionManager
from ..core.ticket import Ticket
from ..endpoints.charging import AsyncCharging, prepare_start
from ..endpoints.sending import fenced_off, own_start, send_start
from ..errors import ChargeInProgressError, ConfigurationError, OutcomeUnknownError, ShellEVError, ValidationError
from ..identifiers import EmaId, EvseId, HasEvseId
from ..options import Timeout
from ..store import journal
from ..store.journal import OnCrash
from ..wire.operations import START
from .adoption import UNDATED
from .charge import AsyncCharge, ChargeOptions
from .cleanup import cleanup_during
from .keyed import KeyedStart, Order
from .reconcile import check_ema_id, ema_id_of, find_start

logger: logging.Logger = logging.getLogger("shell_ev")

#: How often a start meets other processes at its key before that is the error.
_MEETINGS: Final = 5


class Starter:
    """One start.

    Args:
        manager: Of the client.
        ev_charge_number: Number of the charge card.
        evse_id: EVSE to charge on.
        options: Options of the charge.
        request_id: RequestId of the start; None mints one.
        timeout: Seconds for the start request.
        headers: Further headers of the start request.
        key: Same key and arguments, same charge; None for a start of its own.
        is_block: Whether a block enters the charge, and owns its entry until it is left.

    Raises:
        ValidationError: Lists every fault of the arguments. Nothing was sent.
    """

    def __init__(
        self,
        manager: SessionManager,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId | HasEvseId,
        options: ChargeOptions,
        *,
        request_id: str | UUID | None,
        timeout: float | Timeout | None,
        headers: Mapping[str, str] | None,
        key: str | None = None,
        is_block: bool = False,
    ) -> None:
        self.manager = manager
        self.options = options
        self._arguments, self._call = prepare_start(
            ev_charge_number, evse_id, {"request_id": request_id, "timeout": timeout, "headers": headers}
        )
        check_ema_id(options.ema_id, manager.version)
        self._ema_id = options.ema_id or ema_id_of(self._arguments["ev_charge_number"])
        if options.baseline and self._ema_id is None:
            raise ValidationError(["baseline needs the EMA-ID of the card: give ema_id="], operation=START.name)
        self._request_id = self._call.request_id or mint_request_id()
        self._ledger = manager.ledger
        if key is not None and self._ledger is None:
            raise ConfigurationError("key= needs a store: give store= to the client, or set SHELL_EV_STORE")
        on_crash: OnCrash = "stop" if is_block and not options.keep_running else "keep"
        self._order = Order(
            arguments=self._arguments,
            request_id=self._request_id,
            key=None if key is None else journal.checked_key(key),
            is_block=is_block,
            on_crash=on_crash,
        )
        self._own: OwnStart | None = None
        self._baseline: tuple[str, ...] | None = None
        self._what = f"start on {self._arguments['evse_id']} (request {self._request_id})"

    @property
    def unsettled(self) -> str | None:
        """The start in words while it may be on its way; None when nothing was sent."""
        return self._what if self._own is not None and self._own.sent else None

    async def start(self) -> AsyncCharge:
        """Start the charge; a lost start is looked up. When cancelled, stop what may have been started.

        Returns:
            The accepted charge.

        Raises:
            OutcomeUnknownError: The start was lost and its session cannot be found.
            ShellEVError: As ``charging.start``; with ``baseline=True`` also as ``charging.active``.
        """
        self._own = own = own_start(self.manager, self._arguments, self._request_id, self.options.ema_id)
        starting = running_loop().create_task(self._start(own))
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError as cancelled:
            # Nothing more is sent that was not; what was sent is waited for, to learn what to stop.
            own.abandoned = True
            if not own.sent:
                starting.cancel()
            await cleanup_during(cancelled, self._undo(starting, own), self._what)
            raise
        return starting.result()

    async def _start(self, own: OwnStart) -> AsyncCharge:
        time = self.manager.timers().time
        ends_at = time() + self.options.start_timeout
        if self._ledger is None:
            return await self._send(own, None, ends_at)
        for _ in range(_MEETINGS):
            keyed = KeyedStart(self.manager, self._ledger, self._order, self.options)
            try:
                met = await keyed.meet(ends_at)
                if isinstance(met, AsyncCharge):
                    own.void()
                    return met
                return await self._send(own, met, ends_at)
            except ChargeInProgressError as error:
                # Another process was faster; what it left behind may be recovered. After the send: it was fenced off.
                if own.sent or error.outcome_unknown or not await keyed.clear(error, ends_at):
                    raise
                self.manager.ownership.register(own)
            except BaseException:
                if not own.sent:
                    own.void()
                raise
        raise ChargeInProgressError("other processes work on this key or EVSE again and again; nothing was sent")

    async def _send(self, own: OwnStart, ticket: Ticket | None, ends_at: float) -> AsyncCharge:
        time = self.manager.timers().time
        try:
            if self.options.baseline:
                await self._take_baseline()
        except BaseException:
            own.void()
            raise
        if ticket is not None:
            ticket.baseline = self._baseline or ()
        limit = ends_at - time()
        try:
            answer = await send_start(self.manager, self._arguments, self._call, own, ticket)
        except ShellEVError as error:
            if not error.outcome_unknown:
                raise
            return await self._find(own, error, limit, ticket)
        except BaseException:
            if ticket is not None and own.sent:
                await ticket.lost()
            raise
        if ticket is None:
            return AsyncCharge(self.manager, answer.data.session_id, self.options, request_id=own.request_id)
        conflict = await ticket.accepted(answer.data.session_id, owned=self._order.is_block)
        if conflict is not None:
            raise await fenced_off(self.manager, ticket, answer.data.session_id)
        return self._journalled(answer.data.session_id, own, ticket)

    def _journalled(self, session_id: str, own: OwnStart, ticket: Ticket) -> AsyncCharge:
        return AsyncCharge(
            self.manager,
            session_id,
            self.options,
            request_id=own.request_id,
            key=self._order.key,
            journalled=ticket.is_recorded,
            entry=ticket.entry if self._order.is_block else None,
        )

    async def _find(self, own: OwnStart, error: ShellEVError, limit: float, ticket: Ticket | None) -> AsyncCharge:
        """Look up a start whose outcome is unknown, and record what came of it."""
        time = self.manager.timers().time
        ends_at = time() + limit
        while True:
            try:
                charge = await find_start(
                    self.manager,
                    own,
                    error,
                    self.options,
                    arguments=self._arguments,
                    limit=max(0.0, ends_at - time()),
                    baseline=self._baseline,
                )
            except OutcomeUnknownError as unknown:
                if ticket is not None and self._ema_id is None:
                    await ticket.cannot_be_looked_for()
                elif ticket is not None:
                    await ticket.looked_in_vain(own.answered_for if unknown.lookups_answered else None)
                raise
            except BaseException:
                if ticket is not None:
                    await ticket.lost()
                raise
            if ticket is None:
                return charge
            conflict = await ticket.accepted(charge.session_id, owned=self._order.is_block)
            if conflict is None:
                charge.key, charge.journalled = self._order.key, ticket.is_recorded
                charge.own(ticket.entry if self._order.is_block else None)
                return charge
            if conflict.over != "session" or conflict.entry is None:
                raise await fenced_off(self.manager, ticket, charge.session_id)
            self.manager.ownership.hold(charge.session_id, conflict.entry.request_id)
            self.manager.ownership.register(own)

    async def _take_baseline(self) -> None:
        """List the card's sessions before the start, inside ``start_timeout``."""
        longest = self.manager.config.timeout.total
        limit = self.options.start_timeout if longest is None else min(longest, self.options.start_timeout)
        answer = await AsyncCharging(self.manager).active(self._ema_id or "", timeout=limit)
        self._baseline = tuple(session.id for session in answer.data if session.id is not None)

    async def _undo(self, starting: asyncio.Task[AsyncCharge], own: OwnStart) -> None:
        """Stop the charge of a cancelled start. Raises if there may be one that cannot be stopped."""
        try:
            with self.manager.limit(self.options.stop_timeout):
                charge = await starting
        except (asyncio.CancelledError, TimeoutError, ShellEVError) as error:
            if isinstance(error, OutcomeUnknownError):
                # It has what was seen; a start that was looked up keeps its reasons.
                raise
            if not own.sent or (isinstance(error, ShellEVError) and not error.outcome_unknown):
                own.void()
                return
            sent = self._sent(own)
            raise OutcomeUnknownError(
                f"cancelled with a {self._what} under way; what came of it is not known",
                operation=START.name,
                request_id=self._request_id,
                arguments=self._arguments,
                sent_at=sent.at,
                sent_at_error=sent.error,
                baseline=self._baseline,
            ) from error
        await charge.stop(shield=False)

    def _sent(self, own: OwnStart) -> Moment:
        """When the start was sent, on the service's clock as far as that is known."""
        now, wall = self.manager.timers().time(), self.manager.hooks.utcnow()
        left_at = now if own.left_at is None else own.left_at
        sent = self.manager.service_clock.moment(left_at, now=now, wall=wall)
        return sent or Moment(wall - timedelta(seconds=now - left_at), UNDATED)
