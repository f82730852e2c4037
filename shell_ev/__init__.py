"""Find a charger, start a charge, follow it, stop it: the Shell Recharge EV charging API, with and without ``await``.

Names are imported when they are first used: ``import shell_ev`` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .client import AsyncShellEV as AsyncShellEV
    from .config import ApiVersion as ApiVersion
    from .config import ClientConfig as ClientConfig
    from .config import Environment as Environment
    from .config import Timeout as Timeout
    from .core.auth import AccessToken as AccessToken
    from .core.auth import ClientCredentials as ClientCredentials
    from .core.auth import StaticToken as StaticToken
    from .core.auth import TokenSource as TokenSource
    from .errors import ApiError as ApiError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BadRequestError as BadRequestError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import ConnectError as ConnectError
    from .errors import ErrorDetail as ErrorDetail
    from .errors import ForbiddenError as ForbiddenError
    from .errors import InternalServerError as InternalServerError
    from .errors import MethodNotAllowedError as MethodNotAllowedError
    from .errors import NotFoundError as NotFoundError
    from .errors import OutcomeUnknownError as OutcomeUnknownError
    from .errors import RequestFailedError as RequestFailedError
    from .errors import RequestTimeoutError as RequestTimeoutError
    from .errors import ResponseDecodeError as ResponseDecodeError
    from .errors import ServiceUnavailableError as ServiceUnavailableError
    from .errors import ShellEVError as ShellEVError
    from .errors import TooManyRequestsError as TooManyRequestsError
    from .errors import TransportError as TransportError
    from .errors import UnauthorizedError as UnauthorizedError
    from .errors import ValidationError as ValidationError
    from .identifiers import EmaId as EmaId
    from .identifiers import EvseId as EvseId
    from .models.charging import ChargeSession as ChargeSession
    from .models.charging import SessionError as SessionError
    from .models.charging import StartedSession as StartedSession
    from .models.enums import SessionErrorCode as SessionErrorCode
    from .models.enums import SessionState as SessionState
    from .models.response import ApiResponse as ApiResponse
    from .sync import ShellEV as ShellEV

_ROOMS = {
    "client": "AsyncShellEV",
    "sync": "ShellEV",
    "config": "ApiVersion ClientConfig Environment Timeout",
    "core.auth": "AccessToken ClientCredentials StaticToken TokenSource",
    "errors": (
        "ApiError AuthenticationError BadRequestError ConfigurationError ConnectError ErrorDetail ForbiddenError "
        "InternalServerError MethodNotAllowedError NotFoundError OutcomeUnknownError RequestFailedError "
        "RequestTimeoutError ResponseDecodeError ServiceUnavailableError ShellEVError TooManyRequestsError "
        "TransportError UnauthorizedError ValidationError"
    ),
    "identifiers": "EmaId EvseId",
    "models.charging": "ChargeSession SessionError StartedSession",
    "models.enums": "SessionErrorCode SessionState",
    "models.response": "ApiResponse",
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = ["__version__", *sorted(_HOMES)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    room = _HOMES.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f".{room}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
