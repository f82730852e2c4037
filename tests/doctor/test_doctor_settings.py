"""The settings in a diagnosis: value, origin and faults, without secrets."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from fault_cases import CLIENT_ID, SECRET, options
from test_fault_cases import outputs

from shell_ev import ClientCredentials, ConfigurationError, Timeout
from shell_ev.doctor import Diagnosis, Limits, Outcome, diagnose
from shell_ev.sandbox import Fault, Sandbox

LONG_ID = "0123456789abcdef0123456789abcdef"


def setting(diagnosis: Diagnosis, name: str) -> tuple[str, str]:
    return next((found.value, found.origin) for found in diagnosis.facts.settings if found.name == name)


async def test_an_option_overrides_the_environment_and_the_environment_the_file() -> None:
    environment = {
        "SHELL_EV_CLIENT_ID": LONG_ID,
        "SHELL_EV_CLIENT_SECRET": "",
        "SHELL_EV_API_VERSION": "v1",
        "SHELL_EV_TIMEOUT": "12",
    }
    file = {
        "SHELL_EV_CLIENT_ID": "from-the-file",
        "SHELL_EV_CLIENT_SECRET": SECRET,
        "SHELL_EV_API_VERSION": "v1-pascal",
    }
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(
            {"base_url": sandbox.url, "api_version": "v2"},
            variables=[("environment", environment), ("env file ./.env", file)],
        )
    assert setting(diagnosis, "api_version") == ("v2", "option")
    assert setting(diagnosis, "base_url") == (sandbox.url, "option")
    assert setting(diagnosis, "token_url") == (f"{sandbox.url}/v2/oauth/token", "default")
    assert setting(diagnosis, "client_id") == ("0123…", "environment")
    assert setting(diagnosis, "client_secret") == ("set", "env file ./.env")
    assert setting(diagnosis, "timeout") == ("12", "environment")
    assert setting(diagnosis, "environment") == ("production", "default")
    (failed,) = diagnosis.failed
    assert "Check SHELL_EV_CLIENT_ID (environment) and SHELL_EV_CLIENT_SECRET (env file ./.env)" in failed.advice
    for text in outputs(diagnosis):
        assert LONG_ID not in text
        assert SECRET not in text


async def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(stations=5) as sandbox:
        monkeypatch.setenv("SHELL_EV_CLIENT_ID", CLIENT_ID)
        monkeypatch.setenv("SHELL_EV_CLIENT_SECRET", SECRET)
        monkeypatch.setenv("SHELL_EV_BASE_URL", sandbox.url)
        diagnosis = await diagnose()
    assert diagnosis.healthy
    assert setting(diagnosis, "base_url") == (sandbox.url, "environment")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (
            {},
            "SHELL_EV_CLIENT_ID is not set; SHELL_EV_CLIENT_SECRET is not set; "
            "no account? `python -m shell_ev.sandbox`",
        ),
        ({"SHELL_EV_CLIENT_ID": LONG_ID}, "SHELL_EV_CLIENT_SECRET is not set"),
        (
            {"SHELL_EV_CLIENT_ID": LONG_ID, "SHELL_EV_CLIENT_SECRET": "x\n"},
            "client_secret begins or ends with white space",
        ),
    ],
)
async def test_the_network_is_checked_without_credentials(variables: dict[str, str], named: str) -> None:
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose({"base_url": sandbox.url}, variables=[("environment", variables)])
    (failed,) = diagnosis.failed
    assert (failed.check, failed.seen) == ("credentials", named)
    assert "Set SHELL_EV_CLIENT_ID and SHELL_EV_CLIENT_SECRET" in failed.advice
    found = {finding.check: finding for finding in diagnosis.findings}
    assert found["tcp"].outcome is found["clock"].outcome is Outcome.OK
    assert found["token"].seen == found["locations.get"].seen == "not tried: credentials failed"
    assert diagnosis.exit_code == 1


@pytest.mark.parametrize(
    ("given", "variables", "named", "where"),
    [
        ({"environment": "tset"}, {}, "environment must be one of", "environment (option)"),
        ({}, {"SHELL_EV_ENVIRONMENT": "tset"}, "environment must be one of", "SHELL_EV_ENVIRONMENT (environment)"),
        ({}, {"SHELL_EV_TIMEOUT": "soon"}, "SHELL_EV_TIMEOUT must be a number", "SHELL_EV_TIMEOUT (environment)"),
        ({"base_url": "https://user:hidden@host"}, {}, "base_url must not hold credentials", "base_url (option)"),
    ],
)
async def test_an_invalid_configuration_is_the_only_failure(
    given: dict[str, Any], variables: dict[str, str], named: str, where: str
) -> None:
    diagnosis = await diagnose(
        {"client_id": CLIENT_ID, "client_secret": SECRET, **given}, variables=[("environment", variables)]
    )
    (failed,) = diagnosis.failed
    assert failed.check == "configuration"
    assert named in failed.seen
    assert where in failed.advice
    assert diagnosis.facts.api_url is None
    assert {finding.outcome for finding in diagnosis.findings if finding is not failed} == {Outcome.SKIPPED}
    for text in outputs(diagnosis):
        assert "hidden" not in text
        assert SECRET not in text


async def test_an_unknown_engine_fails_the_configuration_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_EV_ENGINE", "steam")
    diagnosis = await diagnose(options("http://127.0.0.1:9"), variables=[])
    (failed,) = diagnosis.failed
    assert failed.check == "configuration"
    assert "SHELL_EV_ENGINE" in failed.seen


async def test_an_unknown_option_raises_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="colour"):
        await diagnose({"colour": "red"}, variables=[])
    with pytest.raises(ConfigurationError, match="a mapping of the client's options, not 3"):
        await diagnose(3, variables=[])  # type: ignore[arg-type]


async def test_a_token_endpoint_on_another_host_has_its_own_checks(closed_port: int) -> None:
    async with Sandbox(stations=5) as api, Sandbox(stations=5) as identity:
        split = options(api.url, token_url=f"{identity.url}/v2/oauth/token")
        diagnosis = await diagnose(split, variables=[])
        dead = await diagnose({**split, "token_url": f"http://127.0.0.1:{closed_port}/token"}, variables=[])
        dead_api = await diagnose({**split, "base_url": f"http://127.0.0.1:{closed_port}"}, variables=[])
    # Each sandbox accepts its own tokens only.
    assert {finding.check for finding in diagnosis.failed} <= {
        *("charging.retrieve", "charging.active", "locations.list", "locations.nearby", "locations.markers")
    }
    assert "the token comes from another environment than the API" in diagnosis.failed[0].advice
    assert [finding.check for finding in dead.failed] == ["token-host tcp"]
    assert "token_url (option)" in dead.failed[0].advice
    by_check = {finding.check: finding for finding in dead.findings}
    assert by_check["tcp"].outcome is Outcome.OK
    assert by_check["charging.active"].seen == "not tried: token-host tcp failed"
    # The token check does not depend on the API's host.
    assert [finding.check for finding in dead_api.failed] == ["tcp"]
    by_check = {finding.check: finding for finding in dead_api.findings}
    assert by_check["token"].outcome is Outcome.OK
    assert by_check["charging.active"].seen == "not tried: tcp failed"


async def test_a_shorter_timeout_of_the_client_limits_the_checks() -> None:
    async with Sandbox(stations=5) as sandbox:
        sandbox.faults.always("charging.active", Fault.delay(5))
        diagnosis = await diagnose(options(sandbox.url, timeout=Timeout(total=1)), variables=[])
    (failed,) = diagnosis.failed
    assert failed.check == "charging.active"
    assert failed.seen == "it accepts the connection and gives no answer within 1 s"
    assert setting(diagnosis, "timeout") == ("1 s in all, 10 s to connect, 30 s without data", "option")


async def test_objects_are_shown_by_their_kind() -> None:
    source = ClientCredentials(LONG_ID, "source-secret")
    given = {"token_source": source, "ssl": ssl.create_default_context(), "proxy": "http://u:hidden@127.0.0.1:9"}
    diagnosis = await diagnose({**given, "base_url": "https://api.invalid"}, variables=[], limits=Limits(connect=0.5))
    assert setting(diagnosis, "token_source") == ("ClientCredentials", "option")
    assert setting(diagnosis, "ssl") == ("an SSLContext of your own", "option")
    assert setting(diagnosis, "proxy") == ("http://***@127.0.0.1:9", "option")
    for text in outputs(diagnosis):
        assert "hidden" not in text
        assert "source-secret" not in text
        assert LONG_ID not in text


async def test_home_directories_and_user_names_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/people/alice")
    monkeypatch.setenv("SSL_CERT_FILE", "/srv/people/alice/ca.pem")
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    places = [("env file /srv/people/alice/project/.env", {"SHELL_EV_CLIENT_ID": LONG_ID})]
    places.append(("env file /home/bob/.env", {"SHELL_EV_CLIENT_SECRET": "x" * 8}))
    diagnosis = await diagnose({"base_url": "http://127.0.0.1:9"}, variables=places)
    assert setting(diagnosis, "client_id")[1] == "env file ~/project/.env"
    assert setting(diagnosis, "client_secret")[1] == "env file ~/.env"
    for text in outputs(diagnosis):
        assert "alice" not in text
        assert "bob" not in text


async def test_the_store_is_shown_without_its_secrets_and_not_opened() -> None:
    store, key = "postgresql://user:password-of-the-store@db.example/charges", "a-key-of-the-store-of-32-characters"
    variables = {"SHELL_EV_STORE": store, "SHELL_EV_STORE_KEY": key, "SHELL_EV_STORE_NAMESPACE": "depot"}
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(options(sandbox.url), variables=[("environment", variables)])
    assert not diagnosis.failed
    assert setting(diagnosis, "store_key") == ("set", "environment")
    assert setting(diagnosis, "store_namespace") == ("depot", "environment")
    for text in outputs(diagnosis):
        assert key not in text
        assert "password-of-the-store" not in text
