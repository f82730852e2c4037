"""Names of connectors and codes of countries as people write them."""

from __future__ import annotations

import re

import pytest

from shell_ev import Connector, ConnectorType, ElectricalProperties, Evse
from shell_ev.dialects import ApiVersion
from shell_ev.endpoints.countries import alpha_3
from shell_ev.endpoints.validation import LocationChecks
from shell_ev.models.connector_names import connector_name_of, connector_type_of
from shell_ev.wire.operations import LOCATIONS_LIST

NAMES = [
    ("CCS", "TYPE_2_COMBO"),
    ("ccs2", "TYPE_2_COMBO"),
    ("CCS 2", "TYPE_2_COMBO"),
    ("Combo", "TYPE_2_COMBO"),
    ("CCS1", "TYPE_1_COMBO"),
    ("CHAdeMO", "TEPCO_CHADEMO"),
    ("chademo", "TEPCO_CHADEMO"),
    ("Mennekes", "TYPE_2"),
    ("Type 2", "TYPE_2"),
    ("type-2", "TYPE_2"),
    ("IEC_62196_T2", "TYPE_2"),
    ("IEC_62196_T2_COMBO", "TYPE_2_COMBO"),
    ("Schuko", "DOMESTIC"),
    ("DOMESTIC_F", "DOMESTIC"),
    ("J1772", "SAE_J1772"),
    ("NEMA 5-20", "NEMA_520"),
    ("Tesla", "TESLA"),
]


@pytest.mark.parametrize(("name", "member"), NAMES)
def test_a_name_that_people_use_is_read(name: str, member: str) -> None:
    assert connector_type_of(name) is ConnectorType[member]
    checks = LocationChecks(LOCATIONS_LIST, ApiVersion.V2)
    assert checks.filters({"connector_types": name}) == {"connector_types": ConnectorType[member].value}
    assert checks.faults == []


@pytest.mark.parametrize("member", list(ConnectorType))
def test_the_name_that_is_shown_is_read_again(member: ConnectorType) -> None:
    assert connector_type_of(connector_name_of(member)) is member
    assert connector_type_of(member.value) is member


def test_an_unknown_name_stays_what_it_is() -> None:
    assert not connector_type_of("CCS3").is_known
    assert connector_name_of(ConnectorType("MCS")) == "MCS"
    assert connector_name_of(None) == "?"


def test_an_evse_is_asked_by_such_a_name_too() -> None:
    combo = Connector(
        connector_type=ConnectorType.TYPE_2_COMBO, electrical_properties=ElectricalProperties(max_electric_power=50)
    )
    assert Evse(connectors=(combo,)).has_connector("CCS", 50)
    assert not Evse(connectors=(combo,)).has_connector("Mennekes")


@pytest.mark.parametrize(
    ("code", "wanted"),
    [("NL", "NLD"), ("nl", "NLD"), ("NLD", "NLD"), ("gb", "GBR"), ("UK", "GBR"), ("XK", "XKX"), ("ABC", "ABC")],
)
def test_a_country_is_known_by_either_code(code: str, wanted: str) -> None:
    assert alpha_3(code) == wanted


@pytest.mark.parametrize("code", ["", "N", "QQ", "NLDX", "N1", "ſſ", "ＮＬ", " NL"])
def test_what_is_no_code_is_none(code: str) -> None:
    assert alpha_3(code) is None


def test_every_country_of_the_standard_has_its_code() -> None:
    from shell_ev.endpoints.countries import _BY_ALPHA_2

    assert len(_BY_ALPHA_2) == 249 + 2
    for two, three in _BY_ALPHA_2.items():
        assert re.fullmatch("[A-Z]{2}", two)
        assert re.fullmatch("[A-Z]{3}", three)
    assert len(set(_BY_ALPHA_2.values())) == 249 + 1
