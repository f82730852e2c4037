"""The control API under /_sandbox/v1: a table of routes, and JSON in and out.

`access.py` decides who may call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import attrs

from shell_ev.sandbox.access import Refused
from shell_ev.sandbox.charges import SESSION_MESSAGES
from shell_ev.sandbox.control_values import (
    Body,
    a_list,
    a_number,
    a_text,
    an_integer,
    an_object,
    known,
    only,
    whole_argument,
)
from shell_ev.sandbox.controls import Controls
from shell_ev.sandbox.events import Reader
from shell_ev.sandbox.fault_codec import KINDS, read_fault
from shell_ev.sandbox.faults import ANY_OPERATION, OPERATIONS
from shell_ev.sandbox.filters import EVSE_STATUSES
from shell_ev.sandbox.recording import RecordedRequest
from shell_ev.sandbox.records import Dialect
from shell_ev.sandbox.views import (
    charge_document,
    request_detail,
    request_summary,
    station_detail,
    station_summary,
    waiting_document,
)

ROOT = "/_sandbox/v1"
VERSION = 1
_LIMIT = 1_000


@attrs.frozen
class ControlCall:
    """One request to the control API, past every check of access."""

    method: str
    path: str
    """Below `ROOT`, still percent-encoded."""
    query: dict[str, str]
    body: Body


Handler = Callable[["Control", ControlCall, str], Any]


class Control:
    """Answers calls. What it returns is JSON, None stands for 204."""

    def __init__(self, controls: Controls, describe: Callable[[], Body]) -> None:
        """Serve these acts; `describe` returns what a client needs in order to use the sandbox."""
        self._controls = controls
        self._service = controls.service
        self._describe = describe

    def reader(self) -> Reader:
        """Return a new reader of the stream of events."""
        return Reader(self._service, self._whole, self._secrets)

    def answer(self, call: ControlCall) -> Any:
        """Answer a call.

        Raises:
            Refused: The call cannot be answered; it says why.
        """
        allowed: list[str] = []
        for method, pattern, handler in _ROUTES:
            found = pattern.fullmatch(call.path)
            if found is None:
                continue
            if method != call.method:
                allowed.append(method)
                continue
            try:
                return handler(self, call, unquote(found.group(1)) if pattern.groups else "")
            except KeyError as error:
                raise Refused(404, "not-found", f"There is no {error.args[0]}.") from None
            except (ValueError, TypeError) as error:
                raise Refused(400, "bad-request", f"{error}.".replace("..", ".")) from None
            except RuntimeError as error:
                raise Refused(409, "not-possible", f"{error}.") from None
        if allowed:
            raise Refused(405, "method-not-allowed", f"{call.path or '/'} takes {', '.join(sorted(allowed))}.")
        raise Refused(404, "not-found", f"There is no {ROOT}{call.path}. See the page on the control API.")

    def _secrets(self) -> tuple[str, ...]:
        tokens = self._service.tokens
        return (tokens.client_secret, *tokens.known()[-100:])

    def _whole(self, topic: str) -> Any:
        if topic == "faults":
            return [waiting_document(waiting) for waiting in self._service.faults.waiting()]
        if topic == "tokens":
            return {"issued": self._service.tokens.issued, "live": self._service.tokens.live}
        if topic == "clock":
            clock = self._controls.clock
            return {"now": clock(), "speed": clock.speed, "paused": clock.paused}
        return self._controls.settings()

    def about(self, call: ControlCall, _: str) -> Any:
        """GET /: what a client needs in order to use the sandbox."""
        return {
            "version": VERSION,
            **self._describe(),
            "seed": self._service.seed,
            "operations": [*OPERATIONS, ANY_OPERATION],
            "dialects": [dialect.value for dialect in Dialect],
            "evse_statuses": sorted(EVSE_STATUSES),
            "session_codes": dict(SESSION_MESSAGES),
            "fault_kinds": {name: {"says": says, "parameters": known} for name, (says, known) in KINDS.items()},
            "clock": self._whole("clock"),
            "tokens": self._whole("tokens"),
            "settings": self._whole("settings"),
        }

    def stations(self, call: ControlCall, _: str) -> Any:
        """GET /stations: stations with their status."""
        wanted = call.query.get("q", "").casefold()
        locations = self._service.locations
        found = [station for station in locations.network.stations if not wanted or wanted in _words(station)]
        first = whole_argument(call.query, "offset", 0)
        some = found[first : first + whole_argument(call.query, "limit", 100_000)]
        return {"total": len(found), "stations": [station_summary(s, locations.live(s)) for s in some]}

    def station(self, call: ControlCall, uid: str) -> Any:
        """GET /stations/{uid}: one station with its connectors."""
        locations = self._service.locations
        place = (
            locations.network.by_number.get(int(uid)) if uid.isascii() and uid.isdecimal() and len(uid) < 12 else None
        )
        if place is None:
            raise KeyError(f"station {uid!r}")
        station = locations.network.stations[place]
        return station_detail(station, locations.live(station), locations.find_evse)

    def evse(self, call: ControlCall, evse_id: str) -> Any:
        """GET /evses/{evse_id}: the status, and the session that holds the EVSE."""
        known("EVSE", evse_id, self._controls.evse_status)
        running = self._service.book.on_evse(evse_id)
        status = self._controls.evse_status(evse_id)
        return {"evse_id": evse_id, "status": status, "charge": running and running.session_id}

    def set_status(self, call: ControlCall, evse_id: str) -> Any:
        """PUT /evses/{evse_id}/status: set the status of an EVSE."""
        known("EVSE", evse_id, self._controls.evse_status)
        only(call.body, "status", required=("status",))
        status = call.body["status"]
        self._controls.set_evse_status(evse_id, None if status is None else a_text(status, "status"))
        return self.evse(call, evse_id)

    def fail_stops(self, call: ControlCall, evse_id: str) -> Any:
        """PUT /evses/{evse_id}/failing-stops: let the next stops there fail."""
        known("EVSE", evse_id, self._controls.evse_status)
        only(call.body, "times", required=("times",))
        self._controls.fail_stops(evse_id, an_integer(call.body["times"], "times", -1))

    def charges(self, call: ControlCall, _: str) -> Any:
        """GET /charges: the charges, oldest first."""
        charges = self._service.charges
        if call.query.get("open") == "true":
            charges = [charge for charge in charges if not charge.is_over]
        some = charges[max(0, len(charges) - whole_argument(call.query, "limit", _LIMIT)) :]
        return {"now": self._service.now(), "total": len(charges), "charges": [charge_document(c) for c in some]}

    def charge(self, call: ControlCall, session_id: str) -> Any:
        """GET /charges/{id}: one charge with its history."""
        return charge_document(known("charge", session_id, self._controls.charge))

    def end(self, call: ControlCall, session_id: str) -> Any:
        """POST /charges/{id}/end: end a charge."""
        known("charge", session_id, self._controls.end_charge)
        return self.charge(call, session_id)

    def fail(self, call: ControlCall, session_id: str) -> Any:
        """POST /charges/{id}/fail: fail its start, or its next stop."""
        only(call.body, "code")
        code = a_text(call.body.get("code", "InternalError"), "code")
        known("charge", session_id, lambda found: self._controls.fail_charge(found, code))
        return self.charge(call, session_id)

    def forget(self, call: ControlCall, session_id: str) -> Any:
        """DELETE /charges/{id}: forget a charge."""
        known("charge", session_id, self._controls.forget_charge)

    def requests(self, call: ControlCall, _: str) -> Any:
        """GET /requests: the log, oldest first."""
        after, before = whole_argument(call.query, "after", 0), whole_argument(call.query, "before", 1 << 62)
        limit = whole_argument(call.query, "limit", _LIMIT)
        operation, status = call.query.get("operation"), call.query.get("status")
        found: list[RecordedRequest] = []
        for request in reversed(list(self._service.requests)):
            if request.number <= after or len(found) >= limit:
                break
            if request.number >= before or (operation and request.operation != operation):
                continue
            if not status or str(request.status) == status:
                found.append(request)
        view = request_detail if call.query.get("detail") == "true" else request_summary
        secrets = self._secrets()
        return {"recorded": self._service.recorded, "requests": [view(request, secrets) for request in reversed(found)]}

    def request(self, call: ControlCall, number: str) -> Any:
        """GET /requests/{number}: one request with headers and bodies."""
        for request in reversed(list(self._service.requests)):
            if str(request.number) == number:
                return request_detail(request, self._secrets())
        raise KeyError(f"request {number!r} in the log, which holds the last 10,000")

    def clear_requests(self, call: ControlCall, _: str) -> Any:
        """DELETE /requests: empty the log."""
        self._controls.clear_requests()

    def faults(self, call: ControlCall, _: str) -> Any:
        """GET /faults: the faults that wait."""
        return {"waiting": self._whole("faults")}

    def add_fault(self, call: ControlCall, _: str) -> Any:
        """POST /faults: add a fault to the next calls of an operation."""
        body = call.body
        only(body, "operation", "fault", "times", "after", "always", required=("operation", "fault"))
        fault = read_fault(an_object(body["fault"], "fault"))
        if body.get("always", False) is True:
            self._service.faults.always(body["operation"], fault)
        else:
            times, after = an_integer(body.get("times", 1), "times", 1), an_integer(body.get("after", 0), "after", 0)
            self._service.faults.add(body["operation"], fault, times=times, after=after)
        return self.faults(call, _)

    def add_chaos(self, call: ControlCall, _: str) -> Any:
        """POST /faults/chaos: let calls fail at random."""
        body = call.body
        only(body, "seed", "probability", "faults", "operations", required=("seed", "probability"))
        faults = [read_fault(an_object(fault, "a fault")) for fault in a_list(body.get("faults", []), "faults")]
        probability = a_number(body["probability"], "probability")
        names = [a_text(name, "an operation") for name in a_list(body.get("operations", [ANY_OPERATION]), "operations")]
        self._service.faults.chaos(an_integer(body["seed"], "seed"), probability, faults, names)
        return self.faults(call, _)

    def clear_faults(self, call: ControlCall, _: str) -> Any:
        """DELETE /faults: remove the faults that wait."""
        self._service.faults.clear(call.query.get("operation"))
        return self.faults(call, _)

    def tokens(self, call: ControlCall, _: str) -> Any:
        """GET /tokens: how many were issued, and how many are valid."""
        return self._whole("tokens")

    def revoke_tokens(self, call: ControlCall, _: str) -> Any:
        """DELETE /tokens: revoke all of them."""
        self._controls.revoke_tokens()
        return self._whole("tokens")

    def clock(self, call: ControlCall, _: str) -> Any:
        """GET /clock: time, speed, and whether it is paused."""
        return self._whole("clock")

    def set_clock(self, call: ControlCall, _: str) -> Any:
        """PATCH /clock: set speed or paused."""
        only(call.body, "speed", "paused")
        paused = call.body.get("paused")
        if paused is not None and not isinstance(paused, bool):
            raise ValueError("paused must be true or false")
        if "speed" in call.body:
            self._controls.clock.speed = a_number(call.body["speed"], "speed")
        if paused is not None:
            (self._controls.clock.pause if paused else self._controls.clock.resume)()
        return self._whole("clock")

    def step(self, call: ControlCall, _: str) -> Any:
        """POST /clock/step: move the time forward."""
        only(call.body, "seconds", required=("seconds",))
        self._controls.clock.step(a_number(call.body["seconds"], "seconds"))
        return self._whole("clock")

    def settings(self, call: ControlCall, _: str) -> Any:
        """GET /settings: delays and options."""
        return self._whole("settings")

    def set_settings(self, call: ControlCall, _: str) -> Any:
        """PATCH /settings: set some of them; all are checked first."""
        for name, value in call.body.items():
            self._controls.check(name, value)
        for name, value in call.body.items():
            self._controls.set(name, value)
        return self._whole("settings")

    def reset(self, call: ControlCall, _: str) -> Any:
        """POST /reset: begin again from the seed."""
        self._controls.reset()


def _routes() -> Iterator[tuple[str, re.Pattern[str], Handler]]:
    for method, path, handler in (
        ("GET", "/?", Control.about),
        ("GET", "/stations", Control.stations),
        ("GET", "/stations/([^/]+)", Control.station),
        ("GET", "/evses/([^/]+)", Control.evse),
        ("PUT", "/evses/([^/]+)/status", Control.set_status),
        ("PUT", "/evses/([^/]+)/failing-stops", Control.fail_stops),
        ("GET", "/charges", Control.charges),
        ("GET", "/charges/([^/]+)", Control.charge),
        ("POST", "/charges/([^/]+)/end", Control.end),
        ("POST", "/charges/([^/]+)/fail", Control.fail),
        ("DELETE", "/charges/([^/]+)", Control.forget),
        ("GET", "/requests", Control.requests),
        ("GET", "/requests/([^/]+)", Control.request),
        ("DELETE", "/requests", Control.clear_requests),
        ("GET", "/faults", Control.faults),
        ("POST", "/faults", Control.add_fault),
        ("POST", "/faults/chaos", Control.add_chaos),
        ("DELETE", "/faults", Control.clear_faults),
        ("GET", "/tokens", Control.tokens),
        ("DELETE", "/tokens", Control.revoke_tokens),
        ("GET", "/clock", Control.clock),
        ("PATCH", "/clock", Control.set_clock),
        ("POST", "/clock/step", Control.step),
        ("GET", "/settings", Control.settings),
        ("PATCH", "/settings", Control.set_settings),
        ("POST", "/reset", Control.reset),
    ):
        yield method, re.compile(path), handler


_ROUTES = tuple(_routes())


def _words(station: Any) -> str:
    parts = (station.number, station.operator_name, station.street, station.city, station.postal_code)
    return " ".join((*map(str, parts), *(evse.evse_id for evse in station.evses))).casefold()
