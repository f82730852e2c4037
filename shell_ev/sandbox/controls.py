"""What can be done to a sandbox while it runs: one method per act, for Python and for the control API alike."""

from __future__ import annotations

import math
from typing import Any

from shell_ev.sandbox.charges import Charge
from shell_ev.sandbox.clock import SandboxClock
from shell_ev.sandbox.service import Service, checked_key

SETTINGS = ("start_delay", "stop_delay", "show_sessions_after", "retrieve_state_key", "sdk_1_1")
"""Names of what can be set while a sandbox runs."""


class Controls:
    """Acts on one service and its clock."""

    def __init__(self, service: Service, clock: SandboxClock) -> None:
        """Act on this service."""
        self.service = service
        self.clock = clock
        clock.changed = lambda: service.journal.note("clock")

    def set_evse_status(self, evse_id: str, status: str | None) -> None:
        """Set the status of an EVSE while no charge runs on it; None brings back the one of the seed."""
        self.service.locations.set_status(evse_id, status, self.service.now())
        self.service.journal.note("evse", evse_id)

    def evse_status(self, evse_id: str) -> str:
        """Return the status of an EVSE at this moment."""
        return self.service.locations.status(evse_id)

    def charge(self, session_id: str) -> Charge:
        """Return a charge. Raises KeyError when there is none of this id."""
        charge = self.service.book.get(session_id)
        if charge is None:
            raise KeyError(session_id)
        return charge

    def end_charge(self, session_id: str) -> None:
        """Let a charge end by itself, as when the car is full or the driver pulls the plug."""
        self.service.book.end(self.charge(session_id))

    def fail_charge(self, session_id: str, code: str = "InternalError") -> None:
        """Let a charge fail, see `ChargeBook.fail`."""
        self.service.book.fail(self.charge(session_id), code)

    def forget_charge(self, session_id: str) -> None:
        """Lose a charge, see `ChargeBook.forget`."""
        charge = self.charge(session_id)
        self.service.book.forget(charge)
        self.service.journal.note("evse", charge.evse_id)

    def fail_stops(self, evse_id: str, times: int = 1) -> None:
        """Let the next `times` stops on an EVSE fail; -1 lets all of them fail, 0 none."""
        self.service.book.fail_stops(evse_id, times)

    def clear_requests(self) -> None:
        """Empty the log of requests; their numbers go on."""
        self.service.requests.clear()
        self.service.journal.note("requests")

    def revoke_tokens(self) -> None:
        """Make every token issued so far worthless."""
        self.service.tokens.revoke_all()
        self.service.journal.note("tokens")

    def reset(self) -> None:
        """Begin again from the seed, see `Service.reset`; the clock runs as at first."""
        self.clock.reset()
        self.service.reset()

    def settings(self) -> dict[str, Any]:
        """Return every setting."""
        return {name: getattr(self._holder(name), name) for name in SETTINGS}

    def set(self, name: str, value: Any) -> None:
        """Change a setting.

        Args:
            name: One of `SETTINGS`.
            value: Sandbox seconds for the delays, a text for `retrieve_state_key`, a bool for `sdk_1_1`.

        Raises:
            ValueError: There is no such setting, or the value does not fit.
        """
        self.check(name, value)
        setattr(self._holder(name), name, value)
        self.service.journal.note("settings")

    def check(self, name: str, value: Any) -> None:
        """Raise ValueError for a setting that `set` refuses."""
        if name not in SETTINGS:
            raise ValueError(f"unknown setting {name!r}; known are {', '.join(SETTINGS)}")
        if name == "sdk_1_1":
            if not isinstance(value, bool):
                raise ValueError("sdk_1_1 must be true or false")
        elif name != "retrieve_state_key" and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf
        ):
            raise ValueError(f"{name} must be a number of seconds of at least 0")
        if name == "retrieve_state_key":
            checked_key(value)

    def _holder(self, name: str) -> Any:
        return self.service.book if hasattr(self.service.book, name) else self.service
