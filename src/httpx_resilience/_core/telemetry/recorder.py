"""What a call tells of itself: the flow's facts made into events.

Apart from the flow, so that the way a request goes can be read without what is said about it.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..dialect.catalog import INTERNAL, ErrorClass
from ..dialect.classify import Failure, request_id_of
from ..dialect.dialect import Dialect
from ..headers import Reading, binding
from ..outcome import Call, HookDone, Outcome
from ..retry.decision import (
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
from ..tuples import maker
from .events import (
    AttemptFinished,
    Event,
    GaveUp,
    Level,
    RateLimitObserved,
    Recovered,
    RecoveryHook,
    RetryScheduled,
    ThrottleDelayed,
)

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


class Fact(NamedTuple):
    """Something that happened, as it is kept: no header, no body; its event is made on demand.

    A retried call tells four, of which an application that logs warnings reads one. An event
    takes 7 µs to make, a fact 0.5 µs.

    Attributes:
        level: The event's.
        make: Makes the event.
        told: Of what.
    """

    level: Level
    make: Callable[..., Event]
    told: tuple[Any, ...]

    def event(self) -> Event:
        """Return the event."""
        return self.make(*self.told)


_make_fact = maker(Fact)

_DEBUG, _INFO, _WARNING = Level.DEBUG, Level.INFO, Level.WARNING


class Teller(Protocol):
    """Takes facts; ``verbose`` says whether anybody wants those of level debug."""

    @property
    def verbose(self) -> bool:
        """Whether events of level debug are wanted."""
        ...

    def tell(self, fact: Fact) -> None:
        """Take a fact; never raises."""


class _About(NamedTuple):
    """What all that is told of one attempt has in common; see ``CallEvent``."""

    origin: str
    call_id: str
    method: str
    path: str
    max_attempts: int
    idempotent: bool
    maybe_applied: bool
    attempt: int
    status: int
    request_id: str | None
    elapsed: float
    failure: Failure | None


_make_about = maker(_About)

_Rates = tuple[int | None, int | None, float | None]
"""Limit, remaining, and seconds until the reset."""


class Story:
    """One call's running account: what its events have in common."""

    __slots__ = (
        "_about",
        "_call",
        "_path",
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
        self.dialect = dialect
        self.teller = teller
        self.max_attempts = max_attempts
        self.maybe_applied = False
        self.first_sent = 0.0
        self.give_up_at = math.inf
        self.goes_on(call, repeatable)

    def goes_on(self, call: Call, repeatable: bool) -> None:
        """Go on with this call: the one that arrived, or what a recovery hook made of it."""
        self._call = call
        self._path = call.path if call.redact is None else shown_path(call)
        self.repeatable = repeatable
        self._about: _About | None = None

    def observed(self, scope: str, reading: Reading) -> None:
        """Tell what a response announced of its rate limit."""
        rates = _rates(reading)
        if rates is not None:
            told = self._call.origin, scope, rates
            self.teller.tell(_make_fact((_DEBUG, _rate_limit_observed, told)))

    def delayed(self, attempt: int, scope: str, seconds: float) -> None:
        """Tell that the call waited for the rate-limit budget."""
        call = self._call
        told = call.origin, scope, call.call_id, call.method, self._path, attempt, seconds
        self.teller.tell(_make_fact((_DEBUG, _throttle_delayed, told)))

    def finished(
        self,
        attempt: int,
        outcome: Outcome,
        failure: Failure | None,
        reading: Reading | None = None,
    ) -> None:
        """Tell that an attempt came back."""
        about = self._of(attempt, outcome, failure)
        rates = None if reading is None else _rates(reading)
        told = about, outcome.received_at - outcome.sent_at, rates
        self.teller.tell(_make_fact((_DEBUG, _attempt_finished, told)))

    def scheduled(
        self, attempt: int, outcome: Outcome, failure: Failure, retry: Retry, budget: float | None
    ) -> None:
        """Tell that the attempt will be repeated."""
        about, time_left = self._of(attempt, outcome, failure), self.give_up_at - outcome.at
        told = about, retry, time_left, budget
        self.teller.tell(_make_fact((_WARNING, _retry_scheduled, told)))

    def hooked(self, attempt: int, outcome: Outcome, failure: Failure, hook: HookDone) -> None:
        """Tell that a recovery hook ran."""
        about, elapsed = self._of(attempt, outcome, failure), hook.at - self.first_sent
        told = about, elapsed, hook.exception_type, hook.outcome
        self.teller.tell(_make_fact((_INFO, _recovery_hook, told)))

    def gave_up(
        self, attempt: int, outcome: Outcome, failure: Failure, stop: Stop, budget: float | None
    ) -> None:
        """Tell that the call ends failed, and why."""
        about, time_left = self._of(attempt, outcome, failure), self.give_up_at - outcome.at
        level = Level.ERROR if _is_escalated(failure) else _WARNING
        self.teller.tell(_make_fact((level, _gave_up, (about, stop, time_left, budget))))

    def recovered(self, attempt: int, outcome: Outcome, budget: float | None) -> None:
        """Tell that the call succeeded after all."""
        told = self._of(attempt, outcome, None), budget
        self.teller.tell(_make_fact((_INFO, _recovered, told)))

    def _of(self, attempt: int, outcome: Outcome, failure: Failure | None) -> _About:
        """Return what is told of an attempt; made once for all that is."""
        about = self._about
        if about is None or about.attempt != attempt or about.failure is not failure:
            about = self._about = self._about_of(attempt, outcome, failure)
        return about

    def _about_of(self, attempt: int, outcome: Outcome, failure: Failure | None) -> _About:
        call = self._call
        if failure is None:
            request_id = request_id_of(outcome.headers, self.dialect)
        else:
            request_id = failure.request_id
        return _make_about(
            (
                call.origin,
                call.call_id,
                call.method,
                self._path,
                self.max_attempts,
                self.repeatable,
                self.maybe_applied,
                attempt,
                outcome.status,
                request_id,
                outcome.at - self.first_sent,
                failure,
            )
        )


def _common(about: _About) -> dict[str, Any]:
    failure = about.failure
    return {
        "origin": about.origin,
        "call_id": about.call_id,
        "request_id": about.request_id,
        "method": about.method,
        "path": about.path,
        "attempt": about.attempt,
        "max_attempts": about.max_attempts,
        "status": about.status or None,
        "code": failure.code if failure is not None else None,
        "error_class": str(failure.error_class) if failure is not None else None,
        "exception_type": failure.trouble_type if failure is not None else None,
        "elapsed": _ms(about.elapsed),
        "idempotent": about.idempotent,
        "maybe_applied": about.maybe_applied,
    }


def _rate_limit_observed(origin: str, scope: str, rates: _Rates) -> RateLimitObserved:
    return RateLimitObserved(origin=origin, scope=scope, **_rate_fields(rates))


def _throttle_delayed(
    origin: str, scope: str, call_id: str, method: str, path: str, attempt: int, seconds: float
) -> ThrottleDelayed:
    return ThrottleDelayed(
        origin=origin,
        scope=scope,
        call_id=call_id,
        method=method,
        path=path,
        attempt=attempt,
        delay=_ms(seconds),
    )


def _attempt_finished(about: _About, duration: float, rates: _Rates | None) -> AttemptFinished:
    return AttemptFinished(
        **_common(about),
        duration=_ms(duration),
        status_mismatch=_is_mismatch(about),
        **_rate_fields(rates),
    )


def _retry_scheduled(
    about: _About, retry: Retry, time_left: float, budget: float | None
) -> RetryScheduled:
    return RetryScheduled(
        **_common(about),
        delay=_ms(retry.delay),
        delay_source=retry.source,
        time_left=_ms(max(0.0, time_left)),
        budget=_cents(budget),
        status_mismatch=_is_mismatch(about),
    )


def _recovery_hook(
    about: _About, elapsed: float, exception_type: str | None, outcome: str
) -> RecoveryHook:
    common = _common(about)
    common["elapsed"] = _ms(elapsed)
    common["exception_type"] = exception_type
    return RecoveryHook(**common, outcome=outcome)


def _gave_up(about: _About, stop: Stop, time_left: float, budget: float | None) -> GaveUp:
    failure, delay = about.failure, stop.delay
    return GaveUp(
        **_common(about),
        reason=stop.reason,
        delay=_ms(delay) if delay is not None and math.isfinite(delay) else None,
        delay_source=stop.source,
        time_left=_ms(max(0.0, time_left)) if math.isfinite(time_left) else None,
        budget=_cents(budget),
        escalated=_is_escalated(failure) or None,
        advice=None if failure is None else advice_for(stop.reason, failure),
        status_mismatch=_is_mismatch(about),
    )


def _recovered(about: _About, budget: float | None) -> Recovered:
    return Recovered(**_common(about), budget=_cents(budget))


def _rates(reading: Reading) -> _Rates | None:
    limits = reading.limits
    limit = limits[0] if len(limits) == 1 else binding(limits)
    return None if limit is None else limit[:3]


def _rate_fields(rates: _Rates | None) -> dict[str, Any]:
    return {} if rates is None else dict(zip(_RATE_NAMES, rates, strict=True))


_RATE_NAMES = ("rate_limit", "rate_remaining", "rate_reset_in")


def _is_escalated(failure: Failure | None) -> bool:
    return failure is not None and failure.error_class is INTERNAL


def _is_mismatch(about: _About) -> bool | None:
    return (about.failure is not None and about.failure.status_mismatch) or None


def advice_for(reason: str, failure: Failure) -> str | None:
    """Return what a person can do about a call that ended so."""
    if reason not in _UNSPECIFIC and reason in _ADVICE_BY_REASON:
        return _ADVICE_BY_REASON[reason]
    if failure.spec is not None and failure.spec.advice:
        return failure.spec.advice
    return _ADVICE_BY_CLASS.get(failure.error_class)


def shown_path(call: Call) -> str:
    """Return a call's path as it may be told."""
    try:
        return str(call.redact(call.path)) if call.redact is not None else call.path
    except Exception:  # noqa: BLE001 - a user's callable; telling must not break the call
        return "invalid"


def _ms(seconds: float) -> float:
    return round(seconds, 3)


def _cents(tokens: float | None) -> float | None:
    return None if tokens is None else round(tokens, 2)
