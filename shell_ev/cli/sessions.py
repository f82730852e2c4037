"""``start``, ``stop``, ``show`` and ``active``: the charge in single steps.

Knows how they look; what they do is the library's.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..errors import ChargeNotStoppedError, NotFoundError, ShellEVError
from ..models.charging import ChargeSession
from ..wire.operations import STOP
from .charge_events import state_words
from .command import command
from .exit_codes import ExitCode
from .output import Output, printable
from .running import Run, raise_if_open, run
from .settings import Settings
from .shapes import plain
from .tables import Column, print_pairs, print_table
from .values import clock, duration

if TYPE_CHECKING:
    from ..charges.charge import AsyncCharge

_SESSION = click.argument("session_id", metavar="SESSION_ID")


class _Riding:
    """Tells of errors that are ridden out, each kind once in a row."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._told: str | None = None

    def __call__(self, session_id: str | None, error: ShellEVError) -> None:
        text = f"{error}; going on"
        if isinstance(error, NotFoundError):
            # To a stop it says nothing: the session may have stopped already. To a look it does.
            if error.operation == STOP.name:
                return
            text = "the service does not know this session, perhaps not yet; going on"
        kind = text if isinstance(error, NotFoundError) else type(error).__name__
        if kind != self._told:
            self._out.note(text)
        self._told = kind


@command("start")
@click.argument("card", metavar="CARD")
@click.argument("evse_id", metavar="EVSE")
@click.option("--wait", is_flag=True, help="Wait until it has started, or failed to.")
@click.option("--ema-id", metavar="EMA_ID", help="The card's EMA-ID, if CARD is not one: finds a lost start.")
@click.option(
    "--start-timeout", type=duration, metavar="TIME", default="3m", show_default=True, help="To see it start."
)
@click.pass_obj
def start(
    settings: Settings, card: str, evse_id: str, wait: bool, ema_id: str | None, start_timeout: float
) -> ExitCode:
    """Start a charge and leave it running.

    Accepted is not charging: --wait waits until the station has started. A start whose answer is lost is looked for,
    and never sent twice. Ctrl-C before the session is known stops what may have come of it; after that the charge runs.
    """

    async def work(run: Run) -> None:
        try:
            charge = await run.ev.start_charge(
                card, evse_id, ema_id=ema_id, start_timeout=start_timeout, on_problem=_Riding(run.out)
            )
        except asyncio.CancelledError as cancelled:
            raise_if_open(cancelled, ev_charge_number=card, evse_id=evse_id)
            raise
        if not wait:
            _accepted(run.out, charge)
            run.out.note(f"accepted, not yet charging; to see and to stop it: {_next(settings, charge.session_id)}")
            return
        if not run.out.json:
            run.out.line(f"accepted, session {charge.session_id}")
        try:
            await charge.wait_started()
        except asyncio.CancelledError:
            run.out.note(f"it may be charging; to see and to stop it: {_next(settings, charge.session_id)}")
            raise
        finally:
            # Whatever comes of the waiting, the session goes on and must not be lost.
            if run.out.json:
                _accepted(run.out, charge)
        if not run.out.json:
            run.out.line(state_words(charge.state))

    return run(settings, work)


def _accepted(out: Output, charge: AsyncCharge) -> None:
    if out.json:
        out.document(
            {"session_id": charge.session_id, "request_id": charge.request_id, "session": plain(charge.session)}
        )
    else:
        out.line(charge.session_id)


def _next(settings: Settings, session_id: str) -> str:
    return f"{settings.command('show', session_id)}  {settings.command('stop', session_id)}"


@command("stop")
@_SESSION
@click.option("--stop-timeout", type=duration, metavar="TIME", default="2m", show_default=True, help="To be stopped.")
@click.pass_obj
def stop(settings: Settings, session_id: str, stop_timeout: float) -> ExitCode:
    """Stop a charge and wait until it is seen stopped.

    One that has stopped already is fine. A session that the service does not know is tried until --stop-timeout: a
    fresh one may take a minute to show.
    """

    async def work(run: Run) -> None:
        charge = run.ev.attach(session_id, stop_timeout=stop_timeout, on_problem=_Riding(run.out))
        try:
            session = await charge.stopping()
        except asyncio.CancelledError:
            raise ChargeNotStoppedError(
                f"interrupted before session {session_id} was seen to stop",
                session_id=session_id,
                session=charge.session,
            ) from None
        if run.out.json:
            run.out.document({"session_id": session_id, "session": plain(session)})
        else:
            _print_session(run.out, session or ChargeSession(id=session_id))

    return run(settings, work)


@command("show")
@_SESSION
@click.option("--follow", is_flag=True, help="Go on with each new state until it is over; Ctrl-C leaves it as it is.")
@click.option("--every", type=duration, metavar="TIME", default="30s", show_default=True, help="How often to look.")
@click.pass_obj
def show(settings: Settings, session_id: str, follow: bool, every: float) -> ExitCode:
    """Show one charge session, running or ended."""
    from ..charges.poller import Polling

    async def work(run: Run) -> None:
        charge = run.ev.attach(session_id, polling=Polling(started=every))
        _show(run.out, await charge.refresh())
        if not follow:
            return
        async for session in charge.changes():
            if run.out.json:
                run.out.document(plain(session))
            else:
                run.out.line(f"{datetime.now():%H:%M:%S}  {state_words(session.state)}")
        if not charge.is_over:
            run.out.note("the service does not know this session any more")

    return run(settings, work)


def _show(out: Output, session: ChargeSession) -> None:
    if out.json:
        out.document(plain(session))
    else:
        _print_session(out, session)


@command("active")
@click.argument("ema_id", metavar="EMA_ID")
@click.pass_obj
def active(settings: Settings, ema_id: str) -> ExitCode:
    """List the running charge sessions of a card."""

    async def work(run: Run) -> None:
        answer = await run.ev.charging.active(ema_id)
        if run.out.json:
            run.out.document(
                {"ema_id": ema_id, "sessions": plain(answer.data), "problems": list(answer.problems)},
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
