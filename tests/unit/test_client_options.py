"""Options that do not exist are refused at the call, with the nearest name."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from fakes import CARD, EVSE, SESSION, FakeSender, client_over, good

from shell_ev import AsyncShellEV, ClientConfig, ShellEV, StaticToken, sync
from shell_ev.endpoints.charging import AsyncCharging
from shell_ev.endpoints.locations import AsyncLocations
from shell_ev.options import (
    AsyncClientOptions,
    AttemptOptions,
    ClientOptions,
    ConfigOptions,
    CopyOptions,
    ListOptions,
    LocationFilters,
    RequestOptions,
    option_names,
)

#: That of asyncio also knows the marks of Python 3.11; it is deprecated from 3.14 on.
_is_coroutine_function = inspect.iscoroutinefunction if sys.version_info >= (3, 14) else asyncio.iscoroutinefunction

EV = AsyncShellEV(token_source=StaticToken("t"))
ENV = {"SHELL_EV_CLIENT_ID": "id", "SHELL_EV_CLIENT_SECRET": "secret"}
TYPOS: list[tuple[Callable[..., Any], str, str]] = [
    (AsyncShellEV, "timeuot", "AsyncShellEV() got an unexpected keyword argument 'timeuot'. Did you mean 'timeout'?"),
    (ShellEV, "max_retry", "ShellEV() got an unexpected keyword argument 'max_retry'. Did you mean 'max_retries'?"),
    (lambda **o: AsyncShellEV.from_env(ENV, **o), "timeuot", "AsyncShellEV.from_env() got an unexpected keyword"),
    (lambda **o: ShellEV.from_env(ENV, **o), "timeuot", "ShellEV.from_env() got an unexpected keyword"),
    (
        EV.with_options,
        "obsrver",
        "with_options() got an unexpected keyword argument 'obsrver'. Did",
    ),
    (
        EV.locations.list,
        "contry",
        "'contry'. Did you mean 'country'?",
    ),
    (EV.locations.iterate, "page_number", "locations.iterate() got an unexpected keyword argument 'page_number'"),
    (lambda **o: EV.locations.get("x", **o), "since_", "Did you mean 'since'?"),
    (lambda **o: EV.locations.nearby(1, 2, **o), "limits", "Did you mean 'limit'?"),
    (lambda **o: EV.charging.start(CARD, EVSE, **o), "timeuot", "charging.start() got an unexpected keyword argument"),
    (lambda **o: EV.charging.stop(SESSION, **o), "header", "Did you mean 'headers'?"),
    (lambda **o: EV.charging.active(CARD, **o), "zzz", "charging.active() got an unexpected keyword argument 'zzz'"),
]


@pytest.mark.parametrize(("function", "name", "message"), TYPOS, ids=[f"{name}-{text}" for _, name, text in TYPOS])
def test_an_option_that_does_not_exist_is_refused_at_the_call(
    function: Callable[..., Any], name: str, message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        function(**{name: 1})
    assert message in str(caught.value)


def test_a_name_without_a_near_one_gets_no_hint() -> None:
    with pytest.raises(TypeError) as caught:
        EV.with_options(zzzzzz=1)  # type: ignore[call-arg]
    assert str(caught.value) == "with_options() got an unexpected keyword argument 'zzzzzz'"


def test_a_copy_refuses_an_option_that_only_the_constructor_takes() -> None:
    with pytest.raises(TypeError, match="base_url"):
        EV.with_options(base_url="https://ev.example")  # type: ignore[call-arg]


@pytest.mark.parametrize("copied", [None, "given"])
def test_a_copy_keeps_what_is_left_out_or_none(copied: str | None) -> None:
    ev = AsyncShellEV(token_source=StaticToken("t"), max_retries=7, user_agent_suffix="app", timeout=5)
    other = ev.with_options(user_agent_suffix=copied)
    assert other.config.user_agent_suffix == (copied or "app")
    assert (other.config.max_retries, other.config.timeout.total) == (7, 5)


async def test_the_options_of_a_call_reach_the_request() -> None:
    sender = FakeSender(good("retrieve"))
    ev = client_over(sender)
    await ev.charging.retrieve(SESSION, request_id=SESSION, headers={"X-A": "1"}, timeout=3)
    assert sender.requests[0].headers["RequestId"] == SESSION
    assert sender.requests[0].headers["X-A"] == "1"
    assert sender.requests[0].timeout.total == 3


GROUPS = [
    (group, name) for group in (AsyncCharging, AsyncLocations) for name in vars(group) if not name.startswith("_")
]


@pytest.mark.parametrize(("group", "name"), GROUPS)
def test_a_method_is_a_coroutine_function_for_mocks_and_frameworks(group: type, name: str) -> None:
    is_coroutine = name not in ("iterate", "follow")
    assert _is_coroutine_function(getattr(group, name)) is is_coroutine
    assert isinstance(getattr(mock.create_autospec(group), name), mock.AsyncMock) is is_coroutine
    blocking = getattr(sync, group.__name__.removeprefix("Async"))
    assert not inspect.iscoroutinefunction(getattr(blocking, name))
    assert not _is_coroutine_function(getattr(blocking, name))


def test_every_option_of_a_configuration_is_a_field_of_it() -> None:
    fields = {"observer" if name == "observers" else name for name in ClientConfig.__annotations__}
    assert option_names(ConfigOptions) == fields


def test_the_options_build_on_each_other() -> None:
    assert option_names(AsyncClientOptions) - option_names(ClientOptions) == {"http_session"}
    of_the_store = {"store", "store_key", "store_namespace"}
    assert option_names(ClientOptions) - option_names(ConfigOptions) == {*of_the_store, "token_source"}
    assert option_names(CopyOptions) < option_names(ConfigOptions)
    assert option_names(RequestOptions) - option_names(AttemptOptions) == {"request_id"}
    assert option_names(ListOptions) > option_names(LocationFilters) | option_names(RequestOptions)
