"""EMA-IDs (contracts) and EVSE ids (charging points): parse, verify, compute the check digit, convert and print.

The rules are those of ISO 15118-1 / 15118-2 Annex H, eMI3 v1.0 part 2 and DIN SPEC 91286, as in Shell Recharge's own
mobilityid. An object of these classes is always valid; invalid input raises
:class:`~shell_ev.errors.ValidationError`. Only the service knows whether an id exists.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, Protocol, Self

import attrs

from ._check_digits import din_check_digit, iso_check_digit
from .errors import ValidationError

# Explicit ASCII ranges: \d, \w and IGNORECASE would accept Arabic digits or the Kelvin sign. Patterns are strings, so
# that ``re`` compiles them at the first use and not at import.
_COUNTRY = r"[A-Za-z]{2}"
_PARTY = r"[A-Za-z0-9]{3}"
_EMA_INSTANCE = r"[A-Za-z0-9]{9}|[A-Za-z0-9]{6}"
#: Country, party and instance with optional separators and check digit, as :meth:`EmaId.looks_like` accepts them.
_EMA_LIKE = r"[A-Za-z]{2}[-*]?[0-9A-Za-z]{3}[-*]?[0-9A-Za-z]{6,9}(?:[-*]?[0-9A-Za-z])?"
_EMA = r"([A-Z]{2})([*-]?)([A-Z0-9]{3})([*-]?)([A-Z0-9]{9}|[A-Z0-9]{6})(?:([*-]?)([A-Z0-9]))?"

_PHONE_COUNTRY = r"\+?[0-9]{1,3}"
_DIN_OPERATOR = r"[0-9]{3,6}"
_ISO_OUTLET = r"\*?[A-Za-z0-9][A-Za-z0-9*]*"
_DIN_OUTLET = r"[0-9][0-9*]*"
_ISO_EVSE = r"([A-Z]{2})\*?([A-Z0-9]{3})\*?E(.+)"
_DIN_EVSE = r"(\+?[0-9]{1,3})\*([0-9]{3,6})\*(.+)"

#: Minimum and maximum length of an EMA-ID in ``charging.active`` (V1 and V2).
EMA_ID_LENGTHS: Final = (14, 19)
#: Minimum and maximum length of an EVSE id in ``charging.start``.
EVSE_ID_LENGTHS: Final = (18, 36)
_ISO_OUTLET_LIMIT = 31
_DIN_OUTLET_LIMIT = 32
# The longest valid id, a DIN EVSE id, has 44 characters. A longer text than this limit is not parsed.
_TEXT_LIMIT = 64


class HasEvseId(Protocol):
    """A model with the id of an EVSE: an :class:`~shell_ev.Evse`, without the import of its module."""

    @property
    def evse_id(self) -> str | None:
        """Id of the EVSE."""
        ...


class IdForm(StrEnum):
    """The scheme of an id."""

    ISO = "ISO"
    """ISO 15118-1: an EMA-ID with an instance of 9 characters; an EVSE id with a two-letter country and an ``E``."""
    EMI3 = "eMI3"
    """eMI3 v1.0: an ISO EMA-ID with an instance of the id type ``C`` (contract) and 8 characters."""
    DIN = "DIN"
    """DIN SPEC 91286: an EMA-ID (there EVCO-ID) with an instance of 6 characters; an EVSE id of digits only."""


@attrs.frozen(order=True)
class EmaId:
    """An e-mobility account id, also called eMAID, EVCO-ID or contract id: the contract that pays for a charge.

    Use :meth:`parse` for a text, or the constructor for the parts; it computes the check digit. Two ids are equal if
    their canonical texts are equal. The DIN and eMI3 forms of one contract are not equal: convert one of them first.

    >>> ema_id = EmaId.parse("nltnmc00122045")
    >>> str(ema_id), ema_id.compact, ema_id.check_digit
    ('NL-TNM-C00122045-K', 'NLTNMC00122045K', 'K')
    >>> str(ema_id.to_din())
    'NL-TNM-012204-5'
    """

    country: str
    """Two letters, upper case (ISO 3166-1 alpha-2). Not verified: roaming uses unassigned codes, too (``XK``)."""
    party_id: str
    """The provider within the country: three letters or digits, upper case (OCPI ``party_id``): ``TNM``."""
    instance: str
    """The contract at the provider: 9 letters or digits (eMI3: the first is ``C``), in DIN form 6; upper case."""
    form: IdForm = attrs.field(init=False, eq=False, repr=False)
    """The scheme, derived from the instance."""
    check_digit: str = attrs.field(init=False, eq=False)
    """Computed from all characters before it: a letter or digit (ISO 15118-2 Annex H), in DIN a digit or ``X``."""

    def __attrs_post_init__(self) -> None:
        faults = _ema_part_faults(self.country, self.party_id, self.instance)
        if faults:
            raise ValidationError(faults)
        _set(self, "country", self.country.upper())
        _set(self, "party_id", self.party_id.upper())
        _set(self, "instance", self.instance.upper())
        if len(self.instance) == 6:
            form, compute = IdForm.DIN, din_check_digit
        else:
            form, compute = (IdForm.EMI3 if self.instance[0] == "C" else IdForm.ISO), iso_check_digit
        _set(self, "form", form)
        _set(self, "check_digit", compute(f"{self.country}{self.party_id}{self.instance}"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an EMA-ID in any of the three forms.

        Args:
            text: The id, in upper or lower case. Separators are optional: ``-`` in every form, ``*`` in DIN form only.
                The check digit is optional, too; if present it must be correct.

        Returns:
            The id.

        Raises:
            ValidationError: Names the wrong part, and the correct check digit.
        """
        upper = _legal_upper(text, "EMA-ID", "-*")
        match = re.fullmatch(_EMA, upper)
        if match is None:
            raise ValidationError(_explain_ema(upper))
        country, first, party_id, second, instance, third, check_digit = match.groups()
        ema_id = cls(country, party_id, instance)
        faults: list[str] = []
        if ema_id.form is not IdForm.DIN and "*" in (first, second, third):
            faults.append(
                f"EMA-ID {upper!r}: the separator '*' belongs to the DIN form only, the {ema_id.form} form takes '-'"
            )
        if check_digit is not None and check_digit != ema_id.check_digit:
            faults.append(
                f"EMA-ID {upper!r}: the check digit {check_digit!r} is wrong, "
                f"for {country}-{party_id}-{instance} ({ema_id.form} form) it should be {ema_id.check_digit!r}"
            )
        if faults:
            raise ValidationError(faults)
        return ema_id

    @classmethod
    def try_parse(cls, text: str) -> Self | None:
        """Parse an EMA-ID; None if the text is not valid.

        Args:
            text: The text, in any form and case.
        """
        try:
            return cls.parse(text)
        except ValidationError:
            return None

    @classmethod
    def is_valid(cls, text: str) -> bool:
        """Whether the text is a valid EMA-ID.

        Args:
            text: The text, in any form and case.
        """
        return cls.try_parse(text) is not None

    @staticmethod
    def has_valid_length(text: str) -> bool:
        """Whether the text has the length that ``charging.active`` requires in V1 and V2: 14 to 19 characters.

        Args:
            text: The text, in any form and case.
        """
        return _has_length(text, EMA_ID_LENGTHS)

    @classmethod
    def looks_like(cls, text: str) -> bool:
        """Whether the text has the length and the form of an EMA-ID. The check digit is not verified.

        Use it to find out whether a charge card number is an EMA-ID: printed numbers may have a wrong check digit.

        Args:
            text: The text, in any form and case.
        """
        return cls.has_valid_length(text) and re.fullmatch(_EMA_LIKE, text) is not None

    def __str__(self) -> str:
        """The canonical text with check digit: ``NL-TNM-C00122045-K``, 18 characters (DIN form 15)."""
        return f"{self.country}-{self.party_id}-{self.instance}-{self.check_digit}"

    @property
    def compact(self) -> str:
        """The text without separators, with check digit: ``NLTNMC00122045K``, 15 characters (DIN form 12)."""
        return f"{self.country}{self.party_id}{self.instance}{self.check_digit}"

    def to_din(self) -> Self:
        """Convert to DIN SPEC 91286 form.

        Returns:
            The id of the same contract in DIN form.

        Raises:
            ValidationError: This id contains no DIN id. One that does has an instance of ``C0`` (eMI3) or ``00``
                (ISO), the 6 characters of the DIN instance, and the DIN check digit.
        """
        if self.form is IdForm.DIN:
            return self
        prefix = "C0" if self.form is IdForm.EMI3 else "00"
        if not self.instance.startswith(prefix):
            raise ValidationError([f"EMA-ID {self} has no DIN form: its instance does not begin with {prefix!r}"])
        din = type(self)(self.country, self.party_id, self.instance[2:8])
        if self.instance[8] != din.check_digit:
            raise ValidationError(
                [
                    f"EMA-ID {self} has no DIN form: its instance ends in {self.instance[8]!r}, "
                    f"where the check digit {din.check_digit!r} of the DIN id would stand"
                ]
            )
        return din

    def to_emi3(self) -> Self:
        """Convert to eMI3 form: ``C0``, the DIN instance and the DIN check digit, with a new check digit.

        Returns:
            The id of the same contract in eMI3 form.

        Raises:
            ValidationError: This is an ISO id that contains no DIN id. No rule converts such an id.
        """
        return self if self.form is IdForm.EMI3 else self._around_din("C0")

    def to_iso(self) -> Self:
        """Convert to the older ISO form: ``00``, the DIN instance and the DIN check digit.

        Rarely needed: an eMI3 id is a valid ISO 15118-1 id.

        Returns:
            The id of the same contract in ISO form.

        Raises:
            ValidationError: This is an eMI3 id that contains no DIN id. It has no other ISO form.
        """
        return self if self.form is IdForm.ISO else self._around_din("00")

    def _around_din(self, prefix: str) -> Self:
        # The DIN check digit becomes the last character of the instance, where X is valid, too.
        din = self.to_din()
        return type(self)(din.country, din.party_id, f"{prefix}{din.instance}{din.check_digit}")


