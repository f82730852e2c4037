"""THE request loop: token, one try, decision, wait, decode. There is no other.

Knows tries, deadlines and what a failure means for the caller; knows neither aiohttp nor any single operation.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs

from ..config import ApiVersion, ClientConfig, Timeout
from ..errors import ConfigurationError, ShellEVError
from ..models.response import ApiResponse
from ..wire.codec import FAILED, Codec, Decoded, Result, Undecodable
from ..wire.drafts import maker
from ..wire.operations import Operation, build
from .auth import (
    AccessToken,
    CheckedSource,
    ClientCredentials,
    Fetch,
    Grant,
    TokenCache,
    TokenSource,
    read_grant,
)
from .deadline import Deadline, DeadlineSweeper
from .exchange import Reply, Request, Sender, SendFailure
from .failures import CallFacts, api_error, decode_error, unanswered
from .hooks import Hooks, ambient_hooks
from .retry import Decision, Failure, decide, outcome_is_unknown, parse_retry_after
from .shared import Shared, Wire
from .telling import Watcher, watch
from .timing import Timers, running_loop

logger = logging.getLogger("shell_ev")

_respond: Callable[..., ApiResponse[Any]] = maker(ApiResponse)
_TOKEN = "token"  # noqa: S105 - the name of an operation


@attrs.define
class Progress:
    """How far a call has come, for a caller that must know what to do when it is cancelled half-way."""

    sent: bool = False
    """Whether the request may be on its way right now, or was left without an answer."""
    abandoned: bool = False
    """Set by the caller: finish the try under way, begin no other."""


@attrs.frozen(kw_only=True)
class CallOptions:
    """What a single call may set for itself, already checked."""

    request_id: str | None = None
    timeout: float | Timeout | None = None
    max_retries: int | None = None
    headers: Mapping[str, str] | None = None
    progress: Progress | None = None


NO_OPTIONS = CallOptions()


def mint_request_id() -> str:
    """A random UUID (version 4) as text; a third of the cost of ``str(uuid.uuid4())``."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@attrs.define(kw_only=True)
class _Call:
    """How far one logical call has come: what an error tells if it ends now."""

    name: str
    repeatable: bool
    arguments: Mapping[str, Any]
    request_id: str
    deadline: Deadline
    max_retries: int
    progress: Progress
    attempts: int = 0
    sent_at: datetime | None = None
    credentials: ClientCredentials | None
    tokens: tuple[str, ...] = ()
    watcher: Watcher | None = None

    def facts(self) -> CallFacts:
        return CallFacts(
            operation=self.name,
            request_id=self.request_id,
            attempts=self.attempts,
            repeatable=self.repeatable,
            # Put together here and not before: only a call that fails has something to hide.
            secrets=self.tokens if self.credentials is None else (*self.credentials.secrets, *self.tokens),
            arguments=self.arguments,
            sent_at=self.sent_at,
        )


