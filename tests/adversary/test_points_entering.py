"""An error on entering a block says whether a car may be charging, in every class."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from shell_ev import ChargeFailedError, ConfigurationError, ForbiddenError, UnauthorizedError

from .raw_server import RawServer, forbidden, nothing, unauthorized
from .support import CARD, EVSE, client_of, in_thread, run_script, virtual

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("stop", [nothing, forbidden], ids=["stop accepted", "stop refused"])
@virtual
async def test_refused_look_ups_leave_the_outcome_unknown(stop: object, server: RawServer) -> None:
    server.always("retrieve", forbidden)
    server.always("stop", stop)  # type: ignore[arg-type]
    async with client_of(server) as ev:
        with pytest.raises(ForbiddenError) as caught:
            async with ev.charge(CARD, EVSE, start_timeout=30, stop_timeout=20):
                pytest.fail("entered")
    assert caught.value.outcome_unknown
    assert server.count("stop") >= 1


@virtual
async def test_a_refused_token_on_look_ups_leaves_the_outcome_unknown(server: RawServer) -> None:
    server.always("retrieve", unauthorized)
    server.always("stop", unauthorized)
    async with client_of(server) as ev:
        with pytest.raises(UnauthorizedError) as caught:
            async with ev.charge(CARD, EVSE, start_timeout=30, stop_timeout=20):
                pytest.fail("entered")
    assert caught.value.outcome_unknown
    assert len(server.running()) == 1


@virtual
async def test_a_client_closed_meanwhile_leaves_the_outcome_unknown(server: RawServer) -> None:
    server.start_delay = 60
    ev = client_of(server)

    async def block() -> None:
        async with ev.charge(CARD, EVSE):
            pytest.fail("entered")

    entering = asyncio.ensure_future(block())
    await asyncio.sleep(5)
    await ev.aclose()
    with pytest.raises(ConfigurationError) as caught:
        await entering
    assert caught.value.outcome_unknown
    assert len(server.running()) == 1


@virtual
async def test_a_stop_that_was_confirmed_leaves_nothing_unknown(server: RawServer) -> None:
    server.script("retrieve", forbidden)
    async with client_of(server) as ev:
        with pytest.raises(ForbiddenError) as caught:
            async with ev.charge(CARD, EVSE, start_timeout=30, stop_timeout=20):
                pytest.fail("entered")
    assert not caught.value.outcome_unknown
    assert server.running() == []


@virtual
async def test_a_start_that_was_refused_leaves_nothing_unknown(server: RawServer) -> None:
    server.always("start", forbidden)
    async with client_of(server) as ev:
        with pytest.raises(ForbiddenError) as caught:
            async with ev.charge(CARD, EVSE):
                pytest.fail("entered")
    assert not caught.value.outcome_unknown


@virtual
async def test_a_start_that_failed_leaves_nothing_unknown(server: RawServer) -> None:
    server.new_session = lambda _: {"fails": True}
    async with client_of(server) as ev:
        with pytest.raises(ChargeFailedError) as caught:
            async with ev.charge(CARD, EVSE):
                pytest.fail("entered")
    assert not caught.value.outcome_unknown


def quickstart() -> str:
    """The first Python block of README that enters a charge and handles its errors."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if ".charge(" in block and "except" in block)


@pytest.mark.parametrize("case", ["refused look-ups", "refused start"])
def test_the_quickstart_of_readme_prints_that_nothing_was_started_only_then(case: str) -> None:
    with in_thread() as server:
        evse = {"evseId": EVSE, "status": "Available"}
        server.pages["/locations/nearby"] = {"status": "SUCCESS", "data": [{"uid": "1", "evses": [evse]}]}
        server.always("retrieve" if case == "refused look-ups" else "start", forbidden)
        ended = run_script(quickstart(), server)
        assert ended.returncode == 0, ended.stderr
        assert len(server.own_sessions()) == (case == "refused look-ups")
    if case == "refused start":
        assert "nothing was started" in ended.stdout
    else:
        assert "may be charging" in ended.stdout
        assert "nothing was started" not in ended.stdout
