"""``login`` keeps credentials as a profile, ``profiles`` lists and removes them. Nothing is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from .. import ValidationError
from .command import command, ema_id
from .env_file import CARD_VARIABLE
from .output import Output
from .reporting import ExitCode
from .settings import CONNECTION, Settings
from .tables import Column, print_table

if TYPE_CHECKING:
    from .profiles import Profile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OPTIONS = {
    "environment": "SHELL_EV_ENVIRONMENT",
    "api_version": "SHELL_EV_API_VERSION",
    "base_url": "SHELL_EV_BASE_URL",
}
_ID, _SECRET = "SHELL_EV_CLIENT_ID", "SHELL_EV_CLIENT_SECRET"


@command(
    "login",
    "shell-ev login",
    "shell-ev login test --environment test",
    "shell-ev login sandbox --env-file sandbox.env",
)
@click.argument("name", metavar="[NAME]", default="default")
@click.option("--card", type=ema_id, metavar="EMA_ID", help=f"Default card of the profile, as {CARD_VARIABLE}.")
@click.pass_obj
def login(settings: Settings, name: str, card: str | None) -> ExitCode:
    """Keep credentials as a profile, for --profile NAME.

    They are read from the environment or the --env-file, or else asked for. SHELL_EV_CLIENT_SECRET is kept in the
    system keyring where the package `keyring` is installed and has one, else in a file that you alone can read; the
    output says which. The profile `default` is used without --profile where no variable of a connection is set.
    """
    from . import profiles

    if _NAME.fullmatch(name) is None:
        raise ValidationError([f"NAME is letters, digits, dots, underscores and hyphens, at most 64, not {name!r:.80}"])
    if settings.profile is not None or settings.sandbox:
        raise click.UsageError("login makes a profile: --profile and --sandbox have no meaning here")
    variables, secret = _given(settings)
    for option, variable in _OPTIONS.items():
        if (value := getattr(settings, option)) is not None:
            variables[variable] = value
    if card is not None:
        variables[CARD_VARIABLE] = card
    profile = profiles.save(name, variables, secret)
    out = Output(settings)
    if out.json:
        out.document({"profile": name, "client_id": variables[_ID], "secret": _place(profile)})
    else:
        out.text(f"profile {name} is kept; its secret is {profile.place}")
        if profile.secret is not None:
            out.note("a system keyring would keep it better: the package keyring finds none, or is not installed")
        flag = () if name == profiles.DEFAULT else ("--profile", name)
        out.note("to check it", f"shell-ev doctor{' ' if flag else ''}{' '.join(flag)}")
    return ExitCode.OK


def _given(settings: Settings) -> tuple[dict[str, str], str]:
    """The variables of the connection, without the secret, and the secret; what is missing is asked for."""
    # Not those of another profile, which must not become the source of this one.
    found = settings.given_variables
    kept = {name: found[name] for name in (*CONNECTION, CARD_VARIABLE) if found.get(name)}
    kept |= settings.prompted([name for name in (_ID, _SECRET) if name not in kept])
    return {name: value for name, value in kept.items() if name != _SECRET}, kept[_SECRET]


def _place(profile: Profile) -> str:
    return "keyring" if profile.secret is None else "file"


@command("profiles", "shell-ev profiles", "shell-ev profiles --remove test", connects=False)
@click.option("--remove", metavar="NAME", help="Remove a profile and what is kept for it.")
@click.pass_obj
def profiles(settings: Settings, remove: str | None) -> ExitCode:
    """List the profiles that `login` has made, or remove one."""
    from . import profiles as kept

    out = Output(settings)
    if remove is not None:
        kept.remove(remove)
        if out.json:
            out.document({"removed": remove})
        else:
            out.line(f"profile {remove} is removed")
        return ExitCode.OK
    found = kept.load()
    if out.json:
        entries = [
            {"profile": name, "variables": dict(profile.variables), "secret": _place(profile)}
            for name, profile in found.items()
        ]
        out.document({"profiles": entries})
    elif not found:
        out.note("there is no profile yet; to make one", settings.command("login"))
    else:
        columns = [
            Column("Profile"),
            Column("Client id", wraps=True),
            Column("Connection", wraps=True),
            Column("Secret"),
        ]
        print_table(out.console(), columns, [_row(name, profile) for name, profile in found.items()])
    return ExitCode.OK


def _row(name: str, profile: Profile) -> list[str]:
    variables = profile.variables
    connection = [variables.get(variable, "") for variable in (*_OPTIONS.values(), "SHELL_EV_TOKEN_URL", CARD_VARIABLE)]
    return [name, variables.get(_ID, "?"), " ".join(filter(None, connection)) or "production", _place(profile)]
