"""``doctor``: find the faults of a set-up, with ``shell_ev.doctor``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from .command import command, ema_id
from .env_file import read_env_file
from .output import Output, is_terminal, safe, wrapped
from .reporting import ExitCode
from .running import Interrupts, run_without_client
from .settings import Settings

if TYPE_CHECKING:
    from ..doctor import Diagnosis

_COLOURS = {"ok": "green", "warn": "yellow", "failed": "bold red", "skipped": "dim"}


@command("doctor", "shell-ev doctor --sandbox", "shell-ev doctor --env-file test.env --report")
@click.option(
    "--card",
    type=ema_id,
    metavar="EMA_ID",
    help="List the active sessions of this card; default: a card that does not exist.",
)
@click.option("--report", is_flag=True, help="Print Markdown for an issue, without private data.")
@click.pass_obj
def doctor(settings: Settings, card: str | None, report: bool) -> ExitCode:
    """Find the faults of a set-up and what to do about them.

    Checks settings, proxy, DNS, TCP, TLS, HTTP, clock, token and every operation that reads. Nothing is started or
    stopped; it takes half a minute at most. The exit code is 0 if no check failed, else 1.
    """
    if report and settings.json:
        raise click.UsageError("--json and --report exclude each other")

    async def work(interrupts: Interrupts) -> ExitCode:
        # Imported late: the doctor imports the whole library.
        from ..doctor import as_markdown, diagnose

        out = Output(settings)
        async with AsyncExitStack() as stack:
            options, places = await _options(settings, stack)
            with _status(out):
                diagnosis = await diagnose(options, variables=places, card=card)
        if out.json:
            out.document({**diagnosis.as_dict(), "exit_code": diagnosis.exit_code})
        elif report:
            out.line(as_markdown(diagnosis))
        else:
            _print(out, diagnosis)
        return ExitCode.OK if diagnosis.healthy else ExitCode.NO

    return run_without_client(settings, work)


Places = list[tuple[str, Mapping[str, str]]]


async def _options(settings: Settings, stack: AsyncExitStack) -> tuple[dict[str, Any], Places]:
    """The options of the client to check, and the places of its variables."""
    if settings.sandbox:
        from ..sandbox import Sandbox

        sandbox = await stack.enter_async_context(Sandbox())
        version = settings.api_version or settings.environ.get("SHELL_EV_API_VERSION") or "v2"
        credentials = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        return {**credentials, "base_url": sandbox.url, "api_version": version}, []
    places: Places = [("environment", os.environ)]
    if (profile := settings.profile_in_force) is not None:
        from .profiles import variables_of

        # Without the variables of a connection, which the profile replaces as a whole.
        left = {name: value for name, value in settings.environ.items() if name in os.environ}
        places = [(f"profile {profile}", variables_of(profile)), ("environment", left)]
    if settings.env_file is not None:
        places.append((f"env file {settings.env_file}", read_env_file(settings.env_file)))
    # Missing credentials are a finding of the doctor, beside those of the network.
    return settings.client_options() if settings.ask else settings.options_without_credentials(), places


def _status(out: Output) -> contextlib.AbstractContextManager[object]:
    if out.json or not is_terminal(sys.stderr):
        return contextlib.nullcontext()
    return out.console(sys.stderr).status("checking, half a minute at most")


def _print(out: Output, diagnosis: Diagnosis) -> None:
    from rich.text import Text

    from ..doctor import as_text

    console = out.console()
    lines = as_text(diagnosis, ascii_only=not _can_encode("\u2713\u2717\u2026")).split("\n")
    hanging = len(lines[0]) - len(diagnosis.findings[0].seen)
    for number, line in enumerate(lines):
        is_finding = number < len(diagnosis.findings)
        indent = " " * hanging if is_finding else "    "
        parts = wrapped(safe(line), console.width, indent) if console.is_terminal else [safe(line)]
        for index, part in enumerate(parts):
            text = Text(part)
            if is_finding and not index:
                text.stylize(_COLOURS[diagnosis.findings[number].outcome], 0, 2)
            # A finding of a longer word than the terminal is neither cut nor folded.
            console.print(text, soft_wrap=True)


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
