"""The whole network of a seed: the named stations, then generated ones clustered around real cities."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable

import attrs

from shell_ev.sandbox.named import NAMED_STATIONS
from shell_ev.sandbox.places import CITIES, City
from shell_ev.sandbox.stations import Evse, Hours, Station, Tariff, build_connector, build_station

_FIRST_NUMBER = 10_001
_UPDATED_FROM = 1_704_067_200  # 2024-01-01T00:00:00Z
_UPDATED_UNTIL = 1_767_225_600  # 2026-01-01T00:00:00Z
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_AC_KINDS = ("AC11", "AC11", "AC11", "AC22", "AC22", "AC7", "AC43", "AC4")
_DC_KINDS = ("DC50 CHA50", "DC50 CHA50 AC43", "DC150", "DC150 CHA50", "DC300", "DC300")
_STATUSES = ("Available",) * 14 + ("Occupied",) * 4 + ("Unavailable", "Unknown")
_METHODS = (("NewMotionApp", "RFIDToken"),) * 6 + (("RFIDToken",), ("RFIDToken", "NewMotionApp"))
_DC_METHODS = (("NewMotionApp", "RFIDToken"), ("NewMotionApp", "RFIDToken", "PnC"), ("PnC", "RFIDToken"))
_TYPES = ("OnStreet", "OnStreet", "ParkingLot", "ParkingGarage", "MotorwayServiceArea", "Retail")
_ACCESS = ("PayingPublic",) * 6 + ("Restricted", "Unspecified")
_HOURS: tuple[tuple[str, str], ...] = (("07:00", "22:00"), ("06:00", "23:00"), ("08:00", "20:00"), ("09:00", "18:30"))

Vector = tuple[float, float, float]


def unit_vector(latitude: float, longitude: float) -> Vector:
    """Place a point on the unit sphere; nearer points have the larger dot product."""
    phi, lam = math.radians(latitude), math.radians(longitude)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


@attrs.frozen(eq=False)
class Network:
    """Stations with their look-ups. It never changes, so sandboxes of the same seed share it."""

    stations: tuple[Station, ...]
    by_number: dict[int, int]
    """Uid -> place in `stations`."""
    by_external_id: dict[str, int]
    by_evse_id: dict[str, tuple[int, Evse]]
    by_evse_external_id: dict[str, list[int]]
    vectors: tuple[Vector, ...]
    rendered: dict[tuple[object, int], bytes] = attrs.field(factory=dict[tuple[object, int], bytes], init=False)
    """JSON of stations on which nothing happens, filled as they are asked for."""

    @classmethod
    def of(cls, stations: tuple[Station, ...]) -> Network:
        """Build the look-ups over some stations."""
        external: dict[str, list[int]] = {}
        for place, station in enumerate(stations):
            for evse in station.evses:
                external.setdefault(evse.external_id, []).append(place)
        return cls(
            stations=stations,
            by_number={station.number: place for place, station in enumerate(stations)},
            by_external_id={station.external_id: place for place, station in enumerate(stations)},
            by_evse_id={
                evse.evse_id: (place, evse) for place, station in enumerate(stations) for evse in station.evses
            },
            by_evse_external_id=external,
            vectors=tuple(unit_vector(station.latitude, station.longitude) for station in stations),
        )


NAMED_EVSES: dict[str, tuple[int, Evse]] = {
    evse.evse_id: (place, evse) for place, station in enumerate(NAMED_STATIONS) for evse in station.evses
}
"""EVSEs of the named stations: a start on one of them does not need the rest of the network."""


@functools.lru_cache(maxsize=8)
def load_network(seed: int, count: int) -> Network:
    """Return the named stations followed by `count` generated ones."""
    return Network.of((*NAMED_STATIONS, *_generate(seed, count)))


def _generate(seed: int, count: int) -> list[Station]:
    rng = random.Random(f"network {seed}")
    weights = [city.weight for city in CITIES]
    chosen = rng.choices(CITIES, weights, k=count)
    return [_station(rng, _FIRST_NUMBER + index, city) for index, city in enumerate(chosen)]


def _pick(rng: random.Random) -> Callable[[int], int]:
    # randrange of the standard library is several times slower, and a network takes some hundred thousand draws.
    draw = rng.random
    return lambda bound: int(draw() * bound)


def _station(rng: random.Random, number: int, city: City) -> Station:
    pick = _pick(rng)
    country = city.country
    fast = rng.random() < 0.2
    operator = country.operators[pick(len(country.operators))]
    updated = float(_UPDATED_FROM + pick(_UPDATED_UNTIL - _UPDATED_FROM))
    tariff = _tariff(rng, number, city, fast, updated)
    count = 2 + pick(7) if fast else 1 + min(pick(4), pick(8))
    house = str(1 + pick(240))
    street = country.streets[pick(len(country.streets))]
    return build_station(
        number=number,
        latitude=round(city.latitude + rng.gauss(0.0, 0.045), 6),
        longitude=round(city.longitude + rng.gauss(0.0, 0.07), 6),
        operator=operator,
        street=f"{house} {street}" if country.number_first else f"{street} {house}",
        postal_code=_postal_code(rng, city),
        city=city.name,
        country=country.alpha3,
        evses=tuple(
            _evse(rng, number, position, city, operator[0], fast, tariff, updated) for position in range(1, count + 1)
        ),
        updated=updated,
        hours=_hours(rng),
        accessibility="FreePublic" if tariff.is_free else _ACCESS[pick(len(_ACCESS))],
        location_type=_TYPES[pick(len(_TYPES))],
    )


def _evse(
    rng: random.Random,
    number: int,
    position: int,
    city: City,
    operator: str,
    fast: bool,
    tariff: Tariff,
    updated: float,
) -> Evse:
    pick = _pick(rng)
    kinds = _DC_KINDS[pick(len(_DC_KINDS))] if fast else _AC_KINDS[pick(len(_AC_KINDS))]
    methods = _DC_METHODS if fast else _METHODS
    first = number * 100 + position * 10
    return Evse(
        number=number * 10 + position,
        evse_id=f"{city.country.alpha2}*{operator}*E{number:08d}*{position}",
        external_id=f"{operator}{number:07d}-{position}",
        status=_STATUSES[pick(len(_STATUSES))],
        authorization_methods=methods[pick(len(methods))],
        physical_reference=str(position),
        updated=updated,
        connectors=tuple(build_connector(first + place, kind, tariff) for place, kind in enumerate(kinds.split(), 1)),
    )


def _tariff(rng: random.Random, number: int, city: City, fast: bool, updated: float) -> Tariff:
    pick = _pick(rng)
    country = city.country
    if not fast and rng.random() < 0.06:
        return Tariff(number, country.currency, country.vat, 0.0, 0.0, 0.0, updated)
    per_kwh = round((0.55 if fast else 0.30) + pick(30) / 100, 2)
    start_fee = (0.0, 0.0, 0.35, 0.5, 1.0)[pick(5)]
    per_minute = (0.0, 0.0, 0.0, 0.02, 0.05)[pick(5)]
    return Tariff(number, country.currency, country.vat, start_fee, per_minute, per_kwh, updated)


def _hours(rng: random.Random) -> Hours | None:
    if rng.random() < 0.7:
        return None
    pick = _pick(rng)
    start, end = _HOURS[pick(len(_HOURS))]
    return tuple((day, start, end) for day in _WEEK[: 5 + pick(3)])


def _postal_code(rng: random.Random, city: City) -> str:
    pick = _pick(rng)
    if city.country.alpha2 == "NL":
        letters = "ABCDEGHJKLMNPRSTVWXZ"
        return f"{city.postal_prefix}{10 + pick(90)} {letters[pick(20)]}{letters[pick(20)]}"
    if city.country.alpha2 == "GB":
        letters = "ABDEFGHJLNPQRSTUWXYZ"
        return f"{city.postal_prefix}{1 + pick(20)} {1 + pick(9)}{letters[pick(20)]}{letters[pick(20)]}"
    digits = 5 if city.country.alpha2 in ("DE", "FR") else 4
    missing = digits - len(city.postal_prefix)
    return city.postal_prefix + str(pick(10**missing)).zfill(missing)
