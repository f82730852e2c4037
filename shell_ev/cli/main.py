"""The command group ``shell-ev``, its table of commands, and the exit code of each outcome."""

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

from .. import ShellEVError, __version__
from .command import SectionedGroup, shared_options
from .output import discard, make_streams_lenient, print_error
from .reporting import ExitCode, Interrupted, report_error, report_failure
from .settings import PROGRAM, Settings

#: Name of a command -> its module and attribute, in the order of the help.
COMMANDS: dict[str, tuple[str, str]] = {
    "nearby": ("nearby", "nearby"),
    "location": ("location", "location"),
    "watch": ("location", "watch"),
    "charge": ("charge", "charge"),
    "start": ("sessions", "start"),
    "stop": ("sessions", "stop"),
    "show": ("sessions", "show"),
    "active": ("sessions", "active"),
    "charges": ("journal", "charges"),
    "recover": ("journal", "recover"),
    "journal": ("journal", "group"),
    "locations": ("locations", "locations"),
    "markers": ("locations", "markers"),
    "id": ("ids", "group"),
    "login": ("accounts", "login"),
    "profiles": ("accounts", "profiles"),
    "sandbox": ("local", "sandbox"),
    "demo": ("local", "demo"),
    "doctor": ("doctor", "doctor"),
    "completion": ("completion", "completion"),
}

#: Set by the shell for completion; click derives the same name from the program's.
COMPLETE = "_SHELL_EV_COMPLETE"

_HELP = """Find a charger, start a charge, follow it, stop it: the Shell Recharge EV charging API.

Credentials are SHELL_EV_CLIENT_ID and SHELL_EV_CLIENT_SECRET, from the environment, from an --env-file, from the
profile that `shell-ev login` keeps, or with --ask from a prompt. There is no option for them: other users of the
machine can see the options of a running command.
"""

_EPILOG = """Exit codes: 0 done, 1 the answer is no, 2 usage, 3 set-up, 4 credentials, 5 refused, 6 no answer,
7 A CAR MAY BE CHARGING, 8 the charge failed, 9 it may start yet, 10 key in use, 11 store, 130 Ctrl-C;
docs/command-line.md has all of them.
"""


class Group(SectionedGroup):
    """A group that imports its commands on use."""

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
        """Resolve a command; the error for an unknown one suggests similar names."""
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
group.examples = ("shell-ev nearby 52.37,4.89 --sandbox", "shell-ev completion bash > ~/.shell-ev.bash")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after the program's name; default: those of the process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    make_streams_lenient()
    settings = Settings()
    try:
        code = _run(words, settings)
    except OSError as error:
        return _report_output_error(error, settings)
    try:
        sys.stdout.flush()
    except OSError as error:
        # A closed terminal, from Python 3.14 on: the outcome of the command counts, 129 for one.
        reported = _report_output_error(error, settings)
        return code or reported
    return code


def _run(words: list[str], settings: Settings) -> int:
    if instruction := os.environ.get(COMPLETE):
        return shell_complete(group, {}, PROGRAM, COMPLETE, instruction)
    try:
        # Not group.main(): its handling of Ctrl-C and of closed pipes differs.
        with group.make_context(PROGRAM, words, obj=settings) as context:
            outcome: Any = group.invoke(context)
        return outcome if isinstance(outcome, int) else ExitCode.OK
    except click.exceptions.Exit as ended:  # --help, --version
        return ended.exit_code
    except ShellEVError as error:
        return report_error(error, settings)
    except Interrupted as interrupted:
        return interrupted.code
    except click.Abort:
        print_error("")  # ends the line of the prompt
        return ExitCode.INTERRUPTED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        # The error may come before --json was parsed.
        settings.json = settings.json or "--json" in words
        return _report_usage_error(error, settings)
    except OSError:
        raise
    except Exception as error:
        if settings.verbose > 1:
            traceback.print_exc()
        report_failure(settings, ExitCode.INTERNAL, kind=type(error).__name__, message=f"bug in shell_ev: {error!r}")
        return ExitCode.INTERNAL


def _report_usage_error(error: click.ClickException, settings: Settings) -> ExitCode:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    fault = " ".join(error.format_message().split())
    message = fault if settings.json else f"{fault.rstrip('.')}; see {path} --help"
    report_failure(settings, ExitCode.USAGE, kind="UsageError", message=message, faults=[fault])
    return ExitCode.USAGE


def _report_output_error(error: OSError, settings: Settings) -> ExitCode:
    discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return ExitCode.BROKEN_PIPE
    message = f"the output could not be written: {error}"
    report_failure(settings, ExitCode.OUTPUT, kind=type(error).__name__, message=message)
    return ExitCode.OUTPUT
