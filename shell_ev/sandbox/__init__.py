"""An embedded server that speaks all three dialects of the Shell Recharge EV API.

It shares no code with the client beside it, so that a mistake on one side cannot hide a mistake on the other.
"""

from shell_ev.sandbox.charges import SESSION_MESSAGES, Charge, SessionFailure, SessionState, StateChange
from shell_ev.sandbox.faults import OPERATIONS, Fault, Faults
from shell_ev.sandbox.named import EXAMPLE_CARD, EXAMPLE_EVSE, FAILING_EVSES, FAILING_STOP_EVSE
from shell_ev.sandbox.records import Dialect, Ending, RecordedRequest, SandboxReply, SandboxRequest
from shell_ev.sandbox.server import Sandbox
from shell_ev.sandbox.service import Service

__all__ = [
    "EXAMPLE_CARD",
    "EXAMPLE_EVSE",
    "FAILING_EVSES",
    "FAILING_STOP_EVSE",
    "OPERATIONS",
    "SESSION_MESSAGES",
    "Charge",
    "Dialect",
    "Ending",
    "Fault",
    "Faults",
    "RecordedRequest",
    "Sandbox",
    "SandboxReply",
    "SandboxRequest",
    "Service",
    "SessionFailure",
    "SessionState",
    "StateChange",
]
