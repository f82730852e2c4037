"""Stations, charges, requests and faults as the JSON of the control API, and back from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shell_ev.sandbox.charges import Charge, SessionFailure, StopAttempt
from shell_ev.sandbox.fault_codec import fault_document, read_fault
from shell_ev.sandbox.faults import WaitingFault
from shell_ev.sandbox.location_wire import Live, station_status
from shell_ev.sandbox.masking import masked_headers, masked_text, without
from shell_ev.sandbox.recording import RecordedRequest
from shell_ev.sandbox.records import Dialect, Ending
from shell_ev.sandbox.stations import Evse, Station

Document = dict[str, Any]


def station_summary(station: Station, live: Live) -> Document:
    """Describe a station as the map needs it."""
    return {
        "uid": str(station.number),
        "latitude": station.latitude,
        "longitude": station.longitude,
        "operator": station.operator_name,
        "street": station.street,
        "city": station.city,
        "country": station.country,
        "status": station_status(station, live),
        "max_power": station.max_power,
        "evses": [{"evse_id": evse.evse_id, "status": live.status(evse)} for evse in station.evses],
    }


def station_detail(station: Station, live: Live, set_evse: Callable[[str], Evse | None]) -> Document:
    """Describe a station with its connectors."""
    summary = station_summary(station, live)
    summary |= {
        "external_id": station.external_id,
        "postal_code": station.postal_code,
        "accessibility": station.accessibility,
        "remark": station.remark or station.comment,
        "evses": [_evse(set_evse(evse.evse_id) or evse, evse, live) for evse in station.evses],
    }
    return summary


def _evse(current: Evse, seeded: Evse, live: Live) -> Document:
    return {
        "evse_id": seeded.evse_id,
        "status": live.status(seeded),
        "idle_status": current.status,
        "seed_status": seeded.status,
        "start_fails_with": current.failure_code,
        "connectors": [
            {"type": connector.connector_type, "power_type": connector.power_type, "max_power": connector.max_power}
            for connector in seeded.connectors
        ],
    }


def charge_document(charge: Charge) -> Document:
    """Describe a charge: the records its life follows from, and where it stands at this moment."""
    error = charge.error
    return {
        "session_id": charge.session_id,
        "ema_id": charge.ema_id,
        "evse_id": charge.evse_id,
        "dialect": charge.dialect.value,
        "request_id": charge.request_id,
        "requested_at": charge.requested_at,
        "start_delay": charge.start_delay,
        "failure": charge.failure and {"code": charge.failure.code, "message": charge.failure.message},
        "visible_from": charge.visible_from,
        "stops": [{"at": stop.at, "delay": stop.delay, "fails": stop.fails} for stop in charge.stops],
        "ended_at": charge.ended_at,
        "next_stop_fails": charge.next_stop_fails,
        "state": charge.state.value,
        "error": error and {"code": error.code, "message": error.message},
        "history": [{"state": change.state.value, "at": change.at} for change in charge.history],
        "started_at": charge.started_at,
        "stopped_at": charge.stopped_at,
        "is_over": charge.is_over,
        "next_change_at": charge.next_change_at,
    }


def read_charge(document: Mapping[str, Any], now: float) -> Charge:
    """Build the charge of a document; its clock stands still at `now`."""
    failure = document["failure"]
    charge = Charge(
        session_id=document["session_id"],
        ema_id=document["ema_id"],
        evse_id=document["evse_id"],
        dialect=Dialect(document["dialect"]),
        request_id=document["request_id"],
        requested_at=document["requested_at"],
        start_delay=document["start_delay"],
        failure=failure and SessionFailure(failure["code"], failure["message"]),
        visible_from=document["visible_from"],
        clock=lambda: now,
    )
    charge.stops.extend(StopAttempt(stop["at"], stop["delay"], stop["fails"]) for stop in document["stops"])
    charge.ended_at = document["ended_at"]
    charge.next_stop_fails = document["next_stop_fails"]
    return charge


def request_summary(request: RecordedRequest, secrets: Iterable[str] = ()) -> Document:
    """Describe a request as a line of the log."""
    return {
        "number": request.number,
        "at": request.at,
        "operation": request.operation,
        "dialect": request.dialect and request.dialect.value,
        "method": request.method,
        "path": without(request.path, secrets),
        "request_id": request.request_id,
        "status": request.status,
        "ending": request.ending.value,
        "fault": request.fault and fault_document(request.fault),
        "duration": request.duration,
    }


def request_detail(request: RecordedRequest, secrets: Iterable[str] = ()) -> Document:
    """Describe a request with its query, its headers and both bodies, secrets masked."""
    secrets = tuple(secrets)
    return request_summary(request, secrets) | {
        "query": [[name, without(value, secrets)] for name, value in request.query],
        "headers": [[name, without(value, secrets)] for name, value in masked_headers(request.headers)],
        "body": masked_text(request.body, secrets),
        "reply_body": masked_text(request.reply_body, secrets),
    }


def read_request(document: Mapping[str, Any]) -> RecordedRequest:
    """Build the record of a request from its detail; its secrets stay masked."""
    dialect, fault = document["dialect"], document["fault"]
    return RecordedRequest(
        operation=document["operation"],
        dialect=dialect and Dialect(dialect),
        method=document["method"],
        path=document["path"],
        query=tuple((name, value) for name, value in document["query"]),
        headers=dict(document["headers"]),
        body=document["body"].encode(),
        at=document["at"],
        status=document["status"],
        ending=Ending(document["ending"]),
        number=document["number"],
        request_id=document["request_id"],
        fault=fault and read_fault(fault),
        duration=document["duration"],
        reply_body=document["reply_body"].encode(),
    )


def waiting_document(waiting: WaitingFault) -> Document:
    """Describe a fault that waits for calls."""
    return {
        "operation": waiting.operation,
        "faults": [fault_document(fault) for fault in waiting.faults],
        "times": waiting.times,
        "after": waiting.after,
        "probability": waiting.probability,
    }


def read_waiting(document: Mapping[str, Any]) -> WaitingFault:
    """Build the waiting fault of a document."""
    return WaitingFault(
        document["operation"],
        tuple(read_fault(fault) for fault in document["faults"]),
        document["times"],
        document["after"],
        document["probability"],
    )
