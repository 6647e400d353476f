"""The one place that imports what only comes with the extra ``otel``."""

try:
    from opentelemetry import context, metrics, propagate, trace
except ImportError as error:
    raise ImportError(
        "httpx_resilience.instrumentation.opentelemetry needs opentelemetry-api, which comes with "
        "an extra: pip install 'httpx-resilience[otel]'"
    ) from error

__all__ = ["context", "metrics", "propagate", "trace"]
