"""What users see of types when they watch calls. Checked by mypy --strict and pyright strict, never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

from shell_ev import ApiResponse, ApiVersion, AsyncShellEV, ShellEV
from shell_ev.observing import CallEnded, CallInfo, CallObserver, CallOutcome, Observer, TryEnded, TryOutcome, Waiting
from shell_ev.otel import OpenTelemetry


class Mine(CallObserver):
    def try_ended(self, event: TryEnded) -> None:
        assert_type(event.attempt, int)
        assert_type(event.outcome, TryOutcome)
        assert_type(event.status_code, int | None)
        assert_type(event.elapsed, float)
        assert_type(event.reason, str)

    def waits(self, event: Waiting) -> None:
        assert_type(event.seconds, float)
        assert_type(event.retry_after, float | None)

    def ended(self, event: CallEnded) -> None:
        assert_type(event.outcome, CallOutcome)
        assert_type(event.response, ApiResponse[Any] | None)
        assert_type(event.error, BaseException | None)


class Watching(Observer):
    def call_began(self, call: CallInfo) -> Mine | None:
        assert_type(call.api_version, ApiVersion)
        assert_type(call.arguments, Mapping[str, Any])
        assert_type(call.request_id, str | None)
        return Mine() if call.operation == "charging.start" else None


class Mistaken(Observer):
    def call_began(self, call: str) -> None: ...  # type: ignore[override]


def one_several_or_none(ev: AsyncShellEV, blocking: ShellEV) -> None:
    AsyncShellEV("id", "secret", observer=Watching())
    ShellEV("id", "secret", observer=[Watching(), OpenTelemetry(record_ids=True)])
    assert_type(ev.with_options(observer=()), AsyncShellEV)
    assert_type(blocking.with_options(observer=Watching()), ShellEV)
    assert_type(ev.config.observers, tuple[Observer, ...])
    AsyncShellEV("id", "secret", observer=Watching)  # type: ignore[arg-type]
