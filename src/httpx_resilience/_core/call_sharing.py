"""What a call shares with the others to its origin: who is woken, who is held back, who parks.

A retry whose backoff is over is sent, parked or given up here; the outcome of each attempt shows
whether the origin is available.
"""

from collections.abc import Callable, Sequence

from .call_state import DISABLED, CallState, Rules
from .dialect.catalog import ErrorClass
from .dialect.classify import Failure
from .outcome import Call, Outcome, Waiter
from .retry.budget import RetryBudget
from .retry.decision import MINIMAL_ATTEMPT, Retry
from .retry.parked_call import PARKED, RELEASED, ParkedCall
from .retry.parking import Parking
from .steps import Admit
from .telemetry.recorder import CallRecorder, EventRecorder
from .telemetry.traffic import TrafficMeter
from .throttle import Route, Throttle, Ticket

_NOBODY: Sequence[Waiter] = ()

UNPRODUCTIVE = frozenset(
    {
        ErrorClass.RATE_LIMITED,
        ErrorClass.TRANSIENT,
        ErrorClass.INTERNAL,
        ErrorClass.CONNECTION,
    }
)
"""Classes of which an attempt counts as failed for the retry budget."""

_TROUBLE = UNPRODUCTIVE - {ErrorClass.RATE_LIMITED}
"""Classes that show that an origin is in trouble."""


