"""A dialect is one record and one column: nothing outside the records tells one version from another."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import attrs
import pytest

import shell_ev
from shell_ev import ApiVersion
from shell_ev.dialects import DIALECTS, Dialect, camel, pascal
from shell_ev.models import charging, locations, markers, tariffs
from shell_ev.wire.operations import OPERATIONS

ROOT = Path(inspect.getfile(shell_ev)).parent
MODELS = {
    name: cls
    for module in (charging, locations, markers, tariffs)
    for name, cls in vars(module).items()
    if inspect.isclass(cls) and attrs.has(cls)
}


def test_every_version_has_a_record_and_a_column() -> None:
    assert set(DIALECTS) == set(ApiVersion)
    for operation in OPERATIONS:
        assert set(operation.routes) == set(ApiVersion), operation.name


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
def test_an_irregular_wire_name_belongs_to_a_field_of_a_model(dialect: Dialect) -> None:
    for name in dialect.wire_names:
        model, _, field = name.partition(".")
        assert field in {attribute.name for attribute in attrs.fields(MODELS[model])}


@pytest.mark.parametrize(
    ("name", "wire"), [("id", "id"), ("evse_id", "evseId"), ("ev_charge_number", "evChargeNumber")]
)
def test_names_are_spelled_in_camel_case_and_pascal_case(name: str, wire: str) -> None:
    assert camel(name) == wire
    assert pascal(name) == wire[0].upper() + wire[1:]


def test_no_other_module_of_wire_and_endpoints_names_a_single_version() -> None:
    named = []
    for path in [*(ROOT / "wire").glob("*.py"), *(ROOT / "endpoints").glob("*.py"), ROOT / "options.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ApiVersion.__members__:
                named.append(path.name)
    # The columns of the table; and the default of a client.
    assert set(named) <= {"operations.py", "options.py"}
