"""README: its shell blocks are those that .ci/run runs, its tree of errors is whole. test_examples.py runs the rest."""

from __future__ import annotations

import re

from pages import ROOT, blocks_of

BLOCKS = [(block.language, block.text) for block in blocks_of(ROOT / "README.md")]


def test_the_shell_blocks_are_those_that_ci_runs() -> None:
    shell = [text.strip() for language, text in BLOCKS if language == "sh"]
    assert len(shell) == 2
    # .ci/run takes them out of README and runs them as they stand.
    assert "readme_command" in (ROOT / ".ci" / "run").read_text()
    assert shell[0].endswith("-m shell_ev.demo")
    assert shell[1].endswith("-m pytest -n auto")


def test_every_linked_file_exists() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / "README.md").read_text())
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_block_is_run() -> None:
    # The one without a language is the tree of errors, checked below.
    assert {language for language, _ in BLOCKS} == {"python", "sh", ""}


def test_the_tree_of_errors_names_errors_that_exist() -> None:
    import shell_ev

    tree = next(text for language, text in BLOCKS if language == "")
    named = set(re.findall(r"\b[A-Z]\w+Error\b", tree))
    every = {
        name
        for name in shell_ev.__all__
        if name.endswith("Error") and isinstance(getattr(shell_ev, name), type) and name != "SessionError"
    }
    assert named == every
