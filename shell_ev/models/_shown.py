"""Short texts of locations and EVSEs, for representations and tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .connector_names import connector_name_of
from .enums import EvseStatus

if TYPE_CHECKING:
    from .locations import Connector, Evse


def kw(power: float | None) -> str:
    """A power such as ``150 kW``."""
    return "? kW" if power is None else f"{power:g} kW"


def free_of_total(evses: Iterable[Evse]) -> str:
    """How many EVSEs are free, such as ``2 of 4``; deleted ones are left out, ``?`` is a status that is not known."""
    there = [evse for evse in evses if not evse.is_deleted]
    statuses = [evse.status for evse in there]
    unknown = all(status is None or status == EvseStatus.UNKNOWN for status in statuses)
    free = "?" if unknown else str(statuses.count(EvseStatus.AVAILABLE))
    return f"{free} of {len(there)}" if there else ""


def plugs(connectors: Iterable[Connector]) -> str:
    """The kinds of plugs with the highest power of each in kW, such as ``CCS 150, Type 2 22``; most power first."""
    highest: dict[str, float | None] = {}
    for connector in connectors:
        if not connector.is_deleted:
            name, power = connector_name_of(connector.connector_type), connector.max_power_kw
            best = highest.get(name)
            highest[name] = power if best is None else max(best, power or 0)
    ordered = sorted(highest.items(), key=lambda item: (-(item[1] or 0), item[0]))
    return ", ".join(name if power is None else f"{name} {power:g}" for name, power in ordered)


def all_connectors(evses: Iterable[Evse]) -> list[Connector]:
    """The connectors of EVSEs that are not deleted."""
    return [connector for evse in evses if not evse.is_deleted for connector in evse.connectors]
