"""What the instruments record of one call."""

from __future__ import annotations

from ..._core.retry.decision import PERMANENT, SUCCESS
from ..._core.telemetry.events import (
    AttemptFinished,
    Event,
    GaveUp,
    RecoveryHook,
    RetryScheduled,
    ThrottleDelayed,
)
from ..observer import Ending, ObservedCall, Watch
from ._attributes import (
    ATTEMPT_TYPE,
    CATEGORY,
    DELAY_SOURCE,
    DIALECT,
    ERROR_CLASS,
    ERROR_TYPE,
    METHOD,
    REASON,
    STATUS,
    Attributes,
    category_of,
    error_type,
    method_of,
    of_server,
)
from ._instruments import Instruments


class CallMetrics(Watch):
    """What is recorded of one call.

    Args:
        instruments: Record it.
        call: The call.
        shows_category: Whether waits for the rate limit say of which category.
    """

    def __init__(
        self, instruments: Instruments, call: ObservedCall, *, shows_category: bool
    ) -> None:
        self._instruments = instruments
        self._call = call
        self._shows_category = shows_category
        method = {METHOD: method_of(call.method)}
        self._common: Attributes = {**of_server(call.origin), **method, DIALECT: call.dialect}
        self._began_at = call.now()
        self._kind = "original"
        self._scheduled: RetryScheduled | None = None
        self._delays: dict[str, float] = {}
        self._attempts = 0

    def attempt_started(self, number: int) -> None:
        self._attempts = number
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is not None:  # and its wait is over
            source = scheduled.delay_source
            self._delays[source] = self._delays.get(source, 0.0) + scheduled.delay

    def attempt_finished(
        self, status: int | None, failure: AttemptFinished | None, exception_type: str | None
    ) -> None:
        known = {**self._common, ATTEMPT_TYPE: self._kind}
        if failure is not None:
            raised = failure.exception_type
            known[ERROR_TYPE] = error_type(self._call, status, failure.code, raised)
        elif exception_type is not None:
            known[ERROR_TYPE] = exception_type
        self._kind = "retry"
        self._instruments.attempts.add(1, known)

    def happened(self, event: Event) -> None:
        if isinstance(event, RetryScheduled):
            self._scheduled = event
        elif isinstance(event, RecoveryHook) and event.outcome == "request":
            self._kind = "recovery"
        elif isinstance(event, ThrottleDelayed):
            known = dict(self._common)
            if self._shows_category:
                known[CATEGORY] = category_of(event.scope)
            self._instruments.throttle_wait.record(event.delay, known)
        elif isinstance(event, GaveUp) and self._attempts and event.reason != PERMANENT:
            known = {**self._common, REASON: event.reason}
            if event.error_class is not None:
                known[ERROR_CLASS] = event.error_class
            self._instruments.retries_refused.add(1, known)

    def finished(self, ending: Ending) -> None:
        known = {**self._common, REASON: ending.reason}
        if ending.status is not None:
            known[STATUS] = ending.status
        if ending.reason != SUCCESS:
            found = error_type(self._call, ending.status, ending.code, ending.exception_type)
            known[ERROR_TYPE] = found
        self._instruments.call_duration.record(self._call.now() - self._began_at, known)
        for source, seconds in self._delays.items():
            self._instruments.retry_delay.record(seconds, {**self._common, DELAY_SOURCE: source})
