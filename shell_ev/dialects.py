"""The dialects of the service."""

from __future__ import annotations

from enum import StrEnum


class ApiVersion(StrEnum):
    """Which dialect of the service to speak."""

    V1_PASCAL = "v1-pascal"
    """The first: PascalCase keys, session ids in the path."""
    V1 = "v1"
    """camelCase keys under ``/ev/v1``."""
    V2 = "v2"
    """camelCase keys under ``/ev/v2``, tariffs of elements. The default."""

    @property
    def token_path(self) -> str:
        """Path of the OAuth token endpoint that belongs to this version."""
        return "/v2/oauth/token" if self is ApiVersion.V2 else "/v1/oauth/token"
