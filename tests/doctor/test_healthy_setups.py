"""Working set-ups pass every check, and the doctor never starts or stops a charge."""

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
async def test_every_check_passes_in_each_dialect_and_only_reads_are_sent(version: ApiVersion) -> None:
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(options(sandbox.url, api_version=version), variables=[])
        sent = [request.operation for request in sandbox.requests]
    assert_all_well(diagnosis, "tls")
    assert set(READS) <= set(outcomes(diagnosis))
    # One request without a token for HTTP and clock; the token check retrieves a session as well.
    assert sorted(operation or "-" for operation in sent) == sorted(("-", "token", "charging.retrieve", *READS))
    assert [request.status for request in sandbox.requests if request.operation in READS].count(404) == 2
    assert seen(diagnosis, "configuration").startswith(f"environment production, version {version.value}, API at ")


async def test_the_tls_finding_describes_the_certificate() -> None:
    authority = trustme.CA(organization_name="Our Authority")
    async with behind_tls(server_context(authority.issue_cert("localhost"))) as (_, url):
        diagnosis = await diagnose(options(url, ssl=trusting(authority)), variables=[])
    assert_all_well(diagnosis)
    assert "issued by Our Authority" in seen(diagnosis, "tls")
    assert seen(diagnosis, "tls").startswith("TLSv1.3")
    assert "127.0.0.1" in seen(diagnosis, "dns")


async def test_a_proxy_with_a_login_passes() -> None:
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


async def test_plain_http_through_a_proxy_of_the_environment_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(stations=5) as sandbox, proxy(login=LOGIN) as served:
        monkeypatch.setenv("HTTP_PROXY", served.url.replace("http://", "user:pass@"))
        diagnosis = await diagnose(options(sandbox.url, trust_env=True), variables=[])
    assert_all_well(diagnosis, "dns", "tcp", "tls")
    assert seen(diagnosis, "proxy").endswith("(from HTTP_PROXY)")
    assert all("http://127.0.0.1" in line for line in served.requests)


async def test_an_https_proxy_passes() -> None:
    authority = trustme.CA()
    certificate = server_context(authority.issue_cert("localhost"))
    async with behind_tls(certificate) as (_, url), proxy(tls=certificate) as served:
        diagnosis = await diagnose(options(url, ssl=trusting(authority), proxy=served.url), variables=[])
    assert_all_well(diagnosis, "dns", "tcp")


async def test_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with Sandbox(stations=5) as sandbox:
        assert_all_well(await diagnose(options(sandbox.url, trust_env=True), variables=[]), "tls")
        assert_all_well(await diagnose(options(sandbox.url), variables=[]), "tls")


async def test_a_token_source_of_the_caller_passes_until_its_token_is_revoked() -> None:
    async with Sandbox(stations=5) as sandbox:
        # A token of the sandbox, granted to another client.
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


async def test_active_sessions_are_listed_for_the_given_card() -> None:
    async with Sandbox(stations=5) as sandbox:
        await diagnose(options(sandbox.url), variables=[], card="NL-TNM-C00122045-K")
        await diagnose(options(sandbox.url), variables=[])
        wrong = await diagnose(options(sandbox.url), variables=[], card="short")
    asked = [dict(request.query)["emaId"] for request in sandbox.requests if request.operation == "charging.active"]
    # By default a country and provider that do not exist: no person's sessions are listed.
    assert [card[:7] for card in asked] == ["NL-TNM-", "ZZ-ZZZ-"]
    assert [finding.check for finding in wrong.failed] == ["charging.active"]
    assert "ema_id must be 14 to 19 characters" in wrong.failed[0].seen


#: Every fault in the default dialect, one fault in the others: the dialect does not change what is sent.
FAULTS = [(ApiVersion.V2, fault) for fault in CHAOS_FAULTS] + [
    (version, CHAOS_FAULTS[0]) for version in ApiVersion if version is not ApiVersion.V2
]


@pytest.mark.parametrize(("version", "fault"), FAULTS, ids=lambda value: getattr(value, "kind", value))
async def test_only_reads_are_sent_under_every_fault_of_the_service(version: ApiVersion, fault: Fault) -> None:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("*", fault)
        diagnosis = await diagnose(options(sandbox.url, api_version=version), variables=[])
        requests, charges = list(sandbox.requests), list(sandbox.charges)
    assert {request.operation for request in requests} == {None, "token", *READS[:-1]}
    assert {request.method for request in requests if request.operation != "token"} == {"GET"}
    assert charges == []
    assert diagnosis.exit_code == 1
