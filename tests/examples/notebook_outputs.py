"""Runs the notebook against a sandbox, and stores what it prints in the notebook itself.

``python tests/examples/notebook_outputs.py`` writes ``examples/charge.ipynb`` anew. A test compares it with a run.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "examples" / "charge.ipynb"
#: What differs from run to run: ids, moments, durations, ports, names of objects in memory.
_VARIES = [
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)?"), "<moment>"),
    (re.compile(r"\d+:\d\d:\d\d(?:\.\d+)?"), "<duration>"),
    (re.compile(r"\d+\.\d\d s"), "<seconds>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"0x[0-9a-f]+"), "<object>"),
]


async def executed(notebook: Any) -> Any:
    """The notebook, run in a kernel of its own against what the environment names."""
    import nbclient

    await nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").async_execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def comparable(cell: Any) -> list[Any]:
    """The outputs of a cell without what differs from run to run. A picture is compared by being there."""
    found: list[Any] = []
    for output in cell.get("outputs", []):
        data = dict(output.get("data", {}))
        kinds = sorted(data)
        texts = {kind: _steady(data[kind]) for kind in kinds if kind.startswith("text/")}
        found.append((output.output_type, output.get("name"), kinds, texts, _steady(output.get("text", ""))))
    return found


def _steady(text: str) -> str:
    for pattern, instead in _VARIES:
        text = pattern.sub(instead, text)
    return text


def main() -> None:
    """Store the outputs of a run."""
    import nbformat

    from shell_ev.sandbox import Sandbox

    with Sandbox(stations=0) as sandbox:
        sandbox.start_delay = sandbox.stop_delay = 0.0
        os.environ.update(
            SHELL_EV_BASE_URL=sandbox.url, SHELL_EV_CLIENT_ID=sandbox.client_id,
            SHELL_EV_CLIENT_SECRET=sandbox.client_secret,
        )  # fmt: skip
        notebook = asyncio.run(executed(nbformat.read(NOTEBOOK, as_version=4)))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    NOTEBOOK.write_text(nbformat.writes(notebook) + "\n")


if __name__ == "__main__":
    main()
