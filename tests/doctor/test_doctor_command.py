"""``shell-ev doctor`` as a process: faults, exit codes, Ctrl-C; no secret and no traceback in its output."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trustme
from doctor_servers import behind_tls, listening, proxy, self_signed, server_context, set_clock
from fault_cases import CLIENT_ID, SECRET, WRONG_SECRET

from shell_ev.sandbox import Fault, Sandbox

#: Real processes and terminals: half a minute and more.
pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
CREDENTIALS = {"SHELL_EV_CLIENT_ID": CLIENT_ID, "SHELL_EV_CLIENT_SECRET": SECRET}
PASSWORD = "proxy-pass-4711"


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("SHELL_EV_")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **variables}


async def begin(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "shell_ev", "doctor", *arguments),
        env=clean_environment(variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def doctor(*arguments: str, **variables: str) -> tuple[int, str, str]:
    process = await begin(*arguments, **variables)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


Situation = Callable[[], AbstractAsyncContextManager[dict[str, str]]]


@asynccontextmanager
async def wrong_secret() -> AsyncIterator[dict[str, str]]:
    async with Sandbox(stations=5) as sandbox:
        yield {**CREDENTIALS, "SHELL_EV_BASE_URL": sandbox.url, "SHELL_EV_CLIENT_SECRET": WRONG_SECRET}


@asynccontextmanager
async def dead_host() -> AsyncIterator[dict[str, str]]:
    async with Sandbox(stations=5) as sandbox:
        url = sandbox.url
    yield {**CREDENTIALS, "SHELL_EV_BASE_URL": url}


@asynccontextmanager
async def unknown_host() -> AsyncIterator[dict[str, str]]:
    yield {**CREDENTIALS, "SHELL_EV_BASE_URL": "https://no-such-host.invalid"}


@asynccontextmanager
async def not_trusted() -> AsyncIterator[dict[str, str]]:
    async with behind_tls(self_signed()) as (_, url):
        yield {**CREDENTIALS, "SHELL_EV_BASE_URL": url}


@asynccontextmanager
async def clock_ahead() -> AsyncIterator[dict[str, str]]:
    async with Sandbox(stations=5) as sandbox:
        set_clock(sandbox, ahead=-600)
        yield {**CREDENTIALS, "SHELL_EV_BASE_URL": sandbox.url}


@asynccontextmanager
async def clock_behind() -> AsyncIterator[dict[str, str]]:
    async with Sandbox(stations=5) as sandbox:
        set_clock(sandbox, ahead=600)
        yield {**CREDENTIALS, "SHELL_EV_BASE_URL": sandbox.url}


@asynccontextmanager
async def refusing_proxy() -> AsyncIterator[dict[str, str]]:
    async with proxy("403 Forbidden") as served:
        url = served.url.replace("//", f"//user:{PASSWORD}@")
        yield {**CREDENTIALS, "SHELL_EV_BASE_URL": "https://api.invalid", "HTTPS_PROXY": url}


@asynccontextmanager
async def unavailable() -> AsyncIterator[dict[str, str]]:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", Fault.unavailable())
        yield {**CREDENTIALS, "SHELL_EV_BASE_URL": sandbox.url}


FAULTS: list[tuple[Situation, str]] = [
    (wrong_secret, r"✗ token +the client id or the client secret is wrong: .* 401: invalid_client"),
    (dead_host, r"✗ tcp +no connection to port \d+: 127.0.0.1 refuses the connection"),
    (unknown_host, r"✗ dns +(unknown host name: |the host name )no-such-host.invalid"),
    (not_trusted, r"✗ tls +the certificate is self-signed and this machine does not trust it"),
    (clock_ahead, r"✗ clock +this machine's clock is 10 minutes ahead of that of 127.0.0.1"),
    (clock_behind, r"✗ clock +this machine's clock is 10 minutes behind that of 127.0.0.1"),
    (refusing_proxy, r"✗ proxy +the proxy 127.0.0.1:\d+ refuses to connect to api.invalid:443 \(it answers 403"),
    (unavailable, r"✗ charging.active +it answers 503: E0014 Service Unavailable \(request [0-9a-f-]{36}\)"),
]


@pytest.mark.parametrize(("situation", "named"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_the_command_names_the_fault_and_exits_with_1(situation: Situation, named: str) -> None:
    async with situation() as variables:
        (code, text, err), (json_code, document, _) = await asyncio.gather(
            doctor(**variables), doctor("--json", **variables)
        )
    assert (code, json_code, err) == (1, 1, "")
    assert re.search(named, text), text
    failed = {line.split()[1] for line in text.splitlines() if line.startswith("✗")}
    assert len(failed) == 1 or all("." in check for check in failed)
    assert "What to do" in text
    assert json.loads(document)["exit_code"] == 1
    assert {found["check"] for found in json.loads(document)["findings"] if found["outcome"] == "failed"} == failed
    for output in (text, document):
        for secret in (SECRET, WRONG_SECRET, PASSWORD, CLIENT_ID):
            assert secret not in output
        assert "Traceback" not in output


async def test_a_working_set_up_over_tls_exits_with_0(tmp_path: Path) -> None:
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    async with behind_tls(server_context(authority.issue_cert("localhost"))) as (_, url):
        code, text, err = await doctor("--base-url", url, **CREDENTIALS, SSL_CERT_FILE=str(trusted))
    assert (code, err) == (0, ""), text
    assert re.search(r"✓ tls +TLSv1.3", text)
    assert text.rstrip().splitlines()[-1].startswith("All well (")


async def test_the_embedded_sandbox_needs_no_settings() -> None:
    code, text, err = await doctor("--sandbox")
    assert (code, err) == (0, "")
    assert text.count("✓") == 14


async def test_the_env_file_is_named_as_the_origin_of_a_setting(tmp_path: Path) -> None:
    env_file = tmp_path / "ev.env"
    async with Sandbox(stations=5) as sandbox:
        env_file.write_text(f"SHELL_EV_CLIENT_ID={CLIENT_ID}\nSHELL_EV_CLIENT_SECRET={SECRET}\n")
        code, document, _ = await doctor(
            *("--json", "--env-file", str(env_file), "--base-url", sandbox.url), SHELL_EV_CLIENT_ID=CLIENT_ID
        )
    origins = {found["name"]: found["origin"] for found in json.loads(document)["facts"]["settings"]}
    assert code == 0
    assert origins["client_id"] == "environment"
    assert origins["client_secret"] == f"env file {env_file}"
    assert origins["base_url"] == "option"


async def test_missing_credentials_are_reported_beside_the_network_checks() -> None:
    async with Sandbox(stations=5) as sandbox:
        code, text, _ = await doctor("--base-url", sandbox.url)
    assert code == 1
    assert re.search(r"✗ credentials +SHELL_EV_CLIENT_ID is not set; SHELL_EV_CLIENT_SECRET is not set", text)
    assert re.search(r"✓ tcp +connected", text)


async def test_the_report_has_no_secret_and_no_home_directory() -> None:
    async with wrong_secret() as variables:
        code, report, err = await doctor("--report", **variables)
    assert (code, err) == (1, "")
    assert report.startswith("### shell-ev doctor\n\n1 check failed")
    assert "| client\\_id | sand… | environment |" in report
    for secret in (SECRET, WRONG_SECRET, CLIENT_ID, str(Path.home())):
        assert secret not in report


async def test_json_and_report_exclude_each_other() -> None:
    code, out, err = await doctor("--json", "--report")
    assert (code, out) == (2, "")
    assert "--json and --report exclude each other" in err


async def test_an_ascii_output_gets_ascii_signs() -> None:
    code, text, err = await doctor("--sandbox", PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert text.isascii()
    assert "?" not in text
    assert re.search(r"^ok token ", text, re.MULTILINE)


async def test_ctrl_c_ends_the_doctor_without_output() -> None:
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            asked.set()

    async with listening(serve) as port:
        process = await begin("--base-url", f"http://127.0.0.1:{port}", **CREDENTIALS)
        await asyncio.wait_for(asked.wait(), 30)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130
    assert time.monotonic() - began < 8
    assert (out, err) == (b"", b"")


async def test_a_silent_name_server_does_not_delay_the_end_of_the_program() -> None:
    program = """
import asyncio, socket, time
from shell_ev.doctor import Limits, diagnose
socket.getaddrinfo = lambda *_, **__: time.sleep(60)  # as with silent name servers
options = {"client_id": "some-client", "client_secret": "some-secret", "base_url": "https://api.invalid"}
diagnosis = asyncio.run(diagnose(options, variables=[], limits=Limits(look_up=0.2)))
print([finding.seen for finding in diagnosis.failed])
"""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", program),
        env=clean_environment({}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert (process.returncode, err) == (0, b"")
    assert time.monotonic() - began < 20
    assert out.decode().strip() == "['the look-up of the host name api.invalid got no answer within 0.2 s']"
