"""One client per process: for any number of threads, across real forks, also while another thread is making one."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from example_processes import EXAMPLES, environment, variables_for

from shell_ev import ShellEV
from shell_ev.sandbox import Sandbox

FORK = """
import os, threading
from process_client import ProcessClient
from shell_ev import ShellEV

made, held, go_on = [], threading.Event(), threading.Event()

def make():
    made.append(os.getpid())
    if threading.current_thread() is not threading.main_thread():
        held.set()
        go_on.wait()
    return ShellEV.from_env()

def look():
    return clients.get().charging.active("NL-TNM-C00122045-K").status_code

clients, slow = ProcessClient(make), ProcessClient(make)
print(look(), flush=True)
threading.Thread(target=slow.get).start()
held.wait()
child = os.fork()
if child == 0:
    print(look(), look(), made.count(os.getpid()), flush=True)
    slow.get()  # the lock was held during the fork, by a thread that is not here
    clients.close()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), look(), made.count(os.getpid()))
go_on.set()
clients.close()
"""


def test_a_client_for_each_process_across_a_fork(sandbox: Sandbox) -> None:
    done = subprocess.run(
        # From 3.12 on Python warns of what is tried here: a fork beside threads.
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", FORK],
        env=environment({**variables_for(sandbox), "PYTHONPATH": f"{EXAMPLES}:{EXAMPLES.parent}"}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["200", "200 200 1", "0 200 2"]


@pytest.mark.usefixtures("examples_importable")
def test_a_client_for_all_threads(sandbox: Sandbox) -> None:
    from process_client import ProcessClient

    made: list[ShellEV] = []

    def make() -> ShellEV:
        time.sleep(0.05)  # for the others to come in as well, if they could
        made.append(ShellEV.from_env(variables_for(sandbox)))
        return made[-1]

    clients = ProcessClient(make)
    with ThreadPoolExecutor(16) as pool:
        assert {id(client) for client in pool.map(lambda _: clients.get(), range(64))} == {id(made[0])}
    clients.close()
    clients.close()
    assert clients.get() is made[1]
    clients.close()
