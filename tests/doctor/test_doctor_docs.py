"""docs/command-line.md shows the real output of the doctor."""

from __future__ import annotations

import re

from fault_cases import CLIENT_ID, FAULT_CASES, WRONG_SECRET
from fault_table import HEAD, normalised
from test_doctor_command import doctor
from test_fault_cases import SECTION

from shell_ev.sandbox import Sandbox


def test_the_documented_table_has_one_row_for_each_fault_case() -> None:
    table = SECTION[SECTION.index(HEAD[0]) :].split("\n\n")[0].splitlines()
    assert tuple(table[:2]) == HEAD
    assert len(table[2:]) == len(FAULT_CASES)


async def test_the_documented_session_is_the_output_of_the_command() -> None:
    block = re.search(r"```console\n\$ shell-ev doctor\n(.*?)```", SECTION, re.DOTALL)
    assert block is not None
    async with Sandbox(stations=5) as sandbox:
        code, output, _ = await doctor(
            SHELL_EV_CLIENT_ID=CLIENT_ID, SHELL_EV_CLIENT_SECRET=WRONG_SECRET, SHELL_EV_BASE_URL=sandbox.url
        )
    assert code == 1
    assert normalised(block[1]) == normalised(output)
