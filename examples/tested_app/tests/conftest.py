"""What the tests of both applications share."""

from __future__ import annotations

import pytest
from shell_ev import AsyncShellEV
from shell_ev.testing import ClientOptions

from charging_desk import ChargingDesk


@pytest.fixture
def shell_ev_client_options() -> ClientOptions:
    """The options this application gives its clients; the tests run with the same."""
    return {"timeout": 20, "max_retries": 3}


@pytest.fixture
def desk(shell_ev_client: AsyncShellEV) -> ChargingDesk:
    """The application, with its client on the sandbox of the test."""
    return ChargingDesk(shell_ev_client)
