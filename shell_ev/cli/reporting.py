"""Exit codes, and the report of a failed command: one line, or one JSON object, on stderr."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import Any

from .. import (
    ApiError,
    AuthenticationError,
    ChargeFailedError,
    ChargeInProgressError,
    ChargePendingError,
    ConfigurationError,
    EmaId,
    EvseNotAvailableError,
    ForbiddenError,
    NotFoundError,
    ResponseDecodeError,
    ShellEVError,
    StoreError,
    TransportError,
    UnauthorizedError,
    ValidationError,
)
from .output import dumps, json_value, print_error, print_message, printable, shortened
from .settings import Settings


class ExitCode(IntEnum):
    """Every exit code of ``shell-ev``; ``docs/command-line.md`` has the same table."""

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
    IN_PROGRESS = 10
    STORE = 11
    INTERNAL = 70
    OUTPUT = 74
    HUNG_UP = 129
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """The meaning, as in the documentation."""
        return _MEANINGS[self]


_STOPPED_FIRST = "a charge that the command had started was stopped first, except with `--keep-running`."

_MEANINGS = {
    ExitCode.OK: "Done.",
    ExitCode.NO: "The answer is no: `id check` found an invalid id, `doctor` a fault, `demo` failed, or "
    "`charge --near` found nothing or was answered with no.",
    ExitCode.USAGE: "The command line, or a value on it, is not valid. Nothing was sent.",
    ExitCode.CONFIGURATION: "The set-up is not valid: no credentials, a bad env file or option, no extra `cli`.",
    ExitCode.AUTHENTICATION: "The service refused the credentials or the token (401, 403).",
    ExitCode.REFUSED: "The service refused, failed, does not know the object, or its answer cannot be read.",
    ExitCode.NO_ANSWER: "No answer: no connection, or a timeout. Nothing was started or stopped.",
    ExitCode.OUTCOME_UNKNOWN: "**A car may be charging**: follow the message.",
    ExitCode.CHARGE_FAILED: "The charge did not start; the message has the service's reason.",
    ExitCode.CHARGE_PENDING: "The start was accepted, but the charge has not started in time: it may start yet.",
    ExitCode.IN_PROGRESS: "Another process works on this key, or a start on this EVSE is open. Nothing was sent.",
    ExitCode.STORE: "The store cannot be used, or `journal check` found a fault. Nothing was started.",
    ExitCode.INTERNAL: "A bug in shell_ev; please report it with the output of `-vv`.",
    ExitCode.OUTPUT: "The output could not be written, for example because the disk is full.",
    ExitCode.HUNG_UP: f"SIGHUP, the terminal was closed; {_STOPPED_FIRST}",
    ExitCode.INTERRUPTED: f"Ctrl-C (SIGINT); {_STOPPED_FIRST}",
    ExitCode.BROKEN_PIPE: f"The reader of the output has closed it, as `head` does; {_STOPPED_FIRST}",
    ExitCode.TERMINATED: f"SIGTERM; {_STOPPED_FIRST}",
}


class Interrupted(Exception):
    """A signal ended the command, and nothing is left open."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


_CODES: tuple[tuple[tuple[type[ShellEVError], ...], ExitCode], ...] = (
    ((ChargeFailedError,), ExitCode.CHARGE_FAILED),
    ((ChargeInProgressError,), ExitCode.IN_PROGRESS),
    ((StoreError,), ExitCode.STORE),
    ((ValidationError,), ExitCode.USAGE),
    ((ConfigurationError,), ExitCode.CONFIGURATION),
    ((AuthenticationError, UnauthorizedError, ForbiddenError), ExitCode.AUTHENTICATION),
    ((TransportError, EvseNotAvailableError), ExitCode.NO_ANSWER),
    ((ApiError, ResponseDecodeError), ExitCode.REFUSED),
)


def exit_code_of(error: ShellEVError) -> ExitCode:
    """The exit code of a command that ends with this error."""
    # A car that may be charging takes precedence over the class of the error.
    if isinstance(error, ChargePendingError):
        return ExitCode.CHARGE_PENDING
    if error.outcome_unknown:
        return ExitCode.OUTCOME_UNKNOWN
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return ExitCode.INTERNAL


