"""Checks of the values of a client's options. Each takes the option's name and value, for its error."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from enum import StrEnum
from urllib.parse import urlsplit

from .errors import shown
from .observing import Observer

_MAX_RETRIES_LIMIT = 100
_HEADER_TEXT = re.compile(r"[\x20-\x7e]*")


def is_positive(value: object) -> bool:
    """Whether a value is a positive finite number."""
    # Compared and not converted: an integer may be larger than any float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


class OptionFault(ValueError):
    """What is wrong with the value of one option."""


def member_of(enum: type[StrEnum]) -> Callable[[str, object], StrEnum]:
    """A member of an enum, or its text in any case."""

    def read(name: str, value: object) -> StrEnum:
        if isinstance(value, str):
            for member in enum:
                if member.value == value.strip().lower():
                    return member
        raise OptionFault(f"{name} must be one of {', '.join(repr(m.value) for m in enum)}, not {shown(value)}")

    return read


def url(name: str, value: object) -> object:
    """An http or https URL."""
    if value is not None:
        faults = _url_faults(value, name, with_path=name == "token_url")
        if faults:
            raise OptionFault("; ".join(faults))
    return value


def _url_faults(value: object, what: str, *, with_path: bool) -> list[str]:
    example = "https://host/v2/oauth/token" if with_path else "https://host"
    if not isinstance(value, str):
        return [f"{what} must be text such as {example!r}, not {type(value).__name__}"]
    try:
        parts = urlsplit(value)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return [f"{what} is not a URL; write it like {example!r}"]
    # The value itself is never repeated: it may contain credentials.
    if parts.username is not None or parts.password is not None:
        return [f"{what} must not hold credentials"]
    if parts.scheme not in ("http", "https") or not port_ok or not _is_host(parts.hostname) or not _is_solid(value):
        return [f"{what} must be an http or https URL such as {example!r}"]
    if parts.query or parts.fragment or "?" in value or "#" in value:
        return [f"{what} must have no query and no fragment"]
    if any(segment in (".", "..") for segment in parts.path.split("/")):
        return [f"{what} must have no dot segments"]
    if with_path and not parts.path.strip("/"):
        return [f"{what} must name the path of the token endpoint, such as {example!r}"]
    return []


def _is_solid(text: str) -> bool:
    # urlsplit drops line breaks and tabs silently.
    return text.isprintable() and " " not in text


def _is_host(name: str | None) -> bool:
    """Whether it can be a host name: labels of 1 to 63 characters."""
    if not name:
        return False
    name = name.rstrip(".")
    if name.isascii():
        return all(0 < len(label) < 64 for label in name.split("."))
    try:
        name.encode("idna")  # imports the codec, 1 ms
    except UnicodeError:
        return False
    return True


def mask_userinfo(url: str | None) -> str:
    """The ``repr`` of a URL without user name and password."""
    return repr(re.sub(r"//[^/]*@", "//***@", url)) if isinstance(url, str) else repr(url)


def count(name: str, value: object) -> int:
    """A whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise OptionFault(f"{name} must be a whole number of at least 1, not {shown(value)}")
    return value


def retries(_: str, value: object) -> object:
    """A number of retries."""
    faults = retries_faults(value)
    if faults:
        raise OptionFault(faults[0])
    return value


def retries_faults(value: object) -> list[str]:
    """The fault of a number of retries, in words; nothing if there is none."""
    if type(value) is int and 0 <= value <= _MAX_RETRIES_LIMIT:
        return []
    return [f"max_retries must be a whole number from 0 to {_MAX_RETRIES_LIMIT}, not {shown(value)}"]


def flag(name: str, value: object) -> object:
    """True or False."""
    if value not in (True, False):
        raise OptionFault(f"{name} must be True or False")
    return value


def ssl_context(name: str, value: object) -> object:
    """A TLS context."""
    if value is not None:
        import ssl

        if not isinstance(value, ssl.SSLContext):
            raise OptionFault(
                f"{name} must be an ssl.SSLContext (verification cannot be switched off; trust your own CA in one)"
            )
    return value


def proxy(name: str, value: object) -> object:
    """The URL of an HTTP proxy."""
    if value is not None and not is_proxy_url(value):
        raise OptionFault(f"{name} must be an http or https URL such as 'http://proxy.example:3128'")
    return value


def is_proxy_url(value: object) -> bool:
    """Whether a value is the URL of an HTTP proxy."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and port_ok and _is_host(parts.hostname) and _is_solid(value)


def header_text(name: str, value: object) -> object:
    """Printable ASCII."""
    if value is not None and not (isinstance(value, str) and _HEADER_TEXT.fullmatch(value)):
        raise OptionFault(f"{name} must be printable ASCII")
    return value


def observers(name: str, value: object) -> tuple[Observer, ...]:
    """One observer or several, as a tuple."""
    if value is None:
        return ()
    given: tuple[object, ...] = (value,)
    if not isinstance(value, Observer):
        with contextlib.suppress(TypeError):
            given = tuple(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    found = tuple(item for item in given if isinstance(item, Observer))
    if len(found) < len(given):
        raise OptionFault(
            f"{name} must be one or several objects of classes that inherit from shell_ev.observing.Observer"
        )
    return found
