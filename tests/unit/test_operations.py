"""Operations are built into the documented paths, queries and bodies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev import ApiVersion, ConnectorType
from shell_ev.wire.operations import (
    ACTIVE,
    LOCATIONS_GET,
    LOCATIONS_LIST,
    OPERATIONS,
    RETRIEVE,
    START,
    STOP,
    Argument,
    Route,
    build,
    form_body,
    wire_text,
)

ECHO = Route(method="GET", path="/echo/{id}", arguments=(Argument("id", "path", "id"), Argument("q", "query", "q")))


def test_only_start_and_stop_must_not_be_repeated() -> None:
    assert {operation.name for operation in OPERATIONS if not operation.repeatable} == {
        "charging.start",
        "charging.stop",
    }
    for operation in OPERATIONS:
        for route in operation.routes.values():
            assert (route.method == "GET") is operation.repeatable


def test_every_operation_has_a_unique_name_and_a_route_in_every_dialect() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS) == 8
    for operation in OPERATIONS:
        assert set(operation.routes) == set(ApiVersion)


@pytest.mark.parametrize(
    ("operation", "version", "arguments", "method", "path", "body"),
    [
        (
            STOP,
            "v1-pascal",
            {"session_id": "a*/b", "uuid": "a*/b"},
            "POST",
            "/ev/v1/charge-session/stop/a%2A%2Fb",
            b'{"SesssionId":"a*/b"}',
        ),
        (STOP, "v2", {"session_id": "a*/b"}, "POST", "/ev/v2/charge-session/stop?sessionId=a%2A%2Fb", None),
        (
            RETRIEVE,
            "v1-pascal",
            {"session_id": "x", "uuid": "y"},
            "GET",
            "/ev/v1/charge-session/retrieve/y?SessionId=x",
            None,
        ),
        (ACTIVE, "v1", {"ema_id": "a b+c&d"}, "GET", "/ev/v1/charge-session/active?emaId=a%20b%2Bc%26d", None),
        (
            START,
            "v2",
            {"ev_charge_number": "", "evse_id": '\u00e9\u2028"'},
            "POST",
            "/ev/v2/charge-session/start",
            '{"evChargeNumber":"","evseId":"\u00e9\u2028\\""}'.encode(),
        ),
        (LOCATIONS_GET, "v2", {"uid": "a/b"}, "GET", "/ev/v2/locations/a%2Fb", None),
        (LOCATIONS_GET, "v1-pascal", {"uid": "1", "since": "x"}, "GET", "/locations/v1/ev/1", None),
        (
            LOCATIONS_LIST,
            "v1",
            {"country": ["NLD", "BEL"], "page_number": 0, "with_operator_name": False, "evse_id": ""},
            "GET",
            "/ev/v1/locations?withOperatorName=false&evseId=&pageNumber=0&country%5B0%5D=NLD&country%5B1%5D=BEL",
            None,
        ),
        (LOCATIONS_LIST, "v2", {"evse_status": None}, "GET", "/ev/v2/locations", None),
    ],
)
def test_an_operation_is_built_as_documented(
    operation: Any, version: str, arguments: dict[str, Any], method: str, path: str, body: bytes | None
) -> None:
    route = operation.routes[ApiVersion(version)]
    assert (route.method, *build(route, arguments)) == (method, path, body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (52, "52"),
        (52.0, "52.0"),
        (-33.25, "-33.25"),
        (1e-07, "0.0000001"),
        (1e22, "10000000000000000000000"),
        ("", ""),
        (ConnectorType.SAE_J1772, "SAEJ1772"),
        (ConnectorType("Future"), "Future"),
        (datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC), "2021-10-06T10:44:24+00:00"),
        (datetime(2021, 10, 6, 10, 44, 24, tzinfo=timezone(timedelta(hours=2))), "2021-10-06T10:44:24+02:00"),
    ],
)
def test_a_value_is_spelled_as_documented(value: Any, text: str) -> None:
    assert wire_text(value) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_stays_in_its_place_and_arrives_unchanged(in_path: str, in_query: str) -> None:
    path, _ = build(ECHO, {"id": in_path, "q": in_query})
    parts = urlsplit("http://host" + path)
    assert parts.path.count("/") == 2
    assert parts.fragment == ""
    assert parse_qsl(parts.query, keep_blank_values=True) == [("q", in_query)]


def test_a_form_is_percent_encoded_utf_8() -> None:
    assert form_body({"grant_type": "client_credentials", "scope": "a b+\u00e9"}) == (
        b"grant_type=client_credentials&scope=a+b%2B%C3%A9"
    )


def test_wire_names_are_ascii_letters() -> None:
    names = {
        seat.wire_name for operation in OPERATIONS for route in operation.routes.values() for seat in route.arguments
    }
    assert {name for name in names if not (name.isascii() and name.isalpha())} == set()
