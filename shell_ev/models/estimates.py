"""What a charge costs by a tariff: the rules of OCPI 2.2.1 for components, restrictions and step sizes, exactly.

Everything here is worked out from the arguments. Amounts are :class:`decimal.Decimal` and not rounded: how a bill is
rounded is a matter of law and contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import ValidationError, shown
from ..export import Exported
from ._costs import Bill, Line, bill
from ._restrictions import names_times, number
from ._segments import Stretch, cut
from .enums import PriceComponentType

if TYPE_CHECKING:
    from .tariffs import ElementTariff, FlatTariff, Tariff, TariffElement

_LONGEST = timedelta(days=366)
_EXACT = Context(prec=28)
_CENT = Decimal("0.01")
_UNITS = {PriceComponentType.ENERGY: "kWh", PriceComponentType.FLAT: "charge"}


@attrs.frozen(kw_only=True, repr=False)
class Phase(Exported):
    """One part of a charge with the same power throughout. A charge is one phase of charging and perhaps one parked."""

    energy_kwh: float | Decimal | None = None
    """Energy charged, in kWh; None is unknown."""
    duration: timedelta | None = None
    """How long it takes; None is unknown."""
    current: float | Decimal | None = None
    """Current in A, the sum of all phases; None is unknown."""
    is_parking: bool = False
    """Whether the vehicle is connected without charging."""


@attrs.frozen(kw_only=True, repr=False)
class EstimatePart(Exported):
    """One line of an estimate: an amount at a price."""

    type: PriceComponentType
    """What is charged for."""
    quantity: Decimal | None
    """Amount billed, step size included, in ``unit``; None is unknown."""
    unit: str
    """``kWh``, ``h``, ``min``, or ``charge`` for a fee that is paid once."""
    price: Decimal | None
    """Price of one ``unit``; None is unknown."""
    cost: Decimal | None
    """``quantity`` times ``price``, as priced; None is unknown."""
    vat: Decimal | None
    """VAT in percent; None is unknown."""
    unknown: str | None = None
    """Why the cost is not known; None where it is."""

    def __repr__(self) -> str:
        cost = "unknown" if self.cost is None else _money(self.cost)
        return f"EstimatePart({self.type.value} {cost})"


@attrs.frozen(kw_only=True, repr=False)
class VatReading(Exported):
    """What a charge costs without and with VAT, under one reading of the prices."""

    excl_vat: Decimal | None
    """Without VAT; None where a limit of the tariff replaced parts of different rates."""
    incl_vat: Decimal | None
    """With VAT; None where a limit of the tariff replaced parts of different rates."""


@attrs.frozen(kw_only=True, repr=False)
class Estimate(Exported):
    """What a charge costs by one tariff. Whether prices include VAT is not documented: both readings are given."""

    currency: str | None
    """ISO 4217 code of every amount; None is unknown."""
    total: Decimal | None
    """Cost as priced, the tariff's minimum and maximum applied; None if a part is not known."""
    known_total: Decimal
    """Sum of the parts that are known, minimum and maximum not applied."""
    parts: tuple[EstimatePart, ...]
    """The breakdown, in the order fee, energy, time, parking time."""
    unknown: tuple[str, ...] = ()
    """What the tariff or the arguments leave open, one line each; empty if ``total`` is known."""
    notes: tuple[str, ...] = ()
    """How the tariff was read where it is not documented, one line each."""
    limited_by: str | None = None
    """``min_price`` or ``max_price`` where that is the total."""
    if_prices_exclude_vat: VatReading | None = None
    """The total if prices exclude VAT; None without a total or where a rate is not known."""
    if_prices_include_vat: VatReading | None = None
    """The total if prices include VAT; None without a total or where a rate is not known."""

    def __str__(self) -> str:
        amount = f"at least {_money(self.known_total)}" if self.total is None else _money(self.total)
        return f"{amount} {self.currency or '(currency unknown)'}"

    def __repr__(self) -> str:
        parts = ", ".join(repr(part)[len("EstimatePart(") : -1] for part in self.parts)
        return f"Estimate({self}: {parts})" if parts else f"Estimate({self})"


