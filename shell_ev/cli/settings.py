"""The values of the shared options, the variables in force, and the client options that follow from both."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from .. import ConfigurationError, ValidationError
from .env_file import CARD_VARIABLE, read_env_file

PROGRAM = "shell-ev"

_PROFILE_VARIABLE = "SHELL_EV_PROFILE"
#: What leads to a product of the service. They come from one place: a secret must not go to the host of another one.
CONNECTION = (
    *("SHELL_EV_CLIENT_ID", "SHELL_EV_CLIENT_SECRET", "SHELL_EV_ENVIRONMENT", "SHELL_EV_API_VERSION"),
    *("SHELL_EV_BASE_URL", "SHELL_EV_TOKEN_URL"),
)


@attrs.define(kw_only=True, slots=False)
class Settings:
    """The shared options, given before or after the command's name; None if not given."""

    env_file: str | None = None
    profile: str | None = None
    environment: str | None = None
    api_version: str | None = None
    base_url: str | None = None
    timeout: float | None = None
    """Seconds for a whole call."""
    max_retries: int | None = None
    store: str | None = None
    """Path or URL of the journal of the charges."""
    ask: bool = False
    """Prompt for missing credentials."""
    sandbox: bool = False
    """Run against a sandbox in this process."""
    json: bool = False
    verbose: int = 0
    """1 logs from level INFO, 2 from level DEBUG."""
    no_color: bool = False
    no_pager: bool = False
    """Print long tables without a pager."""

    @cached_property
    def given_variables(self) -> Mapping[str, str]:
        """The environment of the process, with variables of the env file where it has none or an empty one."""
        from_file = read_env_file(self.env_file) if self.env_file is not None else {}
        return {**from_file, **{name: value for name, value in os.environ.items() if value or name not in from_file}}

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The variables in force: the given ones, or those of a profile.

        A profile is used as a whole: of the variables of a connection none is read from elsewhere.

        Raises:
            ConfigurationError: The env file or the profile cannot be read, or both are given.
        """
        name = self.profile_in_force
        if name is None:
            return self.given_variables
        from .profiles import variables_of

        others = {name: value for name, value in self.given_variables.items() if name not in CONNECTION}
        return {**others, **variables_of(name)}

    @cached_property
    def profile_in_force(self) -> str | None:
        """Name of the profile that the command uses; None for none.

        It is the one of ``--profile`` or of SHELL_EV_PROFILE, or else ``default`` if there is one and no variable of a
        connection is set.

        Raises:
            ConfigurationError: Both a profile and an env file are given, or the profiles cannot be read.
        """
        if self.profile is not None and self.env_file is not None:
            raise ConfigurationError("--profile and --env-file exclude each other: each has the credentials")
        if self.sandbox or self.env_file is not None:
            return None
        if name := self.profile or os.environ.get(_PROFILE_VARIABLE):
            return name
        if self.ask or any(os.environ.get(variable) for variable in CONNECTION):
            return None
        from .profiles import DEFAULT, load

        return DEFAULT if DEFAULT in load() else None

    def card(self, given: str | None) -> str:
        """The card of a command: the one that is given, or the default one.

        Raises:
            ValidationError: There is none.
        """
        card = given or self.environ.get(CARD_VARIABLE, "").strip()
        if not card:
            raise ValidationError([f"no card is given: write CARD, or set {CARD_VARIABLE}"])
        return card

    def client_options(self) -> dict[str, Any]:
        """Arguments of ``AsyncShellEV.from_env`` beside ``environ``, with credentials from the prompt.

        Raises:
            ConfigurationError: Credentials are missing.
        """
        return {**self.options_without_credentials(), **self._credentials()}

    def options_without_credentials(self) -> dict[str, Any]:
        """Arguments of ``AsyncShellEV.from_env`` that are options of the command line."""
        options: dict[str, Any] = {
            name: value
            for name in ("environment", "api_version", "base_url", "timeout", "max_retries", "store")
            if (value := getattr(self, name)) is not None
        }
        return {**options, "trust_env": True, "user_agent_suffix": PROGRAM}

    def _credentials(self) -> dict[str, str]:
        wanted = {"client_id": "SHELL_EV_CLIENT_ID", "client_secret": "SHELL_EV_CLIENT_SECRET"}
        missing = {option: name for option, name in wanted.items() if not self.environ.get(name)}
        if not missing:
            return {}
        if not self.ask:
            one = len(missing) == 1
            raise ConfigurationError(
                f"{' and '.join(missing.values())} {'is' if one else 'are'} not set: set {'it' if one else 'them'}, "
                f"run {PROGRAM} login, use --env-file FILE or --ask, or try the command with --sandbox; "
                "no account? `python -m shell_ev.sandbox`"
            )
        prompted = self.prompted(list(missing.values()))
        return {option: prompted[name] for option, name in missing.items()}

    def prompted(self, names: Sequence[str]) -> dict[str, str]:
        """Values of credentials, from the prompt.

        Raises:
            ConfigurationError: There is no terminal to ask on.
        """
        if names and not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigurationError(f"{' and '.join(names)}: there is no terminal to ask on")
        return {name: _prompt(name, hidden=name == "SHELL_EV_CLIENT_SECRET") for name in names}

    def set_format(self, form: str | None) -> None:
        """Apply ``--format``: ``json`` is ``--json``. Raises ValidationError for ``--json`` with another format."""
        if self.json and form not in (None, "json"):
            raise ValidationError([f"--json and --format {form} exclude each other"])
        self.json = self.json or form == "json"

    def command(self, name: str, argument: str | None = None, *flags: str) -> str:
        """A shell command that connects to the same service as this one.

        Args:
            name: Name of the command.
            argument: Its argument.
            flags: Its own options.
        """
        options = list(flags)
        for option in ("env_file", "profile", "environment", "api_version", "base_url", "store"):
            value = getattr(self, option)
            # The URL of a store may hold a password: it is not repeated.
            if value is not None and not (option == "store" and "://" in value):
                options += [f"--{option.replace('_', '-')}", str(value)]
        options += ["--ask"] if self.ask else []
        # An argument with a dash in front would be taken for an option.
        if argument is None:
            words = options
        else:
            words = [*options, "--", argument] if argument.startswith("-") else [argument, *options]
        return shlex.join([PROGRAM, name, *words])

    def session_command(self, name: str, session_id: str) -> str:
        """A shell command for a session, with ``--any-id`` where the id needs it."""
        return self.command(name, session_id, *([] if is_session_id(session_id) else ["--any-id"]))


_SESSION_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def is_session_id(text: str) -> bool:
    """Whether a text is a UUID in the form 8-4-4-4-12, as session ids usually are."""
    return _SESSION_ID.fullmatch(text) is not None


def check_session_id(text: str, *, any_id: bool) -> None:
    """Raise ValidationError for a session id that is not a UUID, unless ``any_id`` permits it."""
    if not any_id and not is_session_id(text):
        raise ValidationError(
            [f"SESSION_ID must be a UUID in the form 8-4-4-4-12, not {text!r:.80}; --any-id accepts other ids"]
        )


def _prompt(name: str, *, hidden: bool) -> str:
    import click

    answer: str = click.prompt(name, hide_input=hidden, err=True, type=str)
    return answer
