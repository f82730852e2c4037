"""The named stations: fixed, documented, the same for every seed. Invented, except for the cities they stand in.

Every EVSE listed as available starts a charge, apart from those in `FAILING_EVSES`; see also `FAILING_STOP_EVSE`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from shell_ev.sandbox.stations import Evse, Hours, Station, Tariff, build_connector, build_station

_NAMED_AT = 1_718_782_617.0  # 2024-06-19T07:36:57Z, the day of the examples in the contract
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri")
_SHOP_HOURS: Hours = (
    *((day, "07:00", "22:00") for day in _WEEKDAYS),
    ("Sat", "08:00", "22:00"),
    ("Sun", "10:00", "18:00"),
)
_OFFICE_HOURS: Hours = tuple((day, "06:30", "19:30") for day in _WEEKDAYS)

EXAMPLE_EVSE = "NL*TNM*E02003451*0"
"""The EVSE of the examples in the contract. Available, 11 kW."""

EXAMPLE_CARD = "NL-TNM-C00122045-K"
"""The charge card of the examples in the contract. The sandbox takes any; this one is an EMA-ID."""

FAILING_STOP_EVSE = "NL*TNM*E02003470*9"
"""A charge starts here, but every stop ends as failed-to-stop and the charge continues."""

FAILING_EVSES: MappingProxyType[str, str] = MappingProxyType(
    {
        "InternalError": "NL*TNM*E02003461*1",
        "ServiceUnavailable": "NL*TNM*E02003461*2",
        "ChargeTokenNotSupported": "NL*TNM*E02003461*3",
        "SessionInvalid": "NL*TNM*E02003461*4",
        "EvNotConnectedToEvse": "NL*TNM*E02003462*1",
        "EvseInUse": "NL*TNM*E02003462*2",
        "EvseOutOfService": "NL*TNM*E02003462*3",
        "EvseNotFound": "NL*TNM*E02003462*4",
        "EvseNotSupported": "NL*TNM*E02003462*5",
    }
)
"""Session code -> an EVSE on which every start is accepted and then fails with that code."""

_CODES = {evse_id: code for code, evse_id in FAILING_EVSES.items()}
_STATUS = {"EvseInUse": "Occupied", "EvseOutOfService": "Unavailable", "ServiceUnavailable": "Unknown"}

_TARIFFS = {
    "ac": Tariff(1, "EUR", 21.0, 0.35, 0.0, 0.39, _NAMED_AT),
    "fast": Tariff(2, "EUR", 21.0, 0.35, 0.0, 0.64, _NAMED_AT),
    "time": Tariff(3, "EUR", 19.0, 0.0, 0.05, 0.45, _NAMED_AT),
    "free": Tariff(4, "EUR", 21.0, 0.0, 0.0, 0.0, _NAMED_AT),
    "gbp": Tariff(5, "GBP", 20.0, 0.0, 0.0, 0.59, _NAMED_AT),
}

_ALL_METHODS = ("NewMotionApp", "RFIDToken", "PnC")
_USUAL_METHODS = ("NewMotionApp", "RFIDToken")

# Each station: place, street, postal code, city, country, operator, EVSEs as (id, connectors, status), tariff, extras.
_Plan = tuple[float, float, str, str, str, str, tuple[str, str], tuple[tuple[str, str, str], ...], str, dict[str, Any]]
_LAADNET = ("TNM", "Sandbox Laadnet")


def _free(*evses: tuple[str, str]) -> tuple[tuple[str, str, str], ...]:
    return tuple((evse_id, kinds, _STATUS.get(_CODES.get(evse_id, ""), "Available")) for evse_id, kinds in evses)


_PLANS: tuple[_Plan, ...] = (
    (52.3791, 4.9003, "Voorbeeldkade 1", "1012 AB", "Amsterdam", "NLD", _LAADNET,
     _free((EXAMPLE_EVSE, "AC11"), ("NL*TNM*E02003451*1", "AC11")), "ac", {}),
    (52.0894, 5.1100, "Testlaan 12", "3511 ED", "Utrecht", "NLD", _LAADNET,
     _free(("NL*TNM*E02003452*1", "AC22"), ("NL*TNM*E02003452*2", "AC22"), ("NL*TNM*E02003452*3", "DC50 CHA50")), "ac",
     {"location_type": "ParkingGarage", "hours": _SHOP_HOURS}),
    (51.9225, 4.4792, "Proefhaven 8", "3011 GA", "Rotterdam", "NLD", _LAADNET,
     _free(("NL*TNM*E02003453*1", "DC300"), ("NL*TNM*E02003453*2", "DC300"), ("NL*TNM*E02003453*3", "DC150 CHA50 AC43"),
           ("NL*TNM*E02003453*4", "DC150")), "fast", {"location_type": "MotorwayServiceArea"}),
    (52.0799, 4.3113, "Virtueelplein 2", "2511 CV", "Den Haag", "NLD", _LAADNET,
     _free(("NL*TNM*EVIRTUALCP0002*0", "AC11"), ("NL*TNM*EVIRTUALCP0002*1", "AC11")), "free",
     {"accessibility": "FreePublic", "comment": "Charging is free of charge."}),
    (51.4396, 5.4783, "Storingsweg 61", "5611 AA", "Eindhoven", "NLD", _LAADNET,
     _free(*((evse_id, "AC11") for evse_id in FAILING_EVSES.values() if "3461" in evse_id)), "ac",
     {"remark": "Every start here fails, on purpose."}),
    (51.4412, 5.4801, "Storingsweg 62", "5611 AB", "Eindhoven", "NLD", _LAADNET,
     _free(*((evse_id, "AC11") for evse_id in FAILING_EVSES.values() if "3462" in evse_id)), "ac",
     {"remark": "Every start here fails, on purpose."}),
    (53.2174, 6.5672, "Doorloopstraat 70", "9711 JB", "Groningen", "NLD", _LAADNET,
     _free((FAILING_STOP_EVSE, "AC22")), "ac", {"remark": "A charge here cannot be stopped remotely."}),
    (50.8467, 4.3525, "Rue de l'Essai 5", "1000", "Brussel", "BEL", ("SBX", "Sandbox Charge Belgium"),
     _free(("BE*SBX*E10000101*1", "AC22"), ("BE*SBX*E10000101*2", "AC22")), "ac",
     {"hours": _OFFICE_HOURS, "accessibility": "Restricted"}),
    (49.6117, 6.1300, "12 Rue du Modèle", "1212", "Luxembourg", "LUX", ("LXC", "Letz Charge"),
     _free(("LU*LXC*E10000201*1", "AC22 AC11")), "ac", {}),
    (52.5208, 13.4094, "Musterallee 3", "10178", "Berlin", "DEU", ("SBD", "Sandbox Ladenetz"),
     _free(("DE*SBD*E10000301*1", "DC150"), ("DE*SBD*E10000301*2", "AC22")), "time", {"hours": _SHOP_HOURS}),
    (50.9413, 6.9583, "Probegasse 9", "50667", "Köln", "DEU", ("SBD", "Sandbox Ladenetz"),
     (*_free(("DE*SBD*E10000302*1", "AC11")), ("DE*SBD*E10000302*2", "AC11", "Unavailable")), "time", {}),
    (48.8530, 2.3499, "4 Quai du Banc d'Essai", "75004", "Paris", "FRA", ("SBF", "Sandbox Recharge France"),
     _free(("FR*SBF*E10000401*1", "AC7 AC4"), ("FR*SBF*E10000401*2", "AC22")), "ac", {}),
    (51.5033, -0.1195, "7 Trial Walk", "SE1 7PB", "London", "GBR", ("SBG", "Sandbox Charge UK"),
     (*_free(("GB*SBG*E10000501*1", "DC50 CHA50")), ("GB*SBG*E10000501*2", "DC50", "Occupied")), "gbp", {}),
    (53.4794, -2.2453, "21 Sample Yard", "M2 5DB", "Manchester", "GBR", ("SBG", "Sandbox Charge UK"),
     _free(("GB*SBG*E10000502*1", "AC7")), "gbp", {"hours": _SHOP_HOURS}),
)  # fmt: skip


def _build(index: int, plan: _Plan) -> Station:
    latitude, longitude, street, postal_code, city, country, operator, planned, tariff, extras = plan
    number = index + 1
    evses = tuple(
        Evse(
            number=number * 10 + position,
            evse_id=evse_id,
            external_id=f"{evse_id.split('*')[2]}-{position}",
            status=status,
            authorization_methods=_ALL_METHODS if "DC300" in kinds else _USUAL_METHODS,
            physical_reference=str(position),
            updated=_NAMED_AT,
            connectors=tuple(
                build_connector(number * 100 + position * 10 + place, kind, _TARIFFS[tariff])
                for place, kind in enumerate(kinds.split(), 1)
            ),
            failure=_CODES.get(evse_id),
        )
        for position, (evse_id, kinds, status) in enumerate(planned, 1)
    )
    return build_station(
        number=number,
        latitude=latitude,
        longitude=longitude,
        operator=operator,
        street=street,
        postal_code=postal_code,
        city=city,
        country=country,
        evses=evses,
        updated=_NAMED_AT,
        **extras,
    )


NAMED_STATIONS: tuple[Station, ...] = tuple(_build(index, plan) for index, plan in enumerate(_PLANS))
"""Uids 1 to 14, in the order of the documentation."""
