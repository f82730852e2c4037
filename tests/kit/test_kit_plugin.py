"""The plugin in the hands of users: every async plugin, every mode and scope, each in a run of pytest of its own.

Every run has warnings as errors. What a connection or a session left open says is said when it is collected, which
pytest sees at the end of the run at the latest; some runs have a process of their own, which must end in silence too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

#: Real processes and terminals: half a minute and more.
pytestmark = pytest.mark.servers

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

#: What tests of an application do to their client: leave it as it is, fail, be skipped, leave tasks of theirs behind.
ASYNC_TESTS = """
    import asyncio
    import pytest
    from shell_ev import AsyncShellEV, ChargePendingError, OutcomeUnknownError
    from shell_ev.sandbox import EXAMPLE_CARD as CARD, EXAMPLE_EVSE as EVSE, Fault

    {mark}

    def left_behind(coroutine):
        task = asyncio.ensure_future(coroutine)
        # On a loop that outlives the test it ends with an error: to be looked at, or asyncio logs that nobody did.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        left.append(task)

    left = []

    async def test_a_charge(shell_ev_sandbox, shell_ev_client):
        async with shell_ev_client.charge(CARD, EVSE):
            pass
        shell_ev_sandbox.assert_started_once()
        shell_ev_sandbox.assert_nothing_running()

    async def test_it_fails_in_the_middle(shell_ev_client):
        async with shell_ev_client.charge(CARD, EVSE):
            raise RuntimeError("of the application")

    async def test_a_start_that_hangs(shell_ev_sandbox, shell_ev_client):
        shell_ev_sandbox.faults.add("charging.start", Fault.hang())
        with pytest.raises(OutcomeUnknownError):
            await shell_ev_client.charging.start(CARD, EVSE)

    async def test_a_task_is_left_behind_that_waits(shell_ev_sandbox, shell_ev_client):
        shell_ev_sandbox.time.auto = False
        charge = await shell_ev_client.start_charge(CARD, EVSE)
        left_behind(charge.wait_started())
        await shell_ev_sandbox.time.settled()

    async def test_a_task_is_left_behind_that_hangs(shell_ev_sandbox, shell_ev_client):
        shell_ev_sandbox.time.auto = False
        await shell_ev_client.charging.active(CARD)
        shell_ev_sandbox.faults.add("charging.active", Fault.hang())
        left_behind(shell_ev_client.charging.active(CARD))
        await shell_ev_sandbox.time.settled()

    async def test_it_is_skipped(shell_ev_client):
        await shell_ev_client.charging.active(CARD)
        pytest.skip("on the way")

    async def test_pending(shell_ev_sandbox, shell_ev_client):
        shell_ev_sandbox.start_delay = 1000
        with pytest.raises(ChargePendingError):
            async with shell_ev_client.charge(CARD, EVSE, start_timeout=180):
                pass
        assert shell_ev_sandbox.time.elapsed == 180

    async def test_a_client_of_the_application(shell_ev_env):
        async with AsyncShellEV.from_env() as ev, ev.charge(CARD, EVSE):
            pass

    async def test_both_clients(shell_ev_client, shell_ev_blocking_client):
        started = await shell_ev_client.charging.start(CARD, EVSE)
        session_id = started.data.session_id
        assert shell_ev_blocking_client.charging.retrieve(session_id).data.id == session_id

    class TestInAClass:
        async def test_a_charge(self, shell_ev_sandbox, shell_ev_client):
            async with shell_ev_client.charge(CARD, EVSE):
                pass
            assert shell_ev_sandbox.time.elapsed == 30

        async def test_another(self, shell_ev_sandbox, shell_ev_client):
            async with shell_ev_client.charge(CARD, EVSE):
                pass
            assert shell_ev_sandbox.time.elapsed == 30
"""
ASYNC_OUTCOMES = {"passed": 9, "failed": 1, "skipped": 1}

BLOCKING_TESTS = """
    import asyncio
    import pytest
    from shell_ev import ShellEV
    from shell_ev.sandbox import EXAMPLE_CARD as CARD, EXAMPLE_EVSE as EVSE

    def test_a_charge(shell_ev_sandbox, shell_ev_blocking_client):
        with shell_ev_blocking_client.charge(CARD, EVSE):
            pass
        shell_ev_sandbox.assert_nothing_running()

    def test_it_fails_in_the_middle(shell_ev_blocking_client):
        with shell_ev_blocking_client.charge(CARD, EVSE):
            raise RuntimeError("of the application")

    def test_a_loop_of_its_own(shell_ev_sandbox, shell_ev_client):
        async def charge():
            async with shell_ev_client.charge(CARD, EVSE):
                pass

        asyncio.run(charge())
        shell_ev_sandbox.assert_nothing_running()

    def test_a_loop_that_is_closed_without_ceremony(shell_ev_client):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(shell_ev_client.charging.active(CARD))
        loop.close()

    def test_a_client_of_the_application(shell_ev_env):
        with ShellEV.from_env() as ev, ev.charge(CARD, EVSE):
            pass
