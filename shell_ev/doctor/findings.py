"""What the doctor found: findings, the facts around them, and both together as a diagnosis.

Knows neither how a check works nor how a report looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """Works, and is worth knowing."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not looked at: what it needs failed, or there is nothing to look at."""


@attrs.frozen
class Finding:
    """One line of a diagnosis."""

    check: str
    """Which check: ``dns``, ``token``, ``charging.active``."""
    outcome: Outcome
    seen: str
    """What was seen, in one line."""
    advice: str = ""
    """What to do about it; empty where there is nothing to do."""


@attrs.frozen
class Setting:
    """One option in force and where it came from."""

    name: str
    value: str
    """As a report may show it: a secret is only said to be set, an id is cut short."""
    origin: str
    """``option``, ``default``, or the place of the variable, such as ``environment``."""


@attrs.frozen(kw_only=True)
class Facts:
    """What a reader of the report needs to know beside the findings."""

    checked_at: datetime
    """UTC, on this machine's clock."""
    versions: Mapping[str, str]
    """Of the library, of Python and of what matters below; what is not installed is not listed."""
    platform: str
    environment: str | None
    """None, as the next three, when the configuration is not valid."""
    api_version: str | None
    api_url: str | None
    token_url: str | None
    trust: str
    """Where the certificate authorities come from that this Python trusts."""
    settings: tuple[Setting, ...]


@attrs.frozen
class Diagnosis:
    """All findings, in the order of the checks, and the facts. Holds no secret."""

    findings: tuple[Finding, ...]
    facts: Facts
    elapsed: float
    """Seconds it took."""

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What is broken."""
        return self._with(Outcome.FAILED)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What works and is worth knowing."""
        return self._with(Outcome.WARN)

    @property
    def healthy(self) -> bool:
        """Whether nothing is broken; warnings do not count."""
        return not self.failed

    @property
    def exit_code(self) -> int:
        """0 when nothing is broken, 1 otherwise."""
        return 0 if self.healthy else 1

    def _with(self, outcome: Outcome) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.outcome is outcome)

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        facts = attrs.asdict(self.facts)
        return {
            "healthy": self.healthy,
            "findings": [attrs.asdict(finding) for finding in self.findings],
            "facts": {**facts, "checked_at": self.facts.checked_at.isoformat(), "settings": list(facts["settings"])},
            "elapsed": round(self.elapsed, 3),
        }
