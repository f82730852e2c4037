"""Faults on demand: what goes wrong, on which operation, and when."""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from shell_ev.sandbox.records import Ending

OPERATIONS: tuple[str, ...] = (
    "token",
    "charging.start",
    "charging.stop",
    "charging.retrieve",
    "charging.active",
    "locations.list",
    "locations.get",
    "locations.nearby",
    "locations.markers",
)
"""Every operation a fault can be laid on."""

ANY_OPERATION = "*"
"""Stands for every operation except `token`."""


class FaultKind(enum.StrEnum):
    """The families of faults."""

    STATUS = "status"
    DELAY = "delay"
    CONNECTION = "connection"
    GARBAGE = "garbage"
    TOKEN_REVOKED = "token-revoked"


@attrs.frozen
class Fault:
    """One thing that goes wrong with one call. Build it with the class methods.

    `after_effect`: the call does its work first. With it a start has really started a charge although
    the answer says otherwise, or no answer comes.
    """

    kind: FaultKind
    after_effect: bool = False
    status_code: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    """Body to answer with; None stands for the documented error body of the dialect."""
    content_type: str = "application/json"
    seconds: float = 0.0
    """Real seconds by which the answer is late."""
    ending: Ending = Ending.NORMAL

    @classmethod
    def status(
        cls,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        after_effect: bool = False,
    ) -> Fault:
        """Answer with a status.

        Args:
            status: The HTTP status.
            headers: More headers of the answer.
            body: The body; None for the dialect's own error body.
            content_type: The type of the body.
            after_effect: Whether the call takes effect first.
        """
        return cls(FaultKind.STATUS, after_effect, status, tuple((headers or {}).items()), body, content_type)

    @classmethod
    def rate_limit(cls, retry_after: float | str | None = 1, *, after_effect: bool = False) -> Fault:
        """Answer 429.

        Args:
            retry_after: Value of the Retry-After header, sent as it is: seconds, an HTTP date or nonsense. None sends
                no header.
            after_effect: Whether the call takes effect first.
        """
        return cls.status(429, headers=_retry_after(retry_after), after_effect=after_effect)

    @classmethod
    def unavailable(cls, retry_after: float | str | None = None, *, after_effect: bool = False) -> Fault:
        """Answer 503.

        Args:
            retry_after: Value of the Retry-After header; None sends no header.
            after_effect: Whether the call takes effect first.
        """
        return cls.status(503, headers=_retry_after(retry_after), after_effect=after_effect)

    @classmethod
    def delay(cls, seconds: float) -> Fault:
        """Do the work at once, and answer late.

        Args:
            seconds: Real seconds of the delay.
        """
        return cls(FaultKind.DELAY, after_effect=True, seconds=seconds)

    @classmethod
    def drop(cls, after_effect: bool = True) -> Fault:
        """Close the connection without an answer.

        Args:
            after_effect: Whether the call takes effect first.
        """
        return cls(FaultKind.CONNECTION, after_effect, ending=Ending.CLOSE)

    @classmethod
    def reset(cls, after_effect: bool = True) -> Fault:
        """Reset the connection (TCP RST) without an answer.

        Args:
            after_effect: Whether the call takes effect first.
        """
        return cls(FaultKind.CONNECTION, after_effect, ending=Ending.RESET)

    @classmethod
    def truncate(cls, after_effect: bool = True) -> Fault:
        """Announce the whole body, send half of it, close.

        Args:
            after_effect: Whether the call takes effect first.
        """
        return cls(FaultKind.CONNECTION, after_effect, ending=Ending.TRUNCATED)

    @classmethod
    def hang(cls, after_effect: bool = True) -> Fault:
        """Never answer; the connection stays open until one side leaves.

        Args:
            after_effect: Whether the call takes effect first.
        """
        return cls(FaultKind.CONNECTION, after_effect, ending=Ending.HANG)

    @classmethod
    def garbage(
        cls,
        body: bytes = b"<html><body><h1>It works!</h1></body></html>",
        status: int = 200,
        content_type: str = "text/html",
        after_effect: bool = True,
    ) -> Fault:
        """Answer with a body that is not JSON of the contract, as a proxy may.

        Args:
            body: The body.
            status: The HTTP status.
            content_type: The type of the body.
            after_effect: Whether the call takes effect first.
        """
        return cls(FaultKind.GARBAGE, after_effect, status, (), body, content_type)

    @classmethod
    def token_revoked(cls) -> Fault:
        """Revoke the very token this call carries, so that the call is refused with 401."""
        return cls(FaultKind.TOKEN_REVOKED, after_effect=True)


def _retry_after(value: float | str | None) -> dict[str, str]:
    if value is None:
        return {}
    return {"Retry-After": f"{value:g}" if isinstance(value, (int, float)) else value}


@attrs.define
class _Queued:
    fault: Fault
    times: int
    skip: int


@attrs.define
class _Chaos:
    random: random.Random
    probability: float
    faults: tuple[Fault, ...]
    operations: frozenset[str]


