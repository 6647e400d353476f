"""Configuration: frozen, validated, equal by value, readable."""

import math
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from httpx_resilience import (
    Backoff,
    BudgetPolicy,
    ErrorClass,
    ParkPolicy,
    Policy,
    RetryPolicy,
    ThrottlePolicy,
)

CONFIGS = (Policy, RetryPolicy, BudgetPolicy, ThrottlePolicy, ParkPolicy)
QUICK = Backoff(initial=0.1, maximum=1.0)


def test_the_defaults_are_those_of_the_design() -> None:
    retry, budget = RetryPolicy(), BudgetPolicy()
    assert (retry.max_attempts, retry.retry_for, retry.deadline) == (4, 120.0, None)
    assert (retry.max_retry_after, retry.retry_non_idempotent) == (60.0, False)
    assert (budget.ratio, budget.window, budget.floor) == (0.1, 60.0, 3.0)
    assert (budget.maximum, budget.heal_after) == (200.0, 30.0)
    assert (Policy().retry, Policy().budget) == (retry, budget)
    park = ParkPolicy()
    assert (park.patience, park.ride_out, park.drain) == (6.5, 10.0, 45.0)
    assert (park.max_parked, park.fail_fast_after) == (10_000, None)
    assert Policy().park == park


@pytest.mark.parametrize("config", [RetryPolicy(), BudgetPolicy(), Policy(), QUICK])
def test_a_config_cannot_change(config: Any) -> None:
    for field in fields(config):
        with pytest.raises(FrozenInstanceError):
            setattr(config, field.name, 7)


@pytest.mark.parametrize("kind", [RetryPolicy, BudgetPolicy, Policy, Backoff])
def test_a_config_is_made_by_keyword_only(kind: Any) -> None:
    with pytest.raises(TypeError):
        kind(3)


def test_equal_configs_compare_and_hash_equal() -> None:
    one = Policy(retry=RetryPolicy(backoff={ErrorClass.TRANSIENT: QUICK}))
    two = Policy(retry=RetryPolicy(backoff={ErrorClass.TRANSIENT: QUICK}))
    assert one == two
    assert hash(one) == hash(two)
    assert one != Policy()
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_repr_is_what_would_be_written() -> None:
    names: dict[str, Any] = {kind.__name__: kind for kind in (*CONFIGS, Backoff, ErrorClass)}
    for policy in (Policy(), Policy(budget=None, retry=RetryPolicy(deadline=5.0))):
        assert eval(repr(policy), names) == policy


def test_classes_left_out_of_the_backoff_keep_their_defaults() -> None:
    retry = RetryPolicy(backoff={ErrorClass.TRANSIENT: QUICK})
    assert retry.backoff[ErrorClass.TRANSIENT] == QUICK
    assert retry.backoff[ErrorClass.INTERNAL] == RetryPolicy().backoff[ErrorClass.INTERNAL]


def test_replace_validates_anew() -> None:
    assert RetryPolicy(max_attempts=2).replace(deadline=10.0) == RetryPolicy(
        max_attempts=2, deadline=10.0
    )
    assert ThrottlePolicy().replace(reserve=2) == ThrottlePolicy(reserve=2)
    with pytest.raises(ValueError, match="max_attempts"):
        RetryPolicy().replace(max_attempts=0)
    with pytest.raises(ValueError, match="floor"):
        BudgetPolicy().replace(floor=-1.0)
    with pytest.raises(TypeError, match="retry"):
        Policy().replace(retry=None)
    with pytest.raises(TypeError):
        Policy().replace(retries=3)


@pytest.mark.parametrize(
    ("kind", "given", "error", "message"),
    [
        (RetryPolicy, {"max_attempts": 0}, ValueError, "got 0, allowed is an integer"),
        (RetryPolicy, {"max_attempts": None}, TypeError, "max_attempts: got None"),
        (RetryPolicy, {"max_attempts": True}, TypeError, "max_attempts: got True"),
        (RetryPolicy, {"retry_for": -1}, ValueError, "retry_for: got -1"),
        (RetryPolicy, {"retry_for": math.inf}, ValueError, "retry_for: got inf"),
        (RetryPolicy, {"deadline": 0}, ValueError, "deadline: got 0, allowed .* above 0, or None"),
        (RetryPolicy, {"max_retry_after": "60"}, TypeError, "max_retry_after: got '60'"),
        (RetryPolicy, {"retry_non_idempotent": 1}, TypeError, "got 1, allowed is True or False"),
        (RetryPolicy, {"backoff": [QUICK]}, TypeError, "backoff: got .*allowed is a mapping"),
        (RetryPolicy, {"backoff": {"transient": QUICK}}, TypeError, "backoff key: got 'transient'"),
        (RetryPolicy, {"backoff": {ErrorClass.PERMANENT: QUICK}}, ValueError, "PERMANENT"),
        (RetryPolicy, {"backoff": {ErrorClass.TRANSIENT: 3}}, TypeError, "a Backoff"),
        (BudgetPolicy, {"ratio": 1.1}, ValueError, "ratio: got 1.1, .* at most 1"),
        (BudgetPolicy, {"window": 0}, ValueError, "window: got 0"),
        (BudgetPolicy, {"floor": 300.0}, ValueError, "maximum: got 200.0, allowed .* at least 300"),
        (BudgetPolicy, {"heal_after": math.nan}, ValueError, "heal_after: got nan"),
        (Policy, {"throttle": 1}, TypeError, "got 1, allowed is a ThrottlePolicy or None"),
        (Policy, {"retry": None}, TypeError, "Policy.retry: got None, allowed is a RetryPolicy"),
        (Policy, {"budget": 0.1}, TypeError, "got 0.1, allowed is a BudgetPolicy"),
        (Policy, {"stop_layers_above": 1}, TypeError, "got 1, allowed is True, False or None"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name_with_what_is_allowed(
    kind: Any, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        kind(**given)


def test_describe_tells_the_effective_table() -> None:
    policy = Policy(retry=RetryPolicy(max_attempts=3, backoff={ErrorClass.TRANSIENT: QUICK}))
    told = policy.describe()
    rows = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line.split()}
    assert rows["max_attempts"] == ["3"]
    assert rows["floor"] == ["3.0"]
    assert rows["TRANSIENT"] == ["0.1", "s", "1", "s", "2", "equal", "3", "1"]
    assert rows["INTERNAL"] == ["0.5", "s", "20", "s", "2", "equal", "2", "1"]
    assert rows["CONFLICT"][-2:] == ["3", "1"]
    assert "budget  off" in Policy(budget=None).describe()
    assert "stop_layers_above  as the dialect says" in told
    assert "stop_layers_above  False" in Policy(stop_layers_above=False).describe()
    assert all(len(line) < 100 for line in told.splitlines())
