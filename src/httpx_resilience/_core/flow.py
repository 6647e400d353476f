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
from collections.abc import Callable, Generator
from typing import Literal, NamedTuple

from .budget import RetryBudget
from .catalog import Dialect, ErrorClass
from .classify import Failure, classify
from .decision import (
    BUDGET_EXHAUSTED,
    DISABLED,
    OUT_OF_TIME,
    RETRY_AFTER_TOO_LONG,
    SUCCESS,
    Facts,
    Retry,
    Stop,
    decide,
    is_repeatable,
)
from .headers import RateLimitReader
from .outcome import Call, Cancelled, Outcome, Woken
from .policy import Policy
from .telling import Story, Teller

Result = Literal["this", "previous", "deadline"]


class Send(NamedTuple):
    """Send the request; end the attempt at ``cut_at`` if its headers are not there by then."""

    attempt: int
    cut_at: float | None


class Pause(NamedTuple):
    """Give the connection back, then sleep until ``until``."""

    until: float


class Done(NamedTuple):
    """Return or raise: this attempt's outcome, the previous one's, or the deadline's error.

    Attributes:
        reason: Why the call ends, of ``decision.REASONS``.
        result: Which outcome the user gets.
        attempts: How many attempts were made.
        retry_in: Seconds the server wants to pass first, where that ended the call.
    """

    reason: str
    result: Result = "this"
    attempts: int = 1
    retry_in: float | None = None


Step = Send | Pause | Done
Reply = Outcome | Woken | Cancelled
CallFlow = Generator[Step, Reply, None]


class Rules(NamedTuple):
    """What a call goes by. ``policy`` is None for a call that is sent without wait or retry."""

    policy: Policy | None
    dialect: Dialect
    reader: RateLimitReader
    rand: Callable[[], float]


DISABLED_POLICY = Policy(budget=None)
"""The numbers for a call without a policy: only its time limits matter, and it has none."""


def call_flow(
    call: Call,
    rules: Rules,
    budget: RetryBudget | None,
    teller: Teller,
    is_replayable: Callable[[], bool],
    now: float,
) -> CallFlow:
    """Yield the steps of one call, from its first send to its end.

    Args:
        call: What is known of the request.
        rules: What the call goes by.
        budget: The retry budget of its origin, or None for none.
        teller: Takes the events.
        is_replayable: Tells whether the request body can be sent (again) now.
        now: The driver's time.
    """
    dialect, retry = rules.dialect, (rules.policy or DISABLED_POLICY).retry
    limit = retry.max_attempts if rules.policy is not None else 1
    story = Story(call, teller, limit, is_repeatable(call, dialect, retry))
    deadline_at = math.inf if retry.deadline is None else now + retry.deadline
    cut_at = None if retry.deadline is None else deadline_at
    of_class: dict[ErrorClass, int] = {}
    held = 0.0
    attempt = 1

    while True:
        outcome = yield Send(attempt, cut_at)
        if isinstance(outcome, Cancelled):
            _give_back(budget, held, outcome.at)
            return
        assert isinstance(outcome, Outcome)  # noqa: S101 - what a driver owes a Send
        if attempt == 1:
            story.first_sent = outcome.sent_at
            story.give_up_at = min(outcome.sent_at + retry.retry_for, deadline_at)

        failure = classify(outcome, dialect, rules.reader)
        _settle(budget, attempt, held, failure, outcome.at)
        if failure is None:
            if attempt > 1 or teller.verbose:
                story.finished(attempt, outcome, None)
            if attempt > 1:
                story.recovered(attempt, outcome, _balance(budget, outcome.at))
            yield Done(SUCCESS, attempts=attempt)
            return
        if failure.perhaps_processed and call.method not in _SAFE_METHODS:
            story.maybe_applied = True
        story.finished(attempt, outcome, failure)

        of_class[failure.error_class] = of_class.get(failure.error_class, 0) + 1
        facts = Facts(
            attempt=attempt,
            of_class=of_class[failure.error_class],
            now=outcome.at,
            give_up_at=story.give_up_at,
            repeatable=story.repeatable,
            replayable=is_replayable(),
        )
        decision = _decide(rules, outcome, failure, facts)
        if isinstance(decision, Retry) and not _pays(budget, decision.cost, outcome.at):
            decision = Stop(BUDGET_EXHAUSTED)
        balance = _balance(budget, outcome.at)
        if isinstance(decision, Stop):
            story.gave_up(attempt, outcome, failure, decision, balance)
            yield Done(
                decision.reason,
                _result_of(outcome, deadline_at),
                attempt,
                decision.delay if decision.reason == RETRY_AFTER_TOO_LONG else None,
            )
            return

        held = decision.cost
        story.scheduled(attempt, outcome, failure, decision, balance)
        woken = yield Pause(outcome.at + decision.delay)
        if isinstance(woken, Cancelled):
            _give_back(budget, held, woken.at)
            return
        cut_at = story.give_up_at
        attempt += 1


_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, section 9.2.1), so that nothing can be half applied."""

_UNPRODUCTIVE = frozenset(
    {
        ErrorClass.RATE_LIMITED,
        ErrorClass.TRANSIENT,
        ErrorClass.INTERNAL,
        ErrorClass.CONNECTION,
    }
)
"""Classes of which an attempt counts as failed for the retry budget (DESIGN 7)."""


def _decide(rules: Rules, outcome: Outcome, failure: Failure, facts: Facts) -> Retry | Stop:
    if rules.policy is None:
        return Stop(DISABLED)
    if outcome.cut:
        return Stop(OUT_OF_TIME)
    return decide(failure, facts, rules.policy.retry, rules.rand())


def _result_of(outcome: Outcome, deadline_at: float) -> Result:
    if not outcome.cut:
        return "this"
    return "deadline" if outcome.at >= deadline_at else "previous"


def _settle(
    budget: RetryBudget | None, attempt: int, held: float, failure: Failure | None, now: float
) -> None:
    """Charge or credit the retry budget for an attempt that came back."""
    if budget is None:
        return
    if failure is not None and failure.error_class in _UNPRODUCTIVE:
        budget.fail(now)
    elif attempt > 1:
        budget.deposit(held, now)
    elif failure is None or failure.status is not None:
        budget.earn(now)  # an exception of our own side is neither success nor failure


def _pays(budget: RetryBudget | None, cost: float, now: float) -> bool:
    return budget is None or budget.withdraw(cost, now)


def _give_back(budget: RetryBudget | None, held: float, now: float) -> None:
    if budget is not None and held:
        budget.deposit(held, now)


def _balance(budget: RetryBudget | None, now: float) -> float | None:
    return None if budget is None else budget.balance(now)
