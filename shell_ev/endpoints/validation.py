"""Checks of arguments, before anything is sent."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeGuard, TypeVar, cast
from uuid import UUID

from .._option_values import retries_faults
from ..core.call import NO_OPTIONS, CallOptions
from ..dialects import DIALECTS, ApiVersion, Dialect
from ..errors import ConfigurationError, ValidationError, shown
from ..export import Exported
from ..identifiers import EVSE_ID_LENGTHS, EmaId, EvseId
from ..models.connector_names import connector_type_of
from ..models.enums import AuthorizationMethod, ConnectorType, EvseStatus, OpenEnum
from ..options import RequestOptions, Timeout, check_names, option_names
from ..wire.operations import Operation, versions_with
from .countries import alpha_3

_Method = TypeVar("_Method", bound=Callable[..., Any])


def takes(options: type) -> Callable[[_Method], _Method]:
    """Check the names of a method's ``**options`` at the call. A coroutine alone would check them at the ``await``."""

    def decorate(method: Any) -> Any:
        code = method.__code__
        known = option_names(options).union(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
        name = f"{method.__module__.rpartition('.')[2]}.{method.__name__}"

        @functools.wraps(method)
        def call(*args: Any, **given: Any) -> Any:
            if given and not known.issuperset(given):
                check_names(given, known, name)
            return method(*args, **given)

        return mark_coroutine(call) if inspect.iscoroutinefunction(method) else call

    return decorate


def mark_coroutine(function: _Method) -> _Method:
    """Mark a plain function as a coroutine function: mocks and frameworks ask ``iscoroutinefunction``."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    setattr(function, "_is_coroutine", getattr(asyncio.coroutines, "_is_coroutine"))  # noqa: B009, B010
    return function


#: A UUID of 36 characters. The documented pattern allows braces, the documented length does not.
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)
_OURS = frozenset(
    {
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "requestid",
        "transfer-encoding",
        "user-agent",
    }
)


@functools.lru_cache(maxsize=1024)
def _is_uuid(text: str) -> bool:
    """Whether a text is a UUID. Cached: a poll repeats the same ids."""
    return _UUID.fullmatch(text) is not None


#: 32 hexadecimal digits: a UUID without dashes, of which one in a hundred reads like an EVSE id.
_BARE_UUID = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)


@functools.lru_cache(maxsize=1024)
def is_session_id(text: str) -> bool:
    """Whether a text can be sent as a session id. The ids are the service's, so that more than UUIDs can.

    Args:
        text: 1 to 255 printable characters without outer white space; no ``.``, ``..`` or EVSE id.
    """
    return (
        1 <= len(text) <= 255
        and text.isprintable()
        and text == text.strip()
        and text not in (".", "..")
        and (_BARE_UUID.fullmatch(text) is not None or not EvseId.is_valid(text))
    )


class Checks:
    """Collects the faults of one call. :meth:`options` raises if there are any."""

    __slots__ = ("_operation", "faults")

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self.faults: list[str] = []

    def text(self, name: str, value: object, shortest: int, longest: int | None) -> str:
        """A text of a documented length, or an id."""
        text = str(value) if isinstance(value, (EmaId, EvseId)) else value
        if not isinstance(text, str):
            self.faults.append(f"{name} must be text, not {type(value).__name__}")
            return ""
        if len(text) < shortest or (longest is not None and len(text) > longest):
            if longest is None:
                self.faults.append(f"{name} must not be empty")
            else:
                self.faults.append(
                    f"{name} must be {shortest} to {longest} characters, it has {len(text)}: {shown(text)}"
                )
        elif not _encodable(text):
            self.faults.append(f"{name} holds half a surrogate pair, which cannot be encoded")
        return text

    def evse(self, name: str, value: object) -> str:
        """The id of an EVSE, from a text, a mobility id or an :class:`~shell_ev.Evse`."""
        # By what it has: importing the model would load those of locations for a program that has none.
        if isinstance(value, Exported) and hasattr(value, "connectors"):
            value = getattr(value, "evse_id", None)
            if not value:
                self.faults.append(f"{name}: this Evse has no evse_id, so no charge can be started on it")
                return ""
        return self.text(name, value, *EVSE_ID_LENGTHS)

    def uuid(self, name: str, value: object) -> str:
        """A UUID in its form of 36 characters."""
        text = str(value) if isinstance(value, UUID) else value
        if isinstance(text, str) and _is_uuid(text):
            return text
        self.faults.append(f"{name} must be a UUID in the form 8-4-4-4-12, not {shown(value)}")
        return ""

    def exists(self, operation: Operation, version: ApiVersion, name: str) -> bool:
        """Whether the operation has an argument in this dialect; a fault if not."""
        having = versions_with(operation, name)
        if version in having:
            return True
        if having:
            names, verb = " and ".join(found.value for found in having), "has" if len(having) == 1 else "have"
            self.faults.append(f"{name} does not exist in {version.value}; {names} {verb} it")
        else:
            self.faults.append(f"{name} does not exist in any version")
        return False

    def session_id(self, name: str, value: object) -> str:
        """The id of a session, as the service gave it."""
        text = str(value) if isinstance(value, UUID) else value
        if isinstance(text, str) and is_session_id(text):
            return text
        if isinstance(text, str) and EvseId.is_valid(text):
            self.faults.append(f"{name} must be the id of a session, not the EVSE id {shown(value)}")
        else:
            self.faults.append(
                f"{name} must be 1 to 255 printable characters without outer white space, as the service gave it, "
                f"not {shown(value)}"
            )
        return ""

    def raise_if_any(self) -> None:
        """Raise ValidationError with every fault found so far, if there is any."""
        if self.faults:
            raise ValidationError(self.faults, self._operation)

    def options(self, given: Mapping[str, Any]) -> CallOptions:
        """The options of one call, out of keys of :class:`~shell_ev.options.RequestOptions`. Other keys are ignored.

        Raises:
            ValidationError: Lists every fault of the call.
        """
        if not given and not self.faults:
            return NO_OPTIONS
        request_id, timeout = given.get("request_id"), given.get("timeout")
        max_retries, headers = given.get("max_retries"), given.get("headers")
        if not self.faults and request_id is None and timeout is None and max_retries is None and headers is None:
            return NO_OPTIONS
        checked = None if request_id is None else self.uuid("request_id", request_id)
        if timeout is not None:
            try:
                Timeout.of(timeout)
            except ConfigurationError as error:
                self.faults.append(str(error))
        if max_retries is not None:
            self.faults += retries_faults(max_retries)
        if headers is not None:
            self._headers(headers)
        self.raise_if_any()
        return CallOptions(request_id=checked, timeout=timeout, max_retries=max_retries, headers=headers)

    def _headers(self, headers: object) -> None:
        if not _is_mapping(headers):
            self.faults.append(f"headers must be a mapping, not {type(headers).__name__}")
            return
        for name, value in headers.items():
            # A value is never repeated: it may be a secret.
            if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
                self.faults.append(f"headers: {shown(name)} is not a header name")
            elif name.lower() in _OURS:
                self.faults.append(f"headers: {name} is set by the library")
            elif not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
                self.faults.append(f"headers: the value of {name} must be printable ASCII")


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_ENUMS: dict[str, type[OpenEnum]] = {
    "evse_status": EvseStatus,
    "connector_types": ConnectorType,
    "authorization_methods": AuthorizationMethod,
}
_REQUEST_OPTIONS: frozenset[str] = option_names(RequestOptions)
_ZOOMS = frozenset(str(level) for level in range(1, 21))
#: Names of the service beside the uids of locations.
_SIBLINGS = frozenset({"nearby", "markers"})


class LocationChecks(Checks):
    """Collects the faults of one call for locations."""

    def __init__(self, operation: Operation, version: ApiVersion) -> None:
        super().__init__(operation.name)
        self._of = operation
        self._version = version
        self.dialect: Dialect = DIALECTS[version]

    def filters(self, given: Mapping[str, object], of: Operation | None = None) -> dict[str, Any]:
        """The filters that were given, checked and as they are sent. Options of a request are ignored.

        The name of a filter says how it is checked: ``with_...`` is a flag, ``..._power`` a power in kW, ``...country``
        takes country codes and ``...since`` a time. What is no rule's is text.
        """
        arguments: dict[str, Any] = {}
        for name, value in given.items():
            if value is None or name in _REQUEST_OPTIONS or not self.exists(of or self._of, self._version, name):
                continue
            if name in _ENUMS:
                arguments[name] = self._one_or_more(name, value, _ENUMS[name])
            elif name in ("page_number", "per_page"):
                self.whole_number(arguments, name, value, 1, self.dialect.max_per_page if name == "per_page" else None)
            elif name.startswith("with_"):
                if not isinstance(value, bool):
                    self.faults.append(f"{name} must be True or False, not {shown(value)}")
                arguments[name] = value
            elif name.endswith("_power"):
                self._number(arguments, name, value, 0, None, "kW")
            elif name.endswith("country"):
                arguments[name] = self._countries(name, value)
            elif name.endswith("since"):
                arguments[name] = self._time(name, value)
            else:
                arguments[name] = self._plain(name, value)
        return arguments

    def _one_or_more(self, name: str, value: object, enum: type[OpenEnum]) -> Any:
        if isinstance(value, str):
            return self._member(name, value, enum)
        return tuple(self._member(name, item, enum) for item in self._several(name, value))

    def _several(self, name: str, value: object) -> Sequence[object]:
        if isinstance(value, (bytes, bytearray)) or not isinstance(value, (Sequence, frozenset, set)):
            self.faults.append(f"{name} must be a text or a sequence of texts, not {type(value).__name__}")
            return ()
        items = cast("Sequence[object]", value)
        # A set has no order. The same call makes the same request.
        ordered: Sequence[object] = sorted(items, key=str) if isinstance(items, (set, frozenset)) else tuple(items)
        if not ordered:
            self.faults.append(f"{name} is an empty sequence; leave it out to not filter by it")
        return ordered

    def _member(self, name: str, value: object, enum: type[OpenEnum]) -> str:
        if not isinstance(value, str):
            self.faults.append(f"{name} must be text, not {type(value).__name__}")
            return ""
        member = connector_type_of(value) if enum is ConnectorType else enum(value)
        if not member.is_known:
            known = ", ".join(choice.value for choice in enum)
            self.faults.append(f"{name} must be one of {known}, not {shown(value)}")
        return member.value

    def _countries(self, name: str, value: object) -> tuple[str, ...]:
        codes: list[str] = []
        for item in (value,) if isinstance(value, str) else self._several(name, value):
            code = alpha_3(item) if isinstance(item, str) else None
            if code is None:
                self.faults.append(f"{name} must be ISO 3166-1 codes such as 'NL' or 'NLD', not {shown(item)}")
            elif code not in codes:
                codes.append(code)
        return tuple(codes)

    def _time(self, name: str, value: object) -> object:
        if isinstance(value, datetime):
            if value.utcoffset() is None:
                self.faults.append(f"{name} must be an aware datetime: without a zone the moment is not known")
            return value
        if not isinstance(value, str):
            self.faults.append(f"{name} must be an aware datetime or text, not {type(value).__name__}")
            return ""
        return self.text(name, value, 0, None)

    def _plain(self, name: str, value: object) -> str:
        # No length is documented, and an empty text is a value.
        return self.text(name, str(value) if isinstance(value, EvseId) else value, 0, None)

    def _number(
        self, arguments: dict[str, Any], name: str, value: object, low: float, high: float | None, unit: str
    ) -> None:
        fine = isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value)
        if fine and cast("float", value) >= low and (high is None or cast("float", value) <= high):
            # As plain numbers: those of numpy print as np.float64(52.1).
            arguments[name] = float(value) if isinstance(value, float) else int(cast("int", value))
            return
        wanted = f"from {low:g} to {high:g}" if high is not None else f"of at least {low:g}"
        self.faults.append(f"{name} must be a number {wanted} ({unit}), not {shown(value)}")

    def degrees(self, arguments: dict[str, Any], name: str, value: object, bound: float) -> None:
        """A latitude or longitude in degrees, from ``-bound`` to ``bound``."""
        self._number(arguments, name, value, -bound, bound, "degrees")

    def whole_number(self, arguments: dict[str, Any], name: str, value: object, low: int, high: int | None) -> None:
        """A whole number within bounds. None is left out."""
        if value is None:
            return
        if type(value) is int and value >= low and (high is None or value <= high):
            arguments[name] = value
            return
        wanted = f"from {low} to {high}" if high is not None else f"of at least {low}"
        self.faults.append(f"{name} must be a whole number {wanted}, not {shown(value)}")

    def south_of(self, arguments: dict[str, Any]) -> None:
        """The southern bound of a view is not north of the northern one."""
        south, north = arguments.get("south"), arguments.get("north")
        if south is not None and north is not None and south > north:
            self.faults.append(f"south ({south:g}) lies north of north ({north:g})")

    def zoom(self, arguments: dict[str, Any], value: object) -> None:
        """A zoom level. It is sent as text."""
        text = str(value) if type(value) is int else value
        if isinstance(text, str) and text in _ZOOMS:
            arguments["zoom"] = text
            return
        self.faults.append(f"zoom must be a whole number from 1 (world) to 20 (buildings), not {shown(value)}")

    def path_segment(self, name: str, value: object) -> str:
        """A text that becomes one segment of the path, and does not name another resource.

        A dot segment leads out of the path; ``nearby`` and ``markers`` are other operations.
        """
        text = self.text(name, value, 1, None)
        if text in (".", "..") or text in _SIBLINGS:
            self.faults.append(f"{name} must not be {text!r}: as a path segment it names another resource")
        return text


def _finite(value: object) -> bool:
    try:
        return math.isfinite(cast("float", value))
    except OverflowError:
        return False
