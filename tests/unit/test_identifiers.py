"""EMA-IDs and EVSE ids: the published vectors, the promises of the check digits, and every way a text can be wrong."""

from __future__ import annotations

import copy
import doctest
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shell_ev import identifiers
from shell_ev.errors import ValidationError
from shell_ev.identifiers import EmaId, EvseId, IdForm

ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTERS = ALNUM[10:]
prop = settings(derandomize=True, deadline=None, max_examples=100, database=None)


def text_of(alphabet: str, low: int, high: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=low, max_size=low if high is None else high)


countries, parties = text_of(LETTERS, 2), text_of(ALNUM, 3)
iso_ids = st.builds(EmaId, countries, parties, text_of(ALNUM, 9))
din_ids = st.builds(EmaId, countries, parties, text_of(ALNUM, 6))
ema_ids = iso_ids | din_ids | st.builds(EmaId, countries, parties, text_of(ALNUM, 8).map("C{}".format))
iso_outlets = st.from_regex(r"\A\*?[A-Z0-9][A-Z0-9*]{0,29}\Z")
iso_evses = st.builds(EvseId, countries, parties, iso_outlets)
din_evses = st.builds(
    EvseId,
    text_of(ALNUM[:10], 1, 3).map("+{}".format),
    text_of(ALNUM[:10], 3, 6),
    st.from_regex(r"\A[0-9][0-9*]{0,31}\Z"),
)
evse_ids = iso_evses | din_evses


