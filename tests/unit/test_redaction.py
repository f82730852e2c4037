"""Secrets stay out of texts, headers, tracebacks with local variables and chained errors; masking keeps the meaning."""

from __future__ import annotations

import base64
import html
import json
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from fakes import LOST, FakeSender, call, client_over, reply, token_reply
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import virtual_time

from shell_ev import (
    AccessToken,
    ApiError,
    AsyncShellEV,
    AuthenticationError,
    BadRequestError,
    ClientCredentials,
    ConfigurationError,
    ConnectError,
    InternalServerError,
    OutcomeUnknownError,
    ShellEV,
    ShellEVError,
    StaticToken,
    TransportError,
)
from shell_ev.core.failures import printable_cause
from shell_ev.models.response import Headers
from shell_ev.redaction import Secret, SecretBytes, Secrets, mask_fragments_of, mask_userinfo

SECRET = "swordfish/7+x"
LONG = "".join(f"{number:05x}" for number in range(200_000))  # 1 MB


@given(st.text(st.sampled_from("ab&<>\"';#/+é %"), min_size=3).filter(lambda text: text.strip() == text))
def test_a_secret_is_masked_in_every_spelling_of_servers(secret: str) -> None:
    secrets = Secrets([secret])
    for spelling in (
        secret,
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
    ):
        assert secrets.mask(f"[{spelling}]") == "[***]"
        assert secrets.redact(f"[{spelling}]".encode()) == b"[***]"


def test_of_two_secrets_the_longer_is_masked_first() -> None:
    assert Secrets(["abcdefgh", "abcdefgh12345678"]).mask("x abcdefgh12345678 y abcdefgh") == "x *** y ***"


def test_headers_are_masked_and_their_names_kept() -> None:
    headers = Secrets(["abcdefgh"]).redact_headers(Headers(((b"abcdefgh", b"1"), (b"X", b"is abcdefgh"))))
    assert headers.raw == ((b"abcdefgh", b"1"), (b"X", b"is ***"))


@pytest.mark.parametrize("secret", ["e", "E", "0", "code", "FAILED", "E0001", "message", "status", "errors"])
@virtual_time
async def test_a_short_secret_costs_an_error_neither_status_nor_code_nor_fields(secret: str) -> None:
    body = {"requestId": "r", "status": "FAILED", "errors": [{"code": "E0099", "message": "the card is unknown"}]}
    sender = FakeSender(token_reply(), reply(400, body, Content_Type="application/json"))
    async with client_over(sender, ClientCredentials("id", secret)) as ev:
        with pytest.raises(BadRequestError) as caught:
            await call(ev, "start")
    error = caught.value
    assert (error.status_code, error.code, error.message) == (400, "E0099", "the card is unknown")
    assert error.headers["Content-Type"] == "application/json"
    assert "status 400: E0099 the card is unknown" in str(error)


def test_a_short_secret_is_masked_as_a_whole_word() -> None:
    secrets = Secrets(["abc"])
    assert secrets.mask("secret=abc, abcd, 'abc'") == "secret=***, abcd, '***'"
    assert secrets.redact(b'{"s": "abc", "abcs": 1}') == b'{"s": "***", "abcs": 1}'


@pytest.mark.parametrize("start", [0, 1, 57, 500_000, 999_800])
def test_a_fragment_of_a_very_long_secret_is_masked(start: int) -> None:
    assert Secrets([LONG]).mask_fragments(f"Bad line 'Bearer {LONG[start : start + 150]}'") == "Bad line 'Bearer ***'"


class Counted(str):
    """A secret that counts how often it is searched."""

    searches = 0

    def __contains__(self, part: str) -> bool:  # type: ignore[override]
        Counted.searches += 1
        return super().__contains__(part)


