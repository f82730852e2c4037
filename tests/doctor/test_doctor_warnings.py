"""Set-ups that work with a warning."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from doctor_servers import behind_tls, black_hole, listening, server_context, trusting
from fault_cases import options

from shell_ev.doctor import Diagnosis, Finding, Limits, diagnose
from shell_ev.sandbox import Fault, Sandbox


def only_warning(diagnosis: Diagnosis) -> Finding:
    assert diagnosis.failed == ()
    assert diagnosis.exit_code == 0
    (warning,) = diagnosis.warnings
    assert warning.advice
    return warning


@pytest.mark.parametrize("value", ["http://proxy.example:3128", "proxy.example:3128", "socks5://proxy.example:1080"])
async def test_a_proxy_of_the_environment_without_trust_env_is_a_warning(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    async with Sandbox(stations=5) as sandbox:
        warning = only_warning(await diagnose(options(sandbox.url), variables=[]))
    assert warning.check == "proxy"
    assert warning.seen.endswith("HTTP_PROXY is set and not used, as trust_env is not True")
    assert "trust_env=True uses HTTP_PROXY" in warning.advice


async def test_all_proxy_without_trust_env_is_a_warning_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    async with Sandbox(stations=5) as sandbox:
        warning = only_warning(await diagnose(options(sandbox.url), variables=[]))
    assert warning.check == "proxy"
    assert "ALL_PROXY is set and not used, as trust_env is not True" in warning.seen


async def test_all_proxy_is_used_and_named(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port}")
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(options(sandbox.url, trust_env=True), variables=[])
    (failed,) = diagnosis.failed
    assert failed.check == "proxy"
    assert f"127.0.0.1:{closed_port}" in failed.seen
    assert "ALL_PROXY" in failed.advice


async def test_a_dead_host_suggests_the_unused_proxy(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    diagnosis = await diagnose(options(f"http://127.0.0.1:{closed_port}"), variables=[])
    (failed,) = diagnosis.failed
    assert "This network may need its proxy: HTTP_PROXY is set and not used" in failed.advice


async def test_a_socks_proxy_fails_the_proxy_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:proxy-pass-4711@proxy.example:1080")
    diagnosis = await diagnose(options("https://api.invalid", trust_env=True), variables=[])
    (failed,) = diagnosis.failed
    assert failed.check == "proxy"
    assert failed.seen.startswith("HTTPS_PROXY cannot be used")
    assert "SOCKS" in failed.advice
    assert "proxy-pass-4711" not in repr(diagnosis)


async def test_plain_http_to_another_machine_is_a_warning() -> None:
    async with Sandbox(stations=5) as sandbox:
        # Reaches this machine, but is not a loopback address.
        url = sandbox.url.replace("127.0.0.1", "0.0.0.0")
        warning = only_warning(await diagnose(options(url), variables=[]))
    assert warning.check == "tls"
    assert "the client secret and the tokens can be read in transit" in warning.seen


async def test_a_certificate_that_expires_soon_is_a_warning() -> None:
    authority = trustme.CA()
    ends = datetime.now(UTC) + timedelta(days=3)
    async with behind_tls(server_context(authority.issue_cert("localhost", not_after=ends))) as (_, url):
        warning = only_warning(await diagnose(options(url, ssl=trusting(authority)), variables=[]))
    assert warning.check == "tls"
    assert f"{ends:%Y-%m-%d}" in warning.advice


async def test_an_ssl_context_without_verification_is_a_warning() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with behind_tls(server_context(trustme.CA().issue_cert("other.example"))) as (_, url):
        warning = only_warning(await diagnose(options(url, ssl=context), variables=[]))
    assert warning.check == "tls"
    assert "does not verify the server" in warning.seen


@pytest.mark.parametrize("ahead", [45, -45])
async def test_a_small_clock_offset_is_a_warning(ahead: float) -> None:
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(
            options(sandbox.url), variables=[], now=lambda: datetime.now(UTC).timestamp() + ahead
        )
    warning = only_warning(diagnosis)
    assert warning.check == "clock"
    assert f" seconds {'ahead of' if ahead > 0 else 'behind'} that of 127.0.0.1" in warning.seen


async def test_a_slow_answer_is_a_warning() -> None:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("locations.nearby", Fault.delay(1.0))
        diagnosis = await diagnose(options(sandbox.url), variables=[], limits=Limits(slow=0.8))
    warning = only_warning(diagnosis)
    assert warning.check == "locations.nearby"
    assert "but slowly: it took 1." in warning.seen


async def test_a_400_of_one_operation_is_a_warning() -> None:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("charging.active", Fault.status(400))
        warning = only_warning(await diagnose(options(sandbox.url), variables=[]))
    assert warning.check == "charging.active"
    assert "it answers 400 to the doctor's request: E0001 Bad Request (request " in warning.seen


async def test_unreadable_values_are_a_warning() -> None:
    body = b'{"requestId":"r","status":"SUCCESS","data":[{"uid":"1","evses":7}]}'
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("locations.nearby", Fault.status(200, body=body))
        warning = only_warning(await diagnose(options(sandbox.url), variables=[]))
    assert warning.check == "locations.nearby"
    assert "cannot be read: " in warning.seen


async def test_an_unknown_variable_is_a_warning() -> None:
    async with Sandbox(stations=5) as sandbox:
        places = [("environment", {"SHELL_EV_ENV": "test", "SHELL_EV_ENGINE": "auto", "OTHER": "x"})]
        warning = only_warning(await diagnose(options(sandbox.url), variables=places))
    assert warning.check == "configuration"
    assert warning.advice.startswith("SHELL_EV_ENV: set, but no variable of that name is read")


async def test_a_silent_address_beside_one_that_answers_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def two_addresses(host: object, port: object, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

    async with Sandbox(stations=5) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with black_hole("127.0.0.2", port):
            monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
            # Long enough for the client to connect to the other address.
            limits = Limits(connect=0.7)
            diagnosis = await diagnose(options(f"http://localhost:{port}"), variables=[], limits=limits)
    warning = only_warning(diagnosis)
    assert warning.check == "tcp"
    assert "127.0.0.2 does not answer within 0.7 s" in warning.seen


async def test_a_server_without_a_date_header_skips_the_clock_check() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read(1024)

    async with listening(serve) as port:
        diagnosis = await diagnose(options(f"http://127.0.0.1:{port}"), variables=[])
    clock = next(finding for finding in diagnosis.findings if finding.check == "clock")
    assert (clock.outcome, clock.seen) == ("skipped", "127.0.0.1 sends no Date header")
