"""What a call records of itself: typed events, built only where somebody wants them.

Apart from the flow, so that the way a request goes can be read without what is recorded about it;
nothing that is decided is read from here. A log line's field stands in two places: in its event's
class, and where it is recorded below.
"""

import math
from typing import Any, NamedTuple, Protocol

from ..call_state import CallState, Rules
from ..dialect.catalog import ErrorClass
from ..dialect.classify import Failure, request_id_of
from ..headers import Reading, binding
from ..outcome import Call, HookDone, Outcome
from ..retry.decision import Retry, Stop
from .advice import advice_for
from .events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    Event,
    GaveUp,
    Level,
    RateLimitObserved,
    Recovered,
    RecoveryHook,
    RetryParked,
    RetryScheduled,
    ThrottleDelayed,
)


class PendingEvent(NamedTuple):
    """Something that happened, as it is kept: no header, no body; its event is built on demand.

    A retried call records four, of which an application that logs warnings reads one. An event
    takes 7 µs to build, this a tenth of it.

    Attributes:
        level: The event's.
        kind: Its class.
        at: When it happened.
        about: What all events of an attempt have in common, if it is about one.
        fields: What the event says beside that.
    """

    level: Level
    kind: type[Event]
    at: float
    about: "AttemptRecord | None"
    fields: dict[str, Any]

    def event(self) -> Event:
        """Return the event."""
        common = {} if self.about is None else self.about.fields()
        fields = {**common, **self.fields}
        for name, value in fields.items():
            if type(value) is float:
                fields[name] = _rounded(name, value)
        return self.kind(at=self.at, **fields)


def _rounded(name: str, value: float) -> float | None:
    """Return seconds to the millisecond, tokens to the hundredth; None for what is no number."""
    return round(value, 2 if name == "budget" else 3) if math.isfinite(value) else None


class EventRecorder(Protocol):
    """Takes what happened; never raises."""

    @property
    def verbose(self) -> bool:
        """Whether events of level debug are wanted."""
        ...

    def record(self, pending: PendingEvent) -> None:
        """Take something that happened."""


class AttemptRecord(NamedTuple):
    """What all that is recorded of one attempt has in common; see ``CallEvent``."""

    origin: str
    call_id: str
    method: str
    path: str
    number: int
    max_attempts: int
    idempotent: bool
    maybe_applied: bool
    status: int
    request_id: str | None
    elapsed: float
    failure: Failure | None

    def fields(self) -> dict[str, Any]:
        """Return the fields of ``CallEvent``."""
        failure = self.failure
        return {
            "origin": self.origin,
            "call_id": self.call_id,
            "request_id": self.request_id,
            "method": self.method,
            "path": self.path,
            "attempt": self.number,
            "max_attempts": self.max_attempts,
            "status": self.status or None,
            "code": None if failure is None else failure.code,
            "error_class": None if failure is None else str(failure.error_class),
            "exception_type": None if failure is None else failure.exception_type,
            "elapsed": self.elapsed,
            "idempotent": self.idempotent,
            "maybe_applied": self.maybe_applied,
            "status_mismatch": (failure is not None and failure.status_mismatch) or None,
        }


_DEBUG, _INFO, _WARNING = Level.DEBUG, Level.INFO, Level.WARNING


