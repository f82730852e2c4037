"""A kiosk beside a charger: charges one car until it is full. Without ``await``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta

from shell_ev import ChargeSession, ShellEV, ShellEVError


@dataclass(frozen=True)
class Receipt:
    """What is printed at the end."""

    session_id: str
    charged_for: timedelta


def charge_one_car(ev: ShellEV, card: str, evse: str) -> Receipt:
    """Charge until the car is full or its driver pulls the plug."""
    with ev.charge(card, evse) as charge:
        for session in charge.changes():
            print(f"{session.state}", file=sys.stderr)
    return Receipt(charge.session_id, _duration(charge.session))


def _duration(session: ChargeSession) -> timedelta:
    if session.started_at is None or session.stopped_at is None:
        return timedelta(0)
    return session.stopped_at - session.started_at


def main() -> int:
    """Charge with the card and at the EVSE that the command line names."""
    card, evse = sys.argv[1:]
    try:
        with ShellEV.from_env() as ev:
            receipt = charge_one_car(ev, card, evse)
    except ShellEVError as error:
        print(f"Not charged: {error}")
        return 1
    print(f"Charged for {receipt.charged_for}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
