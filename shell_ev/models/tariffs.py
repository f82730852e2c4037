"""Tariffs: the flat one of V1_PASCAL and V1, and the one of V2 with elements and restrictions.

In both, a price of zero is free and None is unknown. For V2 the service documents the units of ``step_size`` alone; the
others are those of OCPI 2.2, which the tariff follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import attrs

from ..export import Exported, first_of
from ._times import moment_of
from .enums import DayOfWeek, PriceComponentType, TariffType, UpdatedBy

if TYPE_CHECKING:
    from decimal import Decimal

    from .estimates import Estimate


class Priced:
    """A tariff by which the cost of a charge can be worked out."""

    __slots__ = ()

    def estimate(
        self,
        *,
        energy_kwh: float | Decimal | None = None,
        duration: timedelta | None = None,
        parking: timedelta | None = None,
        started_at: datetime | None = None,
        current: float | Decimal | None = None,
    ) -> Estimate:
        """Work out what a charge at constant power costs, by the rules of OCPI 2.2.1. Nothing is sent.

        Args:
            energy_kwh: Energy charged, in kWh; it or ``duration`` is needed.
            duration: Time spent charging. Power is energy by duration.
            parking: Time connected after that without charging.
            started_at: Start of the charge: aware, and in the station's time zone, which no model carries.
            current: Current in A, the sum of all phases, for tariffs that are restricted by it.

        Returns:
            The cost as ``Decimal``, its breakdown, and what is not known. Amounts are not rounded.

        Raises:
            ValidationError: An argument is not valid, or ``started_at`` is missing where restrictions name times or
                days.
        """
        from .estimates import estimate

        assert isinstance(self, FlatTariff | ElementTariff)  # noqa: S101 - for type checkers: there is no third
        return estimate(
            self, energy_kwh=energy_kwh, duration=duration, parking=parking, started_at=started_at, current=current
        )


@attrs.frozen(kw_only=True, repr=False)
class FlatTariff(Priced, Exported):
    """The tariff of a V1_PASCAL or V1 connector: three prices that add up."""

    start_fee: float | None = None
    """Price of starting a charge, in ``currency``; zero is free, None is unknown."""
    per_minute: float | None = None
    """Price of a minute connected, in ``currency``; zero is free, None is unknown."""
    per_kwh: float | None = None
    """Price of a kWh, in ``currency``; zero is free, None is unknown."""
    currency: str | None = None
    """ISO 4217 code of the prices, such as ``EUR``."""
    updated: str | None = None
    """Time of the last change: text as sent, in varying formats."""
    updated_by: UpdatedBy | None = None
    """Origin of the tariff."""
    structure: str | None = None
    """The service's name of the structure, as sent."""

    _derived: ClassVar[tuple[str, ...]] = ("updated_at",)

    @property
    def updated_at(self) -> datetime | None:
        """``updated`` as an aware time: ISO 8601, or ``MM/DD/YYYY hh:mm:ss`` as UTC; None if it cannot be read."""
        return moment_of(self.updated)

    def _summary(self) -> Iterable[str]:
        prices = (("start", self.start_fee), ("a minute", self.per_minute), ("a kWh", self.per_kwh))
        yield from (f"{'?' if price is None else f'{price:g}'} {unit}" for unit, price in prices)
        yield self.currency or "currency unknown"

    @property
    def is_free(self) -> bool | None:
        """Whether a charge costs nothing: False if a price is not zero, True if all three are zero, else None."""
        return _all_zero((self.start_fee, self.per_minute, self.per_kwh))


@attrs.frozen(kw_only=True, repr=False)
class PowerRange(Exported):
    """The charging power of a tariff."""

    min: float | None = None
    """Lowest power, in kW (the service documents no unit). Zero is a value."""
    max: float | None = None
    """Highest power, in kW (the service documents no unit)."""


@attrs.frozen(kw_only=True, repr=False)
class TariffAltText(Exported):
    """A tariff in words, for drivers."""

    language: str | None = None
    """ISO 639-1 code of the language, such as ``en``."""
    text: str | None = None
    """The words."""


@attrs.frozen(kw_only=True, repr=False)
class PriceComponent(Exported):
    """One price of a tariff element."""

    type: PriceComponentType | None = None
    """What is charged for: time charging, energy, a flat fee, or time parked without charging."""
    step_size: float | None = None
    """Billing step: seconds for TIME, kWh for ENERGY, 1 for FLAT; not documented for PARKING_TIME."""
    price: float | None = None
    """Price in the tariff's currency, per kWh for ENERGY and per hour for times; zero is free, None is unknown.

    The service documents no unit; this is that of OCPI.
    """
    vat: float | None = None
    """VAT in percent; zero is no VAT, None is unknown. Whether ``price`` includes it is not documented."""


