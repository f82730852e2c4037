"""How a client is set up. Holds and checks options; knows nothing of HTTP, tokens or credentials.

Every fault of a configuration is told at once, in one :class:`~shell_ev.errors.ConfigurationError`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import attrs

from ._version import __version__
from .dialects import ApiVersion
from .errors import ConfigurationError, shown
from .observing import Observer

if TYPE_CHECKING:
    import ssl as _ssl

DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_CONNECTIONS = 100
DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_MAX_RETRIES_LIMIT = 100
_HEADER_TEXT = re.compile(r"[\x20-\x7e]*")


class Environment(StrEnum):
    """Where the service runs (contract section 1)."""

    PRODUCTION = "production"
    TEST = "test"

    @property
    def host_url(self) -> str:
        """Scheme and host of API and token calls."""
        return "https://api.shell.com" if self is Environment.PRODUCTION else "https://api-test.shell.com"


@attrs.frozen
class Timeout:
    """Limits of one call, in seconds. None lifts a limit.

    ``total`` covers the whole call: token, every try and every wait between them. ``connect`` covers getting a
    connection (waiting for a free one, name look-up, TCP, TLS). ``read`` is the longest silence while waiting for an
    answer. Raises :class:`~shell_ev.errors.ConfigurationError` for a limit that is no positive finite number.
    """

    total: float | None = 60.0  #: For the whole call.
    connect: float | None = 10.0  #: For getting a connection.
    read: float | None = 30.0  #: For the longest silence.

    def __attrs_post_init__(self) -> None:
        faults = [
            f"timeout {name} must be a positive number of seconds or None, not {shown(value)}"
            for name, value in (("total", self.total), ("connect", self.connect), ("read", self.read))
            if value is not None and not _is_positive(value)
        ]
        if faults:
            raise ConfigurationError("; ".join(faults))

    @classmethod
    def of(cls, value: float | Timeout | None, base: Timeout | None = None) -> Timeout:
        """``value`` itself; or seconds for the whole call, the other limits those of ``base`` or the defaults."""
        if isinstance(value, Timeout):
            return value
        base = cls() if base is None else base
        return base if value is None else attrs.evolve(base, total=value)


def _is_positive(value: object) -> bool:
    # Compared and not converted: an integer may be larger than any float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


_E = TypeVar("_E", bound=StrEnum)


def _member(enum: type[_E], value: object, what: str, faults: list[str]) -> _E | None:
    if isinstance(value, str):
        for member in enum:
            if member.value == value.strip().lower():
                return member
    faults.append(f"{what} must be one of {', '.join(repr(m.value) for m in enum)}, not {shown(value)}")
    return None


def _url_faults(value: object, what: str, *, with_path: bool) -> list[str]:
    example = "https://host/v2/oauth/token" if with_path else "https://host"
    if not isinstance(value, str):
        return [f"{what} must be text such as {example!r}, not {type(value).__name__}"]
    try:
        parts = urlsplit(value)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return [f"{what} is not a URL; write it like {example!r}"]
    # The value itself is never repeated: somebody will put credentials into it.
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
    # urlsplit drops line breaks and tabs without a word.
    return text.isprintable() and " " not in text


def _is_host(name: str | None) -> bool:
    """Whether a resolver can be asked for it at all: labels of 1 to 63 characters."""
    if not name:
        return False
    name = name.rstrip(".")
    if name.isascii():
        return all(0 < len(label) < 64 for label in name.split("."))
    try:
        name.encode("idna")  # imports what it takes, 1 ms
    except UnicodeError:
        return False
    return True


def _mask_userinfo(url: str | None) -> str:
    return repr(re.sub(r"//[^/]*@", "//***@", url)) if isinstance(url, str) else repr(url)


@attrs.frozen(kw_only=True)
class ClientConfig:
    """Everything a client is told but its credentials. Immutable, comparable, safe to print, and to pickle
    unless it holds an ``ssl`` context, which Python does not pickle, or observers that are not."""

    environment: Environment = Environment.PRODUCTION  #: Where the service runs.
    api_version: ApiVersion = ApiVersion.V2  #: Which dialect is spoken.
    base_url: str | None = None  #: Scheme and host instead of the environment's.
    token_url: str | None = None  #: Token endpoint instead of the version's own on that host.
    timeout: Timeout = attrs.field(factory=Timeout)  #: Limits of a call, in seconds.
    max_retries: int = DEFAULT_MAX_RETRIES  #: Further tries after the first.
    ssl: _ssl.SSLContext | None = attrs.field(default=None, eq=False)  #: Whom to trust; None is the system's trust.
    proxy: str | None = attrs.field(default=None, repr=_mask_userinfo)  #: URL of an HTTP proxy.
    trust_env: bool = False  #: Whether proxies are read from the environment.
    max_connections: int = DEFAULT_MAX_CONNECTIONS  #: Connections open at once.
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES  #: Longest body that is read.
    user_agent_suffix: str | None = None  #: What follows the library's own User-Agent.
    observers: tuple[Observer, ...] = attrs.field(default=(), eq=False)  #: Who is told of calls and tries.

    @property
    def api_url(self) -> str:
        """Scheme, host and any prefix, without a slash at the end; operation paths are appended to it."""
        return (self.base_url or self.environment.host_url).rstrip("/")

    @property
    def oauth_url(self) -> str:
        """Where tokens are fetched."""
        return self.token_url or self.api_url + self.api_version.token_path

    @property
    def user_agent(self) -> str:
        """How the library names itself to the service."""
        name = f"shell_ev/{__version__} Python/{sys.version_info.major}.{sys.version_info.minor}"
        return f"{name} {self.user_agent_suffix}" if self.user_agent_suffix else name


def make_config(
    *,
    environment: Environment | str = Environment.PRODUCTION,
    api_version: ApiVersion | str = ApiVersion.V2,
    base_url: str | None = None,
    token_url: str | None = None,
    timeout: float | Timeout | None = None,
    max_retries: int = DEFAULT_MAX_RETRIES,
    ssl: _ssl.SSLContext | None = None,
    proxy: str | None = None,
    trust_env: bool = False,
    max_connections: int = DEFAULT_MAX_CONNECTIONS,
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
    user_agent_suffix: str | None = None,
    observer: Observer | Iterable[Observer] | None = None,
) -> ClientConfig:
    """Check every option and put them together; raises one ``ConfigurationError`` that lists all that is wrong."""
    faults: list[str] = []
    where = _member(Environment, environment, "environment", faults) or Environment.PRODUCTION
    version = _member(ApiVersion, api_version, "api_version", faults) or ApiVersion.V2
    if base_url is not None:
        faults += _url_faults(base_url, "base_url", with_path=False)
    if token_url is not None:
        faults += _url_faults(token_url, "token_url", with_path=True)
    limits = Timeout()
    try:
        limits = Timeout.of(timeout)
    except ConfigurationError as error:
        faults.append(str(error))
    faults += retries_faults(max_retries)
    for name, number in (("max_connections", max_connections), ("max_response_bytes", max_response_bytes)):
        if type(number) is not int or number < 1:
            faults.append(f"{name} must be a whole number of at least 1, not {shown(number)}")
    if trust_env not in (True, False):
        faults.append("trust_env must be True or False")
    if ssl is not None and not _is_ssl_context(ssl):
        faults.append("ssl must be an ssl.SSLContext (verification cannot be switched off; trust your own CA in one)")
    if proxy is not None and not is_proxy_url(proxy):
        faults.append("proxy must be an http or https URL such as 'http://proxy.example:3128'")
    if user_agent_suffix is not None and not _is_header_text(user_agent_suffix):
        faults.append("user_agent_suffix must be printable ASCII")
    observers = _observers(observer, faults)
    if faults:
        raise ConfigurationError("; ".join(faults))
    return ClientConfig(
        environment=where,
        api_version=version,
        base_url=base_url,
        token_url=token_url,
        timeout=limits,
        max_retries=max_retries,
        ssl=ssl,
        proxy=proxy,
        trust_env=trust_env,
        max_connections=max_connections,
        max_response_bytes=max_response_bytes,
        user_agent_suffix=user_agent_suffix,
        observers=observers,
    )


def _observers(value: Observer | Iterable[Observer] | None, faults: list[str]) -> tuple[Observer, ...]:
    if value is None:
        return ()
    given: tuple[object, ...] = (value,)
    if not isinstance(value, Observer):
        with contextlib.suppress(TypeError):
            given = tuple(value)
    observers = tuple(item for item in given if isinstance(item, Observer))
    if len(observers) < len(given):
        faults.append(
            "observer must be one or several objects of classes that inherit from shell_ev.observing.Observer"
        )
    return observers


def retries_faults(value: object) -> list[str]:
    """What is wrong with a number of retries, in words; nothing when it is one."""
    if type(value) is int and 0 <= value <= _MAX_RETRIES_LIMIT:
        return []
    return [f"max_retries must be a whole number from 0 to {_MAX_RETRIES_LIMIT}, not {shown(value)}"]


def _is_header_text(value: object) -> bool:
    return isinstance(value, str) and _HEADER_TEXT.fullmatch(value) is not None


def _is_ssl_context(value: object) -> bool:
    import ssl

    return isinstance(value, ssl.SSLContext)


def is_proxy_url(value: object) -> bool:
    """Whether a proxy can be reached at it."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and port_ok and _is_host(parts.hostname) and _is_solid(value)


