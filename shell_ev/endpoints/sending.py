"""Sends a start, whose session and outcome are registered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

import attrs

from ..core.call import CallOptions, mint_request_id
from ..core.ownership import OwnStart
from ..core.session_manager import SessionManager
from ..core.ticket import Ticket, new_entry
from ..errors import CallError, ChargeInProgressError, NotFoundError, OutcomeUnknownError, ShellEVError, shown
from ..models.charging import StartedSession
from ..models.enums import SessionState
from ..models.response import ApiResponse
from ..store import journal
from ..wire.operations import RETRIEVE, START, STOP
from ..wire.results import NOTHING, SESSION, STARTED
from .validation import is_session_id

logger: logging.Logger = logging.getLogger("shell_ev")


def own_start(
    manager: SessionManager, arguments: Mapping[str, str], request_id: str | None, ema_id: str | None = None
) -> OwnStart:
    """Register a start that is about to be sent.

    Args:
        manager: Of the client.
        arguments: Arguments of the start, checked.
        request_id: RequestId of the start; None mints one.
        ema_id: EMA-ID of the card, where the caller gave one.
    """
    cards = (arguments["ev_charge_number"], *(() if ema_id is None else (ema_id,)))
    return manager.ownership.begin(cards, arguments["evse_id"], request_id or mint_request_id())


async def send_start(
    manager: SessionManager,
    arguments: Mapping[str, str],
    options: CallOptions,
    start: OwnStart,
    ticket: Ticket | None = None,
) -> ApiResponse[StartedSession]:
    """Send a start and register what came of it.

    Args:
        manager: Of the client.
        arguments: Arguments of the start, checked.
        options: Options of the call, checked.
        start: Its registration.
        ticket: Its entry in the journal; None without a store. The caller records what comes of an unknown outcome.

    Raises:
        ShellEVError: As ``charging.start``.
    """
    options = attrs.evolve(options, request_id=start.request_id, progress=start, gate=ticket)
    try:
        answer: ApiResponse[StartedSession] = await manager.call(START, arguments, STARTED, options)
        if not is_session_id(answer.data.session_id):
            raise _without_session(answer, arguments, start)
    except ShellEVError as error:
        if not error.outcome_unknown:
            start.void()
            if ticket is not None:
                await ticket.void()
            raise
        start.lost()
        _date(error, manager, start)
        raise
    except BaseException:
        if start.sent:
            start.lost()
        else:
            start.void()
            if ticket is not None:
                await ticket.void()
        raise
    start.accepted(answer.data.session_id)
    return answer


async def send_journalled_start(
    manager: SessionManager, arguments: Mapping[str, str], options: CallOptions, start: OwnStart
) -> ApiResponse[StartedSession]:
    """Send a start of the bare endpoint, with an entry of its own where there is a store.

    Raises:
        ShellEVError: As ``charging.start``.
    """
    ledger = manager.ledger
    if ledger is None:
        return await send_start(manager, arguments, options, start)
    entry = new_entry(
        ledger,
        arguments,
        key=journal.own_key(),
        request_id=start.request_id,
        api_version=manager.version.value,
        on_crash="keep",
        ema_id=None,
        now=manager.hooks.utcnow(),
    )
    ticket = Ticket(ledger, manager, entry, None)
    try:
        answer = await send_start(manager, arguments, options, start, ticket)
    except BaseException as error:
        if start.sent or getattr(error, "outcome_unknown", False):
            await ticket.lost()
        raise
    conflict = await ticket.accepted(answer.data.session_id, owned=False)
    if conflict is not None:
        raise await fenced_off(manager, ticket, answer.data.session_id)
    return answer


async def fenced_off(manager: SessionManager, ticket: Ticket, session_id: str) -> ShellEVError:
    """Stop what a start made whose entry was taken over meanwhile: its process was taken for dead.

    Returns:
        The error to raise.
    """
    text = (
        f"the start on {shown(ticket.entry.evse_id)} was accepted as session {shown(session_id, 300)} after another "
        "process had taken its entry over"
    )
    try:
        await manager.call(STOP, {"session_id": session_id}, NOTHING)
    except ShellEVError as error:
        if isinstance(error, NotFoundError) and await _is_over(manager, session_id):
            return ChargeInProgressError(f"{text}; it was stopped by that process", key=ticket.entry.key)
        logger.error("%s; its stop failed and the car may still be charging: %s", text, error)
        return ChargeInProgressError(f"{text}; its stop failed: {error}", True, key=ticket.entry.key)
    return ChargeInProgressError(f"{text}; it was stopped", key=ticket.entry.key)


async def _is_over(manager: SessionManager, session_id: str) -> bool:
    try:
        answer = await manager.call(RETRIEVE, {"session_id": session_id}, SESSION)
    except ShellEVError:
        return False
    return answer.data.state in (SessionState.STOPPED, SessionState.FAILED_TO_START)


def _without_session(
    answer: ApiResponse[StartedSession], arguments: Mapping[str, str], start: OwnStart
) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"the start on {arguments['evse_id']} was accepted with a session id that cannot be used: "
        f"{shown(answer.data.session_id)} (request {start.request_id})",
        operation=START.name,
        request_id=start.request_id,
        attempts=answer.attempts,
        arguments=arguments,
    )


def _date(error: ShellEVError, manager: SessionManager, start: OwnStart) -> None:
    """Put the time of sending on the service's clock, as far as that is known: the error may travel."""
    if not isinstance(error, CallError) or start.left_at is None:
        return
    now, wall = manager.timers().time(), manager.hooks.utcnow()
    sent = manager.service_clock.moment(start.left_at, now=now, wall=wall)
    if sent is not None:
        error.sent_at, error.sent_at_error = sent
    elif error.sent_at is None:
        error.sent_at = wall - timedelta(seconds=now - start.left_at)
