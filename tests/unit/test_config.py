"""How a client is set up: every fault told at once, nothing guessed, no secret shown."""

from __future__ import annotations

import pickle
import ssl
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    ClientConfig,
    ClientCredentials,
    ConfigurationError,
    Environment,
    StaticToken,
    Timeout,
)
from shell_ev.options import make_config, options_from_env

ENV = {"SHELL_EV_CLIENT_ID": "env-id", "SHELL_EV_CLIENT_SECRET": "env-secret"}


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("environment", "version", "api", "token"),
    [
        ("production", "v1-pascal", "https://api.shell.com", "https://api.shell.com/v1/oauth/token"),
        ("production", "v1", "https://api.shell.com", "https://api.shell.com/v1/oauth/token"),
        ("production", "v2", "https://api.shell.com", "https://api.shell.com/v2/oauth/token"),
        ("test", "v1-pascal", "https://api-test.shell.com", "https://api-test.shell.com/v1/oauth/token"),
        ("test", "v1", "https://api-test.shell.com", "https://api-test.shell.com/v1/oauth/token"),
        ("test", "v2", "https://api-test.shell.com", "https://api-test.shell.com/v2/oauth/token"),
    ],
)
def test_environment_and_version_give_the_urls(environment: str, version: str, api: str, token: str) -> None:
    config = make_config(environment=environment, api_version=version)
    assert (config.api_url, config.oauth_url) == (api, token)


def test_the_default_is_production_and_v2() -> None:
    assert make_config() == ClientConfig(environment=Environment.PRODUCTION, api_version=ApiVersion.V2)


def test_a_base_url_overrides_the_environment_for_api_and_token_alike() -> None:
    config = make_config(environment="test", base_url="https://proxy.example:8443/shell/")
    assert config.api_url == "https://proxy.example:8443/shell"
    assert config.oauth_url == "https://proxy.example:8443/shell/v2/oauth/token"


def test_a_token_url_overrides_the_token_path_alone() -> None:
    config = make_config(base_url="https://a.example", token_url="https://b.example/token")
    assert (config.api_url, config.oauth_url) == ("https://a.example", "https://b.example/token")


@pytest.mark.parametrize(
    "url",
    [
        "https://ev.example",
        "http://127.0.0.1:8080",
        "http://[::1]:8080/",
        "https://ev.example/prefix/more/",
        "https://b\u00fccher.example",
        "https://under_score.example",
    ],
)
def test_a_valid_base_url_is_taken(url: str) -> None:
    assert make_config(base_url=url).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ev.example",
        "ftp://ev.example",
        "https://",
        "https:///path",
        "https://:443",
        "https://ev.example:0",
        "https://ev.example:99999",
        "https://ev.example:port",
        "https://[::1",
        " https://ev.example",
        "https://ev.example\n",
        "https://ev.ex\nample",
        "https://ev example",
        "https://ev.example/a\tb",
        "https://ev.example?x=1",
        "https://ev.example?",
        "https://ev.example#top",
        "https://ev.example/../admin",
        "https://ev.example/./x",
        f"https://{'a' * 64}.example",
        "https://a..example",
        "https://...",
        7,
        b"https://ev.example",
    ],
)
@pytest.mark.parametrize("option", ["base_url", "token_url"])
def test_an_invalid_url_is_refused(option: str, url: Any) -> None:
    with pytest.raises(ConfigurationError, match=option):
        make_config(**{option: url})


@given(st.lists(st.text("ab-_0", max_size=3) | st.integers(61, 65).map("x".__mul__), min_size=1, max_size=4))
def test_the_check_of_an_ascii_host_agrees_with_the_idna_codec(labels: list[str]) -> None:
    host = ".".join(labels)
    assume(host.strip("."))
    try:
        host.rstrip(".").encode("idna")
    except UnicodeError:
        with pytest.raises(ConfigurationError, match="base_url"):
            make_config(base_url=f"https://{host}")
    else:
        assert make_config(base_url=f"https://{host}").base_url == f"https://{host}"


def test_a_token_url_needs_a_path() -> None:
    with pytest.raises(ConfigurationError, match="token_url must name the path"):
        make_config(token_url="https://ev.example/")