"""
BLOCKING_OUTCOMES = {"passed": 4, "failed": 1}


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test file with these plugins and no others, installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(
        source: str, *arguments: str, plugins: tuple[str, ...] = (), ini: str = "", own_process: bool = False
    ) -> pytest.RunResult:
        pytester.makeini(
            "[pytest]\naddopts = --strict-markers --strict-config -p no:cacheprovider\nfilterwarnings = error\n" + ini
        )
        pytester.makepyfile(source)
        loaded = [text for plugin in ("shell_ev.testing.plugin", *plugins) for text in ("-p", plugin)]
        start = pytester.runpytest_subprocess if own_process else pytester.runpytest_inprocess
        return start(*loaded, *arguments)

    return run


def ended(result: pytest.RunResult, outcomes: dict[str, int]) -> None:
    """The run had these outcomes, and nothing was said beside it."""
    assert result.parseoutcomes() == outcomes, result.stdout.str()
    assert result.stderr.str() == ""
    assert "Warning" not in result.stdout.str()
    assert "Unclosed" not in result.stdout.str()


def asyncio_ini(mode: str, scope: str) -> str:
    return (
        f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = {scope}\n"
        f"asyncio_default_test_loop_scope = {scope}\n"
    )


ASYNCIO = ("pytest_asyncio.plugin",)
ANYIO = ("anyio.pytest_plugin",)
ANYIO_MARK = """
    pytestmark = pytest.mark.anyio

    @pytest.fixture(scope="{scope}")
    def anyio_backend():
        return "asyncio"
