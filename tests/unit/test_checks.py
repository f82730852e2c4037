"""Invalid arguments are refused before anything is sent, all of them in one error."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from fakes import CALLS, CARD, EVSE, REQUEST_ID, SESSION, FakeSender, call, client_over, good
from virtual_time import virtual_time

from shell_ev import EmaId, EvseId, Timeout, ValidationError
from shell_ev.endpoints.validation import Checks


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


HUGE = 10**10000
BAD_TEXTS = [None, 7, b"NL*TNM*E02003451*0", "", ["x"], Unprintable(), "\ud800" * 20]
BAD_UUIDS = [
    None,
    7,
    "",
    "abc",
    SESSION[:-1],
    SESSION + "0",
    SESSION + "\n",
    " " + SESSION,
    "{" + SESSION + "}",
    SESSION.replace("-", ""),
    SESSION.replace("c", "g", 1),
    SESSION.replace("0", "\u0660"),
    SESSION.encode(),
    "../../../../../etc/passwd?x=1#aaaaaa",
    HUGE,
    Unprintable(),
]
#: What no session id can be; the ids are the service's own.
BAD_SESSION_IDS = [None, 7, "", " x", "x ", "x\n", "a\tb", ".", "..", "x" * 256, "\ud800", SESSION.encode(), EVSE, HUGE]

#: operation, bad arguments, what the one error names
BAD_ARGUMENTS: list[tuple[str, tuple[Any, ...], list[str]]] = [
    *(("start", (bad, EVSE), ["ev_charge_number"]) for bad in BAD_TEXTS),
    ("start", ("x" * 51, EVSE), ["ev_charge_number must be 1 to 50 characters, it has 51"]),
    *(("start", (CARD, bad), ["evse_id"]) for bad in BAD_TEXTS),
    ("start", (CARD, "x" * 17), ["evse_id must be 18 to 36 characters, it has 17"]),
    ("start", (CARD, "x" * 37), ["evse_id must be 18 to 36 characters, it has 37"]),
    ("start", ("", ""), ["ev_charge_number", "evse_id"]),
    *(("stop", (bad,), ["session_id"]) for bad in [*BAD_SESSION_IDS, Unprintable()]),
    ("retrieve", (" x",), ["session_id"]),
    *(("active", (bad,), ["ema_id"]) for bad in BAD_TEXTS),
    ("active", ("x" * 13,), ["ema_id must be 14 to 19 characters, it has 13"]),
    ("active", ("x" * 20,), ["ema_id must be 14 to 19 characters, it has 20"]),
]
#: bad options every call has, and what the error names
BAD_OPTIONS: list[tuple[dict[str, Any], list[str]]] = [
    *(({"request_id": bad}, ["request_id"]) for bad in BAD_UUIDS if bad is not None),
    *(({"timeout": bad}, ["timeout"]) for bad in (0, -1, float("nan"), float("inf"), "5", True, [], HUGE)),
    *(({"max_retries": bad}, ["max_retries"]) for bad in (-1, 101, 1.0, "2", True, [], HUGE)),
    *(({"headers": bad}, ["headers"]) for bad in ("X: 1", [("X", "1")], 7)),
    *(({"headers": {bad: "1"}}, ["headers"]) for bad in ("", "X Y", "X:Y", "X\r\nY", "\u00e9", 7, "x\n")),
    *(({"headers": {"X-Key": bad}}, ["X-Key"]) for bad in ("a\r\nb", "a\x00b", "\u00e9", 7, None, "a\x7f")),
    *(
        ({"headers": {name: "x"}}, [f"{name} is set by the library"])
        for name in (
            "Authorization", "AUTHORIZATION", "requestid", "Accept", "Content-Type", "content-length",
            "Host", "User-Agent", "Transfer-Encoding", "Connection",
        )
    ),
]  # fmt: skip


async def refused(operation: str, arguments: tuple[Any, ...], **options: Any) -> ValidationError:
    """The error of a bad call; fails if anything was sent."""
    sender = FakeSender()
    async with client_over(sender) as ev:
        with pytest.raises(ValidationError) as caught:
            await getattr(ev.charging, operation)(*arguments, **options)
    assert not sender.requests, "nothing was sent"
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.operation == f"charging.{operation}"
    assert not error.outcome_unknown
    assert str(error).isprintable()
    return error


@pytest.mark.parametrize(("operation", "arguments", "named"), BAD_ARGUMENTS)
@virtual_time
async def test_a_bad_argument_is_named(operation: str, arguments: tuple[Any, ...], named: list[str]) -> None:
    error = await refused(operation, arguments)
    assert len(error.faults) == len(named)
    for fault, words in zip(error.faults, named, strict=True):
        assert words in fault
        assert words in str(error)


@pytest.mark.parametrize(("options", "named"), BAD_OPTIONS)
@virtual_time
async def test_a_bad_option_is_named(options: dict[str, Any], named: list[str]) -> None:
    error = await refused("start", CALLS["start"], **options)
    assert len(error.faults) == len(named)
    assert all(words in fault for words, fault in zip(named, error.faults, strict=True))


@pytest.mark.parametrize("operation", CALLS)
@virtual_time
async def test_every_call_checks_its_options(operation: str) -> None:
    error = await refused(
        operation, CALLS[operation], request_id="x", timeout=-1, max_retries=-1, headers={"Host": "x"}
    )
    assert len(error.faults) == 4


OTHER = "78b5d7a3-bdba-43d7-9851-1c84fcddb782"


@pytest.mark.parametrize("operation", ["stop", "retrieve"])
@pytest.mark.parametrize("version", ["v1", "v2"])
@virtual_time
async def test_an_id_in_the_path_is_refused_where_there_is_none(operation: str, version: str) -> None:
    sender = FakeSender()
    async with client_over(sender, api_version=version) as ev:
        with pytest.raises(ValidationError) as caught:
            await getattr(ev.charging, operation)(SESSION, uuid=OTHER)
    assert caught.value.faults == (f"uuid does not exist in {version}; v1-pascal has it",)
    assert not sender.requests


@pytest.mark.parametrize(("operation", "key"), [("stop", '{"SesssionId":"%s"}'), ("retrieve", "?SessionId=%s")])
@pytest.mark.parametrize("other", [None, OTHER, uuid.UUID(OTHER)])
@virtual_time
async def test_in_v1_pascal_the_id_in_the_path_may_be_another(operation: str, key: str, other: Any) -> None:
    sender = FakeSender(good(operation))
    async with client_over(sender, api_version="v1-pascal") as ev:
        await getattr(ev.charging, operation)(SESSION, uuid=other)
    (request,) = sender.requests
    path, mark, query = request.url.partition("?")
    assert path.endswith(f"/charge-session/{operation}/{other or SESSION}")
    assert (mark + query or (request.body or b"").decode()) == key % SESSION


@virtual_time
async def test_an_id_in_the_path_is_checked() -> None:
    sender = FakeSender()
    async with client_over(sender, api_version="v1-pascal") as ev:
        with pytest.raises(ValidationError) as caught:
            await ev.charging.stop(SESSION, uuid="")
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith("uuid must")


@virtual_time
async def test_all_faults_of_a_call_are_in_one_error() -> None:
    error = await refused(
        "start",
        ("", 7),
        request_id="x",
        timeout=-1,
        max_retries=-1,
        headers={"Host": "x", "A B": "1", "C": "\n"},
    )
    assert len(error.faults) == 8


@virtual_time
async def test_the_value_of_a_header_is_never_repeated() -> None:
    error = await refused("start", CALLS["start"], headers={"X-Api-Key": "my-gateway-secret\n"})
    assert "my-gateway-secret" not in str(error) + repr(vars(error))


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("start", ("x", "x" * 18)),
        ("start", ("x" * 50, "x" * 36)),
        ("start", ("\U0001f50c" * 50, "\u00e9" * 36)),
        ("start", (EmaId.parse(CARD), EvseId.parse(EVSE))),
        ("stop", (SESSION,)),
        ("stop", (SESSION.upper(),)),
        ("stop", (uuid.UUID(SESSION),)),
        ("stop", ("{" + SESSION + "}",)),
        ("stop", (SESSION.replace("-", ""),)),
        ("stop", ("x" * 255,)),
        ("stop", ("../etc",)),
        ("retrieve", ("7",)),
        ("retrieve", (uuid.UUID(SESSION),)),
        ("active", ("x" * 14,)),
        ("active", ("x" * 19,)),
        ("active", (EmaId.parse(CARD),)),
    ],
)
@virtual_time
async def test_the_edges_of_the_contract_are_sent(operation: str, arguments: tuple[Any, ...]) -> None:
    sender = FakeSender(good(operation))
    async with client_over(sender) as ev:
        await getattr(ev.charging, operation)(*arguments)
    assert len(sender.requests) == 1


@pytest.mark.parametrize("length", [1, 12, 36, 50])
@virtual_time
async def test_in_v1_pascal_an_ema_id_has_no_documented_length(length: int) -> None:
    sender = FakeSender(good("active"))
    async with client_over(sender, api_version="v1-pascal") as ev:
        await ev.charging.active("x" * length)
        with pytest.raises(ValidationError):
            await ev.charging.active("")
    assert len(sender.requests) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"request_id": REQUEST_ID},
        {"request_id": uuid.UUID(REQUEST_ID)},
        {"request_id": REQUEST_ID.upper()},
        {"timeout": 0.5},
        {"timeout": 60},
        {"timeout": Timeout(total=None)},
        {"max_retries": 0},
        {"max_retries": 100},
        {"headers": {}},
        {"headers": {"X-Tab": "a\tb", "X-Empty": ""}},
    ],
)
@virtual_time
async def test_good_options_are_taken(options: dict[str, Any]) -> None:
    sender = FakeSender(good("start"))
    async with client_over(sender) as ev:
        await call(ev, "start", **options)
    (request,) = sender.requests
    if "request_id" in options:
        assert request.headers["RequestId"] == str(options["request_id"])
    for name, value in options.get("headers", {}).items():
        assert request.headers[name] == value


def test_a_text_that_must_not_be_empty_says_just_that() -> None:
    checks = Checks("locations.get")
    checks.text("uid", "", 1, None)
    assert checks.faults == ["uid must not be empty"]