def estimate(
    tariff: Tariff,
    *,
    energy_kwh: float | Decimal | None = None,
    duration: timedelta | None = None,
    parking: timedelta | None = None,
    started_at: datetime | None = None,
    current: float | Decimal | None = None,
) -> Estimate:
    """Work out what one charge at constant power costs by a tariff.

    Args:
        tariff: A tariff of either kind.
        energy_kwh: Energy charged, in kWh.
        duration: Time spent charging.
        parking: Time connected after that without charging.
        started_at: Start of the charge: aware, in the station's time zone.
        current: Current in A, the sum of all phases, for tariffs that are restricted by it.

    Returns:
        The cost, its breakdown, and what is not known.

    Raises:
        ValidationError: An argument is not valid, or ``started_at`` is missing where restrictions name times or days.
    """
    faults: list[str] = []
    if energy_kwh is None and duration is None:
        faults.append("energy_kwh and duration: at least one of them is needed")
    phases = [Phase(energy_kwh=energy_kwh, duration=duration, current=current)]
    if parking is not None:
        phases.append(Phase(duration=parking, is_parking=True))
    return estimate_phases(tariff, phases, started_at=started_at, faults=faults)


def estimate_phases(
    tariff: Tariff,
    phases: Sequence[Phase],
    *,
    started_at: datetime | None = None,
    faults: Iterable[str] = (),
) -> Estimate:
    """Work out what a charge of several phases costs, such as one of changing power.

    Args:
        tariff: A tariff of either kind.
        phases: The phases, in order.
        started_at: Start of the charge: aware, in the station's time zone.
        faults: Faults found so far, raised with any others.

    Returns:
        The cost, its breakdown, and what is not known.

    Raises:
        ValidationError: An argument is not valid, or ``started_at`` is missing where restrictions name times or days.
    """
    found = list(faults)
    stretches = [_stretch(phase, found) for phase in phases]
    if sum((phase.duration for phase in phases if isinstance(phase.duration, timedelta)), timedelta()) > _LONGEST:
        found.append(f"duration and parking must not be longer than {_LONGEST.days} days together")
    _check_start(tariff, started_at, found)
    if found:
        raise ValidationError(found)
    either: Any = tariff
    if not hasattr(either, "elements"):
        return _flat(either, stretches)
    elements: ElementTariff = either
    try:
        segments = cut(elements, stretches, started_at)
    except OverflowError:
        raise ValidationError(
            [f"started_at must leave room in the calendar for the charge, not {started_at}"]
        ) from None
    return _result(bill(elements, segments, started_at), tariff.currency)


