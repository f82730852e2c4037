"""What the client is told and where each of it comes from; what is missing or wrong, told for all of it at once.

Reads options and variables; opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import attrs

from ..client import token_source_of
from ..core.auth import ClientCredentials, TokenSource
from ..errors import ConfigurationError, shown
from ..options import (
    ENV_CREDENTIALS,
    ENV_OPTIONS,
    AsyncClientOptions,
    ClientConfig,
    Timeout,
    make_config,
    option_names,
    options_from_env,
)
from .findings import Setting
from .redaction import Redactor, masked_id

Variables = Sequence[tuple[str, Mapping[str, str]]]
"""Where ``SHELL_EV_*`` variables are looked for, each place with its name; the first that has one wins."""

DEFAULT = "default"
_OPTION = "option"
_CREDENTIALS = ("client_id", "client_secret", "token_source")
_ALWAYS = (
    *("environment", "api_version", "base_url", "token_url", "client_id", "client_secret"),
    *("timeout", "max_retries", "proxy", "trust_env", "ssl"),
)
#: What is worked out when it is not given.
_IN_CONFIG = {"base_url": "api_url", "token_url": "oauth_url"}
_VARIABLES = {option: variable for variable, option in (*ENV_OPTIONS.items(), *ENV_CREDENTIALS.items())}
_NOBODY: Any = object()
#: The last is read where answers are decoded.
_KNOWN = frozenset({*ENV_OPTIONS, *ENV_CREDENTIALS, "SHELL_EV_ENGINE"})


@attrs.frozen(kw_only=True)
class Settings:
    """The options of a client, resolved as far as they are valid."""

    config: ClientConfig | None
    """None when ``config_fault`` says why."""
    config_fault: str | None
    source: ClientCredentials | TokenSource | None = attrs.field(repr=False)
    """None when ``credentials_fault`` says why."""
    credentials_fault: str | None
    options: Mapping[str, Any] = attrs.field(repr=False)
    """What the client's constructor is given."""
    strays: tuple[str, ...]
    """``SHELL_EV_*`` variables that are set and mean nothing: a slip of the pen would else be a silent default."""
    shown: tuple[Setting, ...]
    redactor: Redactor = attrs.field(repr=False)

    def origin(self, name: str) -> str:
        """Where an option comes from."""
        return next(setting.origin for setting in self.shown if setting.name == name)

    def where(self, name: str) -> str:
        """How a reader finds an option: by its variable, unless it was given in code or on the command line."""
        return name if self.origin(name) == _OPTION else _VARIABLES.get(name, name)

    def named_in(self, fault: str) -> str:
        """Where the options are set that a fault speaks of."""
        names = [found.name for found in self.shown if found.name in fault or self.where(found.name) in fault]
        return ", ".join(self.told(name) for name in names if self.origin(name) != DEFAULT)

    def told(self, name: str) -> str:
        """The same, with the place it was read from."""
        return f"{self.where(name)} ({self.origin(name)})"


def resolve(given: Mapping[str, Any], variables: Variables | None) -> Settings:
    """Put options and variables together. Raises ConfigurationError for an option that does not exist."""
    if not isinstance(cast("object", given), Mapping):
        raise ConfigurationError(f"options must be a mapping of the client's options, not {shown(given)}")
    known = {*ENV_CREDENTIALS.values(), *option_names(AsyncClientOptions)}
    if unknown := [name for name in given if name not in known]:
        raise ConfigurationError(f"the client has no option {', '.join(map(shown, unknown))}")
    given = {name: value for name, value in given.items() if name not in _CREDENTIALS or value is not None}
    places = (("environment", os.environ),) if variables is None else variables
    merged, origins = _merge(places)
    options: dict[str, Any] = {}
    config, config_fault = None, None
    try:
        options = options_from_env(merged, {**_without(given, _CREDENTIALS), "token_source": _NOBODY})
        del options["token_source"]
        config = make_config(**_without(options, ("http_session",)))
    except ConfigurationError as error:
        config_fault = str(error)
    credentials: dict[str, Any] = {}
    source, credentials_fault = None, None
    try:
        # Apart from the rest: without credentials there is still a network to look at.
        only = {name: merged[name] for name in ENV_CREDENTIALS if name in merged}
        credentials = options_from_env(only, {name: given[name] for name in _CREDENTIALS if name in given})
        source = token_source_of(*(credentials.get(name) for name in _CREDENTIALS))
    except ConfigurationError as error:
        credentials_fault = str(error)
    redactor = Redactor(*_secrets(given, merged, source))
    origin_of = _Origins(given, merged, origins, config, redactor)
    return Settings(
        config=config,
        config_fault=config_fault,
        source=source,
        credentials_fault=credentials_fault,
        options={**options, **credentials},
        strays=_strays(places),
        shown=tuple(map(origin_of.setting, (*_ALWAYS, *(name for name in given if name not in _ALWAYS)))),
        redactor=redactor,
    )


