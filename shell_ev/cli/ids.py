"""``id check``: the parts of EMA-IDs and EVSE ids, and their faults. Nothing is sent."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import click

from .. import EmaId, EvseId, IdForm, ValidationError
from .command import SectionedGroup, command, shared_options
from .output import Output, printable
from .reporting import ExitCode
from .settings import Settings

_EVSE_LIKE = re.compile(r"[+0-9].*|[A-Z]{2}\*?[A-Z0-9]{3}\*?E[^-]*")

#: Length of the shortest id of any kind without separators: NLTNME1, +498100.
_SHORTEST = 7


@attrs.frozen(kw_only=True)
class Reading:
    """A text parsed as one kind of id."""

    kind: str
    """``ema_id`` or ``evse_id``."""
    ema_id: EmaId | None = None
    evse_id: EvseId | None = None
    faults: tuple[str, ...] = ()
    suggestion: str | None = None
    """The id with the correct check digit, if nothing else is wrong."""

    @property
    def valid(self) -> bool:
        """Whether the text is a valid id of this kind."""
        return not self.faults


@click.group(
    "id", cls=SectionedGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.pass_context
def group(context: click.Context) -> None:
    """Explain EMA-IDs and EVSE ids; nothing is sent."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command("check", "shell-ev id check NL-TNM-C00122045-K", connects=False)
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["ema", "evse"]), help="Kind of id; default: derived from the text.")
@click.pass_obj
def check(settings: Settings, texts: tuple[str, ...], kind: str | None) -> ExitCode:
    """Show the parts of ids and their faults.

    TEXT is an EMA-ID (the number of a charge card, also called contract id or EVCO-ID) or an EVSE id. - reads ids from
    stdin, one a line. For a wrong check digit the correct one is shown. The exit code is 1 if an id is not valid.
    """
    out = Output(settings)
    all_valid, first = True, True
    for text in _texts(texts):
        readings = readings_of(text, kind)
        valid = any(reading.valid for reading in readings)
        all_valid = all_valid and valid
        if out.json:
            out.record(_to_json(text, valid, readings))
            continue
        if not first:
            out.line("")
        first = False
        for line in _lines(printable(text), readings):
            out.text(line, "    ")
    return ExitCode.OK if all_valid else ExitCode.NO


group.add_command(check)
group.params += shared_options(connects=False)
group.examples = ("shell-ev id check NL-TNM-C00122045-K",)


