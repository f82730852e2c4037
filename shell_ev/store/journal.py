"""What an entry of the journal is, what a repeated key meets, and what follows from a crash. Pure functions."""

from __future__ import annotations

import functools
import hashlib
import secrets
from enum import Enum, StrEnum
from typing import Final, Literal
from urllib.parse import urlsplit

import attrs

from ..errors import ValidationError, shown
from ..identifiers import EmaId, EvseId

OnCrash = Literal["stop", "keep"]

#: Seconds after the first look-up of an unknown entry during which it is looked up again.
LOOK_AGAIN_FOR: Final = 24 * 3600.0
#: Seconds until an unknown entry is looked up again, doubled each time up to the longest.
_FIRST_LOOK_AGAIN: Final = 30.0
_LONGEST_LOOK_AGAIN: Final = 3600.0
#: Seconds until a stop that failed is repeated: the car may be charging.
_FIRST_STOP_AGAIN: Final = 5.0
#: Longest of these pauses, and of those after look-ups without an answer.
_LONGEST_AGAIN: Final = 300.0


class State(StrEnum):
    """How far the start of an entry has come."""

    WAITING = "waiting"
    """Nothing was sent."""
    SENT = "sent"
    """The start was sent, or was about to be: its outcome is not recorded."""
    ACCEPTED = "accepted"
    """The service gave a session id."""
    OVER = "over"
    """The charge has ended, or failed to start."""
    UNKNOWN = "unknown"
    """The session was looked for, with answers, and did not show."""
    GIVEN_UP = "given_up"
    """Released by hand, or after a time: its key starts again. Looked up for a day, for a session that shows late."""


#: States in which a charge may run.
OPEN: Final = frozenset({State.SENT, State.ACCEPTED, State.UNKNOWN})


