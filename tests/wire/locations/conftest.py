"""Fixtures: the sandbox on a clock that stands still, and clients of every dialect that close behind the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from location_servers import Answer, AnswerServer

from shell_ev import AsyncShellEV, StaticToken
from shell_ev.sandbox import Sandbox

NOON = 1_782_043_200.0  # 2026-06-21T12:00:00Z, later than anything the sandbox says of its stations


class ManualClock:
    """Time that stands still unless it is moved."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


Connect = Callable[..., AsyncShellEV]


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    """What is closed when the test is over."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the sandbox."""
    return ManualClock()


@pytest.fixture
async def sandbox(clock: ManualClock) -> AsyncIterator[Sandbox]:
    """The sandbox with its named stations and some hundred others."""
    async with Sandbox(clock=clock, stations=300) as running:
        yield running


@pytest.fixture
def connect(sandbox: Sandbox, closing: AsyncExitStack) -> Connect:
    """A client of the sandbox in a dialect."""

    def make(version: str = "v2", **options: Any) -> AsyncShellEV:
        client = AsyncShellEV(
            sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, api_version=version, **options
        )
        closing.push_async_callback(client.aclose)
        return client

    return make


@pytest.fixture
def serve(closing: AsyncExitStack) -> Callable[..., Any]:
    """A server with answers of the test's own, and a client of it."""

    async def make(answer: Answer, version: str = "v2", **options: Any) -> tuple[AnswerServer, AsyncShellEV]:
        server = await closing.enter_async_context(AnswerServer(answer))
        client = AsyncShellEV(
            token_source=StaticToken("token-of-the-test"), base_url=server.url, api_version=version, **options
        )
        closing.push_async_callback(client.aclose)
        return server, client

    return make
