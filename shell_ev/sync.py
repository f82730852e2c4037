"""The blocking client: every method is declared once, by naming its asynchronous original."""

from __future__ import annotations

import atexit
import functools
import inspect
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Final, NoReturn, ParamSpec, Self, TypeVar, Unpack, overload
from uuid import UUID

from .charges import open_blocks
from .charges.block import AsyncChargeBlock, not_entered
from .charges.charge import DEFAULT_STOP_TIMEOUT, AsyncCharge
from .charges.cleanup import cleanup_during
from .charges.follow import DEFAULT_BUDGET, is_many
from .charges.journal import AsyncJournal
from .charges.poller import OnProblem, Polling
from .charges.recover import Recovery
from .client import AsyncShellEV
from .core.auth import as_secret
from .core.connections import not_pickled
from .core.portal import CANCEL_GRACE, Portal
from .endpoints.charging import AsyncCharging
from .endpoints.locations import AsyncLocations
from .errors import ConfigurationError
from .models.charging import ChargeSession
from .models.enums import SessionState
from .options import (
    ClientConfig,
    ClientOptions,
    CopyOptions,
    check_names,
    given_credentials,
    option_names,
    options_from_env,
)

#: Seconds that an interrupted start may take: to find out whether it took effect, and to stop it.
_CHARGE_GRACE = 2 * DEFAULT_STOP_TIMEOUT + 1

_CONSTRUCTOR = option_names(ClientOptions)

P = ParamSpec("P")
R = TypeVar("R")


class Blocking:
    """An asynchronous object and the portal its methods run through."""

    def __reduce__(self) -> NoReturn:
        not_pickled(self)

    def __init__(self, portal: Portal, original: Any) -> None:
        self._portal = portal
        #: The asynchronous object this one stands for. It belongs to the portal's loop: do not await it elsewhere.
        self.original = original


#: What an asynchronous method gives, and what its twin gives instead; ``help()`` and notebooks show it.
_TWINS = {"AsyncIterator": "Iterator", "AsyncCharge": "Charge", "AsyncChargeBlock": "ChargeBlock"}
_F = TypeVar("_F", bound=Callable[..., Any])

#: What the docstring of an asynchronous method says, and what that of its twin says instead.
_IN_DOCSTRINGS = (
    (r"with ``async with``, that of :class:`~shell_ev\.ShellEV` with ``with``", "with ``with``"),
    (r"\basync (with|for)\b", r"\1"),
    (r"which is awaited", "which the call waits for"),
    (r"\bawait (?=[a-z_]+[.(])", ""),
    (r"\bAsync(ShellEV|Charging|Locations|ChargeBlock|Charge|Journal)\b", r"\1"),
)


def blocking_docstring(text: str | None) -> str | None:
    """The docstring of a blocking method, from that of its asynchronous original."""
    for pattern, plain in _IN_DOCSTRINGS if text else ():
        text = re.sub(pattern, plain, text or "")
    return text


def _named(call: _F, method: Callable[..., Any]) -> _F:
    # Not its attributes: a method with options is marked as a coroutine function, its twin is none.
    functools.update_wrapper(call, method, updated=())
    call.__doc__ = blocking_docstring(method.__doc__)
    # Without this inspect would follow the wrapped coroutine function and call the plain one awaitable.
    signature = inspect.signature(method)
    returned = re.sub(r"(?:\w+\.)*(\w+)", lambda name: _TWINS.get(name[1], name[0]), str(signature.return_annotation))
    call.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
    return call


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """The plain form of a coroutine method: same arguments, same result, same errors, no ``await``."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        portal: Portal = self._portal
        return portal.run(method(self.original, *args, **kwargs))

    return _named(call, method)


def blocking_iterator(
    method: Callable[Concatenate[Any, P], AsyncIterator[R]],
) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """The plain form of a method that gives an async iterator."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        portal: Portal = self._portal
        return portal.iterate(method(self.original, *args, **kwargs))

    return _named(call, method)


