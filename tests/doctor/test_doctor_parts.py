"""The doctor's parts: dependency order, clock, redaction, refusals of the token endpoint, the report."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
import trustme
from doctor_servers import answer_everything, behind_tls, listening, proxy, server_context, set_clock, trusting
from fault_cases import CLIENT_ID, options

from shell_ev import CredentialsRefusedError
from shell_ev.doctor import Limits, Outcome, as_markdown, as_text, diagnose
from shell_ev.doctor.clock import duration, judge, offset
from shell_ev.doctor.operations import refused
from shell_ev.doctor.plan import Check, CheckFailed, Verdict, ok, run_checks, skip
from shell_ev.doctor.settings import Redactor, masked_id, resolve
from shell_ev.sandbox import Sandbox
from shell_ev.sandbox.oauth import oauth_error
from shell_ev.sandbox.records import SandboxReply


async def fine() -> Verdict:
    return ok("fine")


async def broken() -> Verdict:
    raise CheckFailed("broken", "mend it")


async def test_a_check_that_needs_a_failed_one_is_skipped_with_the_first_cause() -> None:
    findings = await run_checks(
        [
            Check("c", fine, needs=("b",)),
            Check("b", fine, needs=("a",)),
            Check("a", broken),
            Check("d", fine),
            Check("e", fine, after=("a",)),
        ],
        5,
    )
    assert [(finding.check, finding.outcome.value, finding.seen) for finding in findings] == [
        ("c", "skipped", "not tried: a failed"),
        ("b", "skipped", "not tried: a failed"),
        ("a", "failed", "broken"),
        ("d", "ok", "fine"),
        ("e", "ok", "fine"),
    ]


async def test_a_skipped_check_does_not_skip_its_dependents() -> None:
    async def nothing() -> Verdict:
        return skip("not applicable")

    findings = await run_checks([Check("a", nothing), Check("b", fine, needs=("a",))], 5)
    assert [finding.outcome for finding in findings] == [Outcome.SKIPPED, Outcome.OK]


async def test_an_exception_in_a_check_becomes_a_failed_finding() -> None:
    async def breaks() -> Verdict:
        raise KeyError("what")

    findings = await run_checks([Check("a", breaks), Check("b", fine, needs=("a",)), Check("c", fine)], 5)
    assert findings[0].outcome is Outcome.FAILED
    assert findings[0].seen == "this check itself broke: KeyError: 'what'"
    assert "fault of shell_ev, not of your set-up" in findings[0].advice
    assert [finding.outcome for finding in findings[1:]] == [Outcome.SKIPPED, Outcome.OK]


async def test_checks_end_at_the_total_time_limit() -> None:
    async def endless() -> Verdict:
        await asyncio.get_running_loop().create_future()
        return ok("never")

    began = time.monotonic()
    findings = await run_checks([Check("a", endless), Check("b", fine, needs=("a",)), Check("c", fine)], 0.1)
    assert time.monotonic() - began < 2
    assert [finding.outcome for finding in findings] == [Outcome.FAILED, Outcome.SKIPPED, Outcome.OK]
    assert findings[0].seen == "not finished when the 0.1 s for all checks were over"
    assert findings[1].seen == "not tried: the 0.1 s for all checks were over"


async def test_independent_checks_run_concurrently() -> None:
    meeting = asyncio.Barrier(2)

    async def meets() -> Verdict:
        await meeting.wait()
        return ok("met")

    findings = await run_checks([Check("a", meets), Check("b", meets)], 5)
    assert [finding.seen for finding in findings] == ["met", "met"]


async def test_a_cancellation_ends_the_checks() -> None:
    waiting = asyncio.Event()

    async def endless() -> Verdict:
        waiting.set()
        await asyncio.get_running_loop().create_future()
        return ok("never")

    task = asyncio.create_task(run_checks([Check("a", endless)], 30))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_bug_in_a_check_is_reported_as_a_bug_of_shell_ev() -> None:
    broken_limits = Limits(clock_odd=None)  # type: ignore[arg-type]
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(options(sandbox.url), variables=[], limits=broken_limits)
    (failed,) = diagnosis.failed
    assert failed.check == "clock"
    assert failed.seen.startswith("this check itself broke: TypeError")
    assert "please report it" in failed.advice


DATE = "Wed, 19 Jun 2024 07:36:57 GMT"
LOCAL = datetime(2024, 6, 19, 7, 36, 57, tzinfo=UTC).timestamp() + 0.5


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"date": DATE}, 0.0),
        ({"date": DATE, "age": "30"}, -30.0),
        ({"date": DATE, "age": "old"}, 0.0),
        ({"date": DATE, "age": "9" * 40}, 0.0),
        ({"date": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_clock_offset_is_computed_from_the_date_header(headers: dict[str, str], expected: float | None) -> None:
    assert offset(LOCAL, headers) == expected


@pytest.mark.parametrize(
    ("ahead", "named"),
    [
        (600, "10 minutes ahead of"),
        (-600, "10 minutes behind"),
        (3600 * 5, "5 hours ahead of"),
        (-86400 * 400, "400 days behind"),
        (120, "2 minutes ahead of"),
    ],
)
def test_a_wrong_clock_is_reported_with_size_and_direction(ahead: float, named: str) -> None:
    with pytest.raises(CheckFailed, match=named):
        judge(ahead, "api.example", Limits())


def test_durations_are_shown_in_the_largest_fitting_unit() -> None:
    assert [duration(seconds) for seconds in (1.4, 119, 120, 7199, 7200, 172800)] == [
        *("1 seconds", "119 seconds", "2 minutes", "120 minutes", "2 hours", "2 days")
    ]


@pytest.mark.parametrize(("ahead", "named"), [(600, "10 minutes ahead of"), (-600, "10 minutes behind")])
async def test_a_wrong_clock_of_this_machine_fails_the_clock_check(ahead: float, named: str) -> None:
    async with Sandbox(stations=5) as sandbox:
        diagnosis = await diagnose(options(sandbox.url), variables=[], now=lambda: time.time() + ahead)
    (failed,) = diagnosis.failed
    assert failed.check == "clock"
    assert named in failed.seen


async def test_a_certificate_expired_by_a_wrong_clock_blames_the_clock() -> None:

    then = datetime(2024, 6, 19, tzinfo=UTC)
    authority = trustme.CA()
    certificate = authority.issue_cert(
        "localhost", not_before=datetime(2024, 1, 1, tzinfo=UTC), not_after=datetime(2024, 12, 31, tzinfo=UTC)
    )
    async with behind_tls(server_context(certificate)) as (sandbox, url):
        set_clock(sandbox, ahead=(then - datetime.now(UTC)).total_seconds())
        diagnosis = await diagnose(options(url, ssl=trusting(authority)), variables=[])
    tls, clock = diagnosis.failed
    assert (tls.check, clock.check) == ("tls", "clock")
    assert "by this machine's clock; by the server's it is valid" in tls.seen
    assert tls.advice == "Set the clock first."
    assert "days ahead of that of localhost" in clock.seen


def test_every_encoding_of_a_secret_is_masked() -> None:
    clean = Redactor("client-0123456789", ["s3cr/et+"]).clean
    text = 'said s3cr/et+ and s3cr%2Fet%2B and "s3cr\\/et+" for Y2xpZW50LTAxMjM0NTY3ODk6czNjci9ldCs= client-0123456789'
    assert clean(text) == 'said *** and *** and "***" for *** clie…'


def test_no_fragment_of_a_secret_shows_at_the_end_of_a_cut_text() -> None:
    assert "half-of-" not in Redactor(None, ["half-of-it-shows"]).clean("x" * 290 + "half-of-it-shows")


def test_a_short_secret_that_is_a_common_word_is_not_masked() -> None:
    assert Redactor(None, ["wrong"]).clean("the secret is wrong") == "the secret is wrong"


async def test_a_password_repeated_by_a_proxy_is_masked() -> None:
    async with proxy("407 No user with pass-word-4711") as served:
        through = served.url.replace("//", "//user:pass%2Dword%2D4711@")
        diagnosis = await diagnose(options("https://api.invalid", proxy=through), variables=[])
    (failed,) = diagnosis.failed
    assert "407 No user with ***" in failed.seen
    assert "4711" not in repr(diagnosis)


def test_passwords_in_urls_and_home_directories_are_removed() -> None:
    clean = Redactor(None, []).clean
    assert clean("http://user:p@ss@proxy:1 and /home/jane/x and C:\\Users\\Jane Doe\\x") == (
        "http://***@proxy:1 and ~/x and ~\\x"
    )


@pytest.mark.parametrize(("client_id", "shown"), [("abcdefghijkl", "abcd…"), ("abcdefgh", "ab…"), ("test", "…")])
def test_an_id_shows_its_first_characters_only(client_id: str, shown: str) -> None:
    assert masked_id(client_id) == shown


async def test_credentials_echoed_by_a_server_are_masked() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b'{"error": "invalid_client", "error_description": ' + repr(head.decode()).encode() + b"}"
        body = body.replace(b"'", b'"').replace(b"\\r\\n", b" ")
        name = head.replace(b"\r\n", b" ")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nX-Request-Id: " + name)
        writer.write(b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        await reader.read(1024)

    async with listening(serve) as port:
        diagnosis = await diagnose(options(f"http://127.0.0.1:{port}"), variables=[])
    (failed,) = diagnosis.failed
    assert "Authorization" in failed.seen
    for text in (as_text(diagnosis), as_markdown(diagnosis), repr(diagnosis)):
        assert "c2FuZGJveC1jbGllbnQ6c2FuZGJveC1zZWNyZXQ" not in text
        assert CLIENT_ID not in text


@pytest.mark.parametrize(
    ("error", "description", "named"),
    [
        ("invalid_client", "ClientId is Invalid", "the client id is wrong"),
        ("invalid_client", "Unknown client_id", "the client id is wrong"),
        ("invalid_client", "Client secret is invalid", "the client secret is wrong"),
        (
            "invalid_client",
            "Client unknown or secret wrong.",
            "the client id or the client secret is wrong",
        ),
        ("invalid_client", None, "the client id or the client secret is wrong"),
        ("unauthorized_client", None, "these credentials are known, but may not fetch a token"),
        ("invalid_scope", None, "the scope is refused"),
    ],
)
async def test_the_wrong_part_of_the_credentials_is_named(error: str, description: str | None, named: str) -> None:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(sandbox, oauth_error(401, description or "", error))
        diagnosis = await diagnose(options(sandbox.url), variables=[])
    (failed,) = diagnosis.failed
    assert (failed.check, named in failed.seen) == ("token", True), failed.seen


@pytest.mark.parametrize(
    ("client_id", "client_secret", "named"),
    [
        ('"quoted-client"', "fine-secret", "The id begins and ends with a quotation mark."),
        ("fine-client", "'quoted-secret'", "The secret begins and ends with a quotation mark."),
        ("fine-client", "sec ret", "The secret contains a space or an unusual character."),
        ("twice-the-same", "twice-the-same", "The id and the secret are the same."),
    ],
)
async def test_likely_typos_in_the_credentials_are_named(client_id: str, client_secret: str, named: str) -> None:
    async with Sandbox(stations=5) as sandbox:
        given = options(sandbox.url, client_id=client_id, client_secret=client_secret)
        diagnosis = await diagnose(given, variables=[])
    (failed,) = diagnosis.failed
    assert named in failed.advice
    assert client_secret not in repr(diagnosis)


@pytest.mark.parametrize(("environment", "other"), [("production", "test"), ("test", "production")])
async def test_the_other_environment_is_suggested_for_refused_credentials(environment: str, other: str) -> None:

    places = [("environment", {"SHELL_EV_ENVIRONMENT": environment})]
    settings = resolve({"client_id": "some-client", "client_secret": "some-secret"}, places)
    failed = refused(CredentialsRefusedError("no", error="invalid_client", status_code=401), settings)
    assert f"this is {environment}; if they are for {other}, set SHELL_EV_ENVIRONMENT={other}" in failed.advice


async def test_the_report_has_the_facts_and_escapes_markup_of_the_server() -> None:
    async with Sandbox(stations=5) as sandbox:
        answer_everything(
            sandbox,
            SandboxReply(
                401,
                (("Content-Type", "application/json"),),
                b'{"error": "invalid_client", "error_description": "<img src=x> [click](http://x) @all | `x` #1"}',
            ),
        )
        diagnosis = await diagnose(options(sandbox.url), variables=[])
    report = as_markdown(diagnosis)
    for wanted in (
        "shell\\_ev",
        "Python",
        "aiohttp",
        "platform",
        "environment | production",
        "API | http://127",
        "✗ |",
    ):
        assert wanted in report
    assert "&#60;img src=x&#62; \\[click\\](http://x) &#64;all \\| \\`x\\` &#35;1" in report
    assert as_text(diagnosis, ascii_only=True).isascii()
    lines = as_text(diagnosis).splitlines()
    assert len(lines[: lines.index("")]) == len(diagnosis.findings)
    assert lines[-1].startswith("1 check failed (")
    # Aligned: every finding begins in the same column.
    assert len({line.index(finding.seen) for line, finding in zip(lines, diagnosis.findings, strict=False)}) == 1
