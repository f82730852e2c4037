"""The asynchronous client."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, Unpack, overload
from uuid import UUID

from .charges.block import AsyncChargeBlock
from .charges.charge import DEFAULT_START_TIMEOUT, DEFAULT_STOP_TIMEOUT, AsyncCharge, ChargeOptions
from .charges.follow import DEFAULT_BUDGET, follow
from .charges.journal import AsyncJournal
from .charges.poller import OnProblem, Polling
from .charges.reconcile import reconcile
from .charges.recover import Recoverer, Recovery
from .charges.recover_every import recover_every, recovery_faults
from .charges.start import Starter
from .core.auth import ClientCredentials, TokenSource, as_secret
from .core.call import Sender
from .core.connections import not_pickled
from .core.ledger import Ledger, open_ledger
from .core.runtime import running_loop
from .core.session_manager import SessionManager
from .dialects import ApiVersion
from .endpoints.charging import AsyncCharging, checked_ema_id, start_arguments
from .endpoints.validation import Checks
from .errors import ConfigurationError, ShellEVError, ValidationError
from .identifiers import EmaId, EvseId, HasEvseId
from .models.charging import ChargeSession
from .options import (
    NO_ACCOUNT,
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

_CONSTRUCTOR = option_names(AsyncClientOptions)


def token_source_of(
    client_id: str | None, client_secret: str | None, token_source: TokenSource | ClientCredentials | None
) -> TokenSource | ClientCredentials:
    """The source of the access tokens.

    Args:
        client_id: OAuth client id.
        client_secret: OAuth client secret.
        token_source: A source in place of these two.

    Returns:
        The source.

    Raises:
        ConfigurationError: Both ways are given or neither, or ``token_source`` is none.
    """
    if token_source is not None:
        if client_id is not None or client_secret is not None:
            raise ConfigurationError("give client_id and client_secret, or token_source, not both")
        if not isinstance(token_source, (ClientCredentials, TokenSource)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("token_source must have acquire() and invalidate(token)")
        return token_source
    if client_id is None or client_secret is None:
        needed = "client_id and client_secret (or token_source) are needed; from_env() reads them"
        raise ConfigurationError(f"{needed}; {NO_ACCOUNT}" if client_id is client_secret is None else needed)
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
        client_secret = as_secret(client_secret)  # masked in tracebacks with local variables
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
            manager.ledger = ledger = open_ledger(
                store, config, source, key=options.get("store_key"), namespace=options.get("store_namespace")
            )
            ledger.store = manager.hooks.store(ledger.store)
        self._wire(manager, owner=True)

    def _wire(self, manager: SessionManager, *, owner: bool) -> None:
        self._manager = manager
        self._owner = owner
        self.charging: AsyncCharging = AsyncCharging(manager)
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
        SHELL_EV_BASE_URL, SHELL_EV_TOKEN_URL, SHELL_EV_TIMEOUT, SHELL_EV_MAX_RETRIES, SHELL_EV_STORE,
        SHELL_EV_STORE_KEY and SHELL_EV_STORE_NAMESPACE.

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
        client_secret = as_secret(client_secret)  # masked in tracebacks with local variables
        check_names(options, _CONSTRUCTOR, "AsyncShellEV.from_env")
        return cls(**options_from_env(environ, {**given_credentials(client_id, client_secret), **options}))

    @classmethod
    def _over(cls, manager: SessionManager) -> Self:
        """A client over a given session manager. Tests use it for a transport and a clock of their own."""
        client = cls.__new__(cls)
        client._wire(manager, owner=True)
        return client

    @functools.cached_property
    def locations(self) -> AsyncLocations:
        """The location operations. Their models are imported at the first use, which takes some 10 ms."""
        from .endpoints.locations import AsyncLocations

        return AsyncLocations(self._manager)

    @property
    def config(self) -> ClientConfig:
        """The options of this client, without its credentials."""
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
        evse_id: str | EvseId | HasEvseId,
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
        """A charge for a block. It starts on entry and stops on exit; both wait until the session shows it.

        Enter it with ``async with``, the one of :class:`~shell_ev.ShellEV` with ``with``. A cancelled start or block
        stops its charge all the same, within ``stop_timeout``, or twice that if the start has no answer yet.

        Args:
            ev_charge_number: Number of the charge card, 1 to 50 characters. Commonly an EMA-ID.
            evse_id: Id of the EVSE, 18 to 36 characters.
            start_timeout: Seconds within which the session must show the start.
            stop_timeout: Seconds within which the session must show the stop.
            ema_id: EMA-ID of the card if ``ev_charge_number`` is not one. Needed to find a start without an answer.
            keep_running: Whether the charge runs on after the block.
            baseline: Whether the active sessions of the card are listed before the start. None of them is taken for
                the session of a start without an answer.
            key: Key of the charge in the store of the client. The same key with the same card and EVSE is one charge
                in all processes; ``charge.is_new`` is True for the one that started it.
            polling: How often the session is retrieved.
            on_problem: Called with session id and error for each error that polling tolerates.
            request_id: RequestId of the start, a UUID. A random one by default.
            timeout: Seconds for the start request, or its limits.
            headers: Further headers of the start request.

        Returns:
            The block. Entering it gives the charge.

        Raises:
            ValidationError: Lists every invalid argument. Nothing was sent.
            ChargeFailedError: On entry: the session says that the charge did not start.
            ChargePendingError: On entry: the session did not show the start in time. The charge may start later.
            OutcomeUnknownError: On entry: the start has no answer, and no session of it was found.
            ChargeNotStoppedError: On exit: the session did not show the stop. If the block itself raised, its error
                gets a note instead.
            ShellEVError: On entry: as ``charging.start``.
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
        evse_id: str | EvseId | HasEvseId,
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
        """Start a charge that runs until it is stopped. It is accepted, and need not have started yet.

        Args:
            ev_charge_number: Number of the charge card, 1 to 50 characters. Commonly an EMA-ID.
            evse_id: Id of the EVSE, 18 to 36 characters.
            start_timeout: Seconds to look for a start without an answer, and for ``charge.wait_started()``.
            stop_timeout: Seconds for ``charge.stop()``.
            ema_id: EMA-ID of the card if ``ev_charge_number`` is not one. Needed to find a start without an answer.
            baseline: Whether the active sessions of the card are listed before the start. None of them is taken for
                the session of a start without an answer.
            key: Key of the charge in the store of the client. The same key with the same card and EVSE is one charge
                in all processes; ``charge.is_new`` is True for the one that started it.
            polling: How often the session is retrieved.
            on_problem: Called with session id and error for each error that polling tolerates.
            request_id: RequestId of the start, a UUID. A random one by default.
            timeout: Seconds for the start request, or its limits.
            headers: Further headers of the start request.

        Returns:
            The charge.

        Raises:
            ValidationError: Lists every invalid argument. Nothing was sent.
            OutcomeUnknownError: The start has no answer, and no session of it was found.
            ShellEVError: As ``charging.start``.
        """
        options = self._charge_options(
            start_timeout, stop_timeout, ema_id, True, polling, on_problem, baseline=baseline
        )
        starter = self._starter(ev_charge_number, evse_id, options, request_id, timeout, headers, key=key)
        return await starter.start()

    def _starter(
        self,
        ev_charge_number: str | EmaId,
        evse_id: str | EvseId | HasEvseId,
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
        evse_id: str | EvseId | HasEvseId,
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
        """The charge of a session that runs already. Nothing is sent.

        Args:
            session_id: Id of the session.
            start_timeout: Seconds for ``charge.wait_started()``.
            stop_timeout: Seconds for ``charge.stop()``.
            polling: How often the session is retrieved.
            on_problem: Called with session id and error for each error that polling tolerates.

        Returns:
            The charge.

        Raises:
            ValidationError: The id is invalid.
        """
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
        """Find the charge of a ``charging.start`` or ``charging.stop`` whose error has ``outcome_unknown``.

        The session of a start is looked for among the active sessions of the card, that of a stop is retrieved.
        Nothing is ever started.

        Args:
            error: The error. It may come from another process.
            ema_id: EMA-ID of the card if its number is not one.
            start_timeout: Seconds to look for the session.
            stop_timeout: Seconds for ``charge.stop()``.
            polling: How often the sessions are listed.
            on_problem: Called with session id and error for each error that polling tolerates.

        Returns:
            The charge.

        Raises:
            OutcomeUnknownError: No session was found. It has the sessions that were looked at.
            ValidationError: The outcome of the error is known, or an argument is invalid.
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

    @overload
    async def recover(
        self, *, timeout: float | None = None, every: None = None, give_up_after: float | None = None
    ) -> Recovery: ...

    @overload
    async def recover(
        self,
        *,
        timeout: float | None = None,
        every: float,
        on_recovered: Callable[[Recovery], object] | None = None,
        give_up_after: float | None = None,
    ) -> None: ...

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
        """Follow many charges until all of them are over.

        Args:
            charges: The charges, or their session ids.
            budget: Requests per second for all charges together. If it is short, the longest overdue charge is first.
            polling: How often each session is retrieved.
            on_problem: Called with session id and error for each error of one request; the log gets it if left out.

        Yields:
            Session id and session, for each charge as it is first and then for each new state.

        Raises:
            ValidationError: An id is invalid. Raised at the call.
            AuthenticationError: The credentials were refused.
            ConfigurationError: The client is closed.
        """
        polling = Polling() if polling is None else polling
        return follow(self._manager, charges, budget=budget, polling=polling, on_problem=on_problem)

    async def aclose(self) -> None:
        """Close the connections and drop the token. Idempotent. On a copy it does nothing."""
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
        if not hasattr(self, "_manager"):  # in a traceback of the constructor
            return f"{type(self).__name__}(incomplete)"
        config = self.config
        return f"{type(self).__name__}({config.api_url!r}, api_version={config.api_version.value!r})"

    def __reduce__(self) -> NoReturn:
        not_pickled(self)
