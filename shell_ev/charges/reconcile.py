"""Looks up what came of a start or stop whose outcome is unknown. It never starts anything."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.ownership import OwnStart
from ..core.session_manager import SessionManager
from ..dialects import ApiVersion
from ..endpoints.charging import checked_ema_id
from ..endpoints.sending import own_start
from ..endpoints.validation import Checks
from ..errors import ShellEVError, ValidationError, shown
from ..identifiers import EMA_ID_LENGTHS
from ..wire.operations import START, STOP
from .charge import AsyncCharge, ChargeOptions
from .poller import is_tolerated, report_problem
from .search import StartSearch

logger: logging.Logger = logging.getLogger("shell_ev")

#: Country, party and instance, with or without separators. Check digits are not checked: real cards have wrong ones.
_EMA_ID = re.compile(r"[A-Za-z]{2}[-*]?[0-9A-Za-z]{3}[-*]?[0-9A-Za-z]{6,9}(?:[-*]?[0-9A-Za-z])?", re.ASCII)


def ema_id_of(ev_charge_number: str) -> str | None:
    """The number of a card as the EMA-ID to look active sessions up by; None when it is not one."""
    shortest, longest = EMA_ID_LENGTHS
    fits = shortest <= len(ev_charge_number) <= longest and _EMA_ID.fullmatch(ev_charge_number)
    return ev_charge_number if fits else None


def check_ema_id(ema_id: str | None, version: ApiVersion) -> None:
    """Check what ``active`` is going to be asked with: better before a start than after it was lost.

    Raises:
        ValidationError: ``active`` would refuse it.
    """
    if ema_id is None:
        return
    checks = Checks(START.name)
    checked_ema_id(checks, ema_id, version)
    checks.raise_if_any()


def search_for(
    manager: SessionManager,
    start: OwnStart,
    error: ShellEVError,
    options: ChargeOptions,
    arguments: Mapping[str, Any],
    baseline: Sequence[str] | None,
) -> StartSearch:
    """The search for the session of a start, which is registered as looked up. Arguments as of :func:`find_start`."""
    start.look_up(*(() if options.ema_id is None else (options.ema_id,)))
    ema_id = options.ema_id or ema_id_of(str(arguments["ev_charge_number"]))
    return StartSearch(manager, start, error, arguments, options, ema_id=ema_id, baseline=baseline)


async def find_start(
    manager: SessionManager,
    start: OwnStart,
    error: ShellEVError,
    options: ChargeOptions,
    *,
    arguments: Mapping[str, Any],
    limit: float,
    baseline: Sequence[str] | None = None,
) -> AsyncCharge:
    """Look up the session of a start and adopt it.

    Args:
        manager: Of the client.
        start: Registration of the start.
        error: What the start raised.
        options: Options of the charge.
        arguments: Arguments of the start.
        limit: Seconds to look for.
        baseline: Ids of the sessions that were listed before the start; None without.

    Raises:
        OutcomeUnknownError: No session can be adopted.
    """
    search = search_for(manager, start, error, options, arguments, baseline)
    try:
        session = await search.resolve(limit)
    except BaseException:
        start.lost()
        raise
    session_id = session.id or ""
    start.adopted(session_id)
    logger.info(
        "start on %s (request %s): its answer was lost; adopted session %s, the only one that can be its own",
        start.evse_id,
        start.request_id,
        shown(session_id, 300),
    )
    return AsyncCharge(
        manager,
        session_id,
        options,
        request_id=start.request_id,
        session=session,
        adopted=True,
        confirm=lambda timeout: search.confirm(session_id, timeout),
    )


async def reconcile(manager: SessionManager, error: ShellEVError, options: ChargeOptions) -> AsyncCharge:
    """Look up what came of a start or stop whose outcome is unknown.

    Args:
        manager: Of the client.
        error: What the start or stop raised, here or in another process.
        options: Options of the charge.

    Returns:
        The charge.

    Raises:
        ValidationError: The error leaves nothing open that can be looked up.
        OutcomeUnknownError: The session of a start cannot be found.
        ShellEVError: As ``charging.retrieve``, for a stop.
    """
    if not isinstance(error, ShellEVError):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError([f"error must be what a start or stop raised, not {shown(error)}"], "reconcile")
    operation = getattr(error, "operation", None)
    arguments: Mapping[str, Any] = getattr(error, "arguments", None) or {}
    if not error.outcome_unknown or operation not in (START.name, STOP.name) or not arguments:
        raise ValidationError([f"{type(error).__name__} leaves nothing open that could be looked up"], "reconcile")
    check_ema_id(options.ema_id, manager.version)
    if operation == STOP.name:
        manager.ownership.watch(arguments["session_id"])
        charge = AsyncCharge(manager, arguments["session_id"], options)
        await charge.refresh()
        return charge
    request_id: str | None = getattr(error, "request_id", None)
    ownership = manager.ownership
    start = ownership.find(request_id, arguments["evse_id"])
    adopted = None if start is not None else ownership.adopted_for(request_id)
    if adopted is not None:
        return await _adopted_before(manager, adopted, request_id, options)
    if start is None:
        start = own_start(manager, arguments, request_id)
        start.is_foreign = True
    charge = await find_start(
        manager,
        start,
        error,
        options,
        arguments=arguments,
        limit=options.start_timeout,
        baseline=getattr(error, "baseline", None),
    )
    if manager.ledger is not None:
        charge.key, charge.journalled = await manager.ledger.found(start.request_id, charge.session_id)
    return charge


async def _adopted_before(
    manager: SessionManager, session_id: str, request_id: str | None, options: ChargeOptions
) -> AsyncCharge:
    charge = AsyncCharge(manager, session_id, options, request_id=request_id, adopted=True)
    try:
        await charge.refresh()
    except ShellEVError as error:
        if not is_tolerated(error, stubborn=True):
            raise
        report_problem(options.on_problem, session_id, error)
    return charge
