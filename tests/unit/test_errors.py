"""The tree of errors: building never raises, text is one line, a pickle comes back equal, no secret gets in."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from fakes import (
    CALLS,
    GETS,
    LATE,
    LOST,
    NO_CONNECTION,
    POSTS,
    REFUSED,
    REQUEST_ID,
    FakeSender,
    call,
    client_over,
    reply,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import virtual_time

import shell_ev
from shell_ev import (
    ApiError,
    ApiVersion,
    AuthenticationError,
    BadRequestError,
    ClientCredentials,
    ConfigurationError,
    ConnectError,
    CredentialsRefusedError,
    ErrorDetail,
    ForbiddenError,
    InternalServerError,
    MethodNotAllowedError,
    NotFoundError,
    OutcomeUnknownError,
    RequestFailedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServiceUnavailableError,
    ShellEVError,
    StaticToken,
    TooManyRequestsError,
    TransportError,
    UnauthorizedError,
    ValidationError,
)
from shell_ev.core.call import Call, Progress, Reply, Request
from shell_ev.core.failures import api_error, decode_error
from shell_ev.errors import one_line, shown
from shell_ev.models.response import Headers
from shell_ev.redaction import Secrets
from shell_ev.wire.operations import START
from shell_ev.wire.results import STARTED

BY_STATUS: dict[int, type[ApiError]] = {
    302: ApiError,
    402: ApiError,
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    409: ApiError,
    418: ApiError,
    429: TooManyRequestsError,
    500: InternalServerError,
    501: InternalServerError,
    502: InternalServerError,
    503: ServiceUnavailableError,
    504: InternalServerError,
    599: InternalServerError,
}
UNKNOWN_AFTER_A_POST = {302, 402, 418, 500, 502, 503, 504, 599}

BODIES: dict[str, bytes] = {
    "empty": b"",
    "html": b"<html>\n<body><h1>Bad\tGateway</h1></body>\r\n</html>" * 100,
    "list": b"[1, 2]",
    "truncated": b'{"requestId": "9d2dee33", "errors": [{"code": "E00',
    "apigee": b'{"fault": {"faultstring": "It\\nbroke", "detail": {"errorcode": "steps.x"}}}',
    "pascal": b'{"RequestId": "abc", "Status": "FAILED", "Errors": [{"Code": "E0001", "Title": "T", "Detail": "D"}]}',
    "camel": b'{"requestId": "abc", "status": "FAILED", "errors": [{"code": "E0038", "message": "M"}]}',
    "errors is text": b'{"requestId": "abc", "errors": "just text"}',
    "errors is a number": b'{"requestId": "abc", "errors": 42}',
    "errors holds lists": b'{"requestId": "abc", "errors": [[[]], [{}], null]}',
    "long": json.dumps(
        {"errors": [{"code": "E" * 5000, "message": "m" * 5000, "description": "\u2028" * 50}]}
    ).encode(),
    "binary": bytes(range(256)),
}


def check_manners(error: ShellEVError) -> None:
    """What every error owes its user."""
    text = str(error)
    assert 0 < len(text) <= 1000
    assert text.isprintable(), "one line, nothing that disturbs a terminal or a log"
    assert isinstance(error.outcome_unknown, bool)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(error, protocol))
        assert type(back) is type(error)
        assert back == error
        assert str(back) == text
        assert back.outcome_unknown is error.outcome_unknown
        assert vars(back) == vars(error)
    assert copy.copy(error) == error
    assert copy.deepcopy(error) == error


@pytest.mark.parametrize("version", list(ApiVersion))
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("status", BY_STATUS)
@virtual_time
async def test_every_status_has_its_error_on_every_operation_with_any_body(
    version: ApiVersion, operation: str, status: int
) -> None:
    # A 404 of "active" in the service's own envelope is an empty list.
    bodies = [
        body
        for name, body in BODIES.items()
        if (status, operation) != (404, "active") or name not in ("camel", "pascal")
    ]
    for body in bodies:
        sender = FakeSender(always=reply(status, body, Content_Type="text/plain", Location="https://elsewhere/x"))
        async with client_over(sender, api_version=version, max_retries=0) as ev:
            with pytest.raises(ApiError) as caught:
                await call(ev, operation, request_id=REQUEST_ID)
        error = caught.value
        assert type(error) is BY_STATUS[status]
        assert error.status_code == status
        assert error.operation == f"charging.{operation}"
        assert error.body == body
        assert error.headers["content-type"] == "text/plain"
        assert error.attempts == 1
        assert error.outcome_unknown is (operation in POSTS and status in UNKNOWN_AFTER_A_POST)
        assert error.request_id in (REQUEST_ID, "abc", "9d2dee33")
        assert str(status) in str(error)
        check_manners(error)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("success", [200, 201, 202])
@virtual_time
async def test_an_envelope_that_says_failed_is_an_error_on_every_operation(operation: str, success: int) -> None:
    for status_key, word in (("status", "FAILED"), ("Status", "Failed"), ("STATUS", "failed")):
        body = {"requestId": "abc", status_key: word, "errors": [{"code": "E0001", "message": "not today"}]}
        async with client_over(FakeSender(always=reply(success, body))) as ev:
            with pytest.raises(RequestFailedError, match="not today") as caught:
                await call(ev, operation)
        assert caught.value.status_code == success
        assert caught.value.code == "E0001"
        assert not caught.value.outcome_unknown
        check_manners(caught.value)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("body", [b"", b"<html>hi</html>", b'{"requestId"', b"{}", b"null", b'"text"', b"7"])
@virtual_time
async def test_a_success_that_cannot_be_read_leaves_a_post_unknown(operation: str, body: bytes) -> None:
    sender = FakeSender(always=reply(200, body, Content_Type="text/html"))
    async with client_over(sender) as ev:
        with pytest.raises(ResponseDecodeError) as caught:
            await call(ev, operation, request_id=REQUEST_ID)
    error = caught.value
    assert error.outcome_unknown is (operation in POSTS)
    assert (error.status_code, error.content_type, error.body) == (200, "text/html", body)
    assert error.request_id == REQUEST_ID
    assert error.problems
    assert all(problem.startswith("$") for problem in error.problems)
    assert len(sender.requests) == error.attempts == (1 if operation in POSTS else 3)
    check_manners(error)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    ("failure", "get", "post"),
    [
        (LOST, TransportError, OutcomeUnknownError),
        (LATE, RequestTimeoutError, OutcomeUnknownError),
        (REFUSED, ConnectError, ConnectError),
        (NO_CONNECTION, RequestTimeoutError, RequestTimeoutError),
    ],
    ids=["lost", "late", "refused", "no connection"],
)
@virtual_time
async def test_without_an_answer_the_error_has_whether_the_request_was_sent(
    operation: str, failure: Any, get: type[TransportError], post: type[TransportError]
) -> None:
    async with client_over(FakeSender(always=failure)) as ev:
        with pytest.raises(TransportError) as caught:
            await call(ev, operation, request_id=REQUEST_ID)
    error = caught.value
    assert type(error) is (get if operation in GETS else post)
    assert error.request_sent is failure.sent
    assert error.outcome_unknown is (operation in POSTS and failure.sent)
    assert error.operation == f"charging.{operation}"
    assert error.request_id == REQUEST_ID
    assert REQUEST_ID in str(error)
    check_manners(error)


def some_of_every_class() -> list[ShellEVError]:
    facts: dict[str, Any] = {
        "status_code": 499,
        "operation": "charging.start",
        "code": "E0001",
        "message": "m",
        "errors": [ErrorDetail(code="E", details=("d",), additional_info={"a": None})],
        "request_id": REQUEST_ID,
        "headers": Headers(((b"A", b"1"), (b"a", b"2"))),
        "body": b"\x00\xff",
        "attempts": 3,
        "retry_after": 1.5,
        "outcome_unknown": True,
    }
    api = [cls("it failed", **facts) for cls in (ApiError, *ApiError.__subclasses__(), ServiceUnavailableError)]
    return [
        ShellEVError("base"),
        ConfigurationError("bad option"),
        ValidationError(["a is wrong", "b is wrong"], "charging.start"),
        AuthenticationError(
            "no", error="invalid_client", error_description="who?", status_code=401, headers={"A": "b"}
        ),
        TransportError("x", operation="charging.stop", request_id=REQUEST_ID, attempts=2, request_sent=True),
        ConnectError("x", operation="charging.stop", request_id=REQUEST_ID, attempts=2),
        RequestTimeoutError("x", operation="charging.stop", request_id=REQUEST_ID, attempts=2, request_sent=True),
        OutcomeUnknownError(
            "x",
            operation="charging.start",
            request_id=REQUEST_ID,
            attempts=1,
            arguments={"evse_id": "E"},
            sent_at=datetime(2024, 6, 19, tzinfo=UTC),
        ),
        *api,
        ResponseDecodeError("x", status_code=200, problems=["$: not JSON"], excerpt="<html>", body=b"<html>"),
    ]


@pytest.mark.parametrize("error", some_of_every_class(), ids=lambda error: type(error).__name__)
def test_every_class_of_error_pickles_copies_and_compares(error: ShellEVError) -> None:
    check_manners(error)
    assert error != Exception(*error.args)
    assert isinstance(hash(error), int)
    assert type(error).__name__ in repr(error)
    error.add_note("seen by me")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen by me"]


def test_errors_that_differ_are_not_equal() -> None:
    assert ShellEVError("a") != ShellEVError("b")
    assert ConfigurationError("a") != ShellEVError("a")
    assert ConnectError("a", attempts=1) != ConnectError("a", attempts=2)


def test_the_tree_is_the_designs() -> None:
    def bases(cls: type) -> set[str]:
        return {base.__name__ for base in cls.__mro__} - {
            cls.__name__,
            "object",
            "BaseException",
            "Exception",
            "Exported",
        }

    assert bases(RequestTimeoutError) == {"TransportError", "CallError", "ShellEVError", "TimeoutError", "OSError"}
    assert bases(OutcomeUnknownError) == bases(ConnectError) == {"TransportError", "CallError", "ShellEVError"}
    assert bases(ServiceUnavailableError) == {"InternalServerError", "ApiError", "CallError", "ShellEVError"}
    assert bases(ValidationError) == {"ShellEVError", "ValueError"}
    assert bases(CredentialsRefusedError) == {"AuthenticationError", "ShellEVError"}
    for name in ("ConfigurationError", "AuthenticationError"):
        assert bases(getattr(shell_ev, name)) == {"ShellEVError"}
    for name in ("TransportError", "ApiError", "ResponseDecodeError"):
        assert bases(getattr(shell_ev, name)) == {"CallError", "ShellEVError"}
    assert issubclass(RequestFailedError, ApiError)


def every_class(base: type[ShellEVError] = ShellEVError) -> list[type[ShellEVError]]:
    below = [cls for cls in base.__subclasses__() if cls.__module__.startswith("shell_ev")]
    return [base, *(cls for child in below for cls in every_class(child))]


@pytest.mark.parametrize("cls", dict.fromkeys(every_class()), ids=lambda cls: cls.__name__)
def test_every_class_can_be_made_from_its_text_and_from_its_args(cls: type[ShellEVError]) -> None:
    for error in (cls("no\nluck"), cls("no luck", True), cls("no luck", False), cls()):
        # As a JSON result backend does it.
        again = cls(*json.loads(json.dumps(error.args)))
        assert type(again) is cls
        assert str(again) == str(error)
        assert again.outcome_unknown is error.outcome_unknown
        assert again == error
    assert str(cls("no\nluck")) == "no luck"
    assert cls("no luck", True).outcome_unknown
    assert not cls("no luck", False).outcome_unknown
    assert "no luck" in repr(cls("no luck"))


@pytest.mark.parametrize("error", some_of_every_class(), ids=lambda error: type(error).__name__)
def test_the_args_of_a_full_error_give_its_text_and_outcome(error: ShellEVError) -> None:
    again = type(error)(*error.args)
    assert (str(again), again.outcome_unknown) == (str(error), error.outcome_unknown)
    error.outcome_unknown = not error.outcome_unknown
    again = type(error)(*error.args)
    assert (str(again), again.outcome_unknown) == (str(error), error.outcome_unknown)
    assert pickle.loads(pickle.dumps(error)).outcome_unknown is error.outcome_unknown


def test_an_error_pickled_by_an_earlier_version_comes_back() -> None:
    from shell_ev.errors import _rebuild

    error = _rebuild(InternalServerError, ("status 500",), {"status_code": 500, "outcome_unknown": True})
    assert error.outcome_unknown
    assert str(error) == "status 500"
    assert _rebuild(OutcomeUnknownError, ("lost",), {}).outcome_unknown


def test_made_from_its_text_an_error_has_the_status_of_its_class() -> None:
    assert [cls("x").status_code for cls in (shell_ev.NotFoundError, ServiceUnavailableError, ApiError)] == [
        404,
        503,
        0,
    ]


def test_a_text_as_faults_is_one_fault() -> None:
    assert ValidationError("evse_id must be text").faults == ("evse_id must be text",)


def test_a_validation_error_lists_its_faults() -> None:
    error = ValidationError(["evse_id must be text", "timeout must be positive"], "charging.start")
    assert error.faults == ("evse_id must be text", "timeout must be positive")
    assert str(error) == "charging.start: evse_id must be text; timeout must be positive"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_one_line_folds_cuts_and_never_raises() -> None:
    assert one_line("a\n\tb\x1b[31m\u2028c\ud800") == "a b [31m c"
    assert one_line("x" * 500, 10) == "x" * 9 + "\u2026"
    assert "Unprintable" in one_line(Unprintable())
    assert "Unprintable" in shown(Unprintable())
    assert shown(10**10000) == "<unprintable int>"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def a_start() -> Call:
    """A start as a failure finds it; what it was sent with plays no part."""
    nothing: Any = None
    return Call(
        operation=START,
        arguments={},
        result=STARTED,
        request_id=REQUEST_ID,
        request=Request(method="POST", url="https://ev.example", headers={}),
        source=None,
        resources=nothing,
        deadline=nothing,
        started=0.0,
        max_retries=2,
        progress=Progress(),
        read=nothing,
        error=nothing,
        attempts=1,
    )


@settings(max_examples=150)
@given(
    st.integers(100, 999),
    st.binary(max_size=120) | JSON.map(lambda value: json.dumps({"errors": value, "code": value}).encode()),
    st.lists(st.tuples(st.sampled_from([b"Location", b"Content-Type", b"X"]), st.binary(max_size=20)), max_size=3),
)
def test_building_an_error_never_raises(status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    answer = Reply(status=status, headers=Headers(tuple(headers)), body=body)
    secrets = Secrets(["tok"])
    check_manners(api_error(a_start(), secrets, answer, None, outcome_unknown=False))
    check_manners(decode_error(a_start(), secrets, answer, ("$: bad",)))


TOKENS = ["eyJhbGciOi.abc-_~", "to+ken/with=signs", "12345678"]


def spellings(secret: str) -> list[str]:
    """How servers echo it: as it is, escaped by PHP, by .NET, in a URL, character by character."""
    return [
        secret,
        secret.replace("/", "\\/"),
        secret.replace("+", "\\u002B"),
        quote(secret, safe=""),
        "".join(f"\\u{ord(c):04x}" for c in secret),
    ]


def no_trace(error: BaseException, *secrets: str) -> None:
    """Neither in the text nor in any attribute, nor in a pickle, nor in the errors behind it."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        for secret in secrets:
            for place in (str(current), repr(current), repr(vars(current)), repr(current.args)):
                assert secret not in place
        current = current.__cause__ or current.__context__
    pickled = pickle.dumps(error)
    for secret in secrets:
        assert secret.encode() not in pickled
    for attribute in ("message", "code", "errors", "body", "headers", "excerpt", "content_type", "problems", "error"):
        for secret in secrets:
            assert secret not in repr(getattr(error, attribute, ""))


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 500])
@pytest.mark.parametrize("operation", ["start", "active"])
@virtual_time
async def test_a_token_the_service_echoes_is_masked_everywhere(operation: str, status: int, token: str) -> None:
    bodies: list[str] = []
    for echoed in spellings(token):
        bodies += [
            f'{{"errors": [{{"message": "bad token {echoed}", "details": ["{echoed}"], "code": "{echoed}"}}]}}',
            f'{{"fault": {{"faultstring": "{echoed}"}}}}',
        ]
    bodies += [f"<html>Authorization: Bearer {token}</html>", token]
    for body in bodies:
        answer = reply(
            status,
            body.encode(),
            X_Echo=f"Bearer {token}",
            Location=f"https://login/?token={quote(token, safe='')}&raw={token}",
            Content_Type=f"text/{token}",
        )
        async with client_over(FakeSender(always=answer), StaticToken(token), max_retries=0) as ev:
            with pytest.raises((ApiError, ResponseDecodeError)) as caught:
                await call(ev, operation)
        # Character by character is more than the raw body is searched for; the decoded text must still be clean.
        if "\\u00" not in body or "\\u002B" in body:
            no_trace(caught.value, *spellings(token)[:-1])
        else:
            assert token not in str(caught.value)
            assert token not in repr(getattr(caught.value, "errors", ""))