def _stretch(phase: Phase, faults: list[str]) -> Stretch:
    energy = _amount("energy_kwh", phase.energy_kwh, faults)
    current = _amount("current", phase.current, faults)
    name = "parking" if phase.is_parking else "duration"
    seconds: Fraction | None = None
    if phase.duration is not None:
        if not isinstance(phase.duration, timedelta) or phase.duration < timedelta():  # pyright: ignore[reportUnnecessaryIsInstance]
            faults.append(f"{name} must be a timedelta that is not negative, not {shown(phase.duration)}")
        else:
            seconds = Fraction(phase.duration // timedelta(microseconds=1), 1_000_000)
    if seconds == 0 and energy:
        faults.append("duration must be longer than zero where energy is charged")
    zero = Fraction(0)
    if phase.is_parking:
        return Stretch(energy=zero, seconds=seconds, current=zero, is_parking=True)
    return Stretch(energy=energy, seconds=seconds, current=current, is_parking=False)


def _amount(name: str, value: object, faults: list[str]) -> Fraction | None:
    if value is None:
        return None
    amount = number(value) if isinstance(value, (int, float, Decimal)) else None
    if amount is None or amount < 0:
        faults.append(f"{name} must be a number of at least 0, not {shown(value)}")
        return None
    return amount


def _check_start(tariff: Tariff, started_at: object, faults: list[str]) -> None:
    if started_at is None:
        elements: tuple[TariffElement, ...] = getattr(tariff, "elements", ())
        if any(element.restrictions is not None and names_times(element.restrictions) for element in elements):
            faults.append("started_at is needed: prices of this tariff depend on the time or the day")
    elif not isinstance(started_at, datetime) or started_at.utcoffset() is None:
        faults.append(f"started_at must be an aware datetime in the station's time zone, not {shown(started_at)}")


def _flat(tariff: FlatTariff, stretches: Sequence[Stretch]) -> Estimate:
    energy = _total(stretch.energy for stretch in stretches)
    seconds = _total(stretch.seconds for stretch in stretches)
    minutes = None if seconds is None else seconds / 60
    lines = [
        Line.of(PriceComponentType.FLAT, Fraction(1), number(tariff.start_fee), "start_fee"),
        Line.of(PriceComponentType.ENERGY, energy, number(tariff.per_kwh), "per_kwh"),
        Line.of(PriceComponentType.TIME, minutes, number(tariff.per_minute), "per_minute"),
    ]
    notes = ["per_minute is charged for all the time connected"] if any(s.is_parking for s in stretches) else []
    return _result(Bill(lines=lines, notes=notes), tariff.currency, time_unit="min")


def _total(amounts: Iterable[Fraction | None]) -> Fraction | None:
    total = Fraction(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def _result(billed: Bill, currency: str | None, time_unit: str = "h") -> Estimate:
    lines = billed.lines
    complete = not billed.unknown
    known = sum((line.cost for line in lines if line.cost is not None), Fraction(0))
    total, limited_by = billed.limited(known) if complete else (None, None)
    rates = {line.vat for line in lines if line.cost} or {line.vat for line in lines}
    excluding = including = None
    if total is not None and rates and None not in rates:
        excluding, including = _readings(lines, total, limited_by, {rate for rate in rates if rate is not None})
    return Estimate(
        currency=currency,
        total=_decimal(total),
        known_total=_exact(known),
        parts=tuple(_part(line, time_unit) for line in lines),
        unknown=tuple(billed.unknown),
        notes=tuple(billed.notes),
        limited_by=limited_by,
        if_prices_exclude_vat=excluding,
        if_prices_include_vat=including,
    )


def _readings(
    lines: Sequence[Line], total: Fraction, limited_by: str | None, rates: set[Fraction]
) -> tuple[VatReading, VatReading]:
    with_vat: Fraction | None
    without: Fraction | None
    if limited_by is None:
        paid = [(line.cost or Fraction(0), 1 + (line.vat or Fraction(0)) / 100) for line in lines]
        with_vat = sum((cost * factor for cost, factor in paid), Fraction(0))
        without = sum((cost / factor for cost, factor in paid), Fraction(0))
    elif len(rates) == 1:
        factor = 1 + next(iter(rates)) / 100
        with_vat, without = total * factor, total / factor
    else:
        # A limit has no rate of its own: which part of it is taxed at which rate is not said.
        with_vat = without = None
    return (
        VatReading(excl_vat=_decimal(total), incl_vat=_decimal(with_vat)),
        VatReading(excl_vat=_decimal(without), incl_vat=_decimal(total)),
    )


def _part(line: Line, time_unit: str) -> EstimatePart:
    return EstimatePart(
        type=line.type,
        quantity=_decimal(line.quantity),
        unit=_UNITS.get(line.type, time_unit),
        price=_decimal(line.price),
        cost=_decimal(line.cost),
        vat=_decimal(line.vat),
        unknown=line.unknown,
    )


def _decimal(value: Fraction | None) -> Decimal | None:
    return None if value is None else _exact(value)


def _exact(value: Fraction) -> Decimal:
    # With a context of its own: the program's may have another precision, or traps.
    return _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_CENT, ROUND_HALF_UP, _EXACT)}" if amount.copy_abs() < 10**20 else f"{amount:.2e}"
