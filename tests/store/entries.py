"""Entries for the tests of the stores."""

from __future__ import annotations

import itertools
from typing import Any

from shell_ev.store.journal import Entry, State

NAMESPACE = "api.shell.com/0123456789abcdef"
EVSE = "NL*TNM*E02003451*0"
_numbers = itertools.count(1)


def entry(key: str = "order-1", **changes: Any) -> Entry:
    """A waiting entry, with an EVSE and a RequestId of its own."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "namespace": NAMESPACE,
        "key": key,
        "request_id": f"request-{number}",
        "api_version": "v2",
        "evse": f"NLTNME{number:09}",
        "evse_id": f"NL*TNM*E{number:09}",
        "card_digest": "name:digest",
        "card": b"sealed",
        "created_at": 1_700_000_000.0 + number,
    }
    return Entry(**(values | changes))


def in_state(state: State, **changes: Any) -> Entry:
    """An entry as it is in a state."""
    facts: dict[State, dict[str, Any]] = {
        State.WAITING: {},
        State.SENT: {"sent_at": 1_700_000_001.0},
        State.ACCEPTED: {"sent_at": 1_700_000_001.0, "session_id": "session-1"},
        State.OVER: {"session_id": "session-1", "over_at": 1_700_000_100.0, "card": None},
        State.UNKNOWN: {"sent_at": 1_700_000_001.0, "looks": 1, "looked_since": 1_700_000_050.0},
        State.GIVEN_UP: {"over_at": 1_700_000_100.0, "card": None},
    }
    return entry(**({"state": state} | facts[state] | changes))
