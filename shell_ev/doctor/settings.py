"""The options of the client, their origin and their faults, and the redaction of reports."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import attrs

from ..client import token_source_of
from ..core.auth import ClientCredentials, TokenSource
from ..errors import ConfigurationError, one_line, shown
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
from ..redaction import Secrets
from .report import Setting

Variables = Sequence[tuple[str, Mapping[str, str]]]
"""Places that may have ``SHELL_EV_*`` variables, each with its name. The first that has a variable wins."""

DEFAULT = "default"
_OPTION = "option"
_CREDENTIALS = ("client_id", "client_secret", "token_source")
_ALWAYS = (
    *("environment", "api_version", "base_url", "token_url", "client_id", "client_secret"),
    *("timeout", "max_retries", "proxy", "trust_env", "ssl"),
)
_STORE = ("store", "store_key", "store_namespace")
_NOT_IN_CONFIG = ("http_session", *_STORE)
#: Options with a computed default.
_IN_CONFIG = {"base_url": "api_url", "token_url": "oauth_url"}
_VARIABLES = {option: variable for variable, option in (*ENV_OPTIONS.items(), *ENV_CREDENTIALS.items())}
_NO_SOURCE: Any = object()
#: Variables that are no options: the decoder, the blocking client and the command line read them.
_OTHERS = ("SHELL_EV_ENGINE", "SHELL_EV_LOOP", "SHELL_EV_CARD", "SHELL_EV_PROFILE")
_KNOWN = frozenset({*ENV_OPTIONS, *ENV_CREDENTIALS, *_OTHERS})

_USERINFO = re.compile(r"(?<=//)[^/\s]*@")
_HOMES = re.compile(r"(?:/home/|/Users/)[^/\s:'\"]+|[A-Za-z]:\\Users\\[^\\:'\"]+")
_LIMIT = 300
#: A shorter id may be a common word ("test"): masking it would garble the report.
_SHORTEST_ID = 6
#: A shorter secret likewise. In answers of the service the library masks secrets of any length.
_SHORTEST_SECRET = 8


@attrs.frozen(kw_only=True)
class Settings:
    """The options of a client, resolved as far as they are valid."""

    config: ClientConfig | None
    """None if ``config_fault`` is set."""
    config_fault: str | None
    source: ClientCredentials | TokenSource | None = attrs.field(repr=False)
    """None if ``credentials_fault`` is set."""
    credentials_fault: str | None
    options: Mapping[str, Any] = attrs.field(repr=False)
    """Arguments of the client's constructor, without those of the store: a diagnosis writes nothing there."""
    strays: tuple[str, ...]
    """``SHELL_EV_*`` variables that are set and not read: a typo would otherwise be a silent default."""
    shown: tuple[Setting, ...]
    redactor: Redactor = attrs.field(repr=False)

    def origin(self, name: str) -> str:
        """Origin of an option."""
        return next(setting.origin for setting in self.shown if setting.name == name)

    def where(self, name: str) -> str:
        """Name under which the user sets an option: its variable, or its own name if it was given as an option."""
        return name if self.origin(name) == _OPTION else _VARIABLES.get(name, name)

    def named_in(self, fault: str) -> str:
        """Names and origins of the options that a fault names."""
        names = [found.name for found in self.shown if found.name in fault or self.where(found.name) in fault]
        return ", ".join(self.origin_of(name) for name in names if self.origin(name) != DEFAULT)

    def origin_of(self, name: str) -> str:
        """Name and origin of an option: ``SHELL_EV_CLIENT_ID (environment)``."""
        return f"{self.where(name)} ({self.origin(name)})"


def resolve(given: Mapping[str, Any], variables: Variables | None) -> Settings:
    """Combine options and variables. Raises ConfigurationError for an option that does not exist."""
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
        options = options_from_env(merged, {**_without(given, _CREDENTIALS), "token_source": _NO_SOURCE})
        del options["token_source"]
        config = make_config(**_without(options, _NOT_IN_CONFIG))
    except ConfigurationError as error:
        config_fault = str(error)
    credentials: dict[str, Any] = {}
    source, credentials_fault = None, None
    try:
        # Separately: the network checks run without credentials, too.
        only = {name: merged[name] for name in ENV_CREDENTIALS if name in merged}
        credentials = options_from_env(only, {name: given[name] for name in _CREDENTIALS if name in given})
        source = token_source_of(*(credentials.get(name) for name in _CREDENTIALS))
    except ConfigurationError as error:
        credentials_fault = str(error)
    redactor = Redactor(*_secrets(given, merged, source))
    described = _Origins(given, merged, origins, config, redactor)
    return Settings(
        config=config,
        config_fault=config_fault,
        source=source,
        credentials_fault=credentials_fault,
        options={**_without(options, _STORE), **credentials},
        strays=_strays(places),
        shown=tuple(map(described.setting, dict.fromkeys((*_ALWAYS, *_set_for_store(merged), *given)))),
        redactor=redactor,
    )


