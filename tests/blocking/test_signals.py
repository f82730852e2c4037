"""Ctrl-C and other signals in the middle of a call: the request is cancelled, the client goes on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest
from blocking_scripts import Script

from shell_ev.sandbox import Fault, Sandbox

Run = Callable[..., Script]
Wait = Callable[[Callable[[], bool]], None]


def count(sandbox: Sandbox, operation: str) -> int:
    return sum(request.operation == operation for request in sandbox.requests)


def connections(sandbox: Sandbox) -> int:
    protocols = sandbox._protocols
    assert protocols is not None
    return len(protocols.connections)


@pytest.mark.parametrize("operation", ["charging.active", "charging.start"])
def test_ctrl_c_cancels_the_request_and_leaves_the_client_usable(
    sandbox: Sandbox, script: Run, wait_until: Wait, operation: str
) -> None:
    sandbox.faults.add(operation, Fault.hang())
    what = "ev.charging.start(CARD, EVSE)" if operation == "charging.start" else "call(ev)"
    running = script(f"""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        ev = ShellEV.from_env()
        try:
            {what}
        except KeyboardInterrupt as error:
            print("interrupted", error.__context__, flush=True)
        signal.sigwait([signal.SIGUSR1])
        print(call(ev))
    """)
    wait_until(lambda: count(sandbox, operation) == 1)
    assert connections(sandbox) == 1
    running.process.send_signal(signal.SIGINT)
    assert running.line() == "interrupted None"
    wait_until(lambda: connections(sandbox) == 0)  # the server sees its client leave
    running.process.send_signal(signal.SIGUSR1)
    running.ends("200")
    assert count(sandbox, operation) == (1 if operation == "charging.start" else 2)


def test_ctrl_c_while_the_thread_is_started_leaves_the_client_usable(sandbox: Sandbox, script: Run) -> None:
    script("""
        start, interrupted = threading.Thread.start, []
        def start_and_interrupt(thread):
            start(thread)
            if thread.name == "shell_ev" and not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
        threading.Thread.start = start_and_interrupt
        ev = ShellEV.from_env()
        try:
            call(ev)
        except KeyboardInterrupt:
            print("interrupted")
        print(call(ev))
    """).ends("interrupted", "200")


def test_an_interrupt_that_threading_stumbles_over_is_an_interrupt(sandbox: Sandbox, script: Run) -> None:
    script("""
        start, interrupted = threading.Thread.start, []
        def start_and_stumble(thread):
            start(thread)
            if thread.name == "shell_ev" and not interrupted:
                interrupted.append(True)
                try:
                    raise KeyboardInterrupt
                finally:
                    raise RuntimeError("release unlocked lock")
        threading.Thread.start = start_and_stumble
        ev = ShellEV.from_env()
        try:
            call(ev)
        except KeyboardInterrupt:
            print("interrupted")
        print(call(ev))
    """).ends("interrupted", "200")


def test_ctrl_c_that_does_not_wake_the_waiting_thread_is_heeded_all_the_same(
    sandbox: Sandbox, script: Run, wait_until: Wait
) -> None:
    sandbox.faults.add("charging.active", Fault.hang())
    # Python notes the signal in whichever thread it reaches, and acts on it in the main one, which sleeps. The same
    # comes of a signal that reaches the main thread in the moment before it falls asleep.
    running = script("""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        def elsewhere():
            signal.sigwait([signal.SIGUSR1])
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        threading.Thread(target=elsewhere, daemon=True).start()
        ev = ShellEV.from_env()
        try:
            call(ev)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print(call(ev))
    """)
    wait_until(lambda: count(sandbox, "charging.active") == 1)
    running.process.send_signal(signal.SIGUSR1)
    running.ends("interrupted", "200")


def test_ctrl_c_that_is_not_caught_ends_the_process_at_once(sandbox: Sandbox, script: Run, wait_until: Wait) -> None:
    sandbox.faults.always("charging.active", Fault.hang())
    running = script("""
        sys.excepthook = lambda kind, error, traceback: print(kind.__name__)
        with ShellEV.from_env() as ev:
            call(ev)
    """)
    wait_until(lambda: count(sandbox, "charging.active") == 1)
    running.process.send_signal(signal.SIGINT)
    running.ends("KeyboardInterrupt", code=-signal.SIGINT)


def test_a_handler_that_raises_in_the_middle_of_a_call(sandbox: Sandbox, script: Run, wait_until: Wait) -> None:
    sandbox.faults.add("charging.active", Fault.hang())
    running = script("""
        class TooLate(Exception): pass
        def late(*_): raise TooLate
        signal.signal(signal.SIGALRM, late)
        ev = ShellEV.from_env()
        try:
            call(ev)
        except TooLate:
            print("too late")
        print(call(ev))
    """)
    wait_until(lambda: count(sandbox, "charging.active") == 1)
    running.process.send_signal(signal.SIGALRM)
    running.ends("too late", "200")


def test_a_handler_may_itself_make_a_call(sandbox: Sandbox, script: Run, wait_until: Wait) -> None:
    sandbox.faults.add("charging.active", Fault.delay(1), after=1)
    running = script("""
        ev = ShellEV.from_env()
        call(ev)
        signal.signal(signal.SIGUSR1, lambda *_: print("inside", call(ev)))
        print(call(ev))
    """)
    wait_until(lambda: count(sandbox, "charging.active") == 2)
    running.process.send_signal(signal.SIGUSR1)
    running.ends("inside 200", "200")


@pytest.mark.parametrize("reaches", ["os.kill(os.getpid(), ", "signal.pthread_kill(threading.get_ident(), "])
def test_a_second_interrupt_does_not_wait_for_a_call_that_will_not_wind_up(script: Run, reaches: str) -> None:
    script(f"""
        import asyncio
        from shell_ev.core.portal import Portal
        async def nothing(): pass
        ended = asyncio.Event()
        async def stubborn():
            {reaches}signal.SIGINT)
            try:
                await ended.wait()
            except asyncio.CancelledError:
                {reaches}signal.SIGINT)
                await ended.wait()
        portal = Portal(nothing)
        try:
            portal.run(stubborn())
        except KeyboardInterrupt as error:
            print(type(error.__context__).__name__)
        async def free(): ended.set()
        portal.run(free())
        portal.close()
    """).ends("KeyboardInterrupt")


# Later versions trace a frame by opcode only when that was asked for before the frame began: the tool is blunt there,
# what it looks for is the same code.
BY_OPCODE = pytest.mark.skipif(sys.version_info >= (3, 12), reason="opcode tracing from the call event, up to 3.11")

INTERRUPTER = """
        import asyncio, inspect, warnings
        from shell_ev.core import portal as room
        unborn = []
        async def nothing(): pass
        running = set()
        async def work(name):
            running.add(name)
            try:
                await asyncio.sleep(0)
                return name
            finally:
                running.discard(name)
        class Interrupter:
            def __init__(self, at): self.left = at
            def __call__(self, frame, event, argument):
                if frame.f_code.co_filename != room.__file__: return None
                frame.f_trace_opcodes = True
                return self.step
            def step(self, frame, event, argument):
                if event == "opcode":
                    self.left -= 1
                    if self.left == 0: raise KeyboardInterrupt
                return self.step
        def interrupted(portal, at):
            tracer = Interrupter(at)
            task = work(at)
            sys.settrace(tracer)
            try:
                portal.run(task)
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(None)
                if inspect.getcoroutinestate(task) == "CORO_CREATED":
                    unborn.append(at)
                    task.close()
            return tracer.left > 0
        async def tasks(): return len(asyncio.all_tasks())
