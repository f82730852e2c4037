"""``python -m benchmarks``: every benchmark in a process of its own, then RESULTS.md and the picture."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import harness, report

NAMES = ("calls", "in_flight", "decoding", "footprint", "following", "iterating", "prefetching", "instructions")


def main(arguments: list[str] | None = None) -> int:
    """Run all; the exit code is that of the first that failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What a user pays, beside what else there is."
    )
    parser.add_argument("--quick", action="store_true", help="a few iterations of everything, nothing written")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of taking turns (default %(default)s)")
    parser.add_argument("--remarks", default="", help="a line for RESULTS.md, such as what else the machine was doing")
    given = parser.parse_args(arguments)
    tables: dict[str, harness.Table] = {}
    server = "the sandbox"
    with tempfile.TemporaryDirectory() as name:
        for benchmark in NAMES:
            began, output = time.monotonic(), Path(name, f"{benchmark}.json")
            command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--json", str(output)]
            command += ["--quick"] if given.quick else ["--rounds", str(given.rounds)]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            sys.stderr.write(done.stderr)
            if done.returncode:
                return done.returncode
            for line in done.stderr.splitlines():
                if line.startswith("server: "):
                    server = line.removeprefix("server: ")
            tables |= {table.name: table for table in harness.load(output)}
            print(f"-- {benchmark}: {time.monotonic() - began:.0f} s\n", flush=True)
    if given.quick:
        print("Everything runs. These figures say nothing: a few iterations each.")
        return 0
    report.write(tables, server, max(7, given.rounds), given.remarks)
    try:
        report.draw(tables, server)
    except ImportError:
        print("no matplotlib: no picture (pip install -e .[bench])", file=sys.stderr)
    if shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        print("nginx is not installed: the sandbox was the slower part of some of this", file=sys.stderr)
    print(f"written: {report.FOLDER / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
