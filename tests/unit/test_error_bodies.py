"""What is read out of the body of a failure, whatever its shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev import ErrorDetail
from shell_ev.wire.error_bodies import ErrorBody, read_error_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def read(document: Any) -> ErrorBody:
    return read_error_body(json.dumps(document).encode())


# Contract section 6, G1.0 charging.
PASCAL = {
    "RequestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
    "Status": "FAILED",
    "Errors": [
        {
            "Code": "E0001",
            "Title": "Bad Request",
            "Detail": "EvseId has an invalid format",
            "AdditionalInfo": {"Field": "EvseId", "Value": None},
        }
    ],
}
# Contract section 6, G1.3 and G2: every status but 500.
CAMEL = {
    "requestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
    "status": "FAILED",
    "errors": [{"code": "E0038", "message": "Not Found", "description": "Location Not Found", "details": ["a", "b"]}],
}
# Contract section 6, G1.3 and G2: 500 lists its details beside the errors.
CAMEL_500 = {
    "requestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
    "status": "FAILED",
    "errors": [{"code": "E0005", "message": "Internal Server Error", "description": "It broke"}],
    "details": ["first", "second"],
}


def test_the_envelope_of_g1_0_is_read_completely() -> None:
    assert read(PASCAL) == ErrorBody(
        code="E0001",
        message="Bad Request",
        request_id="9d2dee33-7803-485a-a2b1-2c7538e597ee",
        errors=(
            ErrorDetail(
                code="E0001",
                message="Bad Request",
                description="EvseId has an invalid format",
                additional_info={"Field": "EvseId", "Value": None},
            ),
        ),
    )


def test_the_envelope_of_g1_3_and_g2_is_read_completely() -> None:
    assert read(CAMEL) == ErrorBody(
        code="E0038",
        message="Not Found",
        request_id="9d2dee33-7803-485a-a2b1-2c7538e597ee",
        errors=(ErrorDetail(code="E0038", message="Not Found", description="Location Not Found", details=("a", "b")),),
    )


def test_the_details_beside_the_errors_of_a_500_are_not_lost() -> None:
    body = read(CAMEL_500)
    assert body.errors[0].details == ("first", "second")
    assert (body.code, body.message) == ("E0005", "Internal Server Error")


@pytest.mark.parametrize(
    ("document", "code", "message"),
    [
        ({"code": "E0001", "message": "Bad Request"}, "E0001", "Bad Request"),
        ({"code": 404, "message": "gone"}, "404", "gone"),
        (
            {
                "fault": {
                    "faultstring": "Rate limit quota violation",
                    "detail": {"errorcode": "policies.ratelimit.QuotaViolation"},
                }
            },
            "policies.ratelimit.QuotaViolation",
            "Rate limit quota violation",
        ),
        ({"fault": {"faultstring": "no detail"}}, None, "no detail"),
        ({"fault": {}}, None, None),
        ({"fault": "text"}, None, None),
        ({"error": "invalid_token", "error_description": "expired"}, "invalid_token", "expired"),
        ({"ErrorCode": "invalid_client", "Error": "ClientId is Invalid"}, "invalid_client", "ClientId is Invalid"),
        ({"errors": "plain text"}, None, "plain text"),
        ({"errors": ["one", "two"]}, None, "one"),
        ({"errors": {"code": "E1", "message": "alone"}}, "E1", "alone"),
        ({"errors": [{"details": ["only a detail"]}]}, None, "only a detail"),
        ({"errors": [{}, None, {"code": "E2"}, {"message": "later"}]}, "E2", "later"),
        ({"errors": 7}, None, "7"),
        ({"errors": None, "message": "m"}, None, "m"),
        ({"errors": [], "code": "c"}, "c", None),
        ({"ERRORS": [{"CODE": "E1", "TITLE": "t"}]}, "E1", "t"),
        ([{"code": "E1", "message": "bare list"}], "E1", "bare list"),
        ([], None, None),
        ({}, None, None),
        (None, None, None),
        ("text", None, None),
        (7, None, None),
    ],
)
def test_code_and_message_are_found_in_any_known_shape(document: Any, code: str | None, message: str | None) -> None:
    body = read(document)
    assert (body.code, body.message) == (code, message)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"requestId": "9d2d',
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"NaN",
        b"1" * 5000,
    ],
)
def test_a_body_that_is_no_json_is_an_empty_error_body(raw: bytes) -> None:
    assert read_error_body(raw) == ErrorBody()


@given(JSON)
def test_errors_may_hold_anything(errors: Any) -> None:
    body = read({"requestId": "r", "errors": errors})
    assert body.request_id == "r"
    assert all(isinstance(detail, ErrorDetail) for detail in body.errors)


@given(JSON, st.sampled_from(["code", "title", "details", "additionalInfo", "message", "description"]))
def test_every_field_of_an_entry_may_hold_anything(value: Any, field: str) -> None:
    (detail,) = read({"errors": [{field: value, "Detail": "kept"}]}).errors
    assert detail.description is not None
    for text in (detail.code, detail.message, detail.description, *detail.details):
        assert text is None or isinstance(text, str)


@given(st.binary(max_size=200) | JSON.map(lambda document: json.dumps(document).encode()))
def test_no_body_at_all_makes_it_raise(raw: bytes) -> None:
    assert isinstance(read_error_body(raw), ErrorBody)


def test_a_mask_sees_every_decoded_text() -> None:
    entry = rb'{"message":"no \u0073ecret here","details":["s\u0065cret"],"additionalInfo":{"secret":"secret"}}'
    raw = b'{"errors":[' + entry + b"]}"
    body = read_error_body(raw, lambda text: text.replace("secret", "***"))
    assert "secret" not in repr(body)
    assert body.message == "no *** here"
