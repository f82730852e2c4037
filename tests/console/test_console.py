"""The console in a real browser: what a developer sees and clicks, and what a client meets then."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from console_page import Console

from shell_ev import (
    InternalServerError,
    OutcomeUnknownError,
    ResponseDecodeError,
    ServiceUnavailableError,
    TooManyRequestsError,
)
from shell_ev.sandbox import EXAMPLE_CARD, EXAMPLE_EVSE, Sandbox, SessionState

pytestmark = pytest.mark.servers

FREE = "NL*TNM*E02003453*1"
HOSTILE = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def test_the_page_opens_and_shows_the_network(console: Any) -> None:
    assert console.page.title() == "shell_ev sandbox"
    assert console.text("#stations-count") == "314"
    assert "free" in console.text("#legend")
    exports = console.text("#exports").splitlines()
    expected = [f"export {name}={value}" for name, value in console.sandbox.env.items()]
    assert exports == expected


def frames(console: Any) -> None:
    """Wait until the page has drawn what it knows."""
    console.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def until(console: Any, reached: Callable[[], bool]) -> None:
    """Wait for something that a handler in Python sees."""
    for _ in range(250):
        if reached():
            return
        console.page.wait_for_timeout(20)
    raise AssertionError("not reached within 5 seconds")


class TestStations:
    def test_a_station_is_found_by_a_word_and_shown(self, console: Any) -> None:
        console.page.fill("#search", "voorbeeldkade amsterdam")
        console.shows("#found button", "Voorbeeldkade")
        console.page.keyboard.press("Enter")
        console.shows("#station h3", "Amsterdam")
        console.shows("#station code", EXAMPLE_EVSE)

    def test_the_search_is_walked_by_keyboard(self, console: Any) -> None:
        console.page.fill("#search", "amsterdam")
        console.page.locator("#found button").first.wait_for()
        console.page.keyboard.press("ArrowDown")
        console.page.keyboard.press("ArrowDown")
        second = console.page.locator("#found button").nth(1)
        assert second.evaluate("node => node === document.activeElement")
        console.page.keyboard.press("ArrowUp")
        console.page.keyboard.press("ArrowUp")
        assert console.page.evaluate("document.activeElement.id") == "search"
        console.page.keyboard.press("Escape")
        assert console.page.locator("#found button").count() == 0

    def test_no_result_is_said(self, console: Any) -> None:
        console.page.fill("#search", "nowhere at all")
        console.shows("#found li", "No station has these words.")

    @pytest.mark.parametrize(
        ("label", "status", "code"),
        [("out of order", "Unavailable", "EvseOutOfService"), ("occupied", "Occupied", "EvseInUse")],
    )
    def test_a_status_set_by_click_decides_the_next_start(
        self, console: Any, label: str, status: str, code: str
    ) -> None:
        console.page.fill("#search", EXAMPLE_EVSE)
        console.page.locator("#found button").first.click()
        # The station has other EVSEs, whose status must not be taken for this one's.
        evse = console.page.locator("#station li", has_text=EXAMPLE_EVSE)
        evse.get_by_role("button", name=label).click()
        evse.locator(".state", has_text=label).wait_for()
        assert console.sandbox.evse_status(EXAMPLE_EVSE) == status
        console.start()
        console.page.click("[data-step='60']")
        console.shows("#charges-over .card", code)
        evse.get_by_role("button", name="free").click()
        evse.locator(".state", has_text="free").wait_for()
        assert console.sandbox.evse_status(EXAMPLE_EVSE) == "Available"

    def test_a_change_while_the_station_is_asked_for_is_shown(self, console: Any) -> None:
        held: list[tuple[Any, Any]] = []

        def hold_the_first(route: Any) -> None:
            if held:
                route.continue_()
            else:
                held.append((route, route.fetch()))

        console.page.route("**/stations/*", hold_the_first)
        console.page.fill("#search", EXAMPLE_EVSE)
        console.page.locator("#found button").first.click()
        until(console, lambda: bool(held))
        console.sandbox.set_evse_status(EXAMPLE_EVSE, "Unavailable")
        evse = console.page.locator("#station li", has_text=EXAMPLE_EVSE)
        evse.locator(".state", has_text="out of order").wait_for()
        route, answer = held[0]
        with console.page.expect_response("**/stations/*"):
            route.fulfill(response=answer)
        frames(console)
        assert "out of order" in evse.locator(".state").inner_text()

    def test_a_closed_station_stays_closed_when_its_answer_comes_late(self, console: Any) -> None:
        console.page.fill("#search", EXAMPLE_EVSE)
        console.page.locator("#found button").first.click()
        console.page.locator("#station h3").wait_for()
        held: list[Any] = []
        console.page.route("**/stations/*", lambda route: held.append(route))
        console.sandbox.set_evse_status(EXAMPLE_EVSE, "Unavailable")
        until(console, lambda: bool(held))
        console.page.keyboard.press("Escape")
        with console.page.expect_response("**/stations/*"):
            held[0].continue_()
        frames(console)
        assert console.page.locator("#station").is_hidden()

    def test_the_map_is_used_by_keyboard(self, console: Any) -> None:
        console.page.focus("#map")
        for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown", "+", "+", "-", "0"):
            console.page.keyboard.press(key)
        console.page.keyboard.press("Enter")
        console.page.locator("#station h3").wait_for()
        console.page.keyboard.press("Escape")
        console.page.locator("#station").wait_for(state="hidden")
        assert console.page.evaluate("document.activeElement.id") == "map"

    def test_a_ring_opens_and_a_station_is_clicked(self, console: Any) -> None:
        box = console.page.locator("#map").bounding_box()
        for _ in range(12):
            found = console.page.evaluate(
                """async () => {
                  const canvas = document.getElementById("map");
                  for (let y = 60; y < canvas.clientHeight - 10; y += 6)
                    for (let x = 60; x < canvas.clientWidth - 10; x += 6) {
                      const event = new PointerEvent("pointermove", { clientX: x + canvas.getBoundingClientRect().x,
                        clientY: y + canvas.getBoundingClientRect().y, pointerId: 9, bubbles: true });
                      canvas.dispatchEvent(event);
                      if (canvas.style.cursor === "pointer") return [x, y];
                    }
                }"""
            )
            console.page.mouse.click(box["x"] + found[0], box["y"] + found[1])
            console.page.wait_for_timeout(100)
            if console.page.locator("#station h3").is_visible():
                return
        raise AssertionError("no click opened a station")

    def test_a_status_is_hidden_from_the_map_by_its_chip(self, console: Any) -> None:
        chip = console.page.locator("#legend .Occupied")
        chip.click()
        assert chip.get_attribute("aria-pressed") == "false"
        assert chip.evaluate("node => node === document.activeElement")


class TestCharges:
    def test_a_card_walks_to_stopped(self, console: Any) -> None:
        session_id = console.start()
        card = f"[data-session='{session_id}']"
        console.shows(f"#charges-open {card} .state", "start-requested")
        console.page.click("[data-step='60']")
        console.shows(f"#charges-open {card} .state", "started")
        assert console.text(f"{card} time").startswith("00:40")
        with console.client() as ev:
            ev.charging.stop(session_id)
        console.shows(f"#charges-open {card} .state", "stop-requested")
        console.page.click("[data-step='10']")
        console.shows(f"#charges-over {card} .state", "stopped")
        assert console.text("#charges-count") == "none open"

    def test_a_charge_ends_fails_and_is_forgotten_by_click(self, console: Any) -> None:
        ended, failed, stuck = console.start(), console.start(FREE), console.start("NL*TNM*E02003453*2")
        console.page.click(f"[data-session='{failed}'] [data-act=fail]")
        console.shows(f"#charges-over [data-session='{failed}'] .state", "failed-to-start")
        console.page.click("[data-step='60']")
        console.shows(f"[data-session='{ended}'] .state", "started")
        console.page.click(f"[data-session='{ended}'] [data-act=end]")
        console.shows(f"#charges-over [data-session='{ended}'] .state", "stopped")
        console.page.click(f"[data-session='{stuck}'] [data-act=fail]")
        console.shows(f"[data-session='{stuck}']", "The next stop fails.")
        console.page.click(f"[data-session='{stuck}'] [data-act=forget]")
        console.page.locator(f"[data-session='{stuck}']").wait_for(state="detached")
        assert [charge.session_id for charge in console.sandbox.charges] == [ended, failed]

    def test_the_clock_of_a_card_runs_with_the_sandbox(self, console: Any) -> None:
        session_id = console.start()
        console.page.select_option("#speed", "600")
        console.page.click("#pause")
        console.shows(f"[data-session='{session_id}'] .state", "started")
        clock = console.page.locator(f"[data-session='{session_id}'] time")
        before = clock.inner_text()
        console.page.wait_for_function(
            "([id, before]) => document.querySelector(`[data-session='${id}'] time`).textContent !== before",
            arg=[session_id, before],
        )

    def test_of_many_charges_only_those_in_view_have_elements_and_all_are_reached(self, console: Any) -> None:
        service = console.sandbox.service
        evses = [evse.evse_id for station in service.locations.network.stations for evse in station.evses][:80]
        started = [console.start(evse_id) for evse_id in evses[:60]]
        console.shows("#charges-count", "60 open")
        assert console.page.locator("#charges-open .card").count() < 20
        scroll = console.page.locator("#charges .scroll")
        scroll.evaluate("node => { node.scrollTop = node.scrollHeight; }")
        first = console.page.locator(f"[data-session='{started[0]}']")
        first.wait_for()
        assert first.evaluate("node => [node.ariaPosInSet, node.ariaSetSize]") == ["60", "60"]
        bottom = first.evaluate("node => node.getBoundingClientRect().bottom")
        assert abs(bottom - scroll.evaluate("node => node.getBoundingClientRect().bottom")) < 20
        scroll.evaluate("node => { node.scrollTop = 0; }")
        newest = console.page.locator(f"[data-session='{started[-1]}']")
        newest.get_by_role("button", name="End").focus()
        for evse_id in evses[60:]:
            console.start(evse_id)
        console.shows("#charges-count", "80 open")
        assert newest.evaluate("node => node.contains(document.activeElement)")
        assert console.page.locator("#charges-open .card").count() < 20

    def test_charges_from_before_are_there_when_the_page_opens(self, console: Any) -> None:
        session_id = console.start()
        console.open()
        console.shows(f"#charges-open [data-session='{session_id}'] .state", "start-requested")


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "error", "started"),
        [
            ("drop", OutcomeUnknownError, 1),
            ("reset", OutcomeUnknownError, 1),
            ("truncate", OutcomeUnknownError, 1),
            ("hang", OutcomeUnknownError, 1),
            ("status", InternalServerError, 1),
            ("rate_limit", TooManyRequestsError, 1),
            ("unavailable", ServiceUnavailableError, 1),
            ("garbage", ResponseDecodeError, 1),
            ("delay", None, 1),
            ("token_revoked", None, 1),
        ],
    )
    def test_a_fault_ordered_by_click_hits_the_next_start(
        self, console: Any, kind: str, error: type[Exception] | None, started: int
    ) -> None:
        console.page.fill("#fault-seconds", "0.5")
        console.page.click(f"#fault-kinds [data-kind={kind}]")
        console.shows("#fault-list li", "the next charging.start")
        with console.client(timeout=2) as ev:
            if error is None:
                answer = ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE)
                assert (answer.attempts == 2) == (kind == "token_revoked")
                assert (answer.elapsed >= 0.5) == (kind == "delay")
            else:
                with pytest.raises(error):
                    ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE)
        console.page.locator("#fault-list li").wait_for(state="detached")
        console.page.locator("#charges-open .card").first.wait_for()
        assert len(console.sandbox.charges) == started
        console.page.select_option("#log-status", "fault")
        console.shows("#log tr", "charging.start")

    def test_before_its_effect_nothing_has_started(self, console: Any) -> None:
        console.page.uncheck("#fault-after")
        console.page.click("#fault-kinds [data-kind=drop]")
        console.shows("#fault-list li", "nothing done")
        with console.client() as ev, pytest.raises(OutcomeUnknownError):
            ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE)
        assert console.sandbox.charges == []

    def test_faults_are_counted_and_cleared(self, console: Any) -> None:
        console.page.select_option("#fault-operation", "*")
        console.page.fill("#fault-times", "3")
        console.page.click("#fault-kinds [data-kind=rate_limit]")
        console.shows("#fault-list li", "the next 3 calls")
        console.page.select_option("#fault-operation", "token")
        console.page.click("#fault-kinds [data-kind=hang]")
        console.shows("#fault-list li", "token")
        console.page.get_by_role("button", name="Clear the faults of token").click()
        console.page.locator("#fault-list li", has_text="token").wait_for(state="detached")
        console.page.click("#faults-clear")
        console.page.locator("#fault-list li").first.wait_for(state="detached")
        assert console.sandbox.faults.waiting() == ()
        assert console.page.is_disabled("#faults-clear")


class TestTokensAndClock:
    def test_revoked_tokens_are_refused(self, console: Any) -> None:
        with console.client() as ev:
            ev.charging.active(EXAMPLE_CARD)
            console.shows("#tokens", "1 issued, 1 good")
            console.page.click("#revoke")
            console.shows("#tokens", "1 issued, 0 good")
            assert ev.charging.active(EXAMPLE_CARD).attempts == 2
        console.shows("#log tr", "401")
        console.shows("#tokens", "2 issued, 1 good")

    def test_the_clock_stands_runs_and_is_stepped(self, console: Any) -> None:
        sandbox = console.sandbox
        assert console.page.get_attribute("#pause", "aria-pressed") == "true"
        before = sandbox.now()
        for step in ("10", "60", "3600"):
            console.page.click(f"[data-step='{step}']")
        console.page.click("#pause")
        console.page.locator("#pause[aria-pressed=false]").wait_for()
        assert sandbox.now() - before >= 3670
        assert sandbox.clock.paused is False
        console.page.select_option("#speed", "1")
        console.page.wait_for_function("() => document.getElementById('speed').value === '1'")
        assert sandbox.clock.speed == 1

    def test_a_reset_needs_two_clicks_and_empties_the_page(self, console: Any) -> None:
        console.start()
        console.page.locator("#charges-open .card").wait_for()
        console.page.click("#reset")
        assert console.text("#reset") == "Sure?"
        assert len(console.sandbox.charges) == 1
        console.page.click("#reset")
        console.page.locator("#charges-open .card").wait_for(state="detached")
        console.page.locator("#log tr").first.wait_for(state="detached")
        assert console.sandbox.charges == []


class TestLog:
    def fill(self, console: Any) -> None:
        with console.client() as ev:
            ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE)
            ev.charging.active(EXAMPLE_CARD)
            with pytest.raises(Exception, match="404"):
                ev.charging.start(EXAMPLE_CARD, "NL*TNM*E99999999*9")
        console.page.locator("#log tr").nth(3).wait_for()

    def operations(self, console: Any) -> list[str]:
        return [str(name) for name in console.page.locator("#log td:nth-child(2)").all_inner_texts()]

    def test_the_log_is_filtered(self, console: Any) -> None:
        self.fill(console)
        assert self.operations(console) == ["charging.start", "charging.active", "charging.start", "token"]
        console.page.select_option("#log-status", "4")
        assert self.operations(console) == ["charging.start"]
        console.page.select_option("#log-status", "")
        console.page.select_option("#log-operation", "charging.active")
        assert self.operations(console) == ["charging.active"]
        console.page.select_option("#log-operation", "")
        console.page.fill("#log-text", "OAUTH")
        assert self.operations(console) == ["token"]
        console.page.fill("#log-text", "nothing has this")
        console.shows("#log-none", "No request passes the filter.")

    def test_a_request_is_opened_and_closed_by_keyboard_and_shows_no_secret(self, console: Any) -> None:
        self.fill(console)
        button = console.page.get_by_role("button", name="Request 4: charging.start")
        button.focus()
        console.page.keyboard.press("Enter")
        console.shows("#detail", "NL*TNM*E99999999*9")
        detail = console.text("#detail")
        assert "Authorization: Bearer ***" in detail
        assert "Location Not Found" in detail
        console.page.keyboard.press("Escape")
        console.page.locator("#detail").wait_for(state="hidden")
        assert button.evaluate("node => node === document.activeElement")

    def test_the_log_is_emptied(self, console: Any) -> None:
        self.fill(console)
        console.page.click("#log-clear")
        console.page.locator("#log tr").first.wait_for(state="detached")
        assert list(console.sandbox.requests) == []


def test_hostile_names_and_bodies_stay_text(console: Any) -> None:
    card = HOSTILE[:50]
    console.start(card=card)
    console.shows("#charges-open .card", card)
    body = json.dumps({"evChargeNumber": HOSTILE, "evseId": HOSTILE}).encode()
    request = urllib.request.Request(
        f"{console.sandbox.url}/ev/v2/%3Cscript%3E?q=%3Cb%3Ehi", data=body, headers={"X-Evil": HOSTILE}
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
    console.shows("#log tr", "/ev/v2/%3Cscript%3E")
    console.page.locator("#log button").first.click()
    console.shows("#detail", HOSTILE)
    console.shows("#detail", "q=<b>hi")
    assert console.page.title() == "shell_ev sandbox"
    assert console.page.locator("main img, main script").count() == 0


def test_a_refusal_is_shown_to_the_user(console: Any) -> None:
    session_id = console.start()
    card = console.page.locator(f"[data-session='{session_id}']")
    card.wait_for()
    console.page.route("**/end", lambda route: route.fulfill(status=409, json={"error": {"message": "Not now."}}))
    card.locator("[data-act=end]").click()
    console.shows("#notice", "Not now.")
    assert any("409" in complaint for complaint in console.complaints)
    console.complaints.clear()


def test_the_page_comes_back_when_the_sandbox_does(console: Any, browser: Any) -> None:
    import asyncio

    sandbox = console.sandbox
    assert sandbox._thread is not None
    loop = sandbox._thread.loop
    asyncio.run_coroutine_threadsafe(sandbox.close(), loop).result()
    console.page.locator("#live[data-state=off]").wait_for()
    asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result()
    console.page.locator("#live[data-state=on]").wait_for(timeout=15_000)
    session_id = console.start()
    console.shows(f"[data-session='{session_id}'] .state", SessionState.START_REQUESTED.value)
    console.complaints.clear()  # the browser says that the stream was cut


def test_another_machine_gives_the_token_once(browser: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # no packet is sent
        address = probe.getsockname()[0]
    with Sandbox(host="0.0.0.0", stations=0, console_host="0.0.0.0") as sandbox:
        url = f"http://{address}:{sandbox.url.rpartition(':')[2]}"
        context = browser.new_context()
        console = Console(context.new_page(), sandbox)
        console.page.goto(url + "/")
        console.page.locator("#login").wait_for()
        console.page.fill("#token", "wrong")
        console.page.click("#login button")
        console.shows("#login-error", "The token is wrong.")
        console.page.fill("#token", sandbox.console_token or "")
        console.page.click("#login button")
        console.page.locator("#live[data-state=on]").wait_for()
        assert sandbox.console_token not in " ".join(console.asked)
        assert sandbox.console_token not in console.page.evaluate("document.cookie")
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        console.open(url)  # the cookie is enough now
        context.close()
