"""``location`` and ``watch``."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cli_processes import Process, Result

from shell_ev import (
    Connector,
    ConnectorType,
    Coordinates,
    ElectricalProperties,
    Evse,
    Location,
    OpeningHours,
    WeekDay,
)
from shell_ev.cli.location import _hours
from shell_ev.cli.location_views import map_url
from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import Sandbox

Cli = Callable[..., Result]
Start = Callable[..., Process]
FIRST = "NL*TNM*E02003451*0"


def test_location_shows_evses_plugs_prices_hours_and_a_map(cli: Cli) -> None:
    done = cli("location", "1", "--provider", "TNM")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[1] == "Voorbeeldkade 1, 1012 AB Amsterdam, NLD"
    assert "Plugs (kW)  Type 2 11" in lines
    assert "Map: https://osm.org/?mlat=52.37910&mlon=4.90030&zoom=17" in lines
    assert any(line.startswith("Hours ") for line in lines)
    (row,) = (line for line in lines if line.startswith(FIRST))
    assert row.split()[1:] == ["Available", "Type", "2", "11", "EUR", "0.39/kWh", "+", "0.35/start", *row.split()[9:]]


def test_location_says_how_prices_come_in_v2(cli: Cli) -> None:
    done = cli("location", "1")
    assert done.err == "shell-ev: prices come with --provider ID, such as TNM\n"
    assert "Price" not in done.out
    done = cli("location", "1", "--api-version", "v1")
    assert done.err == ""
    assert "Price" in done.out


def test_location_prints_json(cli: Cli) -> None:
    found = json.loads(cli("location", "1", "--provider", "TNM", "--json").out)
    assert found["uid"] == "1"
    assert found["map"].startswith("https://osm.org/")
    assert found["evses"][0]["connectors"][0]["tariffs"]


def test_an_unknown_location_ends_with_what_lists_them(cli: Cli) -> None:
    done = cli("location", "no-such-uid")
    assert done.code == ExitCode.REFUSED
    assert done.err.endswith("; try: shell-ev locations\n")


def hours(*periods: tuple[WeekDay, str, str]) -> tuple[OpeningHours, ...]:
    return tuple(OpeningHours(week_day=day, start_time=start, end_time=end) for day, start, end in periods)


WEEK = list(WeekDay)


@pytest.mark.parametrize(
    ("location", "lines"),
    [
        (Location(), []),
        (Location(open_twenty_four_seven=True), ["open day and night"]),
        (
            Location(opening_hours=hours(*((day, "08:00", "18:00") for day in WEEK[:5]), (WEEK[6], "10:00", "12:00"))),
            ["Mon to Fri 08:00-18:00", "Sat closed", "Sun 10:00-12:00"],
        ),
        (
            Location(opening_hours=hours((WEEK[0], "08:00", "12:00"), (WEEK[0], "13:00", "17:00"))),
            ["Mon 08:00-12:00, 13:00-17:00", "Tue to Sun closed"],
        ),
    ],
)
def test_opening_hours_are_shown_by_days(location: Location, lines: list[str]) -> None:
    assert list(_hours(location)) == lines


def test_a_location_without_a_position_has_no_map() -> None:
    assert map_url(Location()) is None
    assert map_url(Location(coordinates=Coordinates(latitude=91, longitude=4))) is None


def socket(kind: str, power: float | None, deleted: str | None = None) -> Connector:
    properties = ElectricalProperties(max_electric_power=power)
    return Connector(connector_type=ConnectorType(kind), electrical_properties=properties, deleted=deleted)


def test_plugs_have_the_highest_power_of_each_kind_and_leave_out_what_was_removed() -> None:
    first = Evse(connectors=(socket("Type2", 11), socket("Type2Combo", 50), socket("Type2", 43.5)))
    second = Evse(connectors=(socket("Type2Combo", 150), socket("NewPlug", None), socket("Type1", 7.4, "2026-01-01")))
    gone = Evse(connectors=(socket("TepcoCHAdeMO", 50),), deleted="2026-01-01")
    assert first.plugs == "CCS 50, Type 2 43.5"
    assert Location(evses=(first, second, gone)).plugs == "CCS 150, Type 2 43.5, NewPlug"
    assert (Location().plugs, Evse().plugs) == ("", "")


@pytest.fixture
def free(sandbox: Sandbox) -> Iterator[Sandbox]:
    sandbox.set_evse_status(FIRST, "Available")
    yield sandbox
    sandbox.set_evse_status(FIRST, None)


def test_watch_prints_each_change_of_an_evse(process: Start, free: Sandbox) -> None:
    running = process("watch", "1", "2", "--every", "0.1s")
    first = running.until("Voorbeeldkade 1")
    assert first[10:].startswith("1, 2/2 free: Type 2 11; ")
    free.set_evse_status(FIRST, "Occupied")
    assert running.until(FIRST)[10:] == f"1, 1/2 free: {FIRST} Occupied\n"
    free.set_evse_status(FIRST, "Unavailable")
    assert running.until("Unavailable")[10:] == f"1, 1/2 free: {FIRST} Unavailable\n"
    running.signal(signal.SIGINT)
    done = running.ends()
    assert (done.code, done.err) == (ExitCode.INTERRUPTED, "")


def test_watch_prints_json_lines_and_reports_a_problem_once(process: Start, free: Sandbox) -> None:
    running = process("watch", "1", "--every", "0.1s", "--json")
    first: dict[str, Any] = json.loads(running.until("uid"))
    assert next(iter(first)) == "at"
    assert (first["uid"], first["available_count"]) == ("1", 2)
    running.signal(signal.SIGTERM)
    assert running.ends().code == ExitCode.TERMINATED
    running = process("watch", "1", "no-such-uid", "--every", "0.05s")
    running.until("Voorbeeldkade 1")
    free.set_evse_status(FIRST, "Occupied")
    running.until("Occupied")
    running.signal(signal.SIGINT)
    assert running.ends().err.count("location no-such-uid: status 404") == 1
