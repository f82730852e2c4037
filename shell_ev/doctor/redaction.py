"""What must not leave in a report, and how it is made unreadable: secrets, ids, passwords of proxies, user names.

Pure text; knows nothing of checks.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import one_line
from ..redaction import Secrets

_USERINFO = re.compile(r"(?<=//)[^/\s]*@")
_HOMES = re.compile(r"(?:/home/|/Users/)[^/\s:'\"]+|[A-Za-z]:\\Users\\[^\\:'\"]+")
_LIMIT = 300
#: A shorter id is a word like any other ("test"): taking it out would garble the report and hide nothing.
_SHORTEST_ID = 6
#: The same here; in what the service says back the library has masked it already, however short.
_SHORTEST_SECRET = 8


def masked_id(client_id: str) -> str:
    """The first few characters, enough to tell two ids apart."""
    shown = 4 if len(client_id) >= 12 else 2 if len(client_id) >= _SHORTEST_ID else 0
    return f"{client_id[:shown]}…"


class Redactor:
    """Cleans every text of a diagnosis."""

    def __init__(self, client_id: str | None, secrets: Sequence[str]) -> None:
        known = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        known += [base64.b64encode(f"{client_id}:{secret}".encode()).decode() for secret in known if client_id]
        self._secrets = Secrets(known)
        self._client_id = client_id if client_id is not None and len(client_id) >= _SHORTEST_ID else None
        self._home = _home()

    def clean(self, text: str) -> str:
        """One line without what must not leave."""
        # Secrets first and before the text is cut: half a secret would not be recognised.
        text = _USERINFO.sub("***@", self._secrets.mask(text))
        if self._client_id is not None:
            text = text.replace(self._client_id, masked_id(self._client_id))
        if self._home is not None:
            text = text.replace(self._home, "~")
        return one_line(_HOMES.sub("~", text), _LIMIT)


def _home() -> str | None:
    try:
        home = str(Path.home())
    except RuntimeError:
        return None
    return home if len(home) > 1 else None
