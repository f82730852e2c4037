"""What docs/command-line.md shows of the doctor is what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doctor_table import HEAD, lasting, row
from fault_cases import CLIENT_ID, PLANTS, WRONG_SECRET, Plant
from test_doctor_command import doctor

from shell_ev.sandbox import Sandbox

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
SECTION = PAGE[PAGE.index("\n## doctor\n") :]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.title)
async def test_the_table_shows_what_is_said(plant: Plant) -> None:
    (shown,) = [line for line in SECTION.splitlines() if line.startswith(f"| {plant.title} |")]
    said = await row(plant)
    # Where no name server can be asked, nobody knows that there is no such name.
    if "cannot be looked up now" not in said:
        assert shown == said


def test_the_table_has_no_other_line() -> None:
    table = SECTION[SECTION.index(HEAD[0]) :].split("\n\n")[0].splitlines()
    assert tuple(table[:2]) == HEAD
    assert len(table[2:]) == len(PLANTS)


async def test_the_session_is_one() -> None:
    block = re.search(r"```console\n\$ shell-ev doctor\n(.*?)```", SECTION, re.DOTALL)
    assert block is not None
    async with Sandbox(stations=5) as sandbox:
        code, said, _ = await doctor(
            SHELL_EV_CLIENT_ID=CLIENT_ID, SHELL_EV_CLIENT_SECRET=WRONG_SECRET, SHELL_EV_BASE_URL=sandbox.url
        )
    assert code == 1
    assert lasting(block[1]) == lasting(said)
