"""A bucket is told from a window by its resets, and its level is never overestimated."""

import math
import random

from httpx_resilience._core.throttle.limits.token_bucket import Bucket
from simulation.servers import FixedWindow, TokenBucket

EXACT = 0.001


def feed(bucket: Bucket, server: TokenBucket | FixedWindow, at: float, error: float = EXACT) -> int:
    """Send one request that takes no time; return what the server has left."""
    bucket.take(server.limit, 1, at)
    answer = server.take(at)
    bucket.observe(
        server.limit, answer.remaining, answer.reset - error, answer.reset + error, at, at
    )
    if bucket.is_known:
        bucket.refresh(server.limit, answer.remaining, answer.remaining, at, at)
    return answer.remaining


def test_a_bucket_is_known_after_a_burst_and_its_token_time_is_bounded_from_above() -> None:
    bucket, server = Bucket(), TokenBucket(100, 50.0, full=True)
    for number in range(60):
        feed(bucket, server, 0.001 * number)
    assert bucket.is_known
    assert 0.5 <= bucket.tau <= 0.55


def test_a_fixed_window_is_not_taken_for_a_bucket() -> None:
    bucket, server = Bucket(), FixedWindow(100, 60.0, aligned=False)
    for number in range(60):
        feed(bucket, server, 0.1 * number)
    assert bucket.is_refuted
    assert not bucket.is_known
    assert bucket.tau == math.inf


def test_a_reset_that_is_too_coarse_tells_nothing() -> None:
    bucket, server = Bucket(), TokenBucket(10, 2.0, full=True)
    for number in range(8):
        feed(bucket, server, 0.001 * number, error=1.0)
    assert not bucket.is_known


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


def test_a_response_that_says_less_than_the_level_disproves_it() -> None:
    bucket, server = Bucket(), TokenBucket(100, 50.0, full=True)
    for number in range(60):
        feed(bucket, server, 0.001 * number)
    assert bucket.refresh(100, 40, 40, 0.06, 0.06)
    assert not bucket.refresh(100, 10, 10, 0.07, 0.07)  # another client spent thirty


def test_what_was_forgotten_is_unknown() -> None:
    bucket, server = Bucket(), TokenBucket(100, 50.0, full=True)
    for number in range(60):
        feed(bucket, server, 0.001 * number)
    bucket.reset()
    assert (bucket.is_known, bucket.is_refuted, bucket.tau) == (False, False, math.inf)
    assert bucket.level(100, 1e6) == -math.inf
