"""``nearby``: plugs, costs, order, one argument for the point, ``--watch`` and ``--open``."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from cli_processes import Process, Result

from shell_ev import (
    Connector,
    ConnectorType,
    ElectricalProperties,
    ElementTariff,
    Evse,
    FlatTariff,
    Location,
    PriceComponent,
    PriceComponentType,
    TariffElement,
)
from shell_ev.cli.costs import Cost, Wish, cost_of
from shell_ev.cli.nearby import _ORDERS, Found
from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import Fault, Sandbox

Cli = Callable[..., Result]
Start = Callable[..., Process]
POINT = "52.3791,4.9003"
PRICED = ("nearby", POINT, "--provider", "TNM")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "words", [("52.3791,4.9003",), ("52.3791, 4.9003",), ("52.3791,", "4.9003"), ("52.3791", "4.9003")]
)
def test_the_point_is_one_argument_or_two(cli: Cli, words: tuple[str, ...]) -> None:
    found = json.loads(cli("nearby", *words, "--limit", "1", "--json").out)
    assert (found["latitude"], found["longitude"]) == (52.3791, 4.9003)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "Missing argument 'LAT,LON'"),
        (("52.37",), "'52.37' is not a latitude and a longitude such as 52.3731,4.8932"),
        (("1,2,3",), "'1,2,3' is not a latitude and a longitude"),
        (("52.37,x",), "'x' is not a number of degrees"),
        (("nan,4",), "latitude must be a number from -90 to 90"),
    ],
)
def test_another_point_is_refused(cli: Cli, sandbox: Sandbox, words: tuple[str, ...], fault: str) -> None:
    done = cli("nearby", *words)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert fault in done.err
    assert not sandbox.requests


def test_a_point_south_and_west_is_one_argument(cli: Cli) -> None:
    assert json.loads(cli("nearby", "-0.5,-0.1195", "--limit", "1", "--json").out)["latitude"] == -0.5


@pytest.mark.parametrize("name", ["CCS", "ccs2", "Type2Combo", "Combo 2"])
def test_connectors_have_the_names_that_people_use(cli: Cli, sandbox: Sandbox, name: str) -> None:
    assert cli("nearby", POINT, "--connector", name, "--country", "NL", "--limit", "1").code == 0
    query = dict(sandbox.requests[-1].query)
    assert [value for key, value in query.items() if key.startswith("connectorTypes")] == ["Type2Combo"]
    assert [value for key, value in query.items() if key.startswith("country")] == ["NLD"]
    assert cli("nearby", POINT, "--connector", "XYZ").code == ExitCode.USAGE


def test_the_plugs_are_shown_with_their_power(cli: Cli) -> None:
    out = cli("nearby", POINT, "--connector", "CCS").out
    assert "Plugs (kW)" in out.splitlines()[0]
    assert re.search(r"CCS \d+", out)


def test_what_a_charge_costs_is_shown_and_sorted(cli: Cli, sandbox: Sandbox) -> None:
    words = (*PRICED, "--energy", "40", "--minutes", "45", "--limit", "9")
    done = cli(*words)
    assert done.code == 0
    assert "40 kWh, 45 min" in done.out.splitlines()[0]
    # One look-up by id for each location that is shown.
    assert sum(request.operation == "locations.get" for request in sandbox.requests) == 9
    found = json.loads(cli(*words, "--json").out)["locations"]
    lowest = [Decimal(one["estimate"]["lowest"]) for one in found if one["estimate"] is not None]
    assert len(lowest) > 4
    assert lowest == sorted(lowest)
    cheap = next(one for one in found if one["uid"] == "1")
    assert cheap["estimate"] == {"currency": "EUR", "lowest": "15.95", "highest": "15.95", "is_complete": True}
    assert "EUR 15.95" in done.out
    far = json.loads(cli(*words, "--sort", "distance", "--json").out)["locations"]
    assert [one["distance_km"] for one in far] == sorted(one["distance_km"] for one in far)


def test_prices_come_from_the_first_answer_in_v1(cli: Cli, sandbox: Sandbox) -> None:
    words = ("nearby", POINT, "--energy", "40", "--minutes", "45", "--limit", "3", "--json", "--api-version", "v1")
    found = json.loads(cli(*words).out)["locations"]
    assert all(one["estimate"]["is_complete"] for one in found)
    assert {request.operation for request in sandbox.requests} <= {"token", "locations.nearby"}


def test_costs_need_a_provider_in_v2_and_the_order_needs_the_charge(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("nearby", POINT, "--energy", "40")
    assert done.code == ExitCode.USAGE
    assert "--energy and --minutes need --provider ID" in done.err
    done = cli(*PRICED, "--sort", "price")
    assert done.code == ExitCode.USAGE
    assert "--sort price needs the charge to compare: --energy KWH, --minutes NUMBER, or both" in done.err
    assert not any(request.operation == "locations.nearby" for request in sandbox.requests)


@pytest.mark.parametrize(
    ("order", "key", "descends"), [("power", "max_power_kw", True), ("free", "available_count", True)]
)
def test_locations_are_sorted(cli: Cli, order: str, key: str, descends: bool) -> None:
    found = json.loads(cli("nearby", POINT, "--sort", order, "--json").out)["locations"]
    values = [one[key] for one in found if one[key] is not None]
    assert values == sorted(values, reverse=descends)
    assert [one[key] for one in found][: len(values)] == values  # an unknown value comes last


def connector(*tariffs: ElementTariff, kind: str = "Type2Combo", power: float = 150, flat: Any = None) -> Connector:
    properties = ElectricalProperties(max_electric_power=power)
    return Connector(connector_type=ConnectorType(kind), electrical_properties=properties, tariffs=tariffs, tariff=flat)


def energy(price: float | None, currency: str = "EUR", **more: Any) -> ElementTariff:
    component = PriceComponent(type=PriceComponentType.ENERGY, price=price, step_size=1)
    return ElementTariff(currency=currency, elements=(TariffElement(price_components=(component,)),), **more)


def at(*connectors: Connector, deleted: str | None = None) -> Location:
    return Location(evses=(Evse(connectors=connectors, deleted=deleted),))


def words(location: Location, **more: Any) -> str | None:
    found = cost_of(location, Wish(**{"energy_kwh": 10, "minutes": 30, "started_at": NOW, **more}))
    return None if found is None else found.words


def test_the_cost_of_a_location_is_that_of_the_connectors_that_count() -> None:
    two = at(connector(energy(0.5)), connector(energy(0.3), kind="Type2", power=22))
    assert words(two) == "EUR 3.00 to 5.00"
    assert words(two, connector_types=("CCS",)) == "EUR 5.00"
    assert words(two, connector_types=("CCS", "Mennekes"), min_power_kw=11) == "EUR 3.00 to 5.00"
    assert words(two, min_power_kw=200) is None
    assert words(at(connector())) is None
    assert words(at(connector(energy(0.5)), deleted="2026-01-01")) is None


def test_the_cost_of_a_flat_tariff_and_of_one_that_is_not_known() -> None:
    flat = FlatTariff(currency="EUR", per_kwh=0.3, start_fee=1, per_minute=0.1)
    assert words(at(connector(flat=flat))) == "EUR 7.00"
    assert words(at(connector(flat=flat)), minutes=None) == "at least EUR 4.00"
    assert words(at(connector(energy(None)))) == "at least EUR 0.00"
    assert words(at(connector(energy(None), energy(0.5)))) == "EUR 5.00"


def test_a_tariff_counts_while_it_is_valid_and_currencies_are_not_mixed() -> None:
    over = energy(0.1, end_date_time=NOW)
    coming = energy(0.2, start_date_time=NOW.replace(year=2027))
    assert words(at(connector(over, energy(0.5), coming))) == "EUR 5.00"
    assert words(at(connector(energy(0.5), energy(0.2, "GBP")))) == "EUR 5.00"


def test_costs_sort_known_ones_first_and_each_currency_by_itself() -> None:
    def found(currency: str, lowest: str, complete: bool = True) -> Found:
        cost = Cost(currency=currency, lowest=Decimal(lowest), highest=Decimal(9), is_complete=complete)
        return Found(location=Location(), distance_km=1, cost=cost)

    none = Found(location=Location(), distance_km=0)
    rows = [none, found("EUR", "0", False), found("GBP", "1"), found("EUR", "3"), found("EUR", "2")]
    ordered = sorted(rows, key=_ORDERS["price"])
    assert ordered == [rows[4], rows[3], rows[2], rows[1], none]


def test_watch_asks_again_and_looks_prices_up_once(process: Start, sandbox: Sandbox) -> None:
    running = process(*PRICED, "--limit", "2", "--watch", "--every", "0.05s", "--json")
    for _ in range(3):
        assert len(json.loads(running.until("latitude"))["locations"]) == 2
    running.signal(signal.SIGINT)
    assert running.ends().code == ExitCode.INTERRUPTED
    operations = [request.operation for request in sandbox.requests]
    assert operations.count("locations.nearby") >= 3
    assert operations.count("locations.get") == 2


def test_watch_begins_each_table_with_the_time(screen: Callable[..., tuple[int, str]], sandbox: Sandbox) -> None:
    sandbox.faults.add("locations.nearby", Fault.status(400), after=1)
    code, written = screen("nearby", POINT, "--limit", "1", "--watch", "--every", "0.05s", columns=100)
    assert code == ExitCode.REFUSED  # of the second pass
    assert "\x1b[2J" in written
    assert re.search(r"\d\d:\d\d:\d\d  1 locations; Ctrl-C ends this", written)


def test_open_opens_the_first_location_on_a_map(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or len(opened) == 1)
    assert cli("nearby", POINT, "--limit", "2", "--open").err == ""
    assert opened == ["https://osm.org/?mlat=52.37910&mlon=4.90030&zoom=17"]
    done = cli("location", "1", "--open")
    assert done.err.splitlines()[-1] == f"shell-ev: there is no browser; the map is: {opened[0]}"
    assert cli("nearby", POINT, "--open", "--watch").code == ExitCode.USAGE
    done = cli("nearby", POINT, "--operator", "no-such-operator", "--open")
    assert "there is no position to show on a map" in done.err
