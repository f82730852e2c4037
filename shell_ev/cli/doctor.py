"""``doctor``: what keeps the library from working, and what to do about it. Shows what ``shell_ev.doctor`` found."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from .command import command
from .env_file import read_env_file
from .exit_codes import ExitCode
from .output import Output, is_terminal
from .running import Interrupts, run_alone
from .settings import Settings
from .values import ema_id

if TYPE_CHECKING:
    from ..doctor import Diagnosis

_COLOURS = {"ok": "green", "warn": "yellow", "failed": "bold red", "skipped": "dim"}


@command("doctor")
@click.option(
    "--card", type=ema_id, metavar="EMA_ID", help="Ask for the active sessions of this card, not of one nobody has."
)
@click.option("--report", is_flag=True, help="Markdown to paste into an issue; nothing private in it.")
@click.pass_obj
def doctor(settings: Settings, card: str | None, report: bool) -> ExitCode:
    """Say what is broken, and what to do about it.

    Looks at settings, proxy, DNS, TCP, TLS, HTTP, clock, token and every operation that reads.
    Starts and stops nothing; takes half a minute at most. Exit code 0 when nothing is broken, 1 when something is.
    """
    if report and settings.json:
        raise click.UsageError("--json and --report exclude each other")

    async def work(interrupts: Interrupts) -> ExitCode:
        # Here and not above: it takes the whole library along.
        from ..doctor import as_markdown, diagnose

        out = Output(settings)
        async with AsyncExitStack() as stack:
            options, places = await _asked_for(settings, stack)
            with _patience(out):
                diagnosis = await diagnose(options, variables=places, card=card)
        if out.json:
            out.document({**diagnosis.as_dict(), "exit_code": diagnosis.exit_code})
        elif report:
            out.line(as_markdown(diagnosis))
        else:
            _print(out, diagnosis)
        return ExitCode.OK if diagnosis.healthy else ExitCode.NO

    return run_alone(settings, work)


Places = list[tuple[str, Mapping[str, str]]]


async def _asked_for(settings: Settings, stack: AsyncExitStack) -> tuple[dict[str, Any], Places]:
    """The options of the client to look at, and where its variables are."""
    if settings.sandbox:
        from ..sandbox import Sandbox

        sandbox = await stack.enter_async_context(Sandbox())
        version = settings.api_version or settings.environ.get("SHELL_EV_API_VERSION") or "v2"
        credentials = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        return {**credentials, "base_url": sandbox.url, "api_version": version}, []
    places: Places = [("environment", os.environ)]
    if settings.env_file is not None:
        places.append((f"env file {settings.env_file}", read_env_file(settings.env_file)))
    # Missing credentials are for the doctor to tell, beside what the network is like.
    return settings.client_options() if settings.ask else settings.options_beside_credentials(), places


def _patience(out: Output) -> contextlib.AbstractContextManager[object]:
    if out.json or not is_terminal(sys.stderr):
        return contextlib.nullcontext()
    return out.console(sys.stderr).status("looking, half a minute at most")


def _print(out: Output, diagnosis: Diagnosis) -> None:
    from rich.text import Text

    from ..doctor import as_text

    console = out.console()
    lines = as_text(diagnosis, ascii_only=not _can_write("\u2713\u2717\u2026")).split("\n")
    for number, line in enumerate(lines):
        text = Text(line)
        if number < len(diagnosis.findings):
            text.stylize(_COLOURS[diagnosis.findings[number].outcome], 0, 2)
        # Not cut and not folded: a line is a finding, and may be copied.
        console.print(text, soft_wrap=True)


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
