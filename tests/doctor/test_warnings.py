"""What works and is worth a word: warned of, never called broken."""

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
async def test_a_proxy_in_the_environment_that_is_not_followed(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    async with Sandbox(stations=5) as sandbox:
        warning = only_warning(await diagnose(options(sandbox.url), variables=[]))
    assert warning.check == "proxy"
    assert warning.seen.endswith("HTTP_PROXY is set and not followed, as trust_env is not True")
    assert "trust_env=True follows HTTP_PROXY" in warning.advice


async def test_all_proxy_is_read_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    async with Sandbox(stations=5) as sandbox:
        warning = only_warning(await diagnose(options(sandbox.url, trust_env=True), variables=[]))
    assert warning.check == "proxy"
    assert "ALL_PROXY is set and not read" in warning.seen


async def test_a_dead_host_where_a_proxy_would_be(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    diagnosis = await diagnose(options(f"http://127.0.0.1:{closed_port}"), variables=[])
    (failed,) = diagnosis.failed
    assert "This network may want its proxy: HTTP_PROXY is set and not followed" in failed.advice


async def test_a_socks_proxy_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:proxy-pass-4711@proxy.example:1080")
    diagnosis = await diagnose(options("https://api.invalid", trust_env=True), variables=[])
    (failed,) = diagnosis.failed
    assert failed.check == "proxy"
    assert failed.seen.startswith("HTTPS_PROXY cannot be used")
    assert "SOCKS" in failed.advice
    assert "proxy-pass-4711" not in repr(diagnosis)


async def test_plain_http_beyond_this_machine() -> None:
    async with Sandbox(stations=5) as sandbox:
        # Reaches this machine, and is no address of the loopback.
        url = sandbox.url.replace("127.0.0.1", "0.0.0.0")
        warning = only_warning(await diagnose(options(url), variables=[]))
    assert warning.check == "tls"
    assert "the client secret and the tokens can be read on the way" in warning.seen


async def test_a_certificate_that_ends_soon() -> None:
    authority = trustme.CA()
    ends = datetime.now(UTC) + timedelta(days=3)
    async with behind_tls(server_context(authority.issue_cert("localhost", not_after=ends))) as (_, url):
        warning = only_warning(await diagnose(options(url, ssl=trusting(authority)), variables=[]))
    assert warning.check == "tls"
    assert f"{ends:%Y-%m-%d}" in warning.advice


async def test_a_context_that_verifies_nothing() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with behind_tls(server_context(trustme.CA().issue_cert("other.example"))) as (_, url):
        warning = only_warning(await diagnose(options(url, ssl=context), variables=[]))
    assert warning.check == "tls"
    assert "does not verify the server" in warning.seen


@pytest.mark.parametrize("ahead", [45, -45])
async def test_a_clock_that_is_a_little_off(ahead: float) -> None:
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(
            options(sandbox.url), variables=[], now=lambda: datetime.now(UTC).timestamp() + ahead
        )
    warning = only_warning(diagnosis)
    assert warning.check == "clock"
    assert f" seconds {'ahead of' if ahead > 0 else 'behind'} that of 127.0.0.1" in warning.seen


async def test_a_slow_answer() -> None:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("locations.nearby", Fault.delay(1.0))
        diagnosis = await diagnose(options(sandbox.url), variables=[], limits=Limits(slow=0.8))
    warning = only_warning(diagnosis)
    assert warning.check == "locations.nearby"
    assert "but slowly: it took 1." in warning.seen


async def test_a_request_that_the_service_does_not_like() -> None:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("charging.active", Fault.status(400))
        warning = only_warning(await diagnose(options(sandbox.url), variables=[]))
    assert warning.check == "charging.active"
    assert "it answers 400 to what the doctor asks: E0001 Bad Request (request " in warning.seen


async def test_values_that_cannot_be_read() -> None:
    body = b'{"requestId":"r","status":"SUCCESS","data":[{"uid":"1","evses":7}]}'
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("locations.nearby", Fault.status(200, body=body))
        warning = only_warning(await diagnose(options(sandbox.url), variables=[]))
    assert warning.check == "locations.nearby"
    assert "cannot be read: " in warning.seen


async def test_a_variable_that_nothing_reads() -> None:
    async with Sandbox(stations=5) as sandbox:
        places = [("environment", {"SHELL_EV_ENV": "test", "SHELL_EV_ENGINE": "auto", "OTHER": "x"})]
        warning = only_warning(await diagnose(options(sandbox.url), variables=places))
    assert warning.check == "configuration"
    assert warning.advice.startswith("SHELL_EV_ENV: set, but nothing reads a variable of that name")


async def test_an_address_that_says_nothing_beside_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def two_addresses(host: object, port: object, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

    async with Sandbox(stations=5) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with black_hole("127.0.0.2", port):
            monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
            # Long enough for the client to go on to the other address.
            limits = Limits(connect=0.7)
            diagnosis = await diagnose(options(f"http://localhost:{port}"), variables=[], limits=limits)
    warning = only_warning(diagnosis)
    assert warning.check == "tcp"
    assert "127.0.0.2 does not answer within 0.7 s" in warning.seen


async def test_a_server_without_a_date_is_no_fault_of_the_clock() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read(1024)

    async with listening(serve) as port:
        diagnosis = await diagnose(options(f"http://127.0.0.1:{port}"), variables=[])
    clock = next(finding for finding in diagnosis.findings if finding.check == "clock")
    assert (clock.outcome, clock.seen) == ("skipped", "127.0.0.1 does not tell the time (no Date header)")
