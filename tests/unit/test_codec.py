"""Answers are decoded: the documented examples completely, everything else as far as it can be read."""

from __future__ import annotations

import contextlib
import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shell_ev import ApiVersion, ChargeSession, SessionError, SessionErrorCode, SessionState, StartedSession
from shell_ev.endpoints.locations import LOCATION, LOCATIONS, MARKERS
from shell_ev.models.enums import EnvelopeStatus
from shell_ev.wire.codec import Codec, parse_json
from shell_ev.wire.results import NOTHING, SESSION, SESSIONS, STARTED, Decoded, Result, Undecodable

VERSIONS = list(ApiVersion)
RESULTS = {
    "session": SESSION,
    "sessions": SESSIONS,
    "started": STARTED,
    "nothing": NOTHING,
    "location": LOCATION,
    "locations": LOCATIONS,
    "markers": MARKERS,
}

# The examples of the documentation, word for word: seed 001 for G1.0, seed 000 for G1.3 and G2.
PASCAL_START = """{
  "RequestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "Status": "SUCCESS",
  "Data": [
    {
      "SessionId": "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"
    }
  ]
}"""
PASCAL_STOP = """{
  "RequestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "Status": "SUCCESS"
}"""
PASCAL_RETRIEVE = """{
  "RequestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "Status": "SUCCESS",
  "Data": [
    {
      "EmaId": "NL-TNM-C0216599X-A",
      "EvseId": "NL*TNM*EVIRTUALCP0002*0",
      "Id": "4eaf3619-d095-486f-8590-cac75fb21c1b",
      "StartedAt": "2022-10-21T09:56:59.725Z",
      "Sessionstate": "stopped",
      "StoppedAt": "2022-10-21T09:57:25.468Z",
      "SessionCode": null,
      "SessionMessage": null,
      "UserId": "96f69b3b-8ad4-487a-baaa-f1d3db741e88"
    }
  ]
}"""
PASCAL_ACTIVE = """{
  "RequestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "Status": "SUCCESS",
  "Data": [
    {
      "EmaId": "NL-TNM-C0216599X-A",
      "EvseId": "NL*TNM*EVIRTUALCP0002*0",
      "Id": "260f17a9-52d4-4b40-ae74-83832b538975",
      "StartedAt": "2022-10-21T09:11:23.455Z",
      "SessionState": "started",
      "SessionCode": null,
      "SessionMessage": null,
      "UserId": "96f69b3b-8ad4-487a-baaa-f1d3db741e88"
    }
  ]
}"""
CAMEL_START = """{
  "requestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "status": "SUCCESS",
  "data": [
    {
      "sessionId": "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"
    }
  ]
}"""
CAMEL_STOP = """{
  "requestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "status": "SUCCESS"
}"""
CAMEL_RETRIEVE = """{
  "requestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "status": "SUCCESS",
  "data": [
    {
      "id": "78b5d7a3-bdba-43d7-9851-1c84fcddb782",
      "userId": "281482b6-2c9a-4fd1-b3ea-1928edb40ef9",
      "emaId": "NL-TNM-C00122045-K",
      "evseId": "NL*TNM*E02003451*0",
      "lastUpdated": "2024-06-19T07:36:57.985998Z",
      "startedAt": "2024-06-19T11:20:27Z",
      "stoppedAt": "2014-06-19T12:20:27Z",
      "sessionState": {
        "status": "Started"
      }
    }
  ]
}"""
CAMEL_ACTIVE = """{
  "requestId": "9d2dee33-7803-485a-a2b1-2c7538e597ee",
  "status": "SUCCESS",
  "data": [
    {
      "id": "78b5d7a3-bdba-43d7-9851-1c84fcddb782",
      "userId": "281482b6-2c9a-4fd1-b3ea-1928edb40ef9",
      "emaId": "NL-TNM-C00122045-K",
      "evseId": "NL*TNM*E02003451*0",
      "startedAt": "2015-08-19T11:20:27Z",
      "stoppedAt": "2015-08-19T11:20:27Z",
      "SessionState": {
        "status": "Started"
      },
      "lastUpdated": "2024-07-17T07:36:57.985998Z"
    }
  ]
}"""


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


