"""What one call knows of itself on its way, without a flow, a throttle or a recorder."""

import math

import pytest

from httpx_resilience import GENERIC, SCAIVAULT, Dialect, ErrorClass, Policy, RetryPolicy
from httpx_resilience._core.call_state import CallState, Rules
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Outcome
from support.core import START, call_of

LOST = Failure(ErrorClass.CONNECTION, perhaps_processed=True)
REFUSED = Failure(ErrorClass.RATE_LIMITED, status=429)
OUTCOME = Outcome(START, START, START)


def state_of(
    method: str = "GET",
    *,
    keyed: bool = False,
    dialect: Dialect = SCAIVAULT,
    policy: Policy | None = Policy(),  # noqa: B008 - frozen
) -> CallState:
    rules = Rules(policy, dialect, RateLimitReader(), lambda: 0.5)
    return CallState(call_of(method, keyed=keyed), rules)


def sent(retry: RetryPolicy) -> CallState:
    """Return the state of a call that was sent at ``START``."""
    state = state_of(policy=Policy(retry=retry))
    state.deadline_at = math.inf if retry.deadline is None else START + retry.deadline
    state.sent_first(START)
    return state


ALWAYS = Policy(retry=RetryPolicy(retry_non_idempotent=True))


@pytest.mark.parametrize(
    ("method", "keyed", "dialect", "policy", "repeatable"),
    [
        ("GET", False, SCAIVAULT, Policy(), True),
        ("DELETE", False, SCAIVAULT, Policy(), True),
        ("PUT", False, SCAIVAULT, Policy(), False),
        ("PUT", False, GENERIC, Policy(), True),
        ("POST", False, GENERIC, Policy(), False),
        ("POST", True, GENERIC, Policy(), True),
        ("POST", False, SCAIVAULT, ALWAYS, True),
        ("POST", False, SCAIVAULT, None, False),
        ("GET", False, SCAIVAULT, None, True),
    ],
)
def test_method_key_dialect_and_policy_say_whether_a_call_is_repeatable(
    method: str, keyed: bool, dialect: Dialect, policy: Policy | None, repeatable: bool
) -> None:
    state = state_of(method, keyed=keyed, dialect=dialect, policy=policy)
    assert state.repeatable is repeatable
    assert state.repeatable is repeatable  # and again, remembered


@pytest.mark.parametrize(("before", "after"), [("GET", "POST"), ("POST", "GET")])
def test_the_request_that_a_hook_made_is_repeatable_by_itself(before: str, after: str) -> None:
    state = state_of(before)
    assert state.repeatable is (before == "GET")
    state.replace_call(call_of(after))
    assert state.call == call_of(after)
    assert state.repeatable is (after == "GET")


def test_a_call_without_a_policy_has_one_attempt() -> None:
    assert state_of(policy=None).max_attempts == 1
    assert state_of().max_attempts == 4


class TestTime:
    """When the call gives up."""

    def test_a_call_that_was_not_sent_yet_never_gives_up(self) -> None:
        state = state_of()
        assert (state.give_up_at, state.deadline_at) == (math.inf, math.inf)
        assert state.time_left(1e9) == math.inf

    @pytest.mark.parametrize(("deadline", "left"), [(None, 10.0), (30.0, 10.0), (4.0, 4.0)])
    def test_retry_for_and_the_deadline_count_from_the_first_send(
        self, deadline: float | None, left: float
    ) -> None:
        state = sent(RetryPolicy(retry_for=10.0, deadline=deadline))
        assert (state.first_sent, state.give_up_at) == (START, START + left)

    @pytest.mark.parametrize(
        ("now", "left"), [(0.0, 10.0), (9.5, 0.5), (10.0, 0.0), (10.1, 0.0), (1e9, 0.0)]
    )
    def test_the_time_left_is_never_negative(self, now: float, left: float) -> None:
        assert sent(RetryPolicy(retry_for=10.0)).time_left(START + now) == left

    def test_a_wait_before_the_first_send_is_counted_and_moves_nothing(self) -> None:
        state = state_of()
        state.deadline_at = START + 500.0
        state.stop_clock(7.0)
        assert (state.waited, state.give_up_at) == (7.0, math.inf)
        state.sent_first(START)
        assert state.give_up_at == START + 120.0

    def test_a_wait_after_the_first_send_moves_the_end_by_as_much(self) -> None:
        state = sent(RetryPolicy(retry_for=10.0))
        state.stop_clock(7.0)
        state.stop_clock(0.5)
        assert (state.waited, state.give_up_at) == (7.5, START + 17.5)

    def test_no_wait_moves_the_end_beyond_the_deadline(self) -> None:
        state = sent(RetryPolicy(retry_for=10.0, deadline=15.0))
        state.stop_clock(4.0)
        assert state.give_up_at == START + 14.0
        state.stop_clock(4.0)
        assert (state.waited, state.give_up_at) == (8.0, START + 15.0)


class TestFailures:
    """What is known of the attempts that failed."""

    @pytest.mark.parametrize(
        ("method", "failure", "applied"),
        [
            ("GET", LOST, False),
            ("HEAD", LOST, False),
            ("OPTIONS", LOST, False),
            ("TRACE", LOST, False),
            ("DELETE", LOST, True),
            ("PUT", LOST, True),
            ("POST", LOST, True),
            ("BREW", LOST, True),
            ("POST", REFUSED, False),
        ],
    )
    def test_only_an_unsafe_request_that_was_perhaps_processed_may_be_applied(
        self, method: str, failure: Failure, applied: bool
    ) -> None:
        state = state_of(method)
        assert state.maybe_applied is False
        state.failed(OUTCOME, failure)
        assert state.maybe_applied is applied
        assert (state.outcome, state.failure) == (OUTCOME, failure)

    def test_what_may_be_applied_stays_so_whatever_comes_after(self) -> None:
        state = state_of("POST")
        state.failed(OUTCOME, LOST)
        state.failed(OUTCOME, REFUSED)
        state.replace_call(call_of("GET"))
        assert (state.maybe_applied, state.failure) == (True, REFUSED)

    def test_the_failures_of_each_class_are_counted_apart_and_for_each_call(self) -> None:
        state, other = state_of(), state_of()
        counted = [ErrorClass.INTERNAL, ErrorClass.TRANSIENT, ErrorClass.INTERNAL]
        assert [state.count_class(error_class) for error_class in counted] == [1, 1, 2]
        assert other.count_class(ErrorClass.INTERNAL) == 1
