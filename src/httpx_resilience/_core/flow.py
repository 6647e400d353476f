"""The way a request goes: one generator per call, read top to bottom.

    request → throttle → send → classify → observe headers → decide → wait or return → log

It yields steps to a driver and is fed what they came to, with the time. It has no clock, no
randomness and no I/O, so that the same flow serves httpx on asyncio and Trio, the tests' virtual
clock and the simulator.

1. Every ``yield`` may be answered by ``Cancelled``. The flow then gives back what it holds and
   ends; the driver closes it and lets the cancellation go on.
2. What a retry costs is withdrawn before the wait and is held until its attempt comes back: given
   back if that succeeds or is cancelled, gone if it fails.
3. The user gets the last outcome itself. Only where an attempt was cut off in the middle is that
   an earlier one, or the deadline's own error.
"""

import math
from collections.abc import Callable, Container, Generator
from typing import Literal, NamedTuple

from .dialect.catalog import RATE_LIMITED, ErrorClass
from .dialect.classify import Failure, classify
from .dialect.dialect import Dialect
from .headers import RateLimitReader, Reading
from .outcome import Call, Cancelled, HookDone, Outcome, Woken
from .policy import Policy, RetryPolicy
from .retry.budget import RetryBudget
from .retry.decision import (
    BODY_NOT_REPLAYABLE,
    BUDGET_EXHAUSTED,
    DISABLED,
    MINIMAL_ATTEMPT,
    OUT_OF_TIME,
    PERMANENT,
    RETRY_AFTER_TOO_LONG,
    SUCCESS,
    THROTTLE_TIMEOUT,
    Retry,
    Stop,
    decide,
    is_repeatable,
    make_facts,
)
from .telemetry.recorder import Story, Teller
from .throttle import EXPIRED, WAITING, Route, Throttle, Ticket

Result = Literal["this", "previous", "deadline", "throttled", "raised"]


class Send(NamedTuple):
    """Send the request; end the attempt at ``cut_at`` if its headers are not there by then."""

    attempt: int
    cut_at: float | None


class Admit(NamedTuple):
    """Wait until somebody wakes the ticket, or until ``until`` if this call keeps the time."""

    ticket: Ticket
    until: float | None


class Pause(NamedTuple):
    """Give the connection back, then sleep until ``until``."""

    until: float


class Recover(NamedTuple):
    """Run the hook for a failure's code, until ``cut_at`` at most; send what it returns."""

    failure: Failure
    attempt: int
    cut_at: float


class Done(NamedTuple):
    """Return or raise: this attempt's outcome, the previous one's, or an error of our own.

    Attributes:
        reason: Why the call ends, of ``decision.REASONS``.
        result: Which outcome the user gets.
        attempts: How many attempts were made.
        retry_in: Seconds the server wants to pass first, where that ended the call.
        scope: Whose rate-limit budget ended it, where one did.
    """

    reason: str
    result: Result = "this"
    attempts: int = 1
    retry_in: float | None = None
    scope: str = ""


_FIRST = Send(1, None)
_SUCCEEDED = Done("success")

Step = Admit | Send | Pause | Recover | Done
Reply = Outcome | Woken | HookDone | Cancelled
CallFlow = Generator[Step, Reply, None]


class Rules(NamedTuple):
    """What a call goes by.

    Attributes:
        policy: None for a call that is sent without wait or retry.
        dialect: How the API speaks.
        reader: Reads its rate-limit headers.
        rand: Uniform random numbers in [0, 1).
        recover: Error codes that there are hooks for.
    """

    policy: Policy | None
    dialect: Dialect
    reader: RateLimitReader
    rand: Callable[[], float]
    recover: Container[str] = ()


