"""Measuring fairly on a machine that is never quiet: contenders take turns, ratios are paired, medians are told.

Knows nothing of what is measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

OURS = "shell_ev"
FAST = "shell_ev[speed]"
OFFICIAL = "official SDK"

_KEPT = frozenset({"PATH", "HOME", "LANG", "PYTHONPATH", "SYSTEMROOT", "TEMP", "TMP"})


@dataclass
class Table:
    """One question: every contender's figure, round by round."""

    name: str
    title: str
    unit: str
    rounds: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, contender: str, value: float) -> None:
        """One figure of one round."""
        self.rounds.setdefault(contender, []).append(value)

    def median(self, contender: str) -> float:
        """The contender's own median."""
        return statistics.median(self.rounds[contender])

    def ratio(self, contender: str, base: str) -> tuple[float, float, float]:
        """Median, lowest and highest of the ratios of figures of the same round."""
        ratios = [one / other for one, other in zip(self.rounds[contender], self.rounds[base], strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)

    def lines(self, base: str | None = None) -> list[str]:
        """The table as Markdown, ratios against ``base`` (the first contender unless given)."""
        base = base or next(iter(self.rounds))
        head = [
            f"**{self.title}** ({self.unit})",
            "",
            f"| | median | x {base} | lowest - highest |",
            "|---|---|---|---|",
        ]
        for contender in self.rounds:
            middle, low, high = self.ratio(contender, base)
            head.append(f"| {contender} | {figure(self.median(contender))} | {middle:.2f} | {low:.2f} - {high:.2f} |")
        return [*head, *(["", *self.notes] if self.notes else [])]


def figure(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass
class Options:
    """How thoroughly to measure."""

    quick: bool
    rounds: int
    output: Path | None

    def times(self, thorough: int) -> int:
        """How often to repeat what a thorough run repeats that often."""
        return max(1, thorough // 50) if self.quick else thorough


def options(arguments: list[str] | None = None) -> Options:
    """The command line of every benchmark."""
    parser = argparse.ArgumentParser(description="Interleaved rounds; what they mean is told in benchmarks/RESULTS.md.")
    parser.add_argument("--quick", action="store_true", help="a few iterations: does everything still run?")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of taking turns (default %(default)s)")
    parser.add_argument("--json", type=Path, dest="output", help="write the figures here")
    given = parser.parse_args(arguments)
    return Options(given.quick, 2 if given.quick else max(7, given.rounds), given.output)


def prepare() -> None:
    """A core of its own and a small environment: requests looks through all of os.environ on every call."""
    for name in [name for name in os.environ if name not in _KEPT]:
        del os.environ[name]
    pin(client=True)


def pin(*, client: bool) -> None:
    """Client on the last core, server on the first, where the platform lets a process choose."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0)) if client else list(range(os.cpu_count() or 1))
        os.sched_setaffinity(0, {cores[-1] if client else cores[0]})


#: Calls before those that count. Whoever comes after a rival that took long meets cold caches, by a tenth of a call;
#: that is the turn's price and not the contender's. What is timed once takes milliseconds: there it is nothing, and the
#: garbage of a page read just before would tell on the next.
WARM = 5


def repeat(call: Callable[[], object], times: int) -> float:
    """Seconds a call, of so many one after another."""
    for _ in range(min(times - 1, WARM)):
        call()
    began = time.perf_counter()
    for _ in range(times):
        kept = call()
    spent = time.perf_counter() - began
    del kept  # letting go of it is not part of the price
    return spent / times


async def repeat_async(call: Callable[[], Awaitable[object]], times: int) -> float:
    """As :func:`repeat`, with await."""
    for _ in range(min(times - 1, WARM)):
        await call()
    began = time.perf_counter()
    for _ in range(times):
        kept = await call()
    spent = time.perf_counter() - began
    del kept
    return spent / times


def take_turns(table: Table, contenders: Mapping[str, Callable[[], float]], rounds: int, pieces: int = 1) -> Table:
    """A B C A B C: every round measures everyone; one round before that does not count.

    What is short is measured in several ``pieces`` a round, turn by turn too, and their median counts: a machine that
    others use as well slows down for milliseconds at a time, and whoever is at it then would pay for it.
    """
    for number in range(rounds + 1):
        values: dict[str, list[float]] = {name: [] for name in contenders}
        for turn, (name, measure) in enumerate(list(contenders.items()) * pieces):
            if pieces == 1 or not turn:
                gc.collect()
            values[name].append(measure())
        if number:
            for name, reported in values.items():
                table.add(name, statistics.median(reported))
    return table


async def take_turns_async(
    table: Table, contenders: Mapping[str, Callable[[], Awaitable[float]]], rounds: int, pieces: int = 1
) -> Table:
    """As :func:`take_turns`, on one event loop."""
    for number in range(rounds + 1):
        values: dict[str, list[float]] = {name: [] for name in contenders}
        for turn, (name, measure) in enumerate(list(contenders.items()) * pieces):
            if pieces == 1 or not turn:
                gc.collect()
            values[name].append(await measure())
        if number:
            for name, reported in values.items():
                table.add(name, statistics.median(reported))
    return table


def missing(names: Mapping[str, bool]) -> None:
    """Say which rivals are not here."""
    absent = [name for name, there in names.items() if not there]
    if absent:
        print(f"not installed and left out: {', '.join(absent)} (pip install -e .[bench])", file=sys.stderr)


def finish(tables: list[Table], given: Options) -> None:
    """Print the tables, and write their figures if asked to."""
    for table in tables:
        print("\n".join(table.lines()), end="\n\n", flush=True)
    if given.output is not None:
        given.output.write_text(json.dumps([asdict(table) for table in tables]))


def load(path: Path) -> list[Table]:
    """Tables that :func:`finish` wrote."""
    return [Table(**raw) for raw in json.loads(path.read_text())]
