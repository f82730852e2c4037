"""Find a charger, start a charge, follow it, stop it: the Shell Recharge EV charging API, with and without ``await``.

Names are imported when they are first used: ``import shell_ev`` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .charges.charge import AsyncCharge as AsyncCharge
    from .charges.journal import JournalEntry as JournalEntry
    from .charges.poller import Polling as Polling
    from .charges.recover import Recovery as Recovery
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
    from .errors import EvseNotAvailableError as EvseNotAvailableError
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
    from .export import PERSONAL_FIELDS as PERSONAL_FIELDS
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
    from .models.estimates import Estimate as Estimate
    from .models.estimates import EstimatePart as EstimatePart
    from .models.estimates import VatReading as VatReading
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
    from .options import AsyncClientOptions as AsyncClientOptions
    from .options import ClientConfig as ClientConfig
    from .options import ClientOptions as ClientOptions
    from .options import Environment as Environment
    from .options import LocationFilters as LocationFilters
    from .options import RequestOptions as RequestOptions
    from .options import Timeout as Timeout
    from .sync import Charge as Charge
    from .sync import ShellEV as ShellEV

_ROOMS = {
    "client": "AsyncShellEV",
    "sync": "Charge ShellEV",
    "dialects": "ApiVersion",
    "options": (
        "ENVIRONMENT_VARIABLES AsyncClientOptions ClientConfig ClientOptions Environment LocationFilters "
        "RequestOptions Timeout"
    ),
    "core.auth": "AccessToken ClientCredentials StaticToken TokenSource",
    "core.runtime": "CANCEL_NOW",
    "errors": (
        "ApiError AuthenticationError BadRequestError ChargeFailedError ChargeInProgressError ChargeNotStoppedError "
        "ChargePendingError "
        "ConfigurationError ConnectError CredentialsRefusedError ErrorDetail EvseNotAvailableError ForbiddenError "
        "InternalServerError KeyReusedError MethodNotAllowedError NotFoundError OutcomeUnknownError RequestFailedError "
        "RequestTimeoutError ResponseDecodeError ServiceUnavailableError ShellEVError StoreError TooManyRequestsError "
        "TransportError UnauthorizedError ValidationError"
    ),
    "export": "PERSONAL_FIELDS",
    "identifiers": "EmaId EvseId IdForm",
    "charges.charge": "AsyncCharge",
    "charges.journal": "JournalEntry",
    "charges.recover": "Recovery",
    "charges.poller": "Polling",
    "models.charging": "ChargeSession SessionError StartedSession",
    "models.estimates": "Estimate EstimatePart VatReading",
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

__all__ = ["__version__", "preload", *sorted(_HOMES)]  # pyright: ignore[reportUnsupportedDunderAll]


def preload() -> None:
    """Import and build now what a client would otherwise import and build on first use.

    Afterwards no client imports a module, opens a file or generates code on an event loop. Call it before the loop runs
    or in an executor: it takes about 0.3 s once, then nothing. Any thread may call it, also several at a time.
    Optional modules (``shell_ev.otel``, ``shell_ev.geojson``) are imported where they are used.
    """
    _module("preloading").preload()


def _module(name: str) -> Any:
    # By absolute name, and only if it is not there yet: hosts report imports on the event loop.
    absolute = f"{__name__}.{name}"
    module = sys.modules.get(absolute)
    if module is None or getattr(module.__spec__, "_initializing", False):  # another thread may be importing it
        return importlib.import_module(absolute)
    return module


def __getattr__(name: str) -> Any:
    room = _HOMES.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_module(room), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
