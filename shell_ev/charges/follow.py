"""Follows many charges at once under one budget of requests, fairly."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from uuid import UUID

import attrs

from ..core.polling import DEFAULT_BUDGET as DEFAULT_BUDGET
from ..core.polling import PollQueue
from ..core.session_manager import SessionManager
from ..endpoints.charging import AsyncCharging
from ..endpoints.validation import Checks
from ..errors import ShellEVError, shown
from ..models.charging import ChargeSession
from ..models.enums import SessionState
from .charge import AsyncCharge
from .poller import (
    GONE_AFTER,
    LONGEST_RETRY_AFTER,
    OVER,
    OnProblem,
    Pacer,
    Polling,
    is_positive,
    polling_faults,
    retry_after_of,
)

logger: logging.Logger = logging.getLogger("shell_ev")


@attrs.frozen
class _Followed:
    """One charge that is followed."""

    session_id: str
    charge: AsyncCharge | None
    pacer: Pacer[SessionState]


class Follower:
    """Follows many charges over one :class:`~shell_ev.core.polling.PollQueue`."""

    def __init__(
        self,
        manager: SessionManager,
        sessions: Iterable[tuple[str, AsyncCharge | None]],
        *,
        budget: float,
        polling: Polling,
        on_problem: OnProblem | None,
    ) -> None:
        self._charging = AsyncCharging(manager)
        timers, jitter = manager.timers(), manager.hooks.jitter

        def interval(state: SessionState | None, waited: float) -> float:
            return polling.interval(state, waited, jitter)

        def followed(session_id: str, charge: AsyncCharge | None) -> _Followed:
            state = charge.state if charge is not None else None
            pacer = Pacer(interval, time=timers.time, subject=session_id, state=state, on_problem=on_problem)
            return _Followed(session_id, charge, pacer)

        self._polls: PollQueue[_Followed, tuple[str, ChargeSession]] = PollQueue(
            timers,
            [followed(session_id, charge) for session_id, charge in sessions],
            self._poll,
            lambda one: one.pacer.pause(),
            budget=budget,
        )

    def changes(self) -> AsyncGenerator[tuple[str, ChargeSession], None]:
        """Yield session id and session for each new state of any of them, until all are over."""
        return self._polls.changes()

    async def _poll(self, followed: _Followed) -> bool:
        """Poll once.

        Returns:
            Whether the charge is over, or gone for good.
        """
        pacer = followed.pacer
        try:
            # Without retries: each would be a request outside of the budget. The next poll is the retry.
            session = (await self._charging.retrieve(followed.session_id, max_retries=0)).data
        except ShellEVError as error:
            pacer.failed(error, longest=LONGEST_RETRY_AFTER)
            self._polls.hold(min(retry_after_of(error), LONGEST_RETRY_AFTER))
            if pacer.gone_for < GONE_AFTER:
                return False
            logger.warning(
                "session %s is not known to the service any more; last state: %s", followed.session_id, pacer.state
            )
            return True
        if followed.charge is not None:
            followed.charge.session = session
        if pacer.succeeded(session.state):
            await self._polls.put((followed.session_id, session))
        return session.state in OVER


def is_many(charges: object) -> bool:
    """Whether a value holds several charges: a text is iterable too, by its characters."""
    return isinstance(charges, Iterable) and not isinstance(charges, (str, bytes))


def follow(
    manager: SessionManager,
    charges: Iterable[AsyncCharge | str | UUID],
    *,
    budget: float,
    polling: Polling,
    on_problem: OnProblem | None,
) -> AsyncIterator[tuple[str, ChargeSession]]:
    """Check the arguments, and follow. A session that is named twice is followed once."""
    checks = Checks("follow")
    sessions: dict[str, AsyncCharge | None] = {}
    if not is_many(charges):
        checks.faults.append(f"charges must be several charges or session ids, not {shown(charges)}")
        charges = ()
    for item in charges:
        if isinstance(item, AsyncCharge):
            sessions[item.session_id] = item
        else:
            sessions.setdefault(checks.session_id("charges", item))
    if not is_positive(budget):
        checks.faults.append(f"budget must be a positive number of requests per second, not {shown(budget)}")
    checks.faults += polling_faults(polling, on_problem)
    checks.raise_if_any()
    for session_id in sessions:
        manager.ownership.watch(session_id)

    async def changes() -> AsyncIterator[tuple[str, ChargeSession]]:
        follower = Follower(manager, sessions.items(), budget=budget, polling=polling, on_problem=on_problem)
        async with aclosing(follower.changes()) as found:
            async for change in found:
                yield change

    return changes()