class SessionManager:
    """Carries out operations. Copies made by :meth:`with_config` share connections and token."""

    def __init__(
        self,
        config: ClientConfig,
        source: TokenSource | ClientCredentials,
        make_sender: Callable[[], Sender],
        *,
        hooks: Hooks | None = None,
    ) -> None:
        self.hooks = hooks = hooks or ambient_hooks()
        self._shared = Shared(source, lambda: hooks.sender(make_sender()), self._cache, hooks.timers)
        self._credentials = source if isinstance(source, ClientCredentials) else None
        self._broken_hooks: set[str] = set()
        self._configure(config)

    def _configure(self, config: ClientConfig) -> None:
        self.config = config
        self._codec = Codec(config.api_version)
        self._api_url = config.api_url
        self._headers = {"Accept": "application/json", "User-Agent": config.user_agent}

    def with_config(self, config: ClientConfig) -> SessionManager:
        """A copy with another configuration over the same connections and token."""
        copy = SessionManager.__new__(SessionManager)
        copy.__dict__.update(self.__dict__)
        copy._configure(config)
        return copy

    @property
    def version(self) -> ApiVersion:
        """The dialect spoken."""
        return self.config.api_version

    def timers(self) -> Timers:
        """Time on the running loop."""
        return self.hooks.timers(running_loop())

    def limit(self, seconds: float) -> Deadline:
        """A limit on the time a block takes, as ``asyncio.timeout`` is one."""
        timers = self.timers()
        return DeadlineSweeper(timers).limit(timers.time() + seconds)

    async def call(
        self, operation: Operation, arguments: Mapping[str, Any], result: Result, options: CallOptions = NO_OPTIONS
    ) -> ApiResponse[Any]:
        """One logical call, whatever it takes within its time. Raises the errors of design section 3, no others."""
        self._shared.check()
        wire = self._shared.wire()
        started = wire.timers.time()
        timeout = Timeout.of(options.timeout, self.config.timeout)
        target = build(operation.routes[self.version], arguments)
        call = _Call(
            name=operation.name,
            repeatable=operation.repeatable,
            arguments=arguments,
            request_id=options.request_id or mint_request_id(),
            deadline=wire.deadlines.limit(math.inf if timeout.total is None else started + timeout.total),
            max_retries=self.config.max_retries if options.max_retries is None else options.max_retries,
            progress=options.progress or Progress(),
            credentials=self._credentials,
        )
        headers = {"RequestId": call.request_id, **self._headers}
        if options.headers:
            headers.update(options.headers)
        if target.body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(
            method=target.method,
            url=self._api_url + target.path,
            headers=headers,
            body=target.body,
            timeout=timeout,
            max_bytes=self.config.max_response_bytes,
        )
        if self.config.observers or logger.isEnabledFor(logging.DEBUG):
            route = operation.routes[self.version].path
            call.watcher = watch(self.config, call, request, route, wire.timers.time, self._broken_hooks)
        try:
            reply = await self._exchange(wire, call, request, self._shared.source)
            answer = self._answer(wire, call, reply, result, started)
        except BaseException as error:
            if call.watcher is not None:
                call.watcher.ended(call, error=error)
            raise
        if call.watcher is not None:
            call.watcher.ended(call, answer)
        return answer

    def _cache(self, credentials: ClientCredentials) -> TokenCache:
        fetch, fetch_early = self._fetch_with(credentials), self._fetch_with(credentials, early=True)
        return TokenCache(fetch, self.hooks.clock, fetch_early)

    def _fetch_with(self, credentials: ClientCredentials, *, early: bool = False) -> Fetch:
        """How a token travels: through the same loop, repeated like a GET, with no token of its own."""

        async def fetch() -> Grant:
            wire = self._shared.wire()
            total = self.config.timeout.total
            call = _Call(
                name=_TOKEN,
                repeatable=True,
                arguments={},
                request_id="",
                deadline=wire.deadlines.limit(math.inf if total is None else wire.timers.time() + total),
                max_retries=self.config.max_retries,
                progress=Progress(),
                credentials=credentials,
            )
            request = Request(
                method="POST",
                url=self.config.oauth_url,
                headers={
                    "Authorization": credentials.basic,
                    "Content-Type": "application/x-www-form-urlencoded",
                    **self._headers,
                },
                body=credentials.form,
                timeout=self.config.timeout,
                max_bytes=self.config.max_response_bytes,
            )
            if self.config.observers or logger.isEnabledFor(logging.DEBUG):
                call.watcher = watch(
                    self.config, call, request, None, wire.timers.time, self._broken_hooks, early=early
                )
            try:
                reply = await self._exchange(wire, call, request, None)
                grant = read_grant(reply, call.facts().mask)
            except BaseException as error:
                if call.watcher is not None:
                    call.watcher.ended(call, error=error)
                raise
            if call.watcher is not None:
                call.watcher.ended(call)
            return grant

        return fetch

    async def _exchange(self, wire: Wire, call: _Call, request: Request, source: CheckedSource | None) -> Reply:
        """Try until there is an answer to give or an error to raise, within the time of the call."""
        try:
            with call.deadline:
                token = await self._authorise(call, request, source)
                replayed = False
                retries = 0
                while True:
                    outcome = await self._try(wire, call, request)
                    if isinstance(outcome, Reply) and _good(outcome):
                        return outcome
                    failure = self._judge(call, outcome)
                    may_replay = failure.status == 401 and not replayed and not call.progress.abandoned
                    if may_replay and source is not None and token is not None:
                        replayed = True
                        source.invalidate(token)
                        fresh = await self._authorise(call, request, source)
                        if fresh is not None and fresh.value != token.value:
                            # Not counted as a retry: a refused token says nothing about the service.
                            token = fresh
                            continue
                    decision = decide(
                        failure,
                        repeatable=call.repeatable,
                        retries_done=retries,
                        max_retries=call.max_retries,
                        remaining=call.deadline.when - wire.timers.time(),
                        jitter=self.hooks.jitter,
                    )
                    if decision.wait is None or call.progress.abandoned:
                        return self._give_up(call, outcome, failure, decision)
                    retries += 1
                    if call.watcher is None:  # a wait is logged at a level where tries are not
                        call.watcher = Watcher(call, wire.timers.time, self._broken_hooks)
                    call.watcher.waits(call, outcome, decision.wait, failure.retry_after)
                    await wire.timers.sleep(decision.wait)
        except TimeoutError as error:
            if isinstance(error, ShellEVError) or not call.deadline.expired:
                raise
            late = SendFailure("no answer in time", sent=call.progress.sent, timed_out=True)
            raise unanswered(call.facts(), late) from None

    async def _authorise(self, call: _Call, request: Request, source: CheckedSource | None) -> AccessToken | None:
        if source is None:
            return None
        token = source.at_hand() or await source.acquire()
        call.tokens = (*call.tokens, token.value)
        request.headers["Authorization"] = self._shared.bearer(token)
        return token

    async def _try(self, wire: Wire, call: _Call, request: Request) -> Reply | SendFailure:
        """One try. Whether the request may be on its way is known at every moment of it."""
        call.attempts += 1
        began_at = wire.timers.time()
        remaining = call.deadline.when - began_at
        # Getting a connection may take what is left and no more: then running out of time there is known to
        # have happened before anything was sent. The deadline itself follows a moment later.
        connect_within = None if remaining == math.inf else max(remaining - 0.02, remaining / 2)
        if not call.repeatable:
            call.sent_at = self.hooks.utcnow()
        call.progress.sent = True
        try:
            reply = await wire.sender.send(request, connect_within, call.deadline)
        except SendFailure as problem:
            problem.reason = call.facts().mask(problem.reason)
            call.progress.sent = problem.sent
            if call.watcher is not None:
                call.watcher.tried(call, began_at, problem)
            return problem
        except BaseException as error:
            if isinstance(error, ConfigurationError):
                call.progress.sent = False
            if call.watcher is not None:
                call.watcher.cut_short(call, began_at, error)
            raise
        if call.watcher is not None:
            call.watcher.tried(call, began_at, reply)
        return reply

    def _judge(self, call: _Call, outcome: Reply | SendFailure) -> Failure:
        if isinstance(outcome, SendFailure):
            return Failure(sent=outcome.sent)
        retry_after = parse_retry_after(
            outcome.headers.get("Retry-After"), outcome.headers.get("Date"), self.hooks.utcnow()
        )
        failure = Failure(status=outcome.status, retry_after=retry_after)
        # A whole answer came: time that runs out before the next try runs out with nothing on its way.
        call.progress.sent = outcome_is_unknown(failure, repeatable=call.repeatable)
        return failure

    def _give_up(self, call: _Call, outcome: Reply | SendFailure, failure: Failure, decision: Decision) -> Reply:
        if isinstance(outcome, SendFailure):
            raise unanswered(call.facts(), outcome) from outcome.__cause__
        if call.name == _TOKEN and outcome.status < 500 and outcome.status != 429:
            return outcome  # a refusal; whoever asked for the token knows how to read it
        raise api_error(call.facts(), outcome, failure.retry_after, outcome_unknown=decision.outcome_unknown)

    def _answer(self, wire: Wire, call: _Call, reply: Reply, result: Result, started: float) -> ApiResponse[Any]:
        if reply.oversized:
            limit = self.config.max_response_bytes
            raise decode_error(call.facts(), reply, (f"$: larger than max_response_bytes ({limit} bytes)",))
        decoded: Decoded | None = None
        problems: tuple[str, ...] = ()
        try:
            decoded = self._codec.decode(result, reply.body)
        except Undecodable as reason:
            problems = reason.problems
        if decoded is None:
            # Raised out here: the reason behind the reason, a JSONDecodeError, holds the body as it came.
            raise decode_error(call.facts(), reply, problems)
        if decoded.status is FAILED:
            raise api_error(call.facts(), reply, None, outcome_unknown=False)
        if decoded.problems:
            told = [call.facts().mask(problem) for problem in decoded.problems[:3]]
            logger.info("%s: %d values could not be read: %s", call.name, len(decoded.problems), told)
        return _respond(
            data=decoded.data,
            request_id=decoded.request_id or call.request_id,
            status=decoded.status,
            status_code=reply.status,
            headers=reply.headers,
            body=reply.body,
            attempts=call.attempts,
            elapsed=wire.timers.time() - started,
            problems=decoded.problems,
        )

    async def aclose(self) -> None:
        """Close what is shared: only the client itself does, never a copy."""
        await self._shared.aclose()


def _good(reply: Reply) -> bool:
    return 200 <= reply.status <= 299
