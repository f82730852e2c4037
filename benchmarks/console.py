"""What the sandbox's console costs: the sandbox with and without a reader of its events, and the page under load.

`python -m benchmarks.console` prints three parts: `--part reader`, `--part page` and `--part memory` choose. On a busy
machine look at the processor time of an answer and at the work of a frame; rates and gaps say little there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shell_ev.sandbox import Sandbox

CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"
REQUEST_ID = "eb621f45-a543-4d9a-a934-2f223b263c42"
READER = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
stream = socket.create_connection((host, port))
stream.sendall(f"GET /_sandbox/v1/events HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n".encode())
print("reading", flush=True)
while stream.recv(65536):
    pass
"""


@contextmanager
def served(*options: str) -> Iterator[tuple[Any, int]]:
    """A sandbox in a process of its own, and the number of the process."""
    command = [sys.executable, "-m", "shell_ev.sandbox", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Sandbox.connect(process.stdout.readline().split()[4]), process.pid
        finally:
            process.terminate()


@contextmanager
def reader(url: str) -> Iterator[None]:
    """One reader of the stream of events in a process of its own."""
    parts = urlsplit(url)
    command = [sys.executable, "-c", READER, str(parts.hostname), str(parts.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


class Caller:
    """Asks over one connection, with as little work of its own as can be."""

    def __init__(self, remote: Any) -> None:
        parts = urlsplit(remote.url)
        self.host, self.token = f"{parts.hostname}:{parts.port}", ""
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        form = f"grant_type=client_credentials&client_id={remote.client_id}&client_secret={remote.client_secret}"
        answer = self.ask("POST", "/v2/oauth/token", form, "application/x-www-form-urlencoded")
        self.token = json.loads(answer)["access_token"]

    def request(self, method: str, path: str, body: str = "", content_type: str = "application/json") -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nRequestId: {REQUEST_ID}\r\n"
        head += f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        if method == "POST":
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n{body}".encode()

    def send(self, sent: bytes) -> bytes:
        self.socket.sendall(sent)
        received = self.socket.recv(65536)
        while b"\r\n\r\n" not in received:
            received += self.socket.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self.socket.recv(65536)
        return body

    def ask(self, *request: str) -> bytes:
        return self.send(self.request(*request))

    def start(self, card: str, evse_id: str) -> str:
        body = json.dumps({"evChargeNumber": card, "evseId": evse_id})
        found: str = json.loads(self.ask("POST", "/ev/v2/charge-session/start", body))["data"][0]["sessionId"]
        return found


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(caller: Caller, request: bytes, seconds: float, pid: int) -> tuple[float, float]:
    """Answers per second over one connection, and per second of the server's processor time."""
    count, ends = 0, time.perf_counter() + seconds
    began, busy = time.perf_counter(), processor_time(pid)
    while time.perf_counter() < ends:
        caller.send(request)
        count += 1
    return count / (time.perf_counter() - began), count / max(processor_time(pid) - busy, 0.01)


def part_reader(rounds: int, seconds: float) -> dict[str, Any]:
    """How fast it answers with one reader, as a share of how fast it does without: pairs, the order changing."""
    with served("--stations", "3000") as (remote, pid):
        caller = Caller(remote)
        session_id = caller.start(CARD, EVSE)
        request = caller.request("GET", f"/ev/v2/charge-session/retrieve?sessionId={session_id}")
        rate(caller, request, seconds, pid)
        ratios: list[float] = []
        busy_ratios: list[float] = []
        alone: list[float] = []
        for number in range(rounds):
            rates: dict[bool, tuple[float, float]] = {}
            for read in (False, True) if number % 2 else (True, False):
                with ExitStack() as stack:
                    if read:
                        stack.enter_context(reader(remote.url))
                        time.sleep(0.3)
                    rates[read] = rate(caller, request, seconds, pid)
            ratios.append(rates[True][0] / rates[False][0])
            busy_ratios.append(rates[True][1] / rates[False][1])
            alone.append(rates[False][0])
    return {
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_median_of_processor_time": round(statistics.median(busy_ratios), 3),
        "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
        "answers_per_second_alone": round(statistics.median(alone)),
    }


FRAMES = """() => {
  const frames = (window.frames_taken = { gaps: [], work: [] });
  const channel = new MessageChannel();
  let began = 0, last = performance.now();
  channel.port1.onmessage = () => frames.work.push(performance.now() - began);
  const frame = () => {
    began = performance.now();
    frames.gaps.push(began - last);
    last = began;
    channel.port2.postMessage(0);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """The console in Chromium, with exact figures of its memory."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--enable-precise-memory-info", "--js-flags=--expose-gc"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url + "/")
        page.wait_for_selector("#live[data-state=on]")
        yield page
        browser.close()


def metrics(session: Any) -> dict[str, float]:
    """Seconds of processor time that the page has spent so far, by kind."""
    wanted = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    found = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
    return {name: found[name] for name in wanted}


class Traffic:
    """Charges that start and stop at a steady rate, from a thread: each act is an event."""

    def __init__(self, sandbox: Sandbox, per_second: float, open_charges: int) -> None:
        self.sandbox, self.pause = sandbox, 1 / per_second
        self.count = 0
        evses = [e.evse_id for s in sandbox.service.locations.network.stations for e in s.evses if not e.failure_code]
        caller = Caller(sandbox)
        self.caller = caller
        self.open = [(evse, caller.start(f"NL-TNM-C{n:08d}-K", evse)) for n, evse in enumerate(evses[:open_charges])]
        self.leave = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        due = time.perf_counter()
        while not self.leave.is_set():
            evse_id, session_id = self.open.pop(0)
            self.sandbox.end_charge(session_id)
            self.open.append((evse_id, self.caller.start(f"NL-TNM-C{self.count:08d}-K", evse_id)))
            self.count += 2
            due += 2 * self.pause
            time.sleep(max(0.0, due - time.perf_counter()))

    def __enter__(self) -> Traffic:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.leave.set()
        self.thread.join()


def spread(ordered: list[float]) -> dict[str, float]:
    """Median, 99th percentile and greatest."""
    count = len(ordered)
    return {"median": ordered[count // 2], "p99": ordered[int(count * 0.99)], "max": ordered[-1]}


def part_page(seconds: float) -> dict[str, Any]:
    """Frames of the page with 3,000 stations and 500 charges while 200 of them change in a second."""
    with Sandbox(stations=3000) as sandbox, opened(sandbox.console_url) as page:
        with Traffic(sandbox, 200, 500) as traffic:
            page.wait_for_timeout(3000)
            session = page.context.new_cdp_session(page)
            # Thread ticks: processor time of the page's main thread, whatever else the machine does.
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.evaluate(FRAMES)
            before = metrics(session)
            page.wait_for_timeout(seconds * 1000)
            after = metrics(session)
            frames = page.evaluate("window.frames_taken")
            charges = page.inner_text("#charges-count")
            # What the machine itself does: a page with nothing on it, the same traffic and another reader of it.
            page.goto("about:blank")
            with reader(sandbox.url):
                page.evaluate(FRAMES)
                page.wait_for_timeout(seconds * 1000)
                empty = sorted(page.evaluate("window.frames_taken.gaps"))
        work, gaps = sorted(frames["work"]), sorted(frames["gaps"])
        busy = {name: 1000 * (after[name] - before[name]) for name in after}
        return {
            "main_thread_ms_per_frame": {name: round(value / len(frames["gaps"]), 2) for name, value in busy.items()},
            "main_thread_ms_per_second": {name: round(value / seconds, 1) for name, value in busy.items()},
            "charges": charges,
            "events": traffic.count,
            "frames": len(work),
            "work_ms": spread(work),
            "gap_ms": spread(gaps),
            "frames_of_50_ms_or_more": sum(gap >= 50 for gap in gaps),
            "gap_ms_of_an_empty_page": spread(empty),
            "frames_of_50_ms_or_more_of_an_empty_page": sum(gap >= 50 for gap in empty),
        }


def part_memory(seconds: float) -> dict[str, Any]:
    """Heap and nodes of the page while 200 events a second come in."""
    samples: list[tuple[float, int]] = []
    with Sandbox(stations=3000) as sandbox, opened(sandbox.console_url) as page, Traffic(sandbox, 200, 500) as traffic:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            page.wait_for_timeout(seconds * 1000 / 8)
            heap = page.evaluate("() => { gc(); return performance.memory.usedJSHeapSize; }")
            samples.append((round(heap / 1e6, 2), page.evaluate("() => document.querySelectorAll('*').length")))
    return {"events": traffic.count, "heap_mb_and_elements": samples}


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["reader", "page", "memory"], action="append")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="of each round; the page is watched ten times as long"
    )
    options = parser.parse_args()
    parts = options.part or ["reader", "page", "memory"]
    if "reader" in parts:
        print("reader", json.dumps(part_reader(options.rounds, options.seconds)), flush=True)
    if "page" in parts:
        print("page", json.dumps(part_page(options.seconds * 10)), flush=True)
    if "memory" in parts:
        print("memory", json.dumps(part_memory(options.seconds * 60)), flush=True)


if __name__ == "__main__":
    main()
