"""Which proxy a URL is reached through: the configured one, or with ``trust_env`` the environment's."""

from __future__ import annotations

import os
import urllib.request
from urllib.parse import urlsplit

from .._option_values import is_proxy_url
from ..errors import ConfigurationError
from ..options import ClientConfig


def proxy_for(config: ClientConfig, url: str) -> str | None:
    """The proxy for this URL, None for a direct connection.

    Raises:
        ConfigurationError: The environment names a proxy that cannot be used.
    """
    if config.proxy is not None or not config.trust_env:
        return config.proxy
    return proxy_in_environment(url)


def proxy_in_environment(url: str) -> str | None:
    """The environment's proxy for this URL: ``HTTP_PROXY`` or ``HTTPS_PROXY``, then ``ALL_PROXY``, unless ``NO_PROXY``.

    Raises:
        ConfigurationError: The environment names a proxy that is not http or https.
    """
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    for name in (parts.scheme, "all"):
        if value := proxies.get(name):
            break
    else:
        return None
    # Often written without a scheme.
    proxy = value if "://" in value else f"http://{value}"
    if not is_proxy_url(proxy):
        variable = next((spelt for spelt in (f"{name}_proxy", f"{name}_proxy".upper()) if os.environ.get(spelt)), None)
        raise ConfigurationError(
            f"the proxy in the environment ({variable or name}) is not an http or https URL such as "
            "'http://proxy.example:3128'"
        )
    return proxy