@pytest.mark.parametrize("secret", ["s3cr3t/with+signs", 'quo"ted\\secret', "s\u00e9cr\u00e9t-secret"])
@pytest.mark.parametrize("status", [400, 401, 429, 500, 200, 302])
@virtual_time
async def test_a_client_secret_the_token_endpoint_echoes_is_masked_everywhere(status: int, secret: str) -> None:
    credentials = ClientCredentials("my-id", secret)
    basic = base64.b64encode(f"my-id:{secret}".encode()).decode()
    for make in _echoes():
        answer = reply(status, make(secret, basic), Content_Type="application/json", X_Echo=f"Basic {basic}")
        async with client_over(FakeSender(always=answer), credentials, max_retries=0) as ev:
            with pytest.raises(ShellEVError) as caught:
                await call(ev, "start")
        no_trace(caught.value, *spellings(secret)[:-1], *spellings(basic)[:-1])
        check_manners(caught.value)


def _echoes() -> list[Callable[[str, str], bytes]]:
    def described(secret: str, basic: str) -> bytes:
        return json.dumps({"error": "invalid_client", "error_description": f"{secret} / {basic}"}).encode()

    def escaped(secret: str, basic: str) -> bytes:
        return described(secret, basic).replace(b"/", b"\\/").replace(b"+", b"\\u002B")

    def plain(secret: str, basic: str) -> bytes:
        return f"client_secret={quote(secret)}&Authorization: Basic {basic} {secret}".encode()

    return [described, escaped, plain]


@virtual_time
async def test_a_token_in_the_reason_of_a_failed_try_is_masked() -> None:
    from shell_ev.core.call import SendFailure

    sender = FakeSender(always=lambda _: SendFailure("Bad status line 'Bearer static-token'", sent=True))
    async with client_over(sender) as ev:
        with pytest.raises(OutcomeUnknownError) as caught:
            await call(ev, "start")
    no_trace(caught.value, "static-token")