@attrs.frozen(kw_only=True, repr=False)
class TariffRestrictions(Exported):
    """When a tariff element applies. None is no limit; zero is a limit."""

    start_time: str | None = None
    """Start of the day's window, ``HH:MM`` in the location's local time."""
    end_time: str | None = None
    """End of the day's window, ``HH:MM`` in the location's local time."""
    start_date: str | None = None
    """First day, ISO 8601 date as sent, in the location's local time."""
    end_date: str | None = None
    """Day before which it ends (OCPI counts it out), ISO 8601 date as sent, in the location's local time."""
    min_kwh: float | None = None
    """Energy from which the element applies, in kWh."""
    max_kwh: float | None = None
    """Energy up to which the element applies, in kWh."""
    min_current: float | None = None
    """Current from which the element applies, in A."""
    max_current: float | None = None
    """Current up to which the element applies, in A."""
    min_power: float | None = None
    """Power from which the element applies, in kW."""
    max_power: float | None = None
    """Power up to which the element applies, in kW."""
    min_duration: float | None = None
    """Duration from which the element applies, in seconds."""
    max_duration: float | None = None
    """Duration up to which the element applies, in seconds."""
    day_of_week: tuple[DayOfWeek, ...] = ()
    """Days the element applies on; empty is every day."""


@attrs.frozen(kw_only=True, repr=False)
class TariffElement(Exported):
    """Prices that apply under the same restrictions."""

    price_components: tuple[PriceComponent, ...] = ()
    """The prices."""
    restrictions: TariffRestrictions | None = None
    """When they apply; None is always."""


@attrs.frozen(kw_only=True, repr=False)
class ElementTariff(Priced, Exported):
    """A tariff of a V2 connector. Only ``locations.get`` answers with it."""

    tariff_id: str | None = None
    """Id of the tariff."""
    tariff_type: TariffType | None = None
    """Whom the tariff is for."""
    power_range: PowerRange | None = None
    """Charging power of the tariff."""
    internal_id: str | None = None
    """The service's own id of the tariff."""
    operator_id: str | None = None
    """Operator (CPO) that sets the tariff."""
    provider_id: str | None = None
    """Mobility provider (eMSP) of the drivers who pay it."""
    currency: str | None = None
    """ISO 4217 code of every price in the tariff, such as ``EUR``."""
    tariff_alt_text: tuple[TariffAltText, ...] = ()
    """The tariff in words, one entry per language."""
    min_price: float | None = None
    """Least a charge costs, in ``currency``; zero is no minimum, None is unknown."""
    max_price: float | None = None
    """Most a charge costs, in ``currency``; None is unknown. Zero as sent may mean "no maximum"."""
    elements: tuple[TariffElement, ...] = ()
    """The prices and when they apply, in the service's order."""
    start_date_time: datetime | None = None
    """Start of validity; timezone-aware. A time without a zone on the wire is UTC."""
    end_date_time: datetime | None = None
    """End of validity; timezone-aware."""
    last_updated: datetime | None = None
    """Last change of the tariff; timezone-aware."""
    created_by: str | None = None
    """Author of the tariff, as sent."""

    def _summary(self) -> Iterable[str]:
        yield first_of(self.tariff_id)
        components = [component for element in self.elements for component in element.price_components]
        for component in components[:4]:
            price = "?" if component.price is None else f"{component.price:g}"
            yield f"{price} {component.type.value if component.type is not None else '?'}"
        if len(components) > 4:
            yield f"{len(components) - 4} more"
        yield self.currency or "currency unknown"

    @property
    def is_free(self) -> bool | None:
        """Whether a charge costs nothing under any restrictions.

        False if a price or the minimum price is not zero, True if all of them are known and zero, else None. A tariff
        that is free at some times only is not free. VAT and ``max_price`` are not considered.
        """
        prices = [component.price for element in self.elements for component in element.price_components]
        return _all_zero((self.min_price, *(prices or [None])))


Tariff = FlatTariff | ElementTariff
"""Either kind of tariff."""


def _all_zero(prices: tuple[float | None, ...]) -> bool | None:
    if any(price is not None and price != 0 for price in prices):
        return False
    return None if None in prices else True
