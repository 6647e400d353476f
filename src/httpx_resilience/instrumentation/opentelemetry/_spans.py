"""A call's trace: one INTERNAL span, and below it its attempts', whoever makes them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from ..._core.retry.decision import SUCCESS
from ..._core.telemetry.events import AttemptFinished, Event
from ..observer import Ending, ObservedCall, Watch
from ._api import context, propagate, trace
from ._attributes import (
    ATTEMPTS,
    CALL_ID,
    CATEGORY,
    DELAY_SOURCE,
    DIALECT,
    ERROR_CLASS,
    ERROR_TYPE,
    METHOD,
    REASON,
    RESEND_COUNT,
    STATUS,
    URL,
    category_of,
    error_type,
    method_of,
    of_server,
)

CALL_SPAN = "resilience.call"

SHOWN = {
    "retry_scheduled",
    "throttle_delayed",
    "retry_parked",
    "recovery_hook",
    "gave_up",
    "recovered",
}
"""Events of the log that are events of the call's span, too."""

_FIELDS = {
    "attempt": "resilience.attempt",
    "status": STATUS,
    "error_class": ERROR_CLASS,
    "reason": REASON,
    "outcome": "resilience.outcome",
    "delay": "resilience.delay",
    "delay_source": DELAY_SOURCE,
    "time_left": "resilience.time_left",
    "budget": "resilience.retry_budget.tokens",
    "parked": "resilience.parked",
    "queued": "resilience.queued",
    "escalated": "resilience.escalated",
    "advice": "resilience.advice",
    "request_id": "resilience.request_id",
}
"""Fields of events that are attributes of the span's events."""

_ERROR = trace.Status(trace.StatusCode.ERROR)


_CALL = context.create_key("httpx_resilience-call")


def is_within_call() -> bool:
    """Return whether a call is observed here."""
    return bool(context.get_value(_CALL))


class _Current:
    """A span that is the current one until it is left."""

    def __init__(self, span: trace.Span) -> None:
        self._context = context.set_value(_CALL, True, trace.set_span_in_context(span))
        self._token = context.attach(self._context)

    def leave(self, *, is_elsewhere: bool = False) -> None:
        # A coroutine that is closed in another context must leave that as it is.
        if not is_elsewhere or context.get_current() is self._context:
            context.detach(self._token)


class CallSpans(Watch):
    """The spans of one call.

    Args:
        tracer: Makes them.
        call: The call.
        shows_category: Whether waits for the rate limit say of which category.
    """

    def __init__(self, tracer: trace.Tracer, call: ObservedCall, *, shows_category: bool) -> None:
        self._tracer = tracer
        self._call = call
        self._shows_category = shows_category
        self._span: trace.Span | None = None
        self._current: _Current | None = None
        self._attempt: trace.Span | None = None
        self._current_attempt: _Current | None = None

    def started(self) -> None:
        call = self._call
        known = {**of_server(call.origin), DIALECT: call.dialect, CALL_ID: call.call_id}
        span = self._span = self._tracer.start_span(CALL_SPAN, attributes=known)
        self._current = _Current(span)

    def happened(self, event: Event) -> None:
        if self._span is None or event.name not in SHOWN or not self._span.is_recording():
            return
        fields = event.as_fields()
        shown: dict[str, Any] = {_FIELDS[name]: fields[name] for name in _FIELDS if name in fields}
        if "error_class" in fields or "exception_type" in fields:
            shown[ERROR_TYPE] = self._error_type(event)
        if self._shows_category and "scope" in fields:
            shown[CATEGORY] = category_of(fields["scope"])
        self._span.add_event(event.name, shown)

    def _error_type(self, failure: Any) -> str:
        return error_type(self._call, failure.status, failure.code, failure.exception_type)

    def finished(self, ending: Ending) -> None:
        span, current = self._span, self._current
        if current is not None:
            current.leave(is_elsewhere=ending.is_elsewhere)
        if span is None:
            return
        span.set_attributes({REASON: ending.reason, ATTEMPTS: ending.attempts})
        if ending.reason != SUCCESS:
            span.set_attribute(ERROR_TYPE, self._error_type(ending))
            span.set_status(_ERROR)
        span.end()


class AttemptSpans(CallSpans):
    """The spans of one call whose inner transport makes none of its attempts."""

    def attempt_started(self, number: int) -> None:
        call, method = self._call, method_of(self._call.method)
        known = {
            METHOD: method,
            **of_server(call.origin),
            URL: f"{call.origin}{call.path}",
            **({RESEND_COUNT: number - 1} if number > 1 else {}),
        }
        name = "HTTP" if method != call.method else method
        span = self._tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=known)
        self._attempt, self._current_attempt = span, _Current(span)

    def add_headers(self, headers: MutableMapping[str, str]) -> None:
        propagate.inject(headers)

    def attempt_received(self, is_elsewhere: bool) -> None:
        if self._current_attempt is not None:
            self._current_attempt.leave(is_elsewhere=is_elsewhere)
            self._current_attempt = None

    def attempt_finished(
        self, status: int | None, failure: AttemptFinished | None, exception_type: str | None
    ) -> None:
        span, self._attempt = self._attempt, None
        if span is None:
            return
        if status is not None:
            span.set_attribute(STATUS, status)
        if failure is not None or exception_type is not None:
            code = None if failure is None else failure.code
            raised = exception_type if failure is None else failure.exception_type
            span.set_attribute(ERROR_TYPE, error_type(self._call, status, code, raised))
            span.set_status(_ERROR)
        span.end()
