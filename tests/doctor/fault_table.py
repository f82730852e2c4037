"""The table of faults in docs/command-line.md, made from the fault cases. Run this file to print it."""

from __future__ import annotations

import asyncio
import re

from fault_cases import FAULT_CASES, FaultCase

from shell_ev.doctor import Diagnosis, diagnose

HEAD = ("| fault | what the doctor says | what to do |", "|---|---|---|")
#: Options that a user of the command line sets by variables.
_VARIABLES = {
    "client_id": "SHELL_EV_CLIENT_ID",
    "client_secret": "SHELL_EV_CLIENT_SECRET",
    "base_url": "SHELL_EV_BASE_URL",
    "token_url": "SHELL_EV_TOKEN_URL",
}
_DIFFERENT_EACH_TIME = (
    (r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+|(?<=port )\d+", "PORT"),
    (r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", "ID"),
    (r"not before \d{4}-\d\d-\d\d \d\d:\d\d UTC", "not before DATE"),
    (r"\d+ ms", "N ms"),
    (r"\(\d+\.\d s\)", "(N s)"),
    # Other versions of OpenSSL have other names for it.
    (r"RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG", "WRONG_VERSION_NUMBER"),
)


def normalised(text: str) -> str:
    """A text with placeholders for ports, ids, dates and durations."""
    for pattern, word in _DIFFERENT_EACH_TIME:
        text = re.sub(pattern, word, text)
    return text


async def diagnosis_of(case: FaultCase) -> Diagnosis:
    """Set the fault up and diagnose it, with settings from variables as on the command line."""
    async with case.set_up() as options:
        variables = {name: options[option] for option, name in _VARIABLES.items() if option in options}
        others = {option: value for option, value in options.items() if option not in _VARIABLES}
        return await diagnose(others, variables=[("environment", variables)], limits=case.limits)


def row(case: FaultCase, diagnosis: Diagnosis) -> str:
    """The row of one fault: the first failed finding, in full."""
    found = diagnosis.failed[0]
    cells = (case.title, f"`{found.check}: {found.seen}`", found.advice)
    return f"| {' | '.join(normalised(cell).replace('|', '&#124;') for cell in cells)} |"


async def table() -> list[str]:
    """The whole table, line by line."""
    return [*HEAD, *[row(case, await diagnosis_of(case)) for case in FAULT_CASES]]


if __name__ == "__main__":
    print("\n".join(asyncio.run(table())))
