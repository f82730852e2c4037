"""The request loop over a scripted sender: unreadable answers, answers of other requests, the gate."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from fakes import (
    GETS,
    GOOD_BODIES,
    LOST,
    NOW,
    POSTS,
    REFUSED,
    REQUEST_ID,
    FakeSender,
    call,
    client_over,
    good,
    never,
    no_jitter,
    reply,
    token_reply,
)
from virtual_time import virtual_time

from shell_ev import (
    ApiError,
    ApiVersion,
    AsyncShellEV,
    ClientCredentials,
    ConfigurationError,
    NotFoundError,
    OutcomeUnknownError,
    RequestFailedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ShellEVError,
    StaticToken,
)
from shell_ev.core.call import Call, Reply, is_same_request
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.options import make_config

OTHERS = "0badc0de-0000-4000-8000-000000000000"
HTML = b"<html>a portal</html>"


@pytest.mark.parametrize("operation", GETS)
@pytest.mark.parametrize("body", [b"", HTML, b'{"requestId"', b"{}", b"\xff"])
@virtual_time
async def test_a_look_up_with_an_unreadable_answer_is_repeated(operation: str, body: bytes) -> None:
    sender = FakeSender(reply(200, body), reply(200, body), good(operation))
    async with client_over(sender) as ev:
        response = await call(ev, operation)
    assert response.attempts == 3
    assert sender.waits == pytest.approx([0.5, 1.0])


@virtual_time
async def test_a_look_up_that_stays_unreadable_is_a_decode_error() -> None:
    async with client_over(FakeSender(always=reply(200, HTML))) as ev:
        with pytest.raises(ResponseDecodeError) as caught:
            await call(ev, "active")
    assert caught.value.attempts == 3
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("operation", POSTS)
@virtual_time
async def test_a_start_or_stop_with_an_unreadable_answer_is_sent_once(operation: str) -> None:
    sender = FakeSender(reply(202, HTML))
    async with client_over(sender) as ev:
        with pytest.raises(ResponseDecodeError) as caught:
            await call(ev, operation)
    assert caught.value.outcome_unknown


@virtual_time
async def test_an_answer_beyond_the_size_limit_is_not_repeated() -> None:
    sender = FakeSender(Reply(status=200, body=b"[", oversized=True))
    async with client_over(sender) as ev:
        with pytest.raises(ResponseDecodeError, match="larger than max_response_bytes"):
            await call(ev, "active")


def echoing(operation: str, request_id: str | None, status: int | None = None, **fields: Any) -> Reply:
    """The answer to an operation with a RequestId; a failure if a status is given."""
    if status is not None:
        echo = {} if request_id is None else {"requestId": request_id}
        return reply(status, {**echo, "status": "FAILED", "errors": [{"code": "E1", "message": "no"}], **fields})
    echoed = b"" if request_id is None else b'"requestId":"' + request_id.encode() + b'",'
    return reply(202, GOOD_BODIES[operation].replace(b'"requestId":"r",', echoed))


class Dropped:
    """Counts the connections that were dropped."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1

    def with_reply(self, answer: Reply) -> Reply:
        answer.discard = self
        return answer


@pytest.mark.parametrize("status", [None, 400, 401, 404, 429, 500])
@pytest.mark.parametrize("operation", POSTS)
@virtual_time
async def test_after_an_echo_an_answer_to_another_request_is_unknown_and_drops_the_connection(
    operation: str, status: int | None
) -> None:
    dropped = Dropped()
    sender = FakeSender(echoing(operation, REQUEST_ID), dropped.with_reply(echoing(operation, OTHERS, status)))
    async with client_over(sender) as ev:
        await call(ev, operation, request_id=REQUEST_ID)
        with pytest.raises(OutcomeUnknownError, match=f"belongs to another request \\({OTHERS}\\)") as caught:
            await call(ev, operation)
    assert dropped.count == 1
    assert len(sender.requests) == 2
    error = caught.value
    assert (error.operation, error.sent_at, error.attempts) == (f"charging.{operation}", NOW, 1)
    assert error.request_sent
    assert error.arguments


@virtual_time
async def test_an_unreadable_answer_to_another_request_drops_the_connection() -> None:
    dropped = Dropped()
    strange = reply(200, {"requestId": OTHERS, "status": "SUCCESS", "data": [{"evses": []}]})
    sender = FakeSender(echoing("start", REQUEST_ID), dropped.with_reply(strange))
    async with client_over(sender) as ev:
        await call(ev, "start", request_id=REQUEST_ID)
        with pytest.raises(OutcomeUnknownError):
            await call(ev, "start")
    assert dropped.count == 1