def call_flow(
    call: Call,
    rules: Rules,
    budget: RetryBudget | None,
    teller: Teller,
    is_replayable: Callable[[], bool],
    now: float,
    throttle: Throttle | Route | None = None,
) -> CallFlow:
    """Yield the steps of one call, from its arrival to its end.

    Args:
        call: What is known of the request.
        rules: What the call goes by.
        budget: The retry budget of its origin, or None for none.
        teller: Takes the events.
        is_replayable: Tells whether the request body can be sent (again) now.
        now: The driver's time.
        throttle: The throttle of its scope, or the route that names one; None for none.
    """
    run = _Run(call, rules, budget, teller, is_replayable, throttle)
    while True:
        if throttle is not None:
            ticket = run.reserve(throttle, now)
            while ticket.state == WAITING:
                reply = yield Admit(ticket, ticket.home.timer_deadline(ticket))
                now = reply.at
                if isinstance(reply, Cancelled):
                    return run.cancelled(now, sent=False)
                run.tick(ticket, now)
            if ticket.state == EXPIRED:
                yield run.throttled(ticket, now)
                return None

        reply = yield run.begin(now)
        now = reply.at
        if not isinstance(reply, Outcome):
            return run.cancelled(now, sent=True)
        failure = run.learn(reply)
        if failure is None:
            yield run.succeeded(reply)
            return None
        decision = run.decide(reply, failure)
        if isinstance(decision, Stop):
            yield run.gave_up(reply, failure, decision)
            return None

        reply = yield Pause(now + decision.delay)
        now = reply.at
        if isinstance(reply, Cancelled):
            return run.cancelled(now, sent=False)
        if run.has_hook(failure):
            reply = yield Recover(failure, run.attempt, run.give_up_at)
            now = reply.at
            if not isinstance(reply, HookDone):
                return run.cancelled(now, sent=False)
            run.hooked(failure, reply)
            if reply.outcome != "request" or not run.takes(reply.call):
                yield run.unrecovered(failure, reply)
                return None
        run.attempt += 1


