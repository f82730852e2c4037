"""The answer to a call: the decoded data, and the HTTP response around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from ..export import Exported, brief, counted, html_paragraph
from .enums import EnvelopeStatus

if TYPE_CHECKING:
    from .features import Item

T = TypeVar("T")
E = TypeVar("E")


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


@attrs.frozen(kw_only=True, repr=False)
class ApiResponse(Exported, Generic[T]):
    """A successful answer. ``data`` is what was asked for, the rest is what came with it.

    An answer of several items can be iterated and has a length; it is true, also with none.
    """

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

    def __iter__(self: ApiResponse[tuple[E, ...]]) -> Iterator[E]:
        return iter(self._several("iterated"))

    def __len__(self: ApiResponse[tuple[Any, ...]]) -> int:
        return len(self._several("counted"))

    def __bool__(self) -> bool:
        return True

    def _several(self, what: str) -> tuple[Any, ...]:
        data: object = self.data
        if isinstance(data, tuple):
            return data  # pyright: ignore[reportUnknownVariableType]
        kind = type(data).__name__
        raise TypeError(f"an answer with one {kind} cannot be {what}; use .data")

    def _items(self) -> tuple[object, ...]:
        data: object = self.data
        return cast("tuple[object, ...]", data) if isinstance(data, tuple) else (data,)

    def _summary(self) -> Iterable[str]:
        verdict = f" {self.status.value}" if self.status is not None else ""
        yield f"{self.status_code}{verdict}"
        data: object = self.data
        yield counted(cast("tuple[object, ...]", data)) if isinstance(data, tuple) else brief(data)
        yield f"{self.elapsed:.2f} s"
        if self.problems:
            yield f"{len(self.problems)} problems"

    def _repr_html_(self) -> str:
        return html_paragraph(repr(self)) + self._table(self._items())

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """Locations or markers as a GeoJSON feature collection, for GeoPandas and other tools of maps."""
        from .features import feature_collection, is_item  # here, since it takes time that a program may not need

        items = self._items()
        if not all(map(is_item, items)):
            raise AttributeError("this answer holds no locations and no markers", name="__geo_interface__", obj=self)
        return cast("dict[str, Any]", feature_collection(cast("tuple[Item, ...]", items)))
