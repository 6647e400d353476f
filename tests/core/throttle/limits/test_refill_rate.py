"""A bucket is recognised: it is full after what is missing times the time of one unit."""

import pytest

from httpx_resilience._core.throttle.limits.refill_rate import RefillRate

LIMIT = 30_000


def learned(*said: tuple[int, float], error: float = 0.001) -> RefillRate:
    rate = RefillRate()
    for remaining, reset_in in said:
        rate.observe(LIMIT, remaining, reset_in, error)
    return rate


def of_bucket(*missing: int, rate: float = 6_000.0) -> list[tuple[int, float]]:
    return [(LIMIT - units, units / rate) for units in missing]


def test_a_bucket_is_recognised_once_three_times_more_was_missing() -> None:
    assert learned(*of_bucket(1001, 2000)).per_second == 0.0
    assert learned(*of_bucket(1001, 3003)).per_second == pytest.approx(6_000, rel=0.02)


def test_the_rate_is_none_that_is_higher_than_the_buckets() -> None:
    rate = learned(*of_bucket(1001, 5003, 20_007))
    assert 5_900 < rate.per_second <= 6_000


def test_a_window_is_no_bucket() -> None:
    assert learned((28_999, 59.9), (20_001, 59.0), (10_003, 58.0)).per_second == 0.0


def test_a_bucket_that_contradicts_what_was_learned_is_learned_once_more() -> None:
    rate = learned(*of_bucket(1001, 9003), *of_bucket(9003, rate=100.0))
    assert rate.per_second == 0.0
    for remaining, reset_in in of_bucket(1001, 9003, rate=100.0):
        rate.observe(LIMIT, remaining, reset_in, 0.001)
    assert rate.per_second == pytest.approx(100, rel=0.02)


def test_remainders_that_are_rounded_to_thousands_prove_less() -> None:
    rounded = [(29_000, 0.167), (27_000, 0.5)]
    assert learned(*rounded).per_second == 0.0
    assert learned(*rounded, (28_999, 0.167)).per_second == 0.0  # they were rounded all the same
    exact = RefillRate()
    exact.observe(LIMIT, 28_999, 1001 / 6000, 0.001)
    exact.observe(LIMIT, 26_000, 4000 / 6000, 0.001)
    assert exact.per_second == pytest.approx(6_000, rel=0.02)


def test_a_coarse_reset_proves_nothing() -> None:
    assert learned(*of_bucket(1001, 9003), error=1.0).per_second == 0.0


def test_a_full_bucket_says_nothing() -> None:
    assert learned((LIMIT, 0.0), (LIMIT - 1, 0.0)).per_second == 0.0


def test_small_buckets_are_not_taken_for_rounded() -> None:
    rate = RefillRate()
    for remaining in (900, 700, 400):
        rate.observe(1000, remaining, (1000 - remaining) / 50, 0.001)
    assert rate.per_second == pytest.approx(50, rel=0.05)
