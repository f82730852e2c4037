"""``start``, ``stop``, ``show`` and ``active``: the charge in single steps.

Knows how they look; what they do is the library's.
"""

from __future__ import annotations

import click

from .command import command
from .exit_codes import ExitCode
from .output import printable
from .running import Run, run
from .settings import Settings
from .shapes import session_shape


@command("show")
@click.argument("session_id", metavar="SESSION_ID")
@click.pass_obj
def show(settings: Settings, session_id: str) -> ExitCode:
    """Show one charge session, running or ended."""

    async def work(run: Run) -> None:
        answer = await run.ev.charging.retrieve(session_id)
        if run.out.json:
            run.out.document(session_shape(answer.data))
        else:
            run.out.line(printable(answer.data))

    return run(settings, work)
