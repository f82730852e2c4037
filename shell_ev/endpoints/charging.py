"""The charging operations (contract section 4): start, stop, retrieve, active."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from ..core.call import CallOptions
from ..core.connections import not_pickled
from ..core.session_manager import SessionManager
from ..dialects import ApiVersion
from ..identifiers import EMA_ID_LENGTHS, EVSE_ID_LENGTHS, EmaId, EvseId
from ..models.charging import ChargeSession, StartedSession
from ..models.response import ApiResponse
from ..options import Timeout
from ..wire.operations import ACTIVE, RETRIEVE, START, STOP, Operation
from ..wire.results import NOTHING, SESSION
from .sending import list_active, own_start, send_start
from .validation import Checks


def prepare_start(
    ev_charge_number: str | EmaId,
    evse_id: str | EvseId,
    request_id: str | UUID | None,
    timeout: float | Timeout | None,
    max_retries: int | None,
    headers: Mapping[str, str] | None,
) -> tuple[dict[str, str], CallOptions]:
    """The checked arguments and options of a start; raises ValidationError with every fault."""
    checks = Checks(START.name)
    arguments = start_arguments(checks, ev_charge_number, evse_id)
    return arguments, checks.options(request_id, timeout, max_retries, headers)


def start_arguments(checks: Checks, ev_charge_number: str | EmaId, evse_id: str | EvseId) -> dict[str, str]:
    """The arguments of a start; their faults are added to ``checks``."""
    return {
        "ev_charge_number": checks.text("ev_charge_number", ev_charge_number, 1, 50),
        "evse_id": checks.text("evse_id", evse_id, *EVSE_ID_LENGTHS),
    }


def _prepare_session(
    operation: Operation,
    session_id: str | UUID,
    request_id: str | UUID | None,
    timeout: float | Timeout | None,
    max_retries: int | None,
    headers: Mapping[str, str] | None,
) -> tuple[dict[str, str], CallOptions]:
    """The same of a stop or a look-up. Apart from the coroutine: what checks is not held while it waits."""
    checks = Checks(operation.name)
    arguments = {"session_id": checks.session_id("session_id", session_id)}
    return arguments, checks.options(request_id, timeout, max_retries, headers)


def checked_ema_id(checks: Checks, ema_id: str | EmaId, version: ApiVersion) -> str:
    """An EMA-ID as ``active`` takes it: V1_PASCAL documents no length for it."""
    return checks.text("ema_id", ema_id, *((1, None) if version is ApiVersion.V1_PASCAL else EMA_ID_LENGTHS))


class AsyncCharging:
    """Start, stop and look up charge sessions. Reached as ``client.charging``."""

    __reduce__ = not_pickled

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    async def start(
        self,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId,
        *,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[StartedSession]:
        """Ask for a charge on an EVSE. Accepted is not charging: retrieve the session to see it start.

        ``ev_charge_number`` is the number of the charge card (1 to 50 characters, commonly an EMA-ID), ``evse_id``
        the EVSE's id (18 to 36 characters). Never sent again once it may have arrived. ``request_id`` is a UUID,
        minted when absent; ``timeout`` (seconds, or a Timeout), ``max_retries`` and ``headers`` are for this call.

        Raises ValidationError before anything is sent; OutcomeUnknownError when the request left and no answer came;
        ApiError by status; ResponseDecodeError, AuthenticationError, ConnectError, RequestTimeoutError. Whenever an
        error's ``outcome_unknown`` is True the charge may run all the same. Contract section 4, start.
        """
        arguments, options = prepare_start(ev_charge_number, evse_id, request_id, timeout, max_retries, headers)
        start = own_start(self._manager, arguments, options.request_id)
        return await send_start(self._manager, arguments, options, start)

    async def stop(
        self,
        session_id: str | UUID,
        *,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[None]:
        """Ask for the end of a charge. Accepted is not stopped: retrieve the session to see it end.

        ``session_id`` is the UUID that start gave. Never sent again once it may have arrived. Raises as ``start``
        does; NotFoundError also for a session that has already been stopped. Contract section 4, stop.
        """
        arguments, options = _prepare_session(STOP, session_id, request_id, timeout, max_retries, headers)
        return await self._manager.call(STOP, arguments, NOTHING, options)

    async def retrieve(
        self,
        session_id: str | UUID,
        *,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[ChargeSession]:
        """Look one charge session up by its UUID, running or ended.

        Raises ValidationError, ApiError by status (NotFoundError when there is none), ResponseDecodeError,
        AuthenticationError, ConnectError, RequestTimeoutError, TransportError. Contract section 4, retrieve.
        """
        arguments, options = _prepare_session(RETRIEVE, session_id, request_id, timeout, max_retries, headers)
        return await self._manager.call(RETRIEVE, arguments, SESSION, options)

    async def active(
        self,
        ema_id: str | EmaId,
        *,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse[tuple[ChargeSession, ...]]:
        """List the running charge sessions of one card; an empty tuple when there are none.

        ``ema_id`` is the card's EMA-ID (14 to 19 characters in V1 and V2). Raises as ``retrieve`` does.
        Contract section 4, active.
        """
        checks = Checks(ACTIVE.name)
        checked = checked_ema_id(checks, ema_id, self._manager.version)
        options = checks.options(request_id, timeout, max_retries, headers)
        return await list_active(self._manager, checked, options)
