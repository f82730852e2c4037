"""Both engines read every body alike: data, problems, status and request id, or the same refusal."""

from __future__ import annotations

import copy
import importlib.util
import json
from typing import Any

import pytest
from every_field import every_field
from hypothesis import given, settings
from hypothesis import strategies as st

from shell_ev.dialects import ApiVersion
from shell_ev.endpoints.locations import LOCATION, LOCATIONS, MARKERS
from shell_ev.errors import ConfigurationError
from shell_ev.sandbox.location_wire import QUIET, multi_marker, single_marker, station_document
from shell_ev.sandbox.network import load_network
from shell_ev.sandbox.records import Dialect
from shell_ev.wire.codec import Codec, Engine, engine
from shell_ev.wire.results import NOTHING, SESSION, SESSIONS, STARTED, Result, Undecodable

_DIALECTS = {
    ApiVersion.V1_PASCAL: Dialect.V1_PASCAL,
    ApiVersion.V1: Dialect.V1,
    ApiVersion.V2: Dialect.V2,
}
_RESULTS = {
    "session": SESSION,
    "sessions": SESSIONS,
    "started": STARTED,
    "nothing": NOTHING,
    "location": LOCATION,
    "locations": LOCATIONS,
    "markers": MARKERS,
}
needs_msgspec = pytest.mark.skipif(importlib.util.find_spec("msgspec") is None, reason="the extra speed is missing")

_SESSION = {
    "id": "78b5d7a3-bdba-43d7-9851-1c84fcddb782",
    "userId": "281482b6-2c9a-4fd1-b3ea-1928edb40ef9",
    "emaId": "NL-TNM-C00122045-K",
    "evseId": "NL*TNM*E02003451*0",
    "lastUpdated": "2024-06-19T07:36:57.985998Z",
    "startedAt": "2024-06-19T11:20:27Z",
    "stoppedAt": None,
    "sessionState": {"status": "Started", "error": {"code": "EvseInUse", "message": "taken"}},
}
_PASCAL_SESSION = {
    "Id": "78b5d7a3-bdba-43d7-9851-1c84fcddb782",
    "UserId": "281482b6-2c9a-4fd1-b3ea-1928edb40ef9",
    "EmaId": "NL-TNM-C00122045-K",
    "EvseId": "NL*TNM*E02003451*0",
    "StartedAt": "2015-08-19T11:20:27.123Z",
    "StoppedAt": "08/19/2015 12:20:27",
    "SessionState": "failed-to-start",
    "SessionCode": "EvseOutOfService",
    "SessionMessage": "",
}


def _documents(version: ApiVersion) -> dict[str, Any]:
    """A clean answer to every operation, as the sandbox would give it."""
    dialect, pascal = _DIALECTS[version], version is ApiVersion.V1_PASCAL
    stations = load_network(2026, 12).stations[:6]
    places = [station_document(station, dialect, provider_id="NL-TNM") for station in stations]
    markers = [
        single_marker(stations[0], dialect, QUIET, with_operator_name=True, with_max_power=True),
        multi_marker(list(stations[:3]), dialect, with_operator_name=True, with_max_power=True),
    ]
    session = _PASCAL_SESSION if pascal else _SESSION

    def wrapped(data: Any, bare: bool = False) -> Any:
        if bare and pascal:
            return data
        if pascal:
            return {"RequestId": "r-1", "Status": "SUCCESS", "Data": data}
        return {"requestId": "r-1", "status": "SUCCESS", "data": data}

    nothing = wrapped(None)
    nothing.pop("Data" if pascal else "data")
    return {
        "session": wrapped([session]),
        "sessions": wrapped([session, session, {**session, "Sessionstate": None}]),
        "started": wrapped([{"SessionId" if pascal else "sessionId": "78b5d7a3-bdba-43d7-9851-1c84fcddb782"}]),
        "nothing": nothing,
        "location": wrapped(places[0] if pascal else [places[0]], bare=True),
        "locations": wrapped(places, bare=True),
        "markers": wrapped(markers, bare=True),
    }


DOCUMENTS = {version: _documents(version) for version in ApiVersion}


def _read(codec: Codec, result: Result, body: bytes) -> Any:
    try:
        decoded = codec.decode(result, body)
    except Undecodable as refusal:
        return refusal.problems
    # Field by field as well: 0 equals 0.0, and a text equals a member of our enums.
    return decoded, every_field(decoded)


def _assert_alike(version: ApiVersion, result: Result, body: bytes) -> None:
    assert _read(Codec(version, "msgspec"), result, body) == _read(Codec(version, "cattrs"), result, body)


