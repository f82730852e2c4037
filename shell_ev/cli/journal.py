"""``charges``, ``recover`` and ``journal``: the journal of a store, and what dead processes left in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING

import click

from .. import ConfigurationError, ShellEVError
from .command import SectionedGroup, command, duration, shared_options
from .output import Output, json_value, printable
from .reporting import ExitCode, report_failure
from .running import Run, run
from .settings import Settings
from .tables import Column, print_pairs, print_table

if TYPE_CHECKING:
    from .. import JournalEntry, Recovery

_DAY = 86_400.0
_RESULTS = ("stopped", "kept", "unknown", "failed")
_MEANINGS = {
    "stopped": "stopped",
    "kept": "left running: its start asked for no stop",
    "unknown": "its session does not show",
    "failed": "not dealt with yet",
}


def _store_of(settings: Settings) -> str:
    """The store of the command line or of SHELL_EV_STORE.

    Raises:
        ConfigurationError: There is none.
    """
    store = settings.store or ("" if settings.sandbox else settings.environ.get("SHELL_EV_STORE", "").strip())
    if not store:
        raise ConfigurationError(
            "this command needs the store of the charges: give --store PATH or URL, or set SHELL_EV_STORE"
        )
    return store


@command("charges", "shell-ev charges --store charges.sqlite3")
@click.pass_obj
def charges(settings: Settings) -> ExitCode:
    """List the charges of the store that may be running."""
    _store_of(settings)

    async def work(run: Run) -> None:
        entries = await run.client.journal.open_charges()
        if run.out.json:
            run.out.document({"charges": json_value(entries)})
        elif not entries:
            run.out.note("no charge of this store is open")
        else:
            columns = [Column("Key"), Column("State"), Column("EVSE"), Column("Session"), Column("Since")]
            print_table(run.out.console(), columns, [_row(entry) for entry in entries])

    return run(settings, work)


@command("recover", "shell-ev recover --store charges.sqlite3 --watch")
@click.option("--watch", is_flag=True, help="Make pass after pass until Ctrl-C.")
@click.option("--every", type=duration, metavar="TIME", default="30s", show_default=True, help="Pause of --watch.")
@click.option("--limit", type=duration, metavar="TIME", help="Limit for a pass; the rest waits for the next one.")
@click.option(
    "--give-up-after",
    type=duration,
    metavar="TIME",
    help="Give a start up that does not show for so long, with answers. Its key starts again.",
)
@click.pass_obj
def recover(
    settings: Settings, watch: bool, every: float, limit: float | None, give_up_after: float | None
) -> ExitCode:
    """Take up what dead processes left: find lost starts, stop what a dead block left charging.

    Nothing is ever started. It may run beside the application, and beside another one of itself.
    """
    _store_of(settings)

    async def one_pass(run: Run) -> Recovery | None:
        return await run.client.recover(timeout=limit, give_up_after=give_up_after)

    async def work(run: Run) -> ExitCode:
        if not watch:
            return _report(run.out, await one_pass(run), settings)
        shown: set[tuple[str, str]] = set()
        while True:
            try:
                _show(run.out, await one_pass(run), shown)
            except ShellEVError as error:
                run.out.note(f"{error}; the next pass is in {every:g} s")
            await asyncio.sleep(every)

    return run(settings, work)


def _report(out: Output, recovery: Recovery | None, settings: Settings) -> ExitCode:
    """Print the outcome of one pass; the exit code."""
    found = _entries(recovery)
    if out.json:
        out.document(json_value({name: tuple(found[name]) for name in _RESULTS}))
    elif any(found.values()):
        _show(out, recovery, set())
    else:
        out.note("nothing is left to recover")
    doubtful = [*found["unknown"], *found["failed"]]
    if not doubtful:
        return ExitCode.OK
    report_failure(
        settings,
        ExitCode.OUTCOME_UNKNOWN,
        kind="RecoveryIncomplete",
        message=f"{len(doubtful)} of the entries are open: {', '.join(printable(entry.key) for entry in doubtful[:5])}",
        outcome_unknown=True,
        next_commands=[settings.command("journal", None, "find", doubtful[0].key)],
    )
    return ExitCode.OUTCOME_UNKNOWN


def _show(out: Output, recovery: Recovery | None, shown: set[tuple[str, str]]) -> None:
    """Print each entry of a pass, but for those that an earlier pass showed."""
    for name, entries in _entries(recovery).items():
        for entry in entries:
            if (name, entry.key) in shown:
                continue
            shown.add((name, entry.key))
            if out.json:
                out.record({"result": name, "entry": json_value(entry)})
            else:
                session = f", session {entry.session_id}" if entry.session_id else ""
                out.text("  ".join(map(printable, (entry.key, entry.evse_id, _MEANINGS[name] + session))))


def _entries(recovery: Recovery | None) -> dict[str, tuple[JournalEntry, ...]]:
    return {name: () if recovery is None else getattr(recovery, name) for name in _RESULTS}


@click.group(
    "journal", cls=SectionedGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.pass_context
def group(context: click.Context) -> None:
    """Check the store, find an entry, decide about one by hand, remove old ones."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command("check", "shell-ev journal check --store charges.sqlite3")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Make a new, empty journal where the SQLite file is gone. Look at each card with `active` before.",
)
@click.pass_obj
def check(settings: Settings, accept_loss: bool) -> ExitCode:
    """Check the store; exit with 11 if something is wrong."""
    store = _store_of(settings)

    async def work(run: Run) -> ExitCode:
        async with AsyncExitStack() as stack:
            if accept_loss:
                from ..store import open_store

                opened = open_store(store, accept_loss=True)
                stack.push_async_callback(opened.aclose)
                faults = await opened.check()
            else:
                faults = await run.client.journal.check()
        if run.out.json:
            run.out.document({"ok": not faults, "faults": list(faults)})
        elif not faults:
            run.out.line("the store is in order")
        for fault in () if run.out.json else faults:
            run.out.text(printable(fault))
        return ExitCode.STORE if faults else ExitCode.OK

    return run(settings, work)


