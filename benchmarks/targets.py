"""What was promised, and whether it holds: each target is a ratio of two contenders of one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .harness import FAST, OFFICIAL, OURS, Table

_OFFICIAL_100 = f"{OFFICIAL}, 100 threads"


@dataclass(frozen=True)
class Target:
    """``measure`` of the tables, at most or at least ``limit``."""

    what: str
    reported: str
    measure: Callable[[Mapping[str, Table]], float]
    limit: float
    at_most: bool = True
    unit: str = "x"

    def verdict(self, tables: Mapping[str, Table]) -> tuple[str, bool | None]:
        """The figure, and whether it is good enough; None if it was not measured."""
        try:
            value = self.measure(tables)
        except KeyError:
            return "not measured", None
        good = value <= self.limit if self.at_most else value >= self.limit
        return f"{value:.3g} {self.unit}".strip(), good


def _ratio(table: str, contender: str, base: str) -> Callable[[Mapping[str, Table]], float]:
    return lambda tables: tables[table].ratio(contender, base)[0]


def _most(what: str, table: str, contender: str, base: str, limit: float) -> Target:
    return Target(what, f"{contender} <= {limit:.2f} x {base}", _ratio(table, contender, base), limit)


def _faster(what: str, table: str, contender: str, base: str, limit: float) -> Target:
    reported = f"{contender} >= {limit:.0f} x faster than {base}"
    return Target(what, reported, _ratio(table, base, contender), limit, at_most=False)


TARGETS = (
    _most("async call, sequential", "call_async", OURS, "aiohttp", 1.10),
    _faster("async call, sequential", "call_async", OURS, OFFICIAL, 8),
    _most("async, 100 in flight", "flight_async", OURS, "aiohttp", 1.00),
    _faster("async, 100 in flight", "flight_async", OURS, _OFFICIAL_100, 10),
    _most("blocking call", "call_blocking", OURS, "requests", 0.30),
    _faster("blocking call", "call_blocking", OURS, OFFICIAL, 6),
    _most("blocking, 32 threads on one client", "flight_blocking", OURS, "requests", 0.20),
    _faster("blocking, 32 threads on one client", "flight_blocking", OURS, OFFICIAL, 8),
    _faster("one session decoded", "decode_session", OURS, OFFICIAL, 40),
    _faster("one session decoded", "decode_session", FAST, OFFICIAL, 80),
    _faster("500 locations without tariffs, fetched and decoded", "fetch_plain", OURS, OFFICIAL, 6),
    _faster("500 locations without tariffs, fetched and decoded", "fetch_plain", FAST, OFFICIAL, 12),
    _faster("500 full locations, fetched and decoded", "fetch_full", OURS, OFFICIAL, 12),
    _faster("500 full locations, fetched and decoded", "fetch_full", FAST, OFFICIAL, 30),
    _most("500 full locations, fetched and decoded", "fetch_full", FAST, "aiohttp + orjson", 1.2),
    _most("import shell_ev", "import", OURS, OFFICIAL, 0.2),
    _most("ready for the first answer", "first_answer", OURS, "aiohttp", 1.2),
    _most("5,000 full locations held", "held", OURS, OFFICIAL, 0.6),
    _most("5,000 full locations held", "held", FAST, OFFICIAL, 0.34),
    _most("5,000 full locations, peak", "held_peak", FAST, OFFICIAL, 0.34),
    _most("20 pages, 200 ms of latency each", "prefetch", "prefetch=10", "plain", 0.3),
    _most("20 pages, 200 ms of latency each", "prefetch", "prefetch=10[speed]", "plain[speed]", 0.2),
    Target("a call in flight", "<= 16 KiB", lambda tables: tables["call_memory"].median(OURS), 16, unit="KiB"),
    Target(
        "1,000 followed charges at 1 Hz",
        "<= 25 % of a core",
        # From the cost of a poll: a client that falls behind does fewer polls and must not look better for it.
        lambda tables: tables["follow_cpu"].median("1,000") * 1000 / 1e6 * 100,
        25,
        unit="%",
    ),
    Target(
        "cost of a poll at 1,000 charges",
        "<= 1.1 x that at 10",
        lambda tables: tables["follow_cpu"].ratio("1,000", "10")[0],
        1.1,
    ),
)
