"""One line per try at DEBUG, one per wait at INFO: as text, as fields, and with nothing that is nobody's business."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import CALLS, CARD, EVSE, REQUEST_ID, SESSION, FakeSender, call, client_over, good, never, reply
from listeners import outcome, watched
from raw_servers import raw_server
from virtual_time import virtual_time

from shell_ev import ApiVersion, AsyncShellEV, OutcomeUnknownError, StaticToken
from shell_ev.core.call import SendFailure
from shell_ev.sandbox import Fault, Sandbox

FIELDS = {"event", "operation", "request_id", "attempt", "outcome", "status", "failure"}


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a formatter that writes JSON finds in a record."""
    prefix = "shell_ev_"
    return {name.removeprefix(prefix): value for name, value in vars(record).items() if name.startswith(prefix)}


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if fields(record).get("event") == event]


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "shell_ev")
    return caplog


class TestATry:
    async def test_is_a_line_of_text_and_a_set_of_fields(
        self, sandbox: Sandbox, debug: pytest.LogCaptureFixture
    ) -> None:
        async with watched(sandbox) as ev:
            await call(ev, "active", request_id=REQUEST_ID)
        token, record = lines(debug, "try")
        assert record.levelno == logging.DEBUG
        reported = fields(record)
        assert set(reported) == FIELDS | {"elapsed"}
        elapsed = reported.pop("elapsed")
        assert 0 < elapsed < 5
        assert reported == {
            "event": "try",
            "operation": "charging.active",
            "request_id": REQUEST_ID,
            "attempt": 1,
            "outcome": "answered",
            "status": 200,
            "failure": None,
        }
        text = f"charging.active: attempt 1: status 200 after {elapsed:.3f} s (request {REQUEST_ID})"
        assert record.getMessage() == text
        assert fields(token)["operation"] == "token"
        assert fields(token)["request_id"] is None
        assert token.getMessage().endswith("(request -)")

    async def test_is_exactly_one_line_for_every_outcome(
        self, sandbox: Sandbox, debug: pytest.LogCaptureFixture
    ) -> None:
        sandbox.faults.add("charging.active", Fault.status(500))
        sandbox.faults.add("charging.active", Fault.token_revoked())
        sandbox.faults.add("charging.active", Fault.reset())
        sandbox.faults.add("charging.start", Fault.drop())
        sandbox.faults.add("charging.retrieve", Fault.garbage())
        sandbox.faults.add("charging.stop", Fault.truncate())
        async with watched(sandbox) as ev:
            for operation in ("active", "start", "retrieve", "stop"):
                await outcome(ev, operation)
        tries = [fields(record) for record in lines(debug, "try")]
        # aiohttp itself sends a GET again when a connection that it kept is gone: the sandbox may see one more.
        served = [request.operation for request in sandbox.requests]
        for operation in ("token", "charging.start", "charging.retrieve", "charging.stop"):
            assert sum(reported["operation"] == operation for reported in tries) == served.count(operation)
        active = [reported["status"] for reported in tries if reported["operation"] == "charging.active"]
        assert active[:2] == [500, 401]
        assert active[-1] == 200
        (start,) = (reported for reported in tries if reported["operation"] == "charging.start")
        assert (start["outcome"], start["status"]) == ("no_answer", None)
        assert "Disconnected" in start["failure"]

    @virtual_time
    async def test_that_time_or_the_caller_cuts_short_is_a_line_too(self) -> None:
        caught: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = caught.append  # type: ignore[method-assign]
        logger = logging.getLogger("shell_ev")
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            await outcome(client_over(FakeSender(always=never), timeout=2), "start", request_id=REQUEST_ID)
            task = asyncio.create_task(call(client_over(FakeSender(always=never)), "active", request_id=REQUEST_ID))
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.wait([task])
        finally:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
        assert [record.getMessage() for record in caught] == [
            f"charging.start: attempt 1: no answer in time after 2.000 s (request {REQUEST_ID})",
            f"charging.active: attempt 1: cancelled after 1.000 s (request {REQUEST_ID})",
        ]


