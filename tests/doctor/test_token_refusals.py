"""A token endpoint that gives no token: wrong credentials, and what may pass by itself."""

from __future__ import annotations

import pytest
from fault_cases import options

from shell_ev.doctor import Finding, diagnose
from shell_ev.sandbox import Fault, Sandbox


async def token_failure(fault: Fault) -> Finding:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("token", fault)
        diagnosis = await diagnose(options(sandbox.url), variables=[])
    return next(finding for finding in diagnosis.failed if finding.check == "token")


async def test_refused_credentials_are_named() -> None:
    failed = await token_failure(Fault.status(401, body=b'{"error": "invalid_client"}'))
    assert "the client id or the client secret is wrong" in failed.seen


@pytest.mark.parametrize("status", [400, 409])
async def test_another_refusal_does_not_blame_the_credentials(status: int) -> None:
    failed = await token_failure(Fault.status(status, body=b'{"error": "temporarily_unavailable"}'))
    assert "does not say that the credentials are wrong" in failed.seen
    assert "try again" in failed.advice
