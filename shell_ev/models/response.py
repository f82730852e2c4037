"""The answer to a call: the decoded data, and the HTTP response around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import attrs

from .enums import EnvelopeStatus

T = TypeVar("T")


class Headers(Mapping[str, str]):
    """Headers of a response: read-only, picklable, comparable. Names are matched without regard to case.

    A header that was sent more than once is joined with a comma and a space (RFC 9110, section 5.2).
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self._raw = raw

    @property
    def raw(self) -> tuple[tuple[bytes, bytes], ...]:
        """Names and values as received, in order."""
        return self._raw

    def _items(self) -> dict[str, tuple[str, str]]:
        merged: dict[str, tuple[str, str]] = {}
        for raw_name, raw_value in self._raw:
            name, value = raw_name.decode("utf-8", "replace"), raw_value.decode("utf-8", "replace")
            known = merged.get(name.lower())
            merged[name.lower()] = (name, value) if known is None else (known[0], f"{known[1]}, {value}")
        return merged

    def __getitem__(self, name: str) -> str:
        return self._items()[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._items().values()])

    def __len__(self) -> int:
        return len(self._items())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._raw == other._raw
        return isinstance(other, Mapping) and dict(self) == other

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


@attrs.frozen(kw_only=True)
class ApiResponse(Generic[T]):
    """A successful answer."""

    data: T
    """The decoded result."""
    request_id: str
    """RequestId as the service sent it back, or as it was sent."""
    status: EnvelopeStatus | None
    """Status in the envelope, such as ``SUCCESS``; None if the dialect answers without an envelope."""
    status_code: int
    """HTTP status."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    """Headers of the response. Names are matched without regard to case."""
    body: bytes = attrs.field(repr=False)
    """Body of the response, after decompression."""
    attempts: int
    """Number of attempts."""
    elapsed: float
    """Seconds from the call to the decoded answer, waits included."""
    problems: tuple[str, ...] = ()
    """JSON paths of what could not be read, with the reason. Those values are None, or left out of ``data``."""