@pytest.mark.parametrize("first", [404, 409, None])
@virtual_time
async def test_an_echo_counts_in_a_failure_as_in_a_success(first: int | None) -> None:
    sender = FakeSender(echoing("stop", REQUEST_ID, first), echoing("stop", OTHERS))
    async with client_over(sender) as ev:
        with contextlib.nullcontext() if first is None else pytest.raises(ApiError):
            await call(ev, "stop", request_id=REQUEST_ID)
        with pytest.raises(OutcomeUnknownError):
            await call(ev, "stop")


@pytest.mark.parametrize("request_id", [OTHERS, None, "r", ""])
@virtual_time
async def test_a_service_that_never_echoed_is_trusted(request_id: str | None) -> None:
    async with client_over(FakeSender(always=echoing("start", request_id))) as ev:
        for _ in range(3):
            await call(ev, "start")


@virtual_time
async def test_an_answer_without_a_request_id_is_trusted_after_an_echo() -> None:
    sender = FakeSender(echoing("start", REQUEST_ID), echoing("start", None), echoing("start", None, 404))
    async with client_over(sender) as ev:
        await call(ev, "start", request_id=REQUEST_ID)
        await call(ev, "start")
        with pytest.raises(NotFoundError):
            await call(ev, "start")


@virtual_time
async def test_an_echo_counts_for_its_operation_and_dialect_alone() -> None:
    sender = FakeSender(echoing("start", REQUEST_ID), echoing("stop", OTHERS), echoing("start", OTHERS))
    async with client_over(sender) as ev:
        await call(ev, "start", request_id=REQUEST_ID)
        await call(ev, "stop")
        await call(ev.with_options(api_version=ApiVersion.V1), "start")


@virtual_time
async def test_an_echo_that_a_copy_has_seen_counts_for_its_client() -> None:
    sender = FakeSender(echoing("start", REQUEST_ID), echoing("start", OTHERS))
    async with client_over(sender) as ev:
        await call(ev.with_options(timeout=5), "start", request_id=REQUEST_ID)
        with pytest.raises(OutcomeUnknownError):
            await call(ev, "start")


@virtual_time
async def test_a_look_up_with_another_request_id_is_taken_as_it_is() -> None:
    sender = FakeSender(
        reply(200, {"requestId": REQUEST_ID, "status": "SUCCESS", "data": []}),
        reply(200, {"requestId": OTHERS, "status": "SUCCESS", "data": []}),
    )
    async with client_over(sender) as ev:
        await call(ev, "active", request_id=REQUEST_ID)
        assert (await call(ev, "active")).request_id == OTHERS


@pytest.mark.parametrize(
    ("spelling", "same"),
    [
        (REQUEST_ID.upper(), True),
        (f"{{{REQUEST_ID}}}", True),
        (REQUEST_ID.replace("-", ""), True),
        (f" urn:uuid:{REQUEST_ID} ", True),
        (REQUEST_ID[:-1], False),
        (OTHERS, False),
        ("r", False),
    ],
)
def test_request_ids_are_compared_as_uuids(spelling: str, same: bool) -> None:
    assert is_same_request(spelling, REQUEST_ID) is same


class RecordingGate:
    """A gate that records, and lets through unless it has an error to raise."""

    def __init__(self, name: str = "gate", events: list[str] | None = None, error: BaseException | None = None) -> None:
        self.name = name
        self.events: list[str] = [] if events is None else events
        self.error = error
        self.opened = asyncio.Event()
        self.opened.set()

    async def enter(self, call: Call, /) -> None:
        await self.opened.wait()
        if self.error is not None:
            raise self.error
        assert call.request.headers["Authorization"], "the gate comes after the token"
        self.events.append(f"{self.name} {call.name} {call.attempts}")

    async def undo(self, call: Call, /) -> None:
        self.events.append(f"{self.name} undone {call.attempts}")


def gated(sender: FakeSender, *gates: RecordingGate, source: Any = None) -> AsyncShellEV:
    """A client with a gate, and the gate of its starts."""
    hooks = Hooks(utcnow=lambda: NOW, jitter=no_jitter)
    manager = SessionManager(
        make_config(base_url="https://ev.example"),
        source or StaticToken("static-token"),
        lambda: sender,
        hooks=hooks,
        gate=gates[0],
    )
    return AsyncShellEV._over(manager)


