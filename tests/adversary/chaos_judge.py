"""The figures of the chaos run, computed from the server's records and from what each caller has in hand at the end.

doubled             Sessions beyond the first that one RequestId made, and sessions of a RequestId that no caller gave.
adopted wrongly     A charge in the caller's hand, or a stop that reached the server, for a session that is not the
                    start's own although it could be known: (a) it belongs to another start of the same client that was
                    open meanwhile or had got its session id; (b) it is on another EVSE; (c) by its shown times it
                    began, or ended, before ``sent`` - err; (d) the start's own baseline listed it; (e) the answer that
                    was adopted from listed a second candidate.
untellable          The same where no field distinguishes the session. Counted, not forbidden.
orphaned silently   An own session that runs after the end, and neither of these says so: an error of its caller with
                    ``outcome_unknown``, or with the session or its RequestId in its attributes, reasons, text or notes;
                    an ERROR line of the library with the session or its RequestId; a charge of that session in the
                    caller's hand that was not asked to stop. (A bare ``charging.start`` is not cancelled in the
                    run: its caller alone could stop what comes of it.)
orphaned, marked    The same where the start adopted a session that no field distinguishes from its own, and said so:
                    by the mark on the charge and by a line at level INFO with its RequestId. Counted, not
                    forbidden: its own session showed, or was made, only after that.
untyped errors      What reached a caller and is no ShellEVError, none of the caller's own and no cancellation; and
                    what reached the loop's exception handler.
adopted rightly     Of the lost starts that were carried out and are tellable, those with their own session in the
                    caller's hand, or asked for by the client (a retrieve or stop of its id in the server's records).
                    Lost: the start was carried out, its answer was not a whole readable 2xx with its RequestId.
                    Tellable: the caller was not cancelled; no other start of the same client on that card and EVSE
                    was open; the client's readable look-ups of the card listed no other candidate, and at least one
                    listed the own session.

``sent`` is when the start reached the server. err is 2 s (1 s, and 1 s for the resolution of the Date header), 1 s more
for whole seconds, and the longest round trip of the client's look-ups of the card; 61 s more if none of them carried a
usable Date. That is the loosest reading of the rule, so that a figure above 0 is a fault under every reading; the
share of adoptions is computed with every session in doubt as a candidate, for the same reason.
"""

from __future__ import annotations

import logging
import math
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import attrs

from .raw_server import RawServer, Seen, Session

_MARGIN = 2.0
_ADOPTION = re.compile(r"request ([0-9a-f-]{36})\).*adopted session")


@attrs.define(eq=False)
class Charge:
    """One start of one caller, and what the caller has in hand at the end."""

    request_id: str
    client: str
    card: str
    evse: str
    began: float
    ended: float = math.inf
    held: str | None = None
    """The session id of the charge that was returned or entered."""
    asked_to_stop: bool = False
    in_endpoint: bool = False
    """Whether its caller waits in ``charging.start`` itself."""
    cancelled: bool = False
    errors: list[BaseException] = attrs.field(factory=list)
    """What its caller was left with."""


class ErrorLines(logging.Handler):
    """The library's lines at level ERROR, and when it said that it adopted a session."""

    def __init__(self, clock: Callable[[], float] = lambda: math.inf) -> None:
        super().__init__(logging.INFO)
        self._clock = clock
        self.text = ""
        #: When a start adopted a session and said so, by its RequestId.
        self.adoptions: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.text += line + "\n"
        elif (adoption := _ADOPTION.search(line)) is not None:
            self.adoptions[adoption[1]] = self._clock()


