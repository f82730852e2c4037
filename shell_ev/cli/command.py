"""The building blocks of commands: shared options, help in sections, examples, types of values, location filters."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

import click

from .. import ApiVersion, AuthorizationMethod, EmaId, Environment, EvseId, EvseStatus
from .settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_NEGATIVE = re.compile(r"-\.?[0-9].*")
_MOST_RETRIES = 100
_NARROW = 76
#: More letters than a sentence of the help has.
_WHOLE = 1000
_PARAGRAPHS = re.compile(r"\n\s*\n")


class SharedOption(click.Option):
    """An option of every command. Its value is stored in the context's Settings."""

    def __init__(self, *names: str, section: str, **attributes: Any) -> None:
        super().__init__(list(names), expose_value=False, callback=_into_settings, **attributes)
        self.section = section


def _into_settings(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    # Defaults are not stored: they would undo an option given before the command's name.
    given = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    if given and not context.resilient_parsing:
        setattr(context.ensure_object(Settings), parameter.name or "", value)
    return value


def _choice(members: Iterable[Enum]) -> click.Choice[str]:
    return click.Choice([str(member.value) for member in members], case_sensitive=False)


def _output_options() -> list[click.Parameter]:
    section = "Output"
    return [
        SharedOption("--json", is_flag=True, section=section, help="JSON for programs, errors on stderr too."),
        SharedOption("-v", "--verbose", count=True, section=section, help="Log to stderr; -vv logs every request."),
        SharedOption("--no-color", is_flag=True, section=section, help="No colours; NO_COLOR does the same."),
        SharedOption("--no-pager", is_flag=True, section=section, help="No pager; PAGER=cat does the same."),
    ]


def _connection_options() -> list[click.Parameter]:
    section = "Connection"
    return [
        SharedOption(
            "--env-file",
            metavar="FILE",
            section=section,
            help="Read SHELL_EV_* variables from FILE; the environment takes precedence.",
        ),
        SharedOption(
            "--profile", metavar="NAME", section=section, help="Use what `shell-ev login NAME` keeps; SHELL_EV_PROFILE."
        ),
        SharedOption("--sandbox", is_flag=True, section=section, help="Run against an embedded sandbox."),
        SharedOption("--ask", is_flag=True, section=section, help="Prompt for missing credentials."),
        SharedOption("--environment", type=_choice(Environment), section=section, help="Environment of the service."),
        SharedOption("--api-version", type=_choice(ApiVersion), section=section, help="Version of the API."),
        SharedOption("--base-url", metavar="URL", section=section, help="Scheme and host of API and token calls."),
        SharedOption(
            "--store", metavar="PATH|URL", section=section, help="Journal of the charges: SQLite, PostgreSQL."
        ),
        SharedOption(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            section=section,
            help="Limit for each whole call, retries included.",
        ),
        SharedOption(
            "--max-retries",
            type=click.IntRange(0, _MOST_RETRIES),
            metavar="NUMBER",
            section=section,
            help="Attempts after the first one.",
        ),
    ]


def shared_options(*, connects: bool) -> list[click.Parameter]:
    """The shared options; ``connects`` includes those of the connection to the service."""
    return [*(_connection_options() if connects else []), *_output_options()]


class Formatter(click.HelpFormatter):
    """Writes help in lines of the terminal's width. A word is never broken, not even at the hyphens of an option."""

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        indent = " " * self.current_indent
        for number, paragraph in enumerate(_PARAGRAPHS.split(text.strip())):
            if number:
                self.write("\n")
            for line in _lines(paragraph, self.width - self.current_indent):
                self.write(f"{indent}{line}\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names and what they mean, side by side; on a narrow terminal the names take less of the width."""
        most = col_max if self.width >= _NARROW else 18
        pairs = list(rows)
        first = min(max(len(name) for name, _ in pairs), most) + col_spacing
        indent = " " * self.current_indent
        for name, text in pairs:
            lines = _lines(text, self.width - self.current_indent - first)
            beside = len(name) <= first - col_spacing
            head = f"{name:<{first}}{lines.pop(0)}" if beside and lines else name
            self.write(f"{indent}{head}".rstrip() + "\n")
            for line in lines:
                self.write(f"{indent}{' ' * first}{line}\n")


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


class Context(click.Context):
    """The context of a command, with its own way to write help."""

    formatter_class = Formatter


class Sectioned(click.Command):
    """A command with its shared options in separate sections of the help, and with examples."""

    context_class = Context
    examples: Sequence[str] = ()
    """Command lines, to be copied."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog. A line to copy is not wrapped."""
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for line in self.examples:
                formatter.write(f"  {line}\n")
        super().format_epilog(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section."""
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
    """A group with the commands first in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the first sentence of its help, whole."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, made.get_short_help_str(_WHOLE)) for name, made in found if made is not None])


class Command(Sectioned):
    """A command of shell-ev."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ``-0.12`` as a number and not as options."""
        # No short option is a digit, so a negative number cannot be an option.
        ctx.ignore_unknown_options = any(_NEGATIVE.fullmatch(word) for word in args)
        return super().parse_args(ctx, args)


def command(name: str, *examples: str, connects: bool = True) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command.

    The function gets its Settings with ``@click.pass_obj`` and returns an ExitCode, or None for OK.

    Args:
        name: Name on the command line.
        examples: Command lines for its help.
        connects: Whether the command has the connection options.
    """

    def make(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command)(function)
        made.examples = examples
        made.params += shared_options(connects=connects)
        return made

    return make


# Types of values

_NUMBER = r"([0-9]{1,8}(?:\.[0-9]{1,3})?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?", re.IGNORECASE)
_ZONE_NAME = re.compile(r"\[[^\[\]]*\]\Z")
_LONGEST = 30 * 24 * 3600.0


def duration(text: str) -> float:
    """Seconds of ``45s``, ``30m``, ``1h``, ``1h30m``, ``1.5h``. A number without a unit is an error."""
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = (float(part or 0) for part in (match.groups() if match else ()) or (0, 0, 0))
    total = hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= _LONGEST:
        raise click.BadParameter(f"{text!r} is not a duration such as 45s, 30m or 1h30m (30 days at most)")
    return total


def point(text: str) -> tuple[float, float]:
    """Latitude and longitude of ``52.37,4.89``, with or without a blank."""
    words = text.replace(",", " ").split()
    numbers: list[float] = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            raise click.BadParameter(f"{word!r} is not a number of degrees such as 52.3731") from None
    if len(numbers) != 2:
        raise click.BadParameter(f"{text!r} is not a latitude and a longitude such as 52.3731,4.8932")
    return numbers[0], numbers[1]


def point_of_words(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> tuple[float, float]:
    """The point of an argument that takes it in one word or in two."""
    return point(" ".join(words))


def ema_id(text: str) -> str:
    """The EMA-ID of a card, of the length that ``charging.active`` requires."""
    if not EmaId.has_valid_length(text):
        raise click.BadParameter(f"{text!r} is not an EMA-ID of 14 to 19 characters, such as NL-TNM-C00122045-K")
    return text


def moment(text: str) -> str:
    """An ISO 8601 date or time, unchanged."""
    try:
        # The service writes zone names in brackets; fromisoformat does not parse them.
        datetime.fromisoformat(_ZONE_NAME.sub("", text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-11-01T00:00:00Z") from None
    return text


# Card and EVSE


def card_and_evse(words: tuple[str, ...], *, with_evse: bool = True) -> tuple[str | None, str | None]:
    """Card and EVSE of the words of a command line; None for the one that is left out.

    Args:
        words: The words.
        with_evse: Whether an EVSE is needed: it is the last word then.
    """
    most = 2 if with_evse else 1
    if len(words) > most:
        raise click.UsageError(f"{len(words)} arguments are given, there are {most} at most: {' and '.join(words[:3])}")
    if not with_evse:
        return (words[0] if words else None), None
    if not words:
        raise click.UsageError("Missing argument 'EVSE'")
    if len(words) == 1 and EmaId.try_parse(words[0]) is not None and EvseId.try_parse(words[0]) is None:
        raise click.UsageError(f"{words[0]} is a card: Missing argument 'EVSE'")
    return (words[0] if len(words) == most else None), words[-1]


# Location filters

FORMAT_HELP = "Output format; --json is --format json."
_FILTERS: dict[str, Callable[[Any], Any]] = {
    "evse_status": click.option(
        "--status", "evse_status", multiple=True, type=_choice(EvseStatus), help="Status of an EVSE."
    ),
    "connector_types": click.option(
        "--connector",
        "connector_types",
        multiple=True,
        metavar="TYPE",
        help="Such as CCS, Type2, CHAdeMO, Schuko.",
    ),
    "connector_min_power": click.option(
        "--min-power", "connector_min_power", type=float, metavar="KW", help="Minimum power of a connector."
    ),
    "authorization_methods": click.option(
        "--authorization",
        "authorization_methods",
        multiple=True,
        type=_choice(AuthorizationMethod),
        metavar="METHOD",
        help="NewMotionApp, RFIDToken or PnC.",
    ),
    "country": click.option("--country", multiple=True, metavar="CODE", help="ISO 3166-1, such as NL or NLD."),
    "exclude_country": click.option("--exclude-country", multiple=True, metavar="CODE", help="All but this one."),
    "operator_name": click.option("--operator", "operator_name", metavar="NAME", help="Name of the operator."),
    "evse_id": click.option("--evse", "evse_id", metavar="EVSE", help="The location of this EVSE."),
    "location_external_id": click.option(
        "--external-id", "location_external_id", metavar="ID", help="The operator's id of the location."
    ),
    "evse_external_id": click.option("--evse-external-id", metavar="ID", help="The operator's id of an EVSE."),
    "updated_since": click.option("--updated-since", type=moment, metavar="TIME", help="ISO 8601, with a time zone."),
}
#: The filters that every location command has.
COMMON_FILTERS = (
    "evse_status",
    "connector_types",
    "connector_min_power",
    "authorization_methods",
    "country",
    "exclude_country",
    "evse_id",
    "location_external_id",
    "evse_external_id",
)


def filter_options(*names: str) -> Callable[[F], F]:
    """Add filters to a command. Those that take types, states and countries may be repeated."""

    def add(function: F) -> F:
        for name in reversed(names):
            function = _FILTERS[name](function)
        return function

    return add


def given_filters(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters that are on the command line, as arguments of the library."""
    return {name: value for name, value in filters.items() if value is not None and value != ()}
