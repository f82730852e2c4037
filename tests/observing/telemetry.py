"""OpenTelemetry's own SDK, collecting in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shell_ev.otel import OpenTelemetry


class Telemetry:
    """Providers of a test's own, an observer over them, and what they collected."""

    def __init__(self, *, record_ids: bool = False) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.observer = OpenTelemetry(self.tracers, self.meters, record_ids=record_ids)
        self.tracer = self.tracers.get_tracer("a test")

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in that order."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of one name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        (span,) = self.named(name)
        return span

    def metrics(self) -> dict[str, Any]:
        """The metrics by name."""
        return {metric.name: metric for metric in self._all_metrics()}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and point of each series of a metric."""
        metric = self.metrics().get(name)
        return [] if metric is None else [(dict(point.attributes), point) for point in metric.data.data_points]

    def counts(self, name: str) -> dict[tuple[Any, ...], int]:
        """How often each set of attributes was measured, by their values in the order of their names."""
        return {
            tuple(value for _, value in sorted(attributes.items())): point.count
            for attributes, point in self.points(name)
        }

    def _all_metrics(self) -> Iterator[Any]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "shell_ev"
                yield from scope.metrics

    def everything(self) -> str:
        """All that would be exported, as text."""
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + (data.to_json() if data is not None else "")
