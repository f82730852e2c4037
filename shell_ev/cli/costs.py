"""What a charge costs at a location, by its tariffs. Pure: it asks for nothing, prints nothing and knows no command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import attrs

from .. import Connector, ElementTariff, Estimate, Evse, Location, Tariff

_CENT = Decimal("0.01")


@attrs.frozen(kw_only=True)
class Wish:
    """The charge whose cost is asked for."""

    energy_kwh: float | None
    minutes: float | None
    started_at: datetime
    """Aware; its wall clock is that of the station."""
    connector_types: Sequence[str] = ()
    """Connectors that count; empty is every one."""
    min_power_kw: float | None = None

    @property
    def title(self) -> str:
        """The charge in words: ``40 kWh, 45 min``."""
        parts = [(self.energy_kwh, "kWh"), (self.minutes, "min")]
        return ", ".join(f"{value:g} {unit}" for value, unit in parts if value is not None)


@attrs.frozen(kw_only=True)
class Cost:
    """The lowest and the highest cost at a location, among the tariffs of the connectors that count."""

    currency: str | None
    lowest: Decimal
    highest: Decimal
    is_complete: bool
    """Whether every part of the lowest one is known; else it costs at least that."""

    @property
    def words(self) -> str:
        """The cost in words: ``EUR 12.30``, ``EUR 12.30 to 32.80`` or ``at least EUR 3.00``."""
        low, high = _money(self.lowest), _money(self.highest)
        amount = f"{self.currency or '?'} {low}" if low == high else f"{self.currency or '?'} {low} to {high}"
        return amount if self.is_complete else f"at least {self.currency or '?'} {low}"

    def to_json(self) -> dict[str, Any]:
        """The cost as JSON value; amounts are texts, to lose no digit."""
        return {
            "currency": self.currency,
            "lowest": _money(self.lowest),
            "highest": _money(self.highest),
            "is_complete": self.is_complete,
        }


def cost_of(location: Location, wish: Wish) -> Cost | None:
    """What the charge costs at a location; None if no connector that counts has a tariff.

    Where tariffs are in several currencies, the first one counts.
    """
    estimates = list(_estimates(location, wish))
    if not estimates:
        return None
    currency = estimates[0].currency
    same = [estimate for estimate in estimates if estimate.currency == currency]
    complete = [estimate.total for estimate in same if estimate.total is not None]
    amounts = complete or [estimate.known_total for estimate in same]
    return Cost(currency=currency, lowest=min(amounts), highest=max(amounts), is_complete=bool(complete))


def _estimates(location: Location, wish: Wish) -> Iterator[Estimate]:
    duration = None if wish.minutes is None else timedelta(minutes=wish.minutes)
    for evse in location.evses:
        for connector in () if evse.is_deleted else evse.connectors:
            if connector.is_deleted or not _counts(connector, wish):
                continue
            for tariff in _tariffs(connector, wish.started_at):
                yield tariff.estimate(energy_kwh=wish.energy_kwh, duration=duration, started_at=wish.started_at)


def _counts(connector: Connector, wish: Wish) -> bool:
    alone = Evse(connectors=(connector,))
    return any(alone.has_connector(kind, wish.min_power_kw) for kind in (wish.connector_types or (None,)))


def _tariffs(connector: Connector, at: datetime) -> Iterator[Tariff]:
    if connector.tariff is not None:
        yield connector.tariff
    for tariff in connector.tariffs:
        if _is_valid(tariff, at):
            yield tariff


def _is_valid(tariff: ElementTariff, at: datetime) -> bool:
    begins, ends = tariff.start_date_time, tariff.end_date_time
    return (begins is None or begins <= at) and (ends is None or at < ends)


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_CENT, ROUND_HALF_UP)}"
