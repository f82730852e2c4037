"""The words of failures, of the service and of gateways before it, and the spelling of V1_PASCAL."""

from __future__ import annotations

import json
from typing import Any

from .faults import Envelope, Fault

_CODES = {400: "E0001", 401: "E0003", 404: "E0038", 429: "E0009", 500: "E0005", 503: "E0014"}
_PASCAL = {
    "requestId": "RequestId",
    "status": "Status",
    "data": "Data",
    "errors": "Errors",
    "sessionId": "SessionId",
    "id": "Id",
    "userId": "UserId",
    "emaId": "EmaId",
    "evseId": "EvseId",
    "startedAt": "StartedAt",
    "stoppedAt": "StoppedAt",
    "code": "Code",
    "message": "Title",
    "description": "Detail",
}


def failure(fault: Fault, request_id: str | None, charging: bool) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer that is a failure."""
    status = fault.status or 500
    if fault.envelope is Envelope.HTML:
        return status, "text/html", b"<html><body><h1>Not here</h1></body></html>"
    if fault.envelope is Envelope.EMPTY:
        return status, "text/plain", b""
    if fault.envelope is Envelope.GATEWAY:
        return status, "application/json", b'{"message":"no Route matched with those values"}'
    if not charging:
        return status, "application/json", b'{"error":"invalid_client"}' if status in (400, 401) else b"{}"
    echoed = request_id if fault.request_id is None else fault.request_id
    envelope: dict[str, Any] = {"requestId": echoed} if echoed else {}
    error = {"code": _CODES.get(status, "E0002"), "message": f"status {status}", "description": "as scripted"}
    return status, "application/json", json.dumps(envelope | {"status": "FAILED", "errors": [error]}).encode()


def pascal(value: Any, operation: str) -> Any:
    """An envelope as V1_PASCAL spells it: PascalCase, the state as plain text, no lastUpdated."""
    if isinstance(value, list):
        return [pascal(item, operation) for item in value]
    if not isinstance(value, dict):
        return value
    spelled: dict[str, Any] = {}
    for name, item in value.items():
        if name in ("sessionState", "SessionState"):
            spelled["SessionState"] = str(item["status"]).lower()
            spelled["SessionCode"] = item.get("error", {}).get("code")
        elif name != "lastUpdated":
            spelled[_PASCAL.get(name, name)] = pascal(item, operation)
    return spelled
