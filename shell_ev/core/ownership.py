"""Which sessions belong to which start of this client, and which of its starts are in flight."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ..identifiers import EvseId
from .call import Progress

_REMEMBERED: Final = 10_000


def same_evse(left: str | None, right: str) -> bool:
    """Whether two texts name the same EVSE, case aside.

    Separators are compared where both texts have them: without, ``E0200345*10`` and ``E02003451*0`` are the same.
    """
    if left is None:
        return False
    one, other = _canonical(left), _canonical(right)
    if "*" in left and "*" in right:
        return one == other
    return _compact(one) == _compact(other)


def _canonical(text: str) -> str:
    evse_id = EvseId.try_parse(text)
    return text.casefold() if evse_id is None else str(evse_id).casefold()


def _compact(text: str) -> str:
    return text.replace("*", "").replace("+", "").casefold()


def _card(text: str) -> str:
    return text.replace("-", "").replace("*", "").casefold()


class OwnStart(Progress):
    """One start of this client, from before it is sent until its outcome is known or given up.

    Args:
        ownership: Where it is registered.
        cards: Number and EMA-ID of the card, as far as they are known.
        evse_id: EVSE to charge on.
        request_id: RequestId of the start.
    """

    def __init__(self, ownership: Ownership, cards: tuple[str, ...], evse_id: str, request_id: str) -> None:
        super().__init__()
        self._ownership = ownership
        self.cards: set[str] = {_card(card) for card in cards}
        self.evse_id = evse_id
        self.request_id = request_id
        #: When the last attempt was sent, in seconds on the loop's clock; None before the first.
        self.left_at: float | None = None
        # Places in the order of events: clocks may show the same time before and after.
        self.left_tick: int = ownership.tick()
        self.ended_tick: int | None = None
        #: Seconds between look-ups that were both answered, in the present search for its session.
        self.answered_for: float = 0.0
        #: Whether another client sent it, at a time that has no place in the order of events here.
        self.is_foreign: bool = False

    def begin(self, now: float) -> None:
        """An attempt is about to be sent; the last one counts.

        Args:
            now: The time, in seconds on the loop's clock.
        """
        super().begin(now)
        self.left_at = now
        self.left_tick = self._ownership.tick()

    def accepted(self, session_id: str) -> None:
        """Its session is known."""
        self._ownership.hold(session_id, self.request_id)
        self._ownership.forget(self)

    def adopted(self, session_id: str) -> None:
        """Its session was found."""
        self.accepted(session_id)
        self._ownership.adopt(session_id, self.request_id)

    def void(self) -> None:
        """It was refused or not sent: no session comes of it."""
        self._ownership.forget(self)

    def lost(self) -> None:
        """Its outcome is unknown, and is not looked up now."""
        self.ended_tick = self._ownership.tick()
        if self.is_foreign:
            self._ownership.forget(self)

    def look_up(self, *cards: str) -> None:
        """Its outcome is looked up from now on.

        Args:
            cards: Further names of the card.
        """
        self.cards.update(map(_card, cards))
        self._ownership.register(self)
        self.answered_for = 0.0
        self.ended_tick = None

    def overlaps(self, other: OwnStart) -> bool:
        """Whether both were in flight at the same time, as far as that is known."""
        return not other._ended_before(self) and not self._ended_before(other)

    def _ended_before(self, other: OwnStart) -> bool:
        return self.ended_tick is not None and not other.is_foreign and self.ended_tick < other.left_tick


class Ownership:
    """Sessions that this client holds, and its starts whose outcome is open. Shared by the copies of a client.

    Args:
        clock: Seconds on the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ticks = itertools.count()
        self._held: OrderedDict[str, str | None] = OrderedDict()
        self._watched: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._starts: OrderedDict[int, OwnStart] = OrderedDict()
        self._adopted: OrderedDict[str, str] = OrderedDict()

    def tick(self) -> int:
        """The next number in the order of events."""
        return next(self._ticks)

    def begin(self, cards: tuple[str, ...], evse_id: str, request_id: str) -> OwnStart:
        """A start that is about to be sent.

        Args:
            cards: Number and EMA-ID of the card, as far as they are known.
            evse_id: EVSE to charge on.
            request_id: RequestId of the start.
        """
        start = OwnStart(self, cards, evse_id, request_id)
        self.register(start)
        return start

    def register(self, start: OwnStart) -> None:
        """Keep a start until it is forgotten; the oldest is dropped when there are too many."""
        self._starts[id(start)] = start
        if len(self._starts) > _REMEMBERED:
            self._starts.popitem(last=False)

    def forget(self, start: OwnStart) -> None:
        """Drop a start whose outcome is known."""
        self._starts.pop(id(start), None)

    def find(self, request_id: str | None, evse_id: str) -> OwnStart | None:
        """The latest start with that RequestId whose outcome is open."""
        if request_id is None:
            return None
        for start in reversed(self._starts.values()):
            if start.request_id == request_id and same_evse(start.evse_id, evse_id):
                return start
        return None

    def hold(self, session_id: str, request_id: str | None) -> None:
        """A session belongs to a start.

        Args:
            session_id: The session.
            request_id: RequestId of the start: another look-up for it may find the session again.
        """
        self._held[session_id] = request_id
        if len(self._held) > _REMEMBERED:
            self._held.popitem(last=False)

    def adopt(self, session_id: str, request_id: str) -> None:
        """A session was found for a start."""
        self._adopted[request_id] = session_id
        if len(self._adopted) > _REMEMBERED:
            self._adopted.popitem(last=False)

    def adopted_for(self, request_id: str | None) -> str | None:
        """The session that was found for the start with that RequestId."""
        return None if request_id is None else self._adopted.get(request_id)

    def watch(self, session_id: str) -> None:
        """A session is attached to, or followed. Its first time counts."""
        self._watched.setdefault(session_id, (self.tick(), self._clock()))
        if len(self._watched) > _REMEMBERED:
            self._watched.popitem(last=False)

    def is_held(self, session_id: str, request_id: str | None) -> bool:
        """Whether a session belongs to a start with another RequestId."""
        if session_id not in self._held:
            return False
        return request_id is None or self._held[session_id] != request_id

    def was_watched(self, session_id: str, start: OwnStart, left_at: float) -> bool:
        """Whether a session was attached to, or followed, before a start was sent.

        Args:
            session_id: The session.
            start: The start.
            left_at: When it was sent, in seconds on the monotonic clock.
        """
        if session_id not in self._watched:
            return False
        tick, at = self._watched[session_id]
        return at < left_at if start.is_foreign else tick < start.left_tick

    def rivals(self, start: OwnStart) -> int:
        """Number of other starts on the same card and EVSE that were in flight meanwhile and whose session is open."""
        return len(self.rival_starts(start))

    def rival_starts(self, start: OwnStart) -> list[OwnStart]:
        """The starts that :meth:`rivals` counts."""
        return [
            other
            for other in self._starts.values()
            if other is not start
            and other.request_id != start.request_id
            and (other.left_at is not None or other.is_foreign)
            and not other.cards.isdisjoint(start.cards)
            and other.overlaps(start)
            and same_evse(other.evse_id, start.evse_id)
        ]
