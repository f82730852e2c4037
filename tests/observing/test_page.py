"""The page on observability names what there is: no field, attribute, event, metric or hook more, and none less."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import get_args

import pytest
from fakes import CALLS, FakeSender, call, client_over, good, reply
from listeners import outcome, watched
from telemetry import Telemetry

from shell_ev import observing
from shell_ev.observing import CallObserver, Observer, RecoveryObserver
from shell_ev.sandbox import Fault, Sandbox

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()


def section(title: str) -> str:
    """A section of the page, without those below it."""
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#+ )", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def first_cells(text: str) -> set[str]:
    """What is named in the first cells of a section's tables."""
    return set(re.findall(r"`([\w.]+)`", "\n".join(re.findall(r"^\|([^|]+)\|", text, re.MULTILINE))))


def attributes_in(text: str) -> set[str]:
    return set(re.findall(r"`((?:shell_ev|http|server|url|error)\.[\w.]+)`", text))


@pytest.fixture
async def seen(sandbox: Sandbox) -> Telemetry:
    """What a client that meets every kind of trouble tells OpenTelemetry."""
    sandbox.faults.add("charging.active", Fault.status(503))
    sandbox.faults.add("charging.active", Fault.rate_limit(0.1))
    sandbox.faults.add("charging.active", Fault.drop())
    seen = Telemetry(record_ids=True)
    async with watched(sandbox, seen.observer) as ev:
        for operation in CALLS:
            await outcome(ev, operation)
        sandbox.faults.add("charging.start", Fault.drop())
        await outcome(ev, "start")
    return seen


async def test_span_attributes(seen: Telemetry) -> None:
    recorded = {name for span in seen.spans for name in span.attributes or {}}
    assert first_cells(section("Spans")) == recorded | {event.name for span in seen.spans for event in span.events}


async def test_span_events(seen: Telemetry) -> None:
    reported = {name for span in seen.spans for event in span.events for name in event.attributes or {}}
    rows = re.findall(r"^\| `shell_ev\.(?:try\.failed|wait)` .*$", section("Spans"), re.MULTILINE)
    assert len(rows) == 2
    assert attributes_in("".join(rows)) == reported | {"shell_ev.try.failed", "shell_ev.wait"}


async def test_metrics(seen: Telemetry) -> None:
    text = section("Metrics")
    assert first_cells(text) == set(seen.metrics())
    for name in seen.metrics():
        (row,) = re.findall(rf"^\| `{re.escape(name)}` .*$", text, re.MULTILINE)
        measured = {attribute for attributes, _ in seen.points(name) for attribute in attributes}
        assert measured <= attributes_in(row)
        assert attributes_in(row) - measured <= {name, "error.type"}


async def test_log_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "shell_ev")
    await call(client_over(FakeSender(reply(503), good("active")), jitter=lambda _: 0.0), "active")
    in_lines = {name for record in caplog.records for name in vars(record) if name.startswith("shell_ev_")}
    assert first_cells(section("Fields")) == in_lines


def test_hooks_and_events() -> None:
    named = first_cells(section("Hooks"))
    methods = {
        f"{kind.__name__}.{name}"
        for kind in (Observer, CallObserver, RecoveryObserver)
        for name in vars(kind)
        if not name.startswith("_")
    }
    assert named == methods
    events = set(re.findall(r"\| `([A-Z]\w+)` \|", section("Hooks")))
    public = {name for name, value in vars(observing).items() if isinstance(value, type) and name[0].isupper()}
    assert events | {"Observer", "CallObserver", "RecoveryObserver"} == {
        name for name in public if vars(observing)[name].__module__ == observing.__name__
    }


def test_outcomes() -> None:
    assert first_cells(section("Outcomes of an attempt")) - {"outcome"} == set(get_args(observing.TryOutcome))
    for outcome_ in get_args(observing.CallOutcome):
        assert f"`{outcome_}`" in section("Outcomes of an attempt")
