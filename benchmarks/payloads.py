"""The bodies that are measured: invented, of the shape and size that contract section 5 gives (V2)."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

SESSION_ID = "78b5d7a3-bdba-43d7-9851-1c84fcddb782"
PAGE = 500

_CONNECTORS = (("Type2", "AC3Phase", 230, 32, 22.1), ("Type2Combo", "DC", 400, 375, 150.0))
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CITIES = (("Amsterdam", 52.3676, 4.9041), ("København", 55.6761, 12.5683), ("Köln", 50.9375, 6.9603))


def session() -> bytes:
    """One charge session in its envelope: the contract's own example of retrieve."""
    data = {
        "id": SESSION_ID,
        "userId": "281482b6-2c9a-4fd1-b3ea-1928edb40ef9",
        "emaId": "NL-TNM-C00122045-K",
        "evseId": "NL*TNM*E02003451*0",
        "lastUpdated": "2024-06-19T07:36:57.985998Z",
        "startedAt": "2024-06-19T11:20:27Z",
        "stoppedAt": "2014-06-19T12:20:27Z",
        "sessionState": {"status": "Started"},
    }
    return _body([data])


@cache
def locations(count: int = PAGE, *, tariffs: bool = True, start: int = 0) -> bytes:
    """A page of full locations: two EVSEs with two connectors, week hours, and three tariffs a connector if asked."""
    return _body([_location(start + number, tariffs) for number in range(count)])


def objects(body: bytes) -> int:
    """How many JSON objects a body holds: how many model instances it becomes."""
    return body.count(b"{")


def _body(data: list[Any]) -> bytes:
    envelope = {"requestId": "eb621f45-a543-4d9a-a934-2f223b263c42", "status": "SUCCESS", "data": data}
    return json.dumps(envelope, ensure_ascii=False).encode()


def _location(number: int, tariffs: bool) -> dict[str, Any]:
    rng = random.Random(number)
    city, latitude, longitude = rng.choice(_CITIES)
    return {
        "uid": str(3_000_000 + number),
        "externalId": f"NLTNM{number:07d}",
        "coordinates": {
            "latitude": round(latitude + rng.uniform(-0.2, 0.2), 6),
            "longitude": round(longitude + rng.uniform(-0.2, 0.2), 6),
        },
        "operatorName": "Shell Recharge",
        "operatorId": "NL-TNM",
        "address": {
            "streetAndNumber": f"Kerkstraat {number % 300 + 1}",
            "postalCode": f"{1000 + number % 9000} AB",
            "city": city,
            "country": "NLD",
        },
        "accessibility": {"status": rng.choice(["FreePublic", "PayingPublic", "Restricted"])},
        "evses": [_evse(number * 2 + index, rng, tariffs) for index in range(2)],
        "openTwentyFourSeven": False,
        "openingHours": [{"weekDay": day, "startTime": "08:00", "endTime": "20:00"} for day in _WEEK],
        "updated": f"2026-11-{rng.randint(1, 20):02d}T10:44:24Z",
        "locationType": "OnStreet",
    }


def _evse(number: int, rng: random.Random, tariffs: bool) -> dict[str, Any]:
    return {
        "uid": str(6_000_000 + number),
        "externalId": f"NLTNME{number:08d}",
        "evseId": f"NL*TNM*E{number:08d}*0",
        "status": rng.choice(["Available", "Occupied", "Unavailable", "Unknown"]),
        "connectors": [_connector(number * 2 + index, index, rng, tariffs) for index in range(2)],
        "authorizationMethods": ["NewMotionApp", "RFIDToken"],
        "updated": f"2026-11-{rng.randint(1, 20):02d}T10:44:24Z",
        "physicalReference": str(number % 10),
    }


def _connector(number: int, kind: int, rng: random.Random, tariffs: bool) -> dict[str, Any]:
    name, power_type, voltage, amperage, power = _CONNECTORS[kind]
    document: dict[str, Any] = {
        "uid": str(9_000_000 + number),
        "externalId": f"NLTNMC{number:08d}",
        "connectorType": name,
        "electricalProperties": {
            "powerType": power_type,
            "voltage": voltage,
            "amperage": amperage,
            "maxElectricPower": power,
        },
    }
    if tariffs:
        document["tariffs"] = [_tariff(number * 3 + index, rng) for index in range(3)]
    return document


def _tariff(number: int, rng: random.Random) -> dict[str, Any]:
    price = rng.randint(20, 90) / 100
    return {
        "tariffId": f"TNM-{number}",
        "tariffType": rng.choice(["DRIVER", "ROAMING", "VMSP"]),
        "powerRange": {"min": 0, "max": 350},
        "internalId": str(number),
        "operatorId": "NL-TNM",
        "providerId": "NL-TNM",
        "currency": "EUR",
        "tariffAltText": [{"language": "en", "text": f"EUR {price:.2f} per kWh"}],
        "minPrice": 0.0,
        "maxPrice": 100.0,
        "elements": [
            {
                "priceComponents": [{"type": "ENERGY", "stepSize": 1, "price": price, "vat": 21.0}],
                "restrictions": {"startTime": "08:00", "endTime": "20:00", "minKwh": 0, "dayOfWeek": ["MONDAY"]},
            }
        ],
        "startDateTime": "2024-01-01T00:00:00Z",
        "endDateTime": "2030-12-31T23:59:59Z",
        "lastUpdated": f"2026-{rng.randint(1, 11):02d}-{rng.randint(1, 28):02d}T{rng.randint(0, 23):02d}:15:00Z",
        "createdBy": "TariffService",
    }
