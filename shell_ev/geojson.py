"""Locations and markers as GeoJSON (RFC 7946), for maps and GIS tools.

``feature`` and ``feature_collection`` return dicts, ``dumps`` a text. ``write``, ``stream`` and ``astream`` give that
text in pieces, with one item at a time in memory::

    with open("chargers.geojson", "w") as file:
        geojson.write(found.data, file)

    async for piece in geojson.astream(ev.locations.iterate()):
        await response.write(piece.encode())

The same items give the same text, in their order. The text is ASCII, for files of any encoding. Positions are WGS 84,
longitude first. An item without a position in range has a null geometry. Numbers outside JSON become null. No item
raises an error.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Protocol, TypeAlias

from .export import Json
from .models.features import Feature, FeatureCollection, Point, feature, feature_collection
from .models.locations import Location
from .models.markers import LocationMarker

__all__ = [
    "Feature",
    "FeatureCollection",
    "Item",
    "Json",
    "Point",
    "TextSink",
    "astream",
    "dumps",
    "feature",
    "feature_collection",
    "stream",
    "write",
]

Item: TypeAlias = Location | LocationMarker
"""An item that a feature is made of."""


class TextSink(Protocol):
    """A text file, or another object with ``write``."""

    def write(self, text: str, /) -> object:
        """Write a piece of text.

        Args:
            text: The text.
        """
        ...


_HEAD = '{"type":"FeatureCollection","features":['
_TAIL = "]}"
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def dumps(items: Iterable[Item]) -> str:
    """Make the GeoJSON text of a feature collection.

    Args:
        items: Locations and markers, which may be mixed.

    Returns:
        The text.
    """
    return "".join(stream(items))


def write(items: Iterable[Item], file: TextSink) -> int:
    """Write a feature collection to a text file, one feature at a time.

    If ``items`` raises, the text written so far is incomplete.

    Args:
        items: Locations and markers, which may be mixed.
        file: The file.

    Returns:
        The number of features.
    """
    count = 0
    file.write(_HEAD)
    for item in items:
        file.write(_piece(item, count))
        count += 1
    file.write(_TAIL)
    return count


def stream(items: Iterable[Item]) -> Iterator[str]:
    """Make the GeoJSON text of a feature collection in pieces, one for each feature.

    Args:
        items: Locations and markers, which may be mixed.

    Yields:
        The pieces. Joined they are the text of ``dumps``.
    """
    yield _HEAD
    for count, item in enumerate(items):
        yield _piece(item, count)
    yield _TAIL


async def astream(items: AsyncIterable[Item]) -> AsyncIterator[str]:
    """Make the GeoJSON text of a feature collection in pieces, as :func:`stream`, from an async iterable.

    Args:
        items: Locations and markers, such as those of ``ev.locations.iterate()``.

    Yields:
        The pieces.
    """
    yield _HEAD
    count = 0
    async for item in items:
        yield _piece(item, count)
        count += 1
    yield _TAIL


def _piece(item: Item, count: int) -> str:
    return ("," if count else "") + _encode(feature(item))
