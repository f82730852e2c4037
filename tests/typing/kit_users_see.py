"""What users see of the test kit's types: annotated fixtures, options, assertions.

Checked by mypy --strict and pyright strict, never run; a line with an ``ignore`` is a call that has to be refused.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import assert_type

import pytest

from shell_ev import ApiVersion, AsyncCharge, AsyncShellEV, ShellEV, Timeout
from shell_ev.sandbox import Charge, Fault, RecordedRequest
from shell_ev.testing import ClientOptions, ControlledSandbox, ControlledTime, SandboxOptions


@pytest.fixture
def shell_ev_client_options() -> ClientOptions:
    return {"timeout": Timeout(total=5), "max_retries": 0, "api_version": ApiVersion.V1}


@pytest.fixture
def shell_ev_sandbox_options() -> SandboxOptions:
    return {"stations": 50, "token_lifetime": 60, "start_delay": 2.5}


@pytest.mark.shell_ev(api_version="v1", stations=50)
async def test_async(shell_ev_sandbox: ControlledSandbox, shell_ev_client: AsyncShellEV) -> None:
    shell_ev_sandbox.faults.add("charging.start", Fault.drop())
    async with shell_ev_client.charge("card", "evse") as charge:
        assert_type(charge, AsyncCharge)
    assert_type(shell_ev_sandbox.only_charge(), Charge)
    assert_type(shell_ev_sandbox.requests_to("charging.start"), tuple[RecordedRequest, ...])
    assert_type(shell_ev_sandbox.running(), tuple[Charge, ...])
    assert_type(shell_ev_sandbox.time, ControlledTime)
    assert_type(shell_ev_sandbox.client(timeout=3), AsyncShellEV)
    assert_type(shell_ev_sandbox.blocking_client(), ShellEV)
    shell_ev_sandbox.client(base_url="https://api.shell.com")  # type: ignore[call-arg]
    shell_ev_sandbox.assert_requested("charging.start", 1)
    shell_ev_sandbox.assert_requested("charging.start", times="once")  # type: ignore[arg-type]
    shell_ev_sandbox.after(30, shell_ev_sandbox.end_charge, charge.session_id)


def test_blocking(
    shell_ev_blocking_client: ShellEV, shell_ev_time: ControlledTime, shell_ev_env: Mapping[str, str]
) -> None:
    shell_ev_time.advance(30)
    shell_ev_time.advance(timedelta(minutes=3))
    shell_ev_time.advance("30")  # type: ignore[arg-type]
    assert_type(shell_ev_time.elapsed, float)
    assert_type(shell_ev_time.utcnow(), datetime)
    shell_ev_time.elapsed = 3  # type: ignore[misc]
    assert_type(shell_ev_blocking_client.with_options(timeout=1), ShellEV)
    assert_type(shell_ev_env["SHELL_EV_BASE_URL"], str)


def test_context_managers() -> None:
    with ControlledTime() as time, ControlledSandbox(time=time, client_options={"max_retries": 1}) as sandbox:
        assert_type(time, ControlledTime)
        assert_type(sandbox, ControlledSandbox)
        with sandbox.down() as nothing:
            assert_type(nothing, None)


wrong: ClientOptions = {"retries": 1}  # type: ignore[typeddict-unknown-key]
