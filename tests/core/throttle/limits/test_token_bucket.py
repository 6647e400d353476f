"""A bucket is recognised by its resets, and its level is never overestimated."""

import math
import random

import pytest

from httpx_resilience._core.throttle.limits.token_bucket import Bucket
from simulation.servers import FixedWindow, TokenBucket


def feed(
    bucket: Bucket, server: TokenBucket | FixedWindow, at: float, error: float = 0.001
) -> None:
    """Send one request that takes no time."""
    bucket.take(server.limit, 1, at)
    _, remaining, reset = server.take(at)
    bucket.observe(server.limit, remaining, reset - error, reset + error, at, at)
    if bucket.is_known:
        bucket.refresh(server.limit, remaining, remaining, at, at)


def burst(server: TokenBucket | FixedWindow, count: int, error: float = 0.001) -> Bucket:
    bucket = Bucket()
    for nth in range(count):
        feed(bucket, server, 0.001 * nth, error)
    return bucket


def observe(bucket: Bucket, missing: int, tau: float, error: float, at: float = 0.0) -> Bucket:
    """Observe so many missing tokens of 100, each of which takes ``tau`` to come back."""
    reset = at + missing * tau
    bucket.observe(100, 100 - missing, reset - error, reset + error, at, at)
    return bucket


def known(level: int | None = None) -> Bucket:
    """Return a known bucket of 100 to which a token comes back a second."""
    bucket = Bucket()
    for missing in (2, 20, 60):
        observe(bucket, missing, 1.0, 0.01)
    assert bucket.is_known
    if level is not None:
        assert bucket.refresh(100, level, level, 0.0, 0.0)
    return bucket


# What makes it known.


def test_a_bucket_is_known_after_a_burst_and_its_token_time_is_bounded_from_above() -> None:
    bucket = burst(TokenBucket(100, 50.0, full=True), 60)
    assert bucket.is_known
    assert bucket.is_likely
    assert 0.5 <= bucket.tau <= 0.55


def test_a_fixed_window_is_not_taken_for_a_bucket() -> None:
    bucket, server = Bucket(), FixedWindow(100, 60.0, aligned=False)
    for nth in range(60):
        feed(bucket, server, 0.1 * nth)
    assert (bucket.is_refuted, bucket.is_known, bucket.is_likely) == (True, False, False)
    assert bucket.tau == math.inf
    observe(bucket, 2, 1.0, 0.01)
    observe(bucket, 60, 1.0, 0.01)
    assert (bucket.is_refuted, bucket.is_known) == (True, False)  # and not afterwards, either


def test_a_known_bucket_whose_resets_contradict_one_another_is_none() -> None:
    bucket = known()
    observe(bucket, 50, 3.0, 0.01)
    assert (bucket.is_refuted, bucket.is_known) == (True, False)


@pytest.mark.parametrize("missing", [(2, 2), (20,), (1, 1, 1), (0, 1)])
def test_resets_that_do_not_move_with_what_is_missing_fit_no_bucket_alone(
    missing: tuple[int, ...],
) -> None:
    bucket = Bucket()
    for each in missing:
        observe(bucket, each, 1.0, 0.01)
    assert not bucket.is_likely
    assert observe(observe(bucket, 3, 1.0, 0.01), 4, 1.0, 0.01).is_likely


@pytest.mark.parametrize("tau", [0.01, 1.0, 60.0])
def test_thrice_as_many_missing_tokens_at_one_response_as_at_another_make_it_known(
    tau: float,
) -> None:
    bucket = observe(observe(Bucket(), 2, tau, 0.01 * tau), 5, tau, 0.01 * tau)
    assert not bucket.is_known
    observe(bucket, 6, tau, 0.01 * tau)
    assert bucket.is_known
    assert tau <= bucket.tau <= 1.25 * tau


@pytest.mark.parametrize("tau", [0.01, 1.0, 60.0])
def test_it_is_not_known_before_the_time_of_a_token_is_known_to_a_quarter(tau: float) -> None:
    bucket = observe(observe(Bucket(), 1, tau, 0.3 * tau), 3, tau, 0.5 * tau)
    for missing in (9, 10):
        assert not observe(bucket, missing, tau, 1.0 * tau).is_known
    assert observe(bucket, 20, tau, 1.0 * tau).is_known


