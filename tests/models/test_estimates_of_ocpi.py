"""Every worked example of the OCPI 2.2.1 tariff module, and those of its CDR module on step sizes.

Left out, since no model of this service has reservations: tariffs 15 (reservation price), 16 (reservation price and
fee), 17 (reservation with expire fee) and 18 (reservation with expire time). Tariff 11 (not possible with OCPI) and
the tariff of the PUT example have no worked figure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from ocpi_tariffs import (
    MAX_DURATION,
    MAX_POWER,
    TARIFFS,
    charging,
    element,
    energy,
    parked,
    tariff,
)

from shell_ev import PriceComponentType
from shell_ev.models.estimates import Estimate, Phase, estimate_phases

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MONDAY = datetime(2024, 6, 3, tzinfo=AMSTERDAM)
SATURDAY = datetime(2024, 6, 8, tzinfo=AMSTERDAM)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def both(estimate: Estimate) -> tuple[Decimal | None, Decimal | None]:
    """Without and with VAT, prices being without it, as in OCPI."""
    reading = estimate.if_prices_exclude_vat
    assert reading is not None
    return reading.excl_vat, reading.incl_vat


def rows(estimate: Estimate) -> list[tuple[str, Decimal | None]]:
    return [(part.type.value, part.cost) for part in estimate.parts]


WORKED: list[tuple[str, int, dict[str, Any], str, str]] = [
    ("simple, 20 kWh", 8, {"energy_kwh": 20}, "5.00", "5.50"),
    ("start fee, 20 kWh", 9, {"energy_kwh": 20}, "5.50", "6.10"),
    ("minimum price, 20 kWh", 12, {"energy_kwh": 20}, "5.00", "5.50"),
    ("minimum price, less than 2 kWh", 12, {"energy_kwh": 1.9}, "0.50", "0.55"),
    ("parking and start fee", 10, {"energy_kwh": 20, "parking": minutes(40)}, "7.00", "7.90"),
    ("maximum price, 30 kWh", 6, {"energy_kwh": 30}, "8.00", "8.85"),
    ("2 an hour, 2.5 hours", 1, {"duration": minutes(150)}, "5.00", "5.50"),
    ("3 an hour, 5 parked", 13, {"duration": minutes(150), "parking": minutes(42)}, "11.25", "12.75"),
    ("several languages, 2.5 hours", 2, {"duration": minutes(150)}, "4.75", "5.00"),
    ("alternative URL, 20.45 kWh", 3, {"energy_kwh": 20.45}, "5.63", "6.24"),
    (
        "complex, a Monday",
        4,
        {
            "duration": minutes(165),
            "parking": minutes(42),
            "current": 16,
            "started_at": MONDAY.replace(hour=9, minute=30),
        },
        "9.00",
        "10.30",
    ),
    (
        "complex, a Saturday",
        4,
        {
            "duration": minutes(114),
            "parking": minutes(71),
            "current": 43,
            "started_at": SATURDAY.replace(hour=13, minute=30),
        },
        # 2.2.1 prints 2.28 for 114 minutes at 1.25 an hour (12.28 and 13.861 in all); 2.2 has it right, as here.
        "12.38",
        "13.98",
    ),
]


@pytest.mark.parametrize(("name", "number", "charge", "excluding", "including"), WORKED, ids=[w[0] for w in WORKED])
def test_a_worked_example_gives_the_amounts_of_ocpi(
    name: str, number: int, charge: dict[str, Any], excluding: str, including: str
) -> None:
    found = TARIFFS[number].estimate(**charge)
    rounded = [amount and amount.quantize(Decimal("0.01"), ROUND_HALF_UP) for amount in both(found)]
    assert rounded == [Decimal(excluding), Decimal(including)]
    assert found.unknown == ()
    assert found.total == found.known_total or found.limited_by == "min_price"


def test_a_maximum_price_is_the_total_and_its_vat_is_open_where_rates_differ() -> None:
    found = TARIFFS[6].estimate(energy_kwh=50)
    # OCPI sends the maximum with and without VAT (10.00 and 11.00); this service sends one number.
    assert (found.total, found.limited_by) == (Decimal(10), "max_price")
    assert both(found) == (Decimal(10), None)


def test_the_free_tariff_costs_nothing_for_any_charge() -> None:
    found = TARIFFS[5].estimate(energy_kwh=80, duration=minutes(600), parking=minutes(600))
    assert (found.total, rows(found)) == (Decimal(0), [("FLAT", Decimal(0))])


def test_the_current_price_of_the_alternative_url_gives_the_other_breakdown() -> None:
    found = tariff(element(*TARIFFS[3].elements[0].price_components[:1], energy(0.22, 10.0, step_wh=100))).estimate(
        energy_kwh=20.45
    )
    assert rows(found) == [("FLAT", Decimal("0.5")), ("ENERGY", Decimal("4.51"))]
    assert both(found) == (Decimal("5.01"), Decimal("5.561"))


def test_the_complex_breakdown_is_that_of_ocpi() -> None:
    found = TARIFFS[4].estimate(
        duration=minutes(165), parking=minutes(42), current=16, started_at=MONDAY.replace(hour=9, minute=30)
    )
    assert rows(found) == [("FLAT", Decimal("2.5")), ("TIME", Decimal("2.75")), ("PARKING_TIME", Decimal("3.75"))]
    assert [part.quantity for part in found.parts] == [1, Decimal("2.75"), Decimal("0.75")]


def test_the_exact_total_of_the_complex_saturday_is_that_of_ocpi_2_2() -> None:
    found = TARIFFS[4].estimate(
        duration=minutes(114), parking=minutes(71), current=43, started_at=SATURDAY.replace(hour=13, minute=30)
    )
    assert rows(found) == [("FLAT", Decimal("2.5")), ("TIME", Decimal("2.375")), ("PARKING_TIME", Decimal("7.5"))]
    assert both(found) == (Decimal("12.375"), Decimal("13.975"))


@pytest.mark.parametrize(("step_wh", "cost"), [(1, "0.029"), (25, "0.03125"), (500, "0.125")])
def test_115_2_wh_are_billed_in_steps(step_wh: int, cost: str) -> None:
    assert tariff(element(energy(0.25, step_wh=step_wh))).estimate(energy_kwh=0.1152).total == Decimal(cost)


def test_6_minutes_in_steps_of_5_are_10() -> None:
    found = tariff(element(charging(6.0, 300))).estimate(duration=minutes(6))
    assert found.total == Decimal(1)


def test_switching_elements_1_exact_time_before_parking_in_steps() -> None:
    found = TARIFFS[14].estimate(
        duration=minutes(10), parking=minutes(2), started_at=MONDAY.replace(hour=16, minute=55)
    )
    assert rows(found) == [("TIME", Decimal("0.1")), ("TIME", Decimal("0.2")), ("PARKING_TIME", Decimal("0.25"))]
    assert found.total == Decimal("0.55")


def test_switching_elements_2_the_last_step_rounds_the_whole_time() -> None:
    found = TARIFFS[14].estimate(duration=minutes(35), started_at=MONDAY.replace(hour=16, minute=35))
    assert rows(found) == [("TIME", Decimal("0.5")), ("TIME", Decimal("0.8"))]
    assert found.total == Decimal("1.3")


def test_switching_to_a_free_element_rounds_what_was_parked_before() -> None:
    found = TARIFFS[14].estimate(
        duration=minutes(12), parking=minutes(20), started_at=MONDAY.replace(hour=19, minute=40)
    )
    assert rows(found) == [("TIME", Decimal("0.48")), ("PARKING_TIME", Decimal("0.25"))]
    assert found.total == Decimal("0.73")


def test_the_power_of_each_phase_picks_its_price() -> None:
    found = estimate_phases(
        MAX_POWER,
        [
            Phase(energy_kwh=1, duration=minutes(10)),
            Phase(energy_kwh=40, duration=minutes(50)),
            Phase(energy_kwh=0.5, duration=minutes(7.5)),
        ],
    )
    assert [part.cost for part in found.parts] == [Decimal("0.2"), Decimal(20), Decimal("0.1")]
    assert found.total == Decimal("20.3")


def test_energy_is_free_for_the_first_30_minutes() -> None:
    found = estimate_phases(
        MAX_DURATION,
        [Phase(energy_kwh=5, duration=minutes(30)), Phase(energy_kwh=Decimal("1.2"), duration=minutes(10))],
    )
    assert [part.cost for part in found.parts] == [Decimal(0), Decimal("0.3")]
    assert found.total == Decimal("0.3")


# Step sizes, as the CDR module explains them.


def test_21_minutes_of_charging_before_parking_are_billed_as_21() -> None:
    found = tariff(element(charging(60.0, 300), parked(60.0, 300))).estimate(duration=minutes(21), parking=minutes(7))
    assert rows(found) == [("TIME", Decimal(21)), ("PARKING_TIME", Decimal(10))]


def test_a_step_of_energy_rounds_the_total_and_not_the_last_part() -> None:
    prices = tariff(
        element(energy(0.2, step_wh=500), end_time="17:00"), element(energy(0.27, step_wh=500), start_time="17:00")
    )
    found = estimate_phases(
        prices,
        [Phase(energy_kwh=4.3, duration=minutes(60)), Phase(energy_kwh=1.1, duration=minutes(60))],
        started_at=MONDAY.replace(hour=16),
    )
    assert [part.quantity for part in found.parts] == [Decimal("4.3"), Decimal("1.2")]


def test_a_step_of_time_rounds_the_total_and_not_the_last_part() -> None:
    prices = tariff(element(charging(5.0, 600), end_time="17:00"), element(charging(7.0, 600), start_time="17:00"))
    found = prices.estimate(duration=minutes(28), started_at=MONDAY.replace(hour=16, minute=54))
    assert [part.quantity for part in found.parts] == [Decimal("0.1"), Decimal("0.4")]


def test_16_minutes_parked_in_steps_of_10_are_20_and_the_charging_time_is_exact() -> None:
    found = tariff(element(charging(60.0, 600), parked(120.0, 600))).estimate(duration=minutes(21), parking=minutes(16))
    assert rows(found) == [("TIME", Decimal(21)), ("PARKING_TIME", Decimal(40))]


def test_a_step_of_energy_as_ocpi_sends_it_is_not_taken_for_kwh() -> None:
    in_wh = attrs.evolve(energy(0.25), step_size=100)
    found = tariff(element(in_wh)).estimate(energy_kwh=20.45)
    assert found.total is None
    assert found.parts[0].type is PriceComponentType.ENERGY
    assert found.unknown == ("ENERGY: the unit of a step_size of 100 is not clear: in kWh it is more than 10",)