def wrapped(
    method: Callable[Concatenate[Any, P], Any], into: Callable[[Portal, Any], R]
) -> Callable[Concatenate[Any, P], R]:
    """The plain form of a method that gives an asynchronous object: the same, giving its blocking twin."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return into(self._portal, method(self.original, *args, **kwargs))

    return _named(call, method)


def blocking_wrapped(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, Any]],
    into: Callable[[Portal, Any], R],
    undo: Callable[[Any], Coroutine[Any, Any, Any]] | None = None,
    grace: float = CANCEL_GRACE,
) -> Callable[Concatenate[Any, P], R]:
    """The plain form of a coroutine method whose result is an asynchronous object.

    ``undo`` cleans up a result that an interrupt keeps from its caller.
    """

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        portal: Portal = self._portal
        made: list[Any] = []

        async def make() -> None:
            made.append(await method(self.original, *args, **kwargs))

        try:
            portal.run(make(), grace)
            return into(portal, made[0])
        except BaseException as error:
            if made and undo is not None:
                portal.run(cleanup_during(error, undo(made[0]), repr(made[0])), grace)
            raise

    return _named(call, method)


def _nothing(portal: Portal, result: None) -> None:
    """The result of a plain method that returns None."""


class Charging(Blocking):
    """Start, stop and look up charge sessions, blocking. Reached as ``client.charging``."""

    start: Final = blocking(AsyncCharging.start)
    stop: Final = blocking(AsyncCharging.stop)
    retrieve: Final = blocking(AsyncCharging.retrieve)
    active: Final = blocking(AsyncCharging.active)


class Locations(Blocking):
    """Find charging locations, blocking. Reached as ``client.locations``."""

    list: Final = blocking(AsyncLocations.list)
    iterate: Final = blocking_iterator(AsyncLocations.iterate)
    find: Final = blocking(AsyncLocations.find)
    follow: Final = blocking_iterator(AsyncLocations.follow)
    wait_available: Final = blocking(AsyncLocations.wait_available)
    get: Final = blocking(AsyncLocations.get)
    nearby: Final = blocking(AsyncLocations.nearby)
    markers: Final = blocking(AsyncLocations.markers)


class Charge(Blocking):
    """One charge, blocking. Got from ``client.charge``, ``client.start_charge`` or ``client.attach``."""

    original: AsyncCharge

    wait_started: Final = blocking(AsyncCharge.wait_started)
    changes: Final = blocking_iterator(AsyncCharge.changes)
    refresh: Final = blocking(AsyncCharge.refresh)
    stop: Final = blocking(AsyncCharge.stop)

    @property
    def session_id(self) -> str:
        """UUID of the session."""
        return self.original.session_id

    @property
    def request_id(self) -> str | None:
        """RequestId of the start; None for a charge that was attached to."""
        return self.original.request_id

    @property
    def session(self) -> ChargeSession:
        """The session as it was last seen. Before the first poll it holds the id alone, and ``state`` is None."""
        return self.original.session

    @property
    def state(self) -> SessionState | None:
        """State of the session as it was last seen."""
        return self.original.state

    @property
    def key(self) -> str | None:
        """Key that it was started with; None without one."""
        return self.original.key

    @property
    def is_new(self) -> bool:
        """Whether this call started it: False for a charge of an earlier call with the same key."""
        return self.original.is_new

    @property
    def journalled(self) -> bool:
        """Whether the journal of the client's store knows its session."""
        return self.original.journalled

    @property
    def adopted(self) -> bool:
        """Whether the answer to its start was lost and the session was found among those of the card."""
        return self.original.adopted

    @property
    def is_over(self) -> bool:
        """Whether the charge was seen to have stopped, or to have failed to start."""
        return self.original.is_over

    def __repr__(self) -> str:
        return repr(self.original).removeprefix("Async")


class Journal(Blocking):
    """The journal of a client's charges, blocking. Reached as ``client.journal``."""

    original: AsyncJournal

    open_charges: Final = blocking(AsyncJournal.open_charges)
    find: Final = blocking(AsyncJournal.find)
    settle: Final = blocking(AsyncJournal.settle)
    give_up: Final = blocking(AsyncJournal.give_up)
    prune: Final = blocking(AsyncJournal.prune)
    check: Final = blocking(AsyncJournal.check)


class ChargeBlock(Blocking):
    """``with client.charge(...) as charge:`` - started on entry, stopped on the way out, Ctrl-C included."""

    original: AsyncChargeBlock

    if not TYPE_CHECKING:  # for type checkers there is no such attribute, and they say so earlier

        def __getattr__(self, name: str) -> NoReturn:
            hint = "use `with client.charge(...) as charge`, or `charge = client.start_charge(...)`"
            raise not_entered(self, name, hint)

    def __enter__(self) -> Charge:
        try:
            charge = Charge(self._portal, self._portal.run(self.original.__aenter__(), self.original.longest_cleanup))
        except BaseException as error:
            # An interrupt between two steps: the charge was entered and never reached the block.
            if self.original.held is not None:
                self._leave(self.original.abandon(error), error)
            raise
        return charge

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.original.keeps_running:
            return
        try:
            self._leave(self.original.__aexit__(exc_type, exc, traceback), exc)
        except BaseException as error:
            # An interrupt before leaving had begun.
            if self.original.held is not None:
                self._leave(self.original.__aexit__(type(error), error, None), error)
            raise

    def _leave(self, way_out: Coroutine[Any, Any, None], error: BaseException | None) -> None:
        """Run the way out. Where it cannot run, after ``close()`` say, report the charge that is left behind."""
        charge = self.original.held
        try:
            self._portal.run(way_out, self.original.longest_cleanup)
        except ConfigurationError as reason:
            if charge is None:
                raise
            self.original.give_up(charge, error, reason)


# After the portal's hook is registered, so this one runs before it: a block that a daemon thread is in is never left.
atexit.register(open_blocks.report_all)


