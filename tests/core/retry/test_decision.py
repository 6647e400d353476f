"""Whether a failed attempt is repeated: the table, row by row."""

import math
from typing import Any

import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    Backoff,
    Dialect,
    ErrorClass,
    RequestRules,
    RetryPolicy,
)
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import Wait
from httpx_resilience._core.retry.decision import Facts, Retry, Stop, decide, is_repeatable
from support.core import call_of

TRANSIENT = Failure(ErrorClass.TRANSIENT, status=503, coded=True, perhaps_processed=True)
UNCODED = TRANSIENT._replace(coded=False)
FACTS = Facts(attempt=1, of_class=1, now=100.0, give_up_at=220.0, repeatable=True, replayable=True)


def decided(
    failure: Failure = TRANSIENT,
    rand: float = 0.5,
    retry: RetryPolicy | None = None,
    **facts: Any,
) -> Retry | Stop:
    return decide(failure, FACTS._replace(**facts), retry or RetryPolicy(), rand)


def test_a_transient_failure_is_repeated_after_its_backoff() -> None:
    assert decided() == Retry(0.375, "backoff", 1.0)
    assert decided(attempt=3) == Retry(3.375, "backoff", 1.0)


@pytest.mark.parametrize("error_class", [ErrorClass.PERMANENT, ErrorClass.CONFLICT])
def test_what_a_blind_resend_cannot_mend_is_not_repeated(error_class: ErrorClass) -> None:
    assert decided(TRANSIENT._replace(error_class=error_class)) == Stop("permanent")


VETOED = TRANSIENT._replace(should_retry=False)
_FACTS: tuple[dict[str, Any], ...] = (
    *({}, {"attempt": 9}, {"replayable": False}, {"repeatable": False}, {"now": 219.95}),
)


@pytest.mark.parametrize("error_class", ErrorClass)
def test_a_veto_comes_before_every_rule(error_class: ErrorClass) -> None:
    vetoed = VETOED._replace(error_class=error_class)
    for facts in _FACTS:
        assert decided(vetoed, **facts) == Stop("vetoed")


def test_a_rule_of_the_users_comes_before_a_veto() -> None:
    assert isinstance(decided(VETOED._replace(ruled=True)), Retry)


def test_a_hook_of_the_users_comes_before_a_veto() -> None:
    assert isinstance(decided(VETOED, has_hook=True), Retry)


@pytest.mark.parametrize("should_retry", [True, None])
def test_no_veto_changes_nothing(should_retry: bool | None) -> None:
    said = TRANSIENT._replace(should_retry=should_retry)
    for facts in _FACTS:
        assert decided(said, **facts) == decided(TRANSIENT, **facts)


def test_the_calls_attempts_are_counted() -> None:
    assert isinstance(decided(attempt=3), Retry)
    assert decided(attempt=4) == Stop("attempts_exhausted")
    assert decided(retry=RetryPolicy(max_attempts=1)) == Stop("attempts_exhausted")


def test_the_attempts_of_a_class_are_counted_apart() -> None:
    internal = TRANSIENT._replace(error_class=ErrorClass.INTERNAL)
    assert isinstance(decided(internal, attempt=3, of_class=1), Retry)
    assert decided(internal, attempt=2, of_class=2) == Stop("attempts_exhausted")


def test_a_coded_failure_is_repeated_whatever_the_method() -> None:
    assert isinstance(decided(repeatable=False), Retry)
    assert decided(UNCODED, repeatable=False) == Stop("not_idempotent")


@pytest.mark.parametrize(
    "failure",
    [
        UNCODED._replace(never_sent=True),
        UNCODED._replace(status=429),
        UNCODED._replace(error_class=ErrorClass.RATE_LIMITED),
    ],
)
def test_what_was_not_processed_is_repeated_whatever_the_method(failure: Failure) -> None:
    assert isinstance(decided(failure, repeatable=False), Retry)


def test_a_body_that_is_gone_is_not_sent_again() -> None:
    assert decided(replayable=False) == Stop("body_not_replayable")


def test_the_servers_wait_comes_before_the_backoff() -> None:
    hinted = TRANSIENT._replace(wait=Wait(7.0, "retry_after"))
    assert decided(hinted, rand=0.0) == Retry(7.0, "retry_after", 1.0)


def test_a_wait_of_nothing_leaves_it_to_the_backoff() -> None:
    assert decided(TRANSIENT._replace(wait=Wait(0.0, "error_body"))) == decided()


@pytest.mark.parametrize("seconds", [60.001, 1e300, math.inf])
def test_a_wait_longer_than_allowed_stops_with_the_time(seconds: float) -> None:
    hinted = TRANSIENT._replace(wait=Wait(seconds, "retry_after"))
    assert decided(hinted) == Stop("retry_after_too_long", seconds, "retry_after")


def test_a_wait_and_a_minimal_attempt_must_fit_into_the_time_left() -> None:
    assert isinstance(decided(give_up_at=100.0 + 0.375 + 0.1), Retry)
    assert decided(give_up_at=100.474) == Stop("out_of_time", 0.375, "backoff")


def test_the_wait_must_end_before_the_deadline_also_where_the_clock_stands_still() -> None:
    at_limit, past_limit = 100.0 + 0.375 + 0.1, 100.474
    assert isinstance(decided(deadline_at=at_limit, max_wait=600.0, give_up_at=100.2), Retry)
    assert decided(deadline_at=past_limit, max_wait=600.0) == Stop("out_of_time", 0.375, "backoff")