class CallRecorder:
    """Records what happens to one call; made when there is something to record.

    Args:
        state: The call's, which it reads and never changes.
        rules: What the call goes by.
        recorder: Takes the events.
    """

    __slots__ = ("_attempt", "_call", "_path", "_recorder", "_rules", "_state")

    def __init__(self, state: CallState, rules: Rules, recorder: EventRecorder) -> None:
        self._state = state
        self._rules = rules
        self._recorder = recorder
        self._call: Call | None = None
        self._path = ""
        self._attempt: AttemptRecord | None = None

    @property
    def call(self) -> Call:
        """The call that arrived, or what a recovery hook made of it."""
        call = self._state.call
        if call is not self._call:
            self._call, self._attempt = call, None
            self._path = call.path if call.redact is None else shown_path(call)
        return call

    def _record(
        self,
        level: Level,
        kind: type[Event],
        at: float,
        about: AttemptRecord | None = None,
        /,
        **fields: Any,
    ) -> None:
        self._recorder.record(PendingEvent(level, kind, at, about, fields))

    def _named(self) -> dict[str, Any]:
        """Return what names the call in events that are about no attempt's outcome."""
        call = self.call
        return {
            "origin": call.origin,
            "call_id": call.call_id,
            "method": call.method,
            "path": self._path,
        }

    # Before and while it is sent.

    def call_started(self, now: float) -> None:
        """Record that the call was admitted for the first time."""
        self._record(_DEBUG, CallStarted, now, **self._named())

    def attempt_started(self, now: float) -> None:
        """Record that an attempt is about to be sent."""
        self._record(_DEBUG, AttemptStarted, now, **self._named(), attempt=self._state.attempt)

    def throttle_delayed(self, scope: str, seconds: float, now: float) -> None:
        """Record that the call waited for the rate-limit budget."""
        attempt, named = self._state.attempt, self._named()
        self._record(
            _DEBUG, ThrottleDelayed, now, **named, scope=scope, attempt=attempt, delay=seconds
        )

    def rate_limit_observed(self, scope: str, reading: Reading, now: float) -> None:
        """Record what a response announced of its rate limit."""
        announced = _announced(reading)
        if announced:
            origin = self.call.origin
            self._record(_DEBUG, RateLimitObserved, now, origin=origin, scope=scope, **announced)

    # What came of it.

    def attempt_finished(
        self, outcome: Outcome, failure: Failure | None, reading: Reading | None = None
    ) -> None:
        """Record that an attempt came back."""
        announced = {} if reading is None else _announced(reading)
        attempt, duration = self._of(outcome, failure), outcome.received_at - outcome.sent_at
        self._record(_DEBUG, AttemptFinished, outcome.at, attempt, duration=duration, **announced)

    def retry_scheduled(
        self, outcome: Outcome, failure: Failure, retry: Retry, budget: float | None
    ) -> None:
        """Record that the attempt will be repeated."""
        self._record(
            _WARNING,
            RetryScheduled,
            outcome.at,
            self._of(outcome, failure),
            elapsed=outcome.at - self._state.first_sent,
            delay=retry.delay,
            delay_source=retry.source,
            time_left=self._state.time_left(outcome.at),
            budget=budget,
            parked=self._state.parked or None,
        )

    def retry_parked(
        self, outcome: Outcome, failure: Failure, reason: str, time_left: float, queued: int
    ) -> None:
        """Record that a retry waits for its origin to recover."""
        self._record(
            _DEBUG,
            RetryParked,
            outcome.at,
            self._of(outcome, failure),
            elapsed=outcome.at - self._state.first_sent,
            reason=reason,
            time_left=time_left,
            queued=queued,
        )

    def hook_finished(self, outcome: Outcome, failure: Failure, hook: HookDone) -> None:
        """Record that a recovery hook ran."""
        self._record(
            _INFO,
            RecoveryHook,
            hook.at,
            self._of(outcome, failure),
            elapsed=hook.at - self._state.first_sent,
            exception_type=hook.exception_type,
            outcome=hook.outcome,
        )

    def gave_up(
        self, outcome: Outcome, failure: Failure, stop: Stop, budget: float | None, attempt: int
    ) -> None:
        """Record that the call ends failed, and why."""
        escalated = failure.error_class is ErrorClass.INTERNAL or None
        self._record(
            Level.ERROR if escalated else _WARNING,
            GaveUp,
            outcome.at,
            self._of(outcome, failure, attempt),
            elapsed=outcome.at - self._state.first_sent,
            reason=stop.reason,
            delay=stop.delay,
            delay_source=stop.source,
            time_left=self._state.time_left(outcome.at),
            budget=budget,
            parked=self._state.parked or None,
            escalated=escalated,
            advice=stop.detail or advice_for(stop.reason, failure, self._rules),
        )

    def recovered(self, outcome: Outcome, budget: float | None, source: str | None) -> None:
        """Record that the call succeeded after all; ``source``: what released it, if parked."""
        self._record(
            _INFO,
            Recovered,
            outcome.at,
            self._of(outcome, None),
            budget=budget,
            parked=self._state.parked or None,
            delay_source=source,
        )

    def call_finished(
        self, outcome: Outcome, failure: Failure | None, reason: str, attempt: int
    ) -> None:
        """Record that the call ended."""
        about = self._of(outcome, failure, attempt)
        self._record(_DEBUG, CallFinished, outcome.at, about, reason=reason)

    def _of(
        self, outcome: Outcome, failure: Failure | None, number: int | None = None
    ) -> AttemptRecord:
        """Return what is recorded of an attempt; made once for all its events."""
        call, state, attempt = self.call, self._state, self._attempt
        number = state.attempt if number is None else number
        if attempt is None or attempt.number != number or attempt.failure is not failure:
            if failure is None:
                request_id = request_id_of(outcome.headers, self._rules.dialect)
            else:
                request_id = failure.request_id
            attempt = self._attempt = AttemptRecord(
                origin=call.origin,
                call_id=call.call_id,
                method=call.method,
                path=self._path,
                number=number,
                max_attempts=state.max_attempts,
                idempotent=state.repeatable,
                maybe_applied=state.maybe_applied,
                status=outcome.status,
                request_id=request_id,
                elapsed=outcome.at - state.first_sent,
                failure=failure,
            )
        return attempt


def _announced(reading: Reading) -> dict[str, Any]:
    """Return what a response announced of the limit that binds first; empty if nothing."""
    limits = reading.limits
    limit = limits[0] if len(limits) == 1 else binding(limits)
    if limit is None:
        return {}
    return {
        "rate_limit": limit.limit,
        "rate_remaining": limit.remaining,
        "rate_reset_in": limit.reset_in,
    }


def shown_path(call: Call) -> str:
    """Return a call's path as it may be logged."""
    try:
        return str(call.redact(call.path)) if call.redact is not None else call.path
    except Exception:  # noqa: BLE001 - a user's callable; recording must not break the call
        return "invalid"