class TestAWait:
    @pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
    async def test_is_a_line_at_info(self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, level: int) -> None:
        caplog.set_level(level, "shell_ev")
        sandbox.faults.add("charging.active", Fault.rate_limit(0.1))
        sandbox.faults.add("charging.active", Fault.status(502))
        async with watched(sandbox) as ev:
            await call(ev, "active", request_id=REQUEST_ID)
        reported, other = lines(caplog, "wait")
        assert reported.levelno == logging.INFO
        assert fields(reported) == {
            "event": "wait",
            "operation": "charging.active",
            "request_id": REQUEST_ID,
            "attempt": 1,
            "outcome": "answered",
            "status": 429,
            "failure": None,
            "wait": 0.1,
            "retry_after": 0.1,
        }
        assert reported.getMessage() == f"charging.active: status 429; trying again in 0.10 s (request {REQUEST_ID})"
        assert fields(other)["retry_after"] is None
        assert bool(lines(caplog, "try")) == (level == logging.DEBUG)


class TestOff:
    @pytest.fixture
    def records_made(self) -> Iterator[list[str]]:
        """Every record that is made anywhere, shown or not."""
        made: list[str] = []
        usual = logging.getLogRecordFactory()

        def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = usual(*args, **kwargs)
            made.append(record.name)
            return record

        logging.setLogRecordFactory(factory)
        yield made
        logging.setLogRecordFactory(usual)

    async def test_no_record_is_made(
        self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, records_made: list[str]
    ) -> None:
        sandbox.faults.add("charging.active", Fault.status(503))
        caplog.set_level(logging.WARNING)
        async with watched(sandbox) as ev:
            await call(ev, "active")
            assert records_made.count("shell_ev") == 0
            caplog.set_level(logging.DEBUG, "shell_ev")
            await call(ev, "active")
            assert records_made.count("shell_ev") == 1


class TestRedaction:
    @pytest.mark.parametrize("version", ApiVersion)
    @pytest.mark.parametrize("operation", CALLS)
    async def test_an_answer_that_is_no_http_names_no_session_and_no_card(
        self, debug: pytest.LogCaptureFixture, operation: str, version: ApiVersion
    ) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"this is not HTTP\r\n\r\n")
            writer.close()

        async with (
            raw_server(serve) as url,
            AsyncShellEV(token_source=StaticToken("planted-token"), base_url=url, api_version=version) as ev,
        ):
            error = await outcome(ev, operation, max_retries=0)
        (record,) = lines(debug, "try")
        assert record.getMessage().startswith(f"charging.{operation}: attempt 1: ")
        everything = record.getMessage() + repr(vars(record))
        for planted in (CARD, SESSION, EVSE, "planted-token"):
            assert planted not in everything
        assert "planted-token" not in str(error)

    async def test_a_url_in_the_words_of_others_is_cut_off_at_its_path(self, debug: pytest.LogCaptureFixture) -> None:
        failure = SendFailure(f"OddError: 407, url='https://ev.example/ev/v2/stop?sessionId={SESSION}'", sent=True)
        assert isinstance(await outcome(client_over(FakeSender(failure)), "stop"), OutcomeUnknownError)
        (record,) = lines(debug, "try")
        everything = record.getMessage() + repr(vars(record))
        assert "OddError: 407, url='https://ev.example/***'" in record.getMessage()
        assert SESSION not in everything

    async def test_a_story_without_a_secret(self, sandbox: Sandbox, debug: pytest.LogCaptureFixture) -> None:
        sandbox.faults.add("token", Fault.status(500))
        sandbox.faults.add("charging.start", Fault.status(401))
        sandbox.faults.add("charging.active", Fault.reset())
        async with watched(sandbox) as ev:
            for operation in CALLS:
                await outcome(ev, operation)
        tokens = {request.headers["Authorization"].split()[1] for request in sandbox.requests}
        planted = {sandbox.client_secret, "Authorization", "Bearer", CARD, EVSE, SESSION, *tokens}
        assert len(lines(debug, "try")) >= 7
        for record in debug.records:
            reported = record.getMessage() + repr(record.args) + repr(fields(record))
            assert not [secret for secret in planted if secret in reported]


async def test_a_json_formatter_needs_nothing_but_the_fields() -> None:
    usual = set(vars(logging.makeLogRecord({})))
    written: list[str] = []

    class Json(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            extra = {name: value for name, value in vars(record).items() if name not in usual}
            written.append(json.dumps({"message": record.getMessage(), **extra}))

    handler = Json()
    logger = logging.getLogger("shell_ev")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        ev = client_over(FakeSender(reply(503), good("active")), jitter=lambda _: 0.0)
        await call(ev, "active")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert [json.loads(line)["shell_ev_event"] for line in written] == ["try", "wait", "try"]
    assert json.loads(written[0])["shell_ev_status"] == 503