#: Variables of the environment and the options they stand for.
ENV_OPTIONS = {
    "SHELL_EV_ENVIRONMENT": "environment",
    "SHELL_EV_API_VERSION": "api_version",
    "SHELL_EV_BASE_URL": "base_url",
    "SHELL_EV_TOKEN_URL": "token_url",
    "SHELL_EV_TIMEOUT": "timeout",
    "SHELL_EV_MAX_RETRIES": "max_retries",
}
ENV_CREDENTIALS = {"SHELL_EV_CLIENT_ID": "client_id", "SHELL_EV_CLIENT_SECRET": "client_secret"}
ENVIRONMENT_VARIABLES: tuple[str, ...] = (*ENV_CREDENTIALS, *ENV_OPTIONS)
"""Names of the variables that ``from_env`` reads."""


def options_from_env(environ: Mapping[str, str] | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor options out of ``SHELL_EV_*`` variables (of the process, unless ``environ`` is given).

    What ``overrides`` names is not read from there.

    An empty variable counts as unset. Raises ``ConfigurationError`` for a ``SHELL_EV_*`` number that is none and for
    missing credentials.
    """
    environ = os.environ if environ is None else environ
    options: dict[str, Any] = {}
    faults: list[str] = []
    for variable, option in ENV_OPTIONS.items():
        text = environ.get(variable, "").strip()
        if not text or option in overrides:
            continue
        if option in ("timeout", "max_retries"):
            try:
                options[option] = float(text) if option == "timeout" else int(text)
            except ValueError:
                faults.append(f"{variable} must be a number, not {shown(text)}")
        else:
            options[option] = text
    if overrides.get("token_source") is None:
        for variable, option in ENV_CREDENTIALS.items():
            if option in overrides:
                continue
            if value := environ.get(variable, ""):
                options[option] = value
            else:
                faults.append(f"{variable} is not set")
    if faults:
        raise ConfigurationError("; ".join(faults))
    return {**options, **overrides}
