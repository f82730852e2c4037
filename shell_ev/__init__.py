"""Find a charger, start a charge, follow it, stop it: the Shell Recharge EV charging API, with and without ``await``.

Names are imported when they are first used: ``import shell_ev`` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .charges.charge import AsyncCharge as AsyncCharge
    from .charges.poller import Polling as Polling
    from .client import AsyncShellEV as AsyncShellEV
    from .core.auth import AccessToken as AccessToken
    from .core.auth import ClientCredentials as ClientCredentials
    from .core.auth import StaticToken as StaticToken
    from .core.auth import TokenSource as TokenSource
    from .core.runtime import CANCEL_NOW as CANCEL_NOW
    from .dialects import ApiVersion as ApiVersion
    from .errors import ApiError as ApiError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BadRequestError as BadRequestError
    from .errors import ChargeFailedError as ChargeFailedError
    from .errors import ChargeInProgressError as ChargeInProgressError
    from .errors import ChargeNotStoppedError as ChargeNotStoppedError
    from .errors import ChargePendingError as ChargePendingError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import ConnectError as ConnectError
    from .errors import CredentialsRefusedError as CredentialsRefusedError
    from .errors import ErrorDetail as ErrorDetail
    from .errors import ForbiddenError as ForbiddenError
    from .errors import InternalServerError as InternalServerError
    from .errors import KeyReusedError as KeyReusedError
    from .errors import MethodNotAllowedError as MethodNotAllowedError
    from .errors import NotFoundError as NotFoundError
    from .errors import OutcomeUnknownError as OutcomeUnknownError
    from .errors import RequestFailedError as RequestFailedError
    from .errors import RequestTimeoutError as RequestTimeoutError
    from .errors import ResponseDecodeError as ResponseDecodeError
    from .errors import ServiceUnavailableError as ServiceUnavailableError
    from .errors import ShellEVError as ShellEVError
    from .errors import StoreError as StoreError
    from .errors import TooManyRequestsError as TooManyRequestsError
    from .errors import TransportError as TransportError
    from .errors import UnauthorizedError as UnauthorizedError
    from .errors import ValidationError as ValidationError
    from .identifiers import EmaId as EmaId
    from .identifiers import EvseId as EvseId
    from .identifiers import IdForm as IdForm
    from .models.charging import ChargeSession as ChargeSession
    from .models.charging import SessionError as SessionError
    from .models.charging import StartedSession as StartedSession
    from .models.enums import AccessibilityStatus as AccessibilityStatus
    from .models.enums import AuthorizationMethod as AuthorizationMethod
    from .models.enums import ConnectorType as ConnectorType
    from .models.enums import DayOfWeek as DayOfWeek
    from .models.enums import EnvelopeStatus as EnvelopeStatus
    from .models.enums import EvseStatus as EvseStatus
    from .models.enums import PowerType as PowerType
    from .models.enums import PriceComponentType as PriceComponentType
    from .models.enums import SessionErrorCode as SessionErrorCode
    from .models.enums import SessionState as SessionState
    from .models.enums import TariffType as TariffType
    from .models.enums import UpdatedBy as UpdatedBy
    from .models.enums import WeekDay as WeekDay
    from .models.locations import Accessibility as Accessibility
    from .models.locations import Address as Address
    from .models.locations import Connector as Connector
    from .models.locations import Coordinates as Coordinates
    from .models.locations import ElectricalProperties as ElectricalProperties
    from .models.locations import Evse as Evse
    from .models.locations import Location as Location
    from .models.locations import OpeningHours as OpeningHours
    from .models.markers import LocationMarker as LocationMarker
    from .models.markers import MultiLocationMarker as MultiLocationMarker
    from .models.markers import SingleLocationMarker as SingleLocationMarker
    from .models.markers import UnknownLocationMarker as UnknownLocationMarker
    from .models.response import ApiResponse as ApiResponse
    from .models.tariffs import ElementTariff as ElementTariff
    from .models.tariffs import FlatTariff as FlatTariff
    from .models.tariffs import PowerRange as PowerRange
    from .models.tariffs import PriceComponent as PriceComponent
    from .models.tariffs import Tariff as Tariff
    from .models.tariffs import TariffAltText as TariffAltText
    from .models.tariffs import TariffElement as TariffElement
    from .models.tariffs import TariffRestrictions as TariffRestrictions
    from .options import ENVIRONMENT_VARIABLES as ENVIRONMENT_VARIABLES
    from .options import ClientConfig as ClientConfig
    from .options import Environment as Environment
    from .options import Timeout as Timeout
    from .sync import Charge as Charge
    from .sync import ShellEV as ShellEV

_ROOMS = {
    "client": "AsyncShellEV",
    "sync": "Charge ShellEV",
    "dialects": "ApiVersion",
    "options": "ENVIRONMENT_VARIABLES ClientConfig Environment Timeout",
    "core.auth": "AccessToken ClientCredentials StaticToken TokenSource",
    "core.runtime": "CANCEL_NOW",
    "errors": (
        "ApiError AuthenticationError BadRequestError ChargeFailedError ChargeInProgressError ChargeNotStoppedError "
        "ChargePendingError ConfigurationError ConnectError CredentialsRefusedError ErrorDetail ForbiddenError "
        "InternalServerError KeyReusedError MethodNotAllowedError NotFoundError OutcomeUnknownError RequestFailedError "
        "RequestTimeoutError ResponseDecodeError ServiceUnavailableError ShellEVError StoreError TooManyRequestsError "
        "TransportError UnauthorizedError ValidationError"
    ),
    "identifiers": "EmaId EvseId IdForm",
    "charges.charge": "AsyncCharge",
    "charges.poller": "Polling",
    "models.charging": "ChargeSession SessionError StartedSession",
    "models.locations": "Accessibility Address Connector Coordinates ElectricalProperties Evse Location OpeningHours",
    "models.tariffs": (
        "ElementTariff FlatTariff PowerRange PriceComponent Tariff TariffAltText TariffElement TariffRestrictions"
    ),
    "models.markers": "LocationMarker MultiLocationMarker SingleLocationMarker UnknownLocationMarker",
    "models.enums": (
        "AccessibilityStatus AuthorizationMethod ConnectorType DayOfWeek EnvelopeStatus EvseStatus PowerType "
        "PriceComponentType SessionErrorCode SessionState TariffType UpdatedBy WeekDay"
    ),
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