def _texts(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if text != "-":
            yield text
            continue
        for line in sys.stdin or ():  # None if it is closed
            if stripped := line.strip():
                yield stripped


def readings_of(text: str, kind: str | None) -> list[Reading]:
    """The valid readings of a text, or else the closest one."""
    readings: list[Reading] = []
    if kind != "evse":
        readings.append(_as_ema(text))
    if kind != "ema":
        readings.append(_as_evse(text))
    if fault := _too_short(text):
        readings = [attrs.evolve(found, faults=(fault, *found.faults)) for found in readings]
    valid = [reading for reading in readings if reading.valid]
    if valid or len(readings) == 1:
        return valid or readings
    wanted = "evse_id" if _EVSE_LIKE.fullmatch(text.strip().upper()) and readings[0].suggestion is None else "ema_id"
    return [reading for reading in readings if reading.kind == wanted]


def _too_short(text: str) -> str | None:
    count = len(re.sub(r"[*\-\s]", "", text))
    if not 0 < count < _SHORTEST:
        return None
    return f"too short to be an EMA-ID or EVSE id: {count} characters beside separators, the shortest has {_SHORTEST}"


def _as_ema(text: str) -> Reading:
    try:
        return Reading(kind="ema_id", ema_id=EmaId.parse(text))
    except ValidationError as error:
        # The text without its last character may be a valid id: then only the check digit is wrong.
        bare = EmaId.try_parse(text[:-1].rstrip("-*"))
        only_the_digit = bare is not None and len(error.faults) == 1 and "check digit" in error.faults[0]
        return Reading(kind="ema_id", faults=error.faults, suggestion=str(bare) if only_the_digit else None)


def _as_evse(text: str) -> Reading:
    try:
        return Reading(kind="evse_id", evse_id=EvseId.parse(text))
    except ValidationError as error:
        return Reading(kind="evse_id", faults=error.faults)


def _converted(ema_id: EmaId) -> dict[str, str | None]:
    """The contract in the three forms; None for a form that it does not have."""
    found: dict[str, str | None] = {}
    for name, convert in (("din", ema_id.to_din), ("emi3", ema_id.to_emi3), ("iso", ema_id.to_iso)):
        try:
            found[name] = str(convert())
        except ValidationError:
            found[name] = None
    return found


def _to_json(text: str, valid: bool, readings: list[Reading]) -> dict[str, Any]:
    return {"text": text, "valid": valid, "readings": [_reading_json(reading) for reading in readings]}


def _reading_json(reading: Reading) -> dict[str, Any]:
    ema_id, evse_id = reading.ema_id, reading.evse_id
    parsed: EmaId | EvseId | None = ema_id or evse_id
    return {
        "kind": reading.kind,
        "valid": reading.valid,
        "form": parsed.form.value if parsed is not None else None,
        "country": parsed.country if parsed is not None else None,
        "party_id": parsed.party_id if parsed is not None else None,
        "instance": ema_id.instance if ema_id is not None else None,
        "check_digit": ema_id.check_digit if ema_id is not None else None,
        "power_outlet_id": evse_id.power_outlet_id if evse_id is not None else None,
        "canonical": str(parsed) if parsed is not None else None,
        "compact": parsed.compact if parsed is not None else None,
        "forms": _converted(ema_id) if ema_id is not None else None,
        "faults": list(reading.faults),
        "suggestion": reading.suggestion,
    }


def _lines(text: str, readings: list[Reading]) -> Iterator[str]:
    for reading in readings:
        if reading.ema_id is not None:
            yield from _ema_lines(text, reading.ema_id)
        elif reading.evse_id is not None:
            yield from _evse_lines(text, reading.evse_id)
        else:
            yield f"{text}: not a valid {'EMA-ID' if reading.kind == 'ema_id' else 'EVSE id'}"
            for fault in reading.faults:
                yield f"  {fault}"
            if reading.suggestion is not None:
                yield f"  did you mean {reading.suggestion}?"
    if len(readings) > 1:
        yield "Both readings are valid: without separators the text is ambiguous."


def _ema_lines(text: str, ema_id: EmaId) -> Iterator[str]:
    given = re.sub("[*-]", "", text).upper() == ema_id.compact
    contract = "9 characters" if ema_id.form is IdForm.ISO else "C, then 8 characters"
    shape = "6 characters" if ema_id.form is IdForm.DIN else contract
    yield f"{text}: a valid EMA-ID, {ema_id.form.value} form"
    yield _fact("country", ema_id.country, "two letters")
    yield _fact("provider", ema_id.party_id, "party id, within the country")
    yield _fact("contract", ema_id.instance, shape)
    yield _fact("check digit", ema_id.check_digit, "correct" if given else "computed; the text has none")
    yield _fact("in full", str(ema_id))
    yield _fact("compact", ema_id.compact)
    for name, title in (("din", "DIN form"), ("emi3", "eMI3 form"), ("iso", "ISO form")):
        if (converted := _converted(ema_id)[name]) is not None and converted != str(ema_id):
            yield _fact(title, converted)


def _evse_lines(text: str, evse_id: EvseId) -> Iterator[str]:
    din = evse_id.form is IdForm.DIN
    yield f"{text}: a valid EVSE id, {evse_id.form.value} form"
    yield _fact("country", evse_id.country, "telephone country code" if din else "two letters")
    yield _fact("operator", evse_id.party_id, "within the country")
    yield _fact("outlet", evse_id.power_outlet_id, "the charging point" + ("" if din else ", after the id type E"))
    yield _fact("in full", str(evse_id))
    yield _fact("compact", evse_id.compact)
    yield _fact("check digit", "-", "EVSE ids have none")


def _fact(name: str, value: str, about: str = "") -> str:
    return f"  {name:<12} {value:<20} {about}".rstrip()
