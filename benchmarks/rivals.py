"""What a user would pick instead, each set up as its own documentation says. All of them optional."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

from .server import CLIENT_ID, CLIENT_SECRET, Served


def have(module: str) -> bool:
    """Whether a rival is installed."""
    return importlib.util.find_spec(module) is not None


PRESENT = {
    "ev-recharge-sdk": have("shellev"),
    "requests": have("requests"),
    "httpx": have("httpx"),
    "orjson": have("orjson"),
    "msgspec": have("msgspec"),
}


@contextlib.contextmanager
def engine(name: str) -> Iterator[None]:
    """Clients made in the block decode with this engine."""
    before = os.environ.get("SHELL_EV_ENGINE")
    os.environ["SHELL_EV_ENGINE"] = name
    try:
        yield
    finally:
        del os.environ["SHELL_EV_ENGINE"]
        if before is not None:
            os.environ["SHELL_EV_ENGINE"] = before


def ours(served: Served, name: str = "cattrs", **options: Any) -> Any:
    """Our asynchronous client."""
    from shell_ev import AsyncShellEV

    with engine(name):
        return AsyncShellEV(CLIENT_ID, CLIENT_SECRET, base_url=served.url, **options)


def ours_blocking(served: Served, name: str = "cattrs") -> Any:
    """Our blocking client."""
    from shell_ev import ShellEV

    with engine(name):
        return ShellEV(CLIENT_ID, CLIENT_SECRET, base_url=served.url)


def official(served: Served) -> Any:
    """The official SDK; its hosts are fixed, so the table of them is pointed at our server."""
    from shellev.configuration import Configuration, Environment, Server
    from shellev.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
    from shellev.shellev_client import ShellevClient

    Configuration.environments[Environment.SIT] = {
        Server.OAUTH_SERVER: served.url,
        Server.SHELL: f"{served.url}/ev",
    }
    return ShellevClient(
        client_credentials_auth_credentials=ClientCredentialsAuthCredentials(CLIENT_ID, CLIENT_SECRET),
        environment=Environment.SIT,
    )


def official_decoders() -> tuple[Any, Any, Any]:
    """How the official SDK reads a session, a page of locations, and locations with tariffs."""
    from shellev.api_helper import APIHelper
    from shellev.models.get_charge_session_retrieve_response_200_json import GetChargeSessionRetrieveResponse200Json
    from shellev.models.response_v_2 import ResponseV2
    from shellev.models.search_by_id_response import SearchByIdResponse

    def reader(model: Any) -> Any:
        return lambda body: model.from_dictionary(APIHelper.json_deserialize(body.decode()))

    return reader(GetChargeSessionRetrieveResponse200Json), reader(ResponseV2), reader(SearchByIdResponse)
