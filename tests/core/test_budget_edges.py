"""The retry budget and the clocks that it is asked by."""

import math

import pytest

from httpx_resilience import BudgetPolicy
from httpx_resilience._core.retry.budget import RetryBudget


class Watch:
    """A clock of the budget's own, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def spent(budget: RetryBudget, now: float) -> RetryBudget:
    """Return a budget of which nothing is left, after ten successes a second until ``now``."""
    for nth in range(2000):
        budget.deposit(now - 200.0 + 0.1 * (nth + 1))
    while budget.withdraw(1.0, now):
        pass
    return budget


@pytest.mark.parametrize("told", [-1e12, 0.0, 1e12])
def test_what_is_given_back_to_a_budget_with_a_clock_is_bounded_by_the_rate_on_that_clock(
    told: float,
) -> None:
    watch = Watch()
    budget = RetryBudget(BudgetPolicy(floor=0.0), clock=watch)
    for nth in range(1, 2001):
        watch.now = 1000.0 + 0.1 * nth
        budget.deposit(now=told)
    while budget.withdraw(1.0, now=told):
        pass
    watch.now += 10.0
    budget.refund(1000.0, now=told)
    assert budget.balance(now=told) == pytest.approx(60.0 / math.e, rel=0.06)


@pytest.mark.parametrize("back", [0.5, 5.0, 1e9])
def test_a_clock_that_goes_back_raises_no_cap(back: float) -> None:
    here, there = (spent(RetryBudget(BudgetPolicy(floor=0.0)), 200.0) for _ in range(2))
    here.refund(1000.0, 200.0)
    there.refund(1000.0, 200.0 - back)
    assert there.balance(200.0) == here.balance(200.0) == pytest.approx(60.0, rel=0.06)
