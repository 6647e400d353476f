"""Servers that say too much is left: how they are known, and what is kept back for it."""

import pytest

from core.throttle.books import Parts, announce, ask, ending, observe
from httpx_resilience._core.throttle.limits.lag import LONGEST, Lag
from httpx_resilience._core.throttle.limits.quota import Quota
from support.gates import REFUSED, after

LIMIT = 50


def lag(*remaining: int, every: float = 0.1) -> Lag:
    """Return what is known after responses to one request after the other, without latency."""
    known = Lag()
    for index, left in enumerate(remaining):
        known.observe(LIMIT, left, every * index, every * index + 0.01)
    return known


def test_a_single_request_that_took_no_unit_may_have_been_free() -> None:
    free = lag(50, 48, 47)
    assert free.is_suspected
    assert not free.is_known


def test_requests_that_were_sent_at_once_may_both_have_been_free() -> None:
    assert not lag(50, 50, every=0.0).is_known


def test_an_honest_count_is_believed() -> None:
    honest = lag(49, 48, 47, 10)
    assert not honest.is_known
    assert honest.uncounted(0.3) == 0


def test_all_of_the_limit_cannot_be_left_and_then_one_unit_is_kept_back() -> None:
    late = lag(50, 49, 48)
    assert late.is_known
    assert late.seconds == 0.0
    assert late.uncounted(0.2) == 1


def test_more_than_one_too_many_is_a_stale_count_and_what_was_answered_lately_counts() -> None:
    stale = lag(50, 50, 50, 50)
    assert stale.seconds == LONGEST
    assert stale.uncounted(0.3) == 4
    assert stale.uncounted(0.3 + LONGEST) == 1  # but for the last one


def test_the_lag_is_the_age_of_what_a_response_includes() -> None:
    stale = lag(50, 50, 50, 49, 48, 47)  # the fourth includes the first alone
    assert stale.seconds == pytest.approx(1.5 * 0.31)
    assert stale.uncounted(0.5) == 5


def test_a_refusal_that_says_that_something_is_left_shows_a_stale_count() -> None:
    honest = lag(49, 48)
    honest.suspect()
    assert honest.seconds == LONGEST


def test_two_windows_that_begin_as_they_ought_to_end_the_suspicion() -> None:
    late = lag(50, 49)
    late.begin()
    late.observe(LIMIT, 49, 60.0, 60.0)
    assert late.is_known
    late.begin()
    late.observe(LIMIT, 49, 120.0, 120.0)
    assert not late.is_known


def test_what_was_answered_long_ago_is_not_remembered() -> None:
    assert len(lag(*[50] * 100)._answered) == 1 + 2 * LONGEST / 0.1


def test_requests_of_the_window_before_are_not_compared() -> None:
    late = lag(50, 49, 48)
    late.begin()
    late.observe(LIMIT, 50, 60.0, 60.0)
    assert late.seconds == 0.0


# In a quota.


def test_what_is_left_by_a_stale_count_is_lessened_by_what_was_answered() -> None:
    quota = observe(Quota(), 100, 0.0)
    assert quota.left(0) == 100  # it may have been free
    for at in (0.1, 0.2, 0.3):
        observe(quota, 100, at)
    assert quota.left(0) == 96


def test_a_new_window_is_compared_anew() -> None:
    quota = observe(Quota(), 100, 0.0)
    for at in range(1, 100):
        observe(quota, 100 - at, 0.1 * at)
    assert not ask(quota, 10.0).is_open
    assert observe(quota, 100, 60.5, end=120.0).left(0) == 99
    assert observe(quota, 99, 60.6, end=120.0).left(0) == 98


def test_after_a_refusal_the_window_is_compared_anew() -> None:
    quota = observe(Quota(), 100, 0.0)
    for at in range(1, 10):
        observe(quota, 100 - at, 0.1 * at)
    quota.distrust(at_reset=False)
    observe(quota, 100, 60.5, end=120.0)
    assert observe(quota, 99, 60.6, end=120.0).left(0) == 98


@pytest.mark.parametrize(
    ("announced", "cost", "left"),
    [
        ((announce(3, 1.1),), 1, 88),
        ((announce(0, 1.1),), 1, 89),
        ((announce(3, 1.1),), 5, 89),  # three are not enough
        ((announce(3, 1.1, unit="tokens"),), 1, 89),
        ((announce(3, 1.1), announce(0, 1.1)), 1, 89),
    ],
)
def test_a_refusal_with_something_left_is_a_stale_count_if_it_cannot_be_meant_otherwise(
    announced: tuple[object, ...], cost: int, left: int
) -> None:
    parts = Parts()
    (quota,) = parts.learn(0.0, announce(90, 0.0)).values()
    refusal = ending(1.1, failure=after(REFUSED, 9.0), closes=True, announced=announced)
    refusal.ticket.cost = cost
    parts.quotas.ended(refusal)
    parts.learn(10.0, announce(89, 10.0))
    assert quota.left(0) == left
