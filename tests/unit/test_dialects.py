"""A dialect is one record and one column: nothing outside the records tells one version from another."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

import shell_ev
from shell_ev import ApiVersion, ChargeSession, SessionError, SessionErrorCode, SessionState
from shell_ev.dialects import DIALECTS, Dialect, camel, pascal
from shell_ev.models import charging, locations, markers, tariffs
from shell_ev.wire.codec import Codec
from shell_ev.wire.operations import OPERATIONS
from shell_ev.wire.results import SESSION

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


@pytest.mark.parametrize("engine", ["cattrs", "auto"])
def test_one_line_changes_the_wire_name_of_one_field_in_one_dialect(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    v1 = DIALECTS[ApiVersion.V1]
    names = {
        "ChargeSession.state": "chargingState.now",
        "ChargeSession.error": "chargingState.fault",
        "SessionError.code": "reason",
        "ChargeSession.ema_id": "card",
    }
    monkeypatch.setitem(
        cast("dict[ApiVersion, Dialect]", DIALECTS),
        ApiVersion.V1,
        attrs.evolve(v1, wire_names={**v1.wire_names, **names}),
    )
    session = {
        "id": "x",
        "card": "c",
        "chargingState": {"now": "failed-to-start", "fault": {"reason": "EvseInUse", "message": "m"}},
    }
    body = json.dumps({"requestId": "r", "status": "SUCCESS", "data": [session]}).encode()
    got: Any = Codec(ApiVersion.V1, engine).decode(SESSION, body)
    if engine == "auto" and importlib.util.find_spec("msgspec"):
        assert Codec(ApiVersion.V1, engine)._fast[SESSION](body) is not None  # type: ignore[index]
    error = SessionError(code=SessionErrorCode.EVSE_IN_USE, message="m")
    assert got.data == ChargeSession(id="x", ema_id="c", state=SessionState.FAILED_TO_START, error=error)