_ALARM = "CAREFUL, A CAR MAY BE CHARGING"
#: What to run after an error that leaves no charge open: name of the command and its words.
_NEXT: dict[ExitCode, tuple[str, ...]] = {
    ExitCode.AUTHENTICATION: ("doctor",),
    ExitCode.NO_ANSWER: ("doctor",),
    ExitCode.IN_PROGRESS: ("charges",),
    ExitCode.STORE: ("journal", "check"),
}
_SERVER_ERROR = 500
#: What to run after a 404, by operation: it lists what there is.
_LISTS = {
    "charging.retrieve": ("active", "EMA_ID"),
    "charging.stop": ("active", "EMA_ID"),
    "locations.get": ("locations",),
}
#: Attributes of errors in the JSON object; null for an error without the attribute.
_FACTS = ("request_id", "session_id", "operation", "status_code", "code", "retry_after", "attempts")


def report_error(error: ShellEVError, settings: Settings) -> ExitCode:
    """Report an error of the library; the exit code."""
    code = exit_code_of(error)
    report_failure(
        settings,
        code,
        kind=type(error).__name__,
        message=str(error),
        text=_text(error),
        outcome_unknown=error.outcome_unknown,
        facts={name: getattr(error, name, None) for name in _FACTS},
        faults=list(getattr(error, "faults", ())),
        errors=json_value(getattr(error, "errors", ())),
        next_commands=next_commands(error, settings),
    )
    return code


def report_failure(
    settings: Settings,
    code: ExitCode,
    *,
    kind: str,
    message: str,
    text: str | None = None,
    outcome_unknown: bool = False,
    facts: dict[str, Any] | None = None,
    faults: list[str] | None = None,
    errors: list[Any] | None = None,
    next_commands: list[str] | None = None,
) -> None:
    """Print the line, or with ``--json`` the object, of a failed command.

    Args:
        settings: The shared options.
        code: Exit code of the command.
        kind: Name of the error.
        message: The error's message, for JSON.
        text: The message for people; default: ``message``.
        outcome_unknown: Whether a car may be charging.
        facts: Attributes of the error.
        faults: Faults of arguments.
        errors: Error details of the service.
        next_commands: Shell commands to run next.
    """
    following = next_commands or []
    if settings.json:
        given = facts or {}
        print_error(
            dumps(
                {
                    "error": {
                        "type": kind,
                        "message": message,
                        "exit_code": int(code),
                        "outcome_unknown": outcome_unknown,
                        **{name: given.get(name) for name in _FACTS},
                        "faults": faults or [],
                        "errors": errors or [],
                        "next_commands": following,
                    }
                }
            )
        )
        return
    print_message(
        shortened(text or message, 1200),
        following,
        lead=". Next: " if outcome_unknown else "; try: ",
        alarm=_ALARM if outcome_unknown else "",
        red=not (settings.no_color or os.environ.get("NO_COLOR")),
    )


def _text(error: ShellEVError) -> str:
    """The message for people: without API names, and without the words of the alarm in front of it."""
    if isinstance(error, ChargePendingError):
        state = error.session.state if error.session is not None else None
        return f"session {error.session_id} has not started in time and may start yet; it is {state or 'not shown'}"
    if isinstance(error, ValidationError):
        return "; ".join(error.faults)
    notes: list[str] = getattr(error, "__notes__", [])
    message = str(error).removeprefix("the car may still be charging: ")
    return "; ".join([message, *_descriptions(error), *notes])


def _descriptions(error: ShellEVError) -> list[str]:
    """Descriptions of the service that are not part of the error's message."""
    details = error.errors if isinstance(error, ApiError) else ()
    texts = [printable(detail.description) for detail in details if detail.description]
    return [text for text in dict.fromkeys(texts) if text not in str(error)]


def next_commands(error: ShellEVError, settings: Settings) -> list[str]:
    """Shell commands to run after an error, the most important first."""
    if settings.sandbox:
        return []  # an embedded sandbox ends with the command
    session_id = getattr(error, "session_id", None)
    if isinstance(error, ChargeFailedError) and session_id and not error.outcome_unknown:
        return [settings.session_command("show", session_id)]
    if not error.outcome_unknown:
        words = _next_words(error)
        return [settings.command(words[0], None, *words[1:])] if words else []
    if session_id:
        show, stop = settings.session_command("show", session_id), settings.session_command("stop", session_id)
        return [show, stop] if isinstance(error, ChargePendingError) else [stop, show]
    arguments: dict[str, str] = getattr(error, "arguments", {})
    card = arguments.get("ev_charge_number")
    if not card:
        return []
    return [settings.command("active", card if EmaId.looks_like(card) else "EMA_ID")]


def _next_words(error: ShellEVError) -> tuple[str, ...]:
    if isinstance(error, NotFoundError):
        return _LISTS.get(error.operation or "", ())
    if isinstance(error, ApiError | ResponseDecodeError) and (error.status_code or 0) >= _SERVER_ERROR:
        return ("doctor",)
    return _NEXT.get(exit_code_of(error), ())
