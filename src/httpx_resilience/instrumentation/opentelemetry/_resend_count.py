"""The number of a retry, on the spans that somebody else makes of its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..attempts import resends
from ._api import trace
from ._attributes import METHOD, RESEND_COUNT

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
else:  # the extra brings the API only; what adds it to a provider has the SDK
    SpanProcessor = object

_HTTP_METHODS = (METHOD, "http.method")
"""What makes a span one of an HTTP request: by the stable conventions, and by those before, which
instrumentations keep to unless ``OTEL_SEMCONV_STABILITY_OPT_IN`` says otherwise."""


class ResendCount(SpanProcessor):
    """A span processor that sets ``http.request.resend_count`` on the spans of retries.

    For a ``TracerProvider`` under ``opentelemetry-instrumentation-httpx``, which knows nothing of
    retries. It marks CLIENT spans of HTTP requests that start while a transport of ours sends an
    attempt; the original is not marked, nor is what recovery hooks and token fetches send.

    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> provider = TracerProvider()
    >>> provider.add_span_processor(ResendCount())
    """

    def on_start(self, span: Any, parent_context: object = None) -> None:
        """Mark a span, if it is that of a retry."""
        count = resends()
        if not count or span.kind is not trace.SpanKind.CLIENT:
            return
        known = span.attributes or {}
        if any(name in known for name in _HTTP_METHODS):
            span.set_attribute(RESEND_COUNT, count)

    def on_end(self, span: object) -> None:
        """Do nothing: it was marked when it started."""

    def _on_ending(self, span: object) -> None:
        """Do nothing; newer versions of the SDK call it."""

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing; return that it is done."""
        return True
