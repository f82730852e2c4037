"""The same client on uvloop: a loop of another make, with transports, timers and threads of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from shell_ev import (
    AsyncShellEV,
    ConnectError,
    OutcomeUnknownError,
    RequestTimeoutError,
    SessionState,
    Timeout,
)
from shell_ev.sandbox import Fault, Sandbox

uvloop = pytest.importorskip("uvloop")

CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"


def on_uvloop(test: Callable[[Sandbox, AsyncShellEV], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def body() -> None:
            assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
            with Sandbox(stations=10) as sandbox:
                sandbox.start_delay = sandbox.stop_delay = 0
                async with AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
                    await test(sandbox, ev)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(body())

    run.__name__ = test.__name__
    return run


@on_uvloop
async def test_a_charge_from_its_start_to_its_end(sandbox: Sandbox, ev: AsyncShellEV) -> None:
    async with ev.charge(CARD, EVSE) as charge:
        assert charge.state is SessionState.STARTED
    assert charge.state is SessionState.STOPPED
    assert [charge.state.value for charge in sandbox.charges] == ["stopped"]


@on_uvloop
async def test_a_hundred_first_calls_fetch_one_token(sandbox: Sandbox, ev: AsyncShellEV) -> None:
    await asyncio.gather(*(ev.charging.active(CARD) for _ in range(100)))
    assert sum(request.operation == "token" for request in sandbox.requests) == 1


@on_uvloop
async def test_what_may_have_arrived_is_unknown_and_what_surely_did_not_is_known(
    sandbox: Sandbox, ev: AsyncShellEV
) -> None:
    sandbox.faults.add("charging.start", Fault.drop())
    with pytest.raises(OutcomeUnknownError):
        await ev.charging.start(CARD, EVSE)
    assert len(sandbox.charges) == 1
    async with AsyncShellEV("a", "b", base_url="http://127.0.0.1:1", max_retries=0) as unreachable:
        with pytest.raises(ConnectError):
            await unreachable.charging.start(CARD, EVSE)


@on_uvloop
async def test_a_silence_and_a_deadline_end_a_call(sandbox: Sandbox, ev: AsyncShellEV) -> None:
    sandbox.faults.add("charging.active", Fault.delay(5), times=2)
    for timeout in (Timeout(total=20, read=0.1), 0.1):
        with pytest.raises(RequestTimeoutError) as caught:
            await ev.charging.active(CARD, timeout=timeout, max_retries=0)
        assert caught.value.request_sent


@on_uvloop
async def test_a_cancelled_block_stops_its_charge(sandbox: Sandbox, ev: AsyncShellEV) -> None:
    started = asyncio.Event()

    async def hold() -> None:
        async with ev.charge(CARD, EVSE):
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [charge.state.value for charge in sandbox.charges] == ["stopped"]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="event loop policies are deprecated from 3.14 on")
def test_the_blocking_client_takes_the_loop_that_the_process_asked_for() -> None:
    program = """
import asyncio, uvloop
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
from shell_ev import ShellEV
from shell_ev.sandbox import Sandbox

with Sandbox(stations=10) as sandbox:
    sandbox.start_delay = sandbox.stop_delay = 0
    with ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
        with ev.charge("NL-TNM-C00122045-K", "NL*TNM*E02003451*0") as charge:
            print(type(ev._portal._thread._loop).__module__, charge.state)
        print(charge.state)
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.split() == ["uvloop", "started", "stopped"]
