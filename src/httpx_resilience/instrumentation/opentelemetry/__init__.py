"""Traces and metrics by OpenTelemetry; needs the extra ``otel``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Literal
from weakref import WeakKeyDictionary

from ..._core import checks
from ..observer import CallObserver, ObservedCall, Watch
from ._api import metrics, trace
from ._inner import InnerTransports, is_suppressed
from ._instruments import METER, Instruments
from ._metrics import CallMetrics
from ._resend_count import ResendCount
from ._spans import AttemptSpans, CallSpans, is_within_call

__all__ = ["OpenTelemetry", "ResendCount"]

_lock = threading.Lock()
_of_providers: WeakKeyDictionary[metrics.MeterProvider, Instruments] = WeakKeyDictionary()
_of_global: list[Instruments] = []


class OpenTelemetry(CallObserver):
    """Traces and metrics of a transport's calls; for ``on_event=``, alone or beside listeners.

    Each call becomes a span ``resilience.call`` (INTERNAL), with events for waits, retries, parking
    and giving up; the spans of its attempts lie below it, in one trace. One may be given to any
    number of transports, of either library and kind.

    Args:
        tracer_provider: Makes the spans; the global one if left out.
        meter_provider: Makes the instruments; the global one if left out.
        attempt_spans: Whether each attempt gets a CLIENT span of ours, which its request then
            propagates: ``"auto"`` if the inner transport makes none, as it does under
            ``HTTPXClientInstrumentor().instrument()``; True always, False never.
        categories: Whether what is recorded of rate limits bears the attribute
            ``resilience.category``. A category may be named after a model or a route: mind how
            many there are.

    Raises:
        TypeError: ``categories`` is no bool.
        ValueError: ``attempt_spans`` is none of the three.

    >>> import httpx
    >>> from httpx_resilience import ResilientTransport
    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    >>> spans, provider = InMemorySpanExporter(), TracerProvider()
    >>> provider.add_span_processor(SimpleSpanProcessor(spans))
    >>> vault = httpx.MockTransport(lambda request: httpx.Response(200))
    >>> observed = ResilientTransport(vault, on_event=OpenTelemetry(tracer_provider=provider))
    >>> with httpx.Client(transport=observed) as client:
    ...     response = client.get("https://vault.example/v1/secrets/app/db")
    >>> [span.name for span in spans.get_finished_spans()]
    ['GET', 'resilience.call']
    """

    __slots__ = ("_attempt_spans", "_categories", "_instruments", "_tracer")

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        attempt_spans: Literal["auto", True, False] = "auto",
        categories: bool = False,
    ) -> None:
        super().__init__()
        if attempt_spans != "auto" and not isinstance(attempt_spans, bool):
            raise ValueError(
                f"attempt_spans: got {attempt_spans!r}, allowed is 'auto', True or False"
            )
        own = version("httpx-resilience")
        self._attempt_spans = attempt_spans
        self._categories = checks.instance("categories", categories, bool, "a bool")
        self._tracer = trace.get_tracer(METER, own, tracer_provider)
        self._instruments = _instruments_of(meter_provider, own)

    def __repr__(self) -> str:
        return f"<OpenTelemetry attempt_spans={self._attempt_spans!r}>"

    def attach(self, transport: Any) -> None:
        """Read a transport's gauges, for as long as somebody else refers to it."""
        self._instruments.attach(transport, shows_category=self._categories)

    def watcher(self, inner: Any) -> Callable[[ObservedCall], tuple[Watch, ...]]:
        """Return what makes the spans of a call, and records it."""
        transports = InnerTransports(inner)

        def watch(call: ObservedCall) -> tuple[Watch, ...]:
            if call.is_repeated_above and is_within_call():
                return ()  # what sends it here is the call
            is_ours = self._attempt_spans
            if is_ours == "auto":
                is_ours = not (transports.make_spans() or is_suppressed())
            kind = AttemptSpans if is_ours else CallSpans
            categories = self._categories
            return (
                kind(self._tracer, call, shows_category=categories),
                CallMetrics(self._instruments, call, shows_category=categories),
            )

        return watch


def _instruments_of(meter_provider: metrics.MeterProvider | None, own: str) -> Instruments:
    """Return a meter provider's instruments: one set, that all transports share.

    A second set would have the same names; of its gauges the SDK keeps nothing.
    """
    current = metrics.get_meter_provider()
    provider = current if meter_provider is None else meter_provider
    with _lock:
        if provider in _of_providers:
            return _of_providers[provider]
        if provider is not current:
            _of_providers[provider] = Instruments(provider, own)
            return _of_providers[provider]
        if not _of_global:  # the one that is set later takes over what was made before
            _of_global.append(Instruments(None, own))
        return _of_global[0]
