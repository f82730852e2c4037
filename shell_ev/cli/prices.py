"""What charging costs, in few words. Knows tariffs; rounds nothing and works nothing out."""

from __future__ import annotations

from ..models.enums import PriceComponentType
from ..models.locations import Location
from ..models.tariffs import ElementTariff, FlatTariff, Tariff

_UNITS = {
    PriceComponentType.ENERGY: "/kWh",
    PriceComponentType.FLAT: "/start",
    PriceComponentType.TIME: "/h",
    PriceComponentType.PARKING_TIME: "/h parked",
}
_MOST = 2
_VARIES = " (varies)"


def price_words(location: Location) -> str:
    """The prices at a location: ``EUR 0.39/kWh + 0.35/start``; empty when the service told none.

    Prices that hold at certain times only are left out, and the words end in ``(varies)``.
    """
    found: dict[str, None] = {}
    for evse in location.evses:
        for connector in evse.connectors:
            if evse.is_deleted or connector.is_deleted:
                continue
            flat = () if connector.tariff is None else (connector.tariff,)
            for tariff in (*flat, *connector.tariffs):
                found[_words(tariff)] = None
    # The same price at all times of one connector and at some of another is one price that varies.
    varies = any(text.endswith(_VARIES) for text in found)
    texts = list(dict.fromkeys(text.removesuffix(_VARIES) for text in found if text))
    more = " ..." if len(texts) > _MOST else ""
    return " or ".join(texts[:_MOST]) + more + (_VARIES if varies else "")


def _words(tariff: Tariff) -> str:
    if tariff.is_free:
        return "free"
    return _flat(tariff) if isinstance(tariff, FlatTariff) else _elements(tariff)


def _flat(tariff: FlatTariff) -> str:
    prices = ((tariff.per_kwh, "/kWh"), (tariff.start_fee, "/start"), (tariff.per_minute, "/min"))
    return _sum(tariff.currency, [(price, unit) for price, unit in prices])


def _elements(tariff: ElementTariff) -> str:
    always: dict[str, tuple[float | None, str]] = {}
    for element in tariff.elements:
        for component in element.price_components:
            kind = component.type or ""
            if element.restrictions is None and kind not in always:
                unit = _UNITS.get(component.type) if component.type is not None else None
                always[kind] = (component.price, unit or f"/{kind or '?'}")
    varies = any(element.restrictions is not None for element in tariff.elements)
    text = _sum(tariff.currency, list(always.values()))
    return f"{text}{_VARIES}" if varies and text else text


def _sum(currency: str | None, prices: list[tuple[float | None, str]]) -> str:
    """The prices that are not zero, added up in words; one that is not known is a question mark."""
    shown = [f"{'?' if price is None else money(price)}{unit}" for price, unit in prices if price != 0]
    return f"{currency or ''} {' + '.join(shown)}".strip() if shown else ""


def money(price: float) -> str:
    """Two decimals at least, and all there are."""
    text = f"{price:.2f}"
    return text if float(text) == price else f"{price:g}"