def test_the_number_of_searches_for_fragments_is_bounded() -> None:
    for text in ("".join(chr(0x4E00 + number) for number in range(1000)), LONG[1000:2000], LONG[5:30] * 40):
        Counted.searches = 0
        mask_fragments_of(Counted(LONG), text)
        assert Counted.searches < 1000
        Counted.searches = 0
        mask_fragments_of(Counted(LONG[:8000]), text)
        assert Counted.searches < 2100


def test_a_secret_longer_than_a_text_is_not_searched_for_in_it() -> None:
    secrets = Secrets([LONG])
    Counted.searches = 0
    secrets._whole = [Counted(spelling) for spelling in secrets._whole]
    assert secrets.mask("a short text") == "a short text"
    assert Counted.searches == 0


def test_the_spellings_of_a_secret_are_put_together_once() -> None:
    secrets = Secrets([SECRET])
    spellings = list(secrets._whole)
    for _ in range(3):
        secrets.mask("text")
    assert secrets._whole == spellings


def test_a_secret_text_is_used_as_any_text_and_its_repr_is_masked() -> None:
    secret = Secret("my-secret")
    assert secret == "my-secret"
    assert f"Bearer {secret}" == "Bearer my-secret"
    assert {"my-secret": 1}[secret] == 1
    for shown in (repr(secret), repr(secret[:5]), repr({"a": [secret]}), f"{secret!r}"):
        assert "my-se" not in shown
    assert SecretBytes(b"my-secret") == b"my-secret"
    for shown in (repr(SecretBytes(b"my-secret")), repr(SecretBytes(b"my-secret")[:5])):
        assert "my-se" not in shown
    assert isinstance(AccessToken("x").value, Secret)
    assert isinstance(ClientCredentials("id", "x").basic, Secret)


TESTS = Path(__file__).resolve().parents[1]


def reported(error: BaseException | None) -> str:
    """What reporters that show local variables, Python's own and rich's, show of an error and of those behind it.

    The frames of the tests are left out: their variables hold the secrets.
    """
    from rich.pretty import pretty_repr

    lines: list[str] = []
    while error is not None:
        lines.append(f"{error} {error!r} {error.args!r} {pretty_repr(vars(error))}")
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename).is_relative_to(TESTS):
                continue
            lines.append(frame.f_code.co_name)
            for name, value in frame.f_locals.items():
                lines.append(f"{name} = {value!r} {pretty_repr(value, max_string=80, max_depth=5)}")
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


TOKEN = "eyJhbGciOiJub25l.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl" * 3


@pytest.mark.parametrize("auth", ["basic", "body"])
@pytest.mark.parametrize(
    "outcomes",
    [
        [reply(401, {"error": "invalid_client"})],
        [reply(200, f'{{"access_token": "{TOKEN} "}}'.encode())] * 3,
        [LOST] * 3,
        [token_reply(TOKEN), LOST],
        [token_reply(TOKEN), reply(500, TOKEN.encode())],
        [token_reply(TOKEN), reply(200, b"<html>")],
        [token_reply(TOKEN), RuntimeError("a bug")],
    ],
    ids=["refused", "garbled", "no token", "lost", "500", "unreadable", "bug"],
)
@virtual_time
async def test_no_frame_of_an_error_shows_a_secret(outcomes: list[object], auth: str) -> None:
    credentials = ClientCredentials("my-id", SECRET, auth=auth)  # type: ignore[arg-type]
    sender = FakeSender(*outcomes)  # type: ignore[arg-type]
    async with client_over(sender, credentials) as ev:
        with pytest.raises((ShellEVError, RuntimeError)) as caught:
            await call(ev, "start")
    report = reported(caught.value)
    assert "_attempt" in report or "_after_failure" in report or "_answer" in report
    for hidden in (SECRET, quote_plus(SECRET), TOKEN[:40], base64.b64encode(f"my-id:{SECRET}".encode()).decode()):
        assert hidden not in report


