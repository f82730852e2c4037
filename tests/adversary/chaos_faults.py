"""Which fault each request of the chaos run meets, and which foreign sessions and odd ids are about. Seeded."""

from __future__ import annotations

import json
import random
from email.utils import formatdate
from typing import Any
from uuid import uuid4

from .raw_server import (
    IMPOSSIBLE_IDS,
    ODD_IDS,
    Fault,
    RawServer,
    Seen,
    answer_of_another,
    date,
    drop_before_effect,
    echoes,
    extra_data,
    garbage,
    gateway_404,
    half_answer,
    half_answer_hangs,
    half_head,
    hang_after_effect,
    hang_before_effect,
    html_page,
    late_effect,
    lose_answer_after_effect,
    reset_after_effect,
    reset_before_effect,
    service_404,
    slow,
    status,
    too_many,
    unauthorized,
    unavailable_after_effect,
    unavailable_before_effect,
    unreadable,
)

#: Share of the requests that meet a fault; token requests less, or little else would happen.
SHARE, TOKEN_SHARE = 0.62, 0.3

#: Each with its weight.
ANYWHERE: list[tuple[Fault, float]] = [
    (drop_before_effect, 2),
    (lose_answer_after_effect, 4),
    (reset_before_effect, 1),
    (reset_after_effect, 2),
    (hang_before_effect, 1),
    (hang_after_effect, 2),
    (garbage, 2),
    (half_answer, 2),
    (half_head, 1),
    (half_answer_hangs, 1),
    (unreadable, 1),
    (html_page, 1),
    (status(500, after_effect=False), 1),
    (status(500, after_effect=True), 2),
    (status(502, after_effect=False), 1),
    (status(502, after_effect=True), 2),
    (status(504, after_effect=False), 1),
    (status(504, after_effect=True), 2),
    (status(408, after_effect=True), 1),
    (unavailable_before_effect(3), 1),
    (unavailable_after_effect(None), 1),
    (unavailable_after_effect(2), 4),
    (too_many(1), 2),
    (unauthorized, 1),
    (slow(4), 1),
    (date(None), 1),
]
CHARGING: list[tuple[Fault, float]] = [*ANYWHERE, (service_404, 2), (gateway_404, 2)]
OTHERS_REQUEST = "0badc0de-0000-4000-8000-000000000000"


class Chaos:
    """Chooses faults once :attr:`on` is set."""

    def __init__(self, server: RawServer, seed: int) -> None:
        self._server = server
        self._random = random.Random(f"faults {seed}")
        self.on = False
        server.choose = self._choose
        server.new_session = self._session

    def _choose(self, seen: Seen) -> Fault | None:
        chance = self._random
        if not self.on or chance.random() >= (TOKEN_SHARE if seen.operation == "token" else SHARE):
            return None
        special = self._special(seen) if chance.random() < 0.12 else None
        if special is not None:
            return special
        faults = ANYWHERE if seen.operation == "token" else CHARGING
        return chance.choices([fault for fault, _ in faults], [weight for _, weight in faults])[0]

    def _special(self, seen: Seen) -> Fault | None:
        """Faults that need the moment or the request."""
        chance, now = self._random, self._server.clock()
        foreign = next((s for s in self._server.sessions if s.owner is None and s.card == seen.card), None)
        stale = Fault(name="stale Date", headers={"Date": formatdate(now - 600, usegmt=True), "Age": "600"})
        if seen.operation == "start":
            others = answer_of_another(foreign.id if foreign is not None else str(uuid4()))
            return chance.choice([late_effect(chance.uniform(2, 50)), others, echoes(OTHERS_REQUEST)])
        if seen.operation == "stop":
            return chance.choice([late_effect(chance.uniform(2, 20)), echoes(OTHERS_REQUEST)])
        if seen.operation == "token":
            return None
        session = foreign.id if foreign is not None else str(uuid4())
        body = json.dumps({"requestId": OTHERS_REQUEST, "status": "SUCCESS", "data": [{"sessionId": session}]}).encode()
        unasked = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        return chance.choice([stale, extra_data(unasked, 0.5), extra_data(unasked)])

    def _session(self, _: Seen) -> dict[str, Any]:
        """How the session of a carried-out start looks: late, doubled, stale, with an odd id, failing."""
        if not self.on:
            return {}
        chance, now = self._random, self._server.clock()
        fields: dict[str, Any] = {"start_delay": chance.uniform(0, 20), "stop_delay": chance.uniform(0, 15)}
        fields["fraction"] = chance.random() < 0.7
        if chance.random() < 0.35:
            fields["shown_from"] = now + chance.uniform(1, 40)
        if chance.random() < 0.15:
            fields["copies"] = 2
        if chance.random() < 0.25:
            fields["stale"] = chance.uniform(1, 25)
        if chance.random() < 0.05:
            fields["fails"] = True
        if chance.random() < 0.2:
            fields["id"] = ODD_IDS[chance.choice(list(ODD_IDS))]()
        elif chance.random() < 0.01:
            fields["id"] = IMPOSSIBLE_IDS[chance.choice(list(IMPOSSIBLE_IDS))]
        return fields


def foreign_sessions(server: RawServer, chance: random.Random, card: str, evse: str, twin: str) -> None:
    """Others' sessions on a card: before, during and after a start that leaves within the next seconds, finished ones.

    ``twin`` is an EVSE that differs by its separators alone.
    """
    now = server.clock()
    for _ in range(chance.choices([0, 1, 2], [4, 5, 2])[0]):
        kind = chance.choices(["before", "just before", "during", "after", "finished", "twin"], [5, 3, 1, 1, 3, 1])[0]
        fields: dict[str, Any] = {"fraction": chance.random() < 0.7, "copies": 1 + (chance.random() < 0.1)}
        if chance.random() < 0.1:
            fields["without"] = frozenset(chance.choice([{"lastUpdated"}, {"startedAt"}, {"stoppedAt"}]))
        if chance.random() < 0.3:
            fields["shown_from"] = now + chance.uniform(0, 30)
        if kind == "before":
            server.foreign(card, evse, began=-chance.uniform(20, 900), **fields)
        elif kind == "just before":
            server.foreign(card, evse, began=-chance.uniform(4, 20), **fields)
        elif kind == "finished":
            ended = chance.uniform(5, 100)
            server.foreign(card, evse, began=-ended - chance.uniform(1, 300), ended=-ended, **fields)
        elif kind == "twin":
            server.foreign(card, twin, began=chance.uniform(0, 5), **fields)
        else:
            low, high = (0, 4) if kind == "during" else (5, 60)
            # Not shown before it begins.
            began = chance.uniform(low, high)
            fields["shown_from"] = max(now + began, fields.get("shown_from", 0.0))
            server.foreign(card, evse, began=began, **fields)
