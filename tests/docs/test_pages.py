"""What the pages say in tables and in the terminal, held against the library."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib

import pytest
from pages import ROOT, blocks_of
from signatures import accepted

import shell_ev
from shell_ev import ApiVersion, ChargeSession, ShellEVError
from shell_ev.core.retry import Failure, outcome_is_unknown
from shell_ev.endpoints.locations import AsyncLocations
from shell_ev.options import ENV_CREDENTIALS, ENV_OPTIONS
from shell_ev.sandbox import Sandbox
from shell_ev.wire.operations import LOCATIONS_LIST, START

DOCS = ROOT / "docs"
PER_CALL = {"self", "request_id", "timeout", "max_retries", "headers"}


def rows(page: str, heading: str, table: int = 0) -> list[list[str]]:
    """The cells of a table that begins with this heading cell: the first one, or a later one."""
    tables = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", (DOCS / page).read_text(), re.M)
    assert len(tables) > table, f"{page} has no such table that begins with {heading}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in tables[table].splitlines()]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


class TestGettingStarted:
    def test_the_sandbox_says_what_the_page_shows(self) -> None:
        console = next(b.text for b in blocks_of(DOCS / "getting-started.md") if b.language == "console")
        command, *shown = console.splitlines()
        assert command == "$ python -m shell_ev.sandbox"
        process = subprocess.Popen(
            [sys.executable, "-m", "shell_ev.sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        with process:
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in shown]
            process.terminate()
        assert [re.sub(r":\d+", ":8080", line) for line in said] == shown

    def test_the_variables_are_those_that_the_sandbox_answers_to(self) -> None:
        shown = next(b.text for b in blocks_of(DOCS / "getting-started.md") if b.language == "console")
        exported = dict(re.findall(r"export (\w+)=(\S+)", shown))
        with Sandbox(stations=0) as sandbox:
            assert set(exported) == set(sandbox.env)
            del exported["SHELL_EV_BASE_URL"]  # its port differs
            assert exported.items() <= sandbox.env.items()

    def test_the_extras_exist(self) -> None:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert {name for row in rows("getting-started.md", "extra") for name in names(row[0])} <= set(extras)


class TestConfiguration:
    def test_every_option_is_there_with_its_variable(self) -> None:
        table = rows("configuration.md", "option")
        options = {name: row for row in table for name in names(row[0])}
        assert set(options) == accepted(shell_ev.AsyncShellEV.__init__)
        variables = {**ENV_OPTIONS, **ENV_CREDENTIALS}
        assert {name: option for option, row in options.items() for name in names(row[1])} == variables


class TestLocations:
    def test_every_filter_is_there_for_the_operations_that_have_it(self) -> None:
        table = rows("locations.md", "filter")

        def marked(column: int) -> set[str]:
            return {name for row in table if row[column] == "yes" for name in names(row[0])}

        def filters(*methods: str, beside: set[str]) -> set[str]:
            found = [accepted(getattr(AsyncLocations, method)) for method in methods]
            return set.intersection(*found) - PER_CALL - beside

        assert marked(2) == filters("list", "iterate", beside={"per_page"})
        assert marked(3) == filters("nearby", "markers", beside=set())


MADE: dict[str, dict[str, object]] = {
    "ValidationError": {"faults": ["one"]},
    "OutcomeUnknownError": {"message": "x", "operation": "charging.start"},
    "ApiError": {"text": "x", "status_code": 400},
    "ResponseDecodeError": {"message": "x", "status_code": 200},
    "ChargeFailedError": {"message": "x", "session_id": "x", "session": ChargeSession()},
    "ChargePendingError": {"message": "x", "session_id": "x", "session": None},
    "ChargeNotStoppedError": {"message": "x", "session_id": "x", "session": None},
}


def errors() -> dict[str, type[ShellEVError]]:
    found = {name: getattr(shell_ev, name) for name in shell_ev.__all__}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, ShellEVError) and value is not ShellEVError
    }


class TestErrors:
    def test_every_error_is_in_the_table_and_in_the_tree(self) -> None:
        tree = next(b.text for b in blocks_of(DOCS / "errors.md") if b.language == "text")
        assert {name for row in rows("errors.md", "error") for name in names(row[0])} == set(errors())
        named = set(re.findall(r"\b[A-Z]\w+Error\b", tree)) - {"ValueError", "TimeoutError"}
        assert named == {"ShellEVError", *errors()}

    @pytest.mark.parametrize("name", sorted(errors()))
    def test_the_fields_are_those_of_the_error(self, name: str) -> None:
        kind = errors()[name]
        made = next((MADE[base.__name__] for base in kind.__mro__ if base.__name__ in MADE), {"message": "x"})
        held = {field for field in vars(kind(**made)) if not field.startswith("_")}
        reported = {field for field in dir(kind) if not field.startswith("_")} - set(dir(TimeoutError))
        assert self.shown(kind) == (held | reported) - {
            "outcome_unknown",
            "message",
            "for_status",
            "to_dict",
            "to_json",
        }

    def shown(self, kind: type) -> set[str]:
        """The fields the page gives it: those in its own row, or else its base's; a row may build on the one above."""
        above: set[str] = set()
        for row in rows("errors.md", "error", table=1):
            fields = (above if row[1].startswith("these") else set()) | names(row[1])
            if kind.__name__ in names(row[0]):
                return fields - {"None", "SessionErrorCode"}
            above = fields
        base = kind.__base__
        return self.shown(base) if base is not None and base is not ShellEVError else set()

    def test_the_servers_errors_after_which_a_start_may_run_are_listed(self) -> None:
        row = next(row for row in rows("errors.md", "it is `True` for") if "InternalServerError" in row[0])
        sure = {int(status) for status in re.findall(r"\d{3}", row[0].split("but not")[1])}
        known = {s for s in range(500, 600) if not outcome_is_unknown(Failure(status=s), repeatable=False)}
        assert sure == known


