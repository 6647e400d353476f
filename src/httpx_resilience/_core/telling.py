"""What a call tells of itself: the flow's facts made into events.

Apart from the flow, so that the way a request goes can be read without what is said about it.
"""

import math
from typing import Any, Protocol

from .catalog import ErrorClass
from .classify import Failure, request_id_of
from .decision import (
    ATTEMPTS_EXHAUSTED,
    BODY_NOT_REPLAYABLE,
    BUDGET_EXHAUSTED,
    NOT_IDEMPOTENT,
    OUT_OF_TIME,
    PERMANENT,
    RETRY_AFTER_TOO_LONG,
    THROTTLE_TIMEOUT,
    Retry,
    Stop,
)
from .dialect import Dialect
from .events import (
    AttemptFinished,
    Event,
    GaveUp,
    RateLimitObserved,
    Recovered,
    RecoveryHook,
    RetryScheduled,
    ThrottleDelayed,
)
from .headers import Reading, binding
from .outcome import Call, HookDone, Outcome

_ADVICE_BY_REASON = {
    BUDGET_EXHAUSTED: "Look at the server: more calls to it fail than the retry budget covers.",
    NOT_IDEMPOTENT: "Check whether the server carried it out before sending it again.",
    BODY_NOT_REPLAYABLE: "Send the body as bytes or from a seekable file, so it can be repeated.",
    RETRY_AFTER_TOO_LONG: "Send it again after the time the server asks for, not before.",
    THROTTLE_TIMEOUT: "Send it again when the rate limit has room; ask for a higher one if needed.",
    OUT_OF_TIME: "Look at the server; give the call more time if it is merely slow.",
}

_ADVICE_BY_CLASS = {
    ErrorClass.INTERNAL: "Report it to whoever runs the server, with the request id if any.",
    ErrorClass.TRANSIENT: "Look at the server's status, and at the proxies in front of it.",
    ErrorClass.CONNECTION: "Check that the server runs and can be reached from here.",
    ErrorClass.RATE_LIMITED: "Spread the load, or ask for a higher limit.",
}

_UNSPECIFIC = (PERMANENT, ATTEMPTS_EXHAUSTED)
"""Reasons that say nothing the error code does not say better."""


class Teller(Protocol):
    """Takes events; ``verbose`` says whether anybody wants those of level debug."""

    @property
    def verbose(self) -> bool:
        """Whether events of level debug are wanted."""
        ...

    def tell(self, event: Event) -> None:
        """Take an event; never raises."""


