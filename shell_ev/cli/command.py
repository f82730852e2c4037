"""What every command has in common: the shared options, help in sections, numbers that may be negative.

Knows click; knows no command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from ..dialects import ApiVersion
from ..options import Environment
from .settings import Settings

_NEGATIVE = re.compile(r"-\.?[0-9].*")
_MOST_RETRIES = 100


class SharedOption(click.Option):
    """An option of every command: it goes into the context's Settings, wherever on the command line it stands."""

    def __init__(self, *names: str, section: str, **attributes: Any) -> None:
        super().__init__(list(names), expose_value=False, callback=_into_settings, **attributes)
        self.section = section


def _into_settings(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    # Only what was written: an option left out after the command's name must not undo the one before it.
    given = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    if given and not context.resilient_parsing:
        setattr(context.ensure_object(Settings), parameter.name or "", value)
    return value


def _output_options() -> list[click.Parameter]:
    section = "Output"
    return [
        SharedOption("--json", is_flag=True, section=section, help="For machines: JSON, errors on stderr too."),
        SharedOption("-v", "--verbose", count=True, section=section, help="Show the log on stderr; -vv every request."),
        SharedOption("--no-color", is_flag=True, section=section, help="No colours; NO_COLOR does the same."),
    ]


def _connection_options() -> list[click.Parameter]:
    section = "Connection"
    return [
        SharedOption(
            "--env-file",
            metavar="FILE",
            section=section,
            help="Read SHELL_EV_* variables from FILE; those the environment has already win.",
        ),
        SharedOption("--sandbox", is_flag=True, section=section, help="Try it: run against an embedded sandbox."),
        SharedOption("--ask", is_flag=True, section=section, help="Ask for credentials that are not set."),
        SharedOption(
            "--environment",
            type=click.Choice([member.value for member in Environment], case_sensitive=False),
            section=section,
            help="Where the service runs.",
        ),
        SharedOption(
            "--api-version",
            type=click.Choice([member.value for member in ApiVersion], case_sensitive=False),
            section=section,
            help="Which dialect to speak.",
        ),
        SharedOption("--base-url", metavar="URL", section=section, help="Scheme and host of API and token calls."),
        SharedOption(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            section=section,
            help="For each whole call, retries included.",
        ),
        SharedOption(
            "--max-retries",
            type=click.IntRange(0, _MOST_RETRIES),
            metavar="NUMBER",
            section=section,
            help="Tries after the first one.",
        ),
    ]


def shared_options(*, connects: bool) -> list[click.Parameter]:
    """The shared options of a command that does, or does not, talk to the service."""
    return [*(_connection_options() if connects else []), *_output_options()]


class Sectioned(click.Command):
    """Help with the shared options in sections of their own, below what the command itself takes."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for section, records in sections.items():
            if records:
                with formatter.section(section):
                    formatter.write_dl(records)


class SectionedGroup(Sectioned, click.Group):
    """A group with such help, its commands first: they are what somebody is looking for."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


class Command(Sectioned):
    """A command of shell-ev."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``-0.12`` for a number and not for a cluster of options."""
        # No short option is a digit: what looks like a negative number is none of ours.
        ctx.ignore_unknown_options = any(_NEGATIVE.fullmatch(word) for word in args)
        return super().parse_args(ctx, args)


def command(name: str, *, connects: bool = True) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command; ``connects`` says whether it takes the connection options.

    The function gets its Settings with ``@click.pass_obj`` and returns an ExitCode, or None for OK.
    """

    def make(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command)(function)
        # --help stays the last of the command's own.
        made.params += shared_options(connects=connects)
        return made

    return make