_CASES = [(version, name) for version in ApiVersion for name in _RESULTS]


@needs_msgspec
@pytest.mark.parametrize(("version", "name"), _CASES)
def test_a_documented_body_is_decoded_alike_and_by_msgspec(version: ApiVersion, name: str) -> None:
    body = json.dumps(DOCUMENTS[version][name]).encode()
    _assert_alike(version, _RESULTS[name], body)
    fast = Codec(version, "msgspec")._fast
    assert fast is not None
    clean = fast[_RESULTS[name]](body)
    assert (clean is None) == (name == "nothing"), "a clean body fell back to the slow way"


_ODD_BODIES = [
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b"[[]]",
    b"[null]",
    b"{",
    b"NaN",
    b'"text"',
    b"\xef\xbb\xbf{}",
    b'{"data": []}',
    b'{"data": null}',
    b'{"data": {}}',
    b'{"data": [{}]}',
    b'{"data": [null]}',
    b'{"status": "FAILED"}',
    b'{"status": "failed", "data": [{}]}',
    b'{"status": "", "data": []}',
    b'{"status": 7, "data": []}',
    b'{"requestId": 7, "status": "SUCCESS", "data": []}',
    b'{"requestId": null, "status": null, "data": null}',
    b'{"Status": "SUCCESS", "Data": []}',
    b'{"Status": "FAILED", "RequestId": "x"}',
    b'{"data": [], "Data": [{}]}',
    b'{"data": [{}], "data": []}',
    b'{"data": []} trailing',
    b'{"data": []}\n ',
    b'{"data": [{"uid": 1e999}]}',
    b'{"data": [{"uid": NaN, "updated": "\xff"}]}',
    b'{"data": [{"uid": "\\ud800"}]}',
    b'{"data": [{"uid": 123456789012345678901234567890}, {"uid": 42.0}, {"uid": 1e20}, {"uid": -0.0}]}',
    b'{"data": [{"coordinates": {"latitude": -0, "longitude": 1}}]}',
    b'{"data": [{"coordinates": {"latitude": 1e999, "longitude": "7"}}]}',
    b'{"data": [{"coordinates": {"latitude": 12345678901234567890, "longitude": 9007199254740993}}]}',
    b'{"data": [{"coordinates": {}, "evses": [null], "openingHours": {}}]}',
    b'{"data": [{"evses": [{"authorizationMethods": "rfidtoken", "status": "OCCUPIED"}, {"status": "Dancing"}]}]}',
    b'{"data": [{"evses": [{"authorizationMethods": ["PnC", null]}]}]}',
    b'{"data": [{"uid": "1", "uid": "2", "UID": "3"}]}',
    b'{"data": [{"markerType": "SingleLocation"}, {"markerType": "Cluster"}, {"markerType": "multilocation"}, {}]}',
    b'{"data": [{"evseCount": 3, "markerType": "MultiLocation", "locationCount": 2.0}]}',
    b'{"data": [{"markerType": "SingleLocation", "markerType": "MultiLocation"}]}',
    b'{"data": {"markerType": "SingleLocation", "locationUid": 7}}',
    b'{"data": [{"sessionId": ""}]}',
    b'{"data": [{"sessionId": null}]}',
    b'{"data": [{"SessionId": 7}]}',
    b'{"data": [{"sessionState": ""}]}',
    b'{"data": [{"sessionState": "Started", "SessionState": null}]}',
    b'{"data": [{"sessionState": {"status": "Started"}, "SessionState": {"status": "stopped"}}]}',
    b'{"data": [{"sessionState": {}}]}',
    b'{"data": [{"sessionState": {"Status": "paused", "error": ""}}]}',
    b'{"data": [{"SessionState": {"status": null, "error": {}}}]}',
    b'{"data": [{"sessionState": {"status": "Started", "error": "why"}, "id": "x"}]}',
    b'{"data": [{"state": "started"}]}',
    b'{"data": [{"startedAt": "2024-06-19T07:36:57.9999999Z"}]}',
    b'{"data": [{"startedAt": "2024-06-19t07:36:57z", "stoppedAt": "2024-06-19T07:36:57"}]}',
    b'{"data": [{"startedAt": "2024-W01-1T00:00:00Z", "stoppedAt": "2024-06-19"}]}',
    b'{"data": [{"startedAt": 7, "lastUpdated": ""}]}',
    b'{"Data": [{"SessionState": "started", "SessionCode": "odd", "SessionMessage": null}]}',
    b'{"Data": [{"SessionState": {"status": "started", "error": {"code": "x"}}, "SessionCode": "EvseInUse"}]}',
]


