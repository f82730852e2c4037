"""One charge: its session as last seen, and what can be done about it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn

import attrs

from ..core.connections import not_pickled
from ..core.session_manager import SessionManager
from ..endpoints.charging import AsyncCharging
from ..errors import ChargeFailedError, ChargeNotStoppedError, ChargePendingError, ValidationError, shown
from ..models.charging import ChargeSession
from ..models.enums import SessionState
from ..store.journal import Entry
from .cleanup import run_shielded
from .poller import GONE_AFTER, OVER, SHORTEST_POLL, OnProblem, Pacer, Poller, Polling, is_positive, polling_faults
from .stop import Stopping

logger: logging.Logger = logging.getLogger("shell_ev")

DEFAULT_START_TIMEOUT = 180.0
DEFAULT_STOP_TIMEOUT = 120.0
_NO_SECONDS = "must be a positive number of seconds"


@attrs.frozen(kw_only=True)
class ChargeOptions:
    """The options of a charge besides card and EVSE, checked."""

    start_timeout: float = DEFAULT_START_TIMEOUT
    stop_timeout: float = DEFAULT_STOP_TIMEOUT
    ema_id: str | None = None
    keep_running: bool = False
    baseline: bool = False
    polling: Polling = attrs.field(factory=Polling)
    on_problem: OnProblem | None = None

    def __attrs_post_init__(self) -> None:
        limits = (("start_timeout", self.start_timeout), ("stop_timeout", self.stop_timeout))
        faults = [f"{name} {_NO_SECONDS}, not {shown(value)}" for name, value in limits if not is_positive(value)]
        faults += _flag_faults("keep_running", self.keep_running)
        faults += _flag_faults("baseline", self.baseline) + polling_faults(self.polling, self.on_problem)
        if faults:
            raise ValidationError(faults)


class AsyncCharge:
    """One charge. Returned by ``charge``, ``start_charge``, ``attach`` and ``reconcile`` of a client."""

    def __reduce__(self) -> NoReturn:
        not_pickled(self)

    def __init__(
        self,
        manager: SessionManager,
        session_id: str,
        options: ChargeOptions,
        *,
        request_id: str | None = None,
        session: ChargeSession | None = None,
        adopted: bool = False,
        confirm: Callable[[float], Awaitable[bool]] | None = None,
        key: str | None = None,
        is_new: bool = True,
        journalled: bool = False,
        entry: Entry | None = None,
    ) -> None:
        self._manager = manager
        self._charging = AsyncCharging(manager)
        self._options = options
        self.session_id = session_id
        """Id of the session, as the service gave it."""
        self.request_id = request_id
        """RequestId of the start; None for a charge that was attached to."""
        self.session: ChargeSession = ChargeSession(id=session_id) if session is None else session
        """The session as it was last seen. Before the first poll it holds the id alone, and ``state`` is None."""
        self.adopted = adopted
        """Whether the answer to its start was lost and the session was found among those of the card."""
        self.key = key
        """Key that it was started with; None without one."""
        self.is_new = is_new
        """Whether this call started it: False for a charge of an earlier call with the same key."""
        self.journalled = journalled
        """Whether the journal of the client's store knows its session."""
        self._entry = entry
        self._confirm = confirm

    @property
    def state(self) -> SessionState | None:
        """State of the session as it was last seen."""
        return self.session.state

    @property
    def is_over(self) -> bool:
        """Whether the charge was seen to have stopped, or to have failed to start."""
        return self.state in OVER

    async def refresh(self) -> ChargeSession:
        """Look up the session now.

        Returns:
            The session as it is; also kept as ``session``.

        Raises:
            ShellEVError: As ``charging.retrieve``.
        """
        return await self._fetch(None)

    async def _fetch(self, timeout: float | None) -> ChargeSession:
        answer = await self._charging.retrieve(self.session_id, timeout=timeout)
        self.session = answer.data
        if answer.data.state in OVER and self._manager.ledger is not None:
            self._entry = await self._manager.ledger.ended(self.session_id, answer.data, self._entry) or self._entry
        return answer.data

    @property
    def entry(self) -> Entry | None:
        """The entry of the journal that this process owns, or owned until the charge was over."""
        return self._entry

    def own(self, entry: Entry | None) -> None:
        """Own an entry of the journal until :meth:`release`.

        Args:
            entry: The entry; None without a journal.
        """
        self._entry = entry

    async def release(self) -> None:
        """Stop owning the entry of the journal, when the block that entered the charge is left."""
        entry, self._entry = self._entry, None
        if entry is not None and self._manager.ledger is not None:
            await self._manager.ledger.release(entry)

    def _poller(self, limit: float | None, *, stopping: bool = False) -> Poller:
        polling, jitter, timers = self._options.polling, self._manager.hooks.jitter, self._manager.timers()

        def interval(state: SessionState | None, waited: float) -> float:
            return polling.interval(None if stopping else state, waited, jitter)

        pacer = Pacer(
            interval,
            time=timers.time,
            subject=self.session_id,
            state=self.state,
            on_problem=self._options.on_problem,
        )
        longest = self._manager.config.timeout.total
        return Poller(pacer, timers, limit=limit, longest_request=longest, stubborn=stopping)

    async def _poll(self, poller: Poller) -> ChargeSession | None:
        session = await poller.poll(self._fetch)
        if session is not None:
            poller.pacer.succeeded(session.state)
        return session

    async def wait_started(self, *, timeout: float | None = None) -> ChargeSession:
        """Wait until the charge has started.

        Args:
            timeout: Seconds to wait; the charge's ``start_timeout`` unless given.

        Returns:
            The session, started.

        Raises:
            ChargeFailedError: The service says that the charge failed to start.
            ChargePendingError: The time is up and the start is still pending: it may start yet.
            ShellEVError: An error that waiting does not mend, such as refused credentials. Others are tolerated.
        """
        limit = self._options.start_timeout if timeout is None else _seconds(timeout)
        poller = self._poller(limit)
        while True:
            session = await self._poll(poller)
            if session is not None and _has_started(session):
                return session
            if session is not None and session.state in OVER:
                raise ChargeFailedError(
                    f"the charge did not start: {_reason(session)} (session {self.session_id})",
                    not await self._is_confirmed(poller),
                    session_id=self.session_id,
                    session=session,
                )
            if not await poller.wait():
                state = self.state.value if self.state is not None else "not shown by the service"
                raise ChargePendingError(
                    f"the charge is {state} after {limit:g} s and may start yet: "
                    f"attach({self.session_id!r}) waits on, or stops it",
                    session_id=self.session_id,
                    session=self.session,
                )

    async def changes(self) -> AsyncIterator[ChargeSession]:
        """Yield the session at each new state, in the order in which the service shows them.

        A state already seen is not repeated: inside a block, where the charge was seen started, the first session is
        that of the next change, perhaps hours away. The present one is ``session``. Ends after a final state, or when
        the service has not known the session for five minutes. A Retry-After of more than 15 minutes is cut to that.

        Raises:
            ShellEVError: An error that waiting does not mend, such as refused credentials or a closed client. Others
                go to ``on_problem``, or to the log.
        """
        seen = self.state
        poller = self._poller(None)
        while seen not in OVER:
            session = await self._poll(poller)
            if session is not None and session.state != seen:
                seen = session.state
                yield session
                continue
            if poller.pacer.gone_for >= GONE_AFTER:
                logger.warning("session %s is not known to the service any more; last state: %s", self.session_id, seen)
                return
            await poller.wait()

    async def stop(self, *, timeout: float | None = None, shield: bool = True) -> ChargeSession:
        """Stop the charge and wait until the service shows it stopped.

        A charge that has already stopped is a success. A stop without a clear answer is looked up, and sent again
        only when the service shows the charge still started.

        Args:
            timeout: Seconds in all; the charge's ``stop_timeout`` unless given.
            shield: Whether the stop survives one cancellation of the caller, which is raised afterwards. A second
                cancellation ends it, with a line in the log. False: the first one ends it.

        Returns:
            The session as it ended.

        Raises:
            ChargeNotStoppedError: The charge was not seen to stop: the car may still be charging.
        """
        limit = self._options.stop_timeout if timeout is None else _seconds(timeout)
        poller = self._poller(limit, stopping=True)
        work = self._stop(poller, limit)
        return await (run_shielded(work, f"session {self.session_id}") if shield else work)

    @property
    def _may_be_stopping(self) -> bool:
        # An earlier process may have sent a stop and ended before it recorded that.
        return not self.is_new or self.state is SessionState.STOP_REQUESTED

    async def _stop(self, poller: Poller, limit: float) -> ChargeSession:
        try:
            stopping = Stopping(
                self, self._charging, poller, limit, lambda: self._poll(poller), looks_first=self._may_be_stopping
            )
            session = await stopping.run()
        except ChargeNotStoppedError:
            await self._is_confirmed(poller)
            raise
        await self._is_confirmed(poller)
        return session

    async def _is_confirmed(self, poller: Poller) -> bool:
        """Whether an adopted session still is the only one that can be the start's. Looked up once."""
        confirm, self._confirm = self._confirm, None
        return confirm is None or await confirm(poller.request_timeout() or SHORTEST_POLL)

    async def stopping(self, *, timeout: float | None = None) -> ChargeSession:
        """Do as ``stop(shield=False)``, whose old name this is. It is removed in the next release."""
        return await self.stop(timeout=timeout, shield=False)

    def __repr__(self) -> str:
        state = self.state.value if self.state is not None else "not looked up"
        return f"{type(self).__name__}({self.session_id!r}, {state})"


def _flag_faults(name: str, value: object) -> list[str]:
    # "no" is true in Python, and would leave a car charging.
    return [] if isinstance(value, bool) else [f"{name} must be True or False, not {shown(value)}"]


def _has_started(session: ChargeSession) -> bool:
    if session.state in (SessionState.STARTED, SessionState.FAILED_TO_STOP):
        return True
    # Over, or about to be, at the first poll: it did run if the service says since when.
    return session.state in (SessionState.STOPPED, SessionState.STOP_REQUESTED) and session.started_at is not None


def _reason(session: ChargeSession) -> str:
    if session.error is None:
        return "stopped before it started" if session.state is SessionState.STOPPED else "the service gave no reason"
    return ": ".join(part for part in (session.error.code, session.error.message) if part) or "no reason given"


def _seconds(value: float) -> float:
    if not is_positive(value):
        raise ValidationError([f"timeout {_NO_SECONDS}, not {shown(value)}"])
    return value
