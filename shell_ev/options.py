"""The options of a client and of a call, and the configuration that a client's options make.

Adding an option takes three places: a key of a TypedDict here, a field of :class:`ClientConfig`, and its use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack
from uuid import UUID

import attrs

from ._option_values import (
    OptionFault,
    count,
    flag,
    header_text,
    is_positive,
    mask_userinfo,
    member_of,
    observers,
    proxy,
    retries,
    ssl_context,
    url,
)
from ._version import __version__
from .dialects import ApiVersion
from .errors import ConfigurationError, shown
from .identifiers import EvseId
from .models.enums import AuthorizationMethod, ConnectorType, EvseStatus

if TYPE_CHECKING:
    import ssl as _ssl

    import aiohttp

    from .core.auth import ClientCredentials, TokenSource
    from .observing import Observer
    from .store.base import Store

DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_CONNECTIONS = 100
DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024


class Environment(StrEnum):
    """Where the service runs."""

    PRODUCTION = "production"
    """The service that charges cars and money."""
    TEST = "test"
    """The service's own test system."""

    @property
    def host_url(self) -> str:
        """Scheme and host of API and token calls."""
        return "https://api.shell.com" if self is Environment.PRODUCTION else "https://api-test.shell.com"


@attrs.frozen
class Timeout:
    """Limits of one call, in seconds. None lifts a limit.

    Raises:
        ConfigurationError: A limit is not a positive finite number.
    """

    total: float | None = 60.0
    """For the whole call: the token, every attempt and every wait between attempts."""
    connect: float | None = 10.0
    """For a connection: the wait for a free one, DNS, TCP and TLS."""
    read: float | None = 30.0
    """For the longest time without data while an answer is awaited."""

    def __attrs_post_init__(self) -> None:
        faults = [
            f"timeout {name} must be a positive number of seconds or None, not {shown(value)}"
            for name, value in (("total", self.total), ("connect", self.connect), ("read", self.read))
            if value is not None and not is_positive(value)
        ]
        if faults:
            raise ConfigurationError("; ".join(faults))

    @classmethod
    def of(cls, value: float | Timeout | None, base: Timeout | None = None) -> Timeout:
        """The limits that an option ``timeout`` stands for.

        Args:
            value: Limits, or seconds for the whole call.
            base: The limits that apply where ``value`` sets none; the defaults if left out.

        Returns:
            The limits.

        Raises:
            ConfigurationError: A limit is not a positive finite number.
        """
        if isinstance(value, Timeout):
            return value
        base = cls() if base is None else base
        return base if value is None else attrs.evolve(base, total=value)


class CopyOptions(TypedDict, total=False):
    """Options that :meth:`~shell_ev.AsyncShellEV.with_options` can change."""

    api_version: ApiVersion | str
    """Dialect of the service: "v2" (the default), "v1" or "v1-pascal"."""
    timeout: float | Timeout | None
    """Seconds for a whole call, or a :class:`~shell_ev.Timeout`. 60 seconds by default."""
    max_retries: int
    """Retries after the first attempt, 0 to 100. 2 by default."""
    max_response_bytes: int
    """Longest body that is read, in bytes. 64 MiB by default."""
    user_agent_suffix: str | None
    """Text after the library's own User-Agent."""
    observer: Observer | Iterable[Observer] | None
    """One observer of calls, or several: see ``shell_ev.observing``."""


class ConfigOptions(CopyOptions, total=False):
    """Options that make a :class:`~shell_ev.ClientConfig`."""

    environment: Environment | str
    """Where the service runs: "production" (the default) or "test"."""
    base_url: str | None
    """Scheme and host of API and token calls, with a path prefix if there is one. The environment's by default."""
    token_url: str | None
    """Token endpoint. The path of the dialect on the host of the API by default."""
    ssl: _ssl.SSLContext | None
    """TLS context, to trust a certificate authority of your own. The system's authorities by default."""
    proxy: str | None
    """URL of an HTTP proxy."""
    trust_env: bool
    """Whether proxies are read from the environment variables. False by default."""
    max_connections: int
    """Connections open at once. 100 by default."""


class ClientOptions(ConfigOptions, total=False):
    """Options of :class:`~shell_ev.ShellEV` and :class:`~shell_ev.AsyncShellEV`."""

    token_source: TokenSource | ClientCredentials | None
    """Source of the access tokens, in place of ``client_id`` and ``client_secret``."""
    store: str | os.PathLike[str] | Store | None
    """Journal of the charges for all processes: a path, ``sqlite:///...``, ``postgresql://...`` or a store of yours."""
    store_key: str | None
    """Secret that encrypts the cards in the store, or several with commas, the newest first. ``client_secret`` by
    default; needed with ``token_source``."""
    store_namespace: str | None
    """With ``token_source``: name that keys and charges of the store belong to, beside the host of the API."""


class AsyncClientOptions(ClientOptions, total=False):
    """Options of :class:`~shell_ev.AsyncShellEV` alone."""

    http_session: aiohttp.ClientSession | None
    """A session of yours for all requests. The client never closes it."""


