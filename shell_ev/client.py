"""The asynchronous client: wires configuration, session manager and endpoint groups together."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack
from uuid import UUID

from .charges.block import AsyncChargeBlock
from .charges.charge import DEFAULT_START_TIMEOUT, DEFAULT_STOP_TIMEOUT, AsyncCharge, ChargeOptions
from .charges.follow import DEFAULT_BUDGET, follow
from .charges.journal import AsyncJournal
from .charges.poller import OnProblem, Polling
from .charges.reconcile import reconcile
from .charges.recover import Recoverer, Recovery, recover_every, recovery_faults
from .charges.start import Starter
from .core.auth import ClientCredentials, TokenSource
from .core.call import Sender
from .core.connections import not_pickled
from .core.ledger import Ledger, open_ledger
from .core.runtime import running_loop
from .core.session_manager import SessionManager
from .dialects import ApiVersion
from .endpoints.charging import AsyncCharging, checked_ema_id, start_arguments
from .endpoints.validation import Checks
from .errors import ConfigurationError, ShellEVError, ValidationError
from .identifiers import EmaId, EvseId
from .models.charging import ChargeSession
from .options import (
    AsyncClientOptions,
    ClientConfig,
    CopyOptions,
    Timeout,
    changed_config,
    check_names,
    given_credentials,
    option_names,
    options_from_env,
)
from .wire.operations import START

if TYPE_CHECKING:
    from .endpoints.locations import AsyncLocations
    from .models.locations import Evse

_CONSTRUCTOR = option_names(AsyncClientOptions)


def token_source_of(
    client_id: str | None, client_secret: str | None, token_source: TokenSource | ClientCredentials | None
) -> TokenSource | ClientCredentials:
    """The one source of tokens out of what the constructor was given; raises ConfigurationError if that is unclear."""
    if token_source is not None:
        if client_id is not None or client_secret is not None:
            raise ConfigurationError("give client_id and client_secret, or token_source, not both")
        if not isinstance(token_source, (ClientCredentials, TokenSource)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("token_source must have acquire() and invalidate(token)")
        return token_source
    if client_id is None or client_secret is None:
        raise ConfigurationError("client_id and client_secret (or token_source) are needed; from_env() reads them")
    return ClientCredentials(client_id, client_secret)


class AsyncShellEV:
    """The Shell Recharge EV API with ``await``. Use it as ``async with AsyncShellEV(...) as ev:``.

    Nothing is sent and no connection is opened before the first call.

    Args:
        client_id: OAuth client id.
        client_secret: OAuth client secret.
        **options: Keys of :class:`~shell_ev.options.AsyncClientOptions`.

    Raises:
        TypeError: An option does not exist.
        ConfigurationError: Lists every fault of the options.
    """

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | None = None,
        **options: Unpack[AsyncClientOptions],
    ) -> None:
        check_names(options, _CONSTRUCTOR, "AsyncShellEV")
        config = changed_config(ClientConfig(), options)
        source = token_source_of(client_id, client_secret, options.get("token_source"))
        http_session = options.get("http_session")
        # Imported here: aiohttp takes longer to import than the rest together, and not at the first call either,
        # where the event loop would wait.
        from .core.transport import Transport

        def make_sender() -> Sender:
            return Transport(config, http_session)

        manager = SessionManager(config, source, make_sender)
        store = options.get("store")
        if store is not None:
            manager.ledger = open_ledger(store, config, source)
        self._wire(manager, owner=True)

    def _wire(self, manager: SessionManager, *, owner: bool) -> None:
        self._manager = manager
        self._owner = owner
        self.charging = AsyncCharging(manager)
        self._recovering: asyncio.Task[None] | None = None

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        **options: Unpack[AsyncClientOptions],
    ) -> Self:
        """Make a client from the variables ``SHELL_EV_*``. An option that is given is not read from its variable.

        The variables are SHELL_EV_CLIENT_ID, SHELL_EV_CLIENT_SECRET, SHELL_EV_ENVIRONMENT, SHELL_EV_API_VERSION,
        SHELL_EV_BASE_URL, SHELL_EV_TOKEN_URL, SHELL_EV_TIMEOUT and SHELL_EV_MAX_RETRIES.

        Args:
            environ: The variables; those of the process if left out.
            client_id: OAuth client id.
            client_secret: OAuth client secret.
            **options: Keys of :class:`~shell_ev.options.AsyncClientOptions`.

        Returns:
            The client.

        Raises:
            TypeError: An option does not exist.
            ConfigurationError: Credentials are missing, or a variable or option has an invalid value.
        """
        check_names(options, _CONSTRUCTOR, "AsyncShellEV.from_env")
        return cls(**options_from_env(environ, {**given_credentials(client_id, client_secret), **options}))

    @classmethod
    def _over(cls, manager: SessionManager) -> Self:
        """A client over a given session manager: how tests bring their own transport and clock."""
        client = cls.__new__(cls)
        client._wire(manager, owner=True)
        return client

    @functools.cached_property
    def locations(self) -> AsyncLocations:
        """The location operations. Their models, twenty classes, are built when this is first used."""
        from .endpoints.locations import AsyncLocations

        return AsyncLocations(self._manager)

    @property
    def config(self) -> ClientConfig:
        """The options in force; no credentials among them."""
        return self._manager.config

    def with_options(self, **options: Unpack[CopyOptions]) -> Self:
        """Make a copy with other options that shares connections and token. Only the original is to be closed.

        Token requests keep the options and the observers of the original.

        Args:
            **options: Keys of :class:`~shell_ev.options.CopyOptions`. None leaves an option as it is; a number of
                seconds as ``timeout`` leaves the limits for connecting and reading; ``observer=()`` is no observer.

        Returns:
            The copy.

        Raises:
            TypeError: An option does not exist, or a copy cannot change it.
            ConfigurationError: Lists every fault of the options.
        """
        check_names(options, option_names(CopyOptions), "with_options")
        given = {name: value for name, value in options.items() if value is not None}
        copy = type(self).__new__(type(self))
        copy._wire(self._manager.with_config(changed_config(self.config, given)), owner=False)
        return copy

    def charge(
        self,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId | Evse,
        *,
        start_timeout: float = DEFAULT_START_TIMEOUT,
        stop_timeout: float = DEFAULT_STOP_TIMEOUT,
        ema_id: str | EmaId | None = None,
        keep_running: bool = False,
        baseline: bool = False,
        key: str | None = None,
        polling: Polling | None = None,
        on_problem: OnProblem | None = None,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncChargeBlock:
        """A charge for a block: started on entry, stopped and seen stopped on the way out.

        Enter it with ``async with``, that of :class:`~shell_ev.ShellEV` with ``with``.

        ``start_timeout`` seconds to be seen started, ``stop_timeout`` seconds to be seen stopped. ``ema_id`` is the
        card's EMA-ID when ``ev_charge_number`` is not one; it is needed to find a start whose answer was lost.
        ``keep_running`` leaves the charge running on purpose. ``on_problem(session_id, error)`` is told of every
        error that is ridden out. ``request_id``, ``timeout`` and ``headers`` are for the start request.

        ``key`` needs a store: the same key with the same card and EVSE is the same charge, whoever asks, in whatever
        process; ``charge.is_new`` says who started it.

        Entering raises ValidationError before anything is sent, ChargeFailedError, ChargePendingError (nothing is
        stopped: it may start yet), OutcomeUnknownError when a lost start cannot be found, and what
        ``charging.start`` raises. Leaving raises ChargeNotStoppedError, unless the block itself raised: then that
        stays the error, with a note. A cancelled start or block still stops its charge, within ``stop_timeout``
        (twice that if the start itself is still open).
        """
        return AsyncChargeBlock(
            self._starter(
                ev_charge_number,
                evse_id,
                self._charge_options(
                    start_timeout, stop_timeout, ema_id, keep_running, polling, on_problem, baseline=baseline
                ),
                request_id,
                timeout,
                headers,
                key=key,
                is_block=True,
            )
        )

    async def start_charge(
        self,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId | Evse,
        *,
        start_timeout: float = DEFAULT_START_TIMEOUT,
        stop_timeout: float = DEFAULT_STOP_TIMEOUT,
        ema_id: str | EmaId | None = None,
        baseline: bool = False,
        key: str | None = None,
        polling: Polling | None = None,
        on_problem: OnProblem | None = None,
        request_id: str | UUID | None = None,
        timeout: float | Timeout | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncCharge:
        """Start a charge and keep it: accepted, not yet seen started. It runs until somebody stops it.

        A start whose answer was lost is looked for, up to ``start_timeout`` seconds. Arguments and errors as in
        :meth:`charge`.
        """
        options = self._charge_options(
            start_timeout, stop_timeout, ema_id, True, polling, on_problem, baseline=baseline
        )
        starter = self._starter(ev_charge_number, evse_id, options, request_id, timeout, headers, key=key)
        return await starter.start()

    def _starter(
        self,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId | Evse,
        options: ChargeOptions,
        request_id: str | UUID | None,
        timeout: float | Timeout | None,
        headers: Mapping[str, str] | None,
        *,
        key: str | None,
        is_block: bool = False,
    ) -> Starter:
        return Starter(
            self._manager,
            ev_charge_number,
            evse_id,
            options,
            request_id=request_id,
            timeout=timeout,
            headers=headers,
            key=key,
            is_block=is_block,
        )

    def _charge_options(
        self,
        start_timeout: float,
        stop_timeout: float,
        ema_id: str | EmaId | None,
        keep_running: bool,
        polling: Polling | None,
        on_problem: OnProblem | None,
        *,
        baseline: bool = False,
    ) -> ChargeOptions:
        return ChargeOptions(
            start_timeout=start_timeout,
            stop_timeout=stop_timeout,
            ema_id=str(ema_id) if isinstance(ema_id, EmaId) else ema_id,
            keep_running=keep_running,
            baseline=baseline,
            polling=Polling() if polling is None else polling,
            on_problem=on_problem,
        )

    def validate_start(
        self,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId | Evse,
        *,
        ema_id: str | EmaId | None = None,
    ) -> None:
        """Check the arguments of a start. Nothing is sent.

        Args:
            ev_charge_number: Number of the charge card, 1 to 50 characters.
            evse_id: EVSE, or its id of 18 to 36 characters.
            ema_id: EMA-ID of the card if ``ev_charge_number`` is not one, 14 to 19 characters in V1 and V2.

        Raises:
            ValidationError: Lists every fault of the arguments.
        """
        checks = Checks(START.name)
        start_arguments(checks, ev_charge_number, evse_id)
        if ema_id is not None:
            checked_ema_id(checks, ema_id, ApiVersion(self.config.api_version))
        checks.raise_if_any()

    def attach(
        self,
        session_id: str | UUID,
        *,
        start_timeout: float = DEFAULT_START_TIMEOUT,
        stop_timeout: float = DEFAULT_STOP_TIMEOUT,
        polling: Polling | None = None,
        on_problem: OnProblem | None = None,
    ) -> AsyncCharge:
        """The charge of a session that is known by its UUID. Nothing is sent. Raises ValidationError."""
        checks = Checks("attach")
        checked = checks.session_id("session_id", session_id)
        checks.raise_if_any()
        options = self._charge_options(start_timeout, stop_timeout, None, True, polling, on_problem)
        self._manager.ownership.watch(checked)
        return AsyncCharge(self._manager, checked, options)

    async def reconcile(
        self,
        error: ShellEVError,
        *,
        ema_id: str | EmaId | None = None,
        start_timeout: float = DEFAULT_START_TIMEOUT,
        stop_timeout: float = DEFAULT_STOP_TIMEOUT,
        polling: Polling | None = None,
        on_problem: OnProblem | None = None,
    ) -> AsyncCharge:
        """Find out what came of a ``charging.start`` or ``charging.stop`` whose error says ``outcome_unknown``.

        A start is looked for among the card's active sessions for up to ``start_timeout`` seconds and adopted;
        nothing is ever started. A stop's session is looked up. Raises OutcomeUnknownError, with what was looked at,
        when no session shows; ValidationError for an error that leaves nothing open.
        """
        options = self._charge_options(start_timeout, stop_timeout, ema_id, True, polling, on_problem)
        return await reconcile(self._manager, error, options)

    @property
    def journal(self) -> AsyncJournal:
        """The journal of the charges that were started through the store.

        Raises:
            ConfigurationError: The client has no store.
        """
        return AsyncJournal(self._ledger("journal"))

    def _ledger(self, name: str) -> Ledger:
        ledger = self._manager.ledger
        if ledger is None:
            raise ConfigurationError(f"{name} needs a store: give store= to the client, or set SHELL_EV_STORE")
        return ledger

    async def recover(
        self,
        *,
        timeout: float | None = None,
        every: float | None = None,
        on_recovered: Callable[[Recovery], object] | None = None,
        give_up_after: float | None = None,
    ) -> Recovery | None:
        """Take up what dead processes left in the journal: find lost starts, stop what a dead block left charging.

        Nothing is ever started. Several processes may recover at once: each entry is taken up by one of them.

        Args:
            timeout: Seconds for a pass; what is not done by then stays for the next one. None for no limit.
            every: Seconds between passes that a background task of the client makes, until the client is closed. None
                for one pass, which is awaited.
            on_recovered: With ``every``, called with the Recovery after each pass.
            give_up_after: Seconds of look-ups with answers after which a start that does not show is given up, and its
                key starts again. None for never: a session that shows later runs on, and is logged.

        Returns:
            What the pass came to; None with ``every``.

        Raises:
            ConfigurationError: The client has no store.
            ValidationError: An argument is invalid.
            StoreError: The journal cannot be read. With ``every`` it is logged, and the next pass tries again.
        """
        ledger = self._ledger("recover()")
        faults = recovery_faults(timeout, every, on_recovered, give_up_after)
        if faults:
            raise ValidationError(faults, operation="recover")
        recoverer = Recoverer(self._manager, ledger)
        if every is None:
            return await recoverer.one_pass(timeout, give_up_after)
        if self._recovering is not None:
            self._recovering.cancel()
        self._recovering = running_loop().create_task(
            recover_every(
                recoverer,
                every,
                timeout=timeout,
                give_up_after=give_up_after,
                on_recovered=on_recovered,
                sleep=self._manager.timers().sleep,
            )
        )
        return None

    def follow(
        self,
        charges: Iterable[AsyncCharge | str | UUID],
        *,
        budget: float = DEFAULT_BUDGET,
        polling: Polling | None = None,
        on_problem: OnProblem | None = None,
    ) -> AsyncIterator[tuple[str, ChargeSession]]:
        """Follow many charges: session id and session, for each new state of any of them, until all are over.

        ``budget`` is requests per second for all of them together; when it is short the longest overdue look goes
        first. A charge that was never looked at is first shown as it is. Errors of single looks go to ``on_problem``
        or the log; a refused token or a closed client is raised. Raises ValidationError at once.
        """
        polling = Polling() if polling is None else polling
        return follow(self._manager, charges, budget=budget, polling=polling, on_problem=on_problem)

    async def aclose(self) -> None:
        """Close connections and forget the token. May be called twice; a copy's does nothing."""
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.wait([self._recovering])
            self._recovering = None
        if self._owner:
            await self._manager.aclose()
            if self._manager.ledger is not None:
                await self._manager.ledger.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        config = self.config
        return f"{type(self).__name__}({config.api_url!r}, api_version={config.api_version.value!r})"

    __reduce__ = not_pickled
