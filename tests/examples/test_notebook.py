"""The notebook in a real kernel, whole: both clients inside the kernel's running loop, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from example_processes import EXAMPLES, HARD_LIMIT, commands_of, header_of, variables_for
from notebook_outputs import comparable, executed

from shell_ev.sandbox import Sandbox

pytest.importorskip("ipykernel", reason="the extra examples is not installed")
pytest.importorskip("geopandas", reason="the extra examples is not installed")
pytest.importorskip("matplotlib", reason="the extra examples is not installed")
nbformat = pytest.importorskip("nbformat", reason="the extra examples is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra examples is not installed")

pytestmark = pytest.mark.servers

NOTEBOOK = EXAMPLES / "charge.ipynb"


def test_it_is_kept_with_its_outputs_a_table_and_a_map_among_them() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    assert all(cell.execution_count == number for number, cell in enumerate(cells.values(), 1))
    assert "<table>" in cells["table"].outputs[0].data["text/html"]
    assert "image/png" in cells["map"].outputs[0].data
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert len(NOTEBOOK.read_bytes()) < 60_000
    # As nbformat writes it, so that saving it in Jupyter shows what changed and nothing else.
    assert NOTEBOOK.read_text() == nbformat.writes(notebook) + "\n"


def quiet_surroundings(sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel inherits: the sandbox, and none of the settings of whoever runs the tests."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    for name, value in variables_for(sandbox).items():
        monkeypatch.setenv(name, value)


async def test_it_runs_in_a_kernel(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_surroundings(sandbox, tmp_path, monkeypatch)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = {cell.id: comparable(cell) for cell in notebook.cells if cell.cell_type == "code"}
    notebook.cells.append(nbformat.v4.new_code_cell("import os\nos.getpid()", id="kernel"))
    await executed(notebook)
    shown = {cell.id: comparable(cell) for cell in notebook.cells if cell.cell_type == "code" and cell.id != "kernel"}
    assert shown == stored, "python tests/examples/notebook_outputs.py stores the outputs anew"
    said = {cell.id: _said(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert "Sandbox Laadnet" in said["find"]
    assert "started" in said["start"]
    assert sandbox.charges[0].session_id in said["look"]
    assert "SessionState.STOPPED" in said["stop"]
    assert said["plain"].endswith("started\nstopped\n")
    assert said["failure"] == "EvNotConnectedToEvse\n"
    assert [charge.is_over for charge in sandbox.charges] == [True, True, True]
    assert {output.get("name") for cell in notebook.cells for output in cell.get("outputs", [])} <= {None, "stdout"}
    with pytest.raises(ProcessLookupError):
        os.kill(int(said["kernel"]), 0)


def _said(cell: object) -> str:
    outputs = json.loads(json.dumps(cell))["outputs"]
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_its_first_cell_says_how_to_run_it() -> None:
    assert commands_of(header_of(NOTEBOOK))[0].arguments == ["jupyter", "execute", "examples/charge.ipynb"]


async def test_interrupting_the_kernel_stops_the_charge_of_a_block(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet_surroundings(sandbox, tmp_path, monkeypatch)
    notebook = nbformat.v4.new_notebook()
    blocking = """
from shell_ev import ShellEV
ev = ShellEV.from_env()
with ev.charge("NL-TNM-C00122045-K", "NL*TNM*E02003451*0") as charge:
    for session in charge.changes():
        print(session.state)
"""
    notebook.cells.append(nbformat.v4.new_code_cell(blocking))
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3")
    async with client.async_setup_kernel():
        running = asyncio.ensure_future(client.async_execute_cell(notebook.cells[0], 0))
        # The first look is that of entering the block, the second comes from inside it.
        async with asyncio.timeout(HARD_LIMIT):
            while [request.operation for request in sandbox.requests].count("charging.retrieve") < 2:
                await asyncio.sleep(0.005)
        await client.km.interrupt_kernel()
        with pytest.raises(nbclient.exceptions.CellExecutionError, match="KeyboardInterrupt"):
            await running
        assert sandbox.charges[0].is_over
        usable = nbformat.v4.new_code_cell("ev.charging.retrieve(charge.session_id).data.state")
        notebook.cells.append(usable)
        assert "STOPPED" in _said(await client.async_execute_cell(usable, 1))
