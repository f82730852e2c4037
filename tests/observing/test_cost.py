"""What hooks and logs cost a client that does not use them: nothing that can be counted."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import pytest
from fakes import LOST, FakeSender, call, client_over, good, reply
from listeners import Recorder, outcome

from shell_ev import AsyncShellEV, observing
from shell_ev.core import notify as logs
from shell_ev.core import notify as telling
from shell_ev.observing import CallInfo, CallObserver, Observer
from shell_ev.otel import OpenTelemetry

pytestmark = pytest.mark.servers

ROOMS = {str(room.__file__) for room in (observing, logs, telling)}


def counted(run: Callable[[], Coroutine[Any, Any, Any]]) -> Counter[tuple[str, str]]:
    """Every Python function entered while a coroutine runs to its end without waiting for anything."""
    entered: Counter[tuple[str, str]] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            entered[(frame.f_code.co_filename, frame.f_code.co_name)] += 1

    sys.setprofile(note)
    try:
        coroutine = run()
        try:
            coroutine.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waited")
    finally:
        sys.setprofile(None)
    return entered


def in_our_rooms(entered: Counter[tuple[str, str]]) -> int:
    return sum(count for (file, _), count in entered.items() if file in ROOMS)


class Listening(Observer):
    def call_began(self, call: CallInfo) -> CallObserver | None:
        return CallObserver()


class Uninterested(Observer):
    def call_began(self, call: CallInfo) -> CallObserver | None:
        return None


async def test_without_observers_no_function_of_theirs_is_entered() -> None:
    quiet = client_over(FakeSender(always=good("active")))
    seen = client_over(FakeSender(always=good("active")), observer=Recorder())
    for client in (quiet, seen):
        await call(client, "active")  # what is imported and remembered once is not counted
    without, with_ = counted(lambda: call(quiet, "active")), counted(lambda: call(seen, "active"))
    assert in_our_rooms(without) == 0
    assert in_our_rooms(with_) > 5
    asked = [name for file, name in without.elements() if file == logging.__file__]
    assert asked == ["isEnabledFor"], "once for the whole call"


async def test_it_stays_so_at_the_level_that_services_run_at(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shell_ev")
    client = client_over(FakeSender(always=good("active")))
    await call(client, "active")
    assert in_our_rooms(counted(lambda: call(client, "active"))) == 0


async def test_with_observers_and_debug_off_no_line_is_prepared(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shell_ev")
    seen = client_over(FakeSender(always=good("active")), observer=Recorder())
    await call(seen, "active")
    entered = counted(lambda: call(seen, "active"))
    assert entered[(logs.__file__, "try_ended")] == 1
    assert entered[(logs.__file__, "_fields")] == 0


async def test_a_try_without_a_watcher_is_as_many_calls_as_any_other() -> None:
    """A replay with a fresh token is a second try without a wait: it adds what sending adds and nothing of ours."""

    def client() -> AsyncShellEV:
        class Changing:
            number = 0

            async def acquire(self) -> Any:
                from shell_ev import AccessToken

                return AccessToken(f"token-{self.number}")

            def invalidate(self, token: Any) -> None:
                self.number += 1

        return client_over(FakeSender(reply(401), good("active"), reply(401), good("active")), Changing())

    twice = client()
    await call(twice, "active")
    entered = counted(lambda: call(twice, "active"))
    assert entered[(sys.modules["fakes"].__file__ or "", "send")] == 2
    assert in_our_rooms(entered) == 0
    assert sum(count for (file, _), count in entered.items() if file == logging.__file__) == 1


async def test_nothing_of_theirs_is_allocated() -> None:
    client = client_over(FakeSender(always=good("active")))
    seen = client_over(FakeSender(always=good("active")), observer=Uninterested())
    await call(client, "active")
    await call(seen, "active")
    only = [tracemalloc.Filter(True, room) for room in ROOMS]

    async def allocated(client: AsyncShellEV) -> int:
        """Blocks of memory taken by a line of ours and held at the moment of sending."""
        held: list[int] = []

        def look(_: Any) -> Any:
            held.append(len(tracemalloc.take_snapshot().filter_traces(only).traces))
            return good("active")

        client._manager._connections.resources().sender.always = look  # type: ignore[attr-defined]
        tracemalloc.start()
        try:
            await call(client, "active")
        finally:
            tracemalloc.stop()
        return held[0]

    assert await allocated(client) == 0
    assert await allocated(seen) > 0


@pytest.mark.parametrize("answer", [good("active"), reply(404), LOST], ids=["good", "refused", "lost"])
async def test_a_watched_call_leaves_no_garbage(answer: Any) -> None:
    client = client_over(FakeSender(always=answer), observer=[Listening(), OpenTelemetry()], max_retries=0)
    await outcome(client, "active")
    while gc.collect():  # what earlier tests left may take more than one pass
        pass
    gc.disable()
    try:
        for _ in range(100):
            await outcome(client, "active")
        assert gc.collect() < 100, "no cycle per call"
    finally:
        gc.enable()


def test_the_library_is_imported_without_opentelemetry_and_a_client_made_without_it() -> None:
    script = (
        "import sys, shell_ev; assert not any('opentelemetry' in name or name == 'aiohttp' for name in sys.modules);"
        "shell_ev.AsyncShellEV('id', 'secret'); import shell_ev.observing;"
        "assert not any('opentelemetry' in name for name in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
