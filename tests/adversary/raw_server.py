"""A charging service over raw sockets that misbehaves as scripted, and keeps its own record of the truth.

    async with RawServer() as server:
        server.script("start", lose_answer_after_effect)      # the next start; further ones are answered well
        server.always("active", gateway_404)                  # every look-up
        server.foreign(CARD, EVSE, began=-30)                 # another's session, begun 30 s ago
        async with AsyncShellEV("id", "secret", base_url=server.url) as ev:
            ...
        assert len(server.own_sessions()) == 1

Speaks V2, V1 and V1_PASCAL, by the paths that are asked. Every client id is let in, and is the name of the client in
the records. Times are those of ``clock``; the service's own clock and its gateway's Date header may be off.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import defaultdict, deque
from collections.abc import Callable
from email.utils import formatdate
from time import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, unquote_plus
from uuid import uuid4

from .faults import *  # noqa: F403 - scripted by the same import
from .faults import Ending, Envelope, Fault, nothing
from .http1 import BrokenRequest, HttpRequest, read_request, render, reset
from .truth import IMPOSSIBLE_IDS, ODD_IDS, Seen, Session
from .wording import failure, pascal

__all__ = ["IMPOSSIBLE_IDS", "ODD_IDS", "Ending", "Envelope", "Fault", "RawServer", "Seen", "Session"]

OPERATIONS = ("start", "stop", "retrieve", "active", "token")
#: Decides about a request before it is carried out; None leaves it to the scripts.
Choose = Callable[[Seen], Fault | None]


class RawServer:
    """The service. ``clock`` gives Unix seconds; everything settable is a plain attribute."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self.clock = clock
        self.service_offset = 0.0  #: By how many seconds the times in sessions are ahead of ``clock``.
        self.date_offset = 0.0  #: By how many seconds the Date header is ahead of ``clock``.
        self.sends_date = True
        self.frozen_date: str | None = None  #: A Date header that never changes, as a cache would send it.
        self.echo = True  #: Whether the request's own RequestId is played back.
        self.start_delay = 2.0
        self.stop_delay = 2.0
        self.listing_delay = 0.0  #: Seconds until a session made by a start is shown.
        self.new_session: Callable[[Seen], dict[str, Any]] = lambda _: {}  #: Fields of the next own session.
        self.on_start: Callable[[Session], object] = lambda _: None  #: Called when a start was carried out.
        self.token_lifetime = 3600
        self.choose: Choose | None = None
        self.pages: dict[str, Any] = {}  #: Answers to other paths, by how the path ends.
        self.sessions: list[Session] = []
        self.requests: list[Seen] = []
        self.connections = 0
        self._scripts: dict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._clients: dict[str, str] = {}
        self._by_card: dict[str, list[Session]] = defaultdict(list)
        self._by_id: dict[str, Session] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # What a test says

    def script(self, operation: str, *faults: Fault) -> Self:
        """The next requests of an operation meet these faults, one each, in order."""
        self._check(operation)
        self._scripts[operation].extend(faults)
        return self

    def always(self, operation: str, fault: Fault | None) -> Self:
        """Every request of an operation meets this fault, once its script is used up; None ends that."""
        self._check(operation)
        if fault is None:
            self._always.pop(operation, None)
        else:
            self._always[operation] = fault
        return self

    def foreign(
        self, card: str, evse: str, *, began: float = -30.0, ended: float | None = None, **fields: Any
    ) -> Session:
        """Another's session. ``began`` and ``ended`` are seconds from now; other fields as in :class:`Session`."""
        now = self.clock()
        session = Session(
            **{"id": str(uuid4()), "owner": None, "client": None, **fields}, card=card, evse=evse, began=now + began
        )
        if ended is not None:
            session.stops.append(now + ended)
            session.stopped_by.append(None)
        self._add(session)
        return session

    # What a test asks

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        assert self._server is not None, "the server does not listen"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def count(self, operation: str) -> int:
        """How many requests of an operation arrived."""
        self._check(operation)
        return sum(seen.operation == operation for seen in self.requests)

    def seen(self, operation: str) -> list[Seen]:
        """The requests of an operation, in order."""
        self._check(operation)
        return [seen for seen in self.requests if seen.operation == operation]

    def own_sessions(self, client: str | None = None) -> list[Session]:
        """What starts made, those of one client or of all."""
        return [s for s in self.sessions if s.owner is not None and (client is None or s.client == client)]

    def running(self, card: str | None = None, *, own: bool = True) -> list[Session]:
        """The sessions that have not ended, without the foreign ones unless ``own`` is False."""
        now = self.clock()
        return [
            s
            for s in self.sessions
            if not s.is_over(now) and (card is None or s.card == card) and (not own or s.owner is not None)
        ]

    # The listener

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(self.connections, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_request(reader)) is not None:
                if not await self._answer(number, request, reader, writer):
                    return
        except (BrokenRequest, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, number: int, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Carry out and answer one request. Returns whether the connection stays open."""
        seen = self._read(number, request)
        fault = seen.fault = self._fault(seen)
        self.requests.append(seen)
        status, body = await self._run(seen, request, fault)
        if fault.answer_after:
            await asyncio.sleep(fault.answer_after)
        headers = self._headers()
        if fault.status is not None:
            status, kind, body = failure(fault, seen.request_id if self.echo else "", "charge-session" in seen.path)
            headers["Content-Type"] = kind
        if fault.body is not None:
            body = fault.body
        headers = {name: value for name, value in (headers | fault.headers).items() if value}
        whole = render(status, headers, body) if fault.raw is None else fault.raw
        writer.write(whole if fault.share >= 1 else whole[: int(len(whole) * fault.share)])
        if fault.share >= 1 and fault.raw is None:
            seen.status, seen.answered_at = status, self.clock()
        if fault.extra:
            if fault.extra_after:
                await asyncio.sleep(fault.extra_after)
            writer.write(fault.extra)
        if fault.ending is Ending.HANG:
            while await reader.read(4096):
                pass
        elif fault.ending is Ending.RESET:
            reset(writer)
        return fault.ending is Ending.KEEP

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.frozen_date is not None:
            headers["Date"] = self.frozen_date
        elif self.sends_date:
            headers["Date"] = formatdate(int(self.clock() + self.date_offset), usegmt=True)
        return headers

    # What a request is

    def _read(self, number: int, request: HttpRequest) -> Seen:
        operation, session_id = _route(request)
        seen = Seen(
            operation=operation,
            at=self.clock(),
            connection=number,
            client=self._client(request),
            request_id=request.headers.get("requestid"),
            headers=request.headers,
            path=request.path,
            session_id=session_id,
        )
        if operation == "start":
            fields = {name.lower(): value for name, value in json.loads(request.body).items()}
            seen.card, seen.evse = fields.get("evchargenumber"), fields.get("evseid")
        elif operation == "active":
            seen.card = request.query.get("emaId", request.query.get("EmaId"))
        return seen

    def _client(self, request: HttpRequest) -> str | None:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            return base64.b64decode(value).decode().partition(":")[0]
        if request.path.endswith("/token"):
            fields = dict(pair.partition("=")[::2] for pair in request.body.decode().split("&"))
            return unquote_plus(fields.get("client_id", "")) or None
        return self._clients.get(value, value or None)

    def _fault(self, seen: Seen) -> Fault:
        chosen = self.choose(seen) if self.choose is not None else None
        if chosen is not None:
            return chosen
        script = self._scripts[seen.operation]
        return script.popleft() if script else self._always.get(seen.operation, nothing)

    # What becomes of it

    async def _run(self, seen: Seen, request: HttpRequest, fault: Fault) -> tuple[int, bytes]:
        handle: Callable[[Seen, Fault], tuple[int, dict[str, Any]]] = getattr(self, f"_{seen.operation}")
        if not fault.effect and seen.operation in ("start", "stop"):
            status, envelope = 200, self._envelope(seen, fault, None)
        elif fault.effect_after:
            done: asyncio.Future[tuple[int, dict[str, Any]]] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(fault.effect_after, lambda: _resolve(done, handle(seen, fault)))
            status, envelope = await asyncio.shield(done)
        else:
            status, envelope = handle(seen, fault)
        old = seen.operation != "token" and _is_pascal(request)
        return status, json.dumps(pascal(envelope, seen.operation) if old else envelope).encode()

    def _envelope(self, seen: Seen, fault: Fault, data: Any) -> dict[str, Any]:
        echoed = seen.request_id if fault.request_id is None else fault.request_id
        envelope: dict[str, Any] = {"requestId": echoed} if echoed and (self.echo or fault.request_id) else {}
        envelope["status"] = "SUCCESS"
        data = data if fault.data is None else fault.data
        return envelope if data is None or fault.drop_data else envelope | {"data": data}

    def _not_found(self, seen: Seen) -> tuple[int, dict[str, Any]]:
        envelope = self._envelope(seen, nothing, None) | {"status": "FAILED"}
        return 404, envelope | {"errors": [{"code": "E0038", "message": "Not Found", "description": "Not Found"}]}

    def _token(self, seen: Seen, _: Fault) -> tuple[int, dict[str, Any]]:
        token = f"tok-{uuid4().hex}"
        self._clients[token] = seen.client or "?"
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.token_lifetime}

    def _start(self, seen: Seen, fault: Fault) -> tuple[int, dict[str, Any]]:
        now = self.clock()
        fields: dict[str, Any] = {
            "id": str(uuid4()),
            "start_delay": self.start_delay,
            "stop_delay": self.stop_delay,
            "shown_from": now + self.listing_delay,
            **self.new_session(seen),
        }
        session = Session(
            card=seen.card or "", evse=seen.evse or "", owner=seen.request_id, client=seen.client, began=now, **fields
        )
        self._add(session)
        seen.carried_out, seen.session = True, session
        self.on_start(session)
        return 202, self._envelope(seen, fault, [{"sessionId": session.id}])

    def _stop(self, seen: Seen, fault: Fault) -> tuple[int, dict[str, Any]]:
        session, now = self._by_id.get(seen.session_id or ""), self.clock()
        seen.session = session
        if session is None or session.is_over(now):
            return self._not_found(seen)
        session.stops.append(now)
        session.stopped_by.append(seen.request_id)
        seen.carried_out = True
        return 202, self._envelope(seen, fault, None)

    def _retrieve(self, seen: Seen, fault: Fault) -> tuple[int, dict[str, Any]]:
        session, now = self._by_id.get(seen.session_id or ""), self.clock()
        seen.session = session
        if session is None or now < session.shown_from:
            return self._not_found(seen)
        return 200, self._envelope(seen, fault, [session.shown(now, self.service_offset)])

    def _active(self, seen: Seen, fault: Fault) -> tuple[int, dict[str, Any]]:
        now = self.clock()
        seen.listed = tuple(s for s in self._by_card[seen.card or ""] if s.shown_from <= now < s.hidden_from)
        shown = [s.shown(now, self.service_offset) for s in seen.listed for _ in range(s.copies)]
        for session in shown:
            if "sessionState" in session:
                session["SessionState"] = session.pop("sessionState")
        return 200, self._envelope(seen, fault, shown)

    def _unknown(self, seen: Seen, _: Fault) -> tuple[int, dict[str, Any]]:
        page = next((page for end, page in self.pages.items() if seen.path.endswith(end)), None)
        return (404, {"message": "no route", "path": seen.path}) if page is None else (200, page)

    def _add(self, session: Session) -> None:
        self.sessions.append(session)
        self._by_card[session.card].append(session)
        self._by_id[str(session.id)] = session

    @staticmethod
    def _check(operation: str) -> None:
        if operation not in OPERATIONS:
            raise ValueError(f"{operation!r} is none of {', '.join(OPERATIONS)}")


def _route(request: HttpRequest) -> tuple[str, str | None]:
    """Which operation is asked, and for which session."""
    if request.path.endswith("/oauth/token"):
        return "token", None
    _, found, rest = request.path.partition("/charge-session/")
    operation, _, in_path = rest.partition("/")
    if not found or operation not in OPERATIONS or operation == "token":
        return "unknown", None
    session_id = unquote(in_path) if in_path else request.query.get("sessionId", request.query.get("SessionId"))
    return operation, session_id


def _is_pascal(request: HttpRequest) -> bool:
    """Whether V1_PASCAL is spoken: what differs on the wire of each operation."""
    operation = request.path.partition("/charge-session/")[2]
    return b'"EvChargeNumber"' in request.body or "/" in operation or "EmaId" in request.query


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
