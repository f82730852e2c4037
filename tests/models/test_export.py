"""Data out: dicts, JSON, one-line representations, tables, GeoJSON, times of opaque texts."""

from __future__ import annotations

import inspect
import json
import math
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest
from rich.pretty import pretty_repr

import shell_ev
from shell_ev import (
    PERSONAL_FIELDS,
    Address,
    ApiResponse,
    ChargeFailedError,
    ChargeNotStoppedError,
    ChargeSession,
    Connector,
    ConnectorType,
    Coordinates,
    ElectricalProperties,
    ElementTariff,
    EnvelopeStatus,
    Evse,
    EvseStatus,
    FlatTariff,
    Location,
    NotFoundError,
    OutcomeUnknownError,
    PriceComponent,
    PriceComponentType,
    SessionError,
    SessionErrorCode,
    SessionState,
    ShellEVError,
    SingleLocationMarker,
    StartedSession,
    TariffElement,
    UnknownLocationMarker,
    ValidationError,
)
from shell_ev.export import LONGEST_TABLE, Exported, jsonable

MODELS = [
    cls
    for cls in (getattr(shell_ev, name) for name in shell_ev.__all__)
    if inspect.isclass(cls) and attrs.has(cls) and cls.__module__.startswith(("shell_ev.models", "shell_ev.errors"))
]
ERRORS = [
    cls
    for cls in (getattr(shell_ev, name) for name in shell_ev.__all__)
    if inspect.isclass(cls) and issubclass(cls, ShellEVError)
]

CONNECTOR = Connector(
    uid="7",
    connector_type=ConnectorType.TYPE_2_COMBO,
    electrical_properties=ElectricalProperties(max_electric_power=150),
    updated="10/06/2021 10:44:24",
)
EVSE = Evse(
    uid="3",
    evse_id="NL*TNM*E02003451*0",
    status=EvseStatus.AVAILABLE,
    connectors=(CONNECTOR, Connector(connector_type=ConnectorType.TYPE_2)),
)
LOCATION = Location(
    uid="10050",
    operator_name="Voltkade",
    address=Address(street_and_number="Kade 1", city="Amsterdam", country="NLD"),
    coordinates=Coordinates(latitude=52.36, longitude=4.9),
    evses=(EVSE, Evse(status=EvseStatus.OCCUPIED), Evse(deleted="gone")),
)
SESSION = ChargeSession(
    id="78b5d7a3-bdba-43d7-9851-1c84fcddb782",
    user_id="1f0e9c46-1111-43d7-9851-1c84fcddb782",
    ema_id="NL-TNM-C00122045-K",
    evse_id="NL*TNM*E02003451*0",
    state=SessionState("paused"),
    error=SessionError(code=SessionErrorCode.EVSE_IN_USE, message="in use"),
    started_at=datetime(2024, 6, 3, 12, 30, tzinfo=timezone(timedelta(hours=2))),
)


FEE = PriceComponent(type=PriceComponentType.FLAT, price=1)


def answer(data: Any, **fields: Any) -> ApiResponse[Any]:
    return ApiResponse(
        **{
            "data": data,
            "request_id": "r",
            "status": EnvelopeStatus.SUCCESS,
            "status_code": 200,
            "headers": {"Set-Cookie": "secret"},
            "body": b"secret",
            "attempts": 1,
            "elapsed": 0.254,
            **fields,
        }
    )


# Dicts and JSON


def test_there_are_models_and_errors_to_check() -> None:
    assert len(MODELS) >= 20
    assert len(ERRORS) >= 20


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_gives_every_field_under_its_own_name(model: type[Any]) -> None:
    assert issubclass(model, Exported)
    fields = attrs.fields(model)
    required = {field.name: None for field in fields if field.default is attrs.NOTHING}
    made = model(**required) if model is not ApiResponse else answer(None)
    plain = made.to_dict()
    assert [name for name in plain if name != "updated_at"] == [field.name for field in fields if field.repr]
    assert json.loads(made.to_json()) == plain


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_every_error_gives_its_type_and_its_text(cls: type[ShellEVError]) -> None:
    error = cls("no luck")
    plain = error.to_dict()
    assert (plain["type"], plain["message"]) == (cls.__name__, "no luck")
    assert plain["outcome_unknown"] is error.outcome_unknown
    assert json.loads(error.to_json()) == plain
    assert pickle.loads(pickle.dumps(error)).to_dict() == plain


