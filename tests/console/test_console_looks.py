"""What the console looks like and whether everybody can use it: axe-core, both themes, wide and narrow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from console_page import Console

from shell_ev.sandbox import EXAMPLE_EVSE, FAILING_EVSES, FAILING_STOP_EVSE, Fault

pytestmark = pytest.mark.servers

SIZES = [(1400, 900), (400, 860)]
THEMES = ["light", "dark"]


def busy(console: Console) -> None:
    """A sandbox with a charge in every state, a request of every kind, and faults that wait."""
    sandbox = console.sandbox
    started = [
        console.start(evse_id, f"NL-TNM-C0012204{number}-K")
        for number, evse_id in enumerate(
            (EXAMPLE_EVSE, "NL*TNM*E02003453*1", FAILING_EVSES["EvNotConnectedToEvse"], FAILING_STOP_EVSE)
        )
    ]
    sandbox.clock.step(30)
    with console.client() as ev:
        ev.charging.stop(started[1])
        ev.charging.stop(started[3])
        sandbox.clock.step(34)
        ev.locations.nearby(52.37, 4.89)
        with pytest.raises(Exception, match="404"):
            ev.charging.retrieve("00000000-0000-4000-8000-000000000000")
    started.append(console.start("NL*TNM*E02003453*2", "NL-TNM-C00122049-K"))
    sandbox.clock.step(25)
    with console.client() as ev:
        ev.charging.stop(started[-1])
        sandbox.faults.add("charging.start", Fault.drop())
        with pytest.raises(Exception, match="sent"):
            ev.charging.start("NL-TNM-C00122045-K", "NL*TNM*E02003453*4")
    sandbox.clock.step(6)
    sandbox.faults.add("charging.start", Fault.drop())
    sandbox.faults.add("*", Fault.rate_limit(2), times=3)


def open_all(console: Console) -> None:
    console.page.fill("#search", EXAMPLE_EVSE)
    console.page.locator("#found button").first.click()
    console.page.locator("#station h3").wait_for()
    console.page.locator("#log button").first.click()
    console.page.locator("#detail h3").wait_for()


TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((node) => !node.closest(".scroll, pre, .skip") && node.getBoundingClientRect().right > innerWidth + 1)
  .map((node) => node.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
@pytest.mark.parametrize("theme", THEMES)
def test_it_is_usable_by_everybody_and_fits_the_screen(
    browser: Any, sandbox: Any, axe: str, theme: str, size: tuple[int, int], tmp_path: Path
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=theme, bypass_csp=True, reduced_motion="reduce"
    )
    console = Console(context.new_page(), sandbox)
    console.open()
    busy(console)
    console.shows("#charges-open .card .state", "start-requested")
    console.page.wait_for_timeout(500)
    pictures = Path(os.environ.get("CONSOLE_PICTURES") or tmp_path)
    name = f"console-{theme}-{size[0]}.png"
    console.page.screenshot(path=pictures / name)
    assert (pictures / name).stat().st_size > 20_000
    assert console.page.evaluate(TOO_WIDE) == []
    for step in ("quiet", "open"):
        if step == "open":
            open_all(console)
        console.page.evaluate(axe)
        found = console.page.evaluate("axe.run().then((result) => result.violations)")
        serious = {
            problem["id"]: [node["html"][:120] for node in problem["nodes"]]
            for problem in found
            if problem["impact"] in ("serious", "critical")
        }
        assert serious == {}
    console.page.screenshot(path=pictures / name.replace("console-", "console-open-"))
    assert console.page.evaluate(TOO_WIDE) == []
    context.close()
    assert console.complaints == []


def test_the_keyboard_reaches_every_part_in_the_order_of_the_page(console: Console) -> None:
    busy(console)
    console.shows("#charges-open .card .state", "start-requested")
    parts: list[str] = []
    for _ in range(120):
        console.page.keyboard.press("Tab")
        part = console.page.evaluate(
            "document.activeElement.closest('header, section')?.id || document.activeElement.closest('header')?.tagName"
        )
        visible = console.page.evaluate("document.activeElement.matches(':focus-visible')")
        assert visible or part is None
        if part and (not parts or parts[-1] != part):
            parts.append(part)
        if part == "use":
            break
    assert [part for part in parts if part != "HEADER"] == ["stations", "charges", "requests", "faults", "use"]