def refused(kind: type[EmaId] | type[EvseId], text: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.parse(text)
    assert caught.value.faults
    assert all(len(fault) <= 300 for fault in caught.value.faults)
    assert str(caught.value).isprintable()
    assert kind.try_parse(text) is None
    assert kind.is_valid(text) is False
    return str(caught.value)


# --- vectors --------------------------------------------------------------------------------------------------------

ISO_VECTORS = {
    "NN123ABCDEFGHI": "T",
    "FRXYZ123456789": "2",
    "ITA1B2C3E4F5G6": "4",
    "ESZU8WOX834H1D": "R",
    "PT73902837ABCZ": "Z",
    "DE83DUIEN83QGZ": "D",
    "DE83DUIEN83ZGQ": "M",
    "DE8AA001234567": "0",
    "NLTNM000122045": "U",
    "NLTNM000722345": "X",
    "NLTNM012345678": "W",
}
EMI3_VECTORS = {"NLTNMC00122045": "K"}
DIN_VECTORS = {
    "INTNM000071": "9",
    "INTNM000110": "X",
    "INTNM000124": "0",
    "INTNM000114": "6",
    "INTNM000191": "5",
    "NLTNM012204": "5",
    "NLTNM122045": "0",
}


@pytest.mark.parametrize(
    ("text", "digit", "form"),
    [
        (text, digit, form)
        for form, vectors in ((IdForm.ISO, ISO_VECTORS), (IdForm.EMI3, EMI3_VECTORS), (IdForm.DIN, DIN_VECTORS))
        for text, digit in vectors.items()
    ],
)
def test_ema_vectors(text: str, digit: str, form: IdForm) -> None:
    ema_id = EmaId.parse(text)
    assert (ema_id.check_digit, ema_id.form) == (digit, form)
    assert ema_id.compact == text + digit
    assert str(ema_id) == f"{text[:2]}-{text[2:5]}-{text[5:]}-{digit}"
    assert EmaId.parse(text + digit) == EmaId.parse(str(ema_id).lower()) == ema_id
    for wrong in set(ALNUM) - {digit}:
        message = refused(EmaId, text + wrong)
        assert f"check digit '{wrong}' is wrong" in message
        assert f"it should be '{digit}'" in message


def test_parts_of_an_ema_id() -> None:
    ema_id = EmaId.parse("nl-Tnm-c00122045-k")
    assert (ema_id.country, ema_id.party_id, ema_id.instance, ema_id.check_digit) == ("NL", "TNM", "C00122045", "K")
    assert ema_id == EmaId("nl", "tnm", "c00122045") == EmaId(country="NL", party_id="TNM", instance="C00122045")
    assert repr(ema_id) == "EmaId(country='NL', party_id='TNM', instance='C00122045', check_digit='K')"
    assert attrs.evolve(ema_id, instance="000122045") == EmaId.parse("NL-TNM-000122045-U")


@pytest.mark.parametrize(
    "text",
    ["NL-TNM-122045-0", "Nl*TnM*122045*0", "NL*TNM-122045*0", "NLTNM-122045", "nlTNM1220450", "NL-TNM1220450"],
)
def test_din_takes_both_separators_and_each_is_optional(text: str) -> None:
    assert str(EmaId.parse(text)) == "NL-TNM-122045-0"


def test_conversions_between_all_three_forms() -> None:
    din, emi3, iso = map(EmaId.parse, ("NL-TNM-012204-5", "NL-TNM-C00122045-K", "NL-TNM-000122045-U"))
    for ema_id in (din, emi3, iso):
        assert (ema_id.to_din(), ema_id.to_emi3(), ema_id.to_iso()) == (din, emi3, iso)
    assert len({din, emi3, iso}) == 3


def test_a_din_check_digit_x_survives_conversion() -> None:
    din = EmaId.parse("IN-TNM-000110-X")
    assert din.to_emi3().instance == "C0000110X"
    assert din.to_iso().instance == "00000110X"
    assert din.to_emi3().to_din() == din.to_iso().to_din() == din


@pytest.mark.parametrize(
    ("text", "methods", "says"),
    [
        ("NL-TNM-012345678", ("to_din", "to_emi3"), "does not begin with '00'"),
        ("NL-TNM-C12345678", ("to_din", "to_iso"), "does not begin with 'C0'"),
        ("NL-TNM-000122046", ("to_din", "to_emi3"), "ends in '6', where the check digit '5'"),
        ("NL-TNM-C00122046", ("to_din", "to_iso"), "ends in '6', where the check digit '5'"),
    ],
)
def test_what_carries_no_din_id_is_not_converted(text: str, methods: tuple[str, ...], says: str) -> None:
    for method in methods:
        with pytest.raises(ValidationError, match=says):
            getattr(EmaId.parse(text), method)()


@prop
@given(din_ids)
def test_din_converts_there_and_back(din: EmaId) -> None:
    assert din.to_emi3().to_din() == din.to_iso().to_din() == din
    assert din.to_emi3().to_iso() == din.to_iso()
    assert din.to_iso().to_emi3() == din.to_emi3()
    assert [x.form for x in (din, din.to_emi3(), din.to_iso())] == [IdForm.DIN, IdForm.EMI3, IdForm.ISO]


@pytest.mark.parametrize(
    ("text", "canonical", "compact", "parts"),
    [
        ("DE*AB7*E840*6487", "DE*AB7*E840*6487", "DEAB7E8406487", ("DE", "AB7", "840*6487")),
        ("deab7e8406487", "DE*AB7*E8406487", "DEAB7E8406487", ("DE", "AB7", "8406487")),
        ("DEAB7*E8406487", "DE*AB7*E8406487", "DEAB7E8406487", ("DE", "AB7", "8406487")),
        ("DEAB7E1", "DE*AB7*E1", "DEAB7E1", ("DE", "AB7", "1")),
        ("DE*DES*E*BMW*0113*2", "DE*DES*E*BMW*0113*2", "DEDESEBMW01132", ("DE", "DES", "*BMW*0113*2")),
        ("NL*TNM*E02003451*0", "NL*TNM*E02003451*0", "NLTNME020034510", ("NL", "TNM", "02003451*0")),
        ("DEEEEEE", "DE*EEE*EE", "DEEEEEE", ("DE", "EEE", "E")),
        ("+49*810*000*438", "+49*810*000*438", "+49*810*000438", ("+49", "810", "000*438")),
        ("49*810548*1", "+49*810548*1", "+49*810548*1", ("+49", "810548", "1")),
    ],
)
def test_evse_vectors(text: str, canonical: str, compact: str, parts: tuple[str, str, str]) -> None:
    evse_id = EvseId.parse(text)
    assert (str(evse_id), evse_id.compact) == (canonical, compact)
    assert (evse_id.country, evse_id.party_id, evse_id.power_outlet_id) == parts
    assert evse_id.form is (IdForm.DIN if "9" in parts[0] else IdForm.ISO)
    assert EvseId(*parts) == evse_id


@pytest.mark.parametrize("prefix", ["DE*AB7*E", "DEAB7E"])
def test_evse_outlet_ends_at_31_characters(prefix: str) -> None:
    assert EvseId.is_valid(prefix + "7" * 31)
    assert EvseId.is_valid(prefix + "*" + "7" * 30)
    assert "1 to 31" in refused(EvseId, prefix + "7" * 32)
    assert "1 to 31" in refused(EvseId, prefix + "*" + "7" * 31)
    assert EvseId.is_valid("+49*810*" + "7" * 32)
    assert "1 to 32" in refused(EvseId, "+49*810*" + "7" * 33)


def test_separators_inside_an_evse_id_carry_no_meaning() -> None:
    spaced, tight, other = map(EvseId.parse, ("DE*AB7*E840*6487", "DEAB7E8406487", "DEAB7E8406488"))
    assert spaced == tight != other
    assert hash(spaced) == hash(tight)
    assert not spaced < tight
    assert tight < other
    assert {spaced, tight} == {tight}


# --- what is refused, and in which words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (None, "must be text, not NoneType"),
        (b"NLTNM000122045", "must be text, not bytes"),
        (17, "must be text, not int"),
        ("N1-TNM-000122045", "country must be 2 letters, not 'N1'"),
        ("N-LTNM-000122045", "country must be 2 letters, not 'N'"),
        ("N1TNM000122045U", "EMA-ID country must be 2 letters, not 'N1'$"),
        ("NL-TNMN-000722345", "party id must be 3 letters or digits, not 'TNMN'"),
        ("N1-TNM-1220450", "EMA-ID country must be 2 letters, not 'N1'$"),
        (
            "NLTNM-00012204-U",
            "EMA-ID instance must be 9 letters or digits (DIN form: 6), not '00012204' (8 characters)$",
        ),
        ("NLTNM-000722345-XX", "EMA-ID check digit must be 1 letter or digit, not 'XX'$"),
        ("NL-TNM-00722345-X", "instance must be 9 letters or digits (DIN form: 6), not '00722345' (8 characters)"),
        ("NLTNM076", "instance must be 9 letters or digits (DIN form: 6), not '076'"),
        ("NL-TNM00122045-K", "instance must be 9 letters or digits (DIN form: 6), not '00122045'"),
        ("NL-TNM", "instance must be 9 letters or digits (DIN form: 6), not ''"),
        ("NL-TNM-C00122045-", "check digit must be 1 letter or digit, not ''"),
        ("NL-TNM-C00122045-KK", "check digit must be 1 letter or digit, not 'KK'"),
        ("NL-TNM-C00-122-045", "5 parts"),
        ("NL*TNM*C00122045*K", "'*' belongs to the DIN form only, the eMI3 form takes '-'"),
        ("NL-T|M-000122045-U", "'|' at position 5 is not allowed"),
        ("NL-TNM-000122045-U\n", "'\\n' at position 19 is not allowed"),
        (" NL-TNM-000122045-U", "' ' at position 1 is not allowed"),
        ("DE٨٣DUIEN٨٣QGZ", "'\\u0668' at position 3 is not allowed"),
        ("NL-TNM-000122045-\udcff", "'\\udcff' at position 18"),
        ("ſE-TNM-000122045", "'\\u017f' at position 1"),
        ("\u212aE-TNM-000122045", "'\\u212a' at position 1"),
        ("ß-TNM-000122045", "'\\xdf' at position 1"),
        ("N" * 10_000_000, "too long: 10000000 characters"),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_ema_faults(text: Any, says: str) -> None:
    assert says in refused(EmaId, text) + "$"  # a $ in the table: nothing else is wrong


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (None, "must be text, not NoneType"),
        ("NL*TNM*840*6487", "must be followed by the id type 'E', not '8'"),
        ("DEAB7840", "must be followed by the id type 'E', not '8'"),
        ("DEAB7*840*1", "EVSE id 'DEAB7*840*1': the operator must be followed by the id type 'E', not '8'$"),
        ("DE*AB7", "must be followed by the id type 'E', and an outlet id after it"),
        ("DE*AB7*E", "outlet (after the E) must be 1 to 31 letters, digits and '*', not ''"),
        ("DE*AB7*E*", "outlet (after the E)"),
        ("DE*AB7*E**1", "outlet (after the E)"),
        ("DE*AB*E12", "operator must be 3 letters or digits, not 'AB'"),
        ("DE*ABCD*E12", "operator must be 3 letters or digits, not 'ABCD'"),
        ("D1*AB7*E1", "country must be 2 letters (DIN form: + and 1 to 3 digits), not 'D1'"),
        ("+49*AB7*840*6487", "operator must be 3 to 6 digits in DIN form, not 'AB7'"),
        ("+49*8105481*1", "operator must be 3 to 6 digits in DIN form, not '8105481'"),
        ("+49*81*1", "operator must be 3 to 6 digits in DIN form, not '81'"),
        ("+4A*810*000*438", "country must be 2 letters (DIN form: + and 1 to 3 digits), not '+4A'"),
        ("+49*645*E840*6487", "outlet must be 1 to 32 digits and '*' in DIN form"),
        ("+49810000438", "with both separators"),
        ("*", "with both separators"),
        ("+", "with both separators"),
        ("NL-TNM-E02003451-0", "'-' at position 3 is not allowed"),
        ("NL*TNM*E0200345\u0661", "'\\u0661' at position 16 is not allowed"),
        ("N" * 10_000_000, "too long: 10000000 characters"),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_evse_faults(text: Any, says: str) -> None:
    assert says in refused(EvseId, text) + "$"


def test_parts_are_checked_as_strictly_as_texts() -> None:
    with pytest.raises(ValidationError) as caught:
        EmaId("N", "TNMN", "72245")
    assert len(caught.value.faults) == 3
    anything: Any
    for anything in (None, 7, "", "\ud800" * 9, "٨" * 9, "x" * 10_000_000, "NL\n", "ſſ", "*" * 31):
        for build in (EmaId, EvseId):
            for parts in ((anything, "TNM", "000122045"), ("NL", anything, "000122045"), ("NL", "TNM", anything)):
                with pytest.raises(ValidationError) as caught:
                    build(*parts)
                assert len(str(caught.value)) < 400
    with pytest.raises(ValidationError):
        EvseId("+31", "745", "840*6487E")
    assert str(EvseId("nl", "tnm", "ab*c")) == "NL*TNM*EAB*C"
    assert str(EvseId("31", "745", "840*6487")) == "+31*745*840*6487"


@prop
@given(st.none() | st.integers() | st.binary() | st.text() | st.text(st.characters(codec=None), max_size=80))
@example("\ud800")
def test_arbitrary_input_raises_nothing_else(anything: Any) -> None:
    for kind in (EmaId, EvseId):
        if not kind.is_valid(anything):
            assert len(refused(kind, anything)) <= 1000


@settings(prop, max_examples=400)
@given(st.text("A1CE*-+nl", max_size=50) | st.text("NLE1*", min_size=5, max_size=18))
def test_near_misses_raise_nothing_else_and_say_why(text: str) -> None:
    for kind in (EmaId, EvseId):
        parsed = kind.try_parse(text)
        if parsed is None:
            refused(kind, text)
        else:
            assert kind.parse(str(parsed)) == parsed


# --- properties -----------------------------------------------------------------------------------------------------


@prop
@given(ema_ids, st.data())
def test_ema_print_parse_round_trip(ema_id: EmaId, data: st.DataObject) -> None:
    separators = ["", "-", "*"] if ema_id.form is IdForm.DIN else ["", "-"]
    first, second, third = (data.draw(st.sampled_from(separators)) for _ in range(3))
    digit = data.draw(st.sampled_from(["", third + ema_id.check_digit]))
    written = f"{ema_id.country}{first}{ema_id.party_id}{second}{ema_id.instance}{digit}"
    cased = "".join(data.draw(st.sampled_from([char.lower(), char])) for char in written)
    for text in (str(ema_id), ema_id.compact, written, cased):
        again = EmaId.parse(text)
        assert again == ema_id
        assert (hash(again), str(again), again.form) == (hash(ema_id), str(ema_id), ema_id.form)
    assert len(str(ema_id)) == (15 if ema_id.form is IdForm.DIN else 18)


@prop
@given(evse_ids)
def test_evse_print_parse_round_trip(evse_id: EvseId) -> None:
    for text in (str(evse_id), str(evse_id).lower(), evse_id.compact, evse_id.compact.swapcase()):
        again = EvseId.parse(text)
        assert again == evse_id
        assert (hash(again), again.compact, again.form) == (hash(evse_id), evse_id.compact, evse_id.form)
    assert str(EvseId.parse(str(evse_id))) == str(evse_id)
    assert len(str(evse_id)) <= 44  # what identifiers._TEXT_LIMIT counts on


@settings(prop, max_examples=25)
@given(ema_ids.filter(lambda ema_id: ema_id.form is not IdForm.DIN))
@example(EmaId.parse("NLTNMC00122045"))
def test_every_single_character_edit_of_an_iso_id_is_caught(ema_id: EmaId) -> None:
    text = ema_id.compact
    assert len(text) == 15
    for position, right in enumerate(text):
        for wrong in LETTERS if position < 2 else ALNUM:
            if wrong != right:
                assert not EmaId.is_valid(text[:position] + wrong + text[position + 1 :])


@prop
@given(iso_ids)
def test_every_swap_of_neighbours_in_an_iso_id_is_caught(ema_id: EmaId) -> None:
    text = ema_id.compact
    for left in range(14):
        swapped = text[:left] + text[left + 1] + text[left] + text[left + 2 :]
        assert swapped == text or not EmaId.is_valid(swapped)


@prop
@given(countries, parties, text_of(ALNUM, 9))
def test_iso_check_digit_is_the_one_of_the_published_matrices(country: str, party: str, instance: str) -> None:
    codes = [row + 16 * r for row in (0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11) for r in range(3)]
    packed = dict(zip(ALNUM, codes, strict=True))
    # Straight from the definition, with real matrix powers.
    sums = [0, 0, 0, 0]
    p1, p2 = ((0, 1), (1, 1)), ((0, 1), (1, 2))
    m1 = m2 = ((1, 0), (0, 1))
    for char in country + party + instance:
        m1, m2 = _times(m1, p1), _times(m2, p2)
        code = packed[char]
        q, r = (code & 1, code >> 1 & 1), (code >> 2 & 3, code >> 4)
        for column in (0, 1):
            sums[column] += q[0] * m1[0][column] + q[1] * m1[1][column]
            sums[2 + column] += r[0] * m2[0][column] + r[1] * m2[1][column]
    r1, r2 = (2 * sums[3]) % 3, (2 * sums[2] + sums[3]) % 3
    code = sums[0] % 2 + 2 * (sums[1] % 2) + 4 * r1 + 16 * r2
    assert packed[EmaId(country, party, instance).check_digit] == code


Matrix = tuple[tuple[int, int], tuple[int, int]]


def _times(a: Matrix, b: Matrix) -> Matrix:
    (p, q), (r, s) = a
    (t, u), (v, w) = b
    return (p * t + q * v, p * u + q * w), (r * t + s * v, r * u + s * w)


@prop
@given(st.lists(ema_ids | evse_ids, min_size=2, max_size=6))
def test_ids_are_values(ids: list[EmaId | EvseId]) -> None:
    for one in ids:
        twin = pickle.loads(pickle.dumps(one))
        assert twin == one == copy.deepcopy(one)
        assert (hash(twin), str(twin), repr(twin)) == (hash(one), str(one), repr(one))
        other: object = str(one)
        assert one != other
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            one.country = "XX"  # type: ignore[misc]
    emas = [one for one in ids if isinstance(one, EmaId)]
    assert [str(one) for one in sorted(emas)] == [
        str(one) for one in sorted(emas, key=lambda e: (e.country, e.party_id, e.instance))
    ]


def test_examples_in_the_docstrings() -> None:
    outcome = doctest.testmod(identifiers)
    assert outcome.attempted >= 4
    assert outcome.failed == 0
