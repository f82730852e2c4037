"""One charge: its session as last seen, and what can be done about it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import attrs

from ..core.connections import not_pickled
from ..core.session_manager import SessionManager
from ..endpoints.charging import AsyncCharging
from ..errors import ChargeFailedError, ChargePendingError, ValidationError, shown
from ..models.charging import ChargeSession
from ..models.enums import SessionState
from .cleanup import run_shielded
from .poller import OVER, OnProblem, Polling, Watch, is_positive, watching_faults
from .stop import Stopping

logger = logging.getLogger("shell_ev")

#: A session that the service has not known for this long is not coming back.
GONE_AFTER = 300.0
DEFAULT_START_TIMEOUT = 180.0
DEFAULT_STOP_TIMEOUT = 120.0
_NO_SECONDS = "must be a positive number of seconds"


@attrs.frozen(kw_only=True)
class ChargeOptions:
    """What a charge is told besides card and EVSE, checked."""

    start_timeout: float = DEFAULT_START_TIMEOUT
    stop_timeout: float = DEFAULT_STOP_TIMEOUT
    ema_id: str | None = None
    keep_running: bool = False
    polling: Polling = attrs.field(factory=Polling)
    on_problem: OnProblem | None = None

    def __attrs_post_init__(self) -> None:
        limits = (("start_timeout", self.start_timeout), ("stop_timeout", self.stop_timeout))
        faults = [f"{name} {_NO_SECONDS}, not {shown(value)}" for name, value in limits if not is_positive(value)]
        faults += _keeping_faults(self.keep_running) + watching_faults(self.polling, self.on_problem)
        if faults:
            raise ValidationError(faults)


class AsyncCharge:
    """One charge. Got from ``client.charge``, ``client.start_charge`` or ``client.attach``, not made by hand."""

    __reduce__ = not_pickled

    def __init__(
        self,
        manager: SessionManager,
        session_id: str,
        options: ChargeOptions,
        *,
        request_id: str | None = None,
        session: ChargeSession | None = None,
    ) -> None:
        self._manager = manager
        self._charging = AsyncCharging(manager)
        self._options = options
        self.session_id = session_id
        """UUID of the session."""
        self.request_id = request_id
        """RequestId of the start; None for a charge that was attached to."""
        self.session = session
        """The session as it was last seen; None before the first look."""

    @property
    def state(self) -> SessionState | None:
        """State of the session as it was last seen."""
        return self.session.state if self.session is not None else None

    @property
    def is_over(self) -> bool:
        """Whether the charge was seen to have stopped, or to have failed to start."""
        return self.state in OVER

    async def refresh(self) -> ChargeSession:
        """Look the session up now. Raises as ``charging.retrieve`` does."""
        return await self._look(None)

    async def _look(self, timeout: float | None) -> ChargeSession:
        answer = await self._charging.retrieve(self.session_id, timeout=timeout)
        self.session = answer.data
        return answer.data

    def _watch(self, limit: float | None, *, stopping: bool = False) -> Watch:
        polling, jitter = self._options.polling, self._manager.hooks.jitter

        def interval(state: SessionState | None, waited: float) -> float:
            return polling.interval(None if stopping else state, waited, jitter)

        return Watch(
            self._look,
            timers=self._manager.timers(),
            session_id=self.session_id,
            interval=interval,
            on_problem=self._options.on_problem,
            state=self.state,
            longest_look=self._manager.config.timeout.total,
            limit=limit,
            stubborn=stopping,
        )

    async def wait_started(self, *, timeout: float | None = None) -> ChargeSession:
        """Wait until the charge has started; ``timeout`` in seconds, else the charge's ``start_timeout``.

        Raises ChargeFailedError when the service says that it failed, ChargePendingError when the time is up and it
        is still requested: it may start yet. Errors of single looks are ridden out, a refused token is raised.
        """
        limit = self._options.start_timeout if timeout is None else _seconds(timeout)
        watch = self._watch(limit)
        while True:
            session = await watch.look()
            if session is not None and _has_started(session):
                return session
            if session is not None and session.state in OVER:
                raise ChargeFailedError(
                    f"the charge did not start: {_reason(session)} (session {self.session_id})",
                    session_id=self.session_id,
                    session=session,
                )
            if not await watch.wait():
                state = self.state.value if self.state is not None else "not shown by the service"
                raise ChargePendingError(
                    f"the charge is {state} after {limit:g} s and may start yet: "
                    f"attach('{self.session_id}') waits on, or stops it",
                    session_id=self.session_id,
                    session=self.session,
                )

    async def changes(self) -> AsyncIterator[ChargeSession]:
        """Each new state of the session as it is seen, in whatever order the service shows them.

        Does not repeat the state already seen: inside a block, where the charge was seen started, the first it gives
        is the next change, perhaps hours away. The present one is ``session``, and comes first only if the charge was
        never looked at. Ends after a final
        state, or when the service has not known the session for five minutes. Errors of single looks go to
        ``on_problem`` or the log; a refused token or a closed client is raised.
        """
        shown = self.state
        watch = self._watch(None)
        while shown not in OVER:
            session = await watch.look()
            if session is not None and session.state != shown:
                shown = session.state
                yield session
                continue
            if watch.gone_for >= GONE_AFTER:
                logger.warning("session %s is gone from the service; its last state was %s", self.session_id, shown)
                return
            await watch.wait()

    async def stop(self, *, timeout: float | None = None) -> ChargeSession | None:
        """Stop the charge and wait until it has stopped, ``timeout`` seconds at most; the session as it ended.

        Already stopped is success. A stop without an answer is looked up, and sent again only when the service shows
        the charge still running. Raises ChargeNotStoppedError, which says that the car may still be charging.
        A cancelled stop is carried through before the cancellation goes on its way: for less patience give
        ``timeout``. A second cancellation ends it, with a line in the log.
        """
        return await run_shielded(self.stopping(timeout=timeout), f"session {self.session_id}")

    async def stopping(self, *, timeout: float | None = None) -> ChargeSession | None:
        """:meth:`stop` without that patience: a cancellation ends it at once, wherever it is."""
        limit = self._options.stop_timeout if timeout is None else _seconds(timeout)
        return await Stopping(self, self._charging, self._watch(limit, stopping=True), limit).run()

    def __repr__(self) -> str:
        state = self.state.value if self.state is not None else "not looked at"
        return f"{type(self).__name__}({self.session_id!r}, {state})"


def _keeping_faults(value: object) -> list[str]:
    # "no" is true for Python, and would leave a car charging.
    return [] if isinstance(value, bool) else [f"keep_running must be True or False, not {shown(value)}"]


def _has_started(session: ChargeSession) -> bool:
    if session.state in (SessionState.STARTED, SessionState.FAILED_TO_STOP):
        return True
    # Over or about to be before anybody looked: it did run if the service says since when.
    return session.state in (SessionState.STOPPED, SessionState.STOP_REQUESTED) and session.started_at is not None


def _reason(session: ChargeSession) -> str:
    if session.error is None:
        return "stopped before it started" if session.state is SessionState.STOPPED else "the service gave no reason"
    return ": ".join(part for part in (session.error.code, session.error.message) if part) or "no reason given"


def _seconds(value: float) -> float:
    if not is_positive(value):
        raise ValidationError([f"timeout {_NO_SECONDS}, not {shown(value)}"])
    return value
