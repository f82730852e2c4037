"""Fixtures of the tests of the kit: its parts by hand, without the plugin."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from shell_ev import AsyncShellEV
from shell_ev.testing import ControlledSandbox

#: Real seconds for what must take none: generous to a slow machine, short beside the minutes of test time.
NEXT_TO_NOTHING = 2.0


@pytest.fixture
def sandbox() -> Iterator[ControlledSandbox]:
    with ControlledSandbox() as running:
        yield running


@pytest.fixture
def ev(sandbox: ControlledSandbox) -> AsyncShellEV:
    return sandbox.client()


@pytest.fixture
def quick() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < NEXT_TO_NOTHING
