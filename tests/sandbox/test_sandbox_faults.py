"""Faults: who gets which, and each one as a client sees it on a real socket."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from shell_ev.sandbox import Dialect, Ending, Fault, Faults, Sandbox, Service

NOT_ANSWERED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError)


def statuses(faults: Faults, operation: str, calls: int) -> list[int | None]:
    taken = [faults.take(operation) for _ in range(calls)]
    return [None if fault is None else fault.status_code for fault in taken]


def test_queues_work_in_order() -> None:
    faults = Faults()
    faults.add("charging.start", Fault.status(500), times=2)
    faults.add("charging.start", Fault.status(503), after=1)
    assert faults.pending("charging.start") == 3
    assert statuses(faults, "charging.stop", 1) == [None]
    assert statuses(faults, "charging.start", 5) == [500, 500, None, 503, None]
    assert faults.pending("charging.start") == 0


def test_any_operation_does_not_mean_the_token() -> None:
    faults = Faults()
    faults.add("*", Fault.status(500), times=2)
    faults.add("charging.stop", Fault.status(503))
    assert statuses(faults, "token", 1) == [None]
    assert statuses(faults, "charging.stop", 2) == [503, 500]
    assert statuses(faults, "locations.list", 2) == [500, None]


def test_standing_faults_stay_until_they_are_cleared() -> None:
    faults = Faults()
    faults.always("token", Fault.status(400))
    faults.always("*", Fault.status(502))
    faults.add("token", Fault.status(401))
    assert statuses(faults, "token", 3) == [401, 400, 400]
    assert statuses(faults, "locations.get", 2) == [502, 502]
    faults.clear("*")
    assert statuses(faults, "locations.get", 1) == [None]
    assert statuses(faults, "token", 1) == [400]
    faults.clear()
    assert statuses(faults, "token", 1) == [None]


def test_chaos_follows_from_its_seed() -> None:
    def course(seed: int, probability: float = 0.5) -> list[int | None]:
        faults = Faults()
        faults.chaos(seed, probability, (Fault.status(500), Fault.status(503)), ("charging.start",))
        assert statuses(faults, "charging.stop", 5) == [None] * 5
        return statuses(faults, "charging.start", 200)

    assert course(1) == course(1)
    assert course(1) != course(2)
    assert set(course(1)) == {None, 500, 503}
    assert set(course(1, 0.0)) == {None}
    assert None not in course(1, 1.0)


@pytest.mark.parametrize("operation", ["charging", "", "start", "TOKEN"])
def test_an_unknown_operation_is_an_error(operation: str) -> None:
    for use in (
        lambda: Faults().add(operation, Fault.drop()),
        lambda: Faults().always(operation, Fault.drop()),
        lambda: Faults().pending(operation),
        lambda: Faults().clear(operation),
        lambda: Faults().chaos(1, 0.5, operations=(operation,)),
    ):
        with pytest.raises(ValueError, match="unknown operation"):
            use()
    with pytest.raises(ValueError, match="times"):
        Faults().add("token", Fault.drop(), times=0)
    with pytest.raises(ValueError, match="probability"):
        Faults().chaos(1, 1.5)


DOCUMENTED = {
    Dialect.V1_PASCAL: {400: "E0001", 401: "E0006", 404: "E0005", 429: "E0008", 500: "E0002", 503: "E0012"},
    Dialect.V1: {400: "E0001", 401: "E0003", 404: "E0038", 429: "E0009", 500: "E0005", 503: "E0014", 502: "E0502"},
    Dialect.V2: {400: "E0001", 401: "E0003", 404: "E0038", 429: "E0009", 500: "E0005", 503: "E0014", 504: "E0504"},
}  # fmt: skip


@pytest.mark.parametrize("dialect", list(Dialect))
def test_documented_error_bodies(service: Service, caller: Any, dialect: Dialect) -> None:
    for status, code in DOCUMENTED[dialect].items():
        service.faults.add("charging.active", Fault.status(status, headers={"X-Trace": "7"}))
        reply = caller.ask(caller.active_call(dialect))
        document = json.loads(reply.body)
        assert reply.status == status
        assert dict(reply.headers)["X-Trace"] == "7"
        if dialect is Dialect.V1_PASCAL:
            assert (document["RequestId"], document["Errors"][0]["Code"]) == (caller.request_id, code)
            continue
        assert (document["requestId"], document["errors"][0]["code"]) == (caller.request_id, code)
        inside, beside = "details" in document["errors"][0], "details" in document
        assert (inside, beside) == ((False, True) if status == 500 else (True, False))


def test_pascal_locations_have_flat_errors(service: Service, caller: Any) -> None:
    service.faults.add("locations.list", Fault.status(401))
    assert set(json.loads(caller.get("/locations/v1/ev").body)) == {"code", "message"}


def test_a_fault_of_the_token_endpoint_has_its_own_body(service: Service, caller: Any) -> None:
    service.faults.add("token", Fault.status(503))
    service.faults.add("token", Fault.token_revoked())
    with pytest.raises(AssertionError):
        caller.fetch_token()
    with pytest.raises(AssertionError):
        caller.fetch_token()
    assert caller.fetch_token()
    assert [request.status for request in list(service.requests)[1:]] == [503, 401, 200]


def test_fault_headers_replace_those_of_the_reply(service: Service, caller: Any) -> None:
    fault = Fault.status(500, headers={"content-type": "text/plain"}, body=b"oops")
    service.faults.add("charging.active", fault)
    reply = caller.ask(caller.active_call(Dialect.V2))
    assert (reply.headers, reply.body) == ((("content-type", "text/plain"),), b"oops")


def test_a_success_that_says_failed(service: Service, caller: Any) -> None:
    service.faults.add("charging.start", Fault.status(200))
    reply = caller.ask(caller.start_call(Dialect.V2))
    assert (reply.status, json.loads(reply.body)["status"]) == (200, "FAILED")


@pytest.mark.parametrize("after_effect", [True, False])
@pytest.mark.parametrize("make", [Fault.drop, Fault.reset, Fault.truncate, Fault.hang])
def test_whether_a_lost_start_and_stop_took_effect(
    service: Service, caller: Any, clock: Any, make: Any, after_effect: bool
) -> None:
    service.faults.add("charging.start", make(after_effect=after_effect))
    reply = caller.ask(caller.start_call(Dialect.V2))
    assert reply.ending is not Ending.NORMAL
    assert len(service.charges) == after_effect
    session_id = service.charges[0].session_id if after_effect else caller.start()
    clock.advance(20)
    service.faults.add("charging.stop", make(after_effect=after_effect))
    caller.ask(caller.stop_call(Dialect.V2, session_id))
    clock.advance(10)
    assert service.charges[0].is_running is not after_effect


def test_statuses_and_garbage_after_the_effect(service: Service, caller: Any) -> None:
    service.faults.add("charging.start", Fault.status(500))
    service.faults.add("charging.start", Fault.status(500, after_effect=True))
    service.faults.add("charging.start", Fault.garbage(after_effect=False))
    service.faults.add("charging.start", Fault.garbage())
    counts = []
    for _ in range(4):
        caller.ask(caller.start_call(Dialect.V2))
        counts.append(len(service.charges))
    assert counts == [0, 1, 1, 2]


async def test_status_on_the_wire(wire: Any, sandbox: Sandbox, caller: Any) -> None:
    sandbox.faults.add("charging.active", Fault.rate_limit(3))
    sandbox.faults.add("charging.active", Fault.rate_limit("Wed, 21 Oct 2026 07:28:00 GMT"))
    sandbox.faults.add("charging.active", Fault.rate_limit(None))
    sandbox.faults.add("charging.active", Fault.unavailable())
    sandbox.faults.add("charging.active", Fault.unavailable(0.5))
    seen = []
    for _ in range(6):
        status, _, headers = await wire.ask(caller.active_call(Dialect.V2))
        seen.append((status, headers.get("Retry-After")))
    assert seen == [
        (429, "3"),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT"),
        (429, None),
        (503, None),
        (503, "0.5"),
        (200, None),
    ]


async def test_garbage_on_the_wire(wire: Any, sandbox: Sandbox, caller: Any) -> None:
    sandbox.faults.add("charging.active", Fault.garbage())
    sandbox.faults.add("charging.active", Fault.garbage(b"\x00\xff", status=502, content_type="application/json"))
    status, body, headers = await wire.ask(caller.active_call(Dialect.V2))
    assert (status, headers["Content-Type"]) == (200, "text/html")
    assert body.startswith(b"<html>")
    status, body, headers = await wire.ask(caller.active_call(Dialect.V2))
    assert (status, body, headers["Content-Type"]) == (502, b"\x00\xff", "application/json")


async def test_delay_on_the_wire(wire: Any, sandbox: Sandbox, caller: Any) -> None:
    sandbox.faults.add("charging.start", Fault.delay(0.05))
    began = time.perf_counter()
    status, _, _ = await wire.ask(caller.start_call(Dialect.V2))
    assert time.perf_counter() - began >= 0.05
    assert (status, len(sandbox.charges)) == (202, 1)


@pytest.mark.parametrize("after_effect", [True, False])
@pytest.mark.parametrize("make", [Fault.drop, Fault.reset])
async def test_lost_connections_on_the_wire(
    wire: Any, sandbox: Sandbox, caller: Any, make: Any, after_effect: bool
) -> None:
    sandbox.faults.add("charging.start", make(after_effect=after_effect))
    with pytest.raises(NOT_ANSWERED):
        await wire.ask(caller.start_call(Dialect.V2))
    assert len(sandbox.charges) == after_effect
    assert (await wire.ask(caller.active_call(Dialect.V2)))[0] == 200


@pytest.mark.parametrize("reset", [True, False])
async def test_a_drop_is_an_end_of_stream_and_a_reset_is_a_reset(sandbox: Sandbox, reset: bool) -> None:
    sandbox.faults.always("charging.active", Fault.reset() if reset else Fault.drop())
    port = int(sandbox.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /ev/v2/charge-session/active HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        if reset:
            with pytest.raises(ConnectionResetError):
                await reader.read()
        else:
            assert await reader.read() == b""
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionResetError:
            assert reset


async def test_truncation_on_the_wire(wire: Any, sandbox: Sandbox, caller: Any) -> None:
    sandbox.faults.add("charging.start", Fault.truncate())
    sandbox.faults.add("charging.start", Fault.truncate(after_effect=False))
    for _ in range(2):
        with pytest.raises(aiohttp.ClientPayloadError):
            await wire.ask(caller.start_call(Dialect.V2))
    assert len(sandbox.charges) == 1


async def test_hanging_on_the_wire(wire: Any, sandbox: Sandbox, caller: Any) -> None:
    sandbox.faults.add("charging.start", Fault.hang())
    with pytest.raises(TimeoutError):
        await wire.ask(caller.start_call(Dialect.V2), timeout=aiohttp.ClientTimeout(total=0.05))
    assert len(sandbox.charges) == 1


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_a_revoked_token_on_the_wire(wire: Any, sandbox: Sandbox, caller: Any, dialect: Dialect) -> None:
    sandbox.faults.add("charging.start", Fault.token_revoked())
    assert (await wire.ask(caller.start_call(dialect)))[0] == 401
    assert (await wire.ask(caller.start_call(dialect)))[0] == 401
    await wire.fetch_token()
    assert (await wire.ask(caller.start_call(dialect)))[0] == 202
    assert len(sandbox.charges) == 1
