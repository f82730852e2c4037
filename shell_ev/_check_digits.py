"""The check digits of EMA-IDs: ISO 15118-2 Annex H, which eMI3 shares, and DIN SPEC 91286."""

from __future__ import annotations

import functools

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# ISO 15118-2 Annex H (eMI3 v1.0 part 2): each character as (q1, q2) modulo 2 and (r1, r2) modulo 3, packed as
# q1 + 2*q2 + 4*r1 + 16*r2. 36 characters for 2*2*3*3 values: the way back always exists.
_PACKED = (
    *(0, 16, 32, 4, 20, 36, 8, 24, 40, 2, 18, 34, 6, 22, 38, 10, 26, 42),
    *(1, 17, 33, 5, 21, 37, 9, 25, 41, 3, 19, 35, 7, 23, 39, 11, 27, 43),
)
_UNPACKED = dict(zip(_PACKED, _ALPHABET, strict=True))


@functools.cache
def _iso_terms() -> tuple[dict[str, int], ...]:
    """What each character adds to the sum at each of the 14 positions, built once at first use.

    The character's vectors times the powers of P1 = [[0, 1], [1, 1]] mod 2 and P2 = [[0, 1], [1, 2]] mod 3, the second
    also times -P2^-15 = [[0, 2], [2, 1]]. The four numbers share one integer in fields wide enough for 14 of them.
    """
    terms: tuple[dict[str, int], ...] = tuple({} for _ in range(14))
    for char, packed in zip(_ALPHABET, _PACKED, strict=True):
        q1, q2, r1, r2 = packed & 1, packed >> 1 & 1, packed >> 2 & 3, packed >> 4
        for position in terms:
            q1, q2 = q2, (q1 + q2) % 2
            r1, r2 = r2, (r1 + 2 * r2) % 3
            position[char] = q1 | q2 << 4 | (2 * r2) % 3 << 8 | (2 * r1 + r2) % 3 << 13
    return terms


def iso_check_digit(code: str) -> str:
    """The check digit of the 14 upper-case characters of an ISO or eMI3 EMA-ID."""
    total = sum(term[char] for term, char in zip(_iso_terms(), code, strict=True))
    return _UNPACKED[(total & 1) + 2 * (total >> 4 & 1) + 4 * ((total >> 8 & 31) % 3) + 16 * ((total >> 13) % 3)]


def din_check_digit(code: str) -> str:
    """The check digit of the 11 upper-case characters of a DIN EMA-ID (DIN SPEC 91286).

    Letters stand for 10 to 35, written as two digits. Digit k of that row counts 2**k, modulo 11, and 10 prints ``X``.
    """
    digits = "".join(str(_ALPHABET.index(char)) for char in code)
    remainder = sum(int(digit) << k for k, digit in enumerate(digits)) % 11
    return "X" if remainder == 10 else str(remainder)
