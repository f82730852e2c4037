"""``nearby``, ``locations`` and ``markers``: their output in every format."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from cli_processes import Process, Result

from shell_ev import (
    Connector,
    ElementTariff,
    Evse,
    FlatTariff,
    Location,
    PriceComponent,
    PriceComponentType,
    TariffElement,
    TariffRestrictions,
)
from shell_ev.cli.location_views import CSV_COLUMNS, money, price_words
from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import Fault, Sandbox

Cli = Callable[..., Result]
Start = Callable[..., Process]
STATION = ("52.3791", "4.9003")  # of the first named station of the sandbox
LOCATION_KEYS = [
    *("uid", "external_id", "coordinates", "operator_name", "operator_id", "address", "accessibility", "evses"),
    *("opening_hours", "open_twenty_four_seven", "updated", "operator_comment", "location_type", "status"),
    *("available_count", "evse_count", "max_power_kw", "is_free", "startable_evse_ids"),
]


def test_nearby_prints_a_table_by_distance(cli: Cli) -> None:
    done = cli("nearby", *STATION, "--limit", "3", "--provider", "TNM")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0].split("  ")[0] == "Distance"
    assert re.fullmatch(
        r"  0\.0 km +2/2  Type 2 11 +EUR 0\.39/kWh \+ 0\.35/start +"
        r"Sandbox Laadnet, Voorbeeldkade 1, 1012 AB Amsterdam +NL\*TNM\*E02003451\*0",
        lines[1],
    )
    assert lines[2].strip() == "NL*TNM*E02003451*1"
    distances = [float(line.split()[0]) for line in lines[1:] if " km " in line]
    assert len(distances) == 3
    assert distances == sorted(distances)


def test_nearby_without_prices_has_no_price_column(cli: Cli) -> None:
    assert "Price" not in cli("nearby", *STATION, "--limit", "1").out
    assert "Price" in cli("nearby", *STATION, "--limit", "1", "--api-version", "v1").out


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_nearby_fits_the_width_of_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = cli("nearby", *STATION, "--provider", "TNM").out
    assert max(map(len, out.splitlines())) <= columns
    # A cut id could not be started.
    assert "NL*TNM*E02003451*0" in out
    assert ("EVSEs to start  NL*TNM" in out) is (columns == 60)


def test_nearby_prints_json_with_distances(cli: Cli) -> None:
    done = cli("nearby", *STATION, "--limit", "2", "--provider", "TNM", "--json")
    found = json.loads(done.out)
    assert list(found) == ["latitude", "longitude", "locations", "problems"]
    first = found["locations"][0]
    assert list(first) == ["distance_km", *LOCATION_KEYS]
    assert first["distance_km"] == 0.0
    assert (first["available_count"], first["evse_count"], first["max_power_kw"]) == (2, 2, 11.0)
    assert first["startable_evse_ids"] == ["NL*TNM*E02003451*0", "NL*TNM*E02003451*1"]
    assert first["evses"][0]["connectors"][0]["tariffs"][0]["elements"][0]["price_components"][0]["price"] == 0.39
    assert cli("nearby", *STATION, "--limit", "2", "--provider", "TNM", "--format", "json").out == done.out


def test_nearby_accepts_negative_degrees_and_filters(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("nearby", "51.5033", "-0.1195", "--limit", "1", "--json", "--connector", "Type2Combo", "--available")
    assert json.loads(done.out)["locations"][0]["address"]["city"] == "London"
    query = sandbox.requests[-1].query
    assert ("longitude", "-0.1195") in query
    assert [value for name, value in query if name.startswith("evseStatus")] == ["Available"]
    assert cli("nearby", "-.5", "-0.1195", "--limit", "1").code == 0
    # With a comma, as copied from a map.
    assert cli("nearby", "51.5033,", "-0.1195", "--limit", "1", "--json").out.startswith('{"latitude": 51.5033, ')
    assert cli("nearby", "51", "-0.1", "--lmit", "1").code == ExitCode.USAGE
    done = cli("nearby", "91", "4")
    assert (done.code, done.err.count("\n")) == (ExitCode.USAGE, 1)
    assert "latitude must be a number from -90 to 90" in done.err
    done = cli("nearby", *STATION, "--country", "NLD", "--api-version", "v1-pascal")
    assert done.code == ExitCode.USAGE
    assert "country does not exist in v1-pascal" in done.err


def test_nearby_reports_that_nothing_matches(cli: Cli) -> None:
    done = cli("nearby", *STATION, "--operator", "no-such-operator")
    assert (done.code, done.out, done.err) == (0, "", "shell-ev: no locations match near by\n")


def test_nearby_sorts_locations_by_distance(cli: Cli, sandbox: Sandbox) -> None:
    places = [{"uid": "far", "coordinates": {"latitude": 53, "longitude": 5}}, {"uid": "nowhere"}, {"uid": "near"}]
    places[2]["coordinates"] = {"latitude": 52.4, "longitude": 4.9}
    body = json.dumps({"requestId": "r", "status": "SUCCESS", "data": places}).encode()
    sandbox.faults.add("locations.nearby", Fault.garbage(body, content_type="application/json"), times=2)
    found = json.loads(cli("nearby", *STATION, "--json").out)["locations"]
    assert [(one["uid"], one["distance_km"] is None) for one in found] == [
        ("near", False),
        ("far", False),
        ("nowhere", True),
    ]
    # Unknown values are question marks.
    assert cli("nearby", *STATION).out.splitlines()[-1].split() == ["?", "?/?", "?", "none", "free"]


def test_nearby_prints_locations_without_a_price_that_is_refused(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add("locations.get", Fault.status(404))
    done = cli("nearby", *STATION, "--limit", "2", "--provider", "TNM")
    assert done.code == 0
    assert done.err.startswith("shell-ev: no prices of location ")
    assert "/kWh" in done.out
    sandbox.faults.always("locations.get", Fault.drop())
    assert cli("nearby", *STATION, "--limit", "9", "--provider", "TNM").code == ExitCode.NO_ANSWER


def test_nearby_shows_four_evses_per_location_or_all(cli: Cli, sandbox: Sandbox) -> None:
    place = ("51.9225", "4.4792")
    assert len(json.loads(cli("nearby", *place, "--limit", "9", "--json").out)["locations"]) == 9
    out = cli("nearby", *place, "--limit", "25").out
    hidden = sum(int(number) for number in re.findall(r"and (\d+) more", out))
    assert hidden
    every = cli("nearby", *place, "--limit", "25", "--all-evses").out
    assert every.count("*E") == out.count("*E") + hidden


def connector(*tariffs: ElementTariff, flat: FlatTariff | None = None) -> Location:
    return Location(evses=(Evse(connectors=(Connector(tariffs=tariffs, tariff=flat),)),))


def element(kind: str, price: float | None) -> TariffElement:
    return TariffElement(price_components=(PriceComponent(type=PriceComponentType(kind), price=price),))


def sometimes(kind: str, price: float) -> TariffElement:
    return attrs.evolve(element(kind, price), restrictions=TariffRestrictions())


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (Location(), ""),
        (connector(), ""),
        (connector(flat=FlatTariff(currency="EUR", per_kwh=0.3, start_fee=0, per_minute=1)), "EUR 0.30/kWh + 1.00/min"),
        (
            connector(flat=FlatTariff(currency="X", per_kwh=0.395, start_fee=2, per_minute=0)),
            "X 0.395/kWh + 2.00/start",
        ),
        (connector(flat=FlatTariff(currency="EUR", per_kwh=0, start_fee=0, per_minute=0)), "free"),
        (connector(flat=FlatTariff(per_kwh=1.0)), "1.00/kWh + ?/start + ?/min"),
        (connector(ElementTariff(elements=(element("ENERGY", 0.5), element("FLAT", 1)))), "0.50/kWh + 1.00/start"),
        (connector(ElementTariff(elements=(element("ENERGY", 0.5), sometimes("TIME", 3)))), "0.50/kWh (varies)"),
        (connector(ElementTariff(currency="GBP", elements=(sometimes("ENERGY", 0.5),))), ""),
        (connector(ElementTariff(min_price=0, elements=(element("ENERGY", 0),))), "free"),
    ],
)
def test_price_words_of_every_kind_of_tariff(location: Location, words: str) -> None:
    assert price_words(*location.evses) == words


def test_money_has_two_decimals_or_more() -> None:
    assert [money(value) for value in (0.3, 1, 0.395, 12.5, 0.05)] == ["0.30", "1.00", "0.395", "12.50", "0.05"]


def rows(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def test_locations_prints_the_same_locations_in_every_format(cli: Cli) -> None:
    document = json.loads(cli("locations", "--country", "NLD", "--json").out)
    assert list(document) == ["locations"]
    assert all(list(location) == LOCATION_KEYS for location in document["locations"])
    uids = [location["uid"] for location in document["locations"]]
    assert len(uids) > 50
    lines = [json.loads(line) for line in cli("locations", "--country", "NLD", "--format", "ndjson").out.splitlines()]
    assert lines == document["locations"]
    table = rows(cli("locations", "--country", "NLD", "--format", "csv").out)
    assert [row["uid"] for row in table] == uids
    features = json.loads(cli("locations", "--country", "NLD", "--format", "geojson").out)["features"]
    assert [feature["id"] for feature in features] == uids
    shown = cli("locations", "--country", "NLD").out.splitlines()
    assert shown[0].split() == ["Uid", "Country", "City", "Street", "Operator", "Free", "Plugs", "(kW)"]
    assert [line.split()[0] for line in shown[1:]] == uids


def test_csv_and_json_keep_numbers_and_unknown_values(cli: Cli) -> None:
    (row,) = rows(cli("locations", "--evse", "LU*LXC*E10000201*1", "--format", "csv").out)
    assert list(row) == list(CSV_COLUMNS)
    assert (row["street_and_number"], row["max_power_kw"], row["is_free"]) == ("12 Rue du Modèle", "22.1", "")
    assert (row["open_twenty_four_seven"], row["evse_ids"]) == ("true", "LU*LXC*E10000201*1")
    (location,) = json.loads(cli("locations", "--evse", "LU*LXC*E10000201*1", "--json").out)["locations"]
    assert (location["is_free"], location["available_count"]) == (None, 1)
    (row,) = rows(cli("locations", "--evse", "NL*TNM*EVIRTUALCP0002*0", "--format", "csv", "--api-version", "v1").out)
    assert row["is_free"] == "true"


def test_locations_by_several_countries_and_pages(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("locations", "--country", "LUX", "--country", "BEL", "--per-page", "7", "--format", "ndjson")
    countries = {json.loads(line)["address"]["country"] for line in done.out.splitlines()}
    assert countries == {"LUX", "BEL"}
    assert sum(request.operation == "locations.list" for request in sandbox.requests) > 2


def test_a_limit_ends_the_request_of_pages(cli: Cli, sandbox: Sandbox) -> None:
    assert cli("locations", "--limit", "3", "--per-page", "2", "--format", "ndjson").out.count("\n") == 3
    assert sum(request.operation == "locations.list" for request in sandbox.requests) == 2
    assert cli("locations", "--country", "XXX", "--json").out == '{"locations": []}\n'


def test_locations_prints_the_pages_before_an_error(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add("locations.list", Fault.status(500), after=1)
    done = cli("locations", "--per-page", "5", "--format", "ndjson")
    assert (done.code, done.out.count("\n"), done.err.count("\n")) == (ExitCode.REFUSED, 5, 1)


def test_locations_refuses_json_with_another_format(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("locations", "--json", "--format", "csv")
    assert done.code == ExitCode.USAGE
    assert json.loads(done.err)["error"]["message"] == "--json and --format csv exclude each other"
    assert not sandbox.requests


def test_locations_keeps_one_page_in_memory(process: Start) -> None:
    # If every page stayed in memory, ten times the locations would need about ten times the memory.
    script = (
        "import sys, tracemalloc, os\n"
        "from shell_ev.cli.main import main\n"
        "def peak(limit):\n"
        "    tracemalloc.reset_peak()\n"
        "    before = tracemalloc.get_traced_memory()[0]\n"
        "    main(['locations', '--per-page', '5', '--format', 'json', '--limit', limit])\n"
        "    return tracemalloc.get_traced_memory()[1] - before\n"
        "with open(os.devnull, 'w') as sys.stdout:\n"
        "    main(['locations', '--per-page', '5', '--format', 'json', '--limit', '20'])\n"
        "    tracemalloc.start()\n"
        "    peak('20')\n"
        "    figures = peak('20'), peak('200')\n"
        "sys.exit(repr(figures) if figures[1] > 3 * figures[0] else 0)\n"
    )
    done = process(before=("-c", script)).ends()
    assert (done.code, done.err) == (0, "")


BOUNDS = ("--west", "-0.5", "--south", "50.7", "--east", "7.2", "--north", "53.6")


def test_markers_prints_locations_and_clusters(cli: Cli) -> None:
    found: dict[str, Any] = json.loads(cli("markers", *BOUNDS, "--zoom", "8", "--json").out)
    assert list(found) == ["markers", "problems"]
    assert {marker["marker_type"] for marker in found["markers"]} == {"SingleLocation", "MultiLocation"}
    lines = cli("markers", *BOUNDS, "--zoom", "8").out.splitlines()
    assert len(lines) == len(found["markers"]) + 1
    assert {line.split()[0] for line in lines[1:]} == {"cluster", "location"}
    features = json.loads(cli("markers", *BOUNDS, "--zoom", "8", "--format", "geojson").out)["features"]
    assert len(features) == len(found["markers"])


def test_markers_refuses_an_invalid_zoom_level(cli: Cli) -> None:
    assert cli("markers", *BOUNDS).code == ExitCode.USAGE
    done = cli("markers", *BOUNDS, "--zoom", "21")
    assert done.code == ExitCode.USAGE
    assert "zoom must be a whole number from 1" in done.err
    done = cli("markers", *BOUNDS, "--zoom", "18", "--operator", "no-such-operator")
    assert (done.code, done.out, done.err) == (0, "", "shell-ev: no markers match in this view\n")
