"""The site builds without a warning, and its reference shows what users call: every public name, and of a blocking
method its own signature."""

from __future__ import annotations

import html
import importlib
import re
import types
from pathlib import Path

import pytest

import shell_ev

pytest.importorskip("sphinx")
from sphinx.util.inventory import InventoryFile

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def inventory(site: Path) -> dict[str, str]:
    """Name -> address, of everything the reference has."""
    found = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    return {name: item.uri for kind, items in found.items() if kind.startswith("py:") for name, item in items.items()}


def entry(site: Path, inventory: dict[str, str], name: str) -> tuple[str, str]:
    """Signature and description of an entry of the reference, as a reader sees them."""
    page = (site / inventory[name].partition("#")[0]).read_text()
    begin = page.index(f'id="{name}"')
    end = page.find('<dt class="sig', begin + 1)
    signature, _, description = page[page.rindex("<dt", 0, begin) : end].partition("</dt>")
    return _text(signature), _text(description)


def _text(markup: str) -> str:
    folded = " ".join(html.unescape(re.sub(r"<[^>]+>", "", markup)).split())
    return folded.replace("( ", "(").replace(", )", ")").removesuffix("¶").strip()


def test_every_public_name_is_in_the_reference(inventory: dict[str, str]) -> None:
    # The dictionaries of options are shown in their module.
    missing = [
        name for name in shell_ev.__all__ if not {f"shell_ev.{name}", f"shell_ev.options.{name}"} & inventory.keys()
    ]
    assert not missing, f"add these to a page under docs/reference: {', '.join(missing)}"


@pytest.mark.parametrize("module", ["shell_ev.doctor", "shell_ev.geojson", "shell_ev.sandbox", "shell_ev.testing"])
def test_every_public_name_of_the_modules_is_in_the_reference(module: str, inventory: dict[str, str]) -> None:
    room = importlib.import_module(module)
    public = getattr(room, "__all__", None) or [
        name
        for name, value in vars(room).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    ]
    assert len(public) >= 4
    short = {name.rpartition(".")[2] for name in inventory if name.startswith(module)}
    assert [name for name in public if name not in short] == []


def test_every_public_member_is_in_the_reference(inventory: dict[str, str]) -> None:
    for name in shell_ev.__all__:
        value = getattr(shell_ev, name)
        if not isinstance(value, type) or isinstance(value, types.GenericAlias):
            continue
        inherited = {member for base in value.__mro__[1:] for member in vars(base)}
        members = [member for member in vars(value) if not member.startswith("_") and member not in inherited]
        # stopping() is a step of stop().
        missing = [m for m in members if f"shell_ev.{name}.{m}" not in inventory and m != "stopping"]
        assert not missing, f"{name} is shown without {', '.join(missing)}: have they docstrings?"


def test_a_blocking_method_is_shown_as_it_is_called(site: Path, inventory: dict[str, str]) -> None:
    signature, description = entry(site, inventory, "shell_ev.sync.Charging.start")
    assert signature == (
        "start(ev_charge_number: str | EmaId, evse_id: str | EvseId | HasEvseId, "
        "**options: Unpack[RequestOptions]) → ApiResponse[StartedSession]"
    )
    assert description.startswith("Start a charge on an EVSE. An accepted start is not a running charge")


@pytest.mark.parametrize(
    ("name", "returns"),
    [
        ("shell_ev.sync.Locations.iterate", "Iterator[Location]"),
        ("shell_ev.sync.Locations.nearby", "ApiResponse[tuple[Location, ...]]"),
        ("shell_ev.ShellEV.charge", "ChargeBlock"),
        ("shell_ev.ShellEV.start_charge", "Charge"),
        ("shell_ev.ShellEV.attach", "Charge"),
        ("shell_ev.ShellEV.reconcile", "Charge"),
        ("shell_ev.ShellEV.follow", "Iterator[tuple[str, ChargeSession]]"),
        ("shell_ev.Charge.changes", "Iterator[ChargeSession]"),
        ("shell_ev.Charge.stop", "ChargeSession"),
    ],
)
def test_what_a_blocking_method_gives_is_what_it_gives_itself(
    name: str, returns: str, site: Path, inventory: dict[str, str]
) -> None:
    signature, description = entry(site, inventory, name)
    assert signature.startswith(f"{name.rpartition('.')[2]}(")  # no async before it
    assert signature.endswith(f"→ {returns}")
    assert len(description) > 20


def test_an_asynchronous_method_is_shown_as_one(site: Path, inventory: dict[str, str]) -> None:
    signature, _ = entry(site, inventory, "shell_ev.endpoints.charging.AsyncCharging.start")
    assert signature.startswith("async start(")


def test_every_column_of_a_table_has_a_heading(site: Path) -> None:
    for page in site.glob("*.html"):
        tables = re.findall(r"<thead>.*?</thead>", page.read_text(), re.S)
        headings = [_text(cell) for table in tables for cell in re.findall(r"<th[^>]*>(.*?)</th>", table, re.S)]
        assert all(headings), page


def test_nothing_is_fetched_to_show_a_page(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert not loaded, page
