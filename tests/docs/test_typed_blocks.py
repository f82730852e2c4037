"""Every Python block of README and the pages passes mypy --strict and pyright strict, as a reader would paste it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from pages import ROOT, Block
from typed_blocks import awaits, module_name, python_blocks, write

for needed in ("mypy", "pyright", "pandas-stubs", "types-geopandas"):
    try:
        importlib.metadata.distribution(needed)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{needed} comes with the extra dev", allow_module_level=True)

BLOCKS = python_blocks()
#: They show the official SDK beside ours, and it has no types.
UNTYPED = [block for block in BLOCKS if "shellev" in block.text]
TYPED = [block for block in BLOCKS if "shellev" not in block.text]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("blocks")
    for block in TYPED:
        write(block, target)
    return target


def on_its_page(line: str) -> str:
    """A line of a type checker with the page and its line in place of the module."""
    for block in TYPED:
        found = re.search(rf"{module_name(block)}\.py:(\d+)", line)
        if found:
            shift = block.line - 1 - awaits(block.text)
            return line.replace(found[0], f"{block.page}:{int(found[1]) + shift}")
    return line


def test_there_are_blocks_and_few_without_types() -> None:
    assert len(TYPED) >= 70
    assert {block.page for block in UNTYPED} == {"docs/migration.md"}
    assert len(UNTYPED) <= 5


def test_every_block_passes_mypy_strict(folder: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.11", "--no-error-summary"]
    config = folder / "mypy.ini"
    config.write_text("[mypy]\n")
    done = subprocess.run(
        [*command, "--config-file", str(config), *map(str, sorted(folder.glob("*.py")))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [on_its_page(line) for line in done.stdout.splitlines()]
    assert (done.returncode, lines) == (0, []), "\n".join(lines)


def test_every_block_passes_pyright_strict(folder: Path) -> None:
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [on_its_page(line) for line in done.stdout.splitlines() if " error: " in line]) == (0, [])


def test_a_fault_in_a_block_is_found_and_named_by_its_page(tmp_path: Path) -> None:
    page = Block(page="docs/wrong.md", line=40, language="python", text="x: int = 'a'\n", comment="")
    written = write(page, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(written)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "docs_wrong_md_40.py:1" in done.stdout


@pytest.mark.parametrize(
    "name", ["sync_locations.py", "flask_app.py", "tested_app/charging_desk.py", "tested_app/tests"]
)
def test_an_example_program_passes_both(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = str(ROOT / "examples" / name)
    monkeypatch.setenv("MYPYPATH", str(ROOT / "examples" / "tested_app"))
    for command in (["mypy", "--strict", "--python-version", "3.11"], ["pyright", "--pythonpath", sys.executable]):
        done = subprocess.run(
            [sys.executable, "-m", *command, program], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_notebook_passes_both(tmp_path: Path) -> None:
    cells = json.loads((ROOT / "examples" / "charge.ipynb").read_text())["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    program = tmp_path / "notebook.py"
    # A notebook awaits outside of functions, and shows the value of the last line of a cell.
    program.write_text("async def main() -> None:\n" + textwrap.indent(code, "    "))
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "reportUnusedExpression": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    for command in (
        ["mypy", "--strict", str(program)],
        ["pyright", "--pythonpath", sys.executable, "-p", str(tmp_path)],
    ):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stdout
