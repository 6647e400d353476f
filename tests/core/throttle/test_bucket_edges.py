"""A bucket at its bounds: what makes it known, and what disproves its level."""

import math

import pytest

from httpx_resilience._core.throttle.limits.token_bucket import Bucket


def told(bucket: Bucket, missing: int, tau: float, error: float, at: float = 0.0) -> Bucket:
    """Tell of so many tokens of 100 that are missing; each takes ``tau`` to come back."""
    reset = at + missing * tau
    bucket.observe(100, 100 - missing, reset - error, reset + error, at, at)
    return bucket


@pytest.mark.parametrize("tau", [0.01, 1.0, 60.0])
def test_thrice_as_many_missing_tokens_at_one_response_as_at_another_make_it_known(
    tau: float,
) -> None:
    bucket = told(told(Bucket(), 2, tau, 0.01 * tau), 5, tau, 0.01 * tau)
    assert not bucket.is_known
    told(bucket, 6, tau, 0.01 * tau)
    assert bucket.is_known
    assert tau <= bucket.tau <= 1.25 * tau


@pytest.mark.parametrize("tau", [0.01, 1.0, 60.0])
def test_it_is_not_known_before_the_time_of_a_token_is_known_to_a_quarter(tau: float) -> None:
    bucket = told(told(Bucket(), 1, tau, 0.3 * tau), 3, tau, 0.5 * tau)
    for missing in (9, 10):
        told(bucket, missing, tau, 1.0 * tau)
        assert not bucket.is_known
    told(bucket, 20, tau, 1.0 * tau)
    assert bucket.is_known


@pytest.mark.parametrize(("error", "is_known"), [(0.39, True), (0.41, False), (1.0, False)])
def test_a_reset_counts_if_it_is_five_times_longer_than_its_error_bar(
    error: float, is_known: bool
) -> None:
    bucket = told(Bucket(), 2, 1.0, error)
    for missing in (6, 20):
        told(bucket, missing, 1.0, 0.1)
    wide = told(told(Bucket(), 6, 1.0, 0.1), 20, 1.0, 0.1)
    assert wide.is_known  # 6 to 20 is enough by itself
    narrow = told(told(Bucket(), 2, 1.0, error), 6, 1.0, 0.1, at=5.0)
    assert narrow.is_known is is_known


@pytest.mark.parametrize(("remaining", "holds"), [(40, True), (39, True), (38, False), (0, False)])
def test_one_token_less_than_the_level_is_rounding_and_two_disprove_it(
    remaining: int, holds: bool
) -> None:
    bucket = Bucket()
    for missing in (2, 20, 60):
        told(bucket, missing, 1.0, 0.01)
    assert bucket.refresh(100, 40, 40, 0.0, 0.0)
    assert bucket.refresh(100, remaining, remaining, 0.0, 0.0) is holds
    assert bucket.level(100, 0.0) == 40.0


def test_the_level_grows_by_a_token_each_time_of_one_up_to_the_limit() -> None:
    bucket = Bucket()
    for missing in (2, 20, 60):
        told(bucket, missing, 1.0, 0.01)
    assert bucket.level(100, 1e9) == -math.inf
    bucket.refresh(100, 40, 40, 0.0, 0.0)
    bucket.take(100, 5, 10.0)
    assert 44.0 <= bucket.level(100, 10.0) <= 45.0
    assert bucket.level(100, 9.0) == bucket.level(100, 10.0)  # a clock that goes back
    assert bucket.level(100, 1e6) == 100.0
    assert bucket.tokens_at(100, 50, 10.0) == pytest.approx(15.5, abs=0.6)
    assert bucket.tokens_at(100, 10, 10.0) == 10.0


def test_tokens_that_come_back_in_no_time_make_no_bucket() -> None:
    bucket = Bucket()
    for missing in (2, 20, 60):
        told(bucket, missing, 0.0, 0.0)
    assert not bucket.is_known
    assert bucket.tau == math.inf


@pytest.mark.parametrize("at", [0.0, 1000.0])
def test_a_reset_that_is_too_coarse_to_count_is_so_at_any_time(at: float) -> None:
    bucket = told(told(Bucket(), 2, 1.0, 0.5, at), 6, 1.0, 0.1, at)
    assert not bucket.is_known
    assert told(bucket, 18, 1.0, 0.1, at).is_known