def _without(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def _merge(places: Variables) -> tuple[dict[str, str], dict[str, str]]:
    merged: dict[str, str] = {}
    origins: dict[str, str] = {}
    for place, variables in places:
        for name in (*ENV_OPTIONS, *ENV_CREDENTIALS):
            # An empty variable counts as unset, as it does for the client.
            if name not in merged and variables.get(name):
                merged[name], origins[name] = variables[name], place
    return merged, origins


def _strays(places: Variables) -> tuple[str, ...]:
    names = {name for _, variables in places for name, value in variables.items() if value}
    return tuple(sorted(name for name in names if name.startswith("SHELL_EV_") and name not in _KNOWN))


def _secrets(
    given: Mapping[str, Any], merged: Mapping[str, str], source: ClientCredentials | TokenSource | None
) -> tuple[str | None, list[str]]:
    """The client id, and whatever could be a secret, valid or not."""
    client_id = given.get("client_id", merged.get("SHELL_EV_CLIENT_ID"))
    secrets = [given.get("client_secret"), merged.get("SHELL_EV_CLIENT_SECRET"), getattr(source, "token", None)]
    if isinstance(source, ClientCredentials):
        client_id = source.client_id
        secrets.append(source.client_secret)
    secrets += [_password(url) for url in (given.get("proxy"), *getproxies().values())]
    texts = {secret.strip() for secret in secrets if isinstance(secret, str)}
    return client_id if isinstance(client_id, str) else None, sorted(texts)


def _password(url: Any) -> str | None:
    """The password in a proxy's URL: a proxy may repeat it when it refuses."""
    try:
        return unquote(urlsplit(url if "://" in url else f"//{url}").password or "")
    except (TypeError, ValueError):
        return None


@attrs.frozen
class _Origins:
    """Finds for each option what it is and where it was said."""

    given: Mapping[str, Any]
    merged: Mapping[str, str]
    places: Mapping[str, str]
    config: ClientConfig | None
    redactor: Redactor

    def setting(self, name: str) -> Setting:
        variable = _VARIABLES.get(name, "")
        if name in self.given:
            value, origin = self.given[name], _OPTION
        elif variable in self.merged:
            value, origin = self.merged[variable], self.places[variable]
        else:
            value, origin = getattr(self.config, _IN_CONFIG.get(name, name), None), DEFAULT
        return Setting(name, self.redactor.clean(_text(name, value)), self.redactor.clean(origin))


def _text(name: str, value: Any) -> str:
    if name == "client_secret":
        return "not set" if value is None else "set"
    if name == "client_id":
        return masked_id(value) if isinstance(value, str) else "not set"
    if name == "ssl":
        return "the trust of this machine" if value is None else "an SSLContext of its own"
    if name in ("token_source", "http_session"):
        return type(value).__name__
    if value is None:
        return "none"
    if isinstance(value, Timeout):
        limits = ((value.total, "in all"), (value.connect, "to connect"), (value.read, "of silence"))
        return ", ".join("no limit" if limit is None else f"{limit:g} s {what}" for limit, what in limits)
    return str(value) if isinstance(value, (str, int, float)) else shown(value, 100)
