"""What always holds of a retry budget, whatever is done to it in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from httpx_resilience import BudgetPolicy
from httpx_resilience._core.retry.budget import RetryBudget

costs = st.sampled_from([0.0, 0.25, 0.5, 1.0])


class Budget(RuleBasedStateMachine):
    """Calls that succeed, fail, retry, and are cancelled, as time goes on."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.policy = BudgetPolicy()
        self.budget = RetryBudget(self.policy)
        self.now = 1000.0
        self.gone = 0.0
        self.earned = 0.0
        self.heals = 0
        self.failed_at = -1e9

    @rule(seconds=st.floats(0, 20))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([30.0, 600.0]))
    def be_quiet(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 50))
    def succeed_at_first(self, times: int) -> None:
        for _ in range(times):
            self.budget.deposit(self.now)
        self.earned += 0.1 * times

    @rule()
    def fail(self) -> None:
        self.budget.fail(self.now)
        self.failed_at = self.now

    @rule(target=held, cost=costs)
    def retry(self, cost: float) -> float | None:
        before = self.budget.balance(self.now)
        allowed = self.budget.withdraw(cost, self.now)
        after = self.budget.balance(self.now)
        assert allowed == (before >= cost - 1e-9)
        assert abs(before - after - (cost if allowed else 0.0)) < 1e-8
        self.failed_at = self.now
        return cost if allowed else None

    @rule(cost=consumes(held))
    def succeed_or_be_cancelled(self, cost: float | None) -> None:
        if cost is None:
            return
        before = self.budget.balance(self.now)
        self.budget.refund(cost, self.now)
        after = self.budget.balance(self.now)
        assert before <= after <= before + cost + 1e-9

    @rule(cost=consumes(held))
    def fail_in_vain(self, cost: float | None) -> None:
        self.budget.fail(self.now)
        self.failed_at = self.now
        self.gone += cost or 0.0

    @invariant()
    def never_negative_and_never_above_the_maximum(self) -> None:
        assert 0.0 <= self.budget.balance(self.now) <= self.policy.maximum

    @invariant()
    def no_tokens_out_of_nothing(self) -> None:
        # No deposit can have been more than was earned, but for what healing gave.
        if self.now - self.failed_at < self.policy.heal_after and self.gone == 0:
            assert self.budget.balance(self.now) <= self.policy.floor + self.earned + 1e-6

    @invariant()
    def healed_after_a_quiet_time(self) -> None:
        if self.now - self.failed_at >= self.policy.heal_after:
            assert self.budget.balance(self.now) >= self.policy.floor


TestBudget = Budget.TestCase
TestBudget.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
