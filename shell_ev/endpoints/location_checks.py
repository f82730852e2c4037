"""What the contract refuses of location arguments, found before anything is sent. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, cast

from ..config import ApiVersion
from ..errors import one_line
from ..identifiers import EvseId
from ..models.enums import AuthorizationMethod, ConnectorType, EvseStatus, OpenEnum
from ..wire.operations import Operation, versions_with
from .checks import Checks

#: The contract's upper bound of a page.
MAX_PER_PAGE: Final = 500

_ENUMS: dict[str, type[OpenEnum]] = {
    "evse_status": EvseStatus,
    "connector_types": ConnectorType,
    "authorization_methods": AuthorizationMethod,
}
_FLAGS = frozenset({"with_operator_name", "with_max_power"})
_COUNTRIES = frozenset({"country", "exclude_country"})
_TIMES = frozenset({"updated_since", "since"})
_ALPHA_3 = re.compile(r"[A-Za-z]{3}", re.ASCII)
_ZOOMS = frozenset(str(level) for level in range(1, 21))
#: What the service itself has beside the locations' uids.
_SIBLINGS = frozenset({"nearby", "markers"})


class LocationChecks(Checks):
    """Collects the faults of one location call."""

    def __init__(self, operation: Operation, version: ApiVersion) -> None:
        super().__init__(operation.name)
        self._of = operation
        self._version = version

    def filters(self, **given: object) -> dict[str, Any]:
        """The filters that were given, checked and as they travel."""
        arguments: dict[str, Any] = {}
        for name, value in given.items():
            if value is None or not self._exists(name):
                continue
            if name in _ENUMS:
                arguments[name] = self._one_or_more(name, value, _ENUMS[name])
            elif name in _COUNTRIES:
                arguments[name] = self._countries(name, value)
            elif name in _FLAGS:
                if not isinstance(value, bool):
                    self.faults.append(f"{name} must be True or False, not {one_line(repr(value), 60)}")
                arguments[name] = value
            elif name in _TIMES:
                arguments[name] = self._time(name, value)
            elif name == "connector_min_power":
                self._number(arguments, name, value, 0, None, "kW")
            else:
                arguments[name] = self._plain(name, value)
        return arguments

    def _exists(self, name: str) -> bool:
        having = versions_with(self._of, name)
        if self._version in having:
            return True
        if having:
            names = " and ".join(version.value for version in having)
            self.faults.append(f"{name} does not exist in {self._version.value}; {names} have it")
        else:
            self.faults.append(f"{name} does not exist in any version")
        return False

    def _one_or_more(self, name: str, value: object, enum: type[OpenEnum]) -> Any:
        if isinstance(value, str):
            return self._member(name, value, enum)
        return tuple(self._member(name, item, enum) for item in self._several(name, value))

    def _several(self, name: str, value: object) -> Sequence[object]:
        if isinstance(value, (bytes, bytearray)) or not isinstance(value, (Sequence, frozenset, set)):
            self.faults.append(f"{name} must be a text or a sequence of texts, not {type(value).__name__}")
            return ()
        items = cast("Sequence[object]", value)
        # A set has no order of its own; the same call should make the same request.
        ordered: Sequence[object] = sorted(items, key=str) if isinstance(items, (set, frozenset)) else tuple(items)
        if not ordered:
            self.faults.append(f"{name} is an empty sequence; leave it out to not filter by it")
        return ordered

    def _member(self, name: str, value: object, enum: type[OpenEnum]) -> str:
        if not isinstance(value, str):
            self.faults.append(f"{name} must be text, not {type(value).__name__}")
            return ""
        member = enum(value)
        if not member.is_known:
            known = ", ".join(choice.value for choice in enum)
            self.faults.append(f"{name} must be one of {known}, not {one_line(repr(value), 60)}")
        return member.value

    def _countries(self, name: str, value: object) -> tuple[str, ...]:
        codes: list[str] = []
        for item in (value,) if isinstance(value, str) else self._several(name, value):
            if isinstance(item, str) and _ALPHA_3.fullmatch(item):
                codes.append(item.upper())
            else:
                self.faults.append(
                    f"{name} must be ISO 3166-1 alpha-3 codes such as 'NLD', not {one_line(repr(item), 60)}"
                )
        return tuple(codes)

    def _time(self, name: str, value: object) -> object:
        if isinstance(value, datetime):
            if value.utcoffset() is None:
                self.faults.append(f"{name} must be an aware datetime: without a zone it names no moment")
            return value
        if not isinstance(value, str):
            self.faults.append(f"{name} must be an aware datetime or text, not {type(value).__name__}")
            return ""
        return self.text(name, value, 0, None)

    def _plain(self, name: str, value: object) -> str:
        # No length in the contract, and an empty text is a value: only what cannot travel is refused.
        return self.text(name, str(value) if isinstance(value, EvseId) else value, 0, None)

    def _number(
        self, arguments: dict[str, Any], name: str, value: object, low: float, high: float | None, unit: str
    ) -> None:
        fine = isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value)
        if fine and cast("float", value) >= low and (high is None or cast("float", value) <= high):
            # Plain numbers from here on: numpy's, which are floats too, print as np.float64(52.1).
            arguments[name] = float(value) if isinstance(value, float) else int(cast("int", value))
            return
        wanted = f"from {low:g} to {high:g}" if high is not None else f"of at least {low:g}"
        self.faults.append(f"{name} must be a number {wanted} ({unit}), not {one_line(repr(value), 60)}")

    def later(self, bound: int) -> int | None:
        """A bound that V1_PASCAL does not document."""
        return None if self._version is ApiVersion.V1_PASCAL else bound

    def degrees(self, arguments: dict[str, Any], name: str, value: object, bound: float) -> None:
        """A latitude or longitude in degrees, from ``-bound`` to ``bound``."""
        self._number(arguments, name, value, -bound, bound, "degrees")

    def whole_number(self, arguments: dict[str, Any], name: str, value: object, low: int, high: int | None) -> None:
        """A whole number within bounds; None is left out."""
        if value is None:
            return
        if type(value) is int and value >= low and (high is None or value <= high):
            arguments[name] = value
            return
        wanted = f"from {low} to {high}" if high is not None else f"of at least {low}"
        self.faults.append(f"{name} must be a whole number {wanted}, not {one_line(repr(value), 60)}")

    def south_of(self, arguments: dict[str, Any]) -> None:
        """The bounds of a view must not be upside down."""
        south, north = arguments.get("south"), arguments.get("north")
        if south is not None and north is not None and south > north:
            self.faults.append(f"south ({south:g}) lies north of north ({north:g})")

    def zoom(self, arguments: dict[str, Any], value: object) -> None:
        """A zoom level; travels as text."""
        text = str(value) if type(value) is int else value
        if isinstance(text, str) and text in _ZOOMS:
            arguments["zoom"] = text
            return
        self.faults.append(
            f"zoom must be a whole number from 1 (world) to 20 (buildings), not {one_line(repr(value), 60)}"
        )

    def path_segment(self, name: str, value: object) -> str:
        """A text that becomes one segment of the path: not empty, and none that leads to something else.

        A dot segment would climb out of the path; ``nearby`` and ``markers`` are operations of their own.
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
