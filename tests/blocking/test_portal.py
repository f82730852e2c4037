"""The portal alone: outcomes, races of closing, and what asyncio would let out of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import importlib.util
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from blocking_scripts import loop_threads

from shell_ev import ConfigurationError, ShellEV
from shell_ev.core import portal as room
from shell_ev.core.portal import Portal


async def nothing() -> None:
    pass


async def value(what: object = 1) -> object:
    return what


@pytest.fixture
def portal() -> Iterator[Portal]:
    made = Portal(nothing)
    yield made
    made.close()


def in_threads(*targets: object) -> None:
    threads = [threading.Thread(target=target, daemon=True) for target in targets]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), "a thread hangs"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, ValueError, asyncio.CancelledError])
def test_every_exception_of_a_coroutine_reaches_its_caller_only(portal: Portal, kind: type[BaseException]) -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise kind("now")

    expected = ConfigurationError if kind is asyncio.CancelledError else kind
    for _ in range(2):
        with pytest.raises(expected):
            portal.run(failing())
        assert portal.run(value()) == 1


def test_a_system_exit_while_other_calls_wait(portal: Portal) -> None:
    async def failing() -> None:
        raise SystemExit

    async def together() -> list[object]:
        others = [asyncio.create_task(asyncio.sleep(0.01, number)) for number in range(3)]
        asyncio.create_task(failing()).add_done_callback(lambda task: task.exception())
        return [await other for other in others]

    assert portal.run(together()) == [0, 1, 2]


def test_a_failed_call_leaves_no_cycle(portal: Portal) -> None:
    async def failing() -> None:
        raise ValueError

    def once() -> None:
        with pytest.raises(ValueError):
            portal.run(failing())

    once()
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, ValueError) for thing in gc.get_objects())
        for _ in range(20):
            with contextlib.suppress(ValueError):
                portal.run(failing())
        assert sum(isinstance(thing, ValueError) for thing in gc.get_objects()) <= before
    finally:
        gc.enable()


def test_the_traceback_shows_where_it_was_raised_and_where_it_was_called(portal: Portal) -> None:
    async def the_place() -> None:
        raise ValueError

    def the_caller() -> None:
        portal.run(the_place())

    with pytest.raises(ValueError) as caught:
        the_caller()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-3:] == ["the_caller", "run", "the_place"]
    assert caught.value.__context__ is None


def test_context_variables_travel_there_and_not_back(portal: Portal) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def look() -> str:
        seen = variable.get()
        variable.set("changed")
        return seen

    variable.set("mine")
    assert portal.run(look()) == "mine"
    assert variable.get() == "mine"


def test_closing_races_with_calls_and_with_closing() -> None:
    """Each call ends with its answer or with a ConfigurationError, whenever the close comes."""
    for _ in range(40):
        close_while_others_call(Portal(nothing))


def close_while_others_call(portal: Portal) -> None:
    portal.run(value())
    ready = threading.Barrier(6)
    outcomes: list[object] = []
    left: list[object] = []

    def call() -> None:
        ready.wait()
        for _ in range(20):
            try:
                outcomes.append(portal.run(asyncio.sleep(0.0005, "answer")))
            except ConfigurationError:
                outcomes.append("closed")

    def close() -> None:
        ready.wait()
        portal.close()
        left.append(loop_threads())

    in_threads(call, call, call, call, close, close)
    assert left == [set(), set()]
    assert len(outcomes) == 80
    assert outcomes[-1] == "closed"
    assert set(outcomes) <= {"answer", "closed"}


def test_a_call_handed_over_after_the_last_turn_of_the_loop_is_refused(portal: Portal) -> None:
    """The narrow gap: the loop has taken its last turn and is not closed yet."""
    portal.run(value())
    thread = portal._thread
    assert thread is not None
    closing, go_on = threading.Event(), threading.Event()
    really_close = thread._loop.close

    def close_later() -> None:
        closing.set()
        go_on.wait(5)
        really_close()

    thread._loop.close = close_later  # type: ignore[method-assign]
    thread.end()
    assert closing.wait(5)
    refused: list[str] = []

    def call() -> None:
        with pytest.raises(ConfigurationError) as caught:
            portal.run(value())
        refused.append(str(caught.value))

    caller = threading.Thread(target=call)
    caller.start()
    while not thread._calls:
        pass
    go_on.set()
    caller.join(5)
    assert refused == ["this client is closed; make a new one"]


def test_closing_ends_calls_under_way_and_says_that_they_may_have_happened(portal: Portal) -> None:
    under_way = threading.Event()
    caught: list[ConfigurationError] = []

    async def long() -> None:
        under_way.set()
        await asyncio.sleep(60)

    def call() -> None:
        with pytest.raises(ConfigurationError) as info:
            portal.run(long())
        caught.append(info.value)

    def close() -> None:
        under_way.wait()
        portal.close()

    in_threads(call, close)
    assert str(caught[0]) == "this client was closed during the call"
    assert caught[0].outcome_unknown


def test_closing_from_the_loop_thread_itself(portal: Portal) -> None:
    async def close() -> None:
        portal.close()
        await asyncio.sleep(60)

    with pytest.raises(ConfigurationError, match="closed during the call"):
        portal.run(close())
    portal.close()
    with pytest.raises(ConfigurationError, match="closed"):
        portal.run(value())


def looking(call: Any) -> None:
    """A wait that ends by a look and without the lock, as it may after each breath."""
    while not call.done:
        time.sleep(0.001)


@pytest.mark.parametrize("wait", [room._Call.wait, looking], ids=["lock", "look"])
def test_a_call_that_will_not_end_does_not_hold_its_caller_for_ever(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, wait: Any
) -> None:
    monkeypatch.setattr(room, "CLOSE_GRACE", 0.1)
    monkeypatch.setattr(room._Call, "wait", wait)
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda details: complaints.append(details.exc_value))
    under_way = threading.Event()
    freed: list[BaseException] = []
    task: list[asyncio.Task[None] | None] = []

    async def stubborn() -> None:
        task.append(asyncio.current_task())
        under_way.set()
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    def call() -> None:
        try:
            portal.run(stubborn())
        except ConfigurationError as error:
            freed.append(error)

    def close() -> None:
        under_way.wait()
        portal.close()

    in_threads(call, close)
    assert freed
    assert task[0] is not None
    task[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    task.clear()
    freed.clear()  # its traceback leads to the task as well
    gc.collect()  # thrown away with its loop, the call has nobody left to tell
    assert complaints == []


def test_a_loop_that_breaks_down_ends_every_call(monkeypatch: pytest.MonkeyPatch, own_loop: str) -> None:
    if own_loop == "uvloop":
        pytest.skip("uvloop has no selector that a test could break")
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda details: reported.append(details.exc_type))
    portal = Portal(nothing)

    async def sabotage() -> None:
        def broken(_: object) -> None:
            raise OSError("no more")

        asyncio.get_running_loop()._selector.select = broken  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    with pytest.raises(ConfigurationError) as caught:
        portal.run(sabotage())
    assert caught.value.outcome_unknown
    with pytest.raises(ConfigurationError):
        portal.run(value())
    portal.close()
    assert reported == [OSError]
    # What such a loop leaves behind asyncio complains of: here, and not to whoever comes later.
    del portal, caught
    gc.collect()


def test_a_thread_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    portal = Portal(nothing)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(ConfigurationError, match="can't start new thread"):
            portal.run(value())
    assert portal.run(value()) == 1
    portal.close()


class Numbers:
    """An async iterator that notes when it was closed."""

    def __init__(self) -> None:
        self.closed_in: str | None = None

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in range(3):
                yield number
        finally:
            await asyncio.sleep(0)
            self.closed_in = threading.current_thread().name


def test_an_async_iterator_as_a_plain_one(portal: Portal) -> None:
    numbers = Numbers()
    assert list(portal.iterate(numbers())) == [0, 1, 2]
    assert numbers.closed_in == "shell_ev"


def test_leaving_an_iterator_early_closes_the_async_one(portal: Portal) -> None:
    numbers = Numbers()
    for number in portal.iterate(numbers()):
        assert number == 0
        break
    assert numbers.closed_in == "shell_ev"


def test_an_iterator_over_a_portal_that_was_closed_meanwhile(portal: Portal) -> None:
    numbers = Numbers()
    plain = portal.iterate(numbers())
    assert next(plain) == 0
    portal.close()
    assert numbers.closed_in == "shell_ev"
    with pytest.raises(ConfigurationError):
        next(plain)


def test_the_wait_comes_up_for_air_where_signals_do_not_end_it(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.setattr(room, "_SLICE", 0.001)
    assert portal.run(asyncio.sleep(0.02, "done")) == "done"


def test_a_call_handed_over_while_the_thread_is_closing_is_not_begun() -> None:
    begun: list[str] = []
    refused: list[str] = []

    async def start() -> None:
        begun.append("a request would have left")

    def call() -> None:
        with pytest.raises(ConfigurationError) as caught:
            portal.run(start())
        refused.append(str(caught.value))

    caller = threading.Thread(target=call)

    async def on_close() -> None:
        caller.start()
        while caller.is_alive():
            await asyncio.sleep(0.001)

    portal = Portal(on_close)
    portal.run(value())
    assert portal._thread is not None
    portal._thread.end()
    portal._thread.join()
    caller.join(5)
    assert (begun, refused) == ([], ["this client is closed; make a new one"])


class TestTheLoop:
    """``SHELL_EV_LOOP`` chooses the loop of a blocking client."""

    @staticmethod
    def made() -> str:
        async def room() -> str:
            return type(asyncio.get_running_loop()).__module__.partition(".")[0]

        portal = Portal(nothing)
        try:
            return portal.run(room())
        finally:
            portal.close()

    def test_it_is_the_one_asked_for(self, own_loop: str) -> None:
        assert self.made() == own_loop

    @pytest.mark.parametrize("value", ["", "auto", " AUTO "])
    def test_it_is_uvloop_where_that_is_installed(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        pytest.importorskip("uvloop")
        monkeypatch.setenv("SHELL_EV_LOOP", value)
        assert self.made() == "uvloop"

    def test_without_uvloop_it_is_asyncio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHELL_EV_LOOP")
        monkeypatch.delitem(sys.modules, "uvloop", raising=False)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert self.made() == "asyncio"
        monkeypatch.setenv("SHELL_EV_LOOP", "uvloop")
        with pytest.raises(ConfigurationError, match=r"shell_ev\[speed\]"):
            Portal(nothing)

    def test_an_unknown_name_is_a_configuration_error_of_the_constructor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL_EV_LOOP", "trio")
        with pytest.raises(ConfigurationError, match="SHELL_EV_LOOP must be auto, asyncio or uvloop, not 'trio'"):
            ShellEV("id", "secret")
