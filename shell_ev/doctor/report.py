"""The diagnosis as data, and its renderings as text and Markdown. Texts are redacted before they get here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs


class Outcome(StrEnum):
    """Outcome of a check."""

    OK = "ok"
    WARN = "warn"
    """It works, with a warning."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not run: a check that it depends on failed, or it does not apply."""


@attrs.frozen
class Finding:
    """One line of a diagnosis."""

    check: str
    """Name of the check: ``dns``, ``token``, ``charging.active``."""
    outcome: Outcome
    seen: str
    """What was seen, in one line."""
    advice: str = ""
    """What to do about it; empty if there is nothing to do."""


@attrs.frozen
class Setting:
    """One option in force and its origin."""

    name: str
    value: str
    """Redacted for reports: a secret shows as ``set``, an id shows its first characters."""
    origin: str
    """``option``, ``default``, or the name of the place that has the variable, such as ``environment``."""


@attrs.frozen(kw_only=True)
class Facts:
    """Context of the findings: versions, platform, endpoints and settings."""

    checked_at: datetime
    """UTC, by the clock of this machine."""
    versions: Mapping[str, str]
    """Versions of the library, Python and the installed packages that it uses."""
    platform: str
    environment: str | None
    """None if the configuration is not valid, as are the next three."""
    api_version: str | None
    api_url: str | None
    token_url: str | None
    trust: str
    """Paths of the certificate authorities that this Python trusts."""
    settings: tuple[Setting, ...]


@attrs.frozen
class Diagnosis:
    """All findings, in the order of the checks, and the facts. Contains no secret."""

    findings: tuple[Finding, ...]
    facts: Facts
    elapsed: float
    """Duration in seconds."""

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Findings of the checks that failed."""
        return self._with(Outcome.FAILED)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings with a warning."""
        return self._with(Outcome.WARN)

    @property
    def healthy(self) -> bool:
        """Whether no check failed. Warnings do not count."""
        return not self.failed

    @property
    def exit_code(self) -> int:
        """0 if no check failed, else 1."""
        return 0 if self.healthy else 1

    def _with(self, outcome: Outcome) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.outcome is outcome)

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON values."""
        facts = attrs.asdict(self.facts)
        return {
            "healthy": self.healthy,
            "findings": [attrs.asdict(finding) for finding in self.findings],
            "facts": {**facts, "checked_at": self.facts.checked_at.isoformat(), "settings": list(facts["settings"])},
            "elapsed": round(self.elapsed, 3),
        }


_SIGNS = {Outcome.OK: "✓", Outcome.WARN: "!", Outcome.FAILED: "✗", Outcome.SKIPPED: "-"}
_ASCII_SIGNS = {Outcome.OK: "ok", Outcome.WARN: "!", Outcome.FAILED: "X", Outcome.SKIPPED: "-"}
_ESCAPES = str.maketrans(
    {**{char: f"\\{char}" for char in "\\`*_[]|"}, **{char: f"&#{ord(char)};" for char in "<>@#&"}}
)


def as_text(diagnosis: Diagnosis, *, ascii_only: bool = False) -> str:
    """Render a diagnosis as plain text.

    Args:
        diagnosis: The result of ``diagnose``.
        ascii_only: Use ASCII signs and escape every other character.

    Returns:
        One line for each finding, the advice and a summary, without a line break at the end.
    """
    signs = _ASCII_SIGNS if ascii_only else _SIGNS
    width = max(len(finding.check) for finding in diagnosis.findings)
    room = 2 if ascii_only else 1
    lines = [
        f"{signs[finding.outcome]:<{room}} {finding.check:<{width}}  {finding.seen}" for finding in diagnosis.findings
    ]
    if advice := _advice(diagnosis):
        lines += ["", "What to do"]
        lines += [f"  {', '.join(checks)}: {text}" for text, checks in advice]
    text = "\n".join((*lines, "", _summary(diagnosis)))
    return text.replace("…", "...").encode("ascii", "backslashreplace").decode() if ascii_only else text


def as_markdown(diagnosis: Diagnosis) -> str:
    """Render a diagnosis as Markdown for an issue.

    Args:
        diagnosis: The result of ``diagnose``.

    Returns:
        The report. It contains no secret, token, full id, password or user name.
    """
    facts = diagnosis.facts
    rows = [(_SIGNS[finding.outcome], finding.check, finding.seen) for finding in diagnosis.findings]
    lines = ["### shell-ev doctor", "", _summary(diagnosis), "", *_table(("", "check", "seen"), rows)]
    if advice := _advice(diagnosis):
        lines += ["", "**What to do**", "", *(f"- {', '.join(checks)}: {_escaped(text)}" for text, checks in advice)]
    settings = [(setting.name, setting.value, setting.origin) for setting in facts.settings]
    lines += [
        "",
        "<details><summary>Settings and versions</summary>",
        "",
        *_table(("setting", "value", "from"), settings),
    ]
    lines += ["", *_table(("fact", "value"), _facts(facts)), "", "</details>"]
    return "\n".join(lines)


def _summary(diagnosis: Diagnosis) -> str:
    failed, warned = len(diagnosis.failed), len(diagnosis.warnings)
    warnings = f", {warned} warning{'s' if warned != 1 else ''}" if warned else ""
    if not failed:
        return f"All well{warnings} ({diagnosis.elapsed:.1f} s)."
    return f"{failed} check{'s' if failed != 1 else ''} failed{warnings} ({diagnosis.elapsed:.1f} s)."


def _advice(diagnosis: Diagnosis) -> list[tuple[str, list[str]]]:
    """Each advice once, with the checks that gave it; failures before warnings."""
    found: dict[str, list[str]] = {}
    for finding in (*diagnosis.failed, *diagnosis.warnings):
        if finding.advice:
            found.setdefault(finding.advice, []).append(finding.check)
    return list(found.items())


def _facts(facts: Facts) -> list[tuple[str, str]]:
    return [
        ("checked at", f"{facts.checked_at:%Y-%m-%d %H:%M:%S} UTC"),
        *facts.versions.items(),
        ("platform", facts.platform),
        ("API", facts.api_url or "unknown"),
        ("token endpoint", facts.token_url or "unknown"),
        ("trusted authorities", facts.trust),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    every = (head, ["---"] * len(head), *rows)
    return [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in every]


def _escaped(text: str) -> str:
    """Escape Markdown and HTML: text from a server must not become a link, an image or a mention."""
    return text.translate(_ESCAPES)