@command("find", "shell-ev journal find order-42 --store charges.sqlite3")
@click.argument("key", metavar="[KEY]", required=False)
@click.option("--session", "session_id", metavar="SESSION_ID", help="Find it by the session.")
@click.option("--request", "request_id", metavar="REQUEST_ID", help="Find it by the RequestId of its start.")
@click.pass_obj
def find(settings: Settings, key: str | None, session_id: str | None, request_id: str | None) -> ExitCode:
    """Show one entry, by its key, session or RequestId."""
    _store_of(settings)

    async def work(run: Run) -> ExitCode:
        entry = await run.client.journal.find(key, session_id=session_id, request_id=request_id)
        if run.out.json:
            run.out.document(json_value(entry))
        elif entry is None:
            run.out.note("there is no such entry")
        else:
            _print_entry(run.out, entry)
        return ExitCode.NO if entry is None else ExitCode.OK

    return run(settings, work)


@command(
    "settle",
    "shell-ev journal settle order-42 \\",
    "    7dabe929-c4a3-44bf-86cd-75e9bb049a79",
)
@click.argument("key", metavar="KEY")
@click.argument("session_id", metavar="SESSION_ID")
@click.pass_obj
def settle(settings: Settings, key: str, session_id: str) -> ExitCode:
    """Record which session the start of a key made, where that is not known."""
    return _changed(settings, lambda run: run.client.journal.settle(key, session_id))


@command("give-up", "shell-ev journal give-up order-42")
@click.argument("key", metavar="KEY")
@click.pass_obj
def give_up(settings: Settings, key: str) -> ExitCode:
    """Release a key whose session does not show: it starts again.

    Look at the card with `shell-ev active` before: a session that shows later is not adopted, and runs on.
    """
    return _changed(settings, lambda run: run.client.journal.give_up(key))


def _changed(settings: Settings, change: Callable[[Run], Awaitable[JournalEntry]]) -> ExitCode:
    _store_of(settings)

    async def work(run: Run) -> None:
        entry = await change(run)
        if run.out.json:
            run.out.document(json_value(entry))
        else:
            _print_entry(run.out, entry)

    return run(settings, work)


@command("prune", "shell-ev journal prune --older-than 90")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Days since the charge was over or given up.",
)
@click.pass_obj
def prune(settings: Settings, days: float) -> ExitCode:
    """Remove entries that are over or given up. Open ones stay."""
    _store_of(settings)

    async def work(run: Run) -> None:
        removed = await run.client.journal.prune(older_than=days * _DAY)
        if run.out.json:
            run.out.document({"removed": removed})
        else:
            run.out.line(f"{removed} {'entry' if removed == 1 else 'entries'} removed")

    return run(settings, work)


for _made in (check, find, settle, give_up, prune):
    group.add_command(_made)
group.params += shared_options(connects=True)
group.examples = ("shell-ev journal check --store charges.sqlite3", "shell-ev journal find order-42")


def _row(entry: JournalEntry) -> list[str]:
    return [entry.key, entry.state, entry.evse_id, entry.session_id or "", _moment(entry.sent_at or entry.created_at)]


def _print_entry(out: Output, entry: JournalEntry) -> None:
    facts = [
        ("Key", entry.key),
        ("State", entry.state),
        ("EVSE", entry.evse_id),
        ("Session", entry.session_id),
        ("Request", entry.request_id),
        ("On crash", entry.on_crash),
        ("Owner", entry.owner),
        ("Sent", _moment(entry.sent_at)),
        ("Over", _moment(entry.over_at)),
    ]
    print_pairs(out.console(), [(name, printable(value)) for name, value in facts if value])


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
