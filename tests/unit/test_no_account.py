"""Missing credentials are an error with a way on; one that is missing alone is named alone."""

from __future__ import annotations

import pytest

from shell_ev import AsyncShellEV, ConfigurationError, ShellEV

WAY_ON = "no account? `python -m shell_ev.sandbox`"


@pytest.mark.parametrize("client", [AsyncShellEV, ShellEV])
def test_no_credentials_at_all_end_in_the_way_on(client: type[AsyncShellEV] | type[ShellEV]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client()
    assert str(caught.value).endswith(f"; {WAY_ON}")
    with pytest.raises(ConfigurationError) as caught:
        client.from_env({})
    assert str(caught.value) == f"SHELL_EV_CLIENT_ID is not set; SHELL_EV_CLIENT_SECRET is not set; {WAY_ON}"


def test_one_that_is_missing_is_a_slip_and_no_missing_account() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncShellEV.from_env({"SHELL_EV_CLIENT_ID": "some-client"})
    assert str(caught.value) == "SHELL_EV_CLIENT_SECRET is not set"
    with pytest.raises(ConfigurationError) as caught:
        AsyncShellEV("some-client")
    assert "no account" not in str(caught.value)