def test_times_and_enums_are_texts_and_models_are_dicts() -> None:
    plain = SESSION.to_dict()
    assert plain["started_at"] == "2024-06-03T12:30:00+02:00"
    assert plain["state"] == "paused"
    assert plain["stopped_at"] is None
    assert plain["error"] == {"code": "EvseInUse", "message": "in use"}
    assert type(plain["state"]) is str


def test_a_location_is_a_dict_all_the_way_down() -> None:
    plain: Any = LOCATION.to_dict()
    connector = plain["evses"][0]["connectors"][0]
    assert connector["connector_type"] == "Type2Combo"
    assert connector["electrical_properties"]["max_electric_power"] == 150
    assert connector["updated_at"] == "2021-10-06T10:44:24+00:00"
    assert json.loads(LOCATION.to_json(indent=2)) == plain


def test_an_answer_gives_its_data_and_no_wire() -> None:
    plain = answer((SESSION,)).to_dict()
    assert plain["data"] == [SESSION.to_dict()]
    assert set(plain) == {"data", "request_id", "status", "status_code", "attempts", "elapsed", "problems"}
    assert "secret" not in answer((SESSION,)).to_json()


def test_an_api_error_gives_what_the_service_said_and_no_wire() -> None:
    error = NotFoundError("no", status_code=404, message="Not Found", headers={"x": "secret"}, body=b"secret")
    plain = error.to_dict()
    assert (plain["status_code"], plain["service_message"], plain["message"]) == (404, "Not Found", "no")
    assert "secret" not in error.to_json()


def test_errors_of_a_charge_give_the_session() -> None:
    plain: Any = ChargeFailedError("no", session_id="s", session=SESSION).to_dict()
    assert (plain["code"], plain["session"]["id"]) == ("EvseInUse", SESSION.id)
    unknown: Any = OutcomeUnknownError("lost", seen=(SESSION,), sent_at=SESSION.started_at).to_dict()
    assert unknown["seen"][0]["ema_id"] == SESSION.ema_id
    assert unknown["sent_at"] == "2024-06-03T12:30:00+02:00"


def test_faults_are_a_list() -> None:
    assert ValidationError(["a", "b"], operation="start").to_dict()["faults"] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (math.nan, None),
        (math.inf, None),
        (-0.5, -0.5),
        (10**400, 10**400),
        (True, True),
        (Decimal("0.10"), "0.10"),
        (timedelta(minutes=1.5), 90.0),
        (date(2024, 6, 3), "2024-06-03"),
        ("half \ud800 pair", "half ? pair"),
        (b"\xff", "�"),
        ({1: ("a", {"b"})}, {"1": ["a", ["b"]]}),
        (UTC, "UTC"),
    ],
)
def test_a_value_becomes_what_json_has_for_it(value: object, wanted: object) -> None:
    assert jsonable(value) == wanted
    json.dumps(jsonable(value), allow_nan=False)


def test_personal_fields_are_masked_at_any_depth_and_in_other_texts() -> None:
    error = OutcomeUnknownError(
        f"lost for {SESSION.ema_id}", seen=(SESSION,), arguments={"ev_charge_number": SESSION.ema_id, "evse_id": "E"}
    )
    plain: Any = error.to_dict(redact=PERSONAL_FIELDS)
    assert plain["message"] == "lost for ***"
    assert plain["arguments"] == {"ev_charge_number": "***", "evse_id": "E"}
    assert (plain["seen"][0]["ema_id"], plain["seen"][0]["user_id"]) == ("***", "***")
    assert plain["seen"][0]["id"] == SESSION.id
    assert "C00122045" not in error.to_json(redact=PERSONAL_FIELDS)


def test_a_short_value_is_masked_in_its_own_field_alone() -> None:
    plain = ChargeSession(ema_id="1", evse_id="E1").to_dict(redact=PERSONAL_FIELDS)
    assert (plain["ema_id"], plain["evse_id"], plain["user_id"]) == ("***", "E1", None)


