"""A diagnosis as text for a terminal and as Markdown for an issue. Pure; what must not be shown is gone already."""

from __future__ import annotations

from collections.abc import Sequence

from .findings import Diagnosis, Facts, Outcome

_SIGNS = {Outcome.OK: "✓", Outcome.WARN: "!", Outcome.FAILED: "✗", Outcome.SKIPPED: "-"}
_ESCAPES = str.maketrans(
    {**{char: f"\\{char}" for char in "\\`*_[]|"}, **{char: f"&#{ord(char)};" for char in "<>@#&"}}
)
_ASCII_SIGNS = {Outcome.OK: "ok", Outcome.WARN: "!", Outcome.FAILED: "X", Outcome.SKIPPED: "-"}


def sign(outcome: Outcome, *, ascii_only: bool = False) -> str:
    """The mark at the beginning of a finding's line."""
    return (_ASCII_SIGNS if ascii_only else _SIGNS)[outcome]


def as_text(diagnosis: Diagnosis, *, ascii_only: bool = False) -> str:
    """The findings, one line each, what to do about them, and the verdict. Ends without a line break."""
    width = max(len(finding.check) for finding in diagnosis.findings)
    room = 2 if ascii_only else 1
    lines = [
        f"{sign(finding.outcome, ascii_only=ascii_only):<{room}} {finding.check:<{width}}  {finding.seen}"
        for finding in diagnosis.findings
    ]
    if advice := advised(diagnosis):
        lines += ["", "What to do"]
        lines += [f"  {', '.join(checks)}: {text}" for text, checks in advice]
    text = "\n".join((*lines, "", verdict(diagnosis)))
    return text.replace("…", "...").encode("ascii", "backslashreplace").decode() if ascii_only else text


def verdict(diagnosis: Diagnosis) -> str:
    """The diagnosis in one sentence."""
    broken, odd = len(diagnosis.failed), len(diagnosis.warnings)
    warnings = f", {odd} warning{'s' if odd != 1 else ''}" if odd else ""
    if not broken:
        return f"All well{warnings} ({diagnosis.elapsed:.1f} s)."
    return f"{broken} check{'s' if broken != 1 else ''} failed{warnings} ({diagnosis.elapsed:.1f} s)."


def advised(diagnosis: Diagnosis) -> list[tuple[str, list[str]]]:
    """Each advice once, with the checks that gave it; what failed before what is only odd."""
    found: dict[str, list[str]] = {}
    for finding in (*diagnosis.failed, *diagnosis.warnings):
        if finding.advice:
            found.setdefault(finding.advice, []).append(finding.check)
    return list(found.items())


def as_markdown(diagnosis: Diagnosis) -> str:
    """The whole report to paste into an issue. Holds no secret, token, full id, password or user name."""
    facts = diagnosis.facts
    rows = [(sign(finding.outcome), finding.check, finding.seen) for finding in diagnosis.findings]
    lines = ["### shell-ev doctor", "", verdict(diagnosis), "", *_table(("", "check", "seen"), rows)]
    if advice := advised(diagnosis):
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
    """Text that Markdown and HTML leave alone: a server's words must not become a link, a picture or a mention."""
    return text.translate(_ESCAPES)
