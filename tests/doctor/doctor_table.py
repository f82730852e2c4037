"""The table of planted faults in docs/command-line.md, made by planting them. Run it to see it as it should be."""

from __future__ import annotations

import asyncio
import re

from fault_cases import PLANTS, Plant

from shell_ev.doctor import diagnose

HEAD = ("| planted fault | what the doctor says | what to do |", "|---|---|---|")
#: What a user of the command line says by variables.
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
    # As OpenSSL of another age says it.
    (r"RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG", "WRONG_VERSION_NUMBER"),
)


def lasting(text: str) -> str:
    """A text without what is different each time."""
    for pattern, word in _DIFFERENT_EACH_TIME:
        text = re.sub(pattern, word, text)
    return text


async def row(plant: Plant) -> str:
    """The line of one fault: the first of its findings, in full."""
    async with plant.plant() as options:
        variables = {name: options[option] for option, name in _VARIABLES.items() if option in options}
        others = {option: value for option, value in options.items() if option not in _VARIABLES}
        diagnosis = await diagnose(others, variables=[("environment", variables)], limits=plant.limits)
    found = diagnosis.failed[0]
    cells = (plant.title, f"`{found.check}: {found.seen}`", found.advice)
    return f"| {' | '.join(lasting(cell).replace('|', '&#124;') for cell in cells)} |"


async def table() -> list[str]:
    """All of it, one line each."""
    return [*HEAD, *[await row(plant) for plant in PLANTS]]


if __name__ == "__main__":
    print("\n".join(asyncio.run(table())))
