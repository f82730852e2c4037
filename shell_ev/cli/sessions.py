"""``start``, ``stop``, ``show`` and ``active``: the single steps of a charge."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .. import ChargeNotStoppedError, ChargeSession, NotFoundError, ShellEVError
from .charge_views import state_words
from .command import card_and_evse, command, duration
from .output import Output, clock, is_terminal, json_value, print_error, printable
from .reporting import ExitCode
from .running import Run, run
from .settings import Settings, check_session_id
from .tables import Column, print_pairs, print_table

if TYPE_CHECKING:
    from .. import AsyncCharge

F = TypeVar("F", bound=Callable[..., Any])


def _session_argument(function: F) -> F:
    """Add the argument SESSION_ID and the option --any-id."""
    any_id = click.option("--any-id", is_flag=True, help="Accept a SESSION_ID that is not a UUID.")
    return click.argument("session_id", metavar="SESSION_ID")(any_id(function))


class ProblemReporter:
    """Prints errors that polling tolerates, repeated ones once."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last: str | None = None

    def __call__(self, session_id: str | None, error: ShellEVError) -> None:
        text = f"{error}; trying again"
        if isinstance(error, NotFoundError):
            # A stop gets 404 for a stopped session, too: only that of a poll is reported.
            if error.operation == "charging.stop":
                return
            text = "the service does not know this session, perhaps not yet; trying again"
        kind = text if isinstance(error, NotFoundError) else type(error).__name__
        if kind != self._last:
            self._out.note(text)
        self._last = kind


@command(
    "start",
    "shell-ev start NL-TNM-C00122045-K 'NL*TNM*E02003451*0' \\",
    "    --wait",
    "SHELL_EV_CARD=NL-TNM-C00122045-K \\",
    "    shell-ev start 'NL*TNM*E02003451*0' --key order-42",
)
@click.argument("words", metavar="[CARD] EVSE", nargs=-1)
@click.option("--wait", is_flag=True, help="Wait until the charge has started or failed to start.")
@click.option("--ema-id", metavar="EMA_ID", help="The card's EMA-ID, if CARD is not one: finds a lost start.")
@click.option("--key", metavar="KEY", help="Key in the store: the same key is one charge, also after a crash.")
@click.option(
    "--start-timeout", type=duration, metavar="TIME", default="3m", show_default=True, help="Limit for the start."
)
@click.pass_obj
def start(
    settings: Settings,
    words: tuple[str, ...],
    wait: bool,
    ema_id: str | None,
    key: str | None,
    start_timeout: float,
) -> ExitCode:
    """Start a charge and leave it running.

    CARD is the number of the charge card, by default SHELL_EV_CARD. EVSE is the id on the charger.

    An accepted start is not yet charging: --wait waits until the station has started. A start is sent once; if its
    answer is lost, the session is looked up. Ctrl-C before the session is known stops the charge; after that it keeps
    running.
    """
    given, evse_id = card_and_evse(words)
    card = settings.card(given)

    async def work(run: Run) -> None:
        from .charge_flow import StartInterrupted, start_charge

        reporter = ProblemReporter(run.out)
        try:
            charge = await start_charge(
                run, card, evse_id or "", ema_id=ema_id, key=key, start_timeout=start_timeout, on_problem=reporter
            )
        except StartInterrupted:
            raise asyncio.CancelledError from None
        if not charge.is_new:
            run.out.note("this key has a charge already: nothing was started")
        if not wait:
            _print_accepted(run.out, charge)
            if charge.is_new or not charge.is_over:
                _print_next(run, charge)
            return
        if not run.out.json:
            run.out.line(f"accepted, session {charge.session_id}")
        try:
            await charge.wait_started()
        except asyncio.CancelledError:
            run.out.note("it may be charging")
            _print_next(run, charge)
            raise
        finally:
            # Also after an error: the session must not be lost.
            if run.out.json:
                _print_accepted(run.out, charge)
        if not run.out.json:
            run.out.line(state_words(charge.state))

    return run(settings, work)


def _print_accepted(out: Output, charge: AsyncCharge) -> None:
    if out.json:
        out.document(
            {
                "session_id": charge.session_id,
                "request_id": charge.request_id,
                "session": json_value(charge.session) if charge.state is not None else None,
            }
        )
    elif is_terminal(sys.stdout):
        out.line(f"accepted, session {charge.session_id}")
    else:
        out.line(charge.session_id)


