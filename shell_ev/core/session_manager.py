"""THE request loop: token, one try, decision, wait, decode. There is no other.

Knows tries, deadlines and what a failure means for the caller; knows neither aiohttp nor any single operation.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, cast

from ..dialects import ApiVersion
from ..errors import ConfigurationError, ShellEVError, one_line
from ..models.response import ApiResponse
from ..options import ClientConfig, Timeout
from ..wire.codec import Codec
from ..wire.codegen import maker
from ..wire.operations import Operation, build
from ..wire.results import FAILED, NOTHING, Decoded, Result, Undecodable
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
from .call import NO_OPTIONS, Call, CallOptions, Progress, Reply, Request, Sender, SendFailure, mint_request_id
from .connections import Connections, LoopResources
from .deadlines import Deadline, DeadlineSweeper
from .failures import api_error, decode_error, unanswered
from .notify import CallNotifier, notifier_for
from .ownership import Ownership
from .retry import Decision, Failure, decide, outcome_is_unknown, parse_retry_after
from .runtime import Hooks, Timers, ambient_hooks, running_loop
from .service_clock import ServiceClock

T = TypeVar("T")

logger = logging.getLogger("shell_ev")

_respond: Callable[..., ApiResponse[Any]] = maker(ApiResponse)
_TOKEN = "token"  # noqa: S105 - the name of an operation


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
        self._connections = Connections(source, lambda: hooks.sender(make_sender()), self._cache, hooks.timers)
        self._credentials = source if isinstance(source, ClientCredentials) else None
        #: Sessions held and starts in flight.
        self.ownership = Ownership(hooks.clock)
        self.service_clock = ServiceClock()
        self._broken_hooks: set[str] = set()
        #: What every request says beyond what the connections say of themselves.
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

    def timers(self) -> Timers:
        """Time on the running loop."""
        return self.hooks.timers(running_loop())

    def limit(self, seconds: float) -> Deadline:
        """A limit on the time a block takes, as ``asyncio.timeout`` is one."""
        timers = self.timers()
        return Deadline(DeadlineSweeper(timers), timers.time() + seconds)

    def call(
        self, operation: Operation, arguments: Mapping[str, Any], result: Result, options: CallOptions = NO_OPTIONS
    ) -> Coroutine[Any, Any, ApiResponse[Any]]:
        """One logical call, whatever it takes within its time. Raises the errors of design section 3, no others.

        To be awaited at once: its time runs. A plain function around the coroutine, so that what only prepares the
        call is not held while it waits.
        """
        config = self.config
        resources = self._connections.resources()
        started = resources.timers.time()
        timeout = config.timeout if options.timeout is None else Timeout.of(options.timeout, config.timeout)
        route = operation.routes[config.api_version]
        path, body = build(route, arguments)
        call = Call(
            operation.name,
            operation.repeatable,
            arguments,
            result,
            options.request_id or mint_request_id(),
            started,
            Deadline(resources.deadlines, math.inf if timeout.total is None else started + timeout.total),
            config.max_retries if options.max_retries is None else options.max_retries,
            options.progress or Progress(),
            self._credentials,
        )
        headers = {"RequestId": call.request_id, **self._headers}
        if options.headers:
            headers.update(options.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(route.method, self._api_url + path, headers, body, timeout, config.max_response_bytes)
        if config.observers or logger.isEnabledFor(logging.DEBUG):
            call.notifier = notifier_for(config, call, request, route.path, resources.timers.time, self._broken_hooks)
        return self._run(resources, call, request, self._connections.source, self._answer)

    def _cache(self, credentials: ClientCredentials) -> TokenCache:
        fetch, fetch_early = self._fetch_with(credentials), self._fetch_with(credentials, early=True)
        return TokenCache(fetch, self.hooks.clock, fetch_early)

    def _fetch_with(self, credentials: ClientCredentials, *, early: bool = False) -> Fetch:
        """How a token travels: through the same loop, repeated like a GET, with no token of its own."""

        def fetch() -> Coroutine[Any, Any, Grant]:
            config = self.config
            resources = self._connections.resources()
            started = resources.timers.time()
            total = config.timeout.total
            call = Call(
                _TOKEN,
                True,  # repeatable
                {},
                NOTHING,
                "",
                started,
                Deadline(resources.deadlines, math.inf if total is None else started + total),
                config.max_retries,
                Progress(),
                credentials,
            )
            headers = {
                "Authorization": credentials.basic,
                "Content-Type": "application/x-www-form-urlencoded",
                **self._headers,
            }
            request = Request(
                "POST", config.oauth_url, headers, credentials.form, config.timeout, config.max_response_bytes
            )
            if config.observers or logger.isEnabledFor(logging.DEBUG):
                call.notifier = notifier_for(
                    config, call, request, None, resources.timers.time, self._broken_hooks, early=early
                )
            return self._run(resources, call, request, None, self._grant)

        return fetch

    async def _run(
        self,
        resources: LoopResources,
        call: Call,
        request: Request,
        source: CheckedSource | None,
        read: Callable[[LoopResources, Call, Reply], T],
    ) -> T:
        """Try until there is an answer to read or an error to raise, within the time of the call."""
        try:
            try:
                with call.deadline:
                    if source is not None:
                        self._authorise(call, request, source.cached() or await source.acquire())
                    reply: Reply | None = None
                    while reply is None:
                        began_at = resources.timers.time()
                        connect_within = self._begin_try(call, began_at)
                        outcome: Reply | SendFailure
                        try:
                            outcome = await resources.sender.send(request, connect_within, call.deadline)
                        except SendFailure as problem:
                            outcome = self._no_answer(call, problem)
                        except BaseException as error:
                            self._cut_short(call, began_at, error)
                            raise
                        if isinstance(outcome, Reply) and (source is not None or self._is_token_dated):
                            self.service_clock.note(outcome.headers, began_at, resources.timers.time())
                        if call.notifier is not None:
                            call.notifier.attempt_ended(call, began_at, outcome)
                        if isinstance(outcome, Reply) and 200 <= outcome.status <= 299:
                            reply = outcome
                        else:
                            reply = await self._after_failure(resources, call, request, source, outcome)
            except TimeoutError as error:
                if isinstance(error, ShellEVError) or not call.deadline.expired:
                    raise
                late = SendFailure("no answer in time", sent=call.progress.sent, timed_out=True)
                raise unanswered(call.facts(), late) from None
            answer = read(resources, call, reply)
        except BaseException as error:
            if call.notifier is not None:
                call.notifier.ended(call, error=error)
            raise
        if call.notifier is not None:
            # What a token request answers with is nobody else's to see.
            call.notifier.ended(call, None if call.name == _TOKEN else cast("ApiResponse[Any]", answer))
        return answer

    def _authorise(self, call: Call, request: Request, token: AccessToken) -> None:
        call.token = token
        call.tokens = (*call.tokens, token.value)
        request.headers["Authorization"] = self._connections.bearer(token)

    def _begin_try(self, call: Call, now: float) -> float | None:
        """From here on the request may be on its way. Returns how long getting a connection may take."""
        call.attempts += 1
        if not call.repeatable:
            call.sent_at = self.hooks.utcnow()
        call.progress.begin(now)
        # Getting a connection may take what is left and no more: then running out of time there is known to
        # have happened before anything was sent. The deadline itself follows a moment later.
        remaining = call.deadline.when - now
        if remaining == math.inf:
            return None
        return remaining - 0.02 if remaining > 0.04 else remaining / 2

    def _no_answer(self, call: Call, problem: SendFailure) -> SendFailure:
        problem.reason = one_line(call.facts().mask_torn(problem.reason), 200)
        call.progress.sent = problem.sent
        return problem.with_traceback(None)  # it leads to the frame that is going to hold it

    def _cut_short(self, call: Call, began_at: float, error: BaseException) -> None:
        """A try that ends the call with it."""
        if isinstance(error, ConfigurationError):
            call.progress.sent = False
        if call.notifier is not None:
            call.notifier.cut_short(call, began_at, error)

    async def _after_failure(
        self,
        resources: LoopResources,
        call: Call,
        request: Request,
        source: CheckedSource | None,
        outcome: Reply | SendFailure,
    ) -> Reply | None:
        """After a try that did not do: wait until the next is due, give an answer all the same, or raise."""
        failure = self._classify(call, outcome)
        may_replay = failure.status == 401 and not call.replayed and not call.progress.abandoned
        if may_replay and source is not None and call.token is not None:
            call.replayed = True
            source.invalidate(call.token)
            fresh = source.cached() or await source.acquire()
            if fresh.value != call.tokens[-1]:
                # Not counted as a retry: a refused token says nothing about the service.
                self._authorise(call, request, fresh)
                return None
        decision = decide(
            failure,
            repeatable=call.repeatable,
            retries_done=call.retries,
            max_retries=call.max_retries,
            remaining=call.deadline.when - resources.timers.time(),
            jitter=self.hooks.jitter,
            policy=self.hooks.retry,
        )
        if decision.wait is None or call.progress.abandoned:
            return self._final_error(call, outcome, failure, decision)
        call.retries += 1
        if call.notifier is None:  # a wait is logged at a level where tries are not
            call.notifier = CallNotifier(call, resources.timers.time, self._broken_hooks)
        call.notifier.waits(call, outcome, decision.wait, failure.retry_after)
        await resources.timers.sleep(decision.wait)
        return None

    def _classify(self, call: Call, outcome: Reply | SendFailure) -> Failure:
        if isinstance(outcome, SendFailure):
            return Failure(sent=outcome.sent)
        retry_after = parse_retry_after(
            outcome.headers.get("Retry-After"), outcome.headers.get("Date"), self.hooks.utcnow()
        )
        failure = Failure(status=outcome.status, retry_after=retry_after)
        # A whole answer came: time that runs out before the next try runs out with nothing on its way.
        call.progress.sent = outcome_is_unknown(failure, repeatable=call.repeatable)
        return failure

    def _final_error(self, call: Call, outcome: Reply | SendFailure, failure: Failure, decision: Decision) -> Reply:
        if isinstance(outcome, SendFailure):
            raise unanswered(call.facts(), outcome) from outcome.__cause__
        if call.name == _TOKEN and outcome.status < 500 and outcome.status != 429:
            return outcome  # a refusal; whoever asked for the token knows how to read it
        raise api_error(call.facts(), outcome, failure.retry_after, outcome_unknown=decision.outcome_unknown)

    def _grant(self, _: LoopResources, call: Call, reply: Reply) -> Grant:
        return read_grant(reply, call.facts().mask)

    def _answer(self, resources: LoopResources, call: Call, reply: Reply) -> ApiResponse[Any]:
        if reply.oversized:
            limit = self.config.max_response_bytes
            raise decode_error(call.facts(), reply, (f"$: larger than max_response_bytes ({limit} bytes)",))
        decoded: Decoded | None = None
        problems: tuple[str, ...] = ()
        try:
            decoded = self._codec.decode(call.result, reply.body)
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
            elapsed=resources.timers.time() - call.started,
            problems=decoded.problems,
        )

    async def aclose(self) -> None:
        """Close what is shared: only the client itself does, never a copy."""
        await self._connections.aclose()
