"""Metrics: calls, tries, waits and token requests, in seconds, under few different attributes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes import CALLS, CARD, call
from listeners import outcome, watched
from opentelemetry.sdk.metrics.export import Histogram
from telemetry import Telemetry

from shell_ev import AsyncShellEV
from shell_ev.sandbox import Fault, Sandbox

NAMES = {f"shell_ev.{what}.duration" for what in ("call", "try", "wait", "token")}
#: Every attribute of any metric. Each has a handful of values.
ATTRIBUTES = {
    "shell_ev.operation",
    "shell_ev.outcome",
    "shell_ev.token.background",
    "http.response.status_code",
    "error.type",
}


async def trouble(sandbox: Sandbox, ev: AsyncShellEV) -> None:
    """A bit of everything."""
    sandbox.faults.add("charging.active", Fault.status(503))
    sandbox.faults.add("charging.active", Fault.rate_limit(0.15))
    sandbox.faults.add("charging.active", Fault.token_revoked())
    sandbox.faults.add("charging.start", Fault.drop())
    sandbox.faults.add("charging.stop", Fault.status(500))
    sandbox.faults.add("charging.retrieve", Fault.garbage(), times=3)
    for operation in ("active", "start", "stop", "retrieve", "retrieve"):
        await outcome(ev, operation)


async def test_each_call_try_wait_and_token_is_measured(sandbox: Sandbox) -> None:
    seen = Telemetry()
    async with watched(sandbox, seen.observer) as ev:
        await trouble(sandbox, ev)
    # In the order of the attributes' names: error.type, shell_ev.operation, shell_ev.outcome.
    assert seen.counts("shell_ev.call.duration") == {
        ("charging.active", "success"): 1,
        ("OutcomeUnknownError", "charging.start", "unknown"): 1,
        ("500", "charging.stop", "unknown"): 1,
        ("ResponseDecodeError", "charging.retrieve", "error"): 1,
        ("404", "charging.retrieve", "error"): 1,
    }
    # error.type, http.response.status_code, shell_ev.operation
    assert seen.counts("shell_ev.try.duration") == {
        ("503", 503, "charging.active"): 1,
        ("429", 429, "charging.active"): 1,
        ("401", 401, "charging.active"): 1,
        (200, "charging.active"): 1,
        ("no_answer", "charging.start"): 1,
        ("500", 500, "charging.stop"): 1,
        (200, "charging.retrieve"): 3,
        ("404", 404, "charging.retrieve"): 1,
        (200, "token"): 2,
    }
    assert seen.counts("shell_ev.wait.duration") == {
        ("503", 503, "charging.active"): 1,
        ("429", 429, "charging.active"): 1,
        ("ResponseDecodeError", 200, "charging.retrieve"): 2,
    }
    # shell_ev.outcome, shell_ev.token.background
    assert seen.counts("shell_ev.token.duration") == {("success", False): 2}
    waits = {attributes["error.type"]: point.sum for attributes, point in seen.points("shell_ev.wait.duration")}
    assert waits == {"503": 0.1, "429": 0.15, "ResponseDecodeError": 0.2}


async def test_what_is_measured_is_seconds(sandbox: Sandbox) -> None:
    seen = Telemetry()
    sandbox.faults.add("charging.active", Fault.delay(0.05))
    loop = asyncio.get_running_loop()
    async with watched(sandbox, seen.observer) as ev:
        began = loop.time()
        await call(ev, "active")
        took = loop.time() - began
    ((_, whole),) = seen.points("shell_ev.call.duration")
    tries = {attributes["shell_ev.operation"]: point.sum for attributes, point in seen.points("shell_ev.try.duration")}
    assert 0.05 <= tries["charging.active"] < whole.sum <= took
    ((_, token),) = seen.points("shell_ev.token.duration")
    assert 0 < tries["token"] <= token.sum < whole.sum


async def test_names_units_and_buckets(sandbox: Sandbox) -> None:
    seen = Telemetry()
    async with watched(sandbox, seen.observer) as ev:
        await trouble(sandbox, ev)
    metrics = seen.metrics()
    assert set(metrics) == NAMES
    for name, metric in metrics.items():
        assert isinstance(metric.data, Histogram)
        assert metric.unit == "s"
        assert metric.description.endswith(".")
        bounds = list(metric.data.data_points[0].explicit_bounds)
        assert bounds == sorted(set(bounds))
        if name == "shell_ev.wait.duration":
            assert (bounds[0], bounds[-1]) == (0.1, 300)
        else:
            assert (bounds[0], bounds[-1]) == (0.005, 60)


async def test_attributes_are_few(sandbox: Sandbox) -> None:
    seen = Telemetry(record_ids=True)
    async with watched(sandbox, seen.observer) as ev:
        await trouble(sandbox, ev)
        await ev.charging.active(CARD)
    for name in NAMES:
        for attributes, _ in seen.points(name):
            assert set(attributes) <= ATTRIBUTES, "ids are never in a metric"


async def test_an_exemplar_points_to_the_span_of_its_call(sandbox: Sandbox) -> None:
    seen = Telemetry()
    async with watched(sandbox, seen.observer) as ev:
        await call(ev, "active")
    span = seen.one("shell_ev.charging.active").get_span_context()
    ((_, point),) = seen.points("shell_ev.call.duration")
    assert span is not None
    assert [exemplar.span_id for exemplar in point.exemplars] == [span.span_id]


async def test_a_cancelled_call_is_one_of_its_own_kind(sandbox: Sandbox) -> None:
    seen = Telemetry()
    sandbox.faults.always("charging.active", Fault.hang())
    async with watched(sandbox, seen.observer) as ev:
        task = asyncio.create_task(call(ev, "active"))
        while not any(request.operation == "charging.active" for request in sandbox.requests):
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
    assert seen.counts("shell_ev.call.duration") == {("CancelledError", "charging.active", "cancelled"): 1}
    assert seen.counts("shell_ev.try.duration")[("cancelled", "charging.active")] == 1


async def test_refused_connections_are_tries_that_were_not_sent(sandbox: Sandbox, closed_port: int) -> None:
    seen = Telemetry()
    options: dict[str, Any] = {"token_url": f"http://127.0.0.1:{closed_port}/token", "max_retries": 1}
    async with watched(sandbox, seen.observer, **options) as ev:
        for operation in CALLS:
            await outcome(ev, operation)
    assert seen.counts("shell_ev.try.duration") == {("not_sent", "token"): 8}
    assert seen.counts("shell_ev.wait.duration") == {("not_sent", "token"): 4}
    assert seen.counts("shell_ev.token.duration") == {("ConnectError", "error", False): 4}


@pytest.mark.parametrize("clients", [1, 2])
async def test_one_observer_serves_several_clients(sandbox: Sandbox, clients: int) -> None:
    seen = Telemetry()
    for _ in range(clients):
        async with watched(sandbox, seen.observer) as ev:
            await call(ev.with_options(timeout=3), "active")
    assert seen.counts("shell_ev.call.duration") == {("charging.active", "success"): clients}
