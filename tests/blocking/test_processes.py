"""Forks, ends of the interpreter and collected clients: a clear error or silence, never a hang."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
from blocking_scripts import Script

from shell_ev.sandbox import Fault, Sandbox

Run = Callable[..., Script]

AFTER_FORK = "this client was made before a fork and its thread stayed in the parent process; " + (
    "make a new client in the child (in a post-fork or worker-start hook)"
)


@pytest.mark.parametrize("leaving", ["sys.exit()", "os._exit(0)"])
def test_a_fork_refuses_the_inherited_client_and_serves_a_fresh_one(script: Run, leaving: str) -> None:
    script(f"""
        ev = ShellEV.from_env()
        copy = ev.with_options(max_retries=1)
        pages = ev.locations.iterate(per_page=1)
        next(pages)
        print(call(ev), flush=True)
        child = os.fork()
        if child == 0:
            print(refused(lambda: call(ev)))
            print(refused(lambda: call(copy)) == refused(lambda: next(pages)) == refused(lambda: call(ev)))
            with ShellEV.from_env() as fresh:
                print(call(fresh), flush=True)
            ev.close()
            pages.close()
            del ev, copy, pages  # collecting them must not touch what the parent is using
            gc.collect()
            {leaving}
        print(os.waitpid(child, 0)[1], call(ev), len(list(pages)) > 2, call(copy))
    """).ends("200", AFTER_FORK, "True", "200", "0 200 True 200")


def test_a_fork_while_other_threads_call(script: Run) -> None:
    script("""
        ev = ShellEV.from_env()
        call(ev)
        answers, enough = [], threading.Event()
        def work():
            while not enough.is_set(): answers.append(call(ev))
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers: worker.start()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                assert "before a fork" in refused(lambda: call(ev))
                ev.close()
                with ShellEV.from_env() as fresh:
                    assert call(fresh) == 200
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        enough.set()
        for worker in workers: worker.join()
        print(call(ev), set(answers))
    """).ends("200 {200}")


def test_a_lock_that_was_held_during_the_fork_does_not_hold_the_child(script: Run) -> None:
    script("""
        ev = ShellEV.from_env()
        held, release = threading.Event(), threading.Event()
        def hold():
            with ev._portal._starting:
                held.set()
                release.wait()
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        child = os.fork()
        if child == 0:
            ev.close()
            print(refused(lambda: call(ev)), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        release.set()
        holder.join()
        print(call(ev))
    """).ends("this client is closed; make a new one", "200")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(script: Run, method: str) -> None:
    script(f"""
        import multiprocessing
        def work(queue):
            if "ev" in globals():
                queue.put("before a fork" in refused(lambda: call(ev)))
            with ShellEV.from_env() as fresh:
                queue.put(call(fresh))
        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            ev = ShellEV.from_env()
            call(ev)
            queue = context.SimpleQueue()
            worker = context.Process(target=work, args=(queue,))
            worker.start()
            worker.join()
            while not queue.empty(): print(queue.get())
            print(worker.exitcode, call(ev))
            queue.close()
    """).ends(*(["True"] if method == "fork" else []), "200", "0 200")


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "os._exit(3)", "raise SystemExit(3)"])
def test_the_interpreter_ends_without_close(script: Run, ending: str) -> None:
    running = script(f"""
        ev = ShellEV.from_env()
        other = ShellEV.from_env()
        pages = other.locations.iterate(per_page=1)
        next(pages)
        print(call(ev), flush=True)
        never_used = ShellEV.from_env()
        {ending}
    """)
    assert running.line() == "200"
    began = time.monotonic()
    running.ends(code=3 if ending else 0)
    assert time.monotonic() - began < 2


def test_the_end_comes_while_a_daemon_thread_is_in_a_call(
    sandbox: Sandbox, script: Run, wait_until: Callable[..., None]
) -> None:
    sandbox.faults.always("charging.start", Fault.hang())
    # Registered before the library's own hook, hence run after it: the worker is told by then, or a join would hang.
    running = script(
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        ev = ShellEV.from_env()
        call(ev)
        def work():
            try:
                ev.charging.start(CARD, EVSE)
            except ConfigurationError as error:
                print(error, error.outcome_unknown)
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        signal.sigwait([signal.SIGUSR1])
    """,
        before="import atexit; atexit.register(lambda: print(worker.join(5), worker.is_alive()))",
    )
    wait_until(lambda: any(request.operation == "charging.start" for request in sandbox.requests))
    running.process.send_signal(signal.SIGUSR1)
    running.ends("the interpreter ended during the call True", "None False")


def test_the_end_waits_for_a_call_in_a_thread_that_is_no_daemon(sandbox: Sandbox, script: Run) -> None:
    sandbox.faults.add("charging.active", Fault.delay(0.3), after=1)
    script("""
        ev = ShellEV.from_env()
        call(ev)
        threading.Thread(target=lambda: print(call(ev))).start()
    """).ends("200")


def test_calls_from_exit_handlers_and_finalisers(script: Run) -> None:
    ending = "the interpreter is ending; no call can be made any more"
    script(
        """
        atexit.register(lambda: print("before:", call(ev)))
        ev, unused = ShellEV.from_env(), ShellEV.from_env()
        call(ev)
        class Last:
            def __init__(self, *clients): self.clients = clients
            def __del__(self, refused=refused, call=call, print=print):
                for client in self.clients: print("last:", refused(lambda: call(client)))
        last = Last(ev, unused)
    """,
        before="""import atexit
atexit.register(lambda: print("after:", refused(lambda: call(ev)), refused(lambda: call(unused))))""",
    ).ends("before: 200", f"after: {ending} {ending}", f"last: {ending}", f"last: {ending}")


def test_a_forgotten_client_ends_its_thread(script: Run) -> None:
    script("""
        ev = ShellEV.from_env()
        call(ev)
        copy = ev.with_options(max_retries=1)
        ours = [thread for thread in threading.enumerate() if thread.name == "shell_ev"]
        del ev
        gc.collect()
        print(len(ours), call(copy))
        del copy
        gc.collect()
        ours[0].join(5)
        print(threading.enumerate() == [threading.main_thread()])
    """).ends("1 200", "True")


def test_a_client_that_is_collected_in_its_own_loop_thread(script: Run) -> None:
    script("""
        import asyncio
        ev = ShellEV.from_env()
        call(ev)
        pages = ev.locations.iterate(per_page=1)
        next(pages)
        thread = ev._portal._thread
        box = [ev, pages]
        del ev, pages
        thread._loop.call_soon_threadsafe(box.clear)
        thread._thread.join(5)
        print(thread._thread.is_alive(), threading.active_count())
    """).ends("False 1")