@pytest.mark.parametrize(
    ("seconds", "max_wait", "stops"),
    [(61.0, 600.0, False), (600.0, 600.0, False), (600.1, 600.0, True), (2.0, 1.0, True)],
)
def test_a_wait_for_the_rate_limit_is_bounded_by_what_the_throttle_allows_alone(
    seconds: float, max_wait: float, stops: bool
) -> None:
    hinted = Failure(ErrorClass.RATE_LIMITED, status=429, wait=Wait(seconds, "retry_after"))
    assert decided(hinted, rand=0.0, max_wait=max_wait, give_up_at=100.2) == (
        Stop("retry_after_too_long", seconds, "retry_after")
        if stops
        else Retry(seconds, "retry_after", 0.0)
    )


def test_a_backoff_for_the_rate_limit_must_fit_into_what_the_throttle_allows() -> None:
    limited = Failure(ErrorClass.RATE_LIMITED, status=429)
    assert decided(limited, max_wait=0.75) == Retry(0.75, "backoff", 0.5)
    assert decided(limited, max_wait=0.74) == Stop("throttle_timeout", 0.75, "backoff")


@pytest.mark.parametrize("seconds", [0.5, 60.0])
def test_a_wait_is_the_servers_from_the_first_instant_to_the_longest_allowed(
    seconds: float,
) -> None:
    hinted = TRANSIENT._replace(wait=Wait(seconds, "retry_after"))
    assert decided(hinted, rand=0.0) == Retry(seconds, "retry_after", 1.0)


def test_a_refused_connection_costs_a_quarter() -> None:
    refused = Failure(ErrorClass.CONNECTION, never_sent=True)
    assert decided(refused) == Retry(0.375, "backoff", 0.25)


def test_a_rate_limit_costs_half_and_nothing_if_the_server_named_the_time() -> None:
    limited = Failure(ErrorClass.RATE_LIMITED, status=429)
    assert decided(limited) == Retry(0.75, "backoff", 0.5)
    hinted = limited._replace(wait=Wait(2.0, "rate_limit_reset"))
    assert decided(hinted) == Retry(2.1, "rate_limit_reset", 0.0)


def test_the_order_of_the_checks_is_that_of_the_table() -> None:
    """Each row is the next one with its first obstacle taken away."""
    far = TRANSIENT._replace(coded=False, wait=Wait(61.0, "retry_after"))
    obstacles: dict[str, Any] = {"attempt": 4, "repeatable": False, "replayable": False}
    order = []
    while isinstance(found := decided(far, **obstacles), Stop):
        order.append(found.reason)
        if obstacles:
            del obstacles[next(iter(obstacles))]
        elif far.wait is not None and far.wait.seconds == 61.0:
            far = far._replace(wait=None)
            obstacles = {"give_up_at": 100.0}
    assert order == [
        "attempts_exhausted", "not_idempotent", "body_not_replayable", "retry_after_too_long",
        "out_of_time",
    ]  # fmt: skip


def test_a_backoff_of_the_users_own_holds() -> None:
    slow = RetryPolicy(backoff={ErrorClass.TRANSIENT: Backoff(initial=7.0, jitter="none", cost=2)})
    assert decided(retry=slow) == Retry(7.0, "backoff", 2.0)


@pytest.mark.parametrize(
    ("method", "scaivault", "generic"),
    [
        ("GET", True, True), ("HEAD", True, True), ("OPTIONS", True, True), ("TRACE", True, True),
        ("DELETE", True, True), ("PUT", False, True), ("POST", False, False),
        ("PATCH", False, False), ("BREW", False, False), ("get", False, False),
        ("invalid", False, False),
    ],
)  # fmt: skip
def test_methods_are_repeatable_as_rfc_9110_and_the_dialect_say(
    method: str, scaivault: bool, generic: bool
) -> None:
    assert is_repeatable(call_of(method), SCAIVAULT, RetryPolicy()) is scaivault
    assert is_repeatable(call_of(method), GENERIC, RetryPolicy()) is generic
    keyed, told = call_of(method, keyed=True), RetryPolicy(retry_non_idempotent=True)
    assert is_repeatable(keyed, SCAIVAULT, RetryPolicy())
    assert is_repeatable(call_of(method), SCAIVAULT, told)


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_a_hook_goes_by_the_backoff_of_conflicts_whatever_it_mends(error_class: ErrorClass) -> None:
    failure = UNCODED._replace(error_class=error_class)
    hooked: dict[str, Any] = {"has_hook": True, "repeatable": False, "replayable": False}
    assert decided(failure, **hooked) == Retry(0.05, "backoff", 1.0)
    assert isinstance(decided(failure, attempt=2, of_class=2, **hooked), Retry)
    assert decided(failure, attempt=3, of_class=3, **hooked) == Stop("attempts_exhausted")


def test_a_dialect_may_say_that_a_post_is_repeatable_and_that_says_nothing_of_a_patch() -> None:
    dialect = Dialect(name="x", requests=RequestRules(post_is_repeatable=True))
    for method, expected in (("POST", True), ("PATCH", False), ("PUT", True), ("LOCK", False)):
        assert is_repeatable(call_of(method), dialect, RetryPolicy()) is expected