IS_STARTED = StartedSession(session_id="c3e332f0-1bb2-4f50-a96b-e075bbb71e68")
PASCAL_RETRIEVED = ChargeSession(
    id="4eaf3619-d095-486f-8590-cac75fb21c1b",
    user_id="96f69b3b-8ad4-487a-baaa-f1d3db741e88",
    ema_id="NL-TNM-C0216599X-A",
    evse_id="NL*TNM*EVIRTUALCP0002*0",
    state=SessionState.STOPPED,
    error=None,
    started_at=utc(2022, 10, 21, 9, 56, 59, 725000),
    stopped_at=utc(2022, 10, 21, 9, 57, 25, 468000),
    last_updated=None,
)
PASCAL_LISTED = ChargeSession(
    id="260f17a9-52d4-4b40-ae74-83832b538975",
    user_id="96f69b3b-8ad4-487a-baaa-f1d3db741e88",
    ema_id="NL-TNM-C0216599X-A",
    evse_id="NL*TNM*EVIRTUALCP0002*0",
    state=SessionState.STARTED,
    started_at=utc(2022, 10, 21, 9, 11, 23, 455000),
)
CAMEL_RETRIEVED = ChargeSession(
    id="78b5d7a3-bdba-43d7-9851-1c84fcddb782",
    user_id="281482b6-2c9a-4fd1-b3ea-1928edb40ef9",
    ema_id="NL-TNM-C00122045-K",
    evse_id="NL*TNM*E02003451*0",
    state=SessionState.STARTED,
    started_at=utc(2024, 6, 19, 11, 20, 27),
    stopped_at=utc(2014, 6, 19, 12, 20, 27),
    last_updated=utc(2024, 6, 19, 7, 36, 57, 985998),
)
CAMEL_LISTED = ChargeSession(
    id="78b5d7a3-bdba-43d7-9851-1c84fcddb782",
    user_id="281482b6-2c9a-4fd1-b3ea-1928edb40ef9",
    ema_id="NL-TNM-C00122045-K",
    evse_id="NL*TNM*E02003451*0",
    state=SessionState.STARTED,
    started_at=utc(2015, 8, 19, 11, 20, 27),
    stopped_at=utc(2015, 8, 19, 11, 20, 27),
    last_updated=utc(2024, 7, 17, 7, 36, 57, 985998),
)
EXAMPLES = [
    ("pascal start", "v1-pascal", STARTED, PASCAL_START, IS_STARTED),
    ("pascal stop", "v1-pascal", NOTHING, PASCAL_STOP, None),
    ("pascal retrieve", "v1-pascal", SESSION, PASCAL_RETRIEVE, PASCAL_RETRIEVED),
    ("pascal active", "v1-pascal", SESSIONS, PASCAL_ACTIVE, (PASCAL_LISTED,)),
]
for _version in ("v1", "v2"):
    EXAMPLES += [
        (f"{_version} start", _version, STARTED, CAMEL_START, IS_STARTED),
        (f"{_version} stop", _version, NOTHING, CAMEL_STOP, None),
        (f"{_version} retrieve", _version, SESSION, CAMEL_RETRIEVE, CAMEL_RETRIEVED),
        (f"{_version} active", _version, SESSIONS, CAMEL_ACTIVE, (CAMEL_LISTED,)),
    ]


def decode(document: Any, result: Result = SESSION, version: str = "v2") -> Decoded:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Codec(ApiVersion(version)).decode(result, raw)


def session(item: Any, version: str = "v2") -> ChargeSession:
    """One session out of an envelope of that dialect."""
    names = ("RequestId", "Status", "Data") if version == "v1-pascal" else ("requestId", "status", "data")
    data: ChargeSession = decode(dict(zip(names, ("r", "SUCCESS", [item]), strict=True)), SESSION, version).data
    return data


@pytest.mark.parametrize(
    ("version", "result", "text", "wanted"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES]
)
def test_the_examples_of_the_documentation_are_read_completely(
    version: str, result: Result, text: str, wanted: Any
) -> None:
    decoded = decode(text.encode(), result, version)
    assert decoded.data == wanted
    assert decoded.request_id == "9d2dee33-7803-485a-a2b1-2c7538e597ee"
    assert decoded.status is EnvelopeStatus.SUCCESS
    assert decoded.problems == ()


@pytest.mark.parametrize(
    ("version", "result", "text", "wanted"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES]
)
@pytest.mark.parametrize("other", VERSIONS)
def test_every_dialect_decodes_the_examples_of_every_other(
    version: str, result: Result, text: str, wanted: Any, other: str
) -> None:
    assert decode(text.encode(), result, other).data == wanted


