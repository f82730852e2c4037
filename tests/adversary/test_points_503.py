"""A 503 says nothing about the effect: a start or stop is never sent again for it, and what came of it is looked up."""

from __future__ import annotations

import pytest

from shell_ev import ApiError, OutcomeUnknownError, ServiceUnavailableError

from .raw_server import (
    Fault,
    RawServer,
    hang_before_effect,
    nothing,
    status,
    unavailable_after_effect,
    unavailable_before_effect,
)
from .support import CARD, EVSE, client_of, virtual

CLEAR_REFUSALS = (
    *(400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 429, 431, 451),
    *(501, 505),
)
UNKNOWN = (300, 302, 304, 402, 407, 408, 412, 416, 418, 423, 424, 425, 499, 500, 502, 503, 504, 507, 508, 511, 520, 599)
REPEATED_GETS = (408, 425, 429, 500, 502, 503, 504)


@pytest.mark.parametrize("retry_after", [None, 0, 2])
@virtual
async def test_a_start_answered_503_is_sent_once(retry_after: float | None, server: RawServer) -> None:
    server.script("start", unavailable_after_effect(retry_after))
    async with client_of(server) as ev:
        with pytest.raises(ServiceUnavailableError) as caught:
            await ev.charging.start(CARD, EVSE)
    assert caught.value.outcome_unknown
    assert caught.value.retry_after == retry_after
    assert len(server.own_sessions()) == server.count("start") == 1


@pytest.mark.parametrize("retry_after", [None, 0, 2])
@virtual
async def test_a_stop_answered_503_is_sent_once(retry_after: float | None, server: RawServer) -> None:
    async with client_of(server) as ev:
        started = await ev.charging.start(CARD, EVSE)
        server.script("stop", unavailable_after_effect(retry_after))
        with pytest.raises(ServiceUnavailableError) as caught:
            await ev.charging.stop(started.data.session_id)
    assert caught.value.outcome_unknown
    assert server.count("stop") == 1


@pytest.mark.parametrize("block", [True, False], ids=["charge", "start_charge"])
@virtual
async def test_the_session_of_a_start_answered_503_is_found(block: bool, server: RawServer) -> None:
    server.script("start", unavailable_after_effect(2))
    server.listing_delay = 15
    async with client_of(server) as ev:
        if block:
            async with ev.charge(CARD, EVSE) as charge:
                assert charge.adopted
        else:
            charge = await ev.start_charge(CARD, EVSE)
            assert charge.adopted
            await charge.stop()
    (session,) = server.own_sessions()
    assert charge.session_id == session.id
    assert session.stops


@pytest.mark.parametrize("block", [True, False], ids=["charge", "start_charge"])
@virtual
async def test_a_start_answered_503_that_left_nothing_is_unknown_after_start_timeout(
    block: bool, server: RawServer
) -> None:
    server.script("start", unavailable_before_effect(2))
    async with client_of(server) as ev:
        began = server.clock()
        with pytest.raises(OutcomeUnknownError) as caught:
            if block:
                async with ev.charge(CARD, EVSE, start_timeout=40):
                    pass
            else:
                await ev.start_charge(CARD, EVSE, start_timeout=40)
    assert isinstance(caught.value.__cause__, ServiceUnavailableError)
    assert 40 <= server.clock() - began <= 45
    assert server.count("start") == 1
    assert server.count("active") > 5


@pytest.mark.parametrize(
    ("fault", "earliest", "latest"),
    [
        (unavailable_before_effect(None), 0, 10),
        (unavailable_before_effect(7), 7, 15),
        (unavailable_before_effect(40), 40, 55),
        (status(500, after_effect=False), 0, 10),
        (status(502, after_effect=False), 0, 10),
        (status(504, after_effect=False), 0, 10),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
@virtual
async def test_a_stop_is_sent_again_once_the_session_is_seen_to_run(
    fault: Fault, earliest: float, latest: float, server: RawServer
) -> None:
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
        await charge.wait_started()
        server.script("stop", fault)
        await charge.stop(timeout=120)
    first, second = server.seen("stop")
    assert earliest <= second.at - first.at <= latest
    looks = [seen for seen in server.seen("retrieve") if first.at < seen.at <= second.at]
    assert looks, "sent again without a look"
    assert len(server.own_sessions()[0].stops) == 1


@virtual
async def test_a_stop_answered_503_after_the_effect_is_not_sent_again(server: RawServer) -> None:
    server.stop_delay = 20
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
        await charge.wait_started()
        server.script("stop", unavailable_after_effect(1))
        await charge.stop()
    assert server.count("stop") == 1


@pytest.mark.parametrize(
    "fault", [hang_before_effect, nothing.but(name="accepted", effect=False)], ids=["silence", "acceptance"]
)
@virtual
async def test_a_stop_without_effect_after_silence_or_acceptance_is_sent_again_after_30_s(
    fault: Fault, server: RawServer
) -> None:
    async with client_of(server) as ev:
        charge = await ev.start_charge(CARD, EVSE)
        await charge.wait_started()
        server.script("stop", fault)
        await charge.stop(timeout=180)
    first, second = server.seen("stop")
    assert 30 <= second.at - first.at <= 75


@pytest.mark.parametrize("code", CLEAR_REFUSALS)
@pytest.mark.parametrize("operation", ["start", "stop"])
@virtual
async def test_a_clear_refusal_is_a_known_outcome(operation: str, code: int, server: RawServer) -> None:
    error = await _refused(server, operation, code)
    assert not error.outcome_unknown
    assert error.status_code == code


@pytest.mark.parametrize("code", UNKNOWN)
@pytest.mark.parametrize("operation", ["start", "stop"])
@virtual
async def test_any_other_status_is_an_unknown_outcome(operation: str, code: int, server: RawServer) -> None:
    error = await _refused(server, operation, code)
    assert error.outcome_unknown
    assert error.status_code == code
    assert server.count(operation) == 1


async def _refused(server: RawServer, operation: str, code: int) -> ApiError:
    """The error of a start or stop that is always answered with a status."""
    async with client_of(server) as ev:
        started = await ev.charging.start(CARD, EVSE) if operation == "stop" else None
        server.always(operation, status(code, after_effect=False))
        with pytest.raises(ApiError) as caught:
            if started is None:
                await ev.charging.start(CARD, EVSE)
            else:
                await ev.charging.stop(started.data.session_id)
    return caught.value


@pytest.mark.parametrize("code", REPEATED_GETS)
@virtual
async def test_a_look_up_is_repeated(code: int, server: RawServer) -> None:
    server.script("active", status(code, after_effect=False))
    async with client_of(server) as ev:
        assert (await ev.charging.active(CARD)).data == ()
    assert server.count("active") == 2


@pytest.mark.parametrize("code", [400, 403, 404, 409, 410, 418, 422, 501, 505, 507, 520])
@virtual
async def test_a_look_up_is_not_repeated_for_any_other_status(code: int, server: RawServer) -> None:
    session = server.foreign(CARD, EVSE)
    server.always("retrieve", status(code, after_effect=False))
    async with client_of(server) as ev:
        with pytest.raises(ApiError):
            await ev.charging.retrieve(session.id)
    assert server.count("retrieve") == 1
