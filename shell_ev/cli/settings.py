"""The values of the shared options, env files, and the client options that follow from both."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from .. import ENVIRONMENT_VARIABLES, ConfigurationError, ValidationError

PROGRAM = "shell-ev"


@attrs.define(kw_only=True, slots=False)
class Settings:
    """The shared options, given before or after the command's name; None if not given."""

    env_file: str | None = None
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

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The environment of the process, with variables of the env file where it has none or an empty one."""
        from_file = read_env_file(self.env_file) if self.env_file is not None else {}
        return {**from_file, **{name: value for name, value in os.environ.items() if value or name not in from_file}}

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
                "use --env-file FILE, use --ask to be prompted, or try the command with --sandbox, which needs none"
            )
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigurationError("--ask needs a terminal for its prompt")
        return {option: _prompt(name, hidden=option == "client_secret") for option, name in missing.items()}

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
        for option in ("env_file", "environment", "api_version", "base_url", "store"):
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


# Env files

_SIZE_LIMIT = 1024 * 1024
_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII)
_COMMENT = r"[ \t]*(?:[ \t]#.*)?"
_SINGLE = re.compile(rf"'([^']*)'{_COMMENT}")
_DOUBLE = re.compile(rf'"((?:[^"\\]|\\["\\$`])*)"{_COMMENT}')
_BARE = re.compile(rf"([^\s'\"\\`]*){_COMMENT}")


def read_env_file(path: str) -> dict[str, str]:
    """Read the ``SHELL_EV_*`` variables of an env file. Other variables are skipped.

    A line is ``NAME=value``, with or without ``export``. The value is bare, in single quotes (taken literally), or in
    double quotes (with the escapes ``\\"``, ``\\\\``, ``\\$`` and ``\\```). Nothing is expanded. ``#`` begins a comment
    at the start of a line and after a space.

    Args:
        path: The file.

    Returns:
        Variables and values.

    Raises:
        ConfigurationError: The file or a line cannot be read, a variable is set twice, or a ``SHELL_EV_*`` name does
            not exist. The message has file and line, never a value: it may be a secret.
    """
    found: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        where = f"{path}, line {number}"
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise ConfigurationError(f"{where}: not of the form NAME=value")
        name, written = match.groups()
        if not name.startswith("SHELL_EV_"):
            continue
        if name not in ENVIRONMENT_VARIABLES:
            # A misspelt SHELL_EV_ENVIRONMENT would silently mean production.
            names = ", ".join(ENVIRONMENT_VARIABLES)
            raise ConfigurationError(f"{where}: there is no variable {name}; there are {names}")
        if name in found:
            raise ConfigurationError(f"{where}: {name} is set already, in line {found[name][0]}")
        found[name] = (number, _value(written, f"{where}: the value of {name}"))
    return {name: value for name, (_, value) in found.items()}


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"the env file {path} cannot be read: {reason}") from None
    if len(raw) > _SIZE_LIMIT:
        raise ConfigurationError(f"the env file {path} is larger than {_SIZE_LIMIT} bytes: is it the right one?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}, line {line}: not UTF-8 text") from None


def _value(written: str, what: str) -> str:
    if match := _SINGLE.fullmatch(written):
        return match[1]
    if match := _DOUBLE.fullmatch(written):
        return re.sub(r"\\(.)", r"\1", match[1])
    if match := _BARE.fullmatch(written):
        return match[1]
    if written[:1] in ("'", '"'):
        raise ConfigurationError(f"{what} has no closing quote, text after it, or an unknown \\ escape")
    raise ConfigurationError(f"{what} must be in single quotes: it has a space, a quote, a backslash or a backtick")
