"""The service without its sockets: a request goes in, a reply and the way it has to leave come out."""

from __future__ import annotations

import asyncio
import random
import re
import time
import uuid
from collections import deque

import attrs

from shell_ev.sandbox import wire
from shell_ev.sandbox.charges import Charge, ChargeBook, Clock
from shell_ev.sandbox.faults import Fault, FaultKind, Faults
from shell_ev.sandbox.journal import Journal
from shell_ev.sandbox.locations import BadQuery, Locations, NoSuchLocation
from shell_ev.sandbox.oauth import Tokens, oauth_error
from shell_ev.sandbox.recording import RecordedRequest
from shell_ev.sandbox.records import Dialect, Ending, SandboxReply, SandboxRequest
from shell_ev.sandbox.routing import Call, find_call, json_object

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_RECORDED_REQUESTS = 10_000
_RECORDED_BODY = 16_384

Headers = tuple[tuple[str, str], ...]


class _Refused(Exception):
    """A request that the contract refuses."""

    def __init__(self, status: int, detail: str | None = None, problems: tuple[str, ...] = ()) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.problems = problems


class Service:
    """The Shell Recharge EV API in all three dialects, as a function of requests and a clock."""

    def __init__(
        self,
        *,
        clock: Clock = time.time,
        token_clock: Clock | None = None,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",
        seed: int = 2026,
        stations: int = 3000,
        token_lifetime: float = 3600,
        retrieve_state_key: str = wire.STATE_KEY,
        sdk_1_1: bool = False,
    ) -> None:
        """Build a service; nothing depends on anything but the seed, the clocks and the requests."""
        self.now = clock
        """The clock of the charges, unix seconds."""
        self.seed = seed
        self.journal: Journal = Journal()
        """What has changed, for the control API."""
        self.faults: Faults = Faults(lambda: self.journal.note("faults"))
        self.tokens: Tokens = Tokens(client_id, client_secret, token_lifetime, token_clock or clock, seed)
        self.book: ChargeBook = ChargeBook(clock, seed, lambda session_id: self.journal.note("charge", session_id))
        self.locations: Locations = Locations(self.book, seed, stations)
        self.requests: deque[RecordedRequest] = deque(maxlen=_RECORDED_REQUESTS)
        """The last 10,000 requests, oldest first."""
        self._first_choices = (checked_key(retrieve_state_key), sdk_1_1)
        self._state_key, sdk_1_1 = self._first_choices
        self.sdk_1_1: bool = sdk_1_1
        self.recorded: int = 0
        """How many requests were ever recorded; the number of the last one."""
        self._minted = random.Random(f"request {seed}")

    def reset(self) -> None:
        """Begin again from the seed: no charge, request, token, fault or set status, and every option as at first."""
        self.faults.clear()
        self.tokens.reset()
        self.book.reset()
        self.locations.reset()
        self.requests.clear()
        self.recorded = 0
        self._minted = random.Random(f"request {self.seed}")
        self._state_key, self.sdk_1_1 = self._first_choices
        self.journal.note("reset")

    @property
    def retrieve_state_key(self) -> str:
        """Where retrieve of G1.0 writes the state: `SessionState`, or `Sessionstate` as the page has it."""
        return self._state_key

    @retrieve_state_key.setter
    def retrieve_state_key(self, key: str) -> None:
        self._state_key = checked_key(key)

    @property
    def charges(self) -> list[Charge]:
        """Every charge ever accepted, in the order of the starts."""
        return self.book.charges

    def handle(self, request: SandboxRequest) -> SandboxReply:
        """Answer one request. Its effect, if it has one, has happened when this returns.

        Args:
            request: The request.
        """
        began = time.perf_counter()
        call = find_call(request, sdk_1_1=self.sdk_1_1)
        if call is None:
            reply = wire.gateway_not_found(request.path)
            self._record(request, None, reply, None, began)
            return reply
        given = _unquoted(request.header("RequestId"))
        # An error body has to carry a RequestId, so one is made up when the request has none worth echoing.
        call.request_id_is_good = given is not None and _UUID.fullmatch(given) is not None
        call.request_id = given if given is not None and call.request_id_is_good else self._mint_request_id()
        fault: Fault | None = None
        if request.method != call.method:
            reply = self._error(call, 405)
            reply = attrs.evolve(reply, headers=(*reply.headers, ("Allow", call.method)))
        else:
            fault = self.faults.take(call.operation)
            reply = self._perform(call) if fault is None else self._with_fault(call, fault)
        self._record(request, call, reply, fault, began)
        return reply

    async def hold_back(self, request: SandboxRequest, seconds: float) -> None:
        """Wait before the reply to a request is sent.

        Args:
            request: The request.
            seconds: Real seconds; infinity for a reply that is never sent.
        """
        await asyncio.sleep(seconds)

    def _record(
        self, request: SandboxRequest, call: Call | None, reply: SandboxReply, fault: Fault | None, began: float
    ) -> None:
        self.recorded += 1
        took = time.perf_counter() - began + reply.delay
        self.requests.append(
            RecordedRequest(
                None if call is None else call.operation,
                None if call is None else call.dialect,
                request.method,
                request.path,
                request.query,
                request.headers,
                request.body,
                self.now(),
                reply.status,
                reply.ending,
                self.recorded,
                "" if call is None or call.dialect is None else call.request_id,
                fault,
                took if reply.ending in (Ending.NORMAL, Ending.TRUNCATED) else None,
                reply.body[:_RECORDED_BODY],
            )
        )

    def _with_fault(self, call: Call, fault: Fault) -> SandboxReply:
        if fault.kind is FaultKind.TOKEN_REVOKED:
            if call.dialect is None:
                return self._error(call, 401)
            self.tokens.revoke(_bearer(call.request) or "")
            return self._perform(call)
        reply = self._perform(call) if fault.after_effect else None
        if fault.kind is FaultKind.DELAY:
            return attrs.evolve(reply or self._perform(call), delay=fault.seconds)
        if fault.kind is FaultKind.CONNECTION:
            return attrs.evolve(reply or self._pretended(call), ending=fault.ending)
        if fault.body is not None:
            headers: Headers = (("Content-Type", fault.content_type),)
            return SandboxReply(fault.status_code, _merged(headers, fault.headers), fault.body)
        error = self._error(call, fault.status_code)
        return attrs.evolve(error, headers=_merged(error.headers, fault.headers))

    def _pretended(self, call: Call) -> SandboxReply:
        """Build the success that a truncated answer begins with when nothing was done."""
        status = 202 if call.operation in ("charging.start", "charging.stop") else 200
        return wire.json_reply(status, wire.envelope(call.dialect or Dialect.V2, call.request_id, []))

    def _error(
        self, call: Call, status: int, detail: str | None = None, problems: tuple[str, ...] = ()
    ) -> SandboxReply:
        if call.dialect is None:
            return oauth_error(status, detail or "The token endpoint refused the request.")
        return wire.error_reply(call.dialect, call.operation, status, call.request_id, detail, problems)

    def _perform(self, call: Call) -> SandboxReply:
        """Check a call as the contract says and carry it out."""
        dialect = call.dialect
        if dialect is None:
            return self.tokens.answer(call.request)
        try:
            token = _bearer(call.request)
            if token is None or not self.tokens.alive(token):
                raise _Refused(401)
            if not call.request_id_is_good:
                raise _Refused(400, "The header RequestId must be a UUID in the form 8-4-4-4-12.")
            if call.operation == "charging.start":
                return self._start(call, dialect)
            if call.operation == "charging.stop":
                return self._stop(call, dialect)
            if call.operation == "charging.retrieve":
                return self._retrieve(call, dialect)
            if call.operation == "charging.active":
                return self._active(call, dialect)
            return self.locations.answer(call.operation, dialect, call.request_id, call.request.query, call.target)
        except _Refused as refusal:
            return self._error(call, refusal.status, refusal.detail, refusal.problems)
        except BadQuery as problem:
            return self._error(call, 400, None, problem.problems)
        except NoSuchLocation:
            return self._error(call, 404)

    def _start(self, call: Call, dialect: Dialect) -> SandboxReply:
        document = _json_body(call.request)
        pascal = dialect is Dialect.V1_PASCAL
        card_key, evse_key = ("EvChargeNumber", "EvseId") if pascal else ("evChargeNumber", "evseId")
        card, evse_id = document.get(card_key), document.get(evse_key)
        problems: list[str] = []
        if not isinstance(card, str) or not 1 <= len(card) <= 50:
            problems.append(f"{card_key} must be text of 1 to 50 characters.")
        if not isinstance(evse_id, str) or not 18 <= len(evse_id) <= 36:
            problems.append(f"{evse_key} must be text of 18 to 36 characters.")
        if problems or not isinstance(card, str) or not isinstance(evse_id, str):
            raise _Refused(400, None, tuple(problems))
        evse = self.locations.find_evse(evse_id)
        if evse is None:
            raise _Refused(404)
        charge = self.book.start(card, evse_id, evse.failure_code, dialect, call.request_id)
        self.locations.touch(evse_id)
        return wire.started_reply(dialect, call.request_id, charge.session_id)

    def _stop(self, call: Call, dialect: Dialect) -> SandboxReply:
        given: str | None = None
        if call.target is not None and call.request.body.strip():
            session_id = _json_body(call.request).get("SesssionId")
            if not isinstance(session_id, str):
                raise _Refused(400, None, ("SesssionId must be text.",))
            given = session_id
        charge = self.book.get(self._session_id(call, given, "sessionId"))
        if charge is None or not self.book.stop(charge):
            raise _Refused(404, "Session not found or Session has already been stopped")
        return wire.stopped_reply(dialect, call.request_id)

    def _retrieve(self, call: Call, dialect: Dialect) -> SandboxReply:
        given = None
        if call.target is not None:
            given = call.request.argument("SessionId")
            if given is None:
                raise _Refused(400, None, ("The query argument SessionId is missing.",))
        charge = self.book.visible(self._session_id(call, given, "sessionId"))
        if charge is None:
            raise _Refused(404, "Session not found")
        return wire.retrieve_reply(dialect, call.request_id, charge, self.retrieve_state_key)

    def _session_id(self, call: Call, given: str | None, name: str) -> str:
        """Find the session id where the dialect puts it; in G1.0 it travels twice and both have to agree."""
        if call.target is None:
            session_id = call.request.argument(name)
            if session_id is None:
                raise _Refused(400, None, (f"The query argument {name} is missing.",))
        else:
            session_id = call.target
            if given is not None and given.lower() != session_id.lower():
                raise _Refused(400, None, ("The session ids in the path and beside it differ.",))
        if not _UUID.fullmatch(session_id):
            raise _Refused(400, None, ("The session id must be a UUID of 36 characters.",))
        return session_id

    def _active(self, call: Call, dialect: Dialect) -> SandboxReply:
        pascal = dialect is Dialect.V1_PASCAL
        name, shortest, longest = ("EmaId", 1, 50) if pascal else ("emaId", 14, 19)
        ema_id = call.request.argument(name)
        if ema_id is None:
            raise _Refused(400, None, (f"The query argument {name} is missing.",))
        if not shortest <= len(ema_id) <= longest:
            raise _Refused(400, None, (f"{name} must have {shortest} to {longest} characters.",))
        return wire.active_reply(dialect, call.request_id, self.book.active(ema_id))

    def _mint_request_id(self) -> str:
        return str(uuid.UUID(int=self._minted.getrandbits(128), version=4))


def _merged(headers: Headers, overriding: Headers) -> Headers:
    names = {name.lower() for name, _ in overriding}
    return (*((name, value) for name, value in headers if name.lower() not in names), *overriding)


def _unquoted(request_id: str | None) -> str | None:
    # Java 2.x sends the id in double quotes, and its callers cannot avoid them.
    if request_id is not None and len(request_id) > 1 and request_id[0] == request_id[-1] == '"':
        return request_id[1:-1]
    return request_id


def checked_key(key: object) -> str:
    """Return a key for the state of a session in G1.0. Raises ValueError for any but the two that are known."""
    if not isinstance(key, str) or key not in (wire.STATE_KEY, wire.PAGE_STATE_KEY):
        raise ValueError(f"retrieve_state_key must be {wire.STATE_KEY} or {wire.PAGE_STATE_KEY}, not {key!r}")
    return key


def _bearer(request: SandboxRequest) -> str | None:
    scheme, _, token = (request.header("Authorization") or "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def _json_body(request: SandboxRequest) -> dict[str, object]:
    content_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise _Refused(400, "The body must be sent as application/json.")
    document = json_object(request.body)
    if document is None:
        raise _Refused(400, "The body must be a JSON object.")
    return document
