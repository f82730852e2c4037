"""``locations.follow``: each location as it is, then at each change of a status, for many under one budget."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from fakes import reply
from stations import Stations, shown
from virtual_time import virtual_time

from shell_ev import ForbiddenError, Location, ServiceUnavailableError, ShellEV, ValidationError
from shell_ev.sandbox import Sandbox


async def followed(service: Stations, seconds: float, uids: Any, **options: Any) -> list[tuple[float, Any]]:
    """What is yielded within some seconds, and when."""
    loop = asyncio.get_running_loop()
    began, found = loop.time(), []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for location in service.client.locations.follow(uids, **options):
                found.append((loop.time() - began, shown(location)))
    return found


@virtual_time
async def test_a_location_is_first_shown_as_it_is_and_then_at_each_change() -> None:
    service = Stations(a=["Occupied", "Occupied"])
    service.at(100, "a", "Available", "Occupied")
    service.at(300, "a", "Available", "Available")
    found = await followed(service, 600, ["a"])
    assert [seen for _, seen in found] == [
        ("a", ["Occupied", "Occupied"]),
        ("a", ["Available", "Occupied"]),
        ("a", ["Available", "Available"]),
    ]
    for (moment, _), change in zip(found, (0, 100, 300), strict=True):
        assert change <= moment <= change + 60.1


@virtual_time
async def test_a_change_of_anything_else_is_not_shown() -> None:
    service = Stations(a=["Occupied"])
    service.after(100, lambda: service.connectors.__setitem__("a", ("Type2", 22)))
    assert len(await followed(service, 600, ["a"])) == 1


@virtual_time
async def test_the_order_in_which_evses_come_is_no_change() -> None:
    service = Stations(a=["Occupied", "Available"])
    answer = service._answer

    async def reversed_every_second_time(request: Any) -> Any:
        given = await answer(request)
        import json

        document = json.loads(given.body)
        if len(service.requests) % 2:
            document["data"][0]["evses"].reverse()
        return reply(200, document)

    service.sender.always = reversed_every_second_time
    assert len(await followed(service, 600, ["a"])) == 1
    assert len(service.requests) >= 9


@virtual_time
async def test_the_pace_is_that_of_every() -> None:
    service = Stations(a=["Occupied"])
    await followed(service, 601, ["a"], every=20)
    gaps = [later - earlier for (earlier, _), (later, _) in zip(service.requests, service.requests[1:], strict=False)]
    assert len(service.requests) == 30 + 1
    assert all(18 <= gap <= 22.1 for gap in gaps)


@virtual_time
async def test_many_share_one_budget_and_none_is_starved() -> None:
    service = Stations(**{f"l{number}": ["Occupied"] for number in range(100)})
    await followed(service, 300, list(service.statuses), every=10, budget=2)
    moments = [moment for moment, _ in service.requests]
    assert 599 <= len(moments) <= 601
    for position in range(0, len(moments) - 20, 20):
        assert moments[position + 20] - moments[position] >= 9.8
    counts = [sum(uid == wanted for _, uid in service.requests) for wanted in service.statuses]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("hours", [0.5, pytest.param(24, marks=pytest.mark.long)])
@virtual_time
async def test_500_locations_are_watched_and_every_change_is_seen_within_its_interval(hours: float) -> None:
    service = Stations(**{f"l{number}": ["Occupied"] for number in range(500)})
    seconds = hours * 3600
    due: dict[str, list[float]] = {}
    for number, uid in enumerate(service.statuses):
        due[uid] = [seconds * part + number % 50 for part in (0.1, 0.4, 0.7, 0.9)]
        for change, moment in enumerate(due[uid]):
            service.at(moment, uid, "Available" if change % 2 == 0 else "Occupied")
    found = await followed(service, seconds, list(service.statuses), every=60, budget=10)
    assert len(found) == 500 + 500 * 4
    assert len(service.requests) <= seconds * 10
    # 500 locations each minute.
    assert 0.95 <= len(service.requests) / (500 * seconds / 60) <= 1.05
    for moment, (uid, _) in found[500:]:
        assert any(0 <= moment - change <= 67 for change in due[uid])


@virtual_time
async def test_temporary_errors_go_to_on_problem_and_the_watch_continues() -> None:
    service = Stations(a=["Occupied"], b=["Occupied"])
    service.faults["a"] = [reply(503), reply(500)]
    problems: list[tuple[Any, str]] = []
    found = await followed(
        service, 200, ["a", "b"], on_problem=lambda uid, error: problems.append((uid, type(error).__name__))
    )
    assert [seen[0] for _, seen in found] == ["b", "a"]
    assert problems == [("a", "ServiceUnavailableError"), ("a", "InternalServerError")]


@virtual_time
async def test_a_retry_after_holds_all_of_them() -> None:
    service = Stations(a=["Occupied"], b=["Occupied"])
    service.faults["a"] = [reply(429, Retry_After="100")]
    await followed(service, 105, ["a", "b"], every=10)
    began = service.requests[0][0]
    assert [uid for _, uid in service.requests] == ["a", "b", "a"]
    assert [round(moment - began) for moment, _ in service.requests] == [0, 100, 100]


@virtual_time
async def test_an_error_that_waiting_does_not_mend_is_raised() -> None:
    service = Stations(a=["Occupied"])
    service.faults["a"] = [reply(403)]
    with pytest.raises(ForbiddenError):
        await followed(service, 100, ["a"])


@virtual_time
async def test_a_location_that_is_gone_for_five_minutes_is_left_and_the_last_one_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Stations(a=["Occupied"])
    service.after(100, service.statuses.clear)
    with caplog.at_level(logging.WARNING, "shell_ev"):
        found = await followed(service, 10_000, ["a", "never"])
    assert [seen[0] for _, seen in found] == ["a"]
    assert [record.message for record in caplog.records] == [
        "location 'never' is not known to the service any more",
        "location 'a' is not known to the service any more",
    ]
    assert service.requests[-1][0] - service.requests[0][0] < 500


@virtual_time
async def test_no_locations_end_at_once() -> None:
    assert await followed(Stations(), 100, []) == []


@virtual_time
async def test_a_location_named_twice_and_a_location_itself_are_followed_once() -> None:
    service = Stations(a=["Occupied"])
    found = await followed(service, 10, ["a", Location(uid="a"), "a"])
    assert len(found) == len(service.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ({"uids": "a"}, ["uids must be several uids or locations, not 'a'"]),
        ({"uids": 7}, ["uids must be several uids or locations, not 7"]),
        ({"uids": [""]}, ["uids must not be empty"]),
        ({"uids": [".."]}, ["uids must not be '..': as a path segment it names another resource"]),
        ({"uids": [Location()]}, ["uids must be text, not NoneType"]),
        (
            {"uids": ["a"], "every": 0, "budget": -1, "on_problem": 3},
            [
                "every must be a positive number of seconds, not 0",
                "budget must be a positive number of requests per second, not -1",
                "on_problem must be callable with a uid and an error, not 3",
            ],
        ),
    ],
)
@virtual_time
async def test_arguments_are_checked_at_the_call(arguments: Any, faults: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Stations().client.locations.follow(**arguments)
    assert list(caught.value.faults) == faults


def test_the_blocking_client_follows_too() -> None:
    with (
        Sandbox(stations=0) as sandbox,
        ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev,
    ):
        seen = []
        for location in ev.locations.follow(["1", "2"], every=0.1):
            seen.append(location.uid)
            if len(seen) == 2:
                break
        assert sorted(str(uid) for uid in seen) == ["1", "2"]
        with pytest.raises(ValidationError):
            ev.locations.follow("1")


@virtual_time
async def test_a_problem_without_a_callback_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    service = Stations(a=["Occupied"])
    service.faults["a"] = [reply(503)]
    with caplog.at_level(logging.INFO, "shell_ev"):
        await followed(service, 100, ["a"])
    lines = [record.message for record in caplog.records if "polling continues" in record.message]
    assert len(lines) == 1
    assert lines[0].startswith("location a: polling continues after: ")
    assert ServiceUnavailableError.__name__ not in lines[0]