@pytest.mark.parametrize(
    ("outcomes", "accepted", "events"),
    [
        ([good("start")], True, ["0"]),
        ([reply(429), good("start")], True, ["0", "undone 1", "1"]),
        ([REFUSED, good("start")], True, ["0", "undone 1", "1"]),
        ([reply(404)], False, ["0", "undone 1"]),
        ([reply(503)], False, ["0"]),
        ([LOST], False, ["0"]),
        ([reply(202, HTML)], False, ["0"]),
        ([ConfigurationError("this client is closed")], False, ["0", "undone 1"]),
    ],
    ids=["accepted", "429", "not sent", "refused", "503", "lost", "unreadable", "closed"],
)
@virtual_time
async def test_each_attempt_passes_the_gate_and_one_without_effect_is_undone(
    outcomes: list[Any], accepted: bool, events: list[str]
) -> None:
    gate = RecordingGate("gate")
    async with gated(FakeSender(*outcomes), gate) as ev:
        with contextlib.nullcontext() if accepted else pytest.raises(ShellEVError):
            await call(ev, "start")
    assert gate.events == [f"gate {event}" if "undone" in event else f"gate charging.start {event}" for event in events]


@virtual_time
async def test_a_replay_with_a_fresh_token_passes_the_gate_again_and_a_token_request_does_not() -> None:
    sender = FakeSender(token_reply("one"), reply(401), token_reply("two"), good("start"))
    gate = RecordingGate()
    async with gated(sender, gate, source=ClientCredentials("id", "secret")) as ev:
        await call(ev, "start")
    assert gate.events == ["gate charging.start 0", "gate undone 1", "gate charging.start 1"]


@virtual_time
async def test_the_gate_of_a_call_comes_after_the_clients_and_is_undone_before_it() -> None:
    from shell_ev.core.call import CallOptions
    from shell_ev.wire.operations import START
    from shell_ev.wire.results import STARTED

    events: list[str] = []
    sender = FakeSender(REFUSED, good("start"))
    async with gated(sender, RecordingGate("budget", events)) as ev:
        options = CallOptions(gate=RecordingGate("intent", events))
        await ev._manager.call(START, {"ev_charge_number": "c", "evse_id": "e"}, STARTED, options)
    assert events == [
        "budget charging.start 0",
        "intent charging.start 0",
        "intent undone 1",
        "budget undone 1",
        "budget charging.start 1",
        "intent charging.start 1",
    ]


@virtual_time
async def test_a_gate_that_refuses_ends_the_call_with_nothing_sent_and_undoes_the_gates_before_it() -> None:
    from shell_ev.core.call import CallOptions, Progress
    from shell_ev.wire.operations import START
    from shell_ev.wire.results import STARTED

    events: list[str] = []
    sender = FakeSender()
    error = ConfigurationError("the store cannot be used")
    async with gated(sender, RecordingGate("budget", events)) as ev:
        progress = Progress()
        options = CallOptions(gate=RecordingGate("intent", events, error), progress=progress)
        with pytest.raises(ConfigurationError) as caught:
            await ev._manager.call(START, {"ev_charge_number": "c", "evse_id": "e"}, STARTED, options)
    assert caught.value is error
    assert events == ["budget charging.start 0", "budget undone 0"]
    assert not progress.sent
    assert sender.requests == []


@virtual_time
async def test_time_that_runs_out_at_the_gate_runs_out_with_nothing_sent() -> None:
    gate = RecordingGate()
    gate.opened.clear()
    async with gated(FakeSender(), gate) as ev:
        with pytest.raises(RequestTimeoutError) as caught:
            await call(ev, "start", timeout=3)
    assert not caught.value.outcome_unknown
    assert not caught.value.request_sent
    assert caught.value.attempts == 0


@virtual_time
async def test_an_attempt_that_is_cancelled_under_way_is_not_undone() -> None:
    gate = RecordingGate()
    async with gated(FakeSender(always=never), gate) as ev:
        task = asyncio.ensure_future(call(ev, "start"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert gate.events == ["gate charging.start 0"]


@virtual_time
async def test_a_verdict_of_failure_in_a_success_is_no_reason_to_repeat() -> None:
    body = {"requestId": "r", "status": "FAILED", "errors": [{"code": "E0001", "message": "no"}]}
    async with client_over(FakeSender(reply(200, body))) as ev:
        with pytest.raises(RequestFailedError):
            await call(ev, "active")
