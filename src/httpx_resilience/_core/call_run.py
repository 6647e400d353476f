"""What each step of a call does: to its state, to the throttle, to the retry budget.

The flow says in which order. What happens is recorded, and nothing is decided by what was.
"""

from collections.abc import Sequence

from .call_sharing import UNPRODUCTIVE, SharedCall
from .dialect.catalog import ErrorClass
from .dialect.classify import Failure, classify
from .dialect.envelope import with_usage
from .headers import Reading
from .outcome import Cancelled, Closed, HookDone, Leased, Outcome, Waiter, Woken
from .policy import ThrottlePolicy
from .retry.budget import FleetBudget, RetryBudget
from .retry.decision import (
    BODY_NOT_REPLAYABLE,
    BUDGET_EXHAUSTED,
    CLOSED,
    DISABLED,
    LEFT_TO_LAYERS_ABOVE,
    MINIMAL_ATTEMPT,
    OUT_OF_TIME,
    PERMANENT,
    RETRY_AFTER_TOO_LONG,
    SUCCESS,
    THROTTLE_TIMEOUT,
    UNAVAILABLE,
    Facts,
    Retry,
    Stop,
    decide,
)
from .retry.parked_call import BUDGET
from .steps import Admit, Done, Lease, Pause, Recover, Reply, Result, Send
from .throttle import EXPIRED, PATIENCE, WAITING, Leasing, Route, Throttle, Ticket

_FIRST = Send(1, None)
_SUCCEEDED = Done(SUCCESS)

_UNRECOVERED = {"cut": OUT_OF_TIME, "request": BODY_NOT_REPLAYABLE}
"""Why a call ends after its hook, where the failure itself is not the reason."""


