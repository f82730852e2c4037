"""How a command that failed says so: one line, or one JSON object, on stderr. Knows errors; knows no command."""

from __future__ import annotations

import os
import sys
from typing import Any

from ..errors import ApiError, ChargePendingError, ShellEVError, ValidationError, one_line
from .exit_codes import ExitCode, code_of
from .output import dumps, is_terminal, say
from .settings import PROGRAM, Settings
from .shapes import plain

#: Attributes of errors that go into the JSON object, null where an error does not have them.
_FACTS = ("request_id", "session_id", "operation", "status_code", "code", "retry_after", "attempts")


def report(error: ShellEVError, settings: Settings) -> ExitCode:
    """Tell of an error of the library; the exit code."""
    code = code_of(error)
    tell(
        settings,
        code,
        kind=type(error).__name__,
        message=str(error),
        plainly=_plainly(error) + _look_with(code, settings),
        outcome_unknown=error.outcome_unknown,
        facts={name: getattr(error, name, None) for name in _FACTS},
        faults=list(getattr(error, "faults", ())),
        errors=plain(getattr(error, "errors", ())),
        next_commands=next_commands(error, settings),
    )
    return code


def tell(
    settings: Settings,
    code: ExitCode,
    *,
    kind: str,
    message: str,
    plainly: str | None = None,
    outcome_unknown: bool = False,
    facts: dict[str, Any] | None = None,
    faults: list[str] | None = None,
    errors: list[Any] | None = None,
    next_commands: list[str] | None = None,
) -> None:
    """Write the one line, or with ``--json`` the one object, of a command that failed."""
    following = next_commands or []
    if settings.json:
        given = facts or {}
        say(
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
    alarm = f"{_loud('CAREFUL, A CAR MAY BE CHARGING', settings)}: " if outcome_unknown else ""
    what_next = f". Next: {'  or  '.join(following)}" if following else ""
    say(f"{PROGRAM}: {alarm}{one_line(plainly or message, 1200)}{what_next}")


def _plainly(error: ShellEVError) -> str:
    """The message without what is for programmers, or said already by the alarm in front of it."""
    if isinstance(error, ChargePendingError):
        state = error.session.state if error.session is not None else None
        return f"session {error.session_id} has not started in time and may start yet; it is {state or 'not shown'}"
    if isinstance(error, ValidationError):
        return "; ".join(error.faults)
    notes: list[str] = getattr(error, "__notes__", [])
    told = str(error).removeprefix("the car may still be charging: ")
    return "; ".join([told, *_described(error), *notes])


def _described(error: ShellEVError) -> list[str]:
    """What the service said at length, as far as the error's own line does not say it."""
    details = error.errors if isinstance(error, ApiError) else ()
    texts = [one_line(detail.description) for detail in details if detail.description]
    return [text for text in dict.fromkeys(texts) if text not in str(error)]


def _look_with(code: ExitCode, settings: Settings) -> str:
    """Where no answer came, the command that finds out why."""
    if code is not ExitCode.NO_ANSWER or settings.sandbox:
        return ""
    return f"; try: {settings.command('doctor')}"


def _loud(text: str, settings: Settings) -> str:
    plain = settings.no_color or os.environ.get("NO_COLOR") or not is_terminal(sys.stderr)
    return text if plain else f"\x1b[1;31m{text}\x1b[0m"


def next_commands(error: ShellEVError, settings: Settings) -> list[str]:
    """What to run after an error that leaves something open; the first is the one to begin with."""
    if not error.outcome_unknown or settings.sandbox:
        return []  # an embedded sandbox ended with the command
    session_id = getattr(error, "session_id", None)
    if session_id:
        look, stop = settings.command("show", session_id), settings.command("stop", session_id)
        return [look, stop] if isinstance(error, ChargePendingError) else [stop, look]
    arguments: dict[str, str] = getattr(error, "arguments", {})
    card = arguments.get("ev_charge_number")
    # Here and not above: it takes the whole engine along, which a command that sends nothing does without.
    from ..charges.reconcile import ema_id_of

    return [settings.command("active", ema_id_of(card) or "EMA_ID")] if card else []
