"""The command line uses the public API alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_processes import ROOT

import shell_ev

#: Modules with a page in the reference, and the demo.
PUBLIC_MODULES = {"demo", "doctor", "geojson", "observing", "sandbox", "store", "testing"}
FILES = sorted((ROOT / "shell_ev" / "cli").glob("*.py"))


def imports_from_the_library(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of each import from outside of the package ``cli``; the module of ``from .. import`` is ""."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            for alias in node.names:
                yield node.module or "", alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("shell_ev"):
            for alias in node.names:
                yield (node.module or "").removeprefix("shell_ev").removeprefix("."), alias.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_module_of_the_command_line_imports_public_names_only(file: Path) -> None:
    for module, name in imports_from_the_library(ast.parse(file.read_text())):
        if module:
            assert module in PUBLIC_MODULES, f"{module}.{name}"
            assert not name.startswith("_"), name
        else:
            assert name in shell_ev.__all__ or name in PUBLIC_MODULES, name


def test_a_private_import_would_be_found() -> None:
    tree = ast.parse("from ..wire.operations import START\nfrom .. import AsyncShellEV\nfrom .output import Output")
    assert list(imports_from_the_library(tree)) == [("wire.operations", "START"), ("", "AsyncShellEV")]
