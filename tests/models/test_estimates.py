"""Estimates worked out by hand: midnight, changes of the clocks, free minutes, minimum steps, what is not known."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpi_tariffs import TARIFFS, charging, element, energy, fee, parked, tariff

from shell_ev import ElementTariff, FlatTariff, PowerRange, PriceComponent, PriceComponentType, ValidationError

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def at(text: str, zone: Any = AMSTERDAM) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def costs(tariff: ElementTariff | FlatTariff, **charge: Any) -> list[Decimal | None]:
    return [part.cost for part in tariff.estimate(**charge).parts]


# Midnight

NIGHT = tariff(
    element(charging(1.0, 1), start_time="22:00", end_time="06:00"),
    element(charging(3.0, 1)),
)


def test_a_window_over_midnight_holds_before_and_after_it() -> None:
    # 21:00-22:00 at 3, 22:00-06:00 at 1, 06:00-07:00 at 3.
    assert costs(NIGHT, duration=hours(10), started_at=at("2024-06-03T21:00")) == [3, 8, 3]


def test_a_window_that_ends_at_0000_ends_with_the_day() -> None:
    prices = tariff(element(charging(1.0, 1), start_time="20:00", end_time="00:00"), element(charging(3.0, 1)))
    assert costs(prices, duration=hours(3), started_at=at("2024-06-03T22:00")) == [2, 3]


def test_a_day_of_the_week_ends_at_midnight_also_in_a_window_over_it() -> None:
    prices = tariff(
        element(charging(1.0, 1), start_time="22:00", end_time="06:00", day_of_week=("FRIDAY",)),
        element(charging(3.0, 1)),
    )
    # Friday 7 June: 22:00-24:00 at 1, then it is Saturday.
    assert costs(prices, duration=hours(4), started_at=at("2024-06-07T22:00")) == [2, 6]


def test_the_end_date_is_the_first_day_without_the_price() -> None:
    prices = tariff(
        element(charging(1.0, 1), start_date="2024-06-03", end_date="2024-06-05"), element(charging(3.0, 1))
    )
    assert costs(prices, duration=hours(4), started_at=at("2024-06-02T23:00")) == [3, 3]
    assert costs(prices, duration=hours(4), started_at=at("2024-06-04T22:00")) == [2, 6]


def test_two_days_have_a_window_each() -> None:
    prices = tariff(element(charging(6.0, 1), start_time="12:00", end_time="13:00"), element(charging(1.0, 1)))
    # 11:00 Monday to 14:00 Tuesday: 1 + 6 + 23 + 6 + 1.
    assert costs(prices, duration=hours(27), started_at=at("2024-06-03T11:00")) == [1, 6, 23, 6, 1]


# The clocks change

EARLY = tariff(element(charging(1.0, 1), end_time="03:00"), element(charging(3.0, 1)))
HALF_PAST = tariff(element(charging(1.0, 1), end_time="02:30"), element(charging(3.0, 1)))


def test_in_the_night_of_spring_the_hour_that_is_missing_is_not_billed() -> None:
    # From 01:00 the wall shows 03:00 after one hour.
    assert costs(EARLY, duration=hours(3), started_at=at("2024-03-31T01:00")) == [1, 6]


def test_a_window_that_ends_in_the_missing_hour_ends_where_the_clock_jumps() -> None:
    assert costs(HALF_PAST, duration=hours(3), started_at=at("2024-03-31T01:00")) == [1, 6]


def test_in_the_night_of_autumn_an_hour_counts_twice() -> None:
    # From 01:00 the wall shows 03:00 after three hours.
    assert costs(EARLY, duration=hours(4), started_at=at("2024-10-27T01:00")) == [3, 3]


def test_a_window_that_ends_in_the_doubled_hour_holds_again_when_the_clock_goes_back() -> None:
    # 01:00-02:30 at 1, 02:30-03:00 at 3, back to 02:00: until 02:30 at 1, then 3.
    found = costs(HALF_PAST, duration=hours(4), started_at=at("2024-10-27T01:00"))
    assert found == [Decimal("1.5"), Decimal("1.5"), Decimal("0.5"), Decimal("4.5")]


def test_a_fixed_offset_knows_no_change_of_the_clocks() -> None:
    assert costs(EARLY, duration=hours(3), started_at=at("2024-03-31T01:00", UTC)) == [2, 3]


# Free minutes and minimum steps


def test_free_minutes_end_where_the_duration_says() -> None:
    prices = tariff(element(charging(0.0, 1), max_duration=1800), element(charging(6.0, 1)))
    assert costs(prices, duration=timedelta(minutes=30)) == [0]
    assert costs(prices, duration=timedelta(minutes=31)) == [0, Decimal("0.1")]


def test_free_minutes_of_parking_count_from_the_start_of_the_charge() -> None:
    prices = tariff(element(parked(0.0, 1), max_duration=3600), element(parked(6.0, 1)))
    assert costs(prices, duration=timedelta(minutes=40), parking=timedelta(minutes=40)) == [0, 2]


def test_free_energy_ends_at_its_kwh_at_any_time() -> None:
    prices = tariff(element(energy(0.0), max_kwh=10), element(energy(0.5)))
    assert costs(prices, energy_kwh=10) == [0]
    assert costs(prices, energy_kwh=30) == [0, 10]
    assert costs(prices, energy_kwh=30, duration=hours(1)) == [0, 10]


def test_the_smallest_amount_is_a_whole_step() -> None:
    prices = tariff(element(charging(6.0, 3600), attrs.evolve(energy(0.5), step_size=1)))
    found = prices.estimate(energy_kwh=0.2, duration=timedelta(minutes=1))
    assert [part.quantity for part in found.parts] == [1, 1]
    assert found.total == Decimal("6.5")


def test_an_amount_of_zero_is_no_step() -> None:
    prices = tariff(element(charging(6.0, 3600), attrs.evolve(energy(0.5), step_size=1)))
    found = prices.estimate(energy_kwh=0, duration=timedelta())
    assert (found.total, found.parts) == (0, ())


def test_a_multiple_of_the_step_is_not_rounded_up_by_inexact_numbers() -> None:
    # 0.1 + 0.2 in binary floating point would be a step more.
    prices = tariff(
        element(attrs.evolve(energy(1.0), step_size=0.1), max_kwh=0.1),
        element(attrs.evolve(energy(1.0), step_size=0.1)),
    )
    assert prices.estimate(energy_kwh=0.3).total == Decimal("0.3")


def test_parking_without_a_price_leaves_the_step_to_the_charging_time() -> None:
    prices = tariff(element(charging(6.0, 600)))
    assert costs(prices, duration=timedelta(minutes=11), parking=hours(1)) == [2]


def test_a_fee_is_paid_once_and_only_where_its_restriction_holds() -> None:
    prices = tariff(element(fee(5.0), min_duration=3600), element(energy(0.0)))
    assert costs(prices, energy_kwh=1, duration=timedelta(minutes=30)) == [0]
    assert costs(prices, energy_kwh=1, duration=hours(3)) == [5, 0]


def test_power_is_energy_by_duration() -> None:
    prices = tariff(element(energy(0.3), max_power=50.0), element(energy(0.6)))
    assert costs(prices, energy_kwh=49, duration=hours(1)) == [Decimal("14.7")]
    assert costs(prices, energy_kwh=50, duration=hours(1)) == [Decimal(30)]


def test_the_zeros_of_the_documented_example_restrict_nothing() -> None:
    prices = tariff(element(energy(0.5), min_current=0, min_power=0, min_duration=0, min_kwh=0))
    assert costs(prices, energy_kwh=10) == [5]


# Flat tariffs


def test_a_flat_tariff_adds_its_three_prices() -> None:
    prices = FlatTariff(start_fee=1, per_minute=0.05, per_kwh=0.3, currency="EUR")
    found = prices.estimate(energy_kwh=20, duration=hours(1), parking=timedelta(minutes=20))
    assert [(part.type.value, part.unit, part.cost) for part in found.parts] == [
        ("FLAT", "charge", 1),
        ("ENERGY", "kWh", 6),
        ("TIME", "min", 4),
    ]
    assert (found.total, found.currency, found.unknown) == (11, "EUR", ())
    assert found.notes == ("per_minute is charged for all the time connected",)
    assert found.if_prices_exclude_vat is None


def test_a_flat_tariff_names_the_price_that_it_lacks() -> None:
    found = FlatTariff(start_fee=1, per_kwh=0.3, currency="EUR").estimate(energy_kwh=20, duration=hours(1))
    assert (found.total, found.known_total) == (None, 7)
    assert found.unknown == ("TIME: the tariff has no per_minute",)


def test_a_price_of_zero_needs_no_amount() -> None:
    found = FlatTariff(start_fee=1, per_minute=0, per_kwh=0.3, currency="EUR").estimate(energy_kwh=20)
    assert found.total == 7


def test_a_price_names_the_argument_that_it_lacks() -> None:
    found = FlatTariff(start_fee=1, per_minute=0.1, per_kwh=0.3, currency="EUR").estimate(energy_kwh=20)
    assert found.unknown == ("TIME: duration is not given",)


# What is not known

LACKING: list[tuple[ElementTariff, dict[str, Any], str]] = [
    (tariff(), {"energy_kwh": 1}, "the tariff has no prices"),
    (tariff(element(attrs.evolve(energy(0.5), price=None))), {"energy_kwh": 1}, "ENERGY: the tariff has no price"),
    (
        tariff(element(attrs.evolve(energy(0.5), step_size=None))),
        {"energy_kwh": 1},
        "ENERGY: the tariff has no step_size",
    ),
    (tariff(element(attrs.evolve(energy(0.5), step_size=-1))), {"energy_kwh": 1}, "ENERGY: a step_size of -1 is none"),
    (tariff(element(charging(1.0, 1))), {"energy_kwh": 1}, "TIME: duration is not given"),
    (tariff(element(energy(1.0))), {"duration": hours(1)}, "ENERGY: energy_kwh is not given"),
    (
        tariff(element(energy(1.0), max_current=32), element(energy(2.0))),
        {"energy_kwh": 1},
        "ENERGY: whether a restriction holds is not known",
    ),
    (
        tariff(element(energy(1.0), start_time="noon"), element(energy(2.0))),
        {"energy_kwh": 1, "duration": hours(1), "started_at": at("2024-06-03T11:00")},
        "ENERGY: whether a restriction holds is not known",
    ),
    (
        tariff(element(energy(1.0), day_of_week=("HOLIDAY",)), element(energy(2.0))),
        {"energy_kwh": 1, "duration": hours(1), "started_at": at("2024-06-03T11:00")},
        "ENERGY: whether a restriction holds is not known",
    ),
    (
        tariff(element(PriceComponent(type=PriceComponentType("SURCHARGE"), price=1, step_size=1))),
        {"energy_kwh": 1},
        "a price component has the unknown type 'SURCHARGE'",
    ),
    (tariff(element(PriceComponent(price=1))), {"energy_kwh": 1}, "a price component has no type"),
]


@pytest.mark.parametrize(("prices", "charge", "reason"), LACKING, ids=[reason for _, _, reason in LACKING])
def test_what_is_not_known_is_named_and_leaves_no_total(
    prices: ElementTariff, charge: dict[str, Any], reason: str
) -> None:
    found = prices.estimate(**charge)
    assert (found.total, found.unknown) == (None, (reason,))
    assert found.if_prices_exclude_vat is found.if_prices_include_vat is None


def test_the_known_parts_are_summed_beside_an_unknown_one() -> None:
    found = tariff(element(fee(1.0), energy(0.5), charging(1.0, 1))).estimate(energy_kwh=10)
    assert (found.total, found.known_total, str(found)) == (None, 6, "at least 6.00 EUR")


def test_an_element_that_is_known_to_hold_hides_the_unknown_ones_after_it() -> None:
    assert costs(tariff(element(energy(1.0)), element(energy(2.0), max_current=32)), energy_kwh=1) == [1]


def test_a_currency_that_is_missing_is_none() -> None:
    found = tariff(element(energy(1.0)), currency=None).estimate(energy_kwh=1)
    assert (found.currency, str(found)) == (None, "1.00 (currency unknown)")


# VAT and limits


def test_both_readings_of_vat_are_given() -> None:
    found = tariff(element(fee(1.0, 25.0), energy(0.5, 25.0))).estimate(energy_kwh=8)
    assert found.if_prices_exclude_vat is not None
    assert found.if_prices_include_vat is not None
    assert (found.if_prices_exclude_vat.excl_vat, found.if_prices_exclude_vat.incl_vat) == (5, Decimal("6.25"))
    assert (found.if_prices_include_vat.excl_vat, found.if_prices_include_vat.incl_vat) == (4, 5)


def test_a_part_without_a_rate_leaves_no_reading_unless_it_is_free() -> None:
    assert tariff(element(fee(1.0), energy(0.5, 25.0))).estimate(energy_kwh=8).if_prices_exclude_vat is None
    assert tariff(element(fee(0.0), energy(0.5, 25.0))).estimate(energy_kwh=8).if_prices_exclude_vat is not None


def test_a_maximum_of_zero_is_no_maximum_and_a_note_says_so() -> None:
    found = tariff(element(energy(0.5)), max_price=0).estimate(energy_kwh=8)
    assert (found.total, found.notes) == (4, ("a max_price of 0 is read as no maximum",))


def test_a_minimum_holds_for_a_charge_of_nothing() -> None:
    found = tariff(element(energy(0.5, 25.0)), min_price=2).estimate(energy_kwh=0)
    assert (found.total, found.limited_by) == (2, "min_price")


def test_a_limit_that_is_missing_limits_nothing() -> None:
    assert tariff(element(energy(0.5)), min_price=None, max_price=None).estimate(energy_kwh=8).total == 4


def test_notes_say_what_does_not_fit_the_tariff() -> None:
    prices = tariff(element(energy(0.5)), end_date_time=at("2024-01-01T00:00"), power_range=PowerRange(min=0, max=22))
    assert prices.estimate(energy_kwh=50, duration=hours(1), started_at=at("2024-06-03T11:00")).notes == (
        "the charge starts outside of the tariff's start_date_time and end_date_time",
        "the power of the charge is outside of the tariff's power_range",
    )


# Arguments

BAD: list[tuple[ElementTariff, dict[str, Any], str]] = [
    (TARIFFS[8], {}, "energy_kwh and duration: at least one of them is needed"),
    (TARIFFS[8], {"energy_kwh": -1}, "energy_kwh must be a number of at least 0, not -1"),
    (TARIFFS[8], {"energy_kwh": float("nan")}, "energy_kwh must be a number of at least 0, not nan"),
    (TARIFFS[8], {"energy_kwh": True}, "energy_kwh must be a number of at least 0, not True"),
    (TARIFFS[8], {"energy_kwh": 1, "duration": 60}, "duration must be a timedelta that is not negative, not 60"),
    (
        TARIFFS[8],
        {"energy_kwh": 1, "duration": timedelta()},
        "duration must be longer than zero where energy is charged",
    ),
    (TARIFFS[8], {"duration": hours(24 * 400)}, "duration and parking must not be longer than 366 days together"),
    (NIGHT, {"duration": hours(1)}, "started_at is needed: prices of this tariff depend on the time or the day"),
    (
        NIGHT,
        {"duration": hours(1), "started_at": datetime(2024, 6, 3)},
        "started_at must be an aware datetime in the station's time zone, not datetime.datetime(2024, 6, 3, 0, 0)",
    ),
    (
        NIGHT,
        {"duration": hours(9), "started_at": datetime(9999, 12, 31, 23, tzinfo=UTC)},
        "started_at must leave room in the calendar for the charge, not 9999-12-31 23:00:00+00:00",
    ),
]


@pytest.mark.parametrize(("prices", "charge", "fault"), BAD, ids=[fault[:40] for _, _, fault in BAD])
def test_an_argument_that_is_wrong_is_one_error_that_says_so(
    prices: ElementTariff, charge: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        prices.estimate(**charge)
    assert caught.value.faults == (fault,)


def test_all_faults_are_in_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        NIGHT.estimate(energy_kwh=-1, duration=hours(-1))
    assert len(caught.value.faults) == 3


# Properties

_EUROS = st.floats(0, 10).map(lambda value: round(value, 4))


@given(price=_EUROS, step=st.integers(1, 3600), seconds=st.integers(0, 200_000))
def test_a_step_bills_at_least_what_was_used_and_less_than_a_step_more(price: float, step: int, seconds: int) -> None:
    found = tariff(element(charging(price or 1.0, step))).estimate(duration=timedelta(seconds=seconds))
    billed = sum((part.quantity or 0 for part in found.parts), Decimal(0)) * 3600
    assert Decimal(seconds) - Decimal("1e-9") <= billed < seconds + step + Decimal("1e-9")


@given(
    begin=st.integers(0, 86_399), minutes=st.integers(1, 3000), first=st.integers(0, 1439), last=st.integers(1, 1439)
)
def test_a_day_window_bills_the_minutes_that_a_walk_over_the_clock_counts(
    begin: int, minutes: int, first: int, last: int
) -> None:
    if first == last:
        last = (last + 1) % 1440 or 1
    start = at("2024-10-26T00:00") + timedelta(seconds=begin - begin % 60)
    prices = tariff(
        element(
            charging(60.0, 1),
            start_time=f"{first // 60:02}:{first % 60:02}",
            end_time=f"{last // 60:02}:{last % 60:02}",
        )
    )
    if first == last:
        return
    expected = 0
    for minute in range(minutes):
        wall = (start.astimezone(UTC) + timedelta(minutes=minute)).astimezone(AMSTERDAM)
        now = wall.hour * 60 + wall.minute
        expected += first <= now < last if first < last else now >= first or now < last
    assert prices.estimate(duration=timedelta(minutes=minutes), started_at=start).known_total == expected


def test_the_decimal_context_of_the_program_changes_nothing() -> None:
    expected = TARIFFS[13].estimate(duration=timedelta(minutes=100, seconds=1))
    with decimal.localcontext() as context:
        context.prec = 2
        context.traps[decimal.Inexact] = True
        assert TARIFFS[13].estimate(duration=timedelta(minutes=100, seconds=1)) == expected
        assert str(expected)


def test_an_estimate_prints_on_one_line() -> None:
    found = TARIFFS[13].estimate(duration=timedelta(minutes=150), parking=timedelta(minutes=42))
    assert repr(found) == "Estimate(11.25 EUR: TIME 7.50, PARKING_TIME 3.75)"
