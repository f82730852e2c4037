"""RESULTS.md and the picture beside it, out of measured tables."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from .harness import FAST, OFFICIAL, OURS, Table, figure
from .targets import TARGETS

FOLDER = Path(__file__).parent
_PACKAGES = ("shell_ev", "aiohttp", "attrs", "cattrs", "msgspec", "orjson", "ev-recharge-sdk", "requests", "httpx")
_COLOURS = {OURS: "#c8102e", FAST: "#f2a900", OFFICIAL: "#6c757d"}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _versions() -> str:
    found: list[str] = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def write(tables: Mapping[str, Table], server: str, rounds: int, remarks: str) -> None:
    """Everything that was measured, target by target and then in full."""
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks`; do not edit, run it again. Ratios are medians of paired ratios: contenders",
        f"take turns round by round ({rounds} rounds or, where it takes long, fewer; one more not counted): a machine",
        "that slows down slows down everybody. Trust the ratios of one run, not the microseconds.",
        "",
        f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {platform.system()} {platform.release()}, "
        f"{_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, asyncio's own event loop",
        f"- server: {server}, on one core; client on another",
        f"- {_versions()}",
        "- `aiohttp` is the bare call, default timeout: `json.loads(await response.read())`, no token, no retry",
        *([f"- {remarks}"] if remarks else []),
        "",
        "![What a user pays](results.png)",
        "",
        "## Targets",
        "",
        "| what | target | measured | |",
        "|---|---|---|---|",
    ]
    for target in TARGETS:
        value, good = target.verdict(tables)
        mark = {True: "reached", False: "**not reached**", None: "-"}[good]
        lines.append(f"| {target.what} | {target.told} | {value} | {mark} |")
    lines += ["", "## All figures", ""]
    for table in tables.values():
        lines += [*table.lines(), ""]
    (FOLDER / "RESULTS.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


_PANELS = (
    ("call_async", "One call, async"),
    ("flight_async", "100 in flight, async"),
    ("call_blocking", "One call, blocking"),
    ("flight_blocking", "32 threads, blocking"),
    ("decode_session", "One session decoded"),
    ("fetch_plain", "500 locations,\nfetched and decoded"),
    ("fetch_full", "500 locations with tariffs,\nfetched and decoded"),
    ("iterate", "iterate over 5,000"),
    ("import", "Import"),
    ("first_answer", "Program with one answer"),
    ("held", "5,000 locations held"),
    ("follow_cpu", "CPU of a poll, by number\nof charges followed"),
)


def draw(tables: Mapping[str, Table], server: str) -> None:
    """One panel a question, shorter is better; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(tables[name], title) for name, title in _PANELS if name in tables]
    rows = (len(panels) + 2) // 3
    figure_, axes = pyplot.subplots(rows, 3, figsize=(15, 2.7 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for (table, title), axis in zip(panels, axes.flat, strict=False):
        axis.axis("on")
        names = list(table.rounds)[::-1]
        values = [table.median(name) for name in names]
        colours = [next((c for n, c in _COLOURS.items() if n == name.partition(",")[0]), "#adb5bd") for name in names]
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, [f" {figure(value)}" for value in values], fontsize=9)
        axis.set_title(f"{title} ({table.unit})", fontsize=11, fontweight="bold")
        axis.set_xlim(0, max(values) * 1.18)
        axis.tick_params(labelsize=9)
        axis.xaxis.set_visible(False)
        for side in ("top", "right", "bottom"):
            axis.spines[side].set_visible(False)
    figure_.suptitle(f"What a user pays: medians, shorter is better (server: {server})", fontsize=13)
    figure_.tight_layout(rect=(0, 0, 1, 0.98))
    figure_.savefig(FOLDER / "results.png", dpi=110)
    pyplot.close(figure_)
