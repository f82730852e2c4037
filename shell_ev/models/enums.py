"""The vocabularies of the service, as open enums: an unknown word is kept as it is."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

_SEPARATORS = re.compile(r"[\s_-]+")


def _fold(text: str) -> str:
    return _SEPARATORS.sub("", text).casefold()


class OpenEnum(StrEnum):
    """A text enum that ignores case and separators and accepts every text.

    ``SessionState("Started") is SessionState.STARTED``. ``SessionState("paused")`` is a member with the ``value``
    ``"paused"`` and a false ``is_known``. Members compare, hash, print and pickle as their text.
    """

    if TYPE_CHECKING:
        # Any text: type checkers would take the listed ones for all possible values.
        @property
        def value(self) -> str: ...

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        folded = _fold(value)
        for member in cls:
            if _fold(member.value) == folded:
                return member
        # Not registered with the class, which a server could make grow without end.
        unknown_member = str.__new__(cls, value)
        unknown_member._name_ = value
        unknown_member._value_ = value
        return unknown_member

    @property
    def is_known(self) -> bool:
        """Whether the text is a documented one."""
        return self._value_ in type(self)._value2member_map_

    def __repr__(self) -> str:
        if self.is_known:
            return f"{type(self).__name__}.{self._name_}"
        return f"{type(self).__name__}({self._value_!r})"

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __copy__(self) -> Self:
        return self


class SessionState(OpenEnum):
    """State of a charge session."""

    START_REQUESTED = "start-requested"
    STARTED = "started"
    STOP_REQUESTED = "stop-requested"
    STOPPED = "stopped"
    FAILED_TO_START = "failed-to-start"
    FAILED_TO_STOP = "failed-to-stop"


class SessionErrorCode(OpenEnum):
    """Reason why a charge session failed."""

    INTERNAL_ERROR = "InternalError"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    CHARGE_TOKEN_NOT_SUPPORTED = "ChargeTokenNotSupported"  # noqa: S105 - a reason, not a secret
    SESSION_INVALID = "SessionInvalid"
    EV_NOT_CONNECTED_TO_EVSE = "EvNotConnectedToEvse"
    EVSE_IN_USE = "EvseInUse"
    EVSE_OUT_OF_SERVICE = "EvseOutOfService"
    EVSE_NOT_FOUND = "EvseNotFound"
    EVSE_NOT_SUPPORTED = "EvseNotSupported"


class EnvelopeStatus(OpenEnum):
    """Status in the envelope of an answer."""

    SUCCESS = "SUCCESS"
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    FAILED = "FAILED"


class EvseStatus(OpenEnum):
    """Whether an EVSE can be used now."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    UNAVAILABLE = "Unavailable"
    UNKNOWN = "Unknown"


class ConnectorType(OpenEnum):
    """Plug or socket of a connector."""

    AVCON = "Avcon"
    DOMESTIC = "Domestic"
    INDUSTRIAL_2P_DC = "Industrial2PDc"
    INDUSTRIAL_PNE_AC = "IndustrialPneAc"
    INDUSTRIAL_3PE_AC = "Industrial3PEAc"
    INDUSTRIAL_3PEN_AC = "Industrial3PENAc"
    TYPE_1 = "Type1"
    TYPE_1_COMBO = "Type1Combo"
    TYPE_2 = "Type2"
    TYPE_2_COMBO = "Type2Combo"
    TYPE_3 = "Type3"
    LPI = "LPI"
    NEMA_520 = "Nema520"
    SAE_J1772 = "SAEJ1772"
    SPI = "SPI"
    TEPCO_CHADEMO = "TepcoCHAdeMO"
    TESLA = "Tesla"
    UNSPECIFIED = "Unspecified"


class AuthorizationMethod(OpenEnum):
    """How a driver identifies at an EVSE."""

    NEW_MOTION_APP = "NewMotionApp"
    RFID_TOKEN = "RFIDToken"  # noqa: S105 - a method, not a secret
    PNC = "PnC"


class PowerType(OpenEnum):
    """Kind of current of a connector."""

    AC_1_PHASE = "AC1Phase"
    AC_3_PHASE = "AC3Phase"
    DC = "DC"


class AccessibilityStatus(OpenEnum):
    """Who may use a location."""

    FREE_PUBLIC = "FreePublic"
    PAYING_PUBLIC = "PayingPublic"
    RESTRICTED = "Restricted"
    UNSPECIFIED = "Unspecified"


class WeekDay(OpenEnum):
    """Day of opening hours."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


class DayOfWeek(OpenEnum):
    """Day of tariff restrictions."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class UpdatedBy(OpenEnum):
    """Origin of a value of a V1_PASCAL or V1 connector or tariff."""

    FEED = "Feed"
    ADMIN = "Admin"
    TARIFF_SERVICE = "TariffService"
    DEFAULTS = "Defaults"


class TariffType(OpenEnum):
    """Whom a V2 tariff is for."""

    DRIVER = "DRIVER"
    ROAMING = "ROAMING"
    REIMBURSEMENT = "REIMBURSEMENT"
    VMSP = "VMSP"


class PriceComponentType(OpenEnum):
    """What a price component of a V2 tariff is charged for."""

    TIME = "TIME"
    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