class SharedCall(CallState):
    """A call among others: its state, its place among the parked, and whom it wakes.

    Args:
        call: What is known of the request.
        rules: What the call goes by.
        budget: The retry budget of its origin, or None for none.
        recorder: Takes the events.
        is_replayable: Returns whether the request body can be sent (again) now.
        throttle: The throttle of its scope, or the route that names one; None for none.
        traffic: Counts the calls of its origin, or None.
        parking: The parked calls of its origin, or None.
    """

    _held = 0.0
    _place: ParkedCall | None = None
    _unpaid: Retry | None = None
    _patient_from: float | None = None
    _is_scheduled = False
    _source: str | None = None
    _recording: CallRecorder | None = None
    _wake: Sequence[Waiter] = _NOBODY

    def __init__(
        self,
        call: Call,
        rules: Rules,
        budget: RetryBudget | None,
        recorder: EventRecorder,
        is_replayable: Callable[[], bool],
        throttle: Throttle | Route | None,
        traffic: TrafficMeter | None,
        parking: Parking | None,
    ) -> None:
        self.call = call  # as ``super()`` does: to ask it costs as much as all the rest
        self.rules = rules
        self.policy = rules.policy or DISABLED
        self._budget = budget
        self._throttle = throttle
        self._recorder = recorder
        self._is_replayable = is_replayable
        self._traffic = traffic
        self._parking = parking

    @property
    def record(self) -> CallRecorder:
        """What records the call's events; most calls have none that anybody wants."""
        recording = self._recording
        if recording is None:
            recording = self._recording = CallRecorder(self, self.rules, self._recorder)
        return recording

    def _woken(self, waiters: Sequence[Waiter]) -> None:
        """Have others woken with the next step."""
        if waiters:
            self._wake = (*self._wake, *waiters)

    def _to_wake(self) -> Sequence[Waiter]:
        waiters, self._wake = self._wake, _NOBODY
        return waiters

    # The rate limit.

    @property
    def _own_throttle(self) -> Throttle | None:
        """The throttle that holds the call back, as things stand; None if none does."""
        throttle = self._throttle
        if throttle is None or self.policy.throttle is None:
            return None
        return throttle.throttle if isinstance(throttle, Route) else throttle

    def _would_be_admitted(self, now: float) -> bool:
        """Return whether the rate limit would let a retry go at once."""
        throttle = self._own_throttle
        call = self.call
        return throttle is None or throttle.would_admit(now, call.cost, call.units, call.order)

    def _never_admitted(self, now: float) -> str:
        """Return why the rate limit can never allow the call, as things stand; else nothing."""
        throttle, call = self._own_throttle, self.call
        if throttle is None:
            return ""
        return throttle.never_admits(Ticket(call.order, now, now, call.cost, call.units), now)

    def _may_queue(self, now: float) -> bool:
        """Return whether a retry may wait for the rate limit, if it has to: nothing is closed."""
        throttle = self._own_throttle
        return throttle is None or not throttle.is_closed(now)

    def has_hook(self, failure: Failure) -> bool:
        """Return whether a hook makes the next request: never on what may be our own write."""
        if failure.code is None or self.maybe_applied:
            return False
        return self.rules.dialect.key(failure.code) in self.rules.recover

    # Parking.

    @property
    def is_unpaid(self) -> bool:
        """Whether a retry has not been paid for, nor released."""
        return self._unpaid is not None

    @property
    def is_parked(self) -> bool:
        """Whether the call waits for its origin to recover."""
        return self._place is not None and self._place.state == PARKED

    @property
    def _is_unavailable(self) -> bool:
        return (
            self._parking is not None and self._parking.availability.unavailable_since is not None
        )

    def _may_park(self, failure: Failure) -> bool:
        may = self._parking is not None and self._budget is not None
        may = may and self.policy.park is not None
        return may and self._parks(failure) and not self.has_hook(failure)

    def park(self, now: float) -> None:
        """Send a retry whose backoff is over, or park it."""
        parking, budget, outcome, failure = self._parking, self._budget, self.outcome, self.failure
        policy, unpaid = self.policy.park, self._unpaid
        if parking is None or budget is None or policy is None or unpaid is None:
            return
        if outcome is None or failure is None:
            return
        self._place = place = ParkedCall(
            failed_at=now if self._patient_from is None else self._patient_from,
            give_up_at=min(self.give_up_at, self.deadline_at) - MINIMAL_ATTEMPT,
            cost=unpaid.cost,
            budget=budget,
            policy=policy,
            attempts=self.attempt,
            last=self.attempt + 1 >= self.max_attempts,
            is_paced=self._is_pacing,
            may_probe=self._would_be_admitted,
            may_go=self._may_queue,
        )
        self._woken(parking.admit(place, now))
        if place.state == PARKED:
            time_left = parking.ends_at(place) - now
            outcome = outcome._replace(at=now)
            self.record.retry_parked(outcome, failure, place.reason, time_left, len(parking))
        self._released(place, now)

    def stay_parked(self) -> Admit:
        """Return the wait of a parked call."""
        parking, place = self._parking, self._place
        if parking is None or place is None:
            raise RuntimeError("a call that is not parked was to wait")
        return Admit(place, parking.timer_deadline(place), self._to_wake())

    def tick_parked(self, now: float) -> None:
        """Have those parked calls released whose time has come; go on if this is one."""
        parking, place = self._parking, self._place
        if parking is None or place is None:
            return
        if place.state == PARKED:
            self._woken(parking.tick(now))
        self._released(place, now)

    def _released(self, place: ParkedCall, now: float) -> None:
        unpaid, outcome, failure = self._unpaid, self.outcome, self.failure
        if place.state == PARKED or unpaid is None or outcome is None or failure is None:
            return
        if place.parked_at is not None:
            self.parked += now - place.parked_at
            self._source = place.source
        if place.state != RELEASED:
            return
        self._unpaid, self._held = None, place.paid
        if place.parked_at is not None or not self._is_scheduled:
            retry = Retry(now - outcome.at, place.source, place.paid)
            outcome = outcome._replace(at=now)
            self.record.retry_scheduled(outcome, failure, retry, place.budget.tokens)

    def _judge(
        self, parking: Parking, outcome: Outcome, failure: Failure | None
    ) -> Sequence[Waiter]:
        """Learn from an attempt whether its origin is available; return whom to wake."""
        place, self._place = self._place, None
        if failure is None or _is_answer(failure):
            sent, received = outcome.sent_at, outcome.received_at
            return parking.succeeded(place, sent, received, outcome.at)
        if self._parks(failure):
            if self._patient_from is None:
                self._patient_from = outcome.at
            return parking.failed(place, failure, outcome.at)
        return parking.ended(place, outcome.at)

    def _parks(self, failure: Failure) -> bool:
        """Return whether it shows an origin in trouble; what the throttle paces shows a limit."""
        if failure.error_class not in _TROUBLE:
            return False
        return not self._is_pacing()

    def _is_pacing(self) -> bool:
        throttle = self._own_throttle
        return throttle is not None and throttle.is_pacing

    def _leave_place(self, now: float, *, sent: bool) -> None:
        """Give up the call's place among the parked, or its part in what they wait for."""
        place, self._place = self._place, None
        if place is not None and self._parking is not None:
            self._woken(self._parking.leave(place, now, sent=sent))


def _is_answer(failure: Failure) -> bool:
    """Return whether it shows that the origin is there, and does what it should."""
    is_its_own = bool(failure.status) and not failure.by_proxy
    return is_its_own and failure.error_class not in UNPRODUCTIVE