class Judge:
    """Judges a run that is over."""

    def __init__(self, server: RawServer, charges: list[Charge], lines: ErrorLines) -> None:
        self._server = server
        self._charges = {charge.request_id: charge for charge in charges}
        self._lines = lines.text
        self._adoptions = lines.adoptions
        self._own: dict[str, list[Session]] = defaultdict(list)
        for session in server.sessions:
            if session.owner is not None:
                self._own[session.owner].append(session)
        self._starts: dict[str, list[Seen]] = defaultdict(list)
        self._looks: dict[tuple[str | None, str | None], list[Seen]] = defaultdict(list)
        self._asked: dict[tuple[str | None, str | None], list[Seen]] = defaultdict(list)
        for seen in server.requests:
            if seen.operation == "start":
                self._starts[seen.request_id or ""].append(seen)
            elif seen.operation == "active":
                self._looks[seen.client, seen.card].append(seen)
            elif seen.operation in ("retrieve", "stop"):
                self._asked[seen.client, seen.session_id].append(seen)
        self._by_place: dict[tuple[str, str, str], list[Charge]] = defaultdict(list)
        for charge in charges:
            self._by_place[charge.client, charge.card, charge.evse].append(charge)

    def doubled(self) -> list[Session]:
        """Sessions that no caller asked for."""
        return [s for owner, sessions in self._own.items() for s in sessions[owner in self._charges :]]

    def adopted_of_another(self) -> tuple[list[tuple[Charge, Session]], int]:
        """Those that could be known, and the number of the untellable."""
        found: dict[tuple[str, int], tuple[Charge, Session]] = {}
        sessions = {str(session.id): session for session in self._server.sessions}
        for charge in self._charges.values():
            session = None if charge.held is None else sessions.get(charge.held)
            if session is not None and session.owner != charge.request_id:
                found[charge.request_id, id(session)] = charge, session
        by_card = defaultdict(list)
        for charge in self._charges.values():
            by_card[charge.client, charge.card].append(charge)
        for seen in self._server.requests:
            session = seen.session
            if seen.operation != "stop" or session is None or session.client == seen.client:
                continue
            suspects = by_card[seen.client or "", session.card]
            if not any((charge.request_id, id(session)) in found for charge in suspects) and suspects:
                # Entered and left within the library: the start that is the closest fit did it.
                likely = max(suspects, key=lambda charge: not self._is_knowable(charge, session))
                found[likely.request_id, id(session)] = likely, session
        wrong = [pair for pair in found.values() if self._is_knowable(*pair)]
        return wrong, len(found) - len(wrong)

    def _is_knowable(self, charge: Charge, session: Session) -> bool:
        """Whether it could be known that the session is not the start's."""
        asked = self._asked[charge.client, str(session.id)]
        until = min(asked[0].at if asked else charge.ended, self._adoptions.get(charge.request_id, math.inf))
        if session.evse != charge.evse or self._is_other_start(charge, session, until):
            return True
        baseline = self._baseline(charge)
        if session in baseline or not self._fits(charge, session, self._err(charge, session)):
            return True
        looks = [seen for seen in self._searches(charge) if session in seen.listed and seen.at <= until]
        others = [s for s in looks[-1].listed if s is not session and s not in baseline] if looks else []
        return any(
            other.evse == charge.evse
            and _can_travel(other.id)
            and self._fits(charge, other, 0.5)
            and not self._is_settled(charge, other, until)
            for other in others
        )

    def _is_settled(self, charge: Charge, session: Session, until: float) -> bool:
        """Whether another start of the same client had got the id of this session: it is no second candidate."""
        other = self._charges.get(session.owner or "")
        if other is None or other is charge or other.client != charge.client:
            return False
        return any(_is_whole_start(seen) and _answered(seen) <= until for seen in self._starts[other.request_id])

    def _is_other_start(self, charge: Charge, session: Session, until: float) -> bool:
        """Whether it belongs to another start of the same client, one that was open or had got its session id."""
        other = self._charges.get(session.owner or "")
        if other is None or other is charge or other.client != charge.client:
            return False
        if other.began <= charge.ended and charge.began <= other.ended:
            return True
        answered = any(_is_whole_start(seen) for seen in self._starts[other.request_id])
        return answered or (other.held == str(session.id) and other.ended <= until)

    def _baseline(self, charge: Charge) -> list[Session]:
        """What was listed to this client between the beginning of the charge and its start request."""
        sent = self._sent(charge)
        looks = self._looks[charge.client, charge.card]
        return [s for seen in looks if charge.began <= seen.at < sent and _is_readable(seen) for s in seen.listed]

    def _sent(self, charge: Charge) -> float:
        starts = self._starts[charge.request_id]
        return starts[-1].at if starts else charge.began

    def _searches(self, charge: Charge) -> list[Seen]:
        """The look-ups of the card that were answered readably while this start was looked for."""
        sent = self._sent(charge)
        looks = self._looks[charge.client, charge.card]
        return [seen for seen in looks if sent <= seen.at and _is_readable(seen) and _answered(seen) <= charge.ended]

    def _err(self, charge: Charge, session: Session) -> float:
        """How far before ``sent`` a session may have begun under the loosest reading."""
        looks = self._searches(charge)
        err = _MARGIN + (0.0 if session.fraction else 1.0)
        err += max(((seen.answered_at or seen.at) - seen.at for seen in looks), default=0.0)
        return err if any("Date" not in seen.fault.headers for seen in looks) else err + 61.0

    def _fits(self, charge: Charge, session: Session, err: float) -> bool:
        """Whether the times of a session make it a candidate for a start."""
        sent = self._sent(charge)
        ended = session.ended_at()
        if "startedAt" not in session.without:
            return session.began >= sent - err
        if ended is not None and "stoppedAt" not in session.without and ended < sent - err:
            return False
        theirs = [at for at, by in zip(session.stops, session.stopped_by, strict=True) if by is None]
        touched = max([session.began, *theirs])
        return "lastUpdated" in session.without or touched >= sent - 60.0 - err

    def orphaned_silently(self) -> list[Session]:
        """Own sessions that run on although nothing says so."""
        return [session for session in self._unsaid() if not self._is_marked(session)]

    def orphaned_and_marked(self) -> list[Session]:
        """Own sessions that run on because their start adopted another that no field distinguishes, and said so."""
        return [session for session in self._unsaid() if self._is_marked(session)]

    def _unsaid(self) -> list[Session]:
        now = self._server.clock()
        running = [s for sessions in self._own.values() for s in sessions if not s.is_over(now)]
        return [session for session in running if not self._is_said(session)]

    def _is_marked(self, session: Session) -> bool:
        charge = self._charges.get(session.owner or "")
        if charge is None or charge.request_id not in self._adoptions:
            return False
        held = next((s for s in self._server.sessions if str(s.id) == charge.held), None)
        return held is not session and (held is None or not self._is_knowable(charge, held))

    def _is_said(self, session: Session) -> bool:
        charge = self._charges.get(session.owner or "")
        names = [session.owner or "", *([str(session.id)] if _can_travel(session.id) else [])]
        if any(name in self._lines for name in names):
            return True
        if charge is None:
            return False
        if charge.held == str(session.id) and not charge.asked_to_stop:
            return True
        if any(getattr(error, "outcome_unknown", False) is True for error in charge.errors):
            return True
        said = "\n".join(_everything(error) for error in charge.errors)
        return any(name in said for name in names)

    def untyped(self, allowed: tuple[type[BaseException], ...]) -> list[BaseException]:
        """Errors that reached a caller and are none of ``allowed``."""
        errors = (error for charge in self._charges.values() for error in charge.errors)
        return [error for error in errors if not isinstance(error, allowed)]

    def lost(self) -> tuple[int, list[Charge], list[Charge]]:
        """Lost starts that were carried out: how many, the tellable ones, and those of them adopted rightly."""
        lost = [charge for charge in self._charges.values() if self._is_lost(charge)]
        tellable = [charge for charge in lost if self._is_tellable(charge)]
        return len(lost), tellable, [charge for charge in tellable if self._is_adopted(charge)]

    def _is_adopted(self, charge: Charge) -> bool:
        own = str(self._own[charge.request_id][0].id)
        return charge.held == own or bool(self._asked[charge.client, own])

    def _is_lost(self, charge: Charge) -> bool:
        carried_out = [seen for seen in self._starts[charge.request_id] if seen.carried_out]
        return bool(carried_out) and not any(_is_whole_start(seen) for seen in carried_out)

    def _is_tellable(self, charge: Charge) -> bool:
        own = self._own[charge.request_id][0]
        if charge.cancelled or not _can_travel(own.id):
            return False
        for other in self._by_place[charge.client, charge.card, charge.evse]:
            if other is not charge and other.began <= charge.ended and charge.began <= other.ended:
                return False
        looks = self._searches(charge)
        others = {id(s): s for seen in looks for s in seen.listed if s is not own and s.evse == charge.evse}
        if any(self._fits(charge, other, self._err(charge, other)) for other in others.values()):
            return False
        return any(own in seen.listed for seen in looks)