STATE_KEYS = [
    "sessionState",
    "SessionState",
    "Sessionstate",
    "sessionstate",
    "SESSIONSTATE",
    "session_state",
    "session-state",
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", STATE_KEYS)
@pytest.mark.parametrize(
    "value",
    [
        "started",
        "Started",
        "STARTED",
        {"status": "Started"},
        {"Status": "started"},
        {"status": "started", "error": None},
    ],
    ids=str,
)
def test_the_state_is_read_under_every_spelling_as_text_and_as_an_object(version: str, key: str, value: Any) -> None:
    got = session({"id": "x", key: value}, version)
    assert got.state is SessionState.STARTED
    assert got.error is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("member", list(SessionState))
def test_every_state_is_known_in_any_case(version: str, member: SessionState) -> None:
    for text in (member.value, member.value.upper(), member.value.title(), member.value.replace("-", "")):
        assert session({"id": "x", "sessionState": text}, version).state is member
        assert session({"id": "x", "sessionState": {"status": text}}, version).state is member


@pytest.mark.parametrize("version", VERSIONS)
def test_null_beside_a_state_of_another_spelling_is_ignored(version: str) -> None:
    for item in ({"sessionState": "started", "SessionState": None}, {"SessionState": None, "sessionState": "started"}):
        assert session({"id": "x", **item}, version).state is SessionState.STARTED


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("item", "state", "error"),
    [
        (
            {"SessionState": "failed-to-start", "SessionCode": "EvseInUse", "SessionMessage": "Somebody charges"},
            SessionState.FAILED_TO_START,
            SessionError(code=SessionErrorCode.EVSE_IN_USE, message="Somebody charges"),
        ),
        (
            {"sessionState": {"status": "failed-to-start", "error": {"code": "EvseInUse", "message": "Busy"}}},
            SessionState.FAILED_TO_START,
            SessionError(code=SessionErrorCode.EVSE_IN_USE, message="Busy"),
        ),
        (
            {"sessionState": {"STATUS": "Failed-To-Stop", "Error": {"Code": "evseinuse", "Message": ""}}},
            SessionState.FAILED_TO_STOP,
            SessionError(code=SessionErrorCode.EVSE_IN_USE, message=""),
        ),
        (
            {"sessionState": {"status": "stopped", "error": "as text"}},
            SessionState.STOPPED,
            SessionError(message="as text"),
        ),
        (
            {"sessionState": {"error": {"code": "InternalError"}}},
            None,
            SessionError(code=SessionErrorCode.INTERNAL_ERROR),
        ),
        ({"SessionCode": "InternalError"}, None, SessionError(code=SessionErrorCode.INTERNAL_ERROR)),
        ({"sessionState": {}}, None, None),
        ({"sessionState": None}, None, None),
        ({}, None, None),
    ],
    ids=str,
)
def test_the_error_of_a_session_is_read_in_the_shape_of_any_dialect(
    version: str, item: dict[str, Any], state: SessionState | None, error: SessionError | None
) -> None:
    got = session({"id": "x", **item}, version)
    assert (got.state, got.error) == (state, error)


@pytest.mark.parametrize("code", list(SessionErrorCode))
def test_every_documented_session_code_is_known(code: SessionErrorCode) -> None:
    got = session({"Id": "x", "SessionCode": code.value}, "v1-pascal")
    assert got.error is not None
    assert got.error.code is code


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_words_are_kept_as_they_are(version: str) -> None:
    got = session({"id": "x", "sessionState": {"status": "Paused", "error": {"code": "NewCode"}}}, version)
    assert got.state is not None
    assert (got.state.value, got.state.is_known) == ("Paused", False)
    assert got.error is not None
    assert got.error.code is not None
    assert (got.error.code.value, got.error.code.is_known) == ("NewCode", False)


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_fields_are_ignored(version: str) -> None:
    document = json.loads(CAMEL_RETRIEVE)
    document["new"] = {"a": [1]}
    document["data"][0]["newField"] = {"deep": [{"er": None}]}
    document["data"][0]["sessionState"]["since"] = "yesterday"
    decoded = decode(document, SESSION, version)
    assert decoded.data == CAMEL_RETRIEVED
    assert decoded.problems == ()


