"""The facts around a diagnosis: versions, platform, trust. Reads this machine; opens no connection."""

from __future__ import annotations

import platform
import ssl
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from .._version import __version__
from .certificates import trust
from .findings import Facts
from .settings import Settings

#: What the library runs on, and what it uses when it is there.
_PACKAGES = ("aiohttp", "attrs", "cattrs", "backoff", "msgspec", "uvloop", "click", "rich")


def gather(settings: Settings, checked_at: datetime) -> Facts:
    """The facts."""
    config = settings.config
    return Facts(
        checked_at=checked_at,
        versions=_versions(),
        platform=settings.redactor.clean(platform.platform()),
        environment=None if config is None else config.environment.value,
        api_version=None if config is None else config.api_version.value,
        api_url=None if config is None else settings.redactor.clean(config.api_url),
        token_url=None if config is None else settings.redactor.clean(config.oauth_url),
        trust=settings.redactor.clean(trust() or "none found"),
        settings=settings.shown,
    )


def _versions() -> dict[str, str]:
    found = {"shell_ev": __version__, "Python": f"{sys.version.split()[0]} ({platform.python_implementation()})"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL ")}
