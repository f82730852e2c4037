"""``locations.wait_available``: the EVSE that came free, or an error that is a TimeoutError."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from fakes import reply
from stations import Stations
from virtual_time import virtual_time

from shell_ev import (
    Evse,
    EvseNotAvailableError,
    ForbiddenError,
    Location,
    NotFoundError,
    ShellEV,
    ShellEVError,
    ValidationError,
)
from shell_ev.sandbox import Sandbox


@virtual_time
async def test_an_evse_that_is_free_is_given_at_once() -> None:
    service = Stations(a=["Occupied", "Available"])
    evse = await service.client.locations.wait_available("a")
    assert (evse.evse_id, len(service.requests)) == ("NL*TNM*E00000001*0", 1)


@virtual_time
async def test_one_that_comes_free_is_given_within_an_interval() -> None:
    service = Stations(a=["Occupied", "Occupied"])
    service.at(1000, "a", "Occupied", "Available")
    began = asyncio.get_running_loop().time()
    evse = await service.client.locations.wait_available("a", connector_type="CCS", min_power_kw=50)
    assert isinstance(evse, Evse)
    assert evse.evse_id == "NL*TNM*E00000001*0"
    assert 1000 <= asyncio.get_running_loop().time() - began <= 1067


@virtual_time
async def test_a_location_can_be_given_itself() -> None:
    service = Stations(a=["Available"])
    assert (await service.client.locations.wait_available(Location(uid="a"))).uid == "a-0"


@virtual_time
async def test_time_that_is_up_is_an_error_that_is_a_timeout_error() -> None:
    service = Stations(a=["Occupied"])
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError) as caught:
        await service.client.locations.wait_available("a", connector_type="CCS2", min_power_kw=50, timeout=600)
    error = caught.value
    assert isinstance(error, EvseNotAvailableError)
    assert isinstance(error, ShellEVError)
    assert str(error) == "no EVSE with CCS of at least 50 kW of location 'a' came free within 600 s"
    assert (error.uid, error.location and error.location.uid, error.outcome_unknown) == ("a", "a", False)
    assert pickle.loads(pickle.dumps(error)) == error
    # The last poll falls on the deadline.
    assert 600 <= asyncio.get_running_loop().time() - began <= 601
    assert service.requests[-1][0] - began == pytest.approx(600, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ({"connector_type": "CHAdeMO"}, "EVSE with CHAdeMO"),
        ({"min_power_kw": 51}, "EVSE of at least 51 kW"),
        ({"connector_type": "CCS", "min_power_kw": 150}, "EVSE with CCS of at least 150 kW"),
    ],
)
@virtual_time
async def test_a_kind_that_the_location_does_not_have_is_not_waited_for(kind: Any, words: str) -> None:
    service = Stations(a=["Occupied"])
    with pytest.raises(EvseNotAvailableError) as caught:
        await service.client.locations.wait_available("a", **kind)
    assert str(caught.value) == f"location 'a' has no {words}: waiting is of no use"
    assert len(service.requests) == 1


@virtual_time
async def test_a_location_without_evses_is_not_waited_for() -> None:
    with pytest.raises(EvseNotAvailableError, match="has no EVSE: waiting is of no use"):
        await Stations(a=[]).client.locations.wait_available("a")


@virtual_time
async def test_a_uid_that_does_not_exist_is_an_error_at_once() -> None:
    service = Stations()
    with pytest.raises(NotFoundError):
        await service.client.locations.wait_available("nowhere", timeout=600)
    assert len(service.requests) == 1


@virtual_time
async def test_a_location_that_is_removed_meanwhile_ends_the_wait() -> None:
    service = Stations(a=["Occupied"])
    service.after(100, service.statuses.clear)
    with pytest.raises(EvseNotAvailableError, match="location 'a' is not known to the service any more"):
        await service.client.locations.wait_available("a")


@virtual_time
async def test_errors_that_pass_are_tolerated_and_others_are_not() -> None:
    service = Stations(a=["Available"])
    service.faults["a"] = [reply(503), reply(429, Retry_After="30")]
    problems: list[Any] = []
    await service.client.locations.wait_available("a", on_problem=lambda uid, error: problems.append(uid))
    assert problems == ["a", "a"]
    service.faults["a"] = [reply(403)]
    with pytest.raises(ForbiddenError):
        await service.client.locations.wait_available("a")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"uid": ""}, "uid must not be empty"),
        ({"uid": "a", "timeout": 0}, "timeout must be a positive number of seconds, not 0"),
        ({"uid": "a", "every": -1}, "every must be a positive number of seconds, not -1"),
        (
            {"uid": "a", "min_power_kw": float("nan")},
            "connector_min_power must be a number of at least 0 (kW), not nan",
        ),
    ],
)
@virtual_time
async def test_arguments_are_checked_before_anything_is_sent(arguments: Any, fault: str) -> None:
    service = Stations(a=["Available"])
    with pytest.raises(ValidationError) as caught:
        await service.client.locations.wait_available(**arguments)
    assert caught.value.faults == (fault,)
    assert service.requests == []


@virtual_time
async def test_a_connector_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"connector_types must be one of .*, not 'CCS3'"):
        await Stations().client.locations.wait_available("a", connector_type="CCS3")


def test_the_blocking_client_waits_too() -> None:
    with (
        Sandbox(stations=0) as sandbox,
        ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev,
    ):
        assert ev.locations.wait_available("1", connector_type="Type 2", timeout=5).evse_id == "NL*TNM*E02003451*0"
        with pytest.raises(EvseNotAvailableError):
            ev.locations.wait_available("1", connector_type="CHAdeMO")
