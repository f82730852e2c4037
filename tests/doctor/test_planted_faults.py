"""Each planted fault is named, it alone is blamed, something can be done about it, and no secret shows anywhere."""

from __future__ import annotations

import json
import re

import pytest
from fault_cases import PLANTS, SECRETS, Plant

from shell_ev.doctor import Diagnosis, Outcome, as_markdown, as_text, diagnose


def outputs(diagnosis: Diagnosis) -> list[str]:
    """Everything that leaves the doctor."""
    return [
        as_text(diagnosis),
        as_text(diagnosis, ascii_only=True),
        as_markdown(diagnosis),
        json.dumps(diagnosis.as_dict(), ensure_ascii=False),
        repr(diagnosis),
    ]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.title)
async def test_a_planted_fault_is_named_and_it_alone_is_blamed(plant: Plant) -> None:
    async with plant.plant() as options:
        diagnosis = await diagnose(options, variables=[], limits=plant.limits)
    assert tuple(finding.check for finding in diagnosis.failed) == plant.failed
    assert diagnosis.warnings == ()
    assert diagnosis.exit_code == 1
    for finding in diagnosis.failed:
        for words in plant.named:
            assert re.search(words, finding.seen), finding.seen
        assert re.search(plant.advised, finding.advice), finding.advice
    for finding in diagnosis.findings:
        # What follows from the fault is not tried, with its reason; nothing is well that was not seen to be.
        if finding.outcome is Outcome.SKIPPED and "not tried" in finding.seen:
            assert finding.seen in [f"not tried: {name} failed" for name in plant.failed]
    for text in outputs(diagnosis):
        for secret in SECRETS:
            assert secret not in text