def test_the_personal_fields_are_fields_that_exist() -> None:
    start = inspect.signature(shell_ev.AsyncShellEV.start_charge).parameters
    assert {field.name for field in attrs.fields(ChargeSession)} | set(start) >= PERSONAL_FIELDS


# Representations


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (LOCATION, "Location('10050', 'Voltkade', 'Amsterdam', 1 of 2 free, 150 kW)"),
        (Location(), "Location(?, ?, ?, no EVSEs, ? kW)"),
        (EVSE, "Evse('NL*TNM*E02003451*0', Available, CCS 150, Type 2)"),
        (Evse(uid="1", deleted="x"), "Evse('1', deleted, no plugs)"),
        (CONNECTOR, "Connector(CCS 150, uid 7)"),
        (Coordinates(latitude=52.36, longitude=0.0), "Coordinates(latitude=52.36, longitude=0.0)"),
        (
            SESSION,
            "ChargeSession('78b5d7a3-bdba-43d7-9851-1c84fcddb782', paused, 'NL*TNM*E02003451*0', 'EvseInUse', "
            "since 2024-06-03 12:30:00+02:00)",
        ),
        (ChargeSession(), "ChargeSession(?, state unknown)"),
        (StartedSession(session_id="s"), "StartedSession(session_id='s')"),
        (FlatTariff(per_kwh=0.3, currency="EUR"), "FlatTariff(? start, ? a minute, 0.3 a kWh, EUR)"),
        (
            ElementTariff(
                tariff_id="T",
                elements=(
                    TariffElement(price_components=(PriceComponent(type=PriceComponentType.FLAT, price=1),) * 6),
                ),
            ),
            "ElementTariff('T', 1 FLAT, 1 FLAT, 1 FLAT, 1 FLAT, 2 more, currency unknown)",
        ),
        (answer((LOCATION, LOCATION)), "ApiResponse(200 SUCCESS, 2 x Location, 0.25 s)"),
        (answer(()), "ApiResponse(200 SUCCESS, none, 0.25 s)"),
        (answer(None, status=None, problems=("$.a",)), "ApiResponse(200, None, 0.25 s, 1 problems)"),
        (SessionError(message="x" * 100), f"SessionError(message='{'x' * 56}...)"),
    ],
)
def test_a_representation_is_one_short_line(value: object, wanted: str) -> None:
    assert repr(value) == wanted


def test_a_representation_of_hostile_text_is_one_line_without_escapes() -> None:
    shown = repr(Location(uid="a\n\x1b[31mb", operator_name="\u202e" * 100))
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert len(shown) < 500


def test_a_session_does_not_show_card_and_account() -> None:
    assert "C00122045" not in repr(SESSION)
    assert "1f0e9c46" not in repr(SESSION)


def test_25_locations_print_on_less_than_3000_characters() -> None:
    assert len(repr((LOCATION,) * 25)) < 3000


def test_rich_shows_what_is_known() -> None:
    shown = pretty_repr(Evse(uid="1", status=EvseStatus.OCCUPIED, connectors=(CONNECTOR,)), expand_all=True)
    assert "uid='1'" in shown
    assert "max_electric_power=150" in shown
    assert "physical_reference" not in shown


# Notebooks