class CallRun(SharedCall):
    """One call on its way: its state, its ticket, its tokens."""

    _ticket: Ticket | None = None
    _leasing: Leasing | None = None

    # Admission.

    def reserve(self, throttle: Throttle | Route, now: float) -> Ticket:
        """Ask the throttle for a place; the one that the call's route goes by now."""
        call, route = self.call, None
        if isinstance(throttle, Route):
            route, throttle = throttle, throttle.throttle
        ticket = throttle.admit_at_once(call.order, now, call.cost)
        if ticket is not None:
            ticket.route = route
            self._ticket = ticket
            return ticket
        limits = self.policy.throttle
        if limits is None:
            ticket = throttle.admit_unconditionally(call.order, now, call.cost, call.units)
        else:
            ticket = self._ask(throttle, limits, now)
        ticket.route = route
        self._ticket = ticket
        if ticket.state == WAITING:
            self._woken(throttle.enqueue(ticket, now))
        return ticket

    def _ask(self, throttle: Throttle, limits: ThrottlePolicy, now: float) -> Ticket:
        call, retry = self.call, self.policy.retry
        last_chance, max_hint = now + limits.max_wait - self.waited, retry.max_retry_after
        if throttle.leasing is not None:  # no call fails because a store is slow
            last_chance += PATIENCE
        if self.attempt > 1:
            last_chance = min(last_chance, self.deadline_at - MINIMAL_ATTEMPT)
            max_hint = min(max_hint, self.give_up_at - MINIMAL_ATTEMPT - now)
        queue = limits.max_queue
        return throttle.reserve(
            call.order, now, last_chance, max_hint, call.cost, queue, call.units
        )

    def wait(self, ticket: Ticket) -> Admit:
        """Return the wait for a ticket."""
        return Admit(ticket, ticket.home.timer_deadline(ticket), self._to_wake())

    def tick(self, ticket: Ticket, now: float) -> None:
        """Have the throttle admit whom it can; record the wait if this call is admitted."""
        if ticket.state == WAITING:
            self._woken(ticket.home.tick(now))
        if ticket.state not in (WAITING, EXPIRED):
            throttle, arrived_at = ticket.home, ticket.arrived_at
            self.record.throttle_delayed(throttle.scope, now - arrived_at, now)
            self.stop_clock(now - max(arrived_at, min(now, throttle.troubled_until)))

    def lease(self, ticket: Ticket, now: float) -> Lease | None:
        """Return what a store is to be asked, if it is for this call to ask; else None."""
        throttle = ticket.home
        leasing = throttle.leasing
        if leasing is None:
            return None
        commands = leasing.commands(throttle, now)
        if not commands:
            return None
        self._leasing = leasing
        return Lease(commands, self._to_wake())

    def leased(self, ticket: Ticket, reply: Reply) -> Reply:
        """Take what a store answered; return how the wait for the rate limit goes on."""
        leasing, self._leasing = self._leasing, None
        if leasing is None:
            raise RuntimeError("a call that asked no store was given its answer")
        if not isinstance(reply, Leased):  # cancelled, or closed
            self._woken(leasing.left(reply.at))
            return reply
        self._woken(leasing.answered(reply))
        self.tick(ticket, reply.at)
        return Woken(reply.at)

    def not_admitted(self, ticket: Ticket, reply: Reply) -> Done:
        """End a call that waited for the rate limit until it was closed, or for too long."""
        if isinstance(reply, Closed):
            return self.closed(reply.at, self.attempt - 1)
        return self._throttled(ticket, reply.at)

    def _throttled(self, ticket: Ticket, now: float) -> Done:
        self._give_back(now)
        self._ticket = None
        wait = None if ticket.retry_at is None else max(0.0, ticket.retry_at - now)
        detail = ticket.home.never_admits(ticket, now)
        stop = Stop(THROTTLE_TIMEOUT, wait, "throttle" if wait is not None else None, detail)
        outcome = self.outcome or Outcome(now, now, now)
        failure = self.failure or Failure(ErrorClass.RATE_LIMITED)
        result: Result = "this"
        if self.attempt == 1:
            self.first_sent, result = now, "throttled"
        attempts = self.attempt - 1
        return self._end(outcome, failure, stop, result, attempts, wait, ticket.home.scope)

    # The attempt.

    def begin(self, now: float) -> Send:
        """Return the attempt that starts now, and when it is cut."""
        parking, is_verbose = self._parking, self._recorder.verbose
        if self.attempt == 1:
            if parking is not None:
                parking.new_sent_at = now
            if is_verbose:
                self.record.call_started(now)
                self.record.attempt_started(now)
            deadline = self.policy.retry.deadline
            if deadline is None:
                return Send(1, None, self._to_wake()) if self._wake else _FIRST
            self.deadline_at = now + deadline
        else:
            if parking is not None:
                parking.retry_sent_at = now
            if is_verbose:
                self.record.attempt_started(now)
        return Send(self.attempt, min(self.give_up_at, self.deadline_at), self._to_wake())

    def learn(self, outcome: Outcome) -> Failure | None:
        """Understand what an attempt came to; teach the throttle and the retry budget."""
        rules = self.rules
        reading = rules.reader.read(outcome.headers, wall=outcome.wall)
        status, failure, is_first = outcome.status, None, self.attempt == 1
        if status >= 400 or not status or outcome.body:
            failure = classify(outcome, rules.dialect, rules.reader, reading)
            if failure is not None:
                self.failed(outcome, failure)
                if failure.by_proxy:
                    self._not_charged(outcome.at)
            elif rules.dialect.requests.usage:
                reading = with_usage(reading, outcome.body, rules.dialect)
        ticket, sent, received = self._ticket, outcome.sent_at, outcome.received_at
        is_verbose = self._recorder.verbose
        if ticket is not None:
            self._ticket = None
            if status and ticket.route is None and not is_verbose:
                woken = ticket.home.observe(ticket, sent, received, reading, failure)
                if woken:
                    self._woken(woken)
            else:
                self._report(ticket, outcome, reading, failure)
        budget, parking, traffic = self._budget, self._parking, self._traffic
        if budget is not None:
            if failure is None and is_first:
                budget.deposit(outcome.at)
            else:
                self._settle(budget, failure, outcome.at)
        if parking is not None and (
            failure is not None or self._place or not parking.is_calm(sent, received)
        ):
            self._woken(self._judge(parking, outcome, failure))
        if traffic is not None and reading.limits and (failure is None or not failure.by_proxy):
            traffic.saw(reading.limits)
        if failure is not None or not is_first or is_verbose:
            if is_first:
                self.sent_first(sent)
            self.record.attempt_finished(outcome, failure, reading)
        return failure

    def _not_charged(self, now: float) -> None:
        """Give the ticket back as if the request was not sent: a proxy kept it from the API."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._woken(ticket.home.leave(ticket, now, sent=False))

    def _report(
        self, ticket: Ticket, outcome: Outcome, reading: Reading, failure: Failure | None
    ) -> None:
        """Teach the throttle what its ticket came to."""
        throttle, route = ticket.home, ticket.route
        if not outcome.status:
            was_sent = failure is None or not failure.never_sent
            self._woken(throttle.failed(ticket, outcome.at, sent=was_sent))
            return
        if route is not None and reading.limits:
            throttle, woken = route.resolve(ticket, reading.limits, outcome.received_at)
            self._woken(woken)
        sent, received = outcome.sent_at, outcome.received_at
        woken = throttle.observe(ticket, sent, received, reading, failure)
        if woken:
            self._woken(woken)
        if self._recorder.verbose and reading.limits:
            self.record.rate_limit_observed(throttle.scope, reading, outcome.at)

    def _settle(self, budget: RetryBudget, failure: Failure | None, now: float) -> None:
        """Charge or credit the retry budget for an attempt that came back."""
        if failure is not None and failure.error_class in UNPRODUCTIVE:
            self._held = 0.0
            budget.fail(now)
        elif self.attempt > 1:
            budget.refund(self._held, now)
        elif failure is None or failure.status is not None:
            budget.deposit(now)  # an exception of our own side is neither success nor failure

    # What follows.

    def succeeded(self, outcome: Outcome) -> Done:
        """End a call whose last attempt did not fail."""
        attempt, traffic = self.attempt, self._traffic
        if attempt == 1 and self._recording is None:
            if traffic is not None:
                traffic.went_well(outcome.at)
            return Done(SUCCESS, wake=self._to_wake()) if self._wake else _SUCCEEDED
        if traffic is not None:
            traffic.ended(outcome.at, attempt, self.waited, success=True)
        if attempt > 1:
            balance = None if self._budget is None else self._budget.tokens
            self.record.recovered(outcome, balance, self._source)
        if self._recorder.verbose:
            self.record.call_finished(outcome, None, SUCCESS, attempt)
        self._recording = None  # it refers to us
        return Done(SUCCESS, attempts=attempt, wake=self._to_wake())

    def decide(self, outcome: Outcome, failure: Failure) -> Retry | Stop:
        """Return what to do about a failure; a retry that does not park is paid for."""
        decision = self._decide(outcome, failure)
        if isinstance(decision, Stop):
            return decision
        budget, balance = self._budget, None
        if budget is not None and self._may_park(failure):
            self._unpaid, self._is_scheduled = decision, not self._is_unavailable
            if self._patient_from is not None and decision.source != "backoff":
                self._patient_from += decision.delay  # the server itself asks for that wait
            if self._is_scheduled:
                self.record.retry_scheduled(outcome, failure, decision, budget.tokens)
            return decision
        if budget is not None:
            if not budget.withdraw(decision.cost, outcome.at):
                return Stop(BUDGET_EXHAUSTED)
            balance = budget.tokens
        self._held = decision.cost
        self.record.retry_scheduled(outcome, failure, decision, balance)
        if self._is_rate_limit(failure):
            self.stop_clock(decision.delay)
        return decision

    def _decide(self, outcome: Outcome, failure: Failure) -> Retry | Stop:
        if self.rules.policy is None:
            return Stop(DISABLED)
        if outcome.cut:
            return Stop(OUT_OF_TIME)
        limits, max_wait = self.policy.throttle, None
        if limits is not None and self._is_rate_limit(failure):
            max_wait = limits.max_wait - self.waited
            never = self._never_admitted(outcome.at)
            if never:
                return Stop(THROTTLE_TIMEOUT, detail=never)
        paced = self._is_paced(failure)
        facts = Facts(
            attempt=self.attempt,
            of_class=self.count_class(failure.error_class),
            now=outcome.at,
            give_up_at=self.give_up_at,
            repeatable=self.repeatable,
            replayable=self._is_replayable(),
            paced=paced,
            has_hook=self.has_hook(failure),
            deadline_at=self.deadline_at,
            max_wait=max_wait,
            unavailable=self._is_unavailable and not paced and self._may_park(failure),
        )
        return decide(failure, facts, self.policy.retry, self.rules.rand())

    def floor(self, failure: Failure, now: float) -> Lease | None:
        """Return what a store is to be asked for a retry that is not covered; None for nothing."""
        budget = self._budget
        if not isinstance(budget, FleetBudget) or failure.error_class not in UNPRODUCTIVE:
            return None
        backoff = self.policy.retry.backoff.get(failure.error_class)
        command = None if backoff is None else budget.question(backoff.cost, now)
        return None if command is None else Lease((command,), self._to_wake())

    def floored(self, reply: Reply) -> bool:
        """Take what a store granted for a retry; return whether the call goes on."""
        if isinstance(self._budget, FleetBudget) and isinstance(reply, Leased):
            self._budget.answered(reply.replies[0] if reply.replies else None, reply.at)
        return not isinstance(reply, Cancelled)

    def pause(self, until: float) -> Pause:
        """Return the wait before the next attempt."""
        return Pause(until, self._to_wake())

    def recover(self, failure: Failure) -> Recover:
        """Return the run of a failure's hook."""
        return Recover(failure, self.attempt, self.give_up_at, self._to_wake())

    def hooked(self, failure: Failure, reply: HookDone) -> bool:
        """Go on with the request that a hook made; return whether there is one to send."""
        outcome = self.outcome or Outcome(reply.at, reply.at, reply.at)
        self.record.hook_finished(outcome, failure, reply)
        if reply.outcome != "request":
            return False
        if reply.call is not None:
            self.replace_call(reply.call)
        return self._is_replayable()

    def unrecovered(self, failure: Failure, reply: HookDone) -> Done:
        """End a call whose hook made no request, or one whose body was sent already."""
        self._give_back(reply.at)
        stop = Stop(_UNRECOVERED.get(reply.outcome, PERMANENT))
        outcome = self.outcome or Outcome(reply.at, reply.at, reply.at)
        return self._end(outcome, failure, stop, "raised" if reply.outcome == "raised" else "this")

    def _is_paced(self, failure: Failure) -> bool:
        throttle = self._own_throttle
        if throttle is None or failure.by_proxy:
            return False
        return failure.error_class is ErrorClass.RATE_LIMITED or throttle.is_pacing

    def _is_rate_limit(self, failure: Failure) -> bool:
        """Return whether the wait for a retry is one that the throttle's ``max_wait`` bounds."""
        is_throttled = self._throttle is not None and self.policy.throttle is not None
        is_throttled = is_throttled and not failure.by_proxy
        return is_throttled and failure.error_class is ErrorClass.RATE_LIMITED

    def gave_up(self, outcome: Outcome, failure: Failure, stop: Stop) -> Done:
        """End a failed call."""
        result: Result = "this"
        if outcome.cut:
            result = "deadline" if outcome.at >= self.deadline_at else "previous"
        wait = stop.delay if stop.reason == RETRY_AFTER_TOO_LONG else None
        return self._end(outcome, failure, stop, result, retry_in=wait)

    def not_sent(self, reply: Reply) -> Done:
        """End a call that waited for its retry until it was closed, or its patience over."""
        if isinstance(reply, Closed):
            return self.closed(reply.at, self.attempt)
        now, place, outcome, failure = reply.at, self._place, self.outcome, self.failure
        if place is None or outcome is None or failure is None:
            raise RuntimeError("a call that is not parked cannot lose patience")
        self._place = None
        reason = UNAVAILABLE if self._is_unavailable else BUDGET_EXHAUSTED
        if place.give_up_at - now < MINIMAL_ATTEMPT:
            reason = OUT_OF_TIME
        elif place.parked_at is None and place.reason == BUDGET:
            reason = BUDGET_EXHAUSTED
        return self._end(outcome._replace(at=now), failure, Stop(reason), "this")

    def _end(
        self,
        outcome: Outcome,
        failure: Failure,
        stop: Stop,
        result: Result,
        attempts: int | None = None,
        retry_in: float | None = None,
        scope: str = "",
    ) -> Done:
        attempts = self.attempt if attempts is None else attempts
        balance = None if self._budget is None else self._budget.balance(outcome.at)
        last = max(1, attempts)
        self.record.gave_up(outcome, failure, stop, balance, last)
        if self._recorder.verbose:
            self.record.call_finished(outcome, failure, stop.reason, last)
        self._recording = None  # it refers to us
        if self._traffic is not None:
            self._traffic.ended(outcome.at, attempts, self.waited, success=False)
        forbids = stop.reason not in LEFT_TO_LAYERS_ABOVE and self._stops_layers_above
        wake, detail = self._to_wake(), stop.detail
        return Done(stop.reason, result, attempts, retry_in, scope, wake, forbids, detail)

    @property
    def _stops_layers_above(self) -> bool:
        own = self.policy.stop_layers_above
        return self.rules.dialect.stop_layers_above if own is None else own

    def closed(self, now: float, attempts: int) -> Done:
        """End a call that waited when its transport was closed, after so many attempts."""
        ticket = self._ticket
        if ticket is not None:
            self._woken(ticket.home.leave(ticket, now, sent=False))
            self._ticket = None
        self._give_back(now)
        if self.outcome is None or self.failure is None:
            self._recording = None  # it refers to us
            return Done(CLOSED, "closed", 0, wake=self._to_wake())
        return self._end(self.outcome, self.failure, Stop(CLOSED), "this", attempts)

    def cancelled(self, now: float, *, sent: bool) -> Sequence[Waiter]:
        """Give back what the call holds; return whom to wake."""
        ticket = self._ticket
        if ticket is not None:
            self._woken(ticket.home.leave(ticket, now, sent=sent))
            self._ticket = None
        self._recording = None  # it refers to us
        self._give_back(now, sent=sent)
        return self._to_wake()

    def _give_back(self, now: float, *, sent: bool = False) -> None:
        self._leave_place(now, sent=sent)
        if self._budget is not None and self._held:
            self._budget.refund(self._held, now)
            self._held = 0.0
