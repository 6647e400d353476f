"""Whether a failed attempt is repeated, and when: one table, read top to bottom.

It is decided before the call sleeps: attempts, method, body and time are checked first. What the
retry costs is withdrawn when it is sent, for only then is known what it is sent into; before the
call sleeps, where retries are not parked or the wait is for the rate limit.
"""

import math
from typing import NamedTuple

from ..dialect.catalog import IDEMPOTENT_METHODS, ErrorClass
from ..dialect.classify import Failure
from ..dialect.dialect import Dialect
from ..outcome import Call
from ..policy import RetryPolicy
from .backoff import hinted_delay

MINIMAL_ATTEMPT = 0.1
"""Seconds that must be left for the attempt after a wait."""

NEVER_SENT = 0.25
"""Share of the cost that a retry has whose predecessor never reached the server."""

SUCCESS = "success"
PERMANENT = "permanent"
ATTEMPTS_EXHAUSTED = "attempts_exhausted"
BUDGET_EXHAUSTED = "budget_exhausted"
OUT_OF_TIME = "out_of_time"
RETRY_AFTER_TOO_LONG = "retry_after_too_long"
THROTTLE_TIMEOUT = "throttle_timeout"
NOT_IDEMPOTENT = "not_idempotent"
BODY_NOT_REPLAYABLE = "body_not_replayable"
DISABLED = "disabled"
CLOSED = "closed"
UNAVAILABLE = "unavailable"
VETOED = "vetoed"

REASONS = (
    SUCCESS,
    PERMANENT,
    ATTEMPTS_EXHAUSTED,
    BUDGET_EXHAUSTED,
    OUT_OF_TIME,
    RETRY_AFTER_TOO_LONG,
    THROTTLE_TIMEOUT,
    NOT_IDEMPOTENT,
    BODY_NOT_REPLAYABLE,
    DISABLED,
    CLOSED,
    UNAVAILABLE,
    VETOED,
)
"""The closed vocabulary of reasons to stop, used alike in events, history and notes."""

LEFT_TO_LAYERS_ABOVE = frozenset({DISABLED, NOT_IDEMPOTENT, BODY_NOT_REPLAYABLE})
"""Reasons for which a call was not repeated here, so that whoever is above may repeat it."""


class Facts(NamedTuple):
    """What a decision rests on, beside the failure and the policy. Times on the driver's clock.

    Attributes:
        attempt: Number of the attempt that failed, from 1.
        of_class: How many attempts of this call have failed with this class, this one included.
        now: The time.
        give_up_at: When ``retry_for`` or the deadline ends, whichever is first.
        deadline_at: When the deadline ends.
        max_wait: Seconds that the call may still wait for the rate limit, where the throttle
            bounds that wait: it stops the clock of ``retry_for``, and ``max_retry_after`` does
            not apply. None for every other failure.
        repeatable: Repeating is safe, whatever the server did with the last attempt.
        replayable: The request body can be sent again.
        paced: The throttle holds retries of such a refusal to what the server allows.
        has_hook: A recovery hook will make the request of the next attempt.
        unavailable: The origin is unavailable, so that the retry parks: its backoff need not grow.
    """

    attempt: int
    of_class: int
    now: float
    give_up_at: float
    repeatable: bool
    replayable: bool
    paced: bool = False
    has_hook: bool = False
    deadline_at: float = math.inf
    max_wait: float | None = None
    unavailable: bool = False


class Retry(NamedTuple):
    """Repeat the attempt after ``delay`` seconds, for ``cost`` tokens of the retry budget."""

    delay: float
    source: str
    cost: float


class Stop(NamedTuple):
    """Do not repeat it. ``delay`` is the wait that the server asked for, where that decided."""

    reason: str
    delay: float | None = None
    source: str | None = None


def decide(failure: Failure, facts: Facts, retry: RetryPolicy, rand: float) -> Retry | Stop:
    """Return whether to repeat a failed attempt; ``rand`` is uniform in [0, 1)."""
    if failure.should_retry is False and not (failure.ruled or facts.has_hook):
        return Stop(VETOED)
    backoff = retry.backoff.get(failure.error_class)
    if facts.has_hook:
        backoff = retry.backoff[ErrorClass.CONFLICT]
    elif failure.error_class is ErrorClass.CONFLICT:
        backoff = None
    if backoff is None:
        return Stop(PERMANENT)
    if facts.attempt >= retry.max_attempts:
        return Stop(ATTEMPTS_EXHAUSTED)
    if backoff.max_attempts is not None and facts.of_class >= backoff.max_attempts:
        return Stop(ATTEMPTS_EXHAUSTED)
    if not (facts.repeatable or facts.has_hook or _is_safe_to_repeat(failure)):
        return Stop(NOT_IDEMPOTENT)
    if not (facts.replayable or facts.has_hook):
        return Stop(BODY_NOT_REPLAYABLE)

    wait, longest = failure.wait, facts.max_wait
    hinted = wait is not None and wait.seconds > 0
    if wait is not None and hinted:
        if wait.seconds > (retry.max_retry_after if longest is None else longest):
            return Stop(RETRY_AFTER_TOO_LONG, wait.seconds, wait.source)
        delay, source = hinted_delay(wait.seconds, rand), wait.source
    else:
        delay = backoff.delay(1 if facts.unavailable else facts.attempt, rand)
        source = "backoff"
        if longest is not None and delay > longest:
            return Stop(THROTTLE_TIMEOUT, delay, source)
    earliest = facts.now + MINIMAL_ATTEMPT
    counted = delay if longest is None else 0.0  # a wait for the rate limit stops the clock
    if earliest + counted > facts.give_up_at or earliest + delay > facts.deadline_at:
        return Stop(OUT_OF_TIME, delay, source)

    cost = backoff.cost * (NEVER_SENT if failure.never_sent else 1.0)
    if facts.paced or (hinted and failure.error_class is ErrorClass.RATE_LIMITED):
        cost = 0.0  # the server itself says when it has room, or the throttle finds it out
    return Retry(delay, source, cost)


def is_repeatable(call: Call, dialect: Dialect, retry: RetryPolicy) -> bool:
    """Return whether a call may be repeated even if the server may have processed it."""
    method, rules = call.method, dialect.requests
    if call.has_idempotency_key or retry.retry_non_idempotent:
        return True
    if method == "PUT":
        return rules.put_is_idempotent
    return method in IDEMPOTENT_METHODS or (method == "POST" and rules.post_is_repeatable)


def _is_safe_to_repeat(failure: Failure) -> bool:
    # Who defines a code says that it may be repeated; a 429 refuses before anything is done.
    refused = failure.status == 429 or failure.error_class is ErrorClass.RATE_LIMITED
    return failure.coded or failure.never_sent or refused
