"""What the shared options of the command line say, and the client options that follow. Knows no command."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from ..errors import ConfigurationError, ValidationError
from .env_file import read_env_file

PROGRAM = "shell-ev"


@attrs.define(kw_only=True, slots=False)
class Settings:
    """The shared options, as given before or after the name of the command; None is not given."""

    env_file: str | None = None
    environment: str | None = None
    api_version: str | None = None
    base_url: str | None = None
    timeout: float | None = None
    """Seconds for a whole call."""
    max_retries: int | None = None
    ask: bool = False
    """Ask on the terminal for the credentials that are missing."""
    sandbox: bool = False
    """Run against a sandbox inside this process."""
    json: bool = False
    verbose: int = 0
    """1 shows the library's log from INFO on, 2 from DEBUG on."""
    no_color: bool = False

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The process's environment and, where it does not have a variable or an empty one, the env file's."""
        from_file = read_env_file(self.env_file) if self.env_file is not None else {}
        return {**from_file, **{name: value for name, value in os.environ.items() if value or name not in from_file}}

    def client_options(self) -> dict[str, Any]:
        """What the client is told beside ``environ``: options of the command line, asked credentials, proxies.

        Raises ConfigurationError for credentials that are missing.
        """
        return {**self.options_beside_credentials(), **self._credentials()}

    def options_beside_credentials(self) -> dict[str, Any]:
        """The same without credentials, for a command that has something to say when there are none."""
        options: dict[str, Any] = {
            name: value
            for name in ("environment", "api_version", "base_url", "timeout", "max_retries")
            if (value := getattr(self, name)) is not None
        }
        return {**options, "trust_env": True, "user_agent_suffix": PROGRAM}

    def _credentials(self) -> dict[str, str]:
        wanted = {"client_id": "SHELL_EV_CLIENT_ID", "client_secret": "SHELL_EV_CLIENT_SECRET"}
        missing = {option: name for option, name in wanted.items() if not self.environ.get(name)}
        if not missing:
            return {}
        if not self.ask:
            raise ConfigurationError(
                f"{' and '.join(missing.values())} {'is' if len(missing) == 1 else 'are'} not set: set "
                f"{'it' if len(missing) == 1 else 'them'}, name a "
                "file with --env-file, let --ask ask for them, or try the command with --sandbox, which needs none"
            )
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigurationError("--ask needs a terminal to ask on")
        return {option: _asked(name, hidden=option == "client_secret") for option, name in missing.items()}

    def want(self, written: str | None) -> None:
        """Take in ``--format``: ``json`` is ``--json``. Raises ValidationError for ``--json`` with another one."""
        if self.json and written not in (None, "json"):
            raise ValidationError([f"--json and --format {written} exclude each other"])
        self.json = self.json or written == "json"

    def command(self, *words: str) -> str:
        """A command line for the shell that reaches the same service as this one."""
        given: list[str] = []
        for option in ("env_file", "environment", "api_version", "base_url"):
            if (value := getattr(self, option)) is not None:
                given += [f"--{option.replace('_', '-')}", str(value)]
        return shlex.join([PROGRAM, *words, *given, *(["--ask"] if self.ask else [])])


def _asked(name: str, *, hidden: bool) -> str:
    import click

    answer: str = click.prompt(name, hide_input=hidden, err=True, type=str)
    return answer
