"""What the contract refuses, found before anything is sent and told all at once. Pure; knows no wire names."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, TypeGuard
from uuid import UUID

from ..config import Timeout, retries_faults
from ..core.call import NO_OPTIONS, CallOptions
from ..errors import ConfigurationError, ValidationError, shown
from ..identifiers import EmaId, EvseId

#: UUID1 of the contract. Its pattern allows braces, its length of 36 does not.
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
    """Remembered: a session that is followed is asked for again and again (0.35 us worked out)."""
    return _UUID.fullmatch(text) is not None


class Checks:
    """Collects the faults of one call; :meth:`options` ends the collecting and raises if there are any."""

    __slots__ = ("_operation", "faults")

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self.faults: list[str] = []

    def text(self, name: str, value: object, shortest: int, longest: int | None) -> str:
        """A text of a contract's length, from a text or a mobility id."""
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
            self.faults.append(f"{name} holds half a surrogate pair, which no encoding can carry")
        return text

    def uuid(self, name: str, value: object) -> str:
        """A UUID in its form of 36 characters."""
        text = str(value) if isinstance(value, UUID) else value
        if isinstance(text, str) and _is_uuid(text):
            return text
        self.faults.append(f"{name} must be a UUID in the form 8-4-4-4-12, not {shown(value)}")
        return ""

    def options(
        self,
        request_id: str | UUID | None,
        timeout: float | Timeout | None,
        max_retries: int | None,
        headers: Mapping[str, str] | None,
    ) -> CallOptions:
        """What every call may set for itself. Raises ValidationError with every fault of the call."""
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
        if self.faults:
            raise ValidationError(self.faults, self._operation)
        return CallOptions(request_id=checked, timeout=timeout, max_retries=max_retries, headers=headers)

    def _headers(self, headers: object) -> None:
        if not _is_mapping(headers):
            self.faults.append(f"headers must be a mapping, not {type(headers).__name__}")
            return
        for name, value in headers.items():
            # A value is never repeated: it may be a secret of the caller's gateway.
            if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
                self.faults.append(f"headers: {shown(name)} is no header name")
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
