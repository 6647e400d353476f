"""The retry budget beside a model of it written from its rules, which recomputes everything.

The model keeps what happened and derives from that; it shares no formula that is updated step by
step, so a mistake would have to be made twice in two ways.
"""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
)

from httpx_resilience import BudgetPolicy
from httpx_resilience._core.retry.budget import RetryBudget
from properties.soaking import LONG

COSTS = (0.0, 0.25, 0.5, 1.0, 7.0)
NEAR = 1e-6
"""What floating point may make of a sum."""

policies = st.one_of(
    st.just(BudgetPolicy()),
    st.builds(
        lambda ratio, window, floor, more, heal_after: BudgetPolicy(
            ratio=ratio, window=window, floor=floor, maximum=floor + more, heal_after=heal_after
        ),
        st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        st.sampled_from([1.0, 60.0, 3600.0]),
        st.sampled_from([0.0, 1.0, 3.0, 50.0]),
        st.sampled_from([0.0, 1.0, 197.0]),
        st.sampled_from([0.5, 30.0]),
    ),
)


class Model:
    """Tokens, and the times of all that counts."""

    def __init__(self, policy: BudgetPolicy) -> None:
        self.policy = policy
        self.tokens = policy.floor
        self.successes: list[float] = []
        self.failed_at = -math.inf

    def rate(self, now: float) -> float:
        """First-attempt successes per second: each weighs e^(-age / 10 s) / 10 s."""
        return math.fsum(math.exp((at - now) / 10.0) for at in self.successes) / 10.0

    def cap(self, now: float) -> float:
        p = self.policy
        return sorted((p.floor, p.ratio * p.window * self.rate(now), p.maximum))[1]

    def add(self, tokens: float, now: float) -> None:
        """Never above the cap, unless it was above before."""
        cap = self.cap(now)
        if self.tokens < cap:  # tokens above a falling cap are kept, not clipped
            self.tokens = min(cap, self.tokens + tokens)

    def heal(self, now: float) -> None:
        if now - self.failed_at >= self.policy.heal_after:
            self.tokens = max(self.tokens, self.policy.floor)


class Budget(RuleBasedStateMachine):
    """Calls that succeed, fail, retry and are cancelled, as time goes on; by any thread."""

    held = Bundle("held")

    @initialize(policy=policies, shared=st.booleans())
    def begin(self, policy: BudgetPolicy, shared: bool) -> None:
        self.now = 1000.0
        self.shared = shared
        self.budget = RetryBudget(policy, clock=(lambda: self.now) if shared else None)
        self.model = Model(policy)

    @property
    def said(self) -> float:
        """What the caller takes the time to be; a shared budget has a clock of its own."""
        return -5.0 if self.shared else self.now

    @rule(seconds=st.one_of(st.floats(0, 20), st.sampled_from([0.5, 30.0, 600.0])))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 50))
    def first_attempts_succeed(self, times: int) -> None:
        self.somebody_looks()  # whether healing or earning comes first is not laid down
        for _ in range(times):
            self.budget.deposit(self.said)
            self.model.successes.append(self.now)
            self.model.add(self.model.policy.ratio, self.now)
        self.somebody_looks()  # what is earned within a moment is put down by the next who comes

    @rule()
    def an_attempt_fails(self) -> None:
        self.budget.fail(self.said)
        self.model.heal(self.now)
        self.model.failed_at = self.now

    @rule(target=held, cost=st.sampled_from(COSTS))
    def a_retry_is_paid_for(self, cost: float) -> float:
        model = self.model
        model.heal(self.now)
        model.failed_at = self.now
        allowed = self.budget.withdraw(cost, self.said)
        if abs(model.tokens - cost) > NEAR:
            assert allowed == (model.tokens > cost)
        if not allowed:
            return 0.0
        model.tokens = max(0.0, model.tokens - cost)
        return cost

    @rule(cost=consumes(held))
    def a_retry_succeeds_or_is_cancelled(self, cost: float) -> None:
        self.somebody_looks()
        self.budget.refund(cost, self.said)
        self.model.add(cost, self.now)

    @rule(cost=consumes(held))
    def a_retry_fails_in_vain(self, cost: float) -> None:
        self.an_attempt_fails()

    @rule()
    def somebody_looks(self) -> None:
        """Looking heals it too, so nobody does after every step."""
        self.model.heal(self.now)
        balance = self.budget.balance(self.said)
        assert abs(balance - self.model.tokens) < NEAR
        assert 0.0 <= balance <= self.model.policy.maximum + NEAR

    def teardown(self) -> None:
        if hasattr(self, "budget"):
            self.somebody_looks()


TestBudgetModel = Budget.TestCase
TestBudgetModel.settings = settings(max_examples=100, stateful_step_count=40)


@pytest.mark.soak
class TestBudgetModelForLong(Budget.TestCase):  # type: ignore[misc,valid-type]
    """The same with other histories each time."""

    settings = LONG


# Several threads.

PLENTY = BudgetPolicy(floor=1000.0, maximum=1000.0, ratio=1.0, heal_after=1e9)
works = st.lists(
    st.lists(st.sampled_from(["earn", "vain", "back", "cancelled"]), max_size=12),
    min_size=2,
    max_size=4,
)


def steps_of(job: str) -> tuple[str, ...]:
    """What one call does to the budget, in order."""
    steps = {
        "earn": ("earn",),
        "vain": ("withdraw", "fail"),
        "back": ("withdraw", "deposit"),
        "cancelled": ("withdraw", "deposit"),
    }
    return steps[job]


@given(works, st.randoms(use_true_random=False))
def test_in_whatever_order_threads_come_the_same_is_left(works: list[list[str]], rnd: Any) -> None:
    """As long as neither the cap nor an empty budget comes in their way."""
    budget = RetryBudget(PLENTY)
    assert budget.withdraw(500.0, 0.0)
    threads = [[step for job in jobs for step in steps_of(job)] for jobs in works]
    while any(threads):
        steps = rnd.choice([thread for thread in threads if thread])
        step = steps.pop(0)
        if step == "withdraw":
            assert budget.withdraw(1.0, 0.0)
        elif step == "deposit":
            budget.refund(1.0, 0.0)
        elif step == "earn":
            budget.deposit(0.0)
        else:
            budget.fail(0.0)
    done = [job for jobs in works for job in jobs]
    assert budget.balance(0.0) == 500.0 + done.count("earn") - done.count("vain")
