"""A rate for servers that limit in silence: it is found, kept, and forgotten."""

import math

import pytest

from httpx_resilience._core.throttle.limits.adaptive_rate import SLOWEST, AdaptiveRateLimiter
from simulation.servers import TokenBucket


def drive(
    pacer: AdaptiveRateLimiter, rate: float, seconds: float, *, at: float = 0.0, surely: bool = True
) -> tuple[int, int]:
    """Send as fast as the pacer lets to a bucket of 5 that refills at ``rate``."""
    server, accepted, refused = TokenBucket(5, 5 / rate, full=True), 0, 0
    now, end = at, at + seconds
    while True:
        now = max(now + 0.002, pacer.open_at(now))
        if now > end:
            return accepted, refused
        pacer.took(now)
        if server.take(now).accepted:
            accepted += 1
            pacer.accepted(now, now + 0.001)
        else:
            refused += 1
            pacer.refused(now, now + 0.001, surely=surely)


def test_nothing_is_paced_before_a_refusal() -> None:
    pacer = AdaptiveRateLimiter()
    for number in range(100):
        pacer.accepted(0.01 * number, 0.01 * number)
    assert pacer.rate is None
    assert pacer.open_at(1.0) == -math.inf


@pytest.mark.parametrize("rate", [2.0, 10.0, 50.0])
def test_a_silent_limit_is_used_well_with_few_refusals(rate: float) -> None:
    accepted, refused = drive(AdaptiveRateLimiter(), rate, 120.0)
    assert accepted >= 0.8 * rate * 120.0
    assert refused <= 0.15 * (accepted + refused)


def test_a_pace_spreads_requests_evenly() -> None:
    pacer = AdaptiveRateLimiter()
    drive(pacer, 10.0, 30.0)
    assert pacer.rate is not None
    before = pacer.open_at(31.0)
    pacer.took(max(31.0, before))
    gap = pacer.open_at(31.0) - max(31.0, before)
    assert 0.5 / 10 <= gap <= 2.0 / 10


def test_refusals_alone_never_pace_below_the_slowest() -> None:
    pacer = AdaptiveRateLimiter()
    for number in range(100):
        pacer.refused(2.0 * number, 2.0 * number + 0.01, surely=True)
        assert pacer.rate is None or pacer.rate >= SLOWEST


def test_a_pace_without_refusals_is_forgotten_in_the_end() -> None:
    pacer = AdaptiveRateLimiter()
    drive(pacer, 10.0, 20.0)
    assert pacer.rate is not None
    assert pacer.open_at(20.0 + 300.0) <= 320.0
    pacer.took(320.0)
    assert pacer.rate is None


def test_a_503_now_and_then_is_no_limiter() -> None:
    pacer = AdaptiveRateLimiter()
    for number in range(1000):
        at = 0.05 * number
        if number % 50 == 49:
            pacer.refused(at, at, surely=False)
        else:
            pacer.accepted(at, at)
    assert pacer.rate is None


def test_an_outage_is_no_limiter() -> None:
    pacer = AdaptiveRateLimiter()
    for number in range(500):
        pacer.refused(0.05 * number, 0.05 * number, surely=False)
    assert pacer.rate is None