"""


class TestWithEveryAsyncPlugin:
    @pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
    def test_pytest_asyncio_in_auto_mode(self, run: Run, scope: str) -> None:
        result = run(
            ASYNC_TESTS.format(mark=""), plugins=ASYNCIO, ini=asyncio_ini("auto", scope), own_process=scope == "module"
        )
        ended(result, ASYNC_OUTCOMES)

    @pytest.mark.parametrize("scope", ["function", "module"])
    def test_pytest_asyncio_in_strict_mode(self, run: Run, scope: str) -> None:
        mark = f"pytestmark = pytest.mark.asyncio(loop_scope={scope!r})"
        result = run(ASYNC_TESTS.format(mark=mark), plugins=ASYNCIO, ini=asyncio_ini("strict", "function"))
        ended(result, ASYNC_OUTCOMES)

    @pytest.mark.parametrize("scope", ["function", "module"])
    def test_anyio(self, run: Run, scope: str) -> None:
        source = ASYNC_TESTS.format(mark=ANYIO_MARK.format(scope=scope))
        ended(run(source, plugins=ANYIO, own_process=scope == "module"), ASYNC_OUTCOMES)

    def test_both(self, run: Run) -> None:
        source = ASYNC_TESTS.format(mark=ANYIO_MARK.format(scope="module"))
        ended(run(source, plugins=(*ANYIO, *ASYNCIO), ini=asyncio_ini("strict", "function")), ASYNC_OUTCOMES)

    def test_neither(self, run: Run) -> None:
        ended(run(BLOCKING_TESTS, own_process=True), BLOCKING_OUTCOMES)

    def test_plain_tests_beside_them(self, run: Run) -> None:
        ended(run(BLOCKING_TESTS, plugins=(*ANYIO, *ASYNCIO), ini=asyncio_ini("auto", "function")), BLOCKING_OUTCOMES)

    def test_xdist(self, run: Run) -> None:
        source, ini = ASYNC_TESTS.format(mark=""), asyncio_ini("auto", "function")
        result = run(source, "-n", "2", plugins=(*ASYNCIO, "xdist.plugin"), ini=ini)
        ended(result, ASYNC_OUTCOMES)

    @pytest.mark.parametrize("backend", ["'trio'", "('trio', {'restrict_keyboard_interrupt_to_checkpoints': True})"])
    def test_trio_is_refused_in_one_clear_error(self, run: Run, backend: str) -> None:
        mark = ANYIO_MARK.format(scope="function").replace('"asyncio"', backend)
        result = run(ASYNC_TESTS.format(mark=mark), "-k", "test_pending", plugins=ANYIO)
        assert result.parseoutcomes() == {"errors": 1, "deselected": 10}
        errors = re.search(r"ERROR at setup of test_pending _+\n(.*\n)", result.stdout.str())
        assert errors is not None
        assert errors[1].startswith("shell_ev runs on asyncio, and this test runs on trio.")
        assert "sandbox:" not in result.stdout.str()  # nothing has happened there

    def test_the_blocking_client_is_not_refused_under_trio(self, run: Run) -> None:
        source = """
            import pytest

            @pytest.fixture
            def anyio_backend():
                return "trio"

            def test_it(anyio_backend, shell_ev_blocking_client):
                shell_ev_blocking_client.charging.active("NL-TNM-C00122045-K")
        """
        ended(run(source, plugins=ANYIO), {"passed": 1})


class TestOptions:
    def test_from_fixtures_and_from_markers_the_closest_last(self, run: Run) -> None:
        source = """
            import pytest

            @pytest.fixture
            def shell_ev_client_options():
                return {"timeout": 7, "max_retries": 1}

            @pytest.fixture
            def shell_ev_sandbox_options():
                return {"start_delay": 3, "stop_delay": 4}

            pytestmark = pytest.mark.shell_ev(stations=5, max_retries=2)

            def values(sandbox, client):
                config = client.config
                return (
                    sandbox.start_delay, sandbox.stop_delay, len(client.locations.list().data),
                    config.timeout.total, config.max_retries, config.api_version.value,
                )

            def test_of_the_module(shell_ev_sandbox, shell_ev_blocking_client):
                assert values(shell_ev_sandbox, shell_ev_blocking_client) == (3, 4, 19, 7, 2, "v2")

            @pytest.mark.shell_ev(max_retries=3, stop_delay=6)
            class TestOfTheClass:
                def test_it(self, shell_ev_sandbox, shell_ev_blocking_client):
                    assert values(shell_ev_sandbox, shell_ev_blocking_client) == (3, 6, 19, 7, 3, "v2")

                @pytest.mark.shell_ev(max_retries=4, api_version="v1", stations=0)
                def test_its_own(self, shell_ev_sandbox, shell_ev_blocking_client, shell_ev_env):
                    assert values(shell_ev_sandbox, shell_ev_blocking_client) == (3, 6, 14, 7, 4, "v1")
                    assert shell_ev_env["SHELL_EV_API_VERSION"] == "v1"

            @pytest.mark.parametrize("shell_ev_client_options", [{"api_version": v} for v in ("v1-pascal", "v1", "v2")])
            def test_dialects(shell_ev_sandbox, shell_ev_blocking_client, shell_ev_client_options):
                shell_ev_blocking_client.charging.active("NL-TNM-C00122045-K")
                assert shell_ev_sandbox.requests[-1].dialect == shell_ev_client_options["api_version"]
        """
        ended(run(source), {"passed": 6})

    @pytest.mark.parametrize(("marker", "wrong"), [("speed=60, stations=1", "speed"), ("'v1'", "'v1'")])
    def test_a_marker_that_says_something_else(self, run: Run, marker: str, wrong: str) -> None:
        source = f"""
            import pytest

            @pytest.mark.shell_ev({marker})
            def test_it(shell_ev_sandbox):
                pass
        """
        result = run(source)
        assert result.parseoutcomes() == {"errors": 1}
        result.stdout.fnmatch_lines([f"the marker shell_ev knows api_version, *, token_source, * not {wrong}"])
        assert "Traceback" not in result.stdout.str()

    def test_the_environment_holds_nothing_else(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL_EV_TOKEN_URL", "https://api.shell.com/v2/oauth/token")
        source = """
            import os

            def test_it(shell_ev_env, shell_ev_sandbox):
                found = {name: value for name, value in os.environ.items() if name.startswith("SHELL_EV_")}
                assert found == shell_ev_env == shell_ev_sandbox.env

            def test_after_it():
                assert "SHELL_EV_CLIENT_ID" not in os.environ
                assert "SHELL_EV_TOKEN_URL" in os.environ
        """
        ended(run(source), {"passed": 2})

    def test_a_fresh_sandbox_for_every_test(self, run: Run) -> None:
        source = """
            import pytest

            @pytest.mark.parametrize("time", [1, 2])
            def test_it(shell_ev_sandbox, shell_ev_blocking_client, time):
                shell_ev_sandbox.assert_nothing_started()
                assert shell_ev_sandbox.time.elapsed == 0
                shell_ev_blocking_client.charging.start("NL-TNM-C00122045-K", "NL*TNM*E02003451*0")
                shell_ev_sandbox.faults.always("*", "left over")
                shell_ev_sandbox.advance(5)
        """
        ended(run(source), {"passed": 2})

    def test_no_sandbox_is_kept_after_its_test(self, run: Run, pytester: pytest.Pytester) -> None:
        pytester.makeconftest(
            """
            import gc, weakref
            made = []

            def pytest_sessionfinish():
                gc.collect()
                print("kept:", sum(sandbox() is not None for sandbox in made))
            """
        )
        source = """
            import weakref, conftest

            def test_it(shell_ev_sandbox, shell_ev_client, shell_ev_blocking_client):
                conftest.made.append(weakref.ref(shell_ev_sandbox))

            def test_that_fails(shell_ev_sandbox):
                conftest.made.append(weakref.ref(shell_ev_sandbox))
                shell_ev_sandbox.assert_started_once()

            def test_the_last():
                pass
        """
        assert "kept: 0" in run(source, own_process=True).stdout.str()

    def test_help(self, run: Run) -> None:
        shown = run("", "--markers").stdout.str()
        assert "@pytest.mark.shell_ev(**options): how shell_ev sets this test up" in shown
        shown = run("", "--fixtures").stdout.str()
        for name in ("time", "sandbox", "client", "blocking_client", "env", "nothing_left_running"):
            documented = re.search(rf"^shell_ev_{name} -- .*\n    (\S.*)$", shown, re.MULTILINE)
            assert documented is not None, name


class TestReportOfAFailedTest:
    SOURCE = """
        import pytest
        from shell_ev.sandbox import EXAMPLE_CARD as CARD, EXAMPLE_EVSE as EVSE

        def test_it(shell_ev_sandbox, shell_ev_blocking_client):
            with shell_ev_blocking_client.charge(CARD, EVSE):
                pass
            {last}
    """

    def test_the_story_of_its_sandbox(self, run: Run) -> None:
        shown = run(self.SOURCE.format(last="assert not 'as it should be'")).stdout
        shown.fnmatch_lines(
            [
                "*- shell_ev sandbox, 30 s of test time -*",
                "requests that reached the sandbox:",
                "*20.0 s  charging.stop*",
                "charges:",
                "*30.0 s  stopped",
            ]
        )

    @pytest.mark.parametrize("ci", ["", "true"])
    def test_once(self, run: Run, monkeypatch: pytest.MonkeyPatch, ci: str) -> None:
        monkeypatch.setenv("CI", ci)
        monkeypatch.delenv("BUILD_NUMBER", raising=False)
        shown = run(self.SOURCE.format(last="shell_ev_sandbox.assert_nothing_started()")).stdout.str()
        reported, heading, summary = shown.partition("short test summary info")
        assert reported.count("requests that reached the sandbox:") == 1
        # Where CI is set, pytest itself says every failure once more, whole, at its end.
        assert heading
        assert summary.count("requests that reached the sandbox:") == bool(ci)
        assert "shell_ev/testing" not in shown  # and no look into the kit itself

    def test_nothing_of_one_that_passes(self, run: Run) -> None:
        assert "sandbox:" not in run(self.SOURCE.format(last="pass"), "-rA").stdout.str()


class TestNothingLeftRunning:
    SOURCE = """
        import pytest
        from shell_ev.sandbox import EXAMPLE_CARD as CARD, EXAMPLE_EVSE as EVSE

        @pytest.fixture
        def app(shell_ev_blocking_client):
            charge = shell_ev_blocking_client.start_charge(CARD, EVSE)
            yield
            {at_the_end}

        {mark}
        def test_it(app):
            {in_the_middle}
    """
    MARK = '@pytest.mark.usefixtures("shell_ev_nothing_left_running")'

    @pytest.mark.parametrize(
        ("values", "outcomes"),
        [
            ({}, {"passed": 1, "errors": 1}),
            ({"at_the_end": "charge.stop()"}, {"passed": 1}),
            ({"mark": ""}, {"passed": 1}),
            ({"in_the_middle": "assert False"}, {"failed": 1}),
        ],
        ids=["left", "stopped by the application on its way out", "not asked for", "failed anyway"],
    )
    def test_it(self, run: Run, values: dict[str, Any], outcomes: dict[str, int]) -> None:
        given = {"at_the_end": "pass", "in_the_middle": "pass", "mark": self.MARK} | values
        result = run(self.SOURCE.format(**given))
        ended(result, outcomes)
        reported = "charges left running: 1 of 1" in result.stdout.str()
        assert reported == ("errors" in outcomes)
        assert "plugin.py" not in result.stdout.str()

    def test_for_every_test_by_the_ini_file(self, run: Run) -> None:
        source = self.SOURCE.format(at_the_end="pass", in_the_middle="pass", mark="")
        ended(run(source, ini="usefixtures = shell_ev_nothing_left_running\n"), {"passed": 1, "errors": 1})
