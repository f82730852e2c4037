"""The four location operations over the network and the charges that run on it."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from shell_ev.sandbox import wire
from shell_ev.sandbox.charges import ChargeBook
from shell_ev.sandbox.filters import EVSE_STATUSES, Arguments, BadQuery, Filters, Query
from shell_ev.sandbox.location_wire import QUIET, Live, multi_marker, single_marker, station_document
from shell_ev.sandbox.network import NAMED_EVSES, Network, load_network, unit_vector
from shell_ev.sandbox.records import Dialect, SandboxReply
from shell_ev.sandbox.stations import Evse, Station

__all__ = ["BadQuery", "Locations", "NoSuchLocation"]

PAGE_SIZE = 500
"""Largest page, and the page of a list that asks for none."""
NEARBY_LIMIT = 25
"""Stations that nearby returns unless it is asked for another number, at most `NEARBY_MAXIMUM`."""
NEARBY_MAXIMUM = 100
SINGLE_MARKERS_FROM_ZOOM = 14
"""From this zoom on every station is a marker of its own."""
_CELLS_PER_TILE = 4


class NoSuchLocation(Exception):
    """The location asked for does not exist."""


class Locations:
    """Answers location requests. The generated network is built when something first asks for it."""

    def __init__(self, book: ChargeBook, seed: int, stations: int) -> None:
        """Serve the network of a seed with so many generated stations."""
        self._book = book
        self._seed = seed
        self._count = stations
        self._touched: dict[int, set[str]] = {}
        self._set: dict[str, tuple[str, float]] = {}

    @property
    def network(self) -> Network:
        """The network of this seed, named stations first."""
        return load_network(self._seed, self._count)

    def reset(self) -> None:
        """Forget every status that was set, and what happened on the EVSEs."""
        self._touched = {}
        self._set = {}

    def find_evse(self, evse_id: str) -> Evse | None:
        """Find an EVSE by its id, with the status that was set for it."""
        found = NAMED_EVSES.get(evse_id) or self.network.by_evse_id.get(evse_id)
        if found is None:
            return None
        given = self._set.get(evse_id)
        return found[1] if given is None else attrs.evolve(found[1], status=given[0], updated=given[1])

    def set_status(self, evse_id: str, status: str | None, at: float) -> None:
        """Set the status of an EVSE while no charge runs on it; None brings back the one of the seed.

        Raises:
            KeyError: There is no such EVSE.
            ValueError: The status is not one of the four.
        """
        if status is not None and status not in EVSE_STATUSES:
            raise ValueError(f"unknown status {status!r}; known are {', '.join(sorted(EVSE_STATUSES))}")
        if self.find_evse(evse_id) is None:
            raise KeyError(evse_id)
        if status is None:
            self._set.pop(evse_id, None)
        else:
            self._set[evse_id] = (status, at)
        self.touch(evse_id)

    def status(self, evse_id: str) -> str:
        """Return the status of an EVSE at this moment. Raises KeyError for one that does not exist."""
        evse = self.find_evse(evse_id)
        if evse is None:
            raise KeyError(evse_id)
        last = self._book.last_on_evse(evse_id)
        return "Occupied" if last is not None and last.is_running else evse.status

    def live(self, station: Station) -> Live:
        """Return what charges and set statuses change about a station."""
        return self._live(self.network.by_number[station.number])

    def touch(self, evse_id: str) -> None:
        """Remember that charges happen on an EVSE, so that its station is no longer served from the cache."""
        found = NAMED_EVSES.get(evse_id) or self.network.by_evse_id.get(evse_id)
        if found is not None:
            self._touched.setdefault(found[0], set()).add(evse_id)

    def answer(
        self, operation: str, dialect: Dialect, request_id: str, query: Query, target: str | None
    ) -> SandboxReply:
        """Answer one location request that has passed every other check."""
        arguments = Arguments(query, dialect)
        if operation == "locations.get":
            items = self._get(arguments, dialect, target or "")
        elif operation == "locations.list":
            items = self._list(arguments, dialect)
        elif operation == "locations.nearby":
            items = self._nearby(arguments, dialect)
        else:
            items = self._markers(arguments, dialect)
        data = b"[" + b",".join(items) + b"]"
        if dialect is Dialect.V1_PASCAL:
            # G1.0 has no envelope, and documents nearby as a single location.
            if operation in ("locations.get", "locations.nearby"):
                if not items:
                    raise NoSuchLocation
                data = items[0]
            return SandboxReply(200, wire.JSON_HEADERS, data)
        head = json.dumps(wire.envelope(dialect, request_id)).encode()
        return SandboxReply(200, wire.JSON_HEADERS, head[:-1] + b', "data": ' + data + b"}")

    def _list(self, arguments: Arguments, dialect: Dialect) -> list[bytes]:
        filters = Filters.read(arguments, listing=True)
        with_operator_name = arguments.flag("withOperatorName") is not False
        page = arguments.whole("pageNumber", 1, 1_000_000, 1)
        size = arguments.whole("perPage", 1, PAGE_SIZE, PAGE_SIZE)
        arguments.check()
        first = (page - 1) * size
        places = self._matching(filters)[first : first + size]
        return [self._render(place, dialect, with_operator_name) for place in places]

    def _get(self, arguments: Arguments, dialect: Dialect, uid: str) -> list[bytes]:
        since = arguments.moment("since") if dialect is not Dialect.V1_PASCAL else None
        arguments.check()
        place = self.network.by_number.get(int(uid)) if uid.isascii() and uid.isdecimal() and len(uid) < 12 else None
        if place is None:
            raise NoSuchLocation
        live, station = self._live(place), self.network.stations[place]
        if since is not None and live.station_updated(station) < since:
            return []
        return [_dumps(station_document(station, dialect, live, provider_id=arguments.text("providerId")))]

    def _nearby(self, arguments: Arguments, dialect: Dialect) -> list[bytes]:
        latitude = arguments.number("latitude", -90, 90)
        longitude = arguments.number("longitude", -180, 180)
        limit = arguments.whole("limit", 1, NEARBY_MAXIMUM, NEARBY_LIMIT)
        filters = Filters.read(arguments, listing=False)
        with_operator_name = arguments.flag("withOperatorName") is not False
        arguments.flag("withMaxPower")
        arguments.check()
        x, y, z = unit_vector(latitude, longitude)
        vectors = self.network.vectors

        def closeness(place: int) -> float:
            vector = vectors[place]
            return vector[0] * x + vector[1] * y + vector[2] * z

        nearest = heapq.nlargest(limit, self._matching(filters), key=closeness)
        return [self._render(place, dialect, with_operator_name) for place in nearest]

    def _markers(self, arguments: Arguments, dialect: Dialect) -> list[bytes]:
        west, east = arguments.number("west", -180, 180), arguments.number("east", -180, 180)
        south, north = arguments.number("south", -90, 90), arguments.number("north", -90, 90)
        zoom = arguments.number("zoom", 0, 30)
        filters = Filters.read(arguments, listing=False)
        with_operator_name = arguments.flag("withOperatorName") is True
        with_max_power = arguments.flag("withMaxPower") is True
        if south > north:
            arguments.problems.append("south must not lie north of north.")
        arguments.check()
        stations = self.network.stations
        cells: dict[Any, list[int]] = {}
        cell = 360.0 / (2.0 ** int(zoom) * _CELLS_PER_TILE)
        for place in self._matching(filters):
            station = stations[place]
            lat, lon = station.latitude, station.longitude
            inside = west <= lon <= east if west <= east else (lon >= west or lon <= east)
            if not inside or not south <= lat <= north:
                continue
            key = place if zoom >= SINGLE_MARKERS_FROM_ZOOM else (int(lat // cell), int(lon // cell))
            cells.setdefault(key, []).append(place)
        markers: list[bytes] = []
        for places in cells.values():
            if len(places) == 1:
                marker = single_marker(
                    stations[places[0]],
                    dialect,
                    self._live(places[0]),
                    with_operator_name=with_operator_name,
                    with_max_power=with_max_power,
                )
            else:
                grouped = [stations[place] for place in places]
                marker = multi_marker(
                    grouped, dialect, with_operator_name=with_operator_name, with_max_power=with_max_power
                )
            markers.append(_dumps(marker))
        return markers

    def _matching(self, filters: Filters) -> Sequence[int]:
        if filters.is_empty:
            return range(len(self.network.stations))
        return [place for place in self._candidates(filters) if self._passes(place, filters)]

    def _candidates(self, filters: Filters) -> Iterable[int]:
        """Let an id narrow the search before anything is looked at."""
        network = self.network
        if filters.evse_id is not None:
            found = network.by_evse_id.get(filters.evse_id)
            return () if found is None else (found[0],)
        if filters.location_external_id is not None:
            place = network.by_external_id.get(filters.location_external_id)
            return () if place is None else (place,)
        if filters.evse_external_id is not None:
            return network.by_evse_external_id.get(filters.evse_external_id, ())
        return range(len(network.stations))

    def _passes(self, place: int, filters: Filters) -> bool:
        station = self.network.stations[place]
        if filters.countries and station.country not in filters.countries:
            return False
        if filters.excluded and station.country in filters.excluded:
            return False
        if filters.min_power > station.max_power:
            return False
        if filters.connector_types and filters.connector_types.isdisjoint(station.connector_types):
            return False
        if filters.methods and filters.methods.isdisjoint(station.authorization_methods):
            return False
        if filters.operator_name is not None and filters.operator_name.casefold() != station.operator_name.casefold():
            return False
        if filters.location_external_id is not None and filters.location_external_id != station.external_id:
            return False
        if filters.evse_external_id is not None and not any(
            evse.external_id == filters.evse_external_id for evse in station.evses
        ):
            return False
        if not filters.statuses and filters.updated_since is None:
            return True
        live = self._live(place)
        if filters.updated_since is not None and live.station_updated(station) < filters.updated_since:
            return False
        return not filters.statuses or any(live.status(evse) in filters.statuses for evse in station.evses)

    def _live(self, place: int) -> Live:
        touched = self._touched.get(place)
        if not touched:
            return QUIET
        statuses: dict[str, str] = {}
        updated: dict[str, float] = {}
        for evse_id in touched:
            given = self._set.get(evse_id)
            if given is not None:
                statuses[evse_id], updated[evse_id] = given
            last = self._book.last_on_evse(evse_id)
            if last is not None:
                updated[evse_id] = max(last.last_updated, updated.get(evse_id, 0.0))
                if last.is_running:
                    statuses[evse_id] = "Occupied"
        return Live(statuses, updated)

    def _render(self, place: int, dialect: Dialect, with_operator_name: bool) -> bytes:
        network = self.network
        if place in self._touched or not with_operator_name:
            station: Station = network.stations[place]
            return _dumps(station_document(station, dialect, self._live(place), with_operator_name=with_operator_name))
        # Outside the touched stations nothing depends on the clock, so all sandboxes of a seed share the text.
        key = (dialect, place)
        text = network.rendered.get(key)
        if text is None:
            text = network.rendered[key] = _dumps(station_document(network.stations[place], dialect))
        return text


def _dumps(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
