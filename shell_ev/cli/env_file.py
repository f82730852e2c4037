"""Reading ``SHELL_EV_*`` variables from an env file. Strict; never repeats a value, which may be a secret."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ConfigurationError
from ..options import ENV_CREDENTIALS, ENV_OPTIONS

#: What such a file may set: all that ``from_env`` reads.
VARIABLES = (*ENV_CREDENTIALS, *ENV_OPTIONS)
_SIZE_LIMIT = 1024 * 1024
_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII)
_COMMENT = r"[ \t]*(?:[ \t]#.*)?"
_SINGLE = re.compile(rf"'([^']*)'{_COMMENT}")
_DOUBLE = re.compile(rf'"((?:[^"\\]|\\["\\$`])*)"{_COMMENT}')
_BARE = re.compile(rf"([^\s'\"\\`]*){_COMMENT}")


def read_env_file(path: str) -> dict[str, str]:
    """The ``SHELL_EV_*`` variables that a file sets; lines of other variables are skipped.

    A line is ``NAME=value``, with or without ``export``; the value bare, in single quotes (taken as it is) or in double
    quotes (where ``\\"``, ``\\\\``, ``\\$`` and ``\\``` stand for the second character). Nothing is expanded. ``#``
    begins a comment at the start of a line and after a space. Raises ConfigurationError, which names file and line, for
    a file or a line that cannot be read, for a variable set twice, and for a ``SHELL_EV_*`` name that does not exist.
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
        if name not in VARIABLES:
            # A misspelt SHELL_EV_ENVIRONMENT would mean production, without a word.
            raise ConfigurationError(f"{where}: there is no variable {name}; there are {', '.join(VARIABLES)}")
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
        raise ConfigurationError(f"{what} has no closing quote, or something after it, or a \\ that means nothing")
    raise ConfigurationError(f"{what} must be in single quotes: it holds a space, a quote, a backslash or a backtick")
