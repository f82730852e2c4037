"""What travels between processes, and what says why it does not."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    ChargeSession,
    ClientCredentials,
    EmaId,
    Environment,
    EvseId,
    Polling,
    SessionState,
    ShellEV,
    StaticToken,
    Timeout,
)
from shell_ev.options import make_config
from shell_ev.sandbox import Fault

SECRET = "swordfish-7"
SESSION = "4caa1c21-e2ab-4b1b-9d4b-5a5b4a9ac1a5"


@pytest.mark.parametrize(
    "value",
    [
        make_config(environment="test", api_version="v1", timeout=5, user_agent_suffix="mine"),
        Timeout(total=5),
        Polling(started=2.0),
        Environment.TEST,
        ApiVersion.V1_PASCAL,
        SessionState.STARTED,
        SessionState("paused"),
        ChargeSession(id=SESSION, state=SessionState.STARTED, started_at=datetime(2026, 1, 1, tzinfo=UTC)),
        EmaId.parse("NL-TNM-C00122045-K"),
        EvseId.parse("NL*TNM*E02003451*0"),
        Fault.drop(),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_configuration_and_models_travel(value: Any, protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(value, protocol))
    assert copy == value
    assert type(copy) is type(value)


@pytest.mark.parametrize("kind", [AsyncShellEV, ShellEV])
def test_a_client_and_all_that_hangs_on_it_says_why_it_does_not(kind: Any) -> None:
    client = kind("id", SECRET)
    for thing in (client, client.charging, client.locations, client.attach(SESSION), client.with_options(timeout=1)):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(thing)
        assert type(thing).__name__ in str(caught.value)
        assert "make a client where it is used" in str(caught.value)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("secret", [ClientCredentials("id", SECRET), StaticToken(SECRET)], ids=["pair", "token"])
def test_a_secret_does_not_travel(secret: Any) -> None:
    with pytest.raises(TypeError, match="holds a secret and is not pickled"):
        pickle.dumps(secret)