@pytest.mark.parametrize("make", [AsyncShellEV, ShellEV, AsyncShellEV.from_env, ShellEV.from_env])
@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"timeuot": 1}, {"token_source": StaticToken("x")}])
def test_no_frame_of_a_client_that_cannot_be_made_shows_its_secret(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        make(client_id="my-id", client_secret=SECRET, **wrong)
    assert SECRET not in reported(caught.value)


@pytest.mark.parametrize("status", [200, 302, 400, 403, 429, 500])
@pytest.mark.parametrize(
    "body",
    [
        f'{{"access_token": "{TOKEN}',
        f'{{"access_token": "{TOKEN} {TOKEN}"}}',
        f"access_token={TOKEN}&token_type=Bearer",
        f"<html>{TOKEN}</html>",
        TOKEN,
        f'{{"error": "server_error", "error_description": "access_token={TOKEN}"}}',
        "opaque-token-1",
        '{"access_token": "opaque-token-1 "}',
    ],
)
@virtual_time
async def test_a_token_in_a_garbled_token_answer_never_shows(body: str, status: int) -> None:
    location = f"https://portal.example/#access_token={TOKEN}"
    answer = reply(status, body.encode(), Location=location, X_Id_Token=f"id_token={TOKEN}")
    async with client_over(FakeSender(always=answer), ClientCredentials("id", SECRET), max_retries=0) as ev:
        with pytest.raises((AuthenticationError, ApiError)) as caught:
            await call(ev, "active")
    everything = reported(caught.value)
    for hidden in (TOKEN[:20], "opaque-token-1"):
        assert hidden not in everything


@virtual_time
async def test_text_of_the_service_is_one_printable_line_everywhere_in_an_error() -> None:
    evil = "line\r\nbreak \x1b[31mred\u202e"
    body = {"requestId": evil, "errors": [{"code": evil, "message": evil, "description": evil, "details": [evil]}]}
    async with client_over(FakeSender(reply(500, body))) as ev:
        with pytest.raises(InternalServerError) as caught:
            await call(ev, "start")
    error = caught.value
    detail = error.errors[0]
    for text in (str(error), error.code, error.message, error.request_id, detail.description, *detail.details):
        assert text is not None
        assert text.isprintable(), text
    assert error.code == "line break [31mred"


class Unlucky(Exception):
    """An error of a connector of the user's."""


def test_a_cause_with_a_secret_is_left_out_and_one_without_is_kept() -> None:
    secrets = Secrets([SECRET])
    cause = OSError(111, "Connection refused")
    cause.__cause__ = Unlucky(f"http://user:{SECRET}@proxy")
    assert printable_cause(cause, secrets) is cause
    assert cause.__cause__ is None
    assert printable_cause(Unlucky("http://user:unknown@proxy"), secrets) is None
    assert printable_cause(None, secrets) is None


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_password_of_a_proxy_is_in_no_chained_error_and_no_frame(closed_port: int, scheme: str) -> None:
    proxy = f"http://someone:hunter22@127.0.0.1:{closed_port}"
    url = f"{scheme}://ev.example"
    ev = AsyncShellEV(token_source=StaticToken("t"), base_url=url, proxy=proxy, max_retries=0)
    async with ev:
        with pytest.raises(ConnectError) as caught:
            await call(ev, "active")
    assert "hunter22" not in reported(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter22" not in f"{error} {error!r} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert isinstance(caught.value.__cause__, OSError)


async def test_no_frame_of_a_lost_connection_shows_the_token(closed_port: int) -> None:
    async with AsyncShellEV(
        token_source=StaticToken("the-static-token"), base_url=f"http://127.0.0.1:{closed_port}", max_retries=0
    ) as ev:
        with pytest.raises(TransportError) as caught:
            await call(ev, "start")
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert "the-static-token" not in reported(caught.value)


def test_user_names_and_passwords_of_urls_are_masked() -> None:
    assert mask_userinfo("cannot reach http://me:pw@host:1/x") == "cannot reach http://***@host:1/x"
    assert mask_userinfo("http://host/x") == "http://host/x"
