"""Tables for notebooks: locations, EVSEs and sessions as HTML. Every text of the service is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from ..errors import one_line
from ._shown import all_connectors, free_of_total, plugs
from .charging import ChargeSession
from .locations import Evse, Location

#: A longer table is cut: a notebook keeps what it shows.
LONGEST_TABLE = 100

_LOCATION = ("uid", "operator", "address", "city", "free", "plugs", "max. kW")
_EVSE = ("EVSE id", "status", "plugs", "max. kW", "reference")
_SESSION = ("session id", "state", "EVSE id", "started", "stopped", "error")


def table_of(items: Sequence[object]) -> str | None:
    """Items as an HTML table; None where they are not all locations, all EVSEs or all sessions, or where none is."""
    if not items:
        return None
    kinds = {type(item) for item in items}
    if kinds == {Location}:
        return _table(_LOCATION, (_of_location(item) for item in items if isinstance(item, Location)), len(items))
    if kinds == {Evse}:
        return _table(_EVSE, (_of_evse(item) for item in items if isinstance(item, Evse)), len(items))
    if kinds == {ChargeSession}:
        return _table(_SESSION, (_of_session(item) for item in items if isinstance(item, ChargeSession)), len(items))
    return None


def location_page(location: Location) -> str:
    """One location as HTML: its own row, and a table of its EVSEs."""
    evses = table_of(tuple(evse for evse in location.evses if not evse.is_deleted))
    return (table_of((location,)) or "") + (evses or "")


def with_caption(caption: str, body: str) -> str:
    """A paragraph above a table."""
    return f"<p>{escape(one_line(caption))}</p>{body}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> str:
    lines = ["<table>", "<thead><tr>", *(f"<th>{escape(head)}</th>" for head in heads), "</tr></thead>", "<tbody>"]
    for number, row in enumerate(rows):
        if number == LONGEST_TABLE:
            break
        lines += ["<tr>", *(f"<td>{escape(one_line(cell))}</td>" for cell in row), "</tr>"]
    lines += ["</tbody>", "</table>"]
    if count > LONGEST_TABLE:
        lines.append(f"<p>{count - LONGEST_TABLE} more</p>")
    return "".join(lines)


def _of_location(location: Location) -> tuple[str, ...]:
    address = location.address
    return (
        location.uid or "",
        location.operator_name or location.operator_id or "",
        (address.street_and_number if address is not None else None) or "",
        (address.city if address is not None else None) or "",
        free_of_total(location.evses),
        plugs(all_connectors(location.evses)),
        _kw(location.max_power_kw),
    )


def _of_evse(evse: Evse) -> tuple[str, ...]:
    status = evse.status.value if evse.status is not None else ""
    return evse.evse_id or "", status, plugs(evse.connectors), _kw(evse.max_power_kw), evse.physical_reference or ""


def _of_session(session: ChargeSession) -> tuple[str, ...]:
    error = session.error
    return (
        session.id or "",
        session.state.value if session.state is not None else "",
        session.evse_id or "",
        _moment(session.started_at),
        _moment(session.stopped_at),
        ": ".join(filter(None, (error.code, error.message))) if error is not None else "",
    )


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(sep=" ", timespec="seconds")


def _kw(power: float | None) -> str:
    return "" if power is None else f"{power:g}"