def _set_for_store(merged: Mapping[str, str]) -> list[str]:
    return [name for name in _STORE if _VARIABLES[name] in merged]


def _without(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def _merge(places: Variables) -> tuple[dict[str, str], dict[str, str]]:
    merged: dict[str, str] = {}
    origins: dict[str, str] = {}
    for place, variables in places:
        for name in (*ENV_OPTIONS, *ENV_CREDENTIALS):
            # An empty variable counts as unset, as in the client.
            if name not in merged and variables.get(name):
                merged[name], origins[name] = variables[name], place
    return merged, origins


def _strays(places: Variables) -> tuple[str, ...]:
    names = {name for _, variables in places for name, value in variables.items() if value}
    return tuple(sorted(name for name in names if name.startswith("SHELL_EV_") and name not in _KNOWN))


def _secrets(
    given: Mapping[str, Any], merged: Mapping[str, str], source: ClientCredentials | TokenSource | None
) -> tuple[str | None, list[str]]:
    """The client id and all possible secrets, valid or not."""
    client_id = given.get("client_id", merged.get("SHELL_EV_CLIENT_ID"))
    secrets = [given.get("client_secret"), merged.get("SHELL_EV_CLIENT_SECRET"), getattr(source, "token", None)]
    if isinstance(source, ClientCredentials):
        client_id = source.client_id
        secrets.append(source.client_secret)
    secrets += [_password(url) for url in (given.get("proxy"), *getproxies().values())]
    keys = given.get("store_key") or merged.get("SHELL_EV_STORE_KEY") or ""
    secrets += keys.split(",") if isinstance(keys, str) else []
    texts = {secret.strip() for secret in secrets if isinstance(secret, str)}
    return client_id if isinstance(client_id, str) else None, sorted(texts)


def _password(url: Any) -> str | None:
    """The password in a proxy's URL: the proxy may repeat it in a refusal."""
    try:
        return unquote(urlsplit(url if "://" in url else f"//{url}").password or "")
    except (TypeError, ValueError):
        return None


@attrs.frozen
class _Origins:
    """Finds value and origin of each option."""

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
    if name in ("client_secret", "store_key"):
        return "not set" if value is None else "set"
    if name == "client_id":
        return masked_id(value) if isinstance(value, str) else "not set"
    if name == "ssl":
        return "the authorities of this machine" if value is None else "an SSLContext of your own"
    if name in ("token_source", "http_session"):
        return type(value).__name__
    if value is None:
        return "none"
    if isinstance(value, Timeout):
        limits = ((value.total, "in all"), (value.connect, "to connect"), (value.read, "without data"))
        return ", ".join("no limit" if limit is None else f"{limit:g} s {what}" for limit, what in limits)
    return str(value) if isinstance(value, (str, int, float)) else shown(value, 100)


def masked_id(client_id: str) -> str:
    """The first characters of an id, to distinguish it from others."""
    shown = 4 if len(client_id) >= 12 else 2 if len(client_id) >= _SHORTEST_ID else 0
    return f"{client_id[:shown]}…"


class Redactor:
    """Redacts the texts of a diagnosis: secrets, ids, passwords in URLs, home directories."""

    def __init__(self, client_id: str | None, secrets: Sequence[str]) -> None:
        known = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        known += [base64.b64encode(f"{client_id}:{secret}".encode()).decode() for secret in known if client_id]
        self._secrets = Secrets(known)
        self._client_id = client_id if client_id is not None and len(client_id) >= _SHORTEST_ID else None
        self._home = _home()

    def clean(self, text: str) -> str:
        """The text on one line, redacted."""
        # Secrets are masked before the text is cut: a fragment would not be recognised.
        text = _USERINFO.sub("***@", self._secrets.mask(text))
        if self._client_id is not None:
            text = text.replace(self._client_id, masked_id(self._client_id))
        if self._home is not None:
            text = text.replace(self._home, "~")
        return one_line(_HOMES.sub("~", text), _LIMIT)


def _home() -> str | None:
    try:
        home = str(Path.home())
    except RuntimeError:
        return None
    return home if len(home) > 1 else None
