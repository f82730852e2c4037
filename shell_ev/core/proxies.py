"""Which proxy a URL is reached through: the one given, or, when asked to trust it, the environment's.

Holds the one rule that the transport follows and the doctor explains; knows nothing of connections.
"""

from __future__ import annotations

import urllib.request
from urllib.parse import urlsplit

from .._option_values import is_proxy_url
from ..errors import ConfigurationError
from ..options import ClientConfig


def proxy_for(config: ClientConfig, url: str) -> str | None:
    """The proxy for this URL, None for a direct connection. Raises ConfigurationError for one that cannot be used."""
    if config.proxy is not None or not config.trust_env:
        return config.proxy
    return proxy_in_environment(url)


def proxy_in_environment(url: str) -> str | None:
    """What the environment names for this URL, exceptions (``no_proxy``) seen to. Raises ConfigurationError."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    value = urllib.request.getproxies().get(parts.scheme)
    if not value:
        return None
    # Often written without a scheme.
    proxy = value if "://" in value else f"http://{value}"
    if not is_proxy_url(proxy):
        raise ConfigurationError("the proxy in the environment is not an http or https URL")
    return proxy
