"""One frozen record per thing that happens.

The log line, the call's history and any ``on_event`` callable are made from the same record. A
record's fields are the fields of its log line, under the same names; those that are None are left
out of the line. This is a contract: fields may be added, not renamed.
"""

import enum
from typing import Any, ClassVar

from .records import Record, record

SCHEMA = 1
"""Version of the fields' names and types, part of every line."""


class Level(enum.IntEnum):
    """How much an event matters; the numbers are those of ``logging``."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@record
class Event(Record):
    """What every record has in common.

    Attributes:
        at: When it happened: seconds of the event loop's clock, or of ``time.monotonic`` where no
            loop runs. Not part of the log line, whose time is the application's to add.
        origin: ``scheme://host:port`` of the server.
    """

    name: ClassVar[str]

    at: float = 0.0
    origin: str

    @property
    def level(self) -> Level:
        """How much it matters."""
        return Level.DEBUG

    def as_fields(self) -> dict[str, Any]:
        """Return the fields of the log line, without those that are None."""
        own = self.__dict__
        line: dict[str, Any] = {"schema": SCHEMA, **own}
        del line["at"]
        for name, value in own.items():
            if value is None:
                del line[name]
        return line


@record
class CallEvent(Event):
    """Something that happened to one call.

    Attributes:
        call_id: One per call; also sent as the request id where the dialect says so.
        request_id: The server's id for the request, where it gave one.
        method: The request's method.
        path: The request's path, redacted if so configured, never with its query.
        attempt: Number of the attempt it is about, from 1.
        max_attempts: Attempts that the call may have in all.
        status: HTTP status of that attempt.
        code: Error code of that attempt.
        error_class: Class of that attempt's failure.
        exception_type: Class name of the exception that came instead of a response.
        elapsed: Seconds since the call's first send.
        idempotent: Repeating is safe even if the server processed the last attempt.
        maybe_applied: The server may have applied a change that a failed attempt asked for.
        status_mismatch: The catalogue gives the code another HTTP status; the code won.
    """

    call_id: str
    request_id: str | None = None
    method: str
    path: str
    attempt: int
    max_attempts: int
    status: int | None = None
    code: str | None = None
    error_class: str | None = None
    exception_type: str | None = None
    elapsed: float
    idempotent: bool
    maybe_applied: bool
    status_mismatch: bool | None = None


@record
class AttemptFinished(CallEvent):
    """An attempt ended, in success or failure.

    Attributes:
        duration: Seconds from its send to its headers, or to the exception.
        rate_limit: The limit that the response announced.
        rate_remaining: The units that the response announced as remaining.
        rate_reset_in: Seconds until the announced reset.
    """

    name: ClassVar[str] = "attempt_finished"

    duration: float
    rate_limit: int | None = None
    rate_remaining: int | None = None
    rate_reset_in: float | None = None


@record
class CallStarted(Event):
    """A call was admitted, and is about to be sent for the first time.

    Attributes:
        call_id: One per call.
        method: The request's method.
        path: The request's path, redacted if so configured.
    """

    name: ClassVar[str] = "call_started"

    call_id: str
    method: str
    path: str


@record
class AttemptStarted(CallStarted):
    """An attempt is about to be sent.

    Attributes:
        attempt: Its number, from 1.
    """

    name: ClassVar[str] = "attempt_started"

    attempt: int


@record
class CallFinished(CallEvent):
    """A call ended: with the headers of its last response, or with its failure.

    Attributes:
        reason: Why: ``success``, or one of the reasons to stop.
    """

    name: ClassVar[str] = "call_finished"

    reason: str


@record
class TrafficSummary(Event):
    """What became of an origin's calls since the last summary; once a minute, while there are any.

    Attributes:
        elapsed: Seconds that it covers.
        calls: Calls that ended.
        succeeded: Those of them that succeeded.
        attempts: Requests that were sent for them.
        retries: Those of the requests that were retries.
        held: Seconds that the calls waited for the rate limit, all together.
        rate_remaining: The least that was left of the rate limit, where any response said so.
    """

    name: ClassVar[str] = "traffic_summary"

    elapsed: float
    calls: int
    succeeded: int
    attempts: int
    retries: int
    held: float
    rate_remaining: int | None = None

    @property
    def level(self) -> Level:
        """One line a minute shows how calls fare that nothing else is logged of."""
        return Level.INFO


@record
class NestedTransport(Event):
    """Another transport of this library sends through this one, which leaves retries to it; once.

    Attributes:
        advice: What a person can do about it.
    """

    name: ClassVar[str] = "nested_transport"

    advice: str = "Give the client one transport of this library: of two, the inner never retries."

    @property
    def level(self) -> Level:
        """Its policy has no effect on what the other one sends."""
        return Level.WARNING


@record
class RetryScheduled(CallEvent):
    """An attempt failed and will be repeated.

    Attributes:
        delay: Seconds until the next attempt.
        delay_source: Where the delay comes from: ``backoff``, ``retry_after``,
            ``rate_limit_reset``, ``error_body`` or ``catalogue``; ``release`` or ``probe`` if it
            was parked, with the seconds since the attempt failed as its delay.
        time_left: Seconds until ``retry_for`` or the deadline ends.
        budget: Tokens left in the origin's retry budget; a retry that may be parked is paid for
            when it is sent.
        parked: Seconds that the call was parked before.
    """

    name: ClassVar[str] = "retry_scheduled"

    delay: float
    delay_source: str
    time_left: float | None
    budget: float | None = None
    parked: float | None = None

    @property
    def level(self) -> Level:
        """A retry is a warning: the call took longer than it should."""
        return Level.WARNING


@record
class RetryParked(CallEvent):
    """A retry waits for its origin to recover.

    Attributes:
        reason: ``unavailable``, or ``budget`` if the retry budget is spent.
        time_left: Seconds until the call gives up, as things stand.
        queued: Calls of the origin that are parked.
    """

    name: ClassVar[str] = "retry_parked"

    reason: str
    time_left: float | None
    queued: int


@record
class GaveUp(CallEvent):
    """A failed call ends; its last response or exception goes to the caller.

    Attributes:
        reason: Why the call was not retried.
        delay: Seconds that the next attempt would have had to wait, where that decided.
        delay_source: Where that delay comes from.
        time_left: Seconds until ``retry_for`` or the deadline ends.
        budget: Tokens in the origin's retry budget.
        parked: Seconds that the call was parked.
        escalated: An internal error of the server: worth a support ticket.
        advice: What a person can do about it.
    """

    name: ClassVar[str] = "gave_up"

    reason: str
    delay: float | None = None
    delay_source: str | None = None
    time_left: float | None = None
    budget: float | None = None
    parked: float | None = None
    escalated: bool | None = None
    advice: str | None = None

    @property
    def level(self) -> Level:
        """An internal error is an error; any other failed call a warning."""
        return Level.ERROR if self.escalated else Level.WARNING


@record
class RecoveryHook(CallEvent):
    """A recovery hook ran.

    Attributes:
        outcome: ``request`` (it returned a request to send), ``stopped`` (it returned None),
            ``raised``, or ``cut`` (the call's time ended first).
    """

    name: ClassVar[str] = "recovery_hook"

    outcome: str

    @property
    def level(self) -> Level:
        """It may have changed what is sent."""
        return Level.INFO


@record
class Recovered(CallEvent):
    """A call succeeded after one or more retries.

    Attributes:
        budget: Tokens in the origin's retry budget, after the retry got its cost back.
        parked: Seconds that the call was parked.
        delay_source: How the last retry came to be sent, if the call was parked.
    """

    name: ClassVar[str] = "recovered"

    budget: float | None = None
    parked: float | None = None
    delay_source: str | None = None

    @property
    def level(self) -> Level:
        """Good news, and worth knowing."""
        return Level.INFO


@record
class OriginUnavailable(Event):
    """An origin has been unavailable for a second: retries to it are parked.

    Attributes:
        reason: ``failing``, or ``slow`` if it answers far later than usual.
        failures: Failed attempts in a row.
        elapsed: Seconds since the first of them.
        status: HTTP status of the last.
        code: Error code of the last.
        exception_type: Class name of the exception that came instead of a response.
        queued: Calls that are parked.
    """

    name: ClassVar[str] = "origin_unavailable"

    reason: str
    failures: int
    elapsed: float
    status: int | None = None
    code: str | None = None
    exception_type: str | None = None
    queued: int

    @property
    def level(self) -> Level:
        """Calls wait, and those that lose patience fail."""
        return Level.WARNING


@record
class OriginRecovered(Event):
    """An origin that was logged as unavailable is available again.

    Attributes:
        elapsed: Seconds that it was unavailable.
        queued: Calls that are still parked, and are released as others succeed.
        released: Calls released so far.
    """

    name: ClassVar[str] = "origin_recovered"

    elapsed: float
    queued: int
    released: int

    @property
    def level(self) -> Level:
        """Good news, and worth knowing."""
        return Level.INFO


@record
class ScopeEvent(Event):
    """Something that happened to one rate-limit budget.

    Attributes:
        scope: Whose budget: its category, and a short keyed hash of the identity; no credential.
    """

    scope: str


@record
class ThrottleHeld(ScopeEvent):
    """A scope begins to hold calls back.

    Attributes:
        reason: ``exhausted``, ``server_hint``, ``cold_start``, ``silent_limit``, ``overload``
            or ``concurrency``.
        delay: Seconds until the scope is checked again, if no response comes first; None if
            calls are admitted.
        queued: Calls that wait.
    """

    name: ClassVar[str] = "throttle_held"

    reason: str
    delay: float | None = None
    queued: int

    @property
    def level(self) -> Level:
        """Calls wait on purpose."""
        return Level.INFO


@record
class ThrottleReleased(ScopeEvent):
    """A scope no longer holds calls.

    Attributes:
        reason: Why it held calls back.
        elapsed: Seconds for which it did.
    """

    name: ClassVar[str] = "throttle_released"

    reason: str
    elapsed: float

    @property
    def level(self) -> Level:
        """Calls go as they come."""
        return Level.INFO


@record
class RateLimitEvent(ScopeEvent):
    """What a server says of one rate-limit budget.

    Attributes:
        rate_limit: Units per window.
        rate_remaining: Units left.
        rate_reset_in: Seconds until the announced reset.
    """

    rate_limit: int | None = None
    rate_remaining: int | None = None
    rate_reset_in: float | None = None


@record
class RateLimitLow(RateLimitEvent):
    """Remaining fell below the threshold; emitted once per window."""

    name: ClassVar[str] = "rate_limit_low"

    @property
    def level(self) -> Level:
        """Calls will be held back before long."""
        return Level.WARNING


@record
class RateLimitChanged(RateLimitEvent):
    """A limit appeared, changed or vanished.

    Attributes:
        previous: The limit before; None if it appeared.
    """

    name: ClassVar[str] = "rate_limit_changed"

    previous: int | None = None

    @property
    def level(self) -> Level:
        """Worth knowing."""
        return Level.INFO


@record
class RateLimitObserved(RateLimitEvent):
    """A response announced its rate limit."""

    name: ClassVar[str] = "rate_limit_observed"


@record
class ThrottleDelayed(ScopeEvent):
    """A call waited for the rate-limit budget.

    Attributes:
        call_id: The call.
        method: Its method.
        path: Its path, redacted if so configured.
        attempt: Number of the attempt that waited.
        delay: Seconds that it waited.
    """

    name: ClassVar[str] = "throttle_delayed"

    call_id: str
    method: str
    path: str
    attempt: int
    delay: float