@pytest.mark.parametrize(
    ("wire", "moment"),
    [
        ("2024-06-19T07:36:57.985998Z", utc(2024, 6, 19, 7, 36, 57, 985998)),
        ("08/19/2015 11:20:27", utc(2015, 8, 19, 11, 20, 27)),
        ("2024-06-19T11:20:27", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19T13:20:27+02:00", utc(2024, 6, 19, 11, 20, 27)),
        (None, None),
    ],
)
def test_times_are_read_in_every_documented_form(wire: str | None, moment: datetime | None) -> None:
    for key in ("startedAt", "stoppedAt", "lastUpdated"):
        decoded = decode({"status": "SUCCESS", "data": [{"id": "x", key: wire}]})
        got = {"startedAt": decoded.data.started_at, "stoppedAt": decoded.data.stopped_at}
        assert got.get(key, decoded.data.last_updated) == moment
        assert decoded.problems == ()


@pytest.mark.parametrize("bad", ["soon", "", 1718782617, [], {}, True, "2024-99-99T00:00:00Z"])
def test_an_unreadable_time_becomes_none_and_the_rest_is_kept(bad: Any) -> None:
    document = json.loads(CAMEL_RETRIEVE)
    document["data"][0]["startedAt"] = bad
    decoded = decode(document)
    assert decoded.data.started_at is None
    assert decoded.data.stopped_at == CAMEL_RETRIEVED.stopped_at
    assert decoded.data.state is SessionState.STARTED
    assert [problem.partition(":")[0] for problem in decoded.problems] == ["$.data[0].startedAt"]


def test_numbers_become_text_and_empty_text_is_kept() -> None:
    got = session({"id": 0, "userId": False, "emaId": "", "evseId": 42.0})
    assert (got.id, got.user_id, got.ema_id, got.evse_id) == ("0", "false", "", "42")


def test_missing_and_null_are_none() -> None:
    assert session({"id": None, "userId": "u"}) == ChargeSession(user_id="u")


def test_nan_becomes_none_and_the_rest_is_kept() -> None:
    decoded = decode(b'{"status":"SUCCESS","data":[{"id":NaN,"userId":"u","emaId":Infinity,"evseId":-Infinity}]}')
    assert decoded.data == ChargeSession(user_id="u")


@pytest.mark.parametrize(
    "document", [{"status": "SUCCESS"}, {"status": "SUCCESS", "data": None}, {"requestId": "r", "data": []}]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_envelope_without_data_is_an_empty_list(version: str, document: Any) -> None:
    assert decode(document, SESSIONS, version).data == ()


@pytest.mark.parametrize(
    "document", [{"status": "SUCCESS"}, {"status": "SUCCESS", "data": None}, {"requestId": "r", "data": []}]
)
@pytest.mark.parametrize("result", ["session", "started"])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_envelope_without_data_is_undecodable_for_one_item(version: str, document: Any, result: str) -> None:
    with pytest.raises(Undecodable):
        decode(document, RESULTS[result], version)


@pytest.mark.parametrize("version", VERSIONS)
def test_data_that_is_an_object_is_a_list_of_one(version: str) -> None:
    document = {"status": "SUCCESS", "data": {"id": "x"}}
    assert decode(document, SESSION, version).data == ChargeSession(id="x")
    assert decode(document, SESSIONS, version).data == (ChargeSession(id="x"),)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_list_without_an_envelope_is_the_data(version: str) -> None:
    assert decode([{"id": "x"}], SESSIONS, version).data == (ChargeSession(id="x"),)


@pytest.mark.parametrize(
    "keys", [("REQUESTID", "STATUS", "DATA"), ("Requestid", "statuS", "dAta"), ("request_id", "status", "data")]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_keys_of_an_envelope_are_read_in_any_case(version: str, keys: tuple[str, str, str]) -> None:
    decoded = decode(dict(zip(keys, ("r", "success", [{"Id": "x"}]), strict=True)), SESSION, version)
    assert decoded == Decoded(ChargeSession(id="x"), "r", EnvelopeStatus.SUCCESS, ())


@pytest.mark.parametrize(("wire", "text"), [(None, None), (7, "7"), ([], None), ({}, None), ("", "")])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_odd_request_id_in_an_envelope_is_tolerated(version: str, wire: Any, text: str | None) -> None:
    assert decode({"requestId": wire, "status": "SUCCESS"}, NOTHING, version).request_id == text


@pytest.mark.parametrize("status", ["PARTIAL_SUCCESS", "OK", "", 7, None, [], {}])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_odd_status_in_an_envelope_is_tolerated(version: str, status: Any) -> None:
    assert decode({"requestId": "r", "status": status, "data": [{"id": "x"}]}, SESSION, version).data.id == "x"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html>",
        b"null",
        b"7",
        b'"text"',
        b"true",
        b"{",
        b"{}",
        b'{"a": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_body_without_an_answer_is_undecodable(version: str, body: bytes) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(body, SESSION, version)
    assert caught.value.problems


@pytest.mark.parametrize("result", ["session", "sessions", "started", "nothing"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_body_that_is_no_json_is_undecodable_for_every_operation(version: str, result: str) -> None:
    with pytest.raises(Undecodable):
        decode(b"<html>", RESULTS[result], version)


@pytest.mark.parametrize("version", VERSIONS)
def test_more_than_one_item_where_one_was_expected_is_a_problem(version: str) -> None:
    decoded = decode({"status": "SUCCESS", "data": [{"id": "x"}, {"id": "y"}]}, SESSION, version)
    assert decoded.data.id == "x"
    assert len(decoded.problems) == 1


BAD_ITEMS = [None, 7, "text", [], True, {"somebody": "elses"}, {"id": []}, {"id": {"a": 1}, "sessionState": 7.5}]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bad", BAD_ITEMS, ids=str)
def test_one_bad_item_never_loses_the_rest(version: str, bad: Any) -> None:
    document = json.loads(CAMEL_ACTIVE)
    intact = document["data"][0]
    document["data"] = [intact, bad, intact]
    decoded = decode(document, SESSIONS, version)
    assert decoded.data[0] == CAMEL_LISTED
    assert decoded.data[-1] == CAMEL_LISTED
    assert decoded.problems
    assert all(problem.startswith("$.data[1]") for problem in decoded.problems)


@pytest.mark.parametrize("bad", [None, 7, "text", {}, {"sessionId": None}, {"sessionId": []}])
def test_a_start_without_a_session_id_is_undecodable(bad: Any) -> None:
    with pytest.raises(Undecodable):
        decode({"status": "SUCCESS", "data": [bad]}, STARTED)


def test_a_body_is_utf_8_and_one_broken_character_costs_only_itself() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": "\xc3\xa9"}') == {"a": "\u00e9"}
    assert parse_json(b'{"a": "caf\xe9", "b": 1}') == {"a": "caf\ufffd", "b": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
KEYS = st.sampled_from(
    [
        "id",
        "userId",
        "emaId",
        "evseId",
        "startedAt",
        "stoppedAt",
        "sessionState",
        "SessionState",
        "lastUpdated",
        "SessionCode",
        "SessionMessage",
        "sessionId",
        "uid",
        "evses",
        "markerType",
        "tariffs",
        "connectors",
    ]
)
ITEMS = st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=6) | JSON
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "data": st.lists(ITEMS, max_size=4) | ITEMS,
        "Data": JSON,
        "status": JSON,
        "requestId": JSON,
        "errors": JSON,
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(VERSIONS), st.sampled_from(list(RESULTS.values())), ENVELOPES | ITEMS)
def test_no_json_makes_decoding_raise_anything_but_undecodable(
    version: ApiVersion, result: Result, document: Any
) -> None:
    raw = json.dumps(document).encode()
    with contextlib.suppress(Undecodable):
        Codec(version).decode(result, raw)


@given(st.sampled_from(VERSIONS), st.sampled_from(list(RESULTS.values())), st.binary(max_size=300))
def test_no_bytes_make_decoding_raise_anything_but_undecodable(version: ApiVersion, result: Result, raw: bytes) -> None:
    with contextlib.suppress(Undecodable):
        Codec(version).decode(result, raw)


@given(st.sampled_from(VERSIONS), st.integers(0, 500), st.integers(0, 255))
def test_no_single_broken_byte_makes_decoding_raise_anything_but_undecodable(
    version: ApiVersion, at: int, byte: int
) -> None:
    raw = bytearray(CAMEL_RETRIEVE.encode())
    raw[at % len(raw)] = byte
    with contextlib.suppress(Undecodable):
        Codec(version).decode(SESSION, bytes(raw))


@given(st.data(), st.sampled_from(VERSIONS))
def test_any_damage_to_one_item_leaves_the_others_intact(data: st.DataObject, version: ApiVersion) -> None:
    """A page of sessions in which one item is replaced, robbed of keys, or filled with values of any kind."""
    pascal = version is ApiVersion.V1_PASCAL
    document = json.loads(PASCAL_ACTIVE if pascal else CAMEL_ACTIVE)
    wanted = PASCAL_LISTED if pascal else CAMEL_LISTED
    key = "Data" if pascal else "data"
    (item,) = document[key]
    document[key] = [copy.deepcopy(item) for _ in range(4)]
    at = data.draw(st.integers(0, 3), label="which item")
    victim = document[key][at]
    if data.draw(st.booleans(), label="replace it"):
        document[key][at] = data.draw(JSON)
    else:
        for name in data.draw(st.lists(st.sampled_from(list(victim)), unique=True), label="keys"):
            if data.draw(st.booleans(), label=f"drop {name}"):
                del victim[name]
            else:
                victim[name] = data.draw(JSON)
        victim.update(data.draw(st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=3)))
    decoded = decode(document, SESSIONS, version)
    intact = [session for session in decoded.data if session == wanted]
    assert len(intact) >= 3
    assert len(decoded.data) in (3, 4)
    if len(decoded.data) == 3:
        assert any(problem.startswith(f"$.{key}[{at}]") for problem in decoded.problems)
