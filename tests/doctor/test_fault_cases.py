"""Every fault case is named, is the only failure, has an advice, is documented, and shows no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fault_cases import FAULT_CASES, SECRETS, FaultCase
from fault_table import diagnosis_of, row

from shell_ev.doctor import Diagnosis, Outcome, as_markdown, as_text

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
SECTION = PAGE[PAGE.index("\n## doctor\n") :]


def outputs(diagnosis: Diagnosis) -> list[str]:
    """Every form in which a diagnosis is shown."""
    return [
        as_text(diagnosis),
        as_text(diagnosis, ascii_only=True),
        as_markdown(diagnosis),
        json.dumps(diagnosis.as_dict(), ensure_ascii=False),
        repr(diagnosis),
    ]


@pytest.mark.parametrize("case", FAULT_CASES, ids=lambda case: case.title)
async def test_a_fault_is_named_documented_and_the_only_failure(case: FaultCase) -> None:
    diagnosis = await diagnosis_of(case)
    assert tuple(finding.check for finding in diagnosis.failed) == case.failed
    assert diagnosis.warnings == ()
    assert diagnosis.exit_code == 1
    for finding in diagnosis.failed:
        for words in case.named:
            assert re.search(words, finding.seen), finding.seen
        assert re.search(case.advised, finding.advice), finding.advice
    for finding in diagnosis.findings:
        # Checks that depend on the fault are skipped, with the fault as the reason.
        if finding.outcome is Outcome.SKIPPED and "not tried" in finding.seen:
            assert finding.seen in [f"not tried: {name} failed" for name in case.failed]
    for text in outputs(diagnosis):
        for secret in SECRETS:
            assert secret not in text
    (documented,) = [line for line in SECTION.splitlines() if line.startswith(f"| {case.title} |")]
    # Without a name server the resolver has another error for an unknown name.
    if "cannot be looked up now" not in diagnosis.failed[0].seen:
        assert documented == row(case, diagnosis)
