"""What a test may set of its sandbox and of its clients, as types."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from ..core.auth import ClientCredentials, TokenSource
    from ..dialects import ApiVersion
    from ..observing import Observer
    from ..options import Timeout
    from ..store.base import Store


class SandboxOptions(TypedDict, total=False):
    """How the sandbox of a test is set up. Times are seconds of the test's clock."""

    stations: int
    """Generated stations beside the named ones; 0 unless given, which is fastest."""
    seed: int
    """Everything random follows from it."""
    token_lifetime: float
    """Life of a token; 3600 unless given."""
    start_delay: float
    """From an accepted start to the charge, or to its failure; 20 unless given."""
    stop_delay: float
    """From an accepted stop to its outcome; 10 unless given."""
    show_sessions_after: float
    """From an accepted start until retrieve and active know the session; 0 unless given."""


class ClientOptions(TypedDict, total=False):
    """How the clients of a test are set up: options of ``AsyncShellEV`` and ``ShellEV``."""

    token_source: TokenSource | ClientCredentials
    """Instead of the credentials of the sandbox."""
    api_version: ApiVersion | str
    timeout: float | Timeout | None
    max_retries: int
    max_connections: int
    max_response_bytes: int
    user_agent_suffix: str | None
    store: str | os.PathLike[str] | Store | None
    """Journal of the charges; the fixture ``shell_ev_store`` is a path for it."""
    observer: Observer | Iterable[Observer] | None
