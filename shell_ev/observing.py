"""Hooks for watching calls: base classes to inherit from, and their events. Observers cannot affect a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from .dialects import ApiVersion
    from .models.response import ApiResponse

Taker = Literal["start", "block", "recovery"]
RecoveryOutcome = Literal["stopped", "kept", "unknown", "failed"]
TryOutcome = Literal["answered", "not_sent", "no_answer", "cancelled"]
CallOutcome = Literal["success", "error", "unknown", "cancelled"]

_REDACTED = "REDACTED"


@attrs.frozen(kw_only=True)
class CallInfo:
    """A call that begins, or a token request that does."""

    operation: str
    """``group.method``, such as ``charging.start``; ``token`` for a token request."""
    api_version: ApiVersion
    """The dialect spoken."""
    method: str
    """HTTP method."""
    url: str = attrs.field(repr=False)
    """As it is sent, with ids of cards and sessions. :attr:`redacted_url` has none."""
    route: str
    """Path with placeholders in place of ids: one of few values."""
    request_id: str | None = None
    """RequestId of every attempt of the call; None for a token request, which has none."""
    arguments: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    """Arguments of the call by name, checked, with ids of cards and sessions. No credentials."""
    background: bool = False
    """True for a token that is renewed before its end, while calls use the old one."""

    @property
    def redacted_url(self) -> str:
        """The URL with ``REDACTED`` for every value in the query and every id in the path."""
        path, mark, query = self.url.partition("?")
        parts = path.split("/")
        # From the right: what comes before the route, a prefix of the base URL say, is the application's own.
        for place, piece in enumerate(reversed(self.route.split("/")), 1):
            if piece.startswith("{"):
                parts[-place] = _REDACTED
        names = (pair.partition("=")[0] for pair in query.split("&"))
        return "/".join(parts) + mark + ("&".join(f"{name}={_REDACTED}" for name in names) if query else "")


@attrs.frozen(kw_only=True)
class _OfTry:
    """Outcome of an attempt."""

    attempt: int
    """Number of the attempt within its call, from 1; a replay with a fresh token counts."""
    outcome: TryOutcome
    """``answered``; ``not_sent``: the request surely did not leave this machine; ``no_answer``: it may have, and no
    whole answer came; ``cancelled``: the caller cancelled it."""
    status_code: int | None = None
    """HTTP status; None without an answer."""
    failure: str | None = None
    """Why no answer came or why it cannot be read, in one line without ids or secrets; None otherwise."""

    @property
    def reason(self) -> str:
        """The outcome in words: ``status 503``, or why no answer came."""
        return self.failure or f"status {self.status_code}"


@attrs.frozen(kw_only=True)
class TryEnded(_OfTry):
    """An attempt is over: one request was sent, or could not be sent."""

    elapsed: float
    """Seconds the attempt took."""

    @property
    def is_good(self) -> bool:
        """Whether the status is a success."""
        return self.status_code is not None and 200 <= self.status_code <= 299


@attrs.frozen(kw_only=True)
class Waiting(_OfTry):
    """An attempt failed and another follows. Sent before the wait, which a cancellation or deadline may cut short."""

    seconds: float
    """Length of the wait."""
    retry_after: float | None = None
    """Seconds the service asked for, if it did."""


@attrs.frozen(kw_only=True)
class CallEnded:
    """A call is over."""

    elapsed: float
    """Seconds from the beginning of the call to its end: token, attempts, waits and decoding."""
    attempts: int
    """Number of attempts; 0 when none was made, without a token say."""
    status_code: int | None = None
    """HTTP status of the last attempt; None when it got no answer."""
    response: ApiResponse[Any] | None = attrs.field(default=None, repr=False)
    """Result of the call; None for a failure and for a token request."""
    error: BaseException | None = None
    """Error of the call: a ShellEVError, a cancellation or an interrupt. Its text may quote ids."""
    outcome_unknown: bool = False
    """Whether a start or stop may have taken effect although the call failed or was cancelled."""

    @property
    def outcome(self) -> CallOutcome:
        """``success``; ``unknown``: a start or stop that may have taken effect; ``error``: any other failure;
        ``cancelled``: the caller cancelled it, and nothing is left open."""
        if self.error is None:
            return "success"
        if self.outcome_unknown:
            return "unknown"
        return "error" if isinstance(self.error, Exception) else "cancelled"


@attrs.frozen(kw_only=True)
class _OfEntry:
    """One charge in the journal of the client's store."""

    key: str | None
    """Key that it was started with; None without one."""
    request_id: str
    """RequestId of the start."""
    evse_id: str
    """EVSE of the charge."""
    session_id: str | None
    """Id of the session; None while it is not known."""


