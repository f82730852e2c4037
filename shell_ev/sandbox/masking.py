"""What the log of the sandbox shows of a request: everything but its secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote, quote_plus

MASK = "***"

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
_SECRET_KEYS = frozenset(
    {"access_token", "refresh_token", "id_token", "client_secret", "client_assertion", "password", "token"}
)
_SECRET_PAIRS = re.compile(rf"""((?:{"|".join(sorted(_SECRET_KEYS))})"?\s*[=:]\s*"?)[^&"\s,}}]+""", re.IGNORECASE)


def masked_headers(headers: Mapping[str, str]) -> list[list[str]]:
    """Return name and value of each header; of a credential only its scheme is left."""
    return [[name, _masked_header(name, value)] for name, value in headers.items()]


def masked_text(body: bytes, secrets: Iterable[str] = (), limit: int = 16_384) -> str:
    """Return a body as text, without the values of secret keys and without `secrets` themselves.

    Args:
        body: JSON, a form, or anything else.
        secrets: Values to mask wherever they stand.
        limit: Characters to return; a longer text ends in an ellipsis.
    """
    if not body:
        return ""
    try:
        document: Any = json.loads(body)
        text = json.dumps(_masked(document), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        text = _SECRET_PAIRS.sub(rf"\1{MASK}", body.decode("utf-8", "replace"))
    # Masked before it is cut, so that no part of a secret is left at the end.
    text = without(text, secrets)
    return text if len(text) <= limit else text[:limit] + "…"


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text without those secrets, as they are or percent-encoded."""
    for secret in secrets:
        if secret:
            for form in {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}:
                text = text.replace(form, MASK)
    return text


def _masked_header(name: str, value: str) -> str:
    if name.lower() not in _SECRET_HEADERS:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {MASK}" if space and name.lower().endswith("authorization") else MASK


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK if key.lower() in _SECRET_KEYS and item is not None else _masked(item)
            for key, item in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, list):
        return [_masked(item) for item in cast("list[object]", value)]
    return value
