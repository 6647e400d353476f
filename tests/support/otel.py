"""OpenTelemetry's SDK, with exporters that keep what they are given."""

import random
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

from httpx_resilience.instrumentation.opentelemetry import OpenTelemetry, ResendCount


class Ids(IdGenerator):
    """Makes ids by chance of its own: the SDK's would change what comes by chance elsewhere."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)


class Exported:
    """Providers of spans and instruments, and what came of them."""

    def __init__(self, *processors: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False, id_generator=Ids())
        for processor in (ResendCount(), *processors, SimpleSpanProcessor(self._exporter)):
            self.tracer_provider.add_span_processor(processor)
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def observer(self, **options: Any) -> OpenTelemetry:
        """Return what is given by ``on_event=``."""
        return OpenTelemetry(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **options
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """Return what has ended, in the order of their starts."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    @property
    def call(self) -> ReadableSpan:
        """Return the span of the only call."""
        (span,) = self.named("resilience.call")
        return span

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """Return a span's children."""
        ours = parent.context
        assert ours is not None
        return [s for s in self.spans if s.parent is not None and s.parent.span_id == ours.span_id]

    @property
    def roots(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.parent is None]

    def forget(self) -> None:
        self._exporter.clear()

    def _metrics(self) -> Iterator[Any]:
        read = self._reader.get_metrics_data()
        for resource in read.resource_metrics if read is not None else ():
            for scope in resource.scope_metrics:
                yield from scope.metrics

    def units(self) -> dict[str, tuple[str, str]]:
        """Return kind and unit of each instrument that recorded something."""
        found = {}
        for metric in self._metrics():
            kind = type(metric.data).__name__
            if kind == "Sum":
                kind = "Counter" if metric.data.is_monotonic else "UpDownCounter"
            found[metric.name] = kind.lower(), metric.unit
        return found

    def points(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """Return the attributes and the value (or the sum) of each series of an instrument."""
        return [
            (dict(point.attributes), point.sum if hasattr(point, "sum") else point.value)
            for metric in self._metrics()
            if metric.name == f"httpx_resilience.{name}"
            for point in metric.data.data_points
        ]

    def counts(self, name: str) -> list[int]:
        """Return how often a histogram was recorded to, for each series."""
        return [
            point.count
            for metric in self._metrics()
            if metric.name == f"httpx_resilience.{name}"
            for point in metric.data.data_points
        ]


def shape(span: ReadableSpan) -> tuple[Any, ...]:
    """Return what a span says but for its times and ids."""
    unlike = ("resilience.call_id",)
    own = {key: value for key, value in (span.attributes or {}).items() if key not in unlike}
    events = [(event.name, dict(event.attributes or {})) for event in span.events]
    return span.name, span.kind.name, span.status.status_code.name, own, events
