"""What the exit codes of ``shell-ev`` mean, and which error ends with which. Knows no command."""

from __future__ import annotations

from enum import IntEnum

from ..errors import (
    ApiError,
    AuthenticationError,
    ChargeFailedError,
    ChargePendingError,
    ConfigurationError,
    ForbiddenError,
    ResponseDecodeError,
    ShellEVError,
    TransportError,
    UnauthorizedError,
    ValidationError,
)


class ExitCode(IntEnum):
    """Every code that ``shell-ev`` ends with; ``docs/command-line.md`` has the same table."""

    OK = 0
    NO = 1
    USAGE = 2
    CONFIGURATION = 3
    AUTHENTICATION = 4
    REFUSED = 5
    NO_ANSWER = 6
    OUTCOME_UNKNOWN = 7
    CHARGE_FAILED = 8
    CHARGE_PENDING = 9
    INTERNAL = 70
    OUTPUT = 74
    HUNG_UP = 129
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """What it means, as the documentation says it."""
        return _MEANINGS[self]


_STOPPED_FIRST = "a charge that the command held was stopped first, unless `--keep-running` says otherwise."

_MEANINGS = {
    ExitCode.OK: "Done.",
    ExitCode.NO: "The answer is no: `id check` found an invalid id, `doctor` a fault, `demo` did not end well.",
    ExitCode.USAGE: "The command line, or a value on it, is not valid. Nothing was sent.",
    ExitCode.CONFIGURATION: "The set-up is not valid: no credentials, a bad env file or option, no extra `cli`.",
    ExitCode.AUTHENTICATION: "The service refused the credentials or the token (401, 403).",
    ExitCode.REFUSED: "The service refused, failed, does not know the thing, or answered what cannot be read.",
    ExitCode.NO_ANSWER: "No answer: no connection, or not in time. Nothing was started or stopped.",
    ExitCode.OUTCOME_UNKNOWN: "**A car may be charging, or go on charging**: do what the message says.",
    ExitCode.CHARGE_FAILED: "The charge did not start; the service says why.",
    ExitCode.CHARGE_PENDING: "The start was accepted and has not come true in time: it may start yet.",
    ExitCode.INTERNAL: "A mistake in shell_ev itself; please report it with what `-vv` shows.",
    ExitCode.OUTPUT: "The output could not be written: the disk is full, for one.",
    ExitCode.HUNG_UP: f"SIGHUP, the terminal was closed; {_STOPPED_FIRST}",
    ExitCode.INTERRUPTED: f"Ctrl-C (SIGINT); {_STOPPED_FIRST}",
    ExitCode.BROKEN_PIPE: f"Whoever read the output has left, as `head` does; {_STOPPED_FIRST}",
    ExitCode.TERMINATED: f"SIGTERM; {_STOPPED_FIRST}",
}


class Interrupted(Exception):
    """A signal ended the command, and nothing is left open."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


def code_of(error: ShellEVError) -> ExitCode:
    """The code that a command ends with when this error is its outcome."""
    # What may have moved a car comes first, whatever else the error is.
    if isinstance(error, ChargePendingError):
        return ExitCode.CHARGE_PENDING
    if error.outcome_unknown:
        return ExitCode.OUTCOME_UNKNOWN
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return ExitCode.INTERNAL


_CODES: tuple[tuple[tuple[type[ShellEVError], ...], ExitCode], ...] = (
    ((ChargeFailedError,), ExitCode.CHARGE_FAILED),
    ((ValidationError,), ExitCode.USAGE),
    ((ConfigurationError,), ExitCode.CONFIGURATION),
    ((AuthenticationError, UnauthorizedError, ForbiddenError), ExitCode.AUTHENTICATION),
    ((TransportError,), ExitCode.NO_ANSWER),
    ((ApiError, ResponseDecodeError), ExitCode.REFUSED),
)
