"""An adopted charge is looked up once more when it ends: the start's own session may have shown since."""

from __future__ import annotations

import logging

import pytest

from shell_ev import ChargeFailedError

from .raw_server import RawServer, gateway_404, late_effect, lose_answer_after_effect
from .support import CARD, EVSE, OTHER_EVSE, client_of, now, virtual

LATE = late_effect(40)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("block", [True, False], ids=["charge", "start_charge"])
def test_a_second_session_that_may_be_the_own_one_is_named_in_an_error_line(
    block: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual
    async def run(server: RawServer) -> None:
        server.script("start", LATE)
        theirs = server.foreign(CARD, EVSE, began=1, shown_from=now() + 1)
        async with client_of(server) as ev:
            if block:
                async with ev.charge(CARD, EVSE) as charge:
                    await _until(server, 60)
            else:
                charge = await ev.start_charge(CARD, EVSE)
                await _until(server, 60)
                await charge.stop()
        assert charge.session_id == theirs.id
        assert charge.adopted
        (own,) = server.own_sessions()
        [line] = errors(caplog)
        assert str(own.id) in line
        assert str(charge.request_id) in line

    run()


def test_a_block_with_an_adopted_charge_that_ended_by_itself_lists_too(caplog: pytest.LogCaptureFixture) -> None:
    @virtual
    async def run(server: RawServer) -> None:
        server.script("start", LATE)
        theirs = server.foreign(CARD, EVSE, began=1, shown_from=now() + 1)
        async with client_of(server) as ev, ev.charge(CARD, EVSE) as charge:
            await _until(server, 60)
            theirs.stops.append(now())
            await charge.refresh()
            assert charge.is_over
        (own,) = server.own_sessions()
        assert [str(own.id) in line for line in errors(caplog)] == [True]

    run()


def test_an_adopted_charge_that_failed_beside_another_candidate_leaves_the_outcome_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @virtual
    async def run(server: RawServer) -> None:
        server.script("start", late_effect(33))
        server.foreign(CARD, EVSE, began=1, shown_from=now() + 1, fails=True, start_delay=60.0)
        async with client_of(server) as ev:
            with pytest.raises(ChargeFailedError) as caught:
                async with ev.charge(CARD, EVSE):
                    pytest.fail("entered")
        assert caught.value.outcome_unknown
        assert len(server.running()) == 1
        assert errors(caplog)

    run()


def test_the_only_candidate_is_confirmed_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    @virtual
    async def run(server: RawServer) -> None:
        server.script("start", lose_answer_after_effect)
        async with client_of(server) as ev, ev.charge(CARD, EVSE) as charge:
            server.foreign(CARD, OTHER_EVSE, began=0)
            server.foreign(CARD, EVSE, began=-300)
            server.foreign(CARD, EVSE, began=1200)  # the next charge on the EVSE
        assert charge.is_over
        assert errors(caplog) == []
        assert server.count("active") == 2

    run()


def test_an_answered_start_is_not_looked_up_again(caplog: pytest.LogCaptureFixture) -> None:
    @virtual
    async def run(server: RawServer) -> None:
        async with client_of(server) as ev, ev.charge(CARD, EVSE):
            server.foreign(CARD, EVSE, began=1)
        assert server.count("active") == 0
        assert errors(caplog) == []

    run()


def test_a_confirmation_that_fails_does_not_fail_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    @virtual
    async def run(server: RawServer) -> None:
        server.script("start", lose_answer_after_effect)
        async with client_of(server) as ev, ev.charge(CARD, EVSE) as charge:
            server.always("active", gateway_404)
        assert charge.is_over
        assert server.count("active") == 4
        assert errors(caplog) == []

    run()


async def _until(server: RawServer, seconds: float) -> None:
    import asyncio

    await asyncio.sleep(max(0.0, server.seen("start")[0].at + seconds - now()))
