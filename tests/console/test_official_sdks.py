"""The official SDKs of three generations against the sandbox: every operation, and every error they document.

Each has an environment of its own, in the folder that CONSOLE_SDKS names: `<folder>/<version>/bin/python`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shell_ev.sandbox import Dialect, Sandbox

pytestmark = pytest.mark.servers

SCRIPT = Path(__file__).with_name("official_sdk.py")
DIALECTS = {"1.0.0": Dialect.V1_PASCAL, "1.3.0": Dialect.V1, "2.2.0": Dialect.V2}
CHARGING = ["charging.start", "charging.stop", "charging.retrieve"]
LOCATIONS = ["locations.list", "locations.get", "locations.nearby", "locations.markers"]
CODES = {400: "E0001", 401: "E0003", 404: "E0038", 429: "E0009", 500: "E0005", 503: "E0014"}
CODES_1_0 = {400: "E0001", 401: "E0006", 404: "E0005", 405: "E0007", 429: "E0008", 500: "E0002", 503: "E0012"}
NAMES = {
    400: "BadRequestException",
    401: "UnauthorizedException",
    404: "NotFoundException",
    429: "TooManyRequestsException",
    500: "InternalServerErrorException",
    503: "ServiceunavailableException",
}


@pytest.fixture(scope="module", params=DIALECTS)
def run(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], list[Any]]:
    """What one SDK reports, and the requests that it sent."""
    version: str = request.param
    python = Path(os.environ.get("CONSOLE_SDKS", "")) / version / "bin" / "python"
    assert python.is_file(), f"no ev-recharge-sdk {version}: name the folder of the environments in CONSOLE_SDKS"
    with Sandbox(stations=50) as sandbox:
        done = subprocess.run([python, SCRIPT, sandbox.url], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return version, json.loads(done.stdout), list(sandbox.requests)


def test_a_charge_is_started_followed_and_stopped(run: Any) -> None:
    _, report, _ = run
    assert report["session_id_is_text"]
    assert report["states"] == ["start-requested", "started", "stop-requested", "stopped"]
    assert (report["active"], report["active_after"]) == (["started"], 0)
    assert report["request_id"] == "123e4567-e89b-12d3-a456-426614174000"


def test_locations_are_read(run: Any) -> None:
    _, report, _ = run
    expected = {"list": 5, "city": "Amsterdam", "evse": "NL*TNM*E02003451*0", "near": "Amsterdam", "markers": True}
    assert report["locations"] == expected


def test_what_does_not_exist_is_the_404_of_its_page(run: Any) -> None:
    version, report, _ = run
    refused = report["refused"]
    assert {answer["status"] for answer in refused.values()} == {404}
    start = refused["start on an unknown EVSE"]["text"]
    old = "Invalid charge token with given EmaId was not found."
    assert start == (old if version == "1.0.0" else "Location Not Found")
    assert refused["stop of an unknown session"]["text"] == "Session not found or Session has already been stopped"


def expected_error(version: str, operation: str, status: int) -> tuple[str, str]:
    """The exception of the SDK and the code in the body."""
    if version != "1.0.0":
        word = operation.partition(".")[2].capitalize()
        own = version == "2.2.0" and status == 404 and operation in CHARGING
        return (f"V2ChargeSession{word}404ErrorException" if own else NAMES[status]), CODES[status]
    if operation.startswith("locations."):
        return NAMES[status], CODES_1_0[status]
    if (operation, status) == ("charging.start", 401):
        return "HTTP401ErrorResponseException", "E0003"
    return f"M{status}ErrorResponseError1Exception", CODES_1_0[status]


def test_every_documented_error_is_its_exception(run: Any) -> None:
    version, report, _ = run
    count = {"1.0.0": 4 * 7 + 4 * 3, "1.3.0": 7 * 6, "2.2.0": 7 * 6}[version]
    assert len(report["errors"]) == count
    assert report["faults_left"] == 0
    for name, found in report["errors"].items():
        operation, status = name.split()
        error, code = expected_error(version, operation, int(status))
        assert (name, found["status"], found["code"]) == (name, int(status), code)
        assert (name, found["error"]) == (name, error)
        assert found["text"] not in ("", "None"), name


def test_the_log_of_the_sandbox_knows_its_dialect(run: Any) -> None:
    version, _, requests = run
    assert {request.dialect for request in requests if request.operation != "token"} == {DIALECTS[version]}
    seen = {request.operation for request in requests}
    assert seen == {"token", "charging.active", *CHARGING, *LOCATIONS}
    assert [request for request in requests if request.fault is None and request.status >= 500] == []