@pytest.mark.parametrize("option", ["base_url", "token_url"])
@pytest.mark.parametrize("url", ["https://me:pass-word@ev.example/x", "https://pass-word@ev.example/x"])
def test_credentials_in_a_url_are_refused_and_not_repeated(option: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match="must not hold credentials") as caught:
        make_config(**{option: url})
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"environment": "prod"}, "environment must be one of 'production', 'test', not 'prod'"),
        ({"environment": None}, "environment"),
        ({"api_version": "v3"}, "api_version must be one of 'v1-pascal', 'v1', 'v2', not 'v3'"),
        ({"api_version": 2}, "api_version"),
        ({"timeout": 0}, "timeout total"),
        ({"timeout": -1}, "timeout total"),
        ({"timeout": float("nan")}, "timeout total"),
        ({"timeout": float("inf")}, "timeout total"),
        ({"timeout": True}, "timeout total"),
        ({"timeout": "60"}, "timeout total"),
        ({"timeout": 10**400}, "timeout total"),
        ({"timeout": 10**10000}, "timeout total"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 101}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"max_retries": 2.0}, "max_retries"),
        ({"max_retries": 10**10000}, "max_retries"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_connections": Unprintable()}, "max_connections"),
        ({"max_response_bytes": 0}, "max_response_bytes"),
        ({"max_response_bytes": 1e6}, "max_response_bytes"),
        ({"trust_env": "yes"}, "trust_env"),
        ({"trust_env": None}, "trust_env"),
        ({"ssl": False}, "ssl must be an ssl.SSLContext"),
        ({"ssl": True}, "ssl"),
        ({"proxy": "proxy.example:3128"}, "proxy"),
        ({"proxy": "socks5://proxy.example"}, "proxy"),
        ({"proxy": "http://"}, "proxy"),
        ({"proxy": "http://proxy.example:x"}, "proxy"),
        ({"proxy": "http://pro xy"}, "proxy"),
        ({"proxy": 7}, "proxy"),
        ({"user_agent_suffix": "a\r\nb"}, "user_agent_suffix"),
        ({"user_agent_suffix": "\u00e9"}, "user_agent_suffix"),
        ({"user_agent_suffix": 7}, "user_agent_suffix"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncShellEV("id", "secret", **options)
    assert named in str(caught.value)


def test_all_faults_of_a_configuration_are_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_config(
            environment="x",
            api_version="x",
            base_url="x",
            token_url="x",
            timeout=-1,
            max_retries=-1,
            max_connections=0,
            max_response_bytes=0,
            trust_env="x",  # type: ignore[arg-type]
            ssl="x",  # type: ignore[arg-type]
            proxy="x",
            user_agent_suffix="\n",
        )
    for name in (
        "environment", "api_version", "base_url", "token_url", "timeout", "max_retries", "max_connections",
        "max_response_bytes", "trust_env", "ssl", "proxy", "user_agent_suffix",
    ):  # fmt: skip
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "client_id and client_secret"),
        ({"client_id": "a"}, "client_id and client_secret"),
        ({"client_secret": "a"}, "client_id and client_secret"),
        ({"client_id": "a", "client_secret": "b", "token_source": StaticToken("t")}, "not both"),
        ({"token_source": object()}, "acquire"),
        ({"token_source": "token"}, "acquire"),
        ({"client_id": "", "client_secret": ""}, "client_id"),
    ],
)
def test_credentials_given_in_two_ways_or_none_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AsyncShellEV(**arguments)


def test_limits_of_a_timeout_are_checked_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Timeout(total=0, connect=-1, read=float("nan"))
    for name in ("total", "connect", "read"):
        assert f"timeout {name}" in str(caught.value)
    assert Timeout(total=None, connect=None, read=None) == Timeout(None, None, None)


def test_a_number_as_timeout_is_the_total_and_leaves_the_other_limits() -> None:
    base = Timeout(total=9, connect=1, read=None)
    assert Timeout.of(5, base) == Timeout(total=5, connect=1, read=None)
    assert Timeout.of(None, base) is base
    assert Timeout.of(Timeout(total=3), base) == Timeout(total=3)
    assert Timeout.of(5) == Timeout(total=5)