@attrs.frozen(kw_only=True)
class Entry:
    """One start in the journal. Times are Unix seconds."""

    namespace: str
    key: str
    request_id: str
    api_version: str
    evse: str
    """The EVSE id, normalised: what is unique while the entry is ``sent``."""
    evse_id: str
    """The EVSE id as it is sent."""
    card_digest: str
    """Keyed hash of the card number, for comparing arguments."""
    card: bytes | None = attrs.field(default=None, repr=False)
    """Card number and EMA-ID, sealed by the vault; None once the session is not looked for any more."""
    state: State = State.WAITING
    session_id: str | None = None
    on_crash: OnCrash = "keep"
    owner: str | None = None
    """The process that works on the entry; None when none does."""
    fence: int = 1
    """Raised by each takeover: a writer with an older one is fenced off."""
    created_at: float = 0.0
    sent_at: float | None = None
    """When the start was sent, on the service's clock."""
    sent_at_error: float = 60.0
    """By how much ``sent_at`` may be wrong, in seconds."""
    not_ours: tuple[str, ...] = ()
    """Ids of sessions that ran before the start was sent: never this one."""
    ended_state: str | None = None
    """State of the session when it was over, as the service wrote it."""
    ended_error: str | None = None
    """Error code of a charge that failed to start."""
    over_at: float | None = None
    looked_since: float | None = None
    """When the first look-up of an unknown entry ended."""
    looks: int = 0
    """How many recoveries looked the entry up, or stopped its charge, in vain."""
    answered_for: float = 0.0
    """Seconds during which look-ups of the card were answered and showed no session."""
    next_look_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a charge may run."""
        return self.state in OPEN


class Meeting(Enum):
    """What a call with a key finds."""

    START = "start"
    """The key is free: send the start."""
    IN_PROGRESS = "in progress"
    """A live process works on it."""
    RECOVER = "recover"
    """The start may have been sent and its owner is gone: recover the entry first."""
    ATTACH = "attach"
    """The charge was accepted: attach to it."""
    ENDED = "ended"
    """The charge is over: return it as it ended."""
    UNKNOWN = "unknown"
    """The outcome is not known."""
    REUSED = "reused"
    """The key belongs to a charge of another card or EVSE."""


def meet(entry: Entry | None, *, card_digest: str | None, evse: str, owned: bool) -> Meeting:
    """What a call with this entry's key, for this card and EVSE, has to do.

    Args:
        entry: The entry of the key; None where there is none.
        card_digest: Keyed hash of the card number; None where it cannot be compared.
        evse: The EVSE id, normalised.
        owned: Whether a live process works on the entry.
    """
    if entry is None:
        return Meeting.START
    if entry.state is State.GIVEN_UP or (entry.state is State.WAITING and not owned):
        return Meeting.START
    if entry.evse != evse or (card_digest is not None and entry.card_digest != card_digest):
        return Meeting.REUSED
    if entry.state is State.OVER:
        return Meeting.ENDED
    if entry.state is State.UNKNOWN:
        return Meeting.UNKNOWN
    if owned:
        return Meeting.IN_PROGRESS
    return Meeting.RECOVER if entry.state is State.SENT else Meeting.ATTACH


class Looking(Enum):
    """Whether the session of an entry can be looked for."""

    POSSIBLE = "possible"
    NO_EMA_ID = "no EMA-ID"
    """The card number is not an EMA-ID, and the caller gave none."""
    UNREADABLE = "unreadable"
    """The card was encrypted with a key that is not known here."""


class Recovery(Enum):
    """What is to be done with an entry whose owner is gone."""

    NOTHING = "nothing"
    DROP = "drop"
    """Nothing was sent: the key is free."""
    LOOK_FOR = "look for"
    """The start may have taken effect: look for its session."""
    CALL_UNKNOWN = "call unknown"
    """The session cannot be looked for without an EMA-ID: the entry is unknown at once, with an ERROR."""
    FAIL = "fail"
    """The card cannot be read: the entry stays, with an ERROR."""
    STOP = "stop"
    """Stop the charge and see it stopped."""
    KEEP = "keep"
    """The charge is to run on: list it."""
    WATCH = "watch"
    """The start was given up: see whether its session shows after all."""
    FORGET = "forget"
    """The start was given up and its session does not show: blank the card."""


def after_crash(entry: Entry, *, owned: bool, now: float, looking: Looking = Looking.POSSIBLE) -> Recovery:
    """What a recovery does with an entry.

    Args:
        entry: The entry.
        owned: Whether a live process works on it.
        now: Unix seconds on the store's clock.
        looking: Whether its session can be looked for.
    """
    if owned:
        return Recovery.NOTHING
    match entry.state:
        case State.WAITING:
            return Recovery.DROP
        case State.ACCEPTED if entry.on_crash == "keep":
            return Recovery.KEEP
        case State.ACCEPTED if entry.next_look_at <= now:
            return Recovery.STOP
        case State.SENT if looking is Looking.NO_EMA_ID:
            return Recovery.CALL_UNKNOWN
        case State.SENT if looking is Looking.UNREADABLE:
            return Recovery.FAIL
        case State.SENT if entry.next_look_at <= now:
            return Recovery.LOOK_FOR
        case State.UNKNOWN if looking is Looking.POSSIBLE and is_look_due(entry, now):
            return Recovery.LOOK_FOR
        case State.GIVEN_UP if entry.card is not None:
            return _after_giving_up(entry, now, looking)
        case _:
            return Recovery.NOTHING


def _after_giving_up(entry: Entry, now: float, looking: Looking) -> Recovery:
    if looking is Looking.NO_EMA_ID or (entry.looked_since is not None and now - entry.looked_since > LOOK_AGAIN_FOR):
        return Recovery.FORGET
    is_due = looking is Looking.POSSIBLE and is_look_due(entry, now)
    return Recovery.WATCH if is_due else Recovery.NOTHING


#: What each state may become. The same state again is a repeated write.
_MOVES: Final = {
    State.WAITING: {State.WAITING, State.SENT},
    State.SENT: {State.SENT, State.WAITING, State.ACCEPTED, State.UNKNOWN, State.GIVEN_UP},
    State.ACCEPTED: {State.ACCEPTED, State.OVER},
    State.OVER: {State.OVER},
    State.UNKNOWN: {State.UNKNOWN, State.ACCEPTED, State.GIVEN_UP},
    State.GIVEN_UP: {State.GIVEN_UP, State.ACCEPTED},
}


def _move(entry: Entry, state: State, **changes: object) -> Entry:
    if state not in _MOVES[entry.state]:
        raise ValueError(f"an entry that is {entry.state} cannot become {state}")
    return attrs.evolve(entry, state=state, **changes)  # type: ignore[arg-type]


def restarted(entry: Entry, fresh: Entry) -> Entry:
    """A new entry in the place of one that starts again: a writer of the old one is fenced off."""
    return attrs.evolve(fresh, fence=entry.fence + 1)


def sent(entry: Entry, *, sent_at: float, sent_at_error: float, not_ours: tuple[str, ...] = ()) -> Entry:
    """The intent: the entry as it is written immediately before the socket."""
    return _move(entry, State.SENT, sent_at=sent_at, sent_at_error=sent_at_error, not_ours=not_ours)


def put_back(entry: Entry) -> Entry:
    """The entry after an attempt that was refused or surely not sent."""
    return _move(entry, State.WAITING, sent_at=None)


def accepted(entry: Entry, session_id: str) -> Entry:
    """The entry once its session is known: by the answer, by a look-up, or by hand."""
    if entry.session_id not in (None, session_id):
        raise ValueError("an entry keeps its session")
    return _move(entry, State.ACCEPTED, session_id=session_id, over_at=None, looks=0, next_look_at=0.0)


def over(entry: Entry, *, now: float, ended_state: str | None = None, ended_error: str | None = None) -> Entry:
    """The entry once its charge has ended or failed to start: the card is blanked, its digest stays."""
    return _move(
        entry, State.OVER, card=None, owner=None, over_at=now, ended_state=ended_state, ended_error=ended_error
    )


def given_up(entry: Entry, *, now: float) -> Entry:
    """The entry once it is released by hand or after a time: its key starts again. The card stays for a day."""
    since = now if entry.looked_since is None else entry.looked_since
    return _move(entry, State.GIVEN_UP, owner=None, over_at=now, looks=0, looked_since=since, next_look_at=now)


def set_aside(entry: Entry) -> Entry:
    """A copy of an entry that was given up, under a key of its own: its key is about to start again."""
    return attrs.evolve(entry, key=own_key(), fence=1, owner=None)


def watched(entry: Entry, *, now: float) -> Entry:
    """The entry that was given up, after a look-up that showed no session, or none was answered."""
    return attrs.evolve(entry, owner=None, looks=entry.looks + 1, next_look_at=now + _pause_after(entry.looks))


def forgotten(entry: Entry) -> Entry:
    """The entry that was given up, once its session is not looked for any more: the card is blanked."""
    return attrs.evolve(entry, card=None, owner=None)


def released(entry: Entry) -> Entry:
    """The entry once the call, block or recovery that owned it has ended."""
    return attrs.evolve(entry, owner=None)


def taken_over(entry: Entry, owner: str, *, on_crash: OnCrash | None = None) -> Entry:
    """The entry in the hands of another owner: earlier writers are fenced off.

    Args:
        entry: The entry as it was read.
        owner: Who takes it.
        on_crash: What its crash means from now on; None as before. Only a block changes it.
    """
    return attrs.evolve(
        entry, owner=owner, fence=entry.fence + 1, on_crash=entry.on_crash if on_crash is None else on_crash
    )


def is_look_due(entry: Entry, now: float) -> bool:
    """Whether an unknown entry is looked up again: ever more rarely, for 24 hours."""
    since = entry.looked_since
    return now >= entry.next_look_at and (since is None or now - since <= LOOK_AGAIN_FOR)


def looked_in_vain(entry: Entry, *, now: float, answered_for: float) -> Entry:
    """The entry after look-ups that were answered and showed no session: unknown, and due again later."""
    return _move(
        entry,
        State.UNKNOWN,
        owner=None,
        looks=entry.looks + 1,
        looked_since=now if entry.looked_since is None else entry.looked_since,
        answered_for=entry.answered_for + answered_for,
        next_look_at=now + _pause_after(entry.looks),
    )


def _pause_after(looks: int, first: float = _FIRST_LOOK_AGAIN, longest: float = _LONGEST_LOOK_AGAIN) -> float:
    return min(first * 2.0 ** min(looks, 16), longest)


def look_failed(entry: Entry, *, now: float) -> Entry:
    """The entry after look-ups without an answer: as it was, and due again a little later."""
    pause = _pause_after(entry.looks, longest=_LONGEST_AGAIN)
    return attrs.evolve(entry, owner=None, looks=entry.looks + 1, next_look_at=now + pause)


def stop_failed(entry: Entry, *, now: float) -> Entry:
    """The entry after a recovery that did not see its charge stopped: as it was, and due again later."""
    pause = _pause_after(entry.looks, _FIRST_STOP_AGAIN, _LONGEST_AGAIN)
    return attrs.evolve(entry, looks=entry.looks + 1, next_look_at=now + pause)


def may_give_up(entry: Entry, give_up_after: float | None) -> bool:
    """Whether an unknown entry was looked for, with answers, long enough to be given up by itself."""
    return give_up_after is not None and entry.state is State.UNKNOWN and entry.answered_for >= give_up_after


#: First character of the keys of entries without one: a caller's key must not begin with it.
_OWN: Final = "~"
_LONGEST_KEY: Final = 255


def checked_key(key: object) -> str:
    """A caller's key.

    Raises:
        ValidationError: It is not a text of 1 to 255 printable characters without outer white space, or begins with ~.
    """
    if (
        isinstance(key, str)
        and 0 < len(key) <= _LONGEST_KEY
        and key.isprintable()
        and key == key.strip()
        and not key.startswith(_OWN)
    ):
        return key
    raise ValidationError(
        [
            f"key must be a text of 1 to {_LONGEST_KEY} printable characters, without white space around it and "
            f"without {_OWN!r} at its beginning, not {shown(key)}"
        ]
    )


def own_key() -> str:
    """A key for an entry whose caller gave none."""
    return _OWN + secrets.token_hex(16)


def is_own_key(key: str) -> bool:
    """Whether a key was made by :func:`own_key`."""
    return key.startswith(_OWN)


@functools.lru_cache(maxsize=1024)
def normal_evse(evse_id: str) -> str:
    """An EVSE id in one form: equal for the same EVSE with other separators or case."""
    parsed = EvseId.try_parse(evse_id)
    return evse_id.replace("*", "").upper() if parsed is None else parsed.compact


def normal_card(card: str) -> str:
    """A card number in one form: equal for the same EMA-ID with other separators or case."""
    parsed = EmaId.try_parse(card)
    return card.upper() if parsed is None else parsed.compact


def namespace_of(api_url: str, identity: str | None) -> str:
    """What keys, sessions and owners belong to.

    Args:
        api_url: Base URL of the API.
        identity: The client id, or the value of SHELL_EV_STORE_NAMESPACE with a token source; None for the host alone.
    """
    parts = urlsplit(api_url)
    host = (parts.hostname or "").lower()
    if parts.port is not None and parts.port != {"https": 443, "http": 80}.get(parts.scheme):
        host = f"{host}:{parts.port}"
    return host if identity is None else f"{host}/{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
