"""Locations and markers as GeoJSON (RFC 7946), for maps and GIS tools.

``feature`` and ``feature_collection`` give plain dicts, ``dumps`` a text, ``write``, ``stream`` and ``astream`` the
same text piece by piece, holding one item at a time::

    with open("chargers.geojson", "w") as file:
        geojson.write(found.data, file)

    async for piece in geojson.astream(ev.locations.iterate()):
        await response.write(piece.encode())

What comes out depends on the items alone: the same items give the same text, in the order given. The text is ASCII, so
any encoding of a file will do. Positions are longitude first, WGS 84. An item without a position, or with one out of
range, keeps its place with a null geometry. Numbers that JSON cannot hold become null. Nothing here raises on an item.
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
"""What becomes a feature."""


class TextSink(Protocol):
    """A file open for text, or anything else with ``write``."""

    def write(self, text: str, /) -> object:
        """Take a piece of text."""
        ...


_HEAD = '{"type":"FeatureCollection","features":['
_TAIL = "]}"
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def dumps(items: Iterable[Item]) -> str:
    """The feature collection as a GeoJSON text."""
    return "".join(stream(items))


def write(items: Iterable[Item], file: TextSink) -> int:
    """Write the feature collection to a file open for text, one feature at a time; returns how many there were.

    If ``items`` fails on the way the text written so far is no whole GeoJSON text.
    """
    count = 0
    file.write(_HEAD)
    for item in items:
        file.write(_piece(item, count))
        count += 1
    file.write(_TAIL)
    return count


def stream(items: Iterable[Item]) -> Iterator[str]:
    """The GeoJSON text in pieces, one per feature, in constant memory. Joined they are what ``dumps`` gives."""
    yield _HEAD
    for count, item in enumerate(items):
        yield _piece(item, count)
    yield _TAIL


async def astream(items: AsyncIterable[Item]) -> AsyncIterator[str]:
    """``stream`` for items that arrive asynchronously, such as those of ``ev.locations.iterate()``."""
    yield _HEAD
    count = 0
    async for item in items:
        yield _piece(item, count)
        count += 1
    yield _TAIL


def _piece(item: Item, count: int) -> str:
    return ("," if count else "") + _encode(feature(item))
