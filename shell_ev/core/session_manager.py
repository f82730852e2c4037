"""The request loop, the only one: token, attempt, decision, wait, decode."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from ..dialects import ApiVersion
from ..errors import ConfigurationError, ShellEVError, one_line
from ..models.response import ApiResponse
from ..options import ClientConfig, Timeout
from ..redaction import Secrets
from ..wire.codec import Codec
from ..wire.codegen import constructor
from ..wire.error_bodies import is_service_envelope, read_error_body
from ..wire.operations import Operation, build
from ..wire.results import FAILED, NOTHING, Decoded, Result, Undecodable
from .auth import TOKEN, AccessToken, ClientCredentials, Fetch, Grant, TokenCache, TokenSource, no_token, read_grant
from .call import (
    NO_OPTIONS,
    Call,
    CallOptions,
    Gate,
    Outcome,
    Progress,
    Reply,
    Request,
    Sender,
    SendFailure,
    Unreadable,
    is_same_request,
    mint_request_id,
)
from .connections import Connections
from .deadlines import Deadline, DeadlineSweeper
from .failures import api_error, decode_error, not_ours, printable_cause, unanswered
from .journal_notify import JournalNotifier
from .ledger import Ledger
from .notify import CallNotifier, notifier_for
from .ownership import Ownership
from .retry import CLEAR_REFUSALS, Failure, decide, outcome_is_unknown, parse_retry_after
from .runtime import Hooks, Timers, ambient_hooks, running_loop
from .service_clock import ServiceClock

logger: logging.Logger = logging.getLogger("shell_ev")

#: A fifth of the time of the frozen class itself: 3 % of a call.
_response: Final = constructor(ApiResponse)
_FAILURES: Final = (Reply, SendFailure, Unreadable)
_NONE_IN_TIME: Final = object()


class SessionManager:
    """Carries out operations. Copies made by :meth:`with_config` share connections and token.

    Args:
        config: Options of the client.
        source: Where tokens come from.
        make_sender: Opens the connections of one event loop.
        hooks: Clock, jitter and sender of a test.
        gate: What every attempt passes before anything is sent; token requests do not.
    """

    def __init__(
        self,
        config: ClientConfig,
        source: TokenSource | ClientCredentials,
        make_sender: Callable[[], Sender],
        *,
        hooks: Hooks | None = None,
        gate: Gate | None = None,
    ) -> None:
        hooks = hooks or ambient_hooks()
        self.hooks: Hooks = hooks
        self._connections = Connections(source, lambda: hooks.sender(make_sender()), self._cache, hooks.timers)
        self._credentials = source if isinstance(source, ClientCredentials) else None
        self._gates: tuple[Gate, ...] = () if gate is None else (gate,)
        #: Sessions held and starts in flight.
        self.ownership: Ownership = Ownership(hooks.clock)
        self.service_clock: ServiceClock = ServiceClock()
        #: The journal of starts; None without a store.
        self.ledger: Ledger | None = None
        self._broken_hooks: set[str] = set()
        #: Headers of every request besides those of the connections.
        self._headers: dict[str, str] = {}
        self._configure(config)

    def _configure(self, config: ClientConfig) -> None:
        self.config = config
        self._codec = Codec(config.api_version)
        self._api_url = config.api_url
        # A token endpoint elsewhere has a clock of its own.
        self._is_token_dated = config.oauth_url.startswith(config.api_url)

    def with_config(self, config: ClientConfig) -> SessionManager:
        """A copy with another configuration over the same connections and token."""
        copy = SessionManager.__new__(SessionManager)
        copy.__dict__.update(self.__dict__)
        copy._headers = {"User-Agent": config.user_agent}
        copy._configure(config)
        return copy

    @property
    def version(self) -> ApiVersion:
        """The dialect spoken."""
        return self.config.api_version

    @property
    def journal_notifier(self) -> JournalNotifier:
        """Notifies the observers of what becomes of entries in the journal."""
        return JournalNotifier(self.config.observers, self._broken_hooks, self.timers().time)

    def timers(self) -> Timers:
        """Time on the running loop."""
        return self.hooks.timers(running_loop())

    def limit(self, seconds: float) -> Deadline:
        """A limit on the time of a block, as ``asyncio.timeout`` is one."""
        timers = self.timers()
        return Deadline(DeadlineSweeper(timers), timers.time() + seconds)

    def call(
        self, operation: Operation, arguments: Mapping[str, Any], result: Result, options: CallOptions = NO_OPTIONS
    ) -> Coroutine[Any, Any, ApiResponse[Any]]:
        """Carry out one logical call within its time.

        Await it at once: its time runs. A plain function around the coroutine, so that what only prepares the call is
        not kept in memory while it waits.

        Args:
            operation: What to do.
            arguments: Its arguments, checked.
            result: What it answers with.
            options: What this call sets for itself.

        Raises:
            ShellEVError: The call failed; its classes are the only errors of a call.
        """
        config = self.config
        resources = self._connections.resources()
        started = resources.timers.time()
        timeout = config.timeout if options.timeout is None else Timeout.of(options.timeout, config.timeout)
        route = operation.routes[config.api_version]
        path, body = build(route, arguments)
        request_id = options.request_id or mint_request_id()
        headers = {"RequestId": request_id, **self._headers}
        if options.headers:
            headers.update(options.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        call = Call(
            operation=operation,
            arguments=arguments,
            result=result,
            request_id=request_id,
            request=Request(
                method=route.method,
                url=self._api_url + path,
                headers=headers,
                body=body,
                timeout=timeout,
                max_bytes=config.max_response_bytes,
            ),
            source=self._connections.source,
            resources=resources,
            deadline=Deadline(resources.deadlines, math.inf if timeout.total is None else started + timeout.total),
            started=started,
            max_retries=config.max_retries if options.max_retries is None else options.max_retries,
            progress=options.progress or Progress(),
            read=self._read_answer,
            error=self._answer_error,
            gates=self._gates if options.gate is None else (*self._gates, options.gate),
        )
        if config.observers or logger.isEnabledFor(logging.DEBUG):
            call.notifier = notifier_for(config, call, route.path, self._broken_hooks)
        return self._run(call)

    def _cache(self, credentials: ClientCredentials) -> TokenCache:
        fetch, fetch_early = self._fetch_with(credentials), self._fetch_with(credentials, early=True)
        return TokenCache(fetch, self.hooks.clock, fetch_early)

    def _fetch_with(self, credentials: ClientCredentials, *, early: bool = False) -> Fetch:
        """A fetch of a token: a call of its own, repeated like a GET, that needs no token."""

        def fetch() -> Coroutine[Any, Any, Grant]:
            config = self.config
            resources = self._connections.resources()
            started = resources.timers.time()
            total = config.timeout.total
            call = Call(
                operation=TOKEN,
                arguments={},
                result=NOTHING,
                request_id="",
                request=Request(
                    method="POST",
                    url=config.oauth_url,
                    headers={**credentials.headers, **self._headers},
                    body=credentials.form,
                    timeout=config.timeout,
                    max_bytes=config.max_response_bytes,
                ),
                source=None,
                resources=resources,
                deadline=Deadline(resources.deadlines, math.inf if total is None else started + total),
                started=started,
                max_retries=config.max_retries,
                progress=Progress(),
                read=self._read_grant,
                error=self._token_error,
            )
            if config.observers or logger.isEnabledFor(logging.DEBUG):
                call.notifier = notifier_for(config, call, None, self._broken_hooks, early=early)
            return self._run(call)

        return fetch

    async def _run(self, call: Call) -> Any:
        """Make attempts until one has an answer that can be read or the error of the call is certain."""
        answer: Any = _NONE_IN_TIME
        try:
            try:
                with call.deadline:
                    if call.source is not None:
                        self._authorise(call, call.source.cached() or await call.source.acquire())
                    while True:
                        outcome = await self._attempt(call)
                        answer = self._read(call, outcome) if isinstance(outcome, Reply) else outcome
                        if not isinstance(answer, _FAILURES):
                            break
                        await self._after_failure(call, answer)
            except TimeoutError as error:
                if isinstance(error, ShellEVError) or not call.deadline.expired:
                    raise
                answer = _NONE_IN_TIME
            if answer is _NONE_IN_TIME:
                # Raised out here: the frames of the TimeoutError are those of the sender, with its requests.
                raise unanswered(call, SendFailure("no answer in time", sent=call.progress.sent, timed_out=True))
        except BaseException as error:
            if call.notifier is not None:
                call.notifier.ended(call, error=error)
            raise
        if call.notifier is not None:
            # Observers do not see tokens.
            call.notifier.ended(call, None if call.operation is TOKEN else answer)
        return answer

    def _read(self, call: Call, reply: Reply) -> Any:
        """The result of the call, or the answer where it is a failure or cannot be read."""
        if 200 <= reply.status <= 299:
            return call.read(call, reply)
        return self._empty_list(call, reply) if _is_empty_list(call.result, reply) else reply

    def _authorise(self, call: Call, token: AccessToken) -> None:
        bearer = self._connections.bearer(token)
        call.token = token
        call.tokens = (*call.tokens, bearer.token)
        call.request.headers["Authorization"] = bearer.header

    async def _attempt(self, call: Call) -> Reply | SendFailure:
        """Pass the gates and send the request once."""
        if call.gates:
            await self._enter_gates(call)
        resources = call.resources
        began_at = resources.timers.time()
        connect_within = self._begin_attempt(call, began_at)
        outcome: Reply | SendFailure
        try:
            outcome = await resources.sender.send(call.request, connect_within, call.deadline)
        except SendFailure as problem:
            outcome = self._no_answer(call, problem)
        except BaseException as error:
            if isinstance(error, ConfigurationError):
                call.progress.sent = False
            if call.notifier is not None:
                call.notifier.cut_short(call, began_at, error)
            if not call.progress.sent:
                await self._undo(call.gates, call)
            raise
        if isinstance(outcome, Reply) and (call.source is not None or self._is_token_dated):
            self.service_clock.note(outcome.headers, began_at, resources.timers.time())
        if call.notifier is not None:
            call.notifier.attempt_ended(call, began_at, outcome)
        return outcome

    async def _enter_gates(self, call: Call) -> None:
        for number, gate in enumerate(call.gates):
            try:
                await gate.enter(call)
            except BaseException:
                await self._undo(call.gates[:number], call)
                raise

    async def _undo(self, gates: tuple[Gate, ...], call: Call) -> None:
        for gate in reversed(gates):
            await gate.undo(call)

    def _begin_attempt(self, call: Call, now: float) -> float | None:
        """From here on the request may be on its way. Returns the seconds that getting a connection may take."""
        call.attempts += 1
        if not call.operation.repeatable:
            call.sent_at = self.hooks.utcnow()
        call.progress.begin(now)
        # A little less than what is left: time that runs out there is known to have run out before anything was sent.
        remaining = call.deadline.when - now
        if remaining == math.inf:
            return None
        return remaining - 0.02 if remaining > 0.04 else remaining / 2

    def _no_answer(self, call: Call, problem: SendFailure) -> SendFailure:
        secrets = self._secrets(call)
        problem.reason = one_line(secrets.mask_fragments(problem.reason), 200)
        problem.args = (problem.reason,)
        problem.__cause__ = printable_cause(problem.__cause__, secrets)
        call.progress.sent = problem.sent
        return problem.with_traceback(None)  # it leads to the frame that is going to hold it

    async def _after_failure(self, call: Call, outcome: Outcome) -> None:
        """After a failed attempt: wait until the next is due, or raise."""
        if isinstance(outcome, Reply) and not call.operation.repeatable:
            self._check_echo(call, outcome, read_error_body(outcome.body).request_id)
        failure = self._classify(call, outcome)
        if not failure.sent or failure.status in CLEAR_REFUSALS:
            await self._undo(call.gates, call)
        if failure.status == 401 and await self._has_fresh_token(call):
            return
        decision = decide(
            failure,
            repeatable=call.operation.repeatable,
            retries_done=call.retries,
            max_retries=call.max_retries,
            remaining=call.deadline.when - call.resources.timers.time(),
            jitter=self.hooks.jitter,
            policy=self.hooks.retry,
        )
        if decision.wait is None or call.progress.abandoned:
            raise self._final_error(call, outcome, failure.retry_after, decision.outcome_unknown)
        call.retries += 1
        if call.notifier is None:  # waits are logged at a level where attempts are not
            call.notifier = CallNotifier(call, self._broken_hooks)
        call.notifier.waits(call, outcome, decision.wait, failure.retry_after)
        await call.resources.timers.sleep(decision.wait)

    async def _has_fresh_token(self, call: Call) -> bool:
        """After a 401, once a call: whether the source gave another token. The replay is not counted as a retry."""
        if call.replayed or call.progress.abandoned or call.source is None or call.token is None:
            return False
        call.replayed = True
        call.source.invalidate(call.token)
        fresh = call.source.cached() or await call.source.acquire()
        if fresh.value == call.tokens[-1]:
            return False
        self._authorise(call, fresh)
        return True

    def _classify(self, call: Call, outcome: Outcome) -> Failure:
        if isinstance(outcome, SendFailure):
            return Failure(sent=outcome.sent)
        if isinstance(outcome, Unreadable):
            failure = Failure(status=outcome.reply.status, unreadable=True)
        else:
            headers = outcome.headers
            retry_after = parse_retry_after(headers.get("Retry-After"), headers.get("Date"), self.hooks.utcnow())
            failure = Failure(status=outcome.status, retry_after=retry_after)
        # A whole answer came: time that runs out before the next attempt runs out with nothing on its way.
        call.progress.sent = outcome_is_unknown(failure, repeatable=call.operation.repeatable)
        return failure

    def _final_error(
        self, call: Call, outcome: Outcome, retry_after: float | None, outcome_unknown: bool
    ) -> ShellEVError:
        if not isinstance(outcome, SendFailure):
            return call.error(call, outcome, retry_after, outcome_unknown)
        error = unanswered(call, outcome)
        error.__cause__ = outcome.__cause__
        return error

    def _check_echo(self, call: Call, reply: Reply, echoed: str | None) -> None:
        """Raise OutcomeUnknownError for an answer with another RequestId from a service that was seen to echo ours."""
        if not echoed:
            return
        key = (call.operation.name, self._api_url, self.config.api_version)
        if is_same_request(echoed, call.request_id):
            self._connections.echoing.add(key)
        elif key in self._connections.echoing:
            if reply.discard is not None:
                reply.discard()
            raise not_ours(call, self._secrets(call), echoed)

    def _secrets(self, call: Call) -> Secrets:
        """The secrets of a call. Put together for a call that fails, and only then."""
        credentials = self._credentials
        return Secrets(
            (*(() if credentials is None else credentials.secrets), *call.tokens), tokens=call.operation is TOKEN
        )

    def _read_grant(self, call: Call, reply: Reply) -> Grant | Unreadable:
        return read_grant(reply.body) or Unreadable(reply, ("$: no usable access_token",))

    def _token_error(
        self, call: Call, outcome: Reply | Unreadable, retry_after: float | None, outcome_unknown: bool
    ) -> ShellEVError:
        reply = outcome.reply if isinstance(outcome, Unreadable) else outcome
        secrets = self._secrets(call)
        if reply.status < 500 and reply.status != 429:
            return no_token(reply, secrets)
        return api_error(call, secrets, reply, retry_after, outcome_unknown=outcome_unknown, show_body=False)

    def _answer_error(
        self, call: Call, outcome: Reply | Unreadable, retry_after: float | None, outcome_unknown: bool
    ) -> ShellEVError:
        secrets = self._secrets(call)
        if isinstance(outcome, Unreadable):
            return decode_error(call, secrets, outcome.reply, outcome.problems)
        return api_error(call, secrets, outcome, retry_after, outcome_unknown=outcome_unknown)

    def _read_answer(self, call: Call, reply: Reply) -> ApiResponse[Any] | Unreadable:
        if reply.oversized:
            # Not retried: the next answer is as large.
            problem = f"$: larger than max_response_bytes ({self.config.max_response_bytes} bytes)"
            raise decode_error(call, self._secrets(call), reply, (problem,))
        decoded: Decoded | None = None
        problems: tuple[str, ...] = ()
        try:
            decoded = self._codec.decode(call.result, reply.body)
        except Undecodable as reason:
            problems = reason.problems
        if not call.operation.repeatable:
            echoed = read_error_body(reply.body).request_id if decoded is None else decoded.request_id
            self._check_echo(call, reply, echoed)
        if decoded is None:
            return Unreadable(reply, problems)
        if decoded.status is FAILED:
            raise api_error(call, self._secrets(call), reply, None, outcome_unknown=False)
        if decoded.problems:
            secrets = self._secrets(call)
            shown = "; ".join(one_line(secrets.mask(problem)) for problem in decoded.problems[:3])
            logger.info("%s: %d values could not be read: %s", call.name, len(decoded.problems), shown)
        return self._respond(call, reply, decoded)

    def _empty_list(self, call: Call, reply: Reply) -> ApiResponse[Any]:
        """The answer for a 404 that is an empty list."""
        request_id = read_error_body(reply.body).request_id
        return self._respond(call, reply, Decoded((), request_id, FAILED, ()))

    def _respond(self, call: Call, reply: Reply, decoded: Decoded) -> ApiResponse[Any]:
        answer: ApiResponse[Any] = _response(
            data=decoded.data,
            request_id=decoded.request_id or call.request_id,
            status=decoded.status,
            status_code=reply.status,
            headers=reply.headers,
            body=reply.body,
            attempts=call.attempts,
            elapsed=call.resources.timers.time() - call.started,
            problems=decoded.problems,
        )
        return answer

    def cut_off(self) -> None:
        """Drop all connections and send nothing more, from any thread: the end of a killed process, for tests."""
        self._connections.cut_off()

    async def aclose(self) -> None:
        """Close what is shared: only the client itself does, never a copy."""
        await self._connections.aclose()


def _is_empty_list(result: Result, reply: Reply) -> bool:
    return reply.status == 404 and result.is_empty_at_404 and is_service_envelope(reply.body)
