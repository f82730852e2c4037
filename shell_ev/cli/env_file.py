"""Env files: read by python-dotenv, their ``SHELL_EV_*`` names checked. Knows no client and no command."""

from __future__ import annotations

import io
import re
from pathlib import Path

from .. import ENVIRONMENT_VARIABLES, ConfigurationError

#: Variable of the default card, which the command line alone reads.
CARD_VARIABLE = "SHELL_EV_CARD"
_KNOWN = (*ENVIRONMENT_VARIABLES, CARD_VARIABLE)
_SIZE_LIMIT = 1024 * 1024
_SWALLOWED = re.compile(r"\n[ \t]*(?:export[ \t]+)?SHELL_EV_")


def read_env_file(path: str) -> dict[str, str]:
    """Read the ``SHELL_EV_*`` variables of an env file. Other variables are skipped, and nothing is expanded.

    Args:
        path: The file.

    Returns:
        Variables and values.

    Raises:
        ConfigurationError: The file or a line cannot be read, a variable is set twice, or a ``SHELL_EV_*`` name does
            not exist. The message has file and line, never a value: it may be a secret.
    """
    # dotenv_values() logs a line that it cannot read and skips it; the parser says which one it is.
    from dotenv.parser import parse_stream

    found: dict[str, tuple[int, str]] = {}
    for binding in parse_stream(io.StringIO(_text(path))):
        written = binding.original.string
        number = binding.original.line + written[: len(written) - len(written.lstrip())].count("\n")
        where = f"{path}, line {number}"
        if binding.error:
            raise ConfigurationError(f"{where}: not of the form NAME=value, or a quote is not closed")
        if _SWALLOWED.search(written.strip()):
            raise ConfigurationError(f"{where}: a quote is not closed, and swallows the SHELL_EV_ variable after it")
        name = binding.key
        if name is None or not name.startswith("SHELL_EV_"):
            continue
        if name not in _KNOWN:
            # A misspelt SHELL_EV_ENVIRONMENT would silently mean production.
            raise ConfigurationError(f"{where}: there is no variable {name}; there are {', '.join(_KNOWN)}")
        if binding.value is None:
            raise ConfigurationError(f"{where}: {name} has no value: write {name}=value")
        if name in found:
            raise ConfigurationError(f"{where}: {name} is set already, in line {found[name][0]}")
        found[name] = (number, binding.value)
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
