"""The asynchronous client: wires configuration, session manager and endpoint groups together."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from . import config as _config
from .config import ApiVersion, ClientConfig, Environment, Timeout, make_config, options_from_env
from .core.auth import ClientCredentials, TokenSource
from .core.exchange import Sender
from .core.session_manager import SessionManager
from .endpoints.charging import AsyncCharging
from .endpoints.locations import AsyncLocations
from .errors import ConfigurationError

if TYPE_CHECKING:
    import ssl as _ssl

    import aiohttp


def token_source_of(
    client_id: str | None, client_secret: str | None, token_source: TokenSource | ClientCredentials | None
) -> TokenSource | ClientCredentials:
    """The one source of tokens out of what the constructor was given; raises ConfigurationError if that is unclear."""
    if token_source is not None:
        if client_id is not None or client_secret is not None:
            raise ConfigurationError("give client_id and client_secret, or token_source, not both")
        if not isinstance(token_source, (ClientCredentials, TokenSource)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("token_source must have acquire() and invalidate(token)")
        return token_source
    if client_id is None or client_secret is None:
        raise ConfigurationError("client_id and client_secret (or token_source) are needed; from_env() reads them")
    return ClientCredentials(client_id, client_secret)


class AsyncShellEV:
    """The Shell Recharge EV API with ``await``. Use it as ``async with AsyncShellEV(...) as ev:``.

    Options: ``client_id`` and ``client_secret``, or ``token_source``; ``environment`` ("production" or "test");
    ``api_version`` ("v2", "v1", "v1-pascal"); ``base_url`` (scheme and host, for API and token calls alike) and
    ``token_url``; ``timeout`` (seconds for a whole call, or a Timeout); ``max_retries``; ``http_session`` (an
    aiohttp.ClientSession of yours, never closed here); ``ssl`` (an SSLContext); ``proxy``; ``trust_env`` (read proxies
    from the environment); ``max_connections``; ``max_response_bytes``; ``user_agent_suffix``.

    Raises ConfigurationError, which lists all that is wrong. Nothing is sent and no connection is opened before the
    first call.
    """

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | None = None,
        *,
        token_source: TokenSource | ClientCredentials | None = None,
        environment: Environment | str = Environment.PRODUCTION,
        api_version: ApiVersion | str = ApiVersion.V2,
        base_url: str | None = None,
        token_url: str | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int = _config.DEFAULT_MAX_RETRIES,
        http_session: aiohttp.ClientSession | None = None,
        ssl: _ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        max_connections: int = _config.DEFAULT_MAX_CONNECTIONS,
        max_response_bytes: int = _config.DEFAULT_MAX_RESPONSE_BYTES,
        user_agent_suffix: str | None = None,
    ) -> None:
        config = make_config(
            environment=environment,
            api_version=api_version,
            base_url=base_url,
            token_url=token_url,
            timeout=timeout,
            max_retries=max_retries,
            ssl=ssl,
            proxy=proxy,
            trust_env=trust_env,
            max_connections=max_connections,
            max_response_bytes=max_response_bytes,
            user_agent_suffix=user_agent_suffix,
        )
        source = token_source_of(client_id, client_secret, token_source)

        def make_sender() -> Sender:
            # Here and not above: aiohttp takes longer to import than everything else together.
            from .core.transport import Transport

            return Transport(config, http_session)

        self._wire(SessionManager(config, source, make_sender), owner=True)

    def _wire(self, manager: SessionManager, *, owner: bool) -> None:
        self._manager = manager
        self._owner = owner
        self.charging = AsyncCharging(manager)
        self.locations = AsyncLocations(manager)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """A client set up by ``SHELL_EV_*`` variables (``os.environ`` unless given); ``options`` win over them.

        Reads SHELL_EV_CLIENT_ID, SHELL_EV_CLIENT_SECRET, SHELL_EV_ENVIRONMENT, SHELL_EV_API_VERSION,
        SHELL_EV_BASE_URL, SHELL_EV_TOKEN_URL, SHELL_EV_TIMEOUT and SHELL_EV_MAX_RETRIES. Raises ConfigurationError
        for missing credentials and for any value that is not one of its variable's.
        """
        return cls(**options_from_env(environ, options))

    @classmethod
    def _over(cls, manager: SessionManager) -> Self:
        """A client over a given session manager: how tests bring their own transport and clock."""
        client = cls.__new__(cls)
        client._wire(manager, owner=True)
        return client

    @property
    def config(self) -> ClientConfig:
        """The options in force; no credentials among them."""
        return self._manager.config

    def with_options(
        self,
        *,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        api_version: ApiVersion | str | None = None,
        max_response_bytes: int | None = None,
        user_agent_suffix: str | None = None,
    ) -> Self:
        """A copy with other options that shares connections and token; closing it does nothing, close the original.

        The limits for connecting and reading belong to the shared connections: of a Timeout given here ``total``
        alone has an effect. Raises ConfigurationError.
        """
        config = self.config
        checked = make_config(
            api_version=config.api_version if api_version is None else api_version,
            timeout=config.timeout if timeout is None else timeout,
            max_retries=config.max_retries if max_retries is None else max_retries,
            max_response_bytes=config.max_response_bytes if max_response_bytes is None else max_response_bytes,
            user_agent_suffix=config.user_agent_suffix if user_agent_suffix is None else user_agent_suffix,
        )
        changed = attrs.evolve(
            config,
            api_version=checked.api_version,
            timeout=checked.timeout,
            max_retries=checked.max_retries,
            max_response_bytes=checked.max_response_bytes,
            user_agent_suffix=checked.user_agent_suffix,
        )
        copy = type(self).__new__(type(self))
        copy._wire(self._manager.with_config(changed), owner=False)
        return copy

    async def aclose(self) -> None:
        """Close connections and forget the token. May be called twice; a copy's does nothing."""
        if self._owner:
            await self._manager.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        config = self.config
        return f"{type(self).__name__}({config.api_url!r}, api_version={config.api_version.value!r})"

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} holds credentials and connections and is not pickled; make one there")
