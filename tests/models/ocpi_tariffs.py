"""The tariffs of the OCPI 2.2.1 tariff module as models; steps of energy in kWh, as this service has them."""

from __future__ import annotations

from typing import Any

import attrs

from shell_ev import ElementTariff, PriceComponent, PriceComponentType, TariffElement, TariffRestrictions

WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")


def _component(kind: str, price: float, step: float, vat: float | None = None) -> PriceComponent:
    return PriceComponent(type=PriceComponentType(kind), price=price, step_size=step, vat=vat)


def fee(price: float, vat: float | None = None) -> PriceComponent:
    return _component("FLAT", price, 1, vat)


def energy(price: float, vat: float | None = None, step_wh: float = 1) -> PriceComponent:
    return _component("ENERGY", price, step_wh / 1000, vat)


def charging(price: float, step: float, vat: float | None = None) -> PriceComponent:
    return _component("TIME", price, step, vat)


def parked(price: float, step: float, vat: float | None = None) -> PriceComponent:
    return _component("PARKING_TIME", price, step, vat)


def element(*components: PriceComponent, **restrictions: Any) -> TariffElement:
    return TariffElement(
        price_components=components, restrictions=TariffRestrictions(**restrictions) if restrictions else None
    )


def tariff(*elements: TariffElement, **fields: Any) -> ElementTariff:
    return ElementTariff(elements=elements, **{"currency": "EUR", "min_price": 0, **fields})


#: By the number in the name of the example's file.
TARIFFS = {
    1: tariff(element(charging(2.0, 60, 10.0))),
    2: tariff(element(charging(1.9, 300, 5.2))),
    3: tariff(element(fee(0.5, 20.0), energy(0.25, 10.0, step_wh=100))),
    4: tariff(
        element(fee(2.5, 15.0)),
        element(charging(1.0, 900, 20.0), max_current=32.0),
        element(charging(2.0, 600, 20.0), min_current=32.0, day_of_week=WEEKDAYS),
        element(charging(1.25, 600, 20.0), min_current=32.0, day_of_week=("SATURDAY", "SUNDAY")),
        element(parked(5.0, 300, 10.0), start_time="09:00", end_time="18:00", day_of_week=WEEKDAYS),
        element(parked(6.0, 300, 10.0), start_time="10:00", end_time="17:00", day_of_week=("SATURDAY",)),
    ),
    5: tariff(element(attrs.evolve(fee(0.0), step_size=0))),
    6: tariff(element(fee(0.5, 20.0), energy(0.25, 10.0)), max_price=10.0),
    8: tariff(element(energy(0.25, 10.0))),
    9: tariff(element(fee(0.5, 20.0), energy(0.25, 10.0))),
    10: tariff(element(fee(0.5, 20.0), energy(0.25, 10.0), parked(2.0, 900, 20.0))),
    12: tariff(element(energy(0.25, 10.0)), min_price=0.5),
    13: tariff(element(charging(3.0, 60, 10.0), parked(5.0, 300, 20.0))),
    14: tariff(
        element(charging(1.2, 1800), parked(1.0, 900), start_time="00:00", end_time="17:00"),
        element(charging(2.4, 900), parked(1.0, 900), start_time="17:00", end_time="20:00"),
        element(charging(2.4, 900), start_time="20:00", end_time="00:00"),
    ),
}

MAX_POWER = tariff(
    element(energy(0.2, 20.0), max_power=16.0),
    element(energy(0.35, 20.0), max_power=32.0),
    element(energy(0.5, 20.0)),
)
MAX_DURATION = tariff(
    element(energy(0.0, 20.0), max_duration=1800),
    element(energy(0.25, 20.0), max_duration=3600),
    element(energy(0.4, 20.0)),
)