@attrs.frozen
class WaitingFault:
    """A fault that waits for calls."""

    operation: str
    faults: tuple[Fault, ...]
    """One fault; for chaos those it draws from."""
    times: int | None = None
    """Calls it is still going to hit; None for every call."""
    after: int = 0
    """Calls that go through unharmed first."""
    probability: float | None = None
    """Of chaos; None for the others."""


class Faults:
    """The faults waiting for the calls to come.

    For each call the first of these that has something to say wins: the queue of its operation, the queue of `*`,
    the standing fault of its operation, the standing fault of `*`, chaos. A queue works through its entries in
    order; `after` is counted from the moment the entry has become the first of its queue.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """Begin without any fault. `changed` is called when the faults that wait are no longer the same."""
        self._changed = changed
        self._queues: dict[str, deque[_Queued]] = {}
        self._standing: dict[str, Fault] = {}
        self._chaos: list[_Chaos] = []

    def add(self, operation: str, fault: Fault, *, times: int = 1, after: int = 0) -> None:
        """Add a fault to the next calls of an operation.

        Args:
            operation: The operation, such as `charging.start`, `token`, or `*` for all but `token`.
            fault: The fault.
            times: How many calls it hits.
            after: How many calls succeed first.
        """
        _known(operation)
        if times < 1 or after < 0:
            raise ValueError("times must be at least 1 and after at least 0")
        self._queues.setdefault(operation, deque()).append(_Queued(fault, times, after))
        self._changed()

    def always(self, operation: str, fault: Fault) -> None:
        """Add a fault to every call of an operation that no queued fault takes, until `clear`.

        Args:
            operation: The operation, such as `charging.start`, `token`, or `*` for all but `token`.
            fault: The fault.
        """
        _known(operation)
        self._standing[operation] = fault
        self._changed()

    def chaos(
        self,
        seed: int,
        probability: float,
        faults: Sequence[Fault] = (),
        operations: Iterable[str] = (ANY_OPERATION,),
    ) -> None:
        """Let calls fail at random, by a seeded generator.

        Args:
            seed: Seed of the random choices.
            probability: Share of the calls that fail, from 0 to 1.
            faults: The faults to choose from; empty for statuses and lost connections, before and after the effect.
            operations: The operations that may fail.
        """
        if not 0.0 <= probability <= 1.0:
            raise ValueError("probability must lie between 0 and 1")
        names = tuple(operations)
        for name in names:
            _known(name)
        self._chaos.append(_Chaos(random.Random(seed), probability, tuple(faults) or CHAOS_FAULTS, frozenset(names)))
        self._changed()

    def clear(self, operation: str | None = None) -> None:
        """Remove faults that wait.

        Args:
            operation: The operation; None for all of them, and for chaos.
        """
        if operation is None:
            self._queues.clear()
            self._standing.clear()
            self._chaos.clear()
        else:
            _known(operation)
            self._queues.pop(operation, None)
            self._standing.pop(operation, None)
        self._changed()

    def waiting(self) -> tuple[WaitingFault, ...]:
        """List what is going to hit calls, queued faults first. The operations of chaos are joined by commas."""
        queues, standing, chaos = dict(self._queues), dict(self._standing), tuple(self._chaos)
        return (
            *(WaitingFault(name, (entry.fault,), entry.times, entry.skip) for name in queues for entry in queues[name]),
            *(WaitingFault(name, (fault,)) for name, fault in standing.items()),
            *(WaitingFault(",".join(sorted(c.operations)), c.faults, probability=c.probability) for c in chaos),
        )

    def pending(self, operation: str) -> int:
        """Count the calls that queued faults of this operation will hit.

        Args:
            operation: The operation, such as `charging.start`, `token`, or `*` for all but `token`.
        """
        _known(operation)
        return sum(entry.times for entry in self._queues.get(operation, ()))

    def take(self, operation: str) -> Fault | None:
        """Use up the fault of a call and return it; None if the call succeeds.

        Args:
            operation: The operation of the call.
        """
        if not (self._queues or self._standing or self._chaos):
            return None
        names = (operation,) if operation == "token" else (operation, ANY_OPERATION)
        for name in names:
            queue = self._queues.get(name)
            if not queue:
                continue
            entry = queue[0]
            if entry.skip:
                entry.skip -= 1
                self._changed()
                continue
            entry.times -= 1
            self._changed()
            if not entry.times:
                queue.popleft()
            return entry.fault
        for name in names:
            if name in self._standing:
                return self._standing[name]
        for chaos in self._chaos:
            if chaos.operations.intersection(names) and chaos.random.random() < chaos.probability:
                return chaos.random.choice(chaos.faults)
        return None


def _known(operation: str) -> None:
    if operation != ANY_OPERATION and operation not in OPERATIONS:
        raise ValueError(f"unknown operation {operation!r}; known are {', '.join((*OPERATIONS, ANY_OPERATION))}")


CHAOS_FAULTS: tuple[Fault, ...] = (
    Fault.status(500),
    Fault.status(500, after_effect=True),
    Fault.rate_limit(0),
    Fault.unavailable(),
    Fault.drop(after_effect=False),
    Fault.drop(),
    Fault.reset(),
    Fault.truncate(),
    Fault.garbage(),
    Fault.token_revoked(),
)
"""What `Faults.chaos` draws from by default."""