class _Run:
    """What one call knows and holds on its way: its ticket, its tokens, its counts."""

    # What most calls never change stands here, so that none of it is set for each of them.
    attempt = 1
    give_up_at = _deadline_at = math.inf
    _first_sent = 0.0
    _held = 0.0
    _waited = 0.0
    _ticket: Ticket | None = None
    _of_class: dict[ErrorClass, int] | None = None
    _outcome: Outcome | None = None
    _failure: Failure | None = None
    _story: Story | None = None

    def __init__(
        self,
        call: Call,
        rules: Rules,
        budget: RetryBudget | None,
        teller: Teller,
        is_replayable: Callable[[], bool],
        throttle: Throttle | Route | None,
    ) -> None:
        self.call = call
        self.budget = budget
        self.throttle = throttle
        self._teller = teller
        self._policy = rules.policy or _DISABLED
        self._rules = rules
        self._is_replayable = is_replayable

    @property
    def story(self) -> Story:
        """What the call tells of itself; most calls tell nothing."""
        story = self._story
        if story is None:
            dialect, retry = self._rules.dialect, self._policy.retry
            is_safe = is_repeatable(self.call, dialect, retry)
            story = Story(self.call, dialect, self._teller, retry.max_attempts, is_safe)
            story.first_sent, story.give_up_at = self._first_sent, self.give_up_at
            self._story = story
        return story

    # Admission.

    def reserve(self, throttle: Throttle | Route, now: float) -> Ticket:
        """Ask the throttle for a place; the one that the call's route goes by now."""
        limits, call, route = self._policy.throttle, self.call, None
        if isinstance(throttle, Route):
            route, throttle = throttle, throttle.throttle
        if limits is None:
            ticket = throttle.admit_unconditionally(call.order, now, call.cost)
        else:
            retry = self._policy.retry
            last_chance, max_hint = now + limits.max_wait - self._waited, retry.max_retry_after
            if self.attempt > 1:
                last_chance = min(last_chance, self._deadline_at - MINIMAL_ATTEMPT)
                max_hint = min(max_hint, self.give_up_at - MINIMAL_ATTEMPT - now)
            ticket = throttle.reserve(
                call.order, now, last_chance, max_hint, call.cost, limits.max_queue
            )
        ticket.route = route
        self._ticket = ticket
        return ticket

    def tick(self, ticket: Ticket, now: float) -> None:
        """Let the throttle see who may go; record the wait if this call may."""
        if ticket.state == WAITING:
            ticket.home.tick(now)
        if ticket.state not in (WAITING, EXPIRED):
            throttle, arrived_at = ticket.home, ticket.arrived_at
            self.story.delayed(self.attempt, throttle.scope, now - arrived_at)
            self._stop_clock(now - max(arrived_at, min(now, throttle.troubled_until)))

    def _stop_clock(self, seconds: float) -> None:
        """Count seconds that the call waits for the rate limit: ``retry_for`` stands still.

        They are bounded by ``max_wait`` instead, all together, from the call's arrival on.
        """
        self._waited += seconds
        if self.give_up_at < math.inf:  # it has been sent
            self.give_up_at = min(self.give_up_at + seconds, self._deadline_at)
            self.story.give_up_at = self.give_up_at

    def throttled(self, ticket: Ticket, now: float) -> Done:
        """End a call that the rate-limit budget will not allow in time."""
        self._give_back(now)
        wait = None if ticket.retry_at is None else max(0.0, ticket.retry_at - now)
        stop = Stop(THROTTLE_TIMEOUT, wait, "throttle" if wait is not None else None)
        outcome = self._outcome or Outcome(now, now, now)
        failure = self._failure or Failure(RATE_LIMITED)
        balance = _balance(self.budget, now)
        scope = ticket.home.scope
        if self.attempt == 1:
            self._first_sent = self.story.first_sent = now
            self.story.gave_up(1, outcome, failure, stop, balance)
            return Done(THROTTLE_TIMEOUT, "throttled", 0, wait, scope)
        self.story.gave_up(self.attempt - 1, outcome, failure, stop, balance)
        return Done(THROTTLE_TIMEOUT, "this", self.attempt - 1, wait, scope)

    # The attempt.

    def begin(self, now: float) -> Send:
        """Return the attempt that starts now, and when it is cut."""
        if self.attempt == 1:
            deadline = self._policy.retry.deadline
            if deadline is None:
                return _FIRST
            self._deadline_at = now + deadline
        return Send(self.attempt, min(self.give_up_at, self._deadline_at))

    def learn(self, outcome: Outcome) -> Failure | None:
        """Understand what an attempt came to; tell the throttle and the retry budget."""
        rules, attempt = self._rules, self.attempt
        reading = rules.reader.read(outcome.headers, wall=outcome.wall)
        failure = None
        if not 0 < outcome.status < 400:
            failure = classify(outcome, rules.dialect, rules.reader, reading)
        is_told = failure is not None or attempt > 1 or self._teller.verbose
        if is_told and attempt == 1:
            self._begin_story(outcome.sent_at)
        ticket = self._ticket
        if ticket is not None:
            self._ticket = None
            self._report(ticket.home, ticket, outcome, reading, failure)
        if self.budget is not None:
            self._settle(self.budget, failure, outcome.at)
        if not is_told:
            return None
        story = self.story
        if failure is not None:
            if failure.perhaps_processed and self.call.method not in _SAFE_METHODS:
                story.maybe_applied = True
            self._outcome, self._failure = outcome, failure
        story.finished(attempt, outcome, failure, reading)
        return failure

    def _begin_story(self, sent_at: float) -> None:
        self._first_sent = sent_at
        self.give_up_at = min(sent_at + self._policy.retry.retry_for, self._deadline_at)
        if self._story is not None:
            self._story.first_sent, self._story.give_up_at = sent_at, self.give_up_at

    def _report(
        self,
        throttle: Throttle,
        ticket: Ticket,
        outcome: Outcome,
        reading: Reading,
        failure: Failure | None,
    ) -> None:
        """Tell the throttle what its ticket came to."""
        if outcome.status:
            throttle.observe(ticket, outcome.sent_at, outcome.received_at, reading, failure)
            if self._teller.verbose and reading.limits:
                self.story.observed(throttle.scope, reading)
        else:
            sent = failure is None or not failure.never_sent
            throttle.failed(ticket, outcome.at, sent=sent)

    def _settle(self, budget: RetryBudget, failure: Failure | None, now: float) -> None:
        """Charge or credit the retry budget for an attempt that came back."""
        if failure is not None and failure.error_class in _UNPRODUCTIVE:
            budget.fail(now)
        elif self.attempt > 1:
            budget.deposit(self._held, now)
        elif failure is None or failure.status is not None:
            budget.earn(now)  # an exception of our own side is neither success nor failure

    # What follows.

    def succeeded(self, outcome: Outcome) -> Done:
        """End a call whose last attempt did not fail."""
        if self.attempt == 1:
            return _SUCCEEDED
        balance = None if self.budget is None else self.budget.tokens
        self.story.recovered(self.attempt, outcome, balance)
        return Done(SUCCESS, attempts=self.attempt)

    def decide(self, outcome: Outcome, failure: Failure) -> Retry | Stop:
        """Return what to do about a failure; a retry is paid for."""
        decision = self._decide(outcome, failure)
        if isinstance(decision, Stop):
            return decision
        budget, balance = self.budget, None
        if budget is not None:
            if not budget.withdraw(decision.cost, outcome.at):
                return Stop(BUDGET_EXHAUSTED)
            balance = budget.tokens
        self._held = decision.cost
        self.story.scheduled(self.attempt, outcome, failure, decision, balance)
        if self._is_rate_limit(failure):
            self._stop_clock(decision.delay)
        return decision

    def _decide(self, outcome: Outcome, failure: Failure) -> Retry | Stop:
        if self._rules.policy is None:
            return Stop(DISABLED)
        if outcome.cut:
            return Stop(OUT_OF_TIME)
        counts = self._of_class = self._of_class or {}
        of_class = counts[failure.error_class] = counts.get(failure.error_class, 0) + 1
        is_repeatable, is_replayable = self.story.repeatable, self._is_replayable()
        has_hook, is_paced = self.has_hook(failure), self._is_paced(failure)
        limits, max_wait = self._policy.throttle, None
        if limits is not None and self._is_rate_limit(failure):
            max_wait = limits.max_wait - self._waited
        facts = make_facts(
            (
                *(self.attempt, of_class, outcome.at, self.give_up_at),
                *(is_repeatable, is_replayable, is_paced, has_hook),
                *(self._deadline_at, max_wait),
            )
        )
        return decide(failure, facts, self._policy.retry, self._rules.rand())

    def has_hook(self, failure: Failure) -> bool:
        """Tell whether a hook is to make the next request: never on what may be our own write."""
        if failure.code is None or self.story.maybe_applied:
            return False
        return self._rules.dialect.key(failure.code) in self._rules.recover

    def hooked(self, failure: Failure, reply: HookDone) -> None:
        """Tell what a hook came to."""
        outcome = self._outcome or Outcome(reply.at, reply.at, reply.at)
        self.story.hooked(self.attempt, outcome, failure, reply)

    def takes(self, call: Call | None) -> bool:
        """Go on with the request that a hook made; tell whether its body can be sent."""
        if call is not None:
            self.call = call
            self.story.goes_on(call, is_repeatable(call, self._rules.dialect, self._policy.retry))
        return self._is_replayable()

    def unrecovered(self, failure: Failure, reply: HookDone) -> Done:
        """End a call whose hook made no request, or one whose body was sent already."""
        self._give_back(reply.at)
        reason = _UNRECOVERED.get(reply.outcome, PERMANENT)
        outcome = self._outcome or Outcome(reply.at, reply.at, reply.at)
        balance = _balance(self.budget, reply.at)
        self.story.gave_up(self.attempt, outcome, failure, Stop(reason), balance)
        return Done(reason, "raised" if reply.outcome == "raised" else "this", self.attempt)

    def _is_paced(self, failure: Failure) -> bool:
        throttle = self.throttle
        if throttle is None or self._policy.throttle is None:
            return False
        if isinstance(throttle, Route):
            throttle = throttle.throttle
        return failure.error_class is RATE_LIMITED or throttle.is_pacing

    def _is_rate_limit(self, failure: Failure) -> bool:
        """Tell whether the wait for a retry is one that the throttle's ``max_wait`` bounds."""
        is_throttled = self.throttle is not None and self._policy.throttle is not None
        return is_throttled and failure.error_class is RATE_LIMITED

    def gave_up(self, outcome: Outcome, failure: Failure, stop: Stop) -> Done:
        """End a failed call."""
        balance = _balance(self.budget, outcome.at)
        self.story.gave_up(self.attempt, outcome, failure, stop, balance)
        result: Result = "this"
        if outcome.cut:
            result = "deadline" if outcome.at >= self._deadline_at else "previous"
        wait = stop.delay if stop.reason == RETRY_AFTER_TOO_LONG else None
        return Done(stop.reason, result, self.attempt, wait)

    def cancelled(self, now: float, *, sent: bool) -> None:
        """Give back what the call holds."""
        ticket = self._ticket
        if ticket is not None:
            ticket.home.leave(ticket, now, sent=sent)
            self._ticket = None
        self._give_back(now)

    def _give_back(self, now: float) -> None:
        if self.budget is not None and self._held:
            self.budget.deposit(self._held, now)
            self._held = 0.0


_DISABLED = Policy(retry=RetryPolicy(max_attempts=1), budget=None, throttle=None)
"""The numbers for a call without a policy; it is sent once, and counted."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, section 9.2.1), so that nothing can be half applied."""

_UNRECOVERED = {"cut": OUT_OF_TIME, "request": BODY_NOT_REPLAYABLE}
"""Why a call ends after its hook, where the failure itself is not the reason."""

_UNPRODUCTIVE = frozenset(
    {
        ErrorClass.RATE_LIMITED,
        ErrorClass.TRANSIENT,
        ErrorClass.INTERNAL,
        ErrorClass.CONNECTION,
    }
)
"""Classes of which an attempt counts as failed for the retry budget (DESIGN 7)."""


def _balance(budget: RetryBudget | None, now: float) -> float | None:
    return None if budget is None else budget.balance(now)