class TestDialects:
    def test_paths_and_token_endpoints_are_those_that_are_used(self) -> None:
        table = {row[0]: row[1:] for row in rows("dialects.md", "`api_version`")}
        for column, version in enumerate(ApiVersion):
            charging, locations = START.routes[version].path, LOCATIONS_LIST.routes[version].path
            assert table["charging"][column] == f"`{charging.removesuffix('start')}...`"
            assert table["locations"][column] == f"`{locations}/...`"
            assert table["token endpoint"][column] == f"`{version.token_path}`"


class TestMigration:
    page = (DOCS / "migration.md").read_text()

    def test_every_method_of_the_official_sdk_is_there(self) -> None:
        pytest.importorskip("shellev")
        from shellev.controllers.charging_controller import ChargingController
        from shellev.controllers.locations_controller import LocationsController

        for controller in (ChargingController, LocationsController):
            for name, method in vars(controller).items():
                if not name.startswith("_"):
                    first = list(inspect.signature(method).parameters)[1]
                    assert f"`{name}({first}, " in self.page

    def test_every_exception_and_option_of_the_official_sdk_is_there(self) -> None:
        package = pytest.importorskip("shellev.exceptions")
        from shellev.shellev_client import ShellevClient

        raised = {
            name
            for module in pkgutil.iter_modules(package.__path__)
            for name, value in vars(importlib.import_module(f"shellev.exceptions.{module.name}")).items()
            if isinstance(value, type) and issubclass(value, Exception)
        }
        options = set(inspect.signature(ShellevClient).parameters) - {"config"}
        assert {name for name in raised if f"`{name}`" not in self.page} == set()
        assert {name for name in options if f"`{name}=" not in self.page} == set()

    def test_what_is_written_of_ours_exists(self) -> None:
        ours = set(re.findall(r"`([A-Z]\w+Error)`", self.page)) - {
            "AttributeError",
            "ChunkedEncodingError",
            "IndexError",
        }
        assert {name for name in ours if not hasattr(shell_ev, name)} == set()


def test_no_page_names_a_path_of_this_machine() -> None:
    for page in [*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")]:
        assert not re.search(r"/(tmp|work|root|home)/", page.read_text()), page
