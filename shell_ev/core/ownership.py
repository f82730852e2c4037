"""Which sessions already belong to a start. Knows ids alone."""

from __future__ import annotations

from collections import OrderedDict

_CLAIMS = 10_000


class Claims:
    """Session ids that already belong to a start of this client: the search for another must not adopt them."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, str | None] = OrderedDict()

    def add(self, session_id: str, request_id: str | None) -> None:
        """Remember whose a session is; the oldest are forgotten, long after anybody could look for them."""
        self._owners[session_id] = request_id
        if len(self._owners) > _CLAIMS:
            self._owners.popitem(last=False)

    def is_free(self, session_id: str, request_id: str | None) -> bool:
        """Whether the search for the start of that RequestId may have this session: asked twice, it finds it twice."""
        if session_id not in self._owners:
            return True
        return request_id is not None and self._owners[session_id] == request_id