class AttemptOptions(TypedDict, total=False):
    """Options of every call that may be repeated for each page."""

    timeout: float | Timeout | None
    """Seconds for the whole call, or a :class:`~shell_ev.Timeout`. The client's by default."""
    max_retries: int | None
    """Retries after the first attempt, 0 to 100. The client's by default."""
    headers: Mapping[str, str] | None
    """Further headers of the request. Those that the library sets itself are refused."""


class RequestOptions(AttemptOptions, total=False):
    """Options of every call."""

    request_id: str | UUID | None
    """RequestId of the call, a UUID. A random one by default; the same on every attempt."""


class LocationFilters(TypedDict, total=False):
    """Filters of ``locations.list``, ``iterate``, ``nearby`` and ``markers``."""

    evse_status: EvseStatus | str | Sequence[EvseStatus | str] | None
    """Status of an EVSE: a member, its text, or a sequence of either."""
    connector_types: ConnectorType | str | Sequence[ConnectorType | str] | None
    """Connector type: a member, its text, a name such as "CCS" or "Mennekes", or a sequence of these."""
    connector_min_power: float | None
    """Least power of a connector, in kW."""
    authorization_methods: AuthorizationMethod | str | Sequence[AuthorizationMethod | str] | None
    """How a driver can identify: a member, its text, or a sequence of either."""
    with_operator_name: bool | None
    """Whether the answer holds the names of operators."""
    evse_id: str | EvseId | None
    """Id of an EVSE, sent as it is."""
    location_external_id: str | None
    """The operator's id of a location, sent as it is."""
    evse_external_id: str | None
    """The operator's id of an EVSE, sent as it is."""
    country: str | Sequence[str] | None
    """ISO 3166-1 code such as "NL" or "NLD", or a sequence of them (V1 and V2). Sent as alpha-3."""
    exclude_country: str | Sequence[str] | None
    """ISO 3166-1 codes of countries to leave out (V1 and V2). Sent as alpha-3."""


class MapOptions(LocationFilters, RequestOptions, total=False):
    """Options of ``locations.nearby`` and ``locations.markers``."""

    with_max_power: bool | None
    """Whether the answer holds the highest power."""
    operator_name: str | None
    """Name of an operator, sent as it is."""


class IterateOptions(LocationFilters, AttemptOptions, total=False):
    """Options of ``locations.iterate``. Those of a request apply to each page."""

    per_page: int | None
    """Locations a page, at most 500. ``iterate`` takes 500 by default."""
    updated_since: datetime | str | None
    """Locations that changed since then: an aware datetime, or text that is sent as it is."""


class ListOptions(IterateOptions, RequestOptions, total=False):
    """Options of ``locations.list``."""

    page_number: int | None
    """Number of the page, from 1."""


class GetOptions(RequestOptions, total=False):
    """Options of ``locations.get``."""

    provider_id: str | None
    """Id of the mobility provider, which the service needs to send tariffs (V1 and V2)."""
    since: datetime | str | None
    """An aware datetime, or text that is sent as it is (V1 and V2)."""


def option_names(options: type) -> frozenset[str]:
    """The keys of one of the TypedDicts above, those of its bases included."""
    keys: frozenset[str] = getattr(options, "__optional_keys__")  # noqa: B009 - a TypedDict has it, a type has not
    return keys


def check_names(given: Iterable[str], known: Iterable[str], function: str) -> None:
    """Refuse an option that does not exist, as Python refuses an unknown keyword argument.

    Raises:
        TypeError: Names the nearest option.
    """
    known = frozenset(known)
    for name in given:
        if name not in known:
            import difflib

            nearest = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f". Did you mean {nearest[0]!r}?" if nearest else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def _checked(check: Callable[[str, object], object], option: str | None = None) -> dict[str, Any]:
    """How the value of an option becomes that of a field. The option has the field's name unless it is given."""
    return {"check": check, "option": option}


