"""An embedded server that speaks all three dialects of the Shell Recharge EV API.

It shares no code with the client beside it, so that a mistake on one side cannot hide a mistake on the other.
"""

from shell_ev.sandbox.charges import SESSION_MESSAGES, Charge, SessionFailure, SessionState, StateChange
from shell_ev.sandbox.clock import SandboxClock
from shell_ev.sandbox.faults import OPERATIONS, Fault, Faults, WaitingFault
from shell_ev.sandbox.named import EXAMPLE_CARD, EXAMPLE_EVSE, FAILING_EVSES, FAILING_STOP_EVSE
from shell_ev.sandbox.recording import RecordedRequest
from shell_ev.sandbox.records import Dialect, Ending, SandboxReply, SandboxRequest
from shell_ev.sandbox.remote import RemoteClock, RemoteFaults, RemoteSandbox
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
    "RemoteClock",
    "RemoteFaults",
    "RemoteSandbox",
    "Sandbox",
    "SandboxClock",
    "SandboxReply",
    "SandboxRequest",
    "Service",
    "SessionFailure",
    "SessionState",
    "StateChange",
    "WaitingFault",
]
