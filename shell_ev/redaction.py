"""Masks secrets in texts, bytes and headers, and values whose ``repr`` is masked. Pure functions."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, cast

if TYPE_CHECKING:
    from .models.response import Headers

MASK: Final = "***"
#: Shorter secrets are parts of many words: they are masked where they stand as a whole word.
_SHORT: Final = 8
#: The shortest fragment of a secret that is masked.
_FRAGMENT: Final = 12
#: How much of a text is searched for fragments.
_SEARCHED: Final = 1000
#: A longer secret is searched for at every twelfth place only: 83 searches instead of 988.
_LONG: Final = 8192
#: As ``html.escape`` does it; its module imports 2,231 names of characters.
_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
#: As ``urllib.parse.quote`` does it with UTF-8 bytes read as Latin-1, but not character by character.
_URL: Final = {
    code: f"%{code:02X}" for code in range(256) if not (code < 128 and (chr(code).isalnum() or chr(code) in "_.-~"))
}
_USERINFO: Final = re.compile(r"//[^/\s]*@")


class Secret(str):
    """A text that is used like any other and whose ``repr`` is masked, in tracebacks with local variables too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"

    def __getitem__(self, key: SupportsIndex | slice) -> Secret:
        # Reporters shorten a long text before they show it.
        return Secret(str.__getitem__(self, key))


class SecretBytes(bytes):
    """The same for bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"b'{MASK}'"

    __str__ = __repr__

    def __getitem__(self, key: Any) -> Any:
        part = cast("int | bytes", bytes.__getitem__(self, key))
        return SecretBytes(part) if isinstance(part, bytes) else part


@functools.cache
def _token_pattern() -> re.Pattern[str]:
    """A value after the name of a token or secret, in JSON, a form, a query or a cookie, however broken; or a JWT.

    Compiled when it is first needed: it takes 1 ms.
    """
    name = r"(?:access|refresh|id|bearer)[_-]?token|client[_-]?secret|(?<=[\"'])token(?=\\?[\"'])"
    value = r"\\?[\"'][^\"'\\]*|[^\s\"'&,;#}\\]+"
    return re.compile(rf"((?:{name})\\?[\"']?\s*[:=]\s*)(?:{value})|eyJ[\w-]{{6,}}(?:\.[\w-]*){{0,4}}", re.IGNORECASE)


def mask_tokens(text: str) -> str:
    """A text without what looks like a token, of a token endpoint's answer say."""
    return _token_pattern().sub(lambda found: f"{found[1] or ''}{MASK}", text)


def mask_userinfo(text: str) -> str:
    """A text without the user names and passwords of the URLs in it."""
    return _USERINFO.sub(f"//{MASK}@", text)


class Secrets:
    """Some secrets, to be taken out of texts in every spelling a server may echo them in.

    Args:
        secrets: The secrets; empty ones are left out.
        tokens: Whether to mask what looks like a token as well: for the answers of a token endpoint.
    """

    def __init__(self, secrets: Iterable[str], *, tokens: bool = False) -> None:
        spellings = {spelling for secret in secrets if secret for spelling in _spellings(str(secret))}
        # Longest first: one secret may be part of another.
        ordered = sorted(spellings, key=len, reverse=True)
        self._whole = [spelling for spelling in ordered if len(spelling) >= _SHORT]
        short = [spelling for spelling in ordered if len(spelling) < _SHORT]
        self._words = [_as_word(spelling) for spelling in short]
        # UTF-8 read as Latin-1, which maps every byte to one character and back.
        self._byte_words = [_as_word(spelling.encode().decode("latin-1")) for spelling in short]
        self._tokens = tokens

    def mask(self, text: str) -> str:
        """``text`` without the secrets."""
        for spelling in self._whole:
            if len(spelling) <= len(text):
                text = text.replace(spelling, MASK)
        for word in self._words:
            text = word.sub(MASK, text)
        if self._tokens:
            text = mask_tokens(text)
        return text

    def mask_all(self, text: str) -> str:
        """``text`` without the secrets and without the user names and passwords of URLs."""
        return mask_userinfo(self.mask(text))

    def mask_fragments(self, text: str) -> str:
        """``text`` without the secrets and without fragments of them, for a text that may be truncated.

        Returns at most the first 1000 characters.
        """
        text = self.mask(text)[:_SEARCHED]
        for spelling in self._whole:
            text = mask_fragments_of(spelling, text)
        return text

    def redact(self, raw: bytes) -> bytes:
        """``raw`` without the secrets: a gateway may echo the request into its error page."""
        for spelling in self._whole:
            if len(spelling) <= len(raw):
                raw = raw.replace(spelling.encode(), MASK.encode())
        if self._words or self._tokens:
            text = raw.decode("latin-1")
            masked = text
            for word in self._byte_words:
                masked = word.sub(MASK, masked)
            if self._tokens:
                masked = mask_tokens(masked)
            raw = raw if masked == text else masked.encode("latin-1")
        return raw

    def redact_headers(self, headers: Headers) -> Headers:
        """The same for the values of headers."""
        return type(headers)(tuple((name, self.redact(value)) for name, value in headers.raw))


def mask_fragments_of(secret: str, text: str) -> str:
    """``text`` without fragments of one secret of at least 12 characters, of a very long secret at least 23."""
    step = 1 if len(secret) <= _LONG else _FRAGMENT
    start = 0
    while start + _FRAGMENT <= len(text):
        if text[start : start + _FRAGMENT] not in secret:
            start += step
            continue
        first = start
        while step > 1 and first > 0 and start - first < step and text[first - 1 : start + _FRAGMENT] in secret:
            first -= 1
        end = first + _common(secret, text[first:])
        text = text[:first] + MASK + text[end:]
        start = first + len(MASK)
    return text


def _common(secret: str, text: str) -> int:
    """Length of the longest beginning of ``text`` that is in ``secret``."""
    low, high = _FRAGMENT, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] in secret else (low, middle - 1)
    return low


def _as_word(secret: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![0-9A-Za-z]){re.escape(secret)}(?![0-9A-Za-z])")


def _spellings(secret: str) -> set[str]:
    """A secret as it is, and escaped for JSON (also as .NET and PHP do), a URL or HTML."""
    escaped = json.dumps(secret)[1:-1]
    quoted = secret.encode().decode("latin-1").translate(_URL)
    return {
        secret,
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escaped.replace("/", "\\/"),
        escaped.replace("+", "\\u002B"),
        quoted,
        quoted.replace("%2F", "/"),
        quoted.replace("%20", "+"),
        secret.translate(_HTML),
    }