@attrs.frozen(kw_only=True)
class ClientConfig:
    """The options of a client, without its credentials.

    Immutable and comparable, and without a secret when printed. It pickles unless it holds an ``ssl`` context, which
    Python does not pickle, or observers that do not.
    """

    environment: Environment = attrs.field(default=Environment.PRODUCTION, metadata=_checked(member_of(Environment)))
    """Where the service runs."""
    api_version: ApiVersion = attrs.field(default=ApiVersion.V2, metadata=_checked(member_of(ApiVersion)))
    """Dialect of the service."""
    base_url: str | None = attrs.field(default=None, metadata=_checked(url))
    """Scheme and host in place of the environment's."""
    token_url: str | None = attrs.field(default=None, metadata=_checked(url))
    """Token endpoint in place of the dialect's."""
    timeout: Timeout = attrs.field(factory=Timeout)
    """Limits of a call, in seconds."""
    max_retries: int = attrs.field(default=DEFAULT_MAX_RETRIES, metadata=_checked(retries))
    """Retries after the first attempt."""
    ssl: _ssl.SSLContext | None = attrs.field(default=None, eq=False, metadata=_checked(ssl_context))
    """TLS context; None is the system's authorities."""
    proxy: str | None = attrs.field(default=None, repr=mask_userinfo, metadata=_checked(proxy))
    """URL of an HTTP proxy."""
    trust_env: bool = attrs.field(default=False, metadata=_checked(flag))
    """Whether proxies are read from the environment."""
    max_connections: int = attrs.field(default=DEFAULT_MAX_CONNECTIONS, metadata=_checked(count))
    """Connections open at once."""
    max_response_bytes: int = attrs.field(default=DEFAULT_MAX_RESPONSE_BYTES, metadata=_checked(count))
    """Longest body that is read, in bytes."""
    user_agent_suffix: str | None = attrs.field(default=None, metadata=_checked(header_text))
    """Text after the library's own User-Agent."""
    observers: tuple[Observer, ...] = attrs.field(default=(), eq=False, metadata=_checked(observers, "observer"))
    """Observers of calls and attempts."""

    @property
    def api_url(self) -> str:
        """Scheme, host and path prefix of the API, without a slash at the end."""
        return (self.base_url or self.environment.host_url).rstrip("/")

    @property
    def oauth_url(self) -> str:
        """URL of the token endpoint."""
        return self.token_url or self.api_url + self.api_version.token_path

    @property
    def user_agent(self) -> str:
        """The User-Agent of every request."""
        name = f"shell_ev/{__version__} Python/{sys.version_info.major}.{sys.version_info.minor}"
        return f"{name} {self.user_agent_suffix}" if self.user_agent_suffix else name


def changed_config(config: ClientConfig, options: Mapping[str, object]) -> ClientConfig:
    """A configuration with some options changed.

    Args:
        config: The configuration for all that ``options`` leaves out. A number of seconds as ``timeout`` leaves its
            limits for connecting and reading.
        options: Keys of :class:`ConfigOptions`. None is a value. Other keys are ignored.

    Returns:
        The new configuration.

    Raises:
        ConfigurationError: Lists every fault of the options.
    """
    changes: dict[str, Any] = {}
    faults: list[str] = []
    for field in attrs.fields(ClientConfig):
        option = field.metadata.get("option") or field.name
        if option not in options:
            continue
        value = options[option]
        try:
            if option == "timeout":
                changes["timeout"] = Timeout.of(value, config.timeout)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            else:
                changes[field.name] = field.metadata["check"](option, value)
        except (OptionFault, ConfigurationError) as fault:
            faults.append(str(fault))
    if faults:
        raise ConfigurationError("; ".join(faults))
    return attrs.evolve(config, **changes)


def make_config(**options: Unpack[ConfigOptions]) -> ClientConfig:
    """The configuration of a client with these options.

    Returns:
        The configuration.

    Raises:
        TypeError: An option does not exist.
        ConfigurationError: Lists every fault of the options.
    """
    check_names(options, option_names(ConfigOptions), "make_config")
    return changed_config(ClientConfig(), options)


#: Variables of the environment and the options that they set.
ENV_OPTIONS = {
    "SHELL_EV_ENVIRONMENT": "environment",
    "SHELL_EV_API_VERSION": "api_version",
    "SHELL_EV_BASE_URL": "base_url",
    "SHELL_EV_TOKEN_URL": "token_url",
    "SHELL_EV_TIMEOUT": "timeout",
    "SHELL_EV_MAX_RETRIES": "max_retries",
    "SHELL_EV_STORE": "store",
    "SHELL_EV_STORE_KEY": "store_key",
    "SHELL_EV_STORE_NAMESPACE": "store_namespace",
}
ENV_CREDENTIALS = {"SHELL_EV_CLIENT_ID": "client_id", "SHELL_EV_CLIENT_SECRET": "client_secret"}
ENVIRONMENT_VARIABLES: tuple[str, ...] = (*ENV_CREDENTIALS, *ENV_OPTIONS)
"""Names of the variables that ``from_env`` reads."""


def given_credentials(client_id: str | None, client_secret: str | None) -> dict[str, str]:
    """The credentials that were given, by their options."""
    given = {"client_id": client_id, "client_secret": client_secret}
    return {name: value for name, value in given.items() if value is not None}


#: The way on for who has no credentials at all.
NO_ACCOUNT: Final = "no account? `python -m shell_ev.sandbox`"


def options_from_env(environ: Mapping[str, str] | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor options from the ``SHELL_EV_*`` variables. An empty variable counts as unset.

    Args:
        environ: The variables; those of the process if None.
        overrides: Options that are not read from the variables.

    Returns:
        The options, those of ``overrides`` included.

    Raises:
        ConfigurationError: Names the variables that are missing or hold no number.
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
        has_none = all(f"{variable} is not set" in faults for variable in ENV_CREDENTIALS)
        raise ConfigurationError("; ".join([*faults, NO_ACCOUNT] if has_none else faults))
    return {**options, **overrides}
