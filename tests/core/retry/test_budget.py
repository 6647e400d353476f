"""The retry budget, rule by rule."""

import itertools
import math
import sys
import threading

import pytest

from httpx_resilience import BudgetPolicy, RetryBudget
from httpx_resilience._core.retry import budget as core


def fresh(**fields: float) -> core.RetryBudget:
    return core.RetryBudget(BudgetPolicy(**fields))


def earn(budget: core.RetryBudget, rate: float, seconds: float, start: float = 0.0) -> float:
    """Let first attempts succeed at a steady rate; return when the last did."""
    count = int(rate * seconds)
    for n in range(count):
        budget.deposit(start + n / rate)
    return start + (count - 1) / rate


def test_a_lone_call_gets_all_its_attempts() -> None:
    budget = fresh()
    assert [budget.withdraw(1.0, now) for now in (0.0, 1.0, 2.0, 3.0)] == [True, True, True, False]


def test_a_refused_withdrawal_takes_nothing() -> None:
    budget = fresh(floor=0.5)
    assert not budget.withdraw(1.0, 0.0)
    assert budget.balance(0.0) == 0.5
    assert budget.withdraw(0.5, 0.0)
    assert budget.balance(0.0) == 0.0


class TestRuleOne:
    """Deposit on success, never on send and never by time."""

    def test_a_success_earns_a_tenth(self) -> None:
        budget = fresh(floor=0.0)
        for n in range(20):
            budget.deposit(n / 100)
        assert budget.balance(0.2) == pytest.approx(2.0 - 0.1, abs=0.11)

    def test_ten_successes_pay_for_one_retry_and_nine_do_not(self) -> None:
        for successes, pays in ((9, False), (10, True)):
            budget = fresh(floor=0.0)
            for _ in range(successes):  # whose sum is a little less than 1
                budget.deposit(1.0)
            assert budget.withdraw(1.0, 1.0) is pays

    @pytest.mark.parametrize(("missing", "pays"), [(0.9e-9, True), (1e-9, True), (1.1e-9, False)])
    def test_a_retry_may_lack_a_billionth_of_its_cost(self, missing: float, pays: bool) -> None:
        assert fresh(floor=1.0 - missing).withdraw(1.0, 0.0) is pays

    def test_successes_of_a_hundredth_of_a_second_are_put_down_together(self) -> None:
        budget, tokens = fresh(floor=0.0), []
        for now in (0.0, 0.005, 0.01):
            budget.deposit(now)
            tokens.append(budget.tokens)
        assert tokens == pytest.approx([0.1, 0.1, 0.3])

    def test_successes_at_one_instant_raise_the_cap_one_by_one(self) -> None:
        budget = fresh(floor=3.0)
        for _ in range(40):  # the cap is the floor for the first five of them
            budget.deposit(1.0)
        assert budget.balance(1.0) == pytest.approx(3.0 + 35 * 0.1)

    def test_time_alone_refills_nothing_while_calls_fail(self) -> None:
        budget = fresh()
        for _ in range(3):
            budget.withdraw(1.0, 0.0)
        for now in range(0, 10_000, 29):
            budget.fail(float(now))
            assert budget.balance(float(now)) == 0.0

    def test_thirty_seconds_without_a_failure_heal_up_to_the_floor(self) -> None:
        budget = fresh()
        for _ in range(3):
            budget.withdraw(1.0, 0.0)
        assert budget.balance(29.9) == 0.0
        assert budget.balance(30.0) == 3.0

    def test_a_failure_starts_the_healing_anew(self) -> None:
        budget = fresh()
        for _ in range(3):
            budget.withdraw(1.0, 0.0)
        budget.fail(20.0)
        assert budget.balance(49.9) == 0.0
        assert budget.balance(50.0) == 3.0

    def test_a_refused_retry_starts_the_healing_anew(self) -> None:
        budget = fresh()
        for _ in range(3):
            budget.withdraw(1.0, 0.0)
        assert not budget.withdraw(1.0, 20.0)
        assert budget.balance(49.9) == 0.0

    def test_a_failure_after_a_quiet_time_finds_it_healed(self) -> None:
        budget = fresh()
        for _ in range(3):
            budget.withdraw(1.0, 0.0)
        budget.fail(100.0)
        assert budget.withdraw(1.0, 100.0)

    def test_healing_never_takes_tokens_away(self) -> None:
        budget = fresh()
        earn(budget, 100.0, 60.0)
        assert budget.balance(1000.0) > 3.0


def test_rule_two_a_retry_that_succeeds_gets_its_cost_back() -> None:
    budget = fresh()
    for now in range(100):
        assert budget.withdraw(1.0, float(now))
        budget.refund(1.0, now + 0.5)
    assert budget.balance(100.0) == 3.0


def test_rule_two_a_deposit_stops_at_the_cap() -> None:
    budget = fresh()
    budget.refund(50.0, 0.0)
    assert budget.balance(0.0) == 3.0


def test_rule_two_the_cap_of_a_deposit_counts_every_success_so_far() -> None:
    budget = fresh(floor=0.0)
    for _ in range(40):
        budget.deposit(1.0)
    budget.refund(1000.0, 1.0)
    assert budget.balance(1.0) == pytest.approx(24.0)