def _without_separators(text: str) -> str:
    return text.replace("*", "")


@attrs.frozen(order=True)
class EvseId:
    """The id of one EVSE: a charging point that charges one vehicle at a time.

    Use :meth:`parse` for a text, or the constructor for the parts. Separators inside the outlet id are kept, but have
    no meaning (eMI3: optional): ``DE*AB7*E840*6487`` equals ``DEAB7E8406487``. There is no check digit. ISO and DIN
    forms cannot be converted into each other: they number operators independently.

    >>> evse_id = EvseId.parse("nl*tnm*e02003451*0")
    >>> str(evse_id), evse_id.compact
    ('NL*TNM*E02003451*0', 'NLTNME020034510')
    """

    country: str
    """ISO: two letters, upper case (not verified). DIN: ``+`` and the 1 to 3 digits of the telephone country code."""
    party_id: str
    """The operator within the country. ISO: three letters or digits, upper case. DIN: 3 to 6 digits."""
    power_outlet_id: str = attrs.field(eq=_without_separators)
    """The part after the id type ``E``: ISO up to 31 letters, digits and ``*``; DIN up to 32 digits and ``*``."""
    form: IdForm = attrs.field(init=False, eq=False, repr=False)
    """The scheme, ISO (also for eMI3) or DIN, derived from the country."""

    def __attrs_post_init__(self) -> None:
        faults = _evse_part_faults(self.country, self.party_id, self.power_outlet_id)
        if faults:
            raise ValidationError(faults)
        din = not self.country[0].isalpha()
        _set(self, "country", f"+{self.country.removeprefix('+')}" if din else self.country.upper())
        _set(self, "party_id", self.party_id.upper())
        _set(self, "power_outlet_id", self.power_outlet_id.upper())
        _set(self, "form", IdForm.DIN if din else IdForm.ISO)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an EVSE id in ISO or DIN form.

        Args:
            text: The id, in upper or lower case. ISO form: separators are optional. DIN form: separators are required,
                the ``+`` is optional.

        Returns:
            The id.

        Raises:
            ValidationError: Names the wrong part.
        """
        upper = _legal_upper(text, "EVSE id", "*+")
        match = re.fullmatch(_ISO_EVSE if upper[0].isalpha() else _DIN_EVSE, upper)
        if match is None:
            raise ValidationError(_explain_evse(upper))
        country, party_id, power_outlet_id = match.groups()
        return cls(country, party_id, power_outlet_id)

    @classmethod
    def try_parse(cls, text: str) -> Self | None:
        """Parse an EVSE id; None if the text is not valid.

        Args:
            text: The text, in any form and case.
        """
        try:
            return cls.parse(text)
        except ValidationError:
            return None

    @classmethod
    def is_valid(cls, text: str) -> bool:
        """Whether the text is a valid EVSE id.

        Args:
            text: The text, in any form and case.
        """
        return cls.try_parse(text) is not None

    @staticmethod
    def has_valid_length(text: str) -> bool:
        """Whether the text has the length that ``charging.start`` requires: 18 to 36 characters.

        Args:
            text: The text, in any form and case.
        """
        return _has_length(text, EVSE_ID_LENGTHS)

    def __str__(self) -> str:
        """The canonical text: ``NL*TNM*E02003451*0``, in DIN form ``+49*810*000*438``."""
        id_type = "" if self.form is IdForm.DIN else "E"
        return f"{self.country}*{self.party_id}*{id_type}{self.power_outlet_id}"

    @property
    def compact(self) -> str:
        """The text without optional separators: ``NLTNME020034510``, in DIN form ``+49*810*000438``."""
        outlet = _without_separators(self.power_outlet_id)
        if self.form is IdForm.DIN:
            # Country and operator have no fixed length here, so their separators are required.
            return f"{self.country}*{self.party_id}*{outlet}"
        return f"{self.country}{self.party_id}E{outlet}"


def _set(instance: EmaId | EvseId, name: str, value: str) -> None:
    object.__setattr__(instance, name, value)  # the class is frozen


def _has_length(text: str, lengths: tuple[int, int]) -> bool:
    shortest, longest = lengths
    return shortest <= len(text) <= longest


def _legal_upper(text: object, what: str, separators: str) -> str:
    """The text in upper case. Raises ValidationError for characters other than letters, digits and separators."""
    if not isinstance(text, str):
        raise ValidationError([f"{what} must be text, not {type(text).__name__}"])
    if not text:
        raise ValidationError([f"{what} is empty"])
    if len(text) > _TEXT_LIMIT:
        raise ValidationError([f"{what} is too long: {len(text)} characters"])
    for position, char in enumerate(text, 1):
        if not (char.isascii() and (char.isalnum() or char in separators)):
            raise ValidationError(
                [
                    f"{what} {text!a}: {char!a} at position {position} is not allowed, "
                    f"only letters A-Z, digits and {' '.join(separators)}"
                ]
            )
    return text.upper()


def _shown(part: object) -> str:
    """A part as errors show it, shortened; it may be an object of any type."""
    if not isinstance(part, str):
        return type(part).__name__
    count = f" ({len(part)} characters)" if len(part) > 4 else ""
    return f"{part[:_TEXT_LIMIT]!a}{count}"


def _fits(pattern: str, part: object, limit: int = _TEXT_LIMIT) -> bool:
    return isinstance(part, str) and len(part) <= limit and re.fullmatch(pattern, part) is not None


def _ema_part_faults(country: object, party_id: object, instance: object) -> list[str]:
    faults: list[str] = []
    if not _fits(_COUNTRY, country):
        faults.append(f"EMA-ID country must be 2 letters, not {_shown(country)}")
    if not _fits(_PARTY, party_id):
        faults.append(f"EMA-ID party id must be 3 letters or digits, not {_shown(party_id)}")
    if not _fits(_EMA_INSTANCE, instance):
        faults.append(f"EMA-ID instance must be 9 letters or digits (DIN form: 6), not {_shown(instance)}")
    return faults


def _explain_ema(upper: str) -> list[str]:
    """Why a text of valid characters is not an EMA-ID: split it at its most likely parts and name the wrong ones."""
    parts = re.split("[*-]", upper)
    if len(parts) > 4:
        return [f"EMA-ID {upper!r} has {len(parts)} parts, only country-party-instance-check digit are allowed"]
    if len(parts) < 3 or len(parts[0]) > 4 or (len(parts) == 3 and len(parts[2]) == 1):
        country, party_id, rest = _by_position(upper)  # too few separators
        parts = [country, party_id, *re.split("[*-]", rest)]
    country, party_id, instance, *check = parts
    if not check and len(instance) in (7, 10):
        instance = instance[:-1]  # the last character is the check digit
    faults = _ema_part_faults(country, party_id, instance)
    check_digit = "-".join(check)
    if check and len(check_digit) != 1:
        faults.append(f"EMA-ID check digit must be 1 letter or digit, not {_shown(check_digit)}")
    return faults or [f"EMA-ID {upper!r} is not of the form country-party-instance-check digit"]


def _by_position(text: str) -> list[str]:
    """Split an id with missing separators: country and party have a fixed length."""
    country, rest = text[:2], _past_separator(text[2:])
    return [country, rest[:3], _past_separator(rest[3:])]


def _past_separator(text: str) -> str:
    return text[1:] if text.startswith(("*", "-")) else text


def _evse_part_faults(country: object, party_id: object, outlet: object) -> list[str]:
    faults: list[str] = []
    din = _fits(_PHONE_COUNTRY, country)
    if not din and not _fits(_COUNTRY, country):
        faults.append(f"EVSE id country must be 2 letters (DIN form: + and 1 to 3 digits), not {_shown(country)}")
    if din and not _fits(_DIN_OPERATOR, party_id):
        faults.append(f"EVSE id operator must be 3 to 6 digits in DIN form, not {_shown(party_id)}")
    if not din and not _fits(_PARTY, party_id):
        faults.append(f"EVSE id operator must be 3 letters or digits, not {_shown(party_id)}")
    if din and not _fits(_DIN_OUTLET, outlet, _DIN_OUTLET_LIMIT):
        faults.append(f"EVSE id outlet must be 1 to 32 digits and '*' in DIN form, a digit first, not {_shown(outlet)}")
    if not din and not _fits(_ISO_OUTLET, outlet, _ISO_OUTLET_LIMIT):
        faults.append(f"EVSE id outlet (after the E) must be 1 to 31 letters, digits and '*', not {_shown(outlet)}")
    return faults


def _explain_evse(upper: str) -> list[str]:
    """Why a text of valid characters is not an EVSE id."""
    parts = upper.split("*", 2)
    if not upper[0].isalpha():
        if len(parts) < 3:
            return [f"EVSE id {upper!r} in DIN form must be country*operator*outlet, with both separators"]
        return _evse_part_faults(*parts)
    if len(parts) < 3 or len(parts[0]) > 4:
        parts = _by_position(upper)  # too few separators
    country, party_id, outlet = parts
    if outlet.startswith("E"):
        return _evse_part_faults(country, party_id, outlet[1:])
    # Without the id type the outlet id cannot be checked: a valid one is used in its place.
    found = f"not {outlet[0]!r}" if outlet else "and an outlet id after it"
    return [
        *_evse_part_faults(country, party_id, "1"),
        f"EVSE id {upper!r}: the operator must be followed by the id type 'E', {found}",
    ]
