"""The charging operations: start, stop, retrieve, active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Unpack
from uuid import UUID

from ..core.call import CallOptions
from ..core.connections import not_pickled
from ..core.session_manager import SessionManager
from ..dialects import DIALECTS, ApiVersion
from ..identifiers import EmaId, EvseId, HasEvseId
from ..models.charging import ChargeSession, StartedSession
from ..models.response import ApiResponse
from ..options import RequestOptions
from ..wire.operations import ACTIVE, RETRIEVE, START, STOP, Operation
from ..wire.results import NOTHING, SESSION, SESSIONS
from .sending import own_start, send_journalled_start
from .validation import Checks, takes


def start_arguments(checks: Checks, ev_charge_number: str | EmaId, evse_id: str | EvseId | HasEvseId) -> dict[str, str]:
    """The arguments of a start. Their faults are added to ``checks``."""
    return {
        "ev_charge_number": checks.text("ev_charge_number", ev_charge_number, 1, 50),
        "evse_id": checks.evse("evse_id", evse_id),
    }


def prepare_start(
    ev_charge_number: str | EmaId, evse_id: str | EvseId | HasEvseId, options: Mapping[str, Any]
) -> tuple[dict[str, str], CallOptions]:
    """The checked arguments and options of a start. Raises ValidationError with every fault."""
    checks = Checks(START.name)
    arguments = start_arguments(checks, ev_charge_number, evse_id)
    return arguments, checks.options(options)


def checked_ema_id(checks: Checks, ema_id: str | EmaId, version: ApiVersion) -> str:
    """An EMA-ID of the length that ``charging.active`` takes in this dialect."""
    return checks.text("ema_id", ema_id, *DIALECTS[version].ema_id_lengths)


def _session_arguments(
    checks: Checks, operation: Operation, version: ApiVersion, session_id: str | UUID, uuid: str | UUID | None
) -> dict[str, str]:
    """The arguments of a stop or a look-up. In a dialect with the id in the path, ``uuid`` is that one."""
    arguments = {"session_id": checks.session_id("session_id", session_id)}
    if "uuid" in operation.routes[version].names:
        arguments["uuid"] = arguments["session_id"] if uuid is None else checks.session_id("uuid", uuid)
    elif uuid is not None:
        checks.exists(operation, version, "uuid")
    return arguments


class AsyncCharging:
    """Start, stop and look up charge sessions. Reached as ``client.charging``."""

    def __reduce__(self) -> NoReturn:
        not_pickled(self)

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    @takes(RequestOptions)
    async def start(
        self, ev_charge_number: str | EmaId, evse_id: str | EvseId | HasEvseId, **options: Unpack[RequestOptions]
    ) -> ApiResponse[StartedSession]:
        """Start a charge on an EVSE. An accepted start is not a running charge: retrieve the session to see it start.

        The request is never sent again once it may have arrived.

        Args:
            ev_charge_number: Number of the charge card, 1 to 50 characters. Commonly an EMA-ID.
            evse_id: EVSE, or its id of 18 to 36 characters.
            **options: Keys of :class:`~shell_ev.options.RequestOptions`.

        Returns:
            The id of the new session.

        Raises:
            TypeError: An option does not exist.
            ValidationError: Lists every invalid argument. Nothing was sent.
            OutcomeUnknownError: The request was sent and no answer came. The charge may run.
            ApiError: The service answered with a failure; the class says which status. The charge may run if
                ``outcome_unknown`` is True.
            ResponseDecodeError: The answer cannot be read. The charge may run.
            AuthenticationError: There is no access token. Nothing was sent.
            ConnectError: No connection could be made. Nothing was sent.
            RequestTimeoutError: Time ran out before anything was sent.
        """
        arguments, checked = prepare_start(ev_charge_number, evse_id, options)
        start = own_start(self._manager, arguments, checked.request_id)
        return await send_journalled_start(self._manager, arguments, checked, start)

    @takes(RequestOptions)
    async def stop(
        self, session_id: str | UUID, *, uuid: str | UUID | None = None, **options: Unpack[RequestOptions]
    ) -> ApiResponse[None]:
        """Stop a charge. An accepted stop is not a stopped charge: retrieve the session to see it end.

        The request is never sent again once it may have arrived.

        Args:
            session_id: Id of the session, as the start gave it.
            uuid: Id in the path where it is not ``session_id`` (V1_PASCAL only).
            **options: Keys of :class:`~shell_ev.options.RequestOptions`.

        Returns:
            An answer without data.

        Raises:
            TypeError: An option does not exist.
            NotFoundError: There is no such session, or it has stopped already.
            ShellEVError: Others as for :meth:`start`.
        """
        checks = Checks(STOP.name)
        arguments = _session_arguments(checks, STOP, self._manager.version, session_id, uuid)
        return await self._manager.call(STOP, arguments, NOTHING, checks.options(options))

    @takes(RequestOptions)
    async def retrieve(
        self, session_id: str | UUID, *, uuid: str | UUID | None = None, **options: Unpack[RequestOptions]
    ) -> ApiResponse[ChargeSession]:
        """Look up one charge session, running or ended.

        Args:
            session_id: Id of the session.
            uuid: Id in the path where it is not ``session_id`` (V1_PASCAL only).
            **options: Keys of :class:`~shell_ev.options.RequestOptions`.

        Returns:
            The session.

        Raises:
            TypeError: An option does not exist.
            ValidationError: Lists every invalid argument. Nothing was sent.
            NotFoundError: There is no such session.
            ApiError: The service answered with another failure; the class says which status.
            ResponseDecodeError: The answer cannot be read.
            AuthenticationError: There is no access token.
            ConnectError: No connection could be made.
            RequestTimeoutError: No answer came in time.
            TransportError: No whole answer came.
        """
        checks = Checks(RETRIEVE.name)
        arguments = _session_arguments(checks, RETRIEVE, self._manager.version, session_id, uuid)
        return await self._manager.call(RETRIEVE, arguments, SESSION, checks.options(options))

    @takes(RequestOptions)
    async def active(
        self, ema_id: str | EmaId, **options: Unpack[RequestOptions]
    ) -> ApiResponse[tuple[ChargeSession, ...]]:
        """List the running charge sessions of one card.

        Args:
            ema_id: EMA-ID of the card, 14 to 19 characters in V1 and V2.
            **options: Keys of :class:`~shell_ev.options.RequestOptions`.

        Returns:
            The sessions; an empty tuple if there are none, also for a 404 in the words of the service.

        Raises:
            TypeError: An option does not exist.
            ShellEVError: As for :meth:`retrieve`.
        """
        checks = Checks(ACTIVE.name)
        arguments = {"ema_id": checked_ema_id(checks, ema_id, self._manager.version)}
        return await self._manager.call(ACTIVE, arguments, SESSIONS, checks.options(options))