class Cells(HTMLParser):
    """The texts of the cells, and all the tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag in ("td", "th", "p"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def html(value: Any) -> Cells:
    source: str = value._repr_html_()
    return Cells(source)


def test_an_answer_of_locations_is_a_table() -> None:
    found = html(answer((LOCATION,)))
    row = ["10050", "Voltkade", "Kade 1", "Amsterdam", "1 of 2", "CCS 150, Type 2", "150"]
    assert found.cells[-len(row) :] == row


def test_a_location_is_a_table_of_its_evses() -> None:
    found = html(LOCATION)
    assert "NL*TNM*E02003451*0" in found.cells
    assert html(EVSE).cells[-5:] == ["NL*TNM*E02003451*0", "Available", "CCS 150, Type 2", "150", ""]


def test_sessions_are_a_table() -> None:
    for value in (SESSION, answer((SESSION,)), answer(SESSION)):
        assert html(value).cells[-3:] == ["2024-06-03 12:30:00+02:00", "", "EvseInUse: in use"]


def test_an_answer_without_a_table_is_a_line() -> None:
    assert html(answer(())).tags == {"p"}
    assert html(answer(None)).tags == {"p"}


def test_texts_of_the_service_are_no_html() -> None:
    found = html(answer((Location(uid="<script>alert(1)</script>", operator_name="a\x1b[31m&amp;"),)))
    assert "script" not in found.tags
    assert "<script>alert(1)</script>" in found.cells
    assert "a [31m&amp;" in found.cells


def test_a_long_table_is_cut_and_says_so() -> None:
    found = html(answer((LOCATION,) * (LONGEST_TABLE + 3)))
    assert found.cells[-1] == "3 more"
    assert len(found.cells) < 8 * (LONGEST_TABLE + 3)


# Maps


def test_a_location_and_a_marker_are_features() -> None:
    assert LOCATION.__geo_interface__["geometry"] == {"type": "Point", "coordinates": [4.9, 52.36]}
    marker = SingleLocationMarker(location_uid="1", coordinates=Coordinates(latitude=1, longitude=2))
    assert marker.__geo_interface__["properties"]["uid"] == "1"
    assert UnknownLocationMarker(marker_type="New").__geo_interface__["geometry"] is None


def test_an_answer_of_them_is_a_collection() -> None:
    assert [feature["id"] for feature in answer((LOCATION,)).__geo_interface__["features"]] == ["10050"]
    assert answer(LOCATION).__geo_interface__["features"][0]["id"] == "10050"


def test_an_answer_of_sessions_has_no_place_on_a_map() -> None:
    assert not hasattr(answer((SESSION,)), "__geo_interface__")
    with pytest.raises(AttributeError, match="no locations and no markers"):
        _ = answer(None).__geo_interface__


# Answers of several items


def test_an_answer_of_several_is_iterable_and_sized() -> None:
    found = answer((LOCATION, LOCATION))
    assert list(found) == [LOCATION, LOCATION]
    assert len(found) == 2
    assert LOCATION in found


def test_an_empty_answer_is_true() -> None:
    assert len(answer(())) == 0
    assert answer(())


@pytest.mark.parametrize("use", [iter, len, list])
def test_an_answer_of_one_says_where_the_data_is(use: Any) -> None:
    with pytest.raises(TypeError, match=r"^an answer with one ChargeSession cannot be .*; use \.data$"):
        use(answer(SESSION))


# Opaque times

TIMES = [
    ("2021-10-06T10:44:24Z", datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC)),
    ("2021-10-06T10:44:24.123456+02:00", datetime(2021, 10, 6, 8, 44, 24, 123456, tzinfo=UTC)),
    ("2021-10-06T10:44:24", datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC)),
    ("2021-10-06 10:44:24", datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC)),
    ("10/06/2021 10:44:24", datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC)),
    (" 1/2/2021 03:04:05 ", datetime(2021, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("13/06/2021 10:44:24", None),
    ("2021-10-06", None),
    ("yesterday", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize("make", [Location, Evse, Connector, FlatTariff], ids=lambda make: make.__name__)
@pytest.mark.parametrize(("text", "wanted"), TIMES)
def test_an_opaque_time_is_read_where_it_can_be(make: Any, text: str | None, wanted: datetime | None) -> None:
    found = make(updated=text).updated_at
    assert found == wanted
    assert found is None or found.utcoffset() is not None


def test_every_opaque_updated_has_its_time() -> None:
    having = [model for model in MODELS if "updated" in {field.name for field in attrs.fields(model)}]
    assert {model.__name__ for model in having} == {"Location", "Evse", "Connector", "FlatTariff"}
    assert all(isinstance(vars(model)["updated_at"], property) for model in having)


def test_what_is_not_stopped_is_data_too() -> None:
    plain = ChargeNotStoppedError("still charging", session_id="s").to_dict()
    assert (plain["session_id"], plain["session"], plain["outcome_unknown"]) == ("s", None, True)
