"""What a client takes from the world: the real thing, unless hooks are given, or are in force where it is made."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from shell_ev import AsyncShellEV, ConfigurationError, ShellEV
from shell_ev.core.runtime import Hooks, LoopTimers, ambient, ambient_hooks


def hooks_of(client: Any) -> Hooks:
    client = client.original if isinstance(client, ShellEV) else client
    hooks: Hooks = client._manager.hooks
    return hooks


@pytest.mark.parametrize("kind", [AsyncShellEV, ShellEV])
class TestAmbientHooks:
    def test_a_client_takes_those_in_force_where_it_is_made_and_keeps_them(self, kind: Any) -> None:
        real, own = ambient_hooks(), Hooks()
        before = kind("id", "secret")
        with ambient(own):
            inside = kind("id", "secret")
        after = kind("id", "secret")
        assert [hooks_of(client) for client in (before, inside, after)] == [real, own, real]
        assert hooks_of(inside.with_options(timeout=1)) is own

    def test_in_every_thread(self, kind: Any) -> None:
        own, made = Hooks(), []
        with ambient(own):
            thread = threading.Thread(target=lambda: made.append(kind("id", "secret")))
            thread.start()
            thread.join()
        assert hooks_of(made[0]) is own


@pytest.mark.parametrize(
    "use",
    [
        lambda ev: ev.charging.active("NL-TNM-C00122045-K"),
        lambda ev: ev.start_charge("NL-TNM-C00122045-K", "NL*TNM*E02003451*0"),
        lambda ev: ev.charge("NL-TNM-C00122045-K", "NL*TNM*E02003451*0").__aenter__(),
        lambda ev: ev.attach("00000000-0000-4000-8000-000000000000").wait_started(),
        lambda ev: anext(ev.follow(["00000000-0000-4000-8000-000000000000"])),
    ],
)
def test_without_an_asyncio_loop_it_says_so(use: Any) -> None:
    """As under trio: the coroutine is driven by something else."""
    step = use(AsyncShellEV("id", "secret"))
    with pytest.raises(ConfigurationError, match="no asyncio event loop is running here"):
        step.send(None) if hasattr(step, "send") else step.__await__().send(None)


def test_blocks_may_end_in_any_order() -> None:
    real, first, second = ambient_hooks(), Hooks(), Hooks()
    outer, inner = ambient(first), ambient(second)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert ambient_hooks() is second
    inner.__exit__(None, None, None)
    assert ambient_hooks() is real


async def test_real_time_is_that_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    timers = ambient_hooks().timers(loop)
    assert isinstance(timers, LoopTimers)
    before = loop.time()
    assert before <= timers.time() <= loop.time()
    called = asyncio.Event()
    timers.call_at(before + 0.01, called.set)
    timers.call_at(before, lambda: pytest.fail("it was cancelled")).cancel()
    await timers.sleep(0.02)
    assert called.is_set()
    assert loop.time() - before >= 0.02