@needs_msgspec
@pytest.mark.parametrize("version", list(ApiVersion))
@pytest.mark.parametrize("body", _ODD_BODIES)
def test_an_odd_body_is_decoded_alike(version: ApiVersion, body: bytes) -> None:
    for result in _RESULTS.values():
        _assert_alike(version, result, body)
    if body.startswith(b'{"data": ['):
        _assert_alike(version, LOCATIONS, body[len(b'{"data": ') : -1])


_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 0.0, 2.0, 2.5, 1e300, 2**53 + 1, 2**70, "", "x", "1", "true", [], {}]
    ),
    st.sampled_from(
        [
            [None],
            [[]],
            [{}],
            {"x": 1},
            ["Mon", 3],
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00.12345678+02:00",
            "07/30/2024 1:2",
        ]
    ),
    st.text(max_size=6),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every container with every key or index in it."""
    found: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        found += [(node, key) for key in node]
        children = list(node.values())
    elif isinstance(node, list):
        found += [(node, index) for index in range(len(node))]
        children = node
    else:
        return []
    for child in children:
        found += _places(child)
    return found


_RESPELLINGS = [str.upper, str.lower, str.capitalize, lambda key: f"{key}2", lambda key: "_".join(key), lambda key: ""]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[ApiVersion, str, bytes]:
    """A clean answer with one to three things wrong with it."""
    version, name = draw(st.sampled_from(_CASES))
    document = copy.deepcopy(DOCUMENTS[version][name])
    for _ in range(draw(st.integers(1, 3))):
        places = _places(document)
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["value", "drop", "respell", "extra", "wrap"]))
        if kind == "drop":
            del holder[key]
        elif kind == "wrap":
            holder[key] = [holder[key]]
        elif kind == "value" or isinstance(holder, list):
            holder[key] = copy.deepcopy(draw(_VALUES))
        elif kind == "respell":
            holder[draw(st.sampled_from(_RESPELLINGS))(key)] = holder.pop(key)
        else:
            name_of_extra = draw(st.sampled_from(["new", "Uid", "DATA", "sessionstate", "markertype"]))
            holder[name_of_extra] = copy.deepcopy(draw(_VALUES))
    return version, name, json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@needs_msgspec
@settings(max_examples=600, deadline=None)
@given(case=mutated())
def test_a_mutated_body_is_decoded_alike(case: tuple[ApiVersion, str, bytes]) -> None:
    version, name, body = case
    _assert_alike(version, _RESULTS[name], body)


@needs_msgspec
@pytest.mark.long
@settings(max_examples=20_000, deadline=None)
@given(case=mutated())
def test_many_mutated_bodies_are_decoded_alike(case: tuple[ApiVersion, str, bytes]) -> None:
    version, name, body = case
    _assert_alike(version, _RESULTS[name], body)


def test_the_decoder_is_chosen_by_the_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec("msgspec") is not None
    monkeypatch.delenv("SHELL_EV_ENGINE", raising=False)
    assert engine() is (Engine.MSGSPEC if there else Engine.CATTRS)
    monkeypatch.setenv("SHELL_EV_ENGINE", " CATTRS ")
    assert engine() is Engine.CATTRS
    assert Codec(ApiVersion.V2).engine is Engine.CATTRS
    monkeypatch.setenv("SHELL_EV_ENGINE", "")
    assert engine() is engine("auto")
    monkeypatch.setenv("SHELL_EV_ENGINE", "orjson")
    with pytest.raises(ConfigurationError, match="auto, cattrs or msgspec"):
        engine()


def test_without_msgspec_everything_is_read_by_cattrs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("SHELL_EV_ENGINE", raising=False)
    assert engine() is Engine.CATTRS
    assert Codec(ApiVersion.V2).engine is Engine.CATTRS
    with pytest.raises(ConfigurationError, match="installs"):
        engine("msgspec")


@needs_msgspec
@pytest.mark.parametrize("status", ["Available", "Occupied", "Sleeping"])
def test_a_bare_marker_is_not_taken_for_an_envelope_by_its_status(status: str) -> None:
    body = json.dumps({"markerType": "SingleLocation", "status": status, "locationUid": 7}).encode()
    _assert_alike(ApiVersion.V1_PASCAL, MARKERS, body)
    (marker,) = Codec(ApiVersion.V1_PASCAL, "cattrs").decode(MARKERS, body).data
    assert marker.status.value == status
