"""The group ``shell-ev``, the table of its commands, and how whatever happens becomes an exit code.

A command's module is imported when its name is used; nothing here imports aiohttp or rich.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import shell_complete

from .. import __version__
from ..errors import ShellEVError
from .command import SectionedGroup, shared_options
from .exit_codes import ExitCode, Interrupted
from .output import make_streams_lenient, say, silence
from .reporting import report, tell
from .settings import PROGRAM, Settings

#: Name of a command -> module and attribute that hold it, in the order of the help.
COMMANDS: dict[str, tuple[str, str]] = {
    "nearby": ("nearby", "nearby"),
    "charge": ("charge", "charge"),
    "start": ("sessions", "start"),
    "stop": ("sessions", "stop"),
    "show": ("sessions", "show"),
    "active": ("sessions", "active"),
    "locations": ("locations", "locations"),
    "markers": ("markers", "markers"),
    "id": ("ids", "group"),
    "sandbox": ("local", "sandbox"),
    "demo": ("local", "demo"),
    "doctor": ("doctor", "doctor"),
}

#: Set by the shell when it asks what could come next.
_COMPLETE = "_SHELL_EV_COMPLETE"

_HELP = """Find a charger, start a charge, follow it, stop it: the Shell Recharge EV charging API.

Credentials are SHELL_EV_CLIENT_ID and SHELL_EV_CLIENT_SECRET, from the environment, from an --env-file, or --ask. There
is no option for them: everybody on the machine can see the options of a running command.

Without an account: shell-ev nearby 52.37 4.89 --sandbox
"""

_EPILOG = """Exit codes: 0 done, 1 the answer is no, 2 usage, 3 set-up, 4 credentials, 5 refused, 6 no answer,
7 A CAR MAY BE CHARGING, 8 the charge failed, 9 it may start yet, 130 Ctrl-C; docs/command-line.md has all of them.
"""


class Group(SectionedGroup):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        found: click.Command = getattr(importlib.import_module(f".{module}", __package__), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the commands that may be meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(args[0], COMMANDS)
            meant = f"; did you mean {' or '.join(close)}?" if close else ""
            raise click.UsageError(f"there is no command {args[0]!r}{meant}", ctx)
        return super().resolve_command(ctx, args)


@click.group(PROGRAM, cls=Group, help=_HELP, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def group() -> None:
    """The command line."""


group.params += shared_options(connects=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    make_streams_lenient()
    settings = Settings()
    try:
        code = _run(words, settings)
        sys.stdout.flush()
    except OSError as error:
        return _unwritten(error, settings)
    return code


def _run(words: list[str], settings: Settings) -> int:
    if instruction := os.environ.get(_COMPLETE):
        return shell_complete(group, {}, PROGRAM, _COMPLETE, instruction)
    try:
        # Not group.main(): that has ends of its own for a reader that left and for Ctrl-C.
        with group.make_context(PROGRAM, words, obj=settings) as context:
            outcome: Any = group.invoke(context)
        return outcome if isinstance(outcome, int) else ExitCode.OK
    except click.exceptions.Exit as ended:  # --help, --version
        return ended.exit_code
    except ShellEVError as error:
        return report(error, settings)
    except Interrupted as interrupted:
        return interrupted.code
    except click.Abort:
        say("")  # the prompt's line is still open
        return ExitCode.INTERRUPTED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        # It may not have come to the option itself.
        settings.json = settings.json or "--json" in words
        return _misused(error, settings)
    except OSError:
        raise
    except Exception as error:
        if settings.verbose > 1:
            traceback.print_exc()
        tell(settings, ExitCode.INTERNAL, kind=type(error).__name__, message=f"mistake in shell_ev: {error!r}")
        return ExitCode.INTERNAL


def _misused(error: click.ClickException, settings: Settings) -> ExitCode:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    message = " ".join(error.format_message().split())
    told = message if settings.json else f"{message.rstrip('.')}; see {path} --help"
    tell(settings, ExitCode.USAGE, kind="UsageError", message=told, faults=[message])
    return ExitCode.USAGE


def _unwritten(error: OSError, settings: Settings) -> ExitCode:
    """The output could not be written."""
    silence(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return ExitCode.BROKEN_PIPE
    tell(settings, ExitCode.OUTPUT, kind=type(error).__name__, message=f"the output could not be written: {error}")
    return ExitCode.OUTPUT