class Story:
    """One call's running account: what its events have in common."""

    __slots__ = (
        "call",
        "dialect",
        "first_sent",
        "give_up_at",
        "max_attempts",
        "maybe_applied",
        "repeatable",
        "teller",
    )

    def __init__(
        self, call: Call, dialect: Dialect, teller: Teller, max_attempts: int, repeatable: bool
    ) -> None:
        self.call = call
        self.dialect = dialect
        self.teller = teller
        self.max_attempts = max_attempts
        self.repeatable = repeatable
        self.maybe_applied = False
        self.first_sent = 0.0
        self.give_up_at = math.inf

    def observed(self, scope: str, reading: Reading) -> None:
        """Tell what a response announced of its rate limit."""
        limit = binding(reading.limits)
        if limit is None:
            return
        self.teller.tell(
            RateLimitObserved(
                origin=self.call.origin,
                scope=scope,
                rate_limit=limit.limit,
                rate_remaining=limit.remaining,
                rate_reset_in=limit.reset_in,
            )
        )

    def delayed(self, attempt: int, scope: str, seconds: float) -> None:
        """Tell that the call waited for the rate-limit budget."""
        call = self.call
        self.teller.tell(
            ThrottleDelayed(
                origin=call.origin,
                scope=scope,
                call_id=call.call_id,
                method=call.method,
                path=_shown_path(call),
                attempt=attempt,
                delay=_ms(seconds),
            )
        )

    def finished(
        self,
        attempt: int,
        outcome: Outcome,
        failure: Failure | None,
        reading: Reading | None = None,
    ) -> None:
        """Tell that an attempt came back."""
        limit = binding(reading.limits) if reading is not None else None
        self.teller.tell(
            AttemptFinished(
                **self._common(attempt, outcome, failure),
                duration=_ms(outcome.received_at - outcome.sent_at),
                status_mismatch=(failure is not None and failure.status_mismatch) or None,
                rate_limit=limit.limit if limit is not None else None,
                rate_remaining=limit.remaining if limit is not None else None,
                rate_reset_in=limit.reset_in if limit is not None else None,
            )
        )

    def scheduled(
        self, attempt: int, outcome: Outcome, failure: Failure, retry: Retry, budget: float | None
    ) -> None:
        """Tell that the attempt will be repeated."""
        self.teller.tell(
            RetryScheduled(
                **self._common(attempt, outcome, failure),
                delay=_ms(retry.delay),
                delay_source=retry.source,
                time_left=self._time_left(outcome.at),
                budget=_cents(budget),
                status_mismatch=failure.status_mismatch or None,
            )
        )

    def hooked(self, attempt: int, outcome: Outcome, failure: Failure, hook: HookDone) -> None:
        """Tell that a recovery hook ran."""
        common = self._common(attempt, outcome, failure)
        common["elapsed"] = _ms(hook.at - self.first_sent)
        common["exception_type"] = hook.exception_type
        self.teller.tell(RecoveryHook(**common, outcome=hook.outcome))

    def gave_up(
        self, attempt: int, outcome: Outcome, failure: Failure, stop: Stop, budget: float | None
    ) -> None:
        """Tell that the call ends failed, and why."""
        finite = stop.delay is not None and math.isfinite(stop.delay)
        self.teller.tell(
            GaveUp(
                **self._common(attempt, outcome, failure),
                reason=stop.reason,
                delay=_ms(stop.delay) if stop.delay is not None and finite else None,
                delay_source=stop.source,
                time_left=self._time_left(outcome.at),
                budget=_cents(budget),
                escalated=(failure.error_class is ErrorClass.INTERNAL) or None,
                advice=advice_for(stop.reason, failure),
                status_mismatch=failure.status_mismatch or None,
            )
        )

    def recovered(self, attempt: int, outcome: Outcome, budget: float | None) -> None:
        """Tell that the call succeeded after all."""
        self.teller.tell(Recovered(**self._common(attempt, outcome, None), budget=_cents(budget)))

    def _common(self, attempt: int, outcome: Outcome, failure: Failure | None) -> dict[str, Any]:
        call = self.call
        return {
            "origin": call.origin,
            "call_id": call.call_id,
            "request_id": self._request_id(outcome, failure),
            "method": call.method,
            "path": _shown_path(call),
            "attempt": attempt,
            "max_attempts": self.max_attempts,
            "status": outcome.status or None,
            "code": failure.code if failure is not None else None,
            "error_class": failure.error_class.value if failure is not None else None,
            "exception_type": failure.trouble_type if failure is not None else None,
            "elapsed": _ms(outcome.at - self.first_sent),
            "idempotent": self.repeatable,
            "maybe_applied": self.maybe_applied,
        }

    def _request_id(self, outcome: Outcome, failure: Failure | None) -> str | None:
        if failure is not None:
            return failure.request_id
        return request_id_of(outcome.headers, self.dialect)

    def _time_left(self, now: float) -> float:
        return _ms(max(0.0, self.give_up_at - now))


def advice_for(reason: str, failure: Failure) -> str | None:
    """Return what a person can do about a call that ended so."""
    if reason not in _UNSPECIFIC and reason in _ADVICE_BY_REASON:
        return _ADVICE_BY_REASON[reason]
    if failure.spec is not None and failure.spec.advice:
        return failure.spec.advice
    return _ADVICE_BY_CLASS.get(failure.error_class)


def _shown_path(call: Call) -> str:
    if call.redact is None:
        return call.path
    try:
        return str(call.redact(call.path))
    except Exception:  # noqa: BLE001 - a user's callable; telling must not break the call
        return "invalid"


def _ms(seconds: float) -> float:
    return round(seconds, 3)


def _cents(tokens: float | None) -> float | None:
    return None if tokens is None else round(tokens, 2)
