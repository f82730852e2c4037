"""What works is said to work, by whatever way, and nothing is ever started or stopped."""

from __future__ import annotations

import pytest
import trustme
from doctor_servers import behind_tls, proxy, server_context, trusting
from fault_cases import READS, options

from shell_ev import ApiVersion, StaticToken
from shell_ev.doctor import Diagnosis, Outcome, diagnose
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.sandbox.faults import CHAOS_FAULTS

#: user:pass
LOGIN = "Basic dXNlcjpwYXNz"


def outcomes(diagnosis: Diagnosis) -> dict[str, Outcome]:
    return {finding.check: finding.outcome for finding in diagnosis.findings}


def seen(diagnosis: Diagnosis, check: str) -> str:
    return next(finding.seen for finding in diagnosis.findings if finding.check == check)


def assert_all_well(diagnosis: Diagnosis, *skipped: str) -> None:
    expected = {"charging.start", "charging.stop", *skipped}
    assert {check for check, outcome in outcomes(diagnosis).items() if outcome is Outcome.SKIPPED} == expected
    assert not diagnosis.failed
    assert not diagnosis.warnings
    assert diagnosis.healthy
    assert diagnosis.exit_code == 0


@pytest.mark.parametrize("version", list(ApiVersion))
async def test_every_check_is_well_in_each_dialect_and_only_reads_are_sent(version: ApiVersion) -> None:
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(options(sandbox.url, api_version=version), variables=[])
        sent = [request.operation for request in sandbox.requests]
    assert_all_well(diagnosis, "tls")
    assert set(READS) <= set(outcomes(diagnosis))
    # The first asks nothing of the API but its time; the second session is the one that fetches the token.
    assert sorted(operation or "-" for operation in sent) == sorted(("-", "token", "charging.retrieve", *READS))
    assert [request.status for request in sandbox.requests if request.operation in READS].count(404) == 2
    assert seen(diagnosis, "configuration").startswith(f"environment production, version {version.value}, API at ")


async def test_over_tls_the_certificate_is_told() -> None:
    authority = trustme.CA(organization_name="Our Authority")
    async with behind_tls(server_context(authority.issue_cert("localhost"))) as (_, url):
        diagnosis = await diagnose(options(url, ssl=trusting(authority)), variables=[])
    assert_all_well(diagnosis)
    assert "issued by Our Authority" in seen(diagnosis, "tls")
    assert seen(diagnosis, "tls").startswith("TLSv1.3")
    assert "127.0.0.1" in seen(diagnosis, "dns")


async def test_through_a_proxy_that_wants_a_login() -> None:
    authority = trustme.CA()
    async with (
        behind_tls(server_context(authority.issue_cert("localhost"))) as (_, url),
        proxy(login=LOGIN) as served,
    ):
        through = served.url.replace("//", "//user:pass@")
        diagnosis = await diagnose(options(url, ssl=trusting(authority), proxy=through), variables=[])
    assert_all_well(diagnosis, "dns", "tcp")
    assert "is reached through the proxy 127.0.0.1:" in seen(diagnosis, "proxy")
    assert {line.split()[0] for line in served.requests} == {"CONNECT"}


async def test_plain_http_through_a_proxy_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(stations=5) as sandbox, proxy(login=LOGIN) as served:
        monkeypatch.setenv("HTTP_PROXY", served.url.replace("http://", "user:pass@"))
        diagnosis = await diagnose(options(sandbox.url, trust_env=True), variables=[])
    assert_all_well(diagnosis, "dns", "tcp", "tls")
    assert seen(diagnosis, "proxy").endswith("(from HTTP_PROXY)")
    assert all("http://127.0.0.1" in line for line in served.requests)


async def test_through_a_proxy_that_itself_speaks_tls() -> None:
    authority = trustme.CA()
    certificate = server_context(authority.issue_cert("localhost"))
    async with behind_tls(certificate) as (_, url), proxy(tls=certificate) as served:
        diagnosis = await diagnose(options(url, ssl=trusting(authority), proxy=served.url), variables=[])
    assert_all_well(diagnosis, "dns", "tcp")


async def test_an_exception_to_the_proxy_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with Sandbox(stations=5) as sandbox:
        assert_all_well(await diagnose(options(sandbox.url, trust_env=True), variables=[]), "tls")
        assert_all_well(await diagnose(options(sandbox.url), variables=[]), "tls")


async def test_a_token_of_the_callers_own() -> None:
    async with Sandbox(stations=5) as sandbox:
        # The sandbox grants one, as the service would elsewhere.
        await diagnose(options(sandbox.url), variables=[])
        token = next(
            request.headers["Authorization"].removeprefix("Bearer ")
            for request in sandbox.requests
            if request.operation == "locations.list"
        )
        own = {"token_source": StaticToken(token), "base_url": sandbox.url}
        diagnosis = await diagnose(own, variables=[])
        assert_all_well(diagnosis, "tls")
        assert token not in repr(diagnosis)
        sandbox.revoke_tokens()
        refused = await diagnose(own, variables=[])
    assert [finding.check for finding in refused.failed] == list(READS[:-1])
    assert all("token source" in finding.advice for finding in refused.failed)


async def test_a_card_of_the_users_is_asked_for_when_given() -> None:
    async with Sandbox(stations=5) as sandbox:
        await diagnose(options(sandbox.url), variables=[], card="NL-TNM-C00122045-K")
        await diagnose(options(sandbox.url), variables=[])
        wrong = await diagnose(options(sandbox.url), variables=[], card="short")
    asked = [dict(request.query)["emaId"] for request in sandbox.requests if request.operation == "charging.active"]
    # A country and a provider that nobody can have: no person's sessions are looked at.
    assert [card[:7] for card in asked] == ["NL-TNM-", "ZZ-ZZZ-"]
    assert [finding.check for finding in wrong.failed] == ["charging.active"]
    assert "ema_id must be 14 to 19 characters" in wrong.failed[0].seen


@pytest.mark.parametrize("fault", CHAOS_FAULTS, ids=lambda fault: f"{fault.kind} {fault.status_code} {fault.ending}")
@pytest.mark.parametrize("version", list(ApiVersion))
async def test_nothing_is_started_or_stopped_whatever_the_service_does(version: ApiVersion, fault: Fault) -> None:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", fault)
        diagnosis = await diagnose(options(sandbox.url, api_version=version), variables=[])
        requests, charges = list(sandbox.requests), list(sandbox.charges)
    assert {request.operation for request in requests} == {None, "token", *READS[:-1]}
    assert {request.method for request in requests if request.operation != "token"} == {"GET"}
    assert charges == []
    assert diagnosis.exit_code == 1