def test_every_environment_variable_is_read() -> None:
    environ = {
        **ENV,
        "SHELL_EV_ENVIRONMENT": " TEST ",
        "SHELL_EV_API_VERSION": "V1-Pascal",
        "SHELL_EV_BASE_URL": "https://ev.example",
        "SHELL_EV_TOKEN_URL": "https://ev.example/token",
        "SHELL_EV_TIMEOUT": "12.5",
        "SHELL_EV_MAX_RETRIES": "7",
    }
    config = AsyncShellEV.from_env(environ).config
    assert config == ClientConfig(
        environment=Environment.TEST,
        api_version=ApiVersion.V1_PASCAL,
        base_url="https://ev.example",
        token_url="https://ev.example/token",
        timeout=Timeout(total=12.5),
        max_retries=7,
    )


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENV, "SHELL_EV_API_VERSION": "v1"}.items():
        monkeypatch.setenv(name, value)
    assert AsyncShellEV.from_env().config.api_version is ApiVersion.V1
    with pytest.raises(ConfigurationError):
        AsyncShellEV.from_env({})


def test_an_option_wins_over_its_variable_and_an_empty_variable_is_unset() -> None:
    environ = {**ENV, "SHELL_EV_TIMEOUT": "", "SHELL_EV_API_VERSION": "v9", "SHELL_EV_ENVIRONMENT": "  "}
    config = AsyncShellEV.from_env(environ, api_version="v1").config
    assert config == ClientConfig(api_version=ApiVersion.V1)


def test_a_token_source_needs_no_credentials() -> None:
    assert AsyncShellEV.from_env({}, token_source=StaticToken("t")).config == ClientConfig()
    assert options_from_env(ENV, {})["client_secret"] == "env-secret"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SHELL_EV_ENVIRONMENT", "prod"),
        ("SHELL_EV_API_VERSION", "2"),
        ("SHELL_EV_BASE_URL", "ev.example"),
        ("SHELL_EV_TOKEN_URL", "https://ev.example"),
        ("SHELL_EV_TIMEOUT", "a minute"),
        ("SHELL_EV_TIMEOUT", "nan"),
        ("SHELL_EV_TIMEOUT", "-1"),
        ("SHELL_EV_MAX_RETRIES", "2.5"),
        ("SHELL_EV_MAX_RETRIES", "many"),
        ("SHELL_EV_MAX_RETRIES", "1000"),
    ],
)
def test_an_unknown_value_is_an_error_and_never_a_silent_default(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncShellEV.from_env({**ENV, variable: value})
    option = variable.removeprefix("SHELL_EV_").lower()
    assert variable in str(caught.value) or option in str(caught.value)
    assert "env-secret" not in str(caught.value)


def test_missing_credentials_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncShellEV.from_env({})
    assert "SHELL_EV_CLIENT_ID" in str(caught.value)
    assert "SHELL_EV_CLIENT_SECRET" in str(caught.value)


def test_a_configuration_pickles_and_compares() -> None:
    config = make_config(environment="test", timeout=Timeout(total=5), proxy="http://proxy.example:3128")
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(make_config(environment="test", timeout=5, proxy="http://proxy.example:3128"))


@pytest.mark.parametrize("password", ["pass-word", "pass-@-word", "p:w"])
def test_a_configuration_does_not_show_the_password_of_a_proxy(password: str) -> None:
    config = make_config(proxy=f"http://me:{password}@proxy.example:3128")
    assert "proxy.example" in repr(config)
    for secret in ("me:", password, "word"):
        assert secret not in repr(config)


def test_a_client_shows_no_secret_and_is_not_pickled() -> None:
    client = AsyncShellEV("my-id", "my-secret", ssl=ssl.create_default_context())
    assert repr(client) == "AsyncShellEV('https://api.shell.com', api_version='v2')"
    assert "my-secret" not in repr(vars(client))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(client)


def test_credentials_are_not_in_the_configuration() -> None:
    client = AsyncShellEV(token_source=ClientCredentials("my-id", "my-secret"))
    assert b"my-secret" not in pickle.dumps(client.config)


def test_the_user_agent_names_the_library_and_the_application() -> None:
    assert make_config(user_agent_suffix="my-app/1").user_agent.startswith("shell_ev/")
    assert make_config(user_agent_suffix="my-app/1").user_agent.endswith(" my-app/1")
