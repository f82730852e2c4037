"""The index of the examples names them all, and what their headers tell to type is what the sandbox answers to."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from example_processes import EXAMPLES, ROOT, commands_of, header_of

from shell_ev.sandbox.__main__ import _parser

#: Has an index and tests of its own.
ELSEWHERE = {"tested_app"}
#: Files that are run as part of others.
PARTS = {"gunicorn.conf.py", "http_problems.py", "process_client.py", "tiny_host.py"}


def examples() -> list[Path]:
    found = [path for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    found += [path / "__init__.py" for path in EXAMPLES.iterdir() if (path / "__init__.py").is_file()]
    return sorted(path for path in found if path.parent.name not in ELSEWHERE)


def test_every_example_is_in_the_index_and_every_link_leads_somewhere() -> None:
    index = (EXAMPLES / "README.md").read_text()
    links = set(re.findall(r"\]\(([^)]+)\)", index))
    assert {path.relative_to(EXAMPLES).as_posix() for path in examples()} <= links
    assert [link for link in links if not link.startswith("http") and not (EXAMPLES / link).exists()] == []


WHOLE = {path.relative_to(EXAMPLES).as_posix(): path for path in examples() if path.name not in PARTS}


@pytest.mark.parametrize("path", WHOLE.values(), ids=WHOLE)
def test_a_header_says_how_to_run_it_against_the_sandbox(path: Path) -> None:
    text = header_of(path)
    assert "`python -m shell_ev.sandbox` in another terminal" in text
    command = commands_of(text)[0]
    defaults = vars(_parser().parse_args([]))
    assert command.variables == {
        "SHELL_EV_BASE_URL": f"http://{defaults['host']}:{defaults['port']}",
        "SHELL_EV_CLIENT_ID": defaults["client_id"],
        "SHELL_EV_CLIENT_SECRET": defaults["client_secret"],
    }
    # The test of an example runs this very command.
    name = "django_site" if path.name == "__init__.py" else path.stem
    test = {"charge": "notebook"}.get(name, name)
    assert (ROOT / "tests" / "examples" / f"test_{test}.py").is_file()


def test_no_module_of_an_example_hides_one_of_python() -> None:
    names = {path.stem for path in examples()} | {path.parent.name for path in examples()}
    assert names.isdisjoint(sys.stdlib_module_names)
