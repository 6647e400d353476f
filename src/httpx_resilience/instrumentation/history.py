"""A call's history: what happened to it, made from the same events as its log lines.

It keeps what happened, and builds events of that when it is asked or when somebody listens.
"""

import time
from typing import Any

from .._core.outcome import Call, Outcome
from .._core.retry.decision import SUCCESS
from .._core.steps import Done
from .._core.telemetry.events import (
    AttemptFinished,
    AttemptStarted,
    CallEvent,
    CallFinished,
    CallStarted,
    Event,
    Level,
    RetryScheduled,
)
from .._core.telemetry.recorder import PendingEvent
from .._core.telemetry.records import Record, record
from .sink import EventSink

MAX_EVENTS = 500
"""Events that a history keeps of a call's beginning, and as many of its end."""

MAX_REPORTED_WAIT = 1e10
"""Seconds; what a server asks for beyond it is no time that could be reported."""


_DEBUG = Level.DEBUG

_UNKEPT = frozenset({CallStarted, AttemptStarted, CallFinished})
"""Recorded only where somebody wants them, so that histories are the same whoever listens."""


@record
class Attempt(Record):
    """One exchange with the server, as a call's history keeps it.

    Attributes:
        number: 1 is the original.
        status: HTTP status, or None if an exception came instead.
        code: Error code, or None.
        error_class: Class of the failure, or None for a success.
        exception_type: Class name of the exception, or None.
        request_id: The server's id for the request, where a failure gave one.
        duration: Seconds from its send to its headers, or to the exception.
        delay: Seconds that were waited after it, or None if it was the last.
        delay_source: Where that delay came from.
    """

    number: int
    status: int | None = None
    code: str | None = None
    error_class: str | None = None
    exception_type: str | None = None
    request_id: str | None = None
    duration: float = 0.0
    delay: float | None = None
    delay_source: str | None = None


class CallHistory:
    """What happened to one call, attempt by attempt.

    Found under ``response.extensions["resilience"]``, or by ``history_of`` for responses and
    exceptions alike. Holds no header, query, body or credential.

    Attributes:
        reason: Why the call ended, or None while it goes on: ``success``, or one of the reasons
            to stop.
        retry_at: Epoch seconds before which the server wants no other attempt, where that ended
            the call.
        body_truncated: The body was closed before a wait, and the response was returned after all:
            reading past what was seen raises ``httpx.ReadError``.
        verbose: Whether anybody wanted events of level debug when the call began.
    """

    __slots__ = (
        "_call_id",
        "_clean",
        "_kept",
        "_sink",
        "body_truncated",
        "reason",
        "retry_at",
        "verbose",
    )

    def __init__(self, call: Call, sink: EventSink | None) -> None:
        self._call_id = call.call_id
        self._sink = sink
        self.verbose = sink is not None and sink.verbose
        self._kept: list[PendingEvent | Event] | None = None  # made when something happens
        self._clean: tuple[int, float] | None = None
        self.reason: str | None = None
        self.retry_at: float | None = None
        self.body_truncated = False

    def record(self, pending: PendingEvent) -> None:
        """Keep what happened, and pass its event on to whoever wants it."""
        if pending.kind in _UNKEPT:
            if self._sink is not None:
                self._sink.emit_lazy(pending)
            return
        kept = self._kept = self._kept or []
        kept.append(pending)
        if len(kept) > 2 * MAX_EVENTS:
            del kept[MAX_EVENTS]
        if self._sink is None or (pending.level is _DEBUG and not self.verbose):
            return
        event = self._sink.emit_lazy(pending)
        if event is not None:
            kept[-1] = event

    def close(self, done: Done, outcome: Outcome) -> None:
        """Note how the call ended."""
        self._sink = None
        self.reason = reason = done.reason
        if reason == SUCCESS:
            if not self._kept or done.attempts == 1:
                # The happy path: one attempt was made, nothing was recorded but that it waited.
                self._clean = outcome.status, outcome.received_at - outcome.sent_at
        elif done.retry_in is not None and done.retry_in < MAX_REPORTED_WAIT:
            self.retry_at = (outcome.wall or time.time()) + done.retry_in

    @property
    def call_id(self) -> str:
        """The call's id, as in its log lines."""
        return self._call_id

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of the call, in order."""
        kept = self._kept or []
        for at, each in enumerate(kept):
            if isinstance(each, PendingEvent):
                kept[at] = each.event()
        return tuple(kept)  # type: ignore[arg-type]  # none is pending any more

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The call's attempts, in order."""
        if self._clean is not None:
            status, duration = self._clean
            return (Attempt(number=1, status=status, duration=round(duration, 3)),)
        events = self.events
        waits = {e.attempt: e for e in events if isinstance(e, RetryScheduled)}
        return tuple(
            _attempt(event, waits.get(event.attempt))
            for event in events
            if isinstance(event, AttemptFinished)
        )

    @property
    def retries(self) -> int:
        """How many attempts followed the original."""
        return max(0, len(self.attempts) - 1)

    @property
    def maybe_applied(self) -> bool:
        """The server may have carried out a change that an attempt asked for and that failed."""
        return any(e.maybe_applied for e in self.events if isinstance(e, CallEvent))

    @property
    def elapsed(self) -> float:
        """Seconds from the first send to the end of the last attempt."""
        if self._clean is not None:
            return round(self._clean[1], 3)
        elapsed = [e.elapsed for e in self.events if isinstance(e, CallEvent)]
        return elapsed[-1] if elapsed else 0.0

    def __repr__(self) -> str:
        outcomes = ", ".join(
            str(a.code or a.status or a.exception_type or "cut") for a in self.attempts
        )
        return f"<CallHistory {self.reason or 'running'} [{outcomes}] call_id={self.call_id}>"

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return {**state, "_sink": None, "_kept": list(self.events)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _attempt(event: AttemptFinished, wait: RetryScheduled | None) -> Attempt:
    return Attempt(
        number=event.attempt,
        status=event.status,
        code=event.code,
        error_class=event.error_class,
        exception_type=event.exception_type,
        request_id=event.request_id,
        duration=event.duration,
        delay=None if wait is None else wait.delay,
        delay_source=None if wait is None else wait.delay_source,
    )