class TestRuleThree:
    """The cap follows the client's own traffic."""

    @pytest.mark.parametrize(("rate", "cap"), [(1.0, 6.0), (10.0, 60.0), (30.0, 180.0)])
    def test_the_cap_is_a_tenth_of_a_minutes_successes(self, rate: float, cap: float) -> None:
        budget = fresh()
        last = earn(budget, rate, 200.0)
        assert budget.balance(last) == pytest.approx(cap, rel=0.06)

    def test_the_cap_never_exceeds_its_maximum(self) -> None:
        budget = fresh()
        last = earn(budget, 1000.0, 60.0)
        assert budget.balance(last) == 200.0

    def test_a_client_with_little_traffic_has_the_floor_and_no_more(self) -> None:
        budget = fresh()
        last = earn(budget, 0.1, 10_000.0)
        assert budget.balance(last) == 3.0

    def test_the_rate_is_forgotten_in_ten_seconds(self) -> None:
        budget = fresh(floor=0.0)
        last = earn(budget, 10.0, 200.0)
        while budget.withdraw(1.0, last):
            pass
        budget.refund(1000.0, last + 10.0)
        assert budget.balance(last) == pytest.approx(60.0 / math.e, rel=0.06)


def test_rule_four_tokens_above_a_falling_cap_are_kept() -> None:
    budget = fresh()
    last = earn(budget, 10.0, 200.0)
    saved = budget.balance(last)
    budget.refund(1.0, last + 600.0)  # the cap is long back at the floor
    budget.deposit(last + 600.0)
    assert budget.balance(last + 600.0) == saved > 50.0


def test_a_clock_that_goes_back_does_no_harm() -> None:
    budget = fresh()
    budget.deposit(1000.0)
    budget.deposit(10.0)
    budget.fail(10.0)
    assert budget.withdraw(1.0, 0.0)
    assert budget.balance(0.0) == 2.0


def test_a_floor_of_zero_allows_no_retry_before_successes() -> None:
    assert not fresh(floor=0.0).withdraw(0.25, 0.0)


def test_a_retry_that_costs_nothing_is_always_allowed() -> None:
    budget = fresh(floor=0.0)
    assert budget.withdraw(0.0, 0.0)


def test_a_repr_shows_tokens_and_policy() -> None:
    assert repr(fresh(floor=1.0)).startswith("<RetryBudget tokens=1.00 BudgetPolicy(ratio=0.1,")


def test_threads_that_share_a_budget_lose_no_token() -> None:
    clock = itertools.count().__next__
    budget = core.RetryBudget(
        BudgetPolicy(floor=1000.0, maximum=1000.0, heal_after=1e9), clock=lambda: clock() * 1e-9
    )
    taken: list[int] = []

    def hammer() -> None:
        mine = 0
        for _ in range(10_000):
            if budget.withdraw(1.0, 0.0):
                mine += 1
                if mine % 3:
                    budget.refund(1.0, 0.0)
        taken.append(mine)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    kept = sum(mine // 3 for mine in taken)
    assert kept + budget.balance(0.0) == 1000.0
    assert budget.balance(0.0) < 1.0


def test_a_shared_budget_is_on_a_clock_of_its_own() -> None:
    budget = RetryBudget(BudgetPolicy(heal_after=1e6))
    for _ in range(3):
        budget.withdraw(1.0, now=0.0)
    assert budget.balance(now=1e12) == 0.0  # whatever time a caller's loop shows


def test_a_retry_may_take_the_last_token_and_no_more() -> None:
    budget = RetryBudget(BudgetPolicy(floor=1.0))
    assert budget.withdraw(1.0, now=0.0)
    assert budget.balance(0.0) == 0.0
    assert not budget.withdraw(0.01, now=0.0)


class Watch:
    """A clock of the budget's own, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def spent(budget: core.RetryBudget, now: float) -> core.RetryBudget:
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
    budget = core.RetryBudget(BudgetPolicy(floor=0.0), clock=watch)
    for nth in range(1, 2001):
        watch.now = 1000.0 + 0.1 * nth
        budget.deposit(now=told)
    while budget.withdraw(1.0, now=told):
        pass
    watch.now += 10.0
    budget.refund(1000.0, now=told)
    assert budget.balance(now=told) == pytest.approx(60.0 / math.e, rel=0.06)


@pytest.mark.parametrize("told", [-1e12, 0.0, 1e12])
def test_a_failure_starts_the_healing_anew_on_the_budgets_own_clock(told: float) -> None:
    watch = Watch()
    budget = core.RetryBudget(BudgetPolicy(floor=1.0), clock=watch)
    assert budget.withdraw(1.0, now=told)
    watch.now = 1020.0
    budget.fail(now=told)
    balances = []
    for watch.now in (1049.9, 1050.0):
        balances.append(budget.balance(now=told))
    assert balances == [0.0, 1.0]


def test_a_failure_at_an_earlier_time_forgets_no_success() -> None:
    budget = spent(core.RetryBudget(BudgetPolicy(floor=0.0)), 200.0)
    budget.fail(100.0)
    budget.refund(1000.0, 200.0)
    assert budget.balance(200.0) == pytest.approx(60.0, rel=0.06)


@pytest.mark.parametrize("back", [0.5, 5.0, 1e9])
def test_a_clock_that_goes_back_raises_no_cap(back: float) -> None:
    here, there = (spent(core.RetryBudget(BudgetPolicy(floor=0.0)), 200.0) for _ in range(2))
    here.refund(1000.0, 200.0)
    there.refund(1000.0, 200.0 - back)
    assert there.balance(200.0) == here.balance(200.0) == pytest.approx(60.0, rel=0.06)
