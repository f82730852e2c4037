"""Starting one charge, once, without ever losing it: not to a lost answer, not to a cancellation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import attrs

from ..config import Timeout
from ..core.call import Progress, mint_request_id
from ..core.session_manager import SessionManager
from ..core.timing import running_loop
from ..endpoints.charging import prepare_start
from ..errors import (
    ChargeFailedError,
    ChargePendingError,
    ConfigurationError,
    OutcomeUnknownError,
    ShellEVError,
    ValidationError,
    shown,
)
from ..identifiers import EmaId, EvseId
from ..wire.codec import STARTED
from ..wire.operations import START, STOP
from .charge import AsyncCharge, ChargeOptions
from .claims import Claims
from .reconciling import Reconciler, check_ema_id
from .shielding import beside, log_failed
from .stopping import not_stopped
from .watching import tell

logger = logging.getLogger("shell_ev")

_HINT = "use `async with client.charge(...) as charge`, or `charge = await client.start_charge(...)`"


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
        self._arguments, call = prepare_start(ev_charge_number, evse_id, request_id, timeout, None, headers)
        check_ema_id(options.ema_id, manager.version)
        self._request_id = call.request_id or mint_request_id()
        self._progress = Progress()
        self._call = attrs.evolve(call, request_id=self._request_id, progress=self._progress)
        self._what = f"start on {self._arguments['evse_id']} (request {self._request_id})"

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
            await beside(cancelled, self._undo(starting), self._what)
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
        await charge.stopping()


def sent_at(error: ShellEVError) -> datetime | None:
    """When the request of a failed start or stop left, if its error tells."""
    moment = getattr(error, "sent_at", None)
    return moment if isinstance(moment, datetime) else None


async def reconcile(
    manager: SessionManager, claims: Claims, error: ShellEVError, options: ChargeOptions
) -> AsyncCharge:
    """What came of a start or stop of the bare endpoints whose outcome is unknown, as a charge."""
    if not isinstance(error, ShellEVError):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError([f"error must be what a start or stop raised, not {shown(error)}"], "reconcile")
    operation = getattr(error, "operation", None)
    arguments: Mapping[str, Any] = getattr(error, "arguments", None) or {}
    if not error.outcome_unknown or operation not in (START.name, STOP.name) or not arguments:
        raise ValidationError([f"{type(error).__name__} leaves nothing open that could be looked up"], "reconcile")
    check_ema_id(options.ema_id, manager.version)
    request_id = getattr(error, "request_id", None)
    if operation == STOP.name:
        charge = AsyncCharge(manager, arguments["session_id"], options)
        await charge.refresh()
        return charge
    reconciler = Reconciler(
        manager,
        claims,
        arguments=arguments,
        request_id=request_id,
        sent_at=sent_at(error) or manager.hooks.utcnow(),
        ema_id=options.ema_id,
        polling=options.polling,
        report=lambda problem: tell(options.on_problem, None, problem),
    )
    session = await reconciler.resolve(options.start_timeout, error)
    logger.info("start on %s (request %s): adopted session %s", arguments["evse_id"], request_id, session.id)
    return AsyncCharge(manager, session.id or "", options, request_id=request_id, session=session)


def not_entered(block: object, name: str, hint: str) -> AttributeError:
    """The error for an attribute a block does not have: its charge has it, and that comes of entering."""
    lacks = f"{type(block).__name__!r} object has no attribute {name!r}"
    is_charge_s = not name.startswith("_") and (name in vars(AsyncCharge) or name in _CHARGE_FIELDS)
    return AttributeError(f"{lacks}; {hint}" if is_charge_s else lacks, name=name, obj=block)


_CHARGE_FIELDS = frozenset({"session_id", "request_id", "session"})


class AsyncChargeBlock:
    """``async with client.charge(...) as charge:`` - started on entry, stopped on the way out."""

    if not TYPE_CHECKING:  # type checkers know that it has none, and say so earlier

        def __getattr__(self, name: str) -> NoReturn:
            raise not_entered(self, name, _HINT)

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._entered = False
        self._charge: AsyncCharge | None = None

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

    async def __aenter__(self) -> AsyncCharge:
        if self._entered:
            raise ConfigurationError("a charge is entered once: ask the client for another one")
        self._entered = True
        timers = self._starter.manager.timers()
        ends_at = timers.time() + self._starter.options.start_timeout
        charge = await self._starter.start()
        try:
            await charge.wait_started(timeout=max(0.001, ends_at - timers.time()))
        except (ChargeFailedError, ChargePendingError):
            raise
        except BaseException as error:
            # Nobody else holds this charge: it must not go on unseen.
            await beside(error, charge.stopping(), f"session {charge.session_id}")
            raise
        self._charge = charge
        return charge

    async def abandon(self, error: BaseException) -> None:
        """Stop a charge that was entered and never reached its caller, ``keep_running`` or not: nobody holds it."""
        charge, self._charge = self._charge, None
        if charge is not None:
            await beside(error, charge.stopping(), f"session {charge.session_id}")

    def give_up(self, charge: AsyncCharge, error: BaseException | None, reason: ShellEVError) -> None:
        """Leave without a stop, since nothing can be sent any more: a note on ``error``, or raise; and log it."""
        self._charge = None
        if charge.is_over:
            return
        told = log_failed(f"session {charge.session_id}", reason)
        if error is None:
            raise not_stopped(charge, str(reason)) from reason
        error.add_note(told)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        charge, self._charge = self._charge, None
        if charge is None or self.keeps_running or charge.is_over:
            return
        if exc is not None:
            await beside(exc, charge.stopping(), f"session {charge.session_id}")
            return
        await charge.stop()