@attrs.frozen(kw_only=True)
class Claimed(_OfEntry):
    """A start was written to the store, and is sent next: its key and its EVSE belong to this process now."""

    on_crash: Literal["stop", "keep"]
    """What recovery is to do with the charge if this process ends: stop it, or keep it running."""


@attrs.frozen(kw_only=True)
class TakenOver(_OfEntry):
    """A charge that no live process worked on belongs to this one now."""

    by: Taker
    """``recovery``; or a call with a key: a ``block``, or a ``start`` that has to know what became of it."""
    state: str
    """State of its entry: ``waiting``, ``sent``, ``accepted``, ``unknown`` or ``given_up``."""
    on_crash: Literal["stop", "keep"]
    """What recovery is to do with the charge if this process ends: stop it, or keep it running."""
    previous_owner: str | None
    """The process that ended with it; None where it had released it."""


@attrs.frozen(kw_only=True)
class EntryRecovered(_OfEntry):
    """Recovery is done with one charge that it had taken over."""

    outcome: RecoveryOutcome
    """``stopped``: it was stopped, or was over; ``kept``: it is left running; ``unknown``: its session does not
    show; ``failed``: a later pass tries again."""
    elapsed: float
    """Seconds that it took."""
    error: BaseException | None = None
    """Why it failed; its text may quote ids."""


@attrs.frozen(kw_only=True)
class RecoveryEnded:
    """A pass of recovery over the journal is over. The numbers are those of its :class:`~shell_ev.Recovery`."""

    elapsed: float
    """Seconds that the pass took."""
    stopped: int = 0
    """Charges that were stopped, or were over."""
    kept: int = 0
    """Charges that are left running."""
    unknown: int = 0
    """Starts whose session does not show."""
    failed: int = 0
    """Entries that a later pass tries again."""
    error: BaseException | None = None
    """What ended the pass early: the store cannot be read, or a cancellation."""


class CallObserver:
    """Watches one call. Inherit from it and write the methods you need; the others do nothing.

    The methods are called in the order of events, in the event loop: they must not block. An exception out of one is
    logged, once for each method at WARNING, and the call continues.
    """

    def try_ended(self, event: TryEnded) -> None:
        """Called when an attempt is over.

        Args:
            event: The attempt: its number, outcome and duration.
        """

    def waits(self, event: Waiting) -> None:
        """Called before the wait for another attempt.

        Args:
            event: The wait, and the attempt before it.
        """

    def ended(self, event: CallEnded) -> None:
        """Called once at the end of every call that began, in the context of its beginning.

        Args:
            event: The end: the answer or the error.
        """


class RecoveryObserver:
    """Watches one pass of recovery. Inherit from it and write the methods you need; the others do nothing.

    As with :class:`CallObserver`, the methods must not block, and what they raise is logged.
    """

    def entry_recovered(self, event: EntryRecovered) -> None:
        """Called for each charge that the pass took over, once it is done with it.

        Args:
            event: The charge, and what came of it.
        """

    def ended(self, event: RecoveryEnded) -> None:
        """Called once at the end of every pass that began, in the context of its beginning.

        Args:
            event: The numbers of the pass, and the error that ended it early.
        """


class Observer:
    """Watches a client's calls. Inherit from it, write the methods you need, give one as ``observer=``.

    The methods are called in the context of the call, before anything is sent: a context variable set in
    ``call_began`` holds for the whole call, and for nothing else if ``ended`` puts it back. They run in the event loop:
    in the caller's for AsyncShellEV, in the client's own thread (with a copy of the caller's context) for ShellEV.
    """

    def call_began(self, call: CallInfo) -> CallObserver | None:
        """Called when a call begins.

        Arguments that are refused begin no call, nor does a client that is closed.

        Args:
            call: What is called, with its RequestId and URL.

        Returns:
            What receives the further events of the call; None for no more events.
        """
        return None

    def token_began(self, call: CallInfo) -> CallObserver | None:
        """Called when the client requests a token: in the context of the call that needs it, or in the background.

        Only for client credentials: a ``token_source`` of yours requests its tokens itself.

        Args:
            call: The token request.
        """
        return None

    def claimed(self, event: Claimed) -> None:
        """Called when a client with a store has written a start, in the context of its call, before it is sent.

        Args:
            event: The start.
        """

    def taken_over(self, event: TakenOver) -> None:
        """Called when a charge that no live process worked on is taken over, by recovery or by a call with its key.

        Args:
            event: The charge, and by what it was taken over.
        """

    def recovery_began(self) -> RecoveryObserver | None:
        """Called when a pass of recovery begins, in its context: what is set there holds for the calls of the pass.

        Returns:
            What receives the further events of the pass; None for no more events.
        """
        return None
