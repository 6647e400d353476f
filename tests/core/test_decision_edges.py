"""Whether a failed attempt is repeated where a hook makes the next request."""

import pytest

from httpx_resilience import ErrorClass, RetryPolicy
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.retry.decision import Facts, Retry, Stop, decide

HOOKED = Facts(
    attempt=1,
    of_class=1,
    now=100.0,
    give_up_at=220.0,
    repeatable=False,
    replayable=False,
    has_hook=True,
)


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_a_hook_has_any_failure_repeated_after_the_backoff_of_a_conflict(
    error_class: ErrorClass,
) -> None:
    failure = Failure(error_class, status=409)
    assert decide(failure, HOOKED, RetryPolicy(), 0.5) == Retry(0.05, "backoff", 1.0)


def test_a_hook_makes_no_more_attempts_than_a_conflict_may_have() -> None:
    failure = Failure(ErrorClass.PERMANENT, status=409, coded=True)
    second, third = (HOOKED._replace(attempt=n, of_class=n) for n in (2, 3))
    assert isinstance(decide(failure, second, RetryPolicy(), 0.5), Retry)
    assert decide(failure, third, RetryPolicy(), 0.5) == Stop("attempts_exhausted")