def _print_next(run: Run, charge: AsyncCharge) -> None:
    """The commands for a charge that runs on, each on its own line, to be copied."""
    if run.out.json:
        return
    for name in ("show", "stop"):
        print_error(f"{name} it: {run.settings.session_command(name, charge.session_id)}")


@command("stop", "shell-ev stop 7dabe929-c4a3-44bf-86cd-75e9bb049a79")
@_session_argument
@click.option(
    "--stop-timeout", type=duration, metavar="TIME", default="2m", show_default=True, help="Limit for the stop."
)
@click.pass_obj
def stop(settings: Settings, session_id: str, any_id: bool, stop_timeout: float) -> ExitCode:
    """Stop a charge and wait until it is stopped.

    A charge that is stopped already is no error. A session that the service does not know is tried until
    --stop-timeout: a new session may take a minute to appear.
    """
    check_session_id(session_id, any_id=any_id)

    async def work(run: Run) -> None:
        charge = run.client.attach(session_id, stop_timeout=stop_timeout, on_problem=ProblemReporter(run.out))
        try:
            session = await charge.stop(shield=False)
        except asyncio.CancelledError:
            raise ChargeNotStoppedError(
                f"interrupted before session {session_id} was seen to stop",
                session_id=session_id,
                session=charge.session,
            ) from None
        if run.out.json:
            run.out.document({"session_id": session_id, "session": json_value(session)})
        else:
            _print_session(run.out, session or ChargeSession(id=session_id))

    return run(settings, work)


@command("show", "shell-ev show 7dabe929-c4a3-44bf-86cd-75e9bb049a79")
@_session_argument
@click.option("--follow", is_flag=True, help="Print each new state until the charge is over. Ctrl-C does not stop it.")
@click.option("--every", type=duration, metavar="TIME", default="30s", show_default=True, help="Poll interval.")
@click.pass_obj
def show(settings: Settings, session_id: str, any_id: bool, follow: bool, every: float) -> ExitCode:
    """Show one charge session, running or ended."""
    check_session_id(session_id, any_id=any_id)

    async def work(run: Run) -> None:
        from .. import Polling

        charge = run.client.attach(session_id, polling=Polling(started=every))
        session = await charge.refresh()
        if run.out.json:
            (run.out.record if follow else run.out.document)(json_value(session))
        else:
            _print_session(run.out, session)
        if not follow:
            return
        async for session in charge.changes():
            if run.out.json:
                run.out.record(json_value(session))
            else:
                run.out.line(f"{datetime.now():%H:%M:%S}  {state_words(session.state)}")
        if not charge.is_over:
            run.out.note("the service does not know this session any more")

    return run(settings, work)


@command("active", "shell-ev active NL-TNM-C00122045-K")
@click.argument("ema_id", metavar="[EMA_ID]", required=False)
@click.pass_obj
def active(settings: Settings, ema_id: str | None) -> ExitCode:
    """List the running charge sessions of a card, by default of SHELL_EV_CARD."""
    card = settings.card(ema_id)

    async def work(run: Run) -> None:
        answer = await run.client.charging.active(card)
        if run.out.json:
            run.out.document(
                {"ema_id": card, "sessions": json_value(answer.data), "problems": list(answer.problems)},
            )
            return
        for problem in answer.problems:
            run.out.note(f"could not be read: {problem}")
        if not answer.data:
            run.out.note("no charge is running on this card")
            return
        columns = [Column("Session"), Column("State"), Column("EVSE"), Column("Since"), Column("For", right=True)]
        print_table(run.out.console(), columns, [_row(session) for session in answer.data])

    return run(settings, work)


def _row(session: ChargeSession) -> list[str]:
    began = session.started_at
    lasted = 0.0 if began is None else (datetime.now(UTC) - began).total_seconds()
    return [
        session.id or "?",
        state_words(session.state),
        session.evse_id or "?",
        _moment(began),
        clock(lasted) if lasted > 0 else "",
    ]


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _print_session(out: Output, session: ChargeSession) -> None:
    facts = [
        ("Session", session.id),
        ("State", state_words(session.state)),
        ("EVSE", session.evse_id),
        ("Card", session.ema_id),
        ("Started", _moment(session.started_at)),
        ("Stopped", _moment(session.stopped_at)),
    ]
    if session.error is not None:
        facts.append(("Error", ": ".join(filter(None, (session.error.code, session.error.message)))))
    print_pairs(out.console(), [(name, printable(value)) for name, value in facts if value])
