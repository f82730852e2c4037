"""The extra ``speed``: reading clean bodies with msgspec, typed and without a dictionary in between.

Takes exactly what the contract promises, spelled as the contract spells it, and nothing else: an unknown key or marker,
another spelling, a wrong type, a date nobody can read, and a reader gives None, whereupon the body is read the tolerant
way from the start. So leniency, problems and results are those of ``codec`` alone; this room can only be faster.
tests/unit/test_engines.py compares the two.

Knows envelopes and how many items were asked for; the items themselves are for ``structs``. Imported only when msgspec
is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..config import ApiVersion
from ..models.enums import EnvelopeStatus
from .codec import FAILED, Decoded, Result
from .leaves import is_list
from .structs import Copy, Odd, Shared, Structs, decoder
from .structuring import Shape

Reader = Callable[[bytes], Decoded | None]
"""Reads a body; None if anything about it is out of the ordinary."""

_REFUSED = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
_new = object.__new__


class Readers(dict[Result, Reader]):
    """What reads the clean answers of one dialect, each built on first use."""

    def __init__(self, version: ApiVersion, shape_of: Callable[[type], Shape]) -> None:
        super().__init__()
        self._version = version
        self._shape_of = shape_of

    def __missing__(self, asked: Result) -> Reader:
        reader = self[asked] = self._reader(asked)
        return reader

    def _reader(self, asked: Result) -> Reader:
        if asked.count == "nothing":
            # The envelope alone is asked for, and whatever is in it is ignored: nothing to be gained.
            return _refuse
        one = asked.count == "one"
        structs = Structs(self._version, self._shape_of, many=not one, repeated=asked.repeated)
        target, copy = structs.target(asked.model)
        if asked.bare_in is self._version:
            return _bare(decoder(_one_or_many(target)), copy, one)
        spell = str.capitalize if self._version is ApiVersion.V1_PASCAL else str.lower
        envelope = structs.struct(
            "Envelope",
            [
                ("request_id", str | None, None),
                ("status", EnvelopeStatus | None, None),
                ("data", _one_or_many(target) | None, None),
            ],
            {"request_id": f"{spell('request')}Id", "status": spell("status"), "data": spell("data")},
        )
        return _enveloped(decoder(envelope), copy, one)


def _enveloped(decode: Callable[[bytes], Any], copy: Copy, one: bool) -> Reader:
    def read(body: bytes) -> Decoded | None:
        try:
            opened = decode(body)
            data, status = opened.data, opened.status
            answer = _new(Decoded)  # its fields set here, and not by its __init__: 0.1 us off a session
            if one and status is not FAILED and data.__class__ is list and len(data) == 1:
                answer.data = copy(data[0], {})  # nearly always
            elif status is FAILED:
                answer.data = None
            elif data is None and status is None and opened.request_id is None:
                return None  # no envelope
            else:
                answer.data = _copied(data, copy, one)
        except _REFUSED:
            return None
        answer.request_id = opened.request_id
        answer.status = status
        answer.problems = ()
        return answer

    return read


def _bare(decode: Callable[[bytes], Any], copy: Copy, one: bool) -> Reader:
    def read(body: bytes) -> Decoded | None:
        try:
            return Decoded(_copied(decode(body), copy, one), None, None, ())
        except _REFUSED:
            return None

    return read


def _refuse(_: bytes) -> None:
    return None


def _copied(data: Any, copy: Copy, one: bool) -> Any:
    shared: Shared = {}
    if not is_list(data):
        if data is None and one:
            raise Odd("nothing there")
        return () if data is None else copy(data, shared) if one else (copy(data, shared),)
    if one:
        if len(data) != 1:
            raise Odd("not one item")
        return copy(data[0], shared)
    # Struct by struct in place: each is let go as soon as its model stands.
    for index, item in enumerate(data):
        data[index] = copy(item, shared)
    return tuple(data)


def _one_or_many(target: Any) -> Any:
    return list.__class_getitem__(target) | target