@pytest.mark.parametrize("at", [0.0, 1000.0])
@pytest.mark.parametrize(("error", "is_known"), [(0.39, True), (0.41, False), (1.0, False)])
def test_a_reset_counts_if_it_is_five_times_longer_than_its_error_bar(
    error: float, is_known: bool, at: float
) -> None:
    bucket = observe(observe(Bucket(), 2, 1.0, error, at), 6, 1.0, 0.1, at)
    assert bucket.is_known is is_known
    assert observe(bucket, 18, 1.0, 0.1, at).is_known  # 6 to 18 is enough by itself


def test_resets_in_whole_seconds_of_a_small_bucket_show_nothing() -> None:
    assert not burst(TokenBucket(10, 2.0, full=True), 8, error=1.0).is_known


def test_the_time_of_a_token_is_bounded_by_when_the_request_was_sent_and_answered() -> None:
    bucket = Bucket()
    for missing in (2, 20, 60):
        reset = 5.0 + missing
        bucket.observe(100, 100 - missing, reset, reset, 5.0, 5.0)
    bucket.observe(100, 39, 66.0, 66.0, 3.0, 7.0)  # it took four seconds
    assert bucket.is_known
    assert bucket.tau == pytest.approx(60 / 59 * 1.001)


def test_tokens_that_come_back_in_no_time_make_no_bucket() -> None:
    bucket = Bucket()
    for missing in (2, 20, 60):
        observe(bucket, missing, 0.0, 0.0)
    assert (bucket.is_known, bucket.tau) == (False, math.inf)


def test_what_was_forgotten_is_unknown() -> None:
    bucket = known(level=40)
    bucket.reset()
    assert (bucket.is_known, bucket.is_refuted, bucket.is_likely) == (False, False, False)
    assert (bucket.tau, bucket.level(100, 1e6)) == (math.inf, -math.inf)


# Its level.


def test_the_level_is_never_above_what_the_bucket_holds() -> None:
    for seed in range(50):
        chance = random.Random(seed)
        limit = chance.randint(10, 200)
        bucket, server = Bucket(), TokenBucket(limit, chance.uniform(1, 100), full=True)
        at = 0.0
        for _ in range(300):
            at += chance.expovariate(server.rate) * chance.choice([0.01, 1.0])
            if server.earliest(at) > at:
                continue
            feed(bucket, server, at)
            if bucket.is_known:
                held = min(limit, server.tokens)
                assert bucket.level(limit, at) <= held + 1e-6, f"seed {seed} at {at}"
                due = bucket.tokens_at(limit, 1, at)
                assert due >= server.earliest(at) - 1e-6, f"seed {seed} at {at}"


@pytest.mark.parametrize(("remaining", "holds"), [(40, True), (39, True), (38, False), (0, False)])
def test_one_token_less_than_the_level_is_rounding_and_two_disprove_it(
    remaining: int, holds: bool
) -> None:
    bucket = known(level=40)
    assert bucket.refresh(100, remaining, remaining, 0.0, 0.0) is holds
    assert bucket.level(100, 0.0) == 40.0


def test_a_response_disproves_the_level_as_it_was_when_its_request_was_sent() -> None:
    bucket = known(level=40)
    assert bucket.refresh(100, 41, 41, 2.0, 9.0)
    assert bucket.level(100, 9.0) == pytest.approx(40 + 9 / bucket.tau)


def test_a_response_may_raise_the_level() -> None:
    bucket = known(level=40)
    assert bucket.refresh(100, 50, 55, 0.0, 1.0)
    assert bucket.level(100, 1.0) == 50.0


def test_the_level_grows_by_a_token_each_time_of_one_up_to_the_limit() -> None:
    bucket = known()
    assert bucket.level(100, 1e9) == -math.inf
    bucket.refresh(100, 40, 40, 0.0, 0.0)
    bucket.take(100, 5, 10.0)
    assert bucket.level(100, 10.0) == pytest.approx(35 + 10 / bucket.tau)
    assert bucket.level(100, 9.0) == bucket.level(100, 10.0)  # a clock that goes back
    assert bucket.level(100, 1e6) == 100.0
    level = bucket.level(100, 10.0)
    assert bucket.tokens_at(100, 50, 10.0) == pytest.approx(10.0 + (50 - level) * bucket.tau)
    assert bucket.tokens_at(100, 10, 10.0) == 10.0


def test_what_goes_before_a_bucket_is_known_is_not_taken_from_it() -> None:
    bucket = Bucket()
    bucket.refresh(100, 40, 40, 0.0, 0.0)
    bucket.take(100, 5, 0.0)
    assert bucket.level(100, 0.0) == 40.0
