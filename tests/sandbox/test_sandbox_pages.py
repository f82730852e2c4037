"""The pages on the sandbox, held against its options, its routes, its faults and its refusals."""

from __future__ import annotations

import re
from pathlib import Path

import shell_ev.sandbox
from shell_ev.sandbox import OPERATIONS
from shell_ev.sandbox.__main__ import _parser
from shell_ev.sandbox.control import _ROUTES
from shell_ev.sandbox.controls import SETTINGS
from shell_ev.sandbox.fault_codec import KINDS

SOURCE = Path(shell_ev.sandbox.__file__).parent
DOCS = SOURCE.parents[1] / "docs"
API = (DOCS / "sandbox-api.md").read_text()
PAGE = (DOCS / "sandbox.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    found = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.M)
    assert found is not None, f"no table begins with {heading}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.group(1).splitlines()]


def test_every_option_of_the_command_is_on_the_page() -> None:
    shown = {name for row in rows(PAGE, "option") for name in re.findall(r"`(--[\w-]+)`", row[0])}
    known = {action.option_strings[-1] for action in _parser()._actions}
    assert shown == known - {"--help"}


def test_every_route_is_on_the_page() -> None:
    shown = {tuple(call.split()) for row in rows(API, "call") for call in re.findall(r"`([A-Z]+ \S+)`", row[0])}
    routes = {(method, re.sub(r"\(.*?\)", "{}", pattern.pattern).replace("/?", "/")) for method, pattern, _ in _ROUTES}
    found = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in shown}
    assert found == routes | {("GET", "/events"), ("POST", "/session")}


def test_every_fault_with_its_parameters_is_on_the_page() -> None:
    shown = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows(API, "`kind`")}
    assert shown == {name: set(parameters) for name, (_, parameters) in KINDS.items()}


def test_every_operation_and_setting_is_on_the_page() -> None:
    assert {name for name in OPERATIONS if f"`{name}`" not in API} == set()
    assert {name for name in SETTINGS if f"`{name}`" not in API} == set()


def test_every_refusal_is_on_the_page() -> None:
    shown = {(row[0], code) for row in rows(API, "status") for code in re.findall(r"`([\w-]+)`", row[1])}
    source = "".join(
        (SOURCE / name).read_text() for name in ("access.py", "control.py", "control_app.py", "control_values.py")
    )
    raised = set(re.findall(r"Refused\(\s*(\d{3}),\s*\"([\w-]+)\"", source))
    raised |= {("413", code) for code in re.findall(r"_json\(413, \{\"error\": \{\"code\": \"([\w-]+)\"", source)}
    assert shown == raised


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"pictures/[\w-]+\.png", PAGE)
    assert len(set(pictures)) == 3
    assert [name for name in pictures if not (DOCS / name).is_file()] == []