class ShellEV(Blocking):
    """The Shell Recharge EV API with plain calls. Use it as ``with ShellEV(...) as ev:``.

    The options are those of :class:`~shell_ev.AsyncShellEV`, but for ``http_session``: a session belongs to an event
    loop and this client has its own. One client serves any number of threads, inside a running event loop too.
    Ctrl-C cancels the call and leaves the client usable. A client does not survive a fork: make one in the child.

    Args:
        client_id: OAuth client id.
        client_secret: OAuth client secret.
        **options: Keys of :class:`~shell_ev.options.ClientOptions`.

    Raises:
        TypeError: An option does not exist.
        ConfigurationError: Lists every fault of the options.
    """

    original: AsyncShellEV

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        client_secret = as_secret(client_secret)  # masked in tracebacks with local variables
        if "http_session" in options:
            raise ConfigurationError(
                "http_session belongs to an event loop of yours and ShellEV runs its own; use AsyncShellEV with it"
            )
        check_names(options, _CONSTRUCTOR, "ShellEV")
        client = AsyncShellEV(client_id, client_secret, **options)
        self._wire(client, Portal(client.aclose), owner=True)

    def _wire(self, client: AsyncShellEV, portal: Portal, *, owner: bool) -> None:
        super().__init__(portal, client)
        self._owner = owner
        self.charging: Charging = Charging(portal, client.charging)
        self.locations: Locations = Locations(portal, client.locations)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """Make a client from the variables ``SHELL_EV_*``; as :meth:`AsyncShellEV.from_env`.

        Args:
            environ: The variables; None reads those of the process.
            client_id: OAuth client id, in place of the variable.
            client_secret: OAuth client secret, in place of the variable.
            **options: Keys of :class:`~shell_ev.options.ClientOptions`, in place of their variables.

        Raises:
            ConfigurationError: Lists every fault of options and variables.
        """
        client_secret = as_secret(client_secret)  # masked in tracebacks with local variables
        check_names(options, _CONSTRUCTOR, "ShellEV.from_env")
        return cls(**options_from_env(environ, {**given_credentials(client_id, client_secret), **options}))

    @property
    def config(self) -> ClientConfig:
        """The options in force; no credentials among them."""
        return self.original.config

    def with_options(self, **options: Unpack[CopyOptions]) -> Self:
        """Make a copy with other options over the same thread, connections and token.

        Args:
            **options: Keys of :class:`~shell_ev.options.CopyOptions`.

        Raises:
            ConfigurationError: Lists every fault of the options.
        """
        copied = self.original.with_options(**options)
        copy = type(self).__new__(type(self))
        copy._wire(copied, self._portal, owner=False)
        return copy

    charge: Final = wrapped(AsyncShellEV.charge, ChargeBlock)
    start_charge: Final = blocking_wrapped(AsyncShellEV.start_charge, Charge, AsyncCharge.stopping, _CHARGE_GRACE)
    validate_start: Final = wrapped(AsyncShellEV.validate_start, _nothing)
    attach: Final = wrapped(AsyncShellEV.attach, Charge)
    reconcile: Final = blocking_wrapped(AsyncShellEV.reconcile, Charge)
    if TYPE_CHECKING:  # a ParamSpec keeps one overload alone

        @overload
        def recover(
            self, *, timeout: float | None = None, every: None = None, give_up_after: float | None = None
        ) -> Recovery: ...

        @overload
        def recover(
            self,
            *,
            timeout: float | None = None,
            every: float,
            on_recovered: Callable[[Recovery], object] | None = None,
            give_up_after: float | None = None,
        ) -> None: ...

        def recover(self, **options: Any) -> Recovery | None: ...

    else:
        recover = blocking(AsyncShellEV.recover)

    @property
    def journal(self) -> Journal:
        """The journal of the charges that were started through the store.

        Raises:
            ConfigurationError: The client has no store.
        """
        return Journal(self._portal, self.original.journal)

    def follow(
        self,
        charges: Iterable[Charge | str | UUID],
        *,
        budget: float = DEFAULT_BUDGET,
        polling: Polling | None = None,
        on_problem: OnProblem | None = None,
    ) -> Iterator[tuple[str, ChargeSession]]:
        """Follow many charges; as :meth:`AsyncShellEV.follow`.

        Args:
            charges: Charges or session ids.
            budget: Requests per second for all of them.
            polling: The intervals between polls; None for the defaults.
            on_problem: Called in the client's thread with the session id and the error of a poll that failed; None
                logs it.
        """
        originals: Any = charges
        if is_many(charges):
            originals = [charge.original if isinstance(charge, Charge) else charge for charge in charges]
        return self._portal.iterate(
            self.original.follow(originals, budget=budget, polling=polling, on_problem=on_problem)
        )

    def close(self) -> None:
        """Cancel what is under way, close connections, end the thread. May be called twice; a copy's does nothing."""
        if self._owner:
            self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "original"):  # in a traceback of the constructor
            return f"{type(self).__name__}(incomplete)"
        config = self.config
        return f"{type(self).__name__}({config.api_url!r}, api_version={config.api_version.value!r})"