"""


@BY_OPCODE
def test_an_interrupt_at_every_single_instruction(script: Run) -> None:
    """Raised at each bytecode of the portal's own code in turn, in the calling thread: no hang, nothing left over."""
    script(
        INTERRUPTER
        + """
        portal = room.Portal(nothing)
        portal.run(nothing())
        at = 0
        while True:
            at += 1
            began = time.monotonic()
            through = interrupted(portal, at)
            assert time.monotonic() - began < 2, f"instruction {at} hung"
            assert portal.run(work("next")) == "next"
            assert portal.run(tasks()) == 2, f"a task was left at instruction {at}"
            assert not running and not portal._thread._calls, at
            if through: break
        print(at > 100, max(unborn) < 8)
        portal.close()
        print(threading.active_count())
    """
    ).ends("True True", "1")


@BY_OPCODE
def test_an_interrupt_at_every_single_instruction_of_a_first_call(script: Run) -> None:
    script(
        INTERRUPTER
        + """
        warnings.simplefilter("ignore", ResourceWarning)  # a loop made and not yet handed to anybody
        at = 0
        while True:
            at += 1
            portal = room.Portal(nothing)
            through = interrupted(portal, at)
            assert portal.run(work("next")) == "next"
            del portal
            for thread in threading.enumerate():
                if thread is not threading.main_thread():
                    thread.join(5)
            assert threading.active_count() == 1, at
            if through: break
        print(at > 200)
    """
    ).ends("True")