def _answered(seen: Seen) -> float:
    return math.inf if seen.answered_at is None else seen.answered_at


def _is_readable(seen: Seen) -> bool:
    fault = seen.fault
    whole = seen.status == 200 and seen.answered_at is not None
    return whole and fault.body is None and fault.raw is None


def _is_whole_start(seen: Seen) -> bool:
    fault = seen.fault
    if seen.answered_at is None or seen.status is None or seen.status >= 300:
        return False
    plain = fault.body is None and fault.raw is None and fault.request_id is None and fault.data is None
    return plain and seen.session is not None and _can_travel(seen.session.id)


def _can_travel(session_id: Any) -> bool:
    text = str(session_id) if isinstance(session_id, (str, int)) else ""
    fits = 1 <= len(text) <= 255 and text == text.strip() and text.isprintable()
    return fits and text not in (".", "..") and not text.startswith("NL*")


def _everything(error: BaseException) -> str:
    """All that an error says: text, attributes, notes, and the errors behind it."""
    texts: list[str] = []
    behind: BaseException | None = error
    for _ in range(5):
        if behind is None:
            break
        texts += [str(behind), repr(vars(behind)), *getattr(behind, "__notes__", ())]
        behind = behind.__cause__ or behind.__context__
    return "\n".join(texts)
