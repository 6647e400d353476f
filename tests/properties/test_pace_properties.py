"""Buckets and paces: a lower bound that holds, and a rate that is never stuck."""

import math

from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience import ThrottlePolicy
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.in_flight import InFlight
from httpx_resilience._core.throttle.limits.adaptive_rate import SLOWEST, AdaptiveRateLimiter
from httpx_resilience._core.throttle.limits.quota_set import QuotaSet
from httpx_resilience._core.throttle.limits.token_bucket import Bucket
from httpx_resilience._core.throttle.reporter import ThrottleReporter


@given(
    limit=st.integers(2, 200),
    rate=st.floats(0.1, 100.0),
    latency=st.floats(0.0, 0.2),
    gaps=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.5, 5.0]), min_size=1, max_size=80),
)
def test_the_level_of_an_honest_bucket_is_never_above_what_a_request_finds_in_it(
    limit: int, rate: float, latency: float, gaps: list[float]
) -> None:
    """Its reset is when it is full; each request is answered before the next is sent.

    A request that is sent now finds what is there half a round trip later. Between the send and
    then a full bucket gains nothing, so at the send itself the level may be too high by as much.
    """
    bucket, tokens, at, now = Bucket(), float(limit), 0.0, 0.0
    for gap in gaps:
        now += gap
        sent = now
        bucket.take(limit, 1, sent)
        now += latency / 2
        tokens = min(limit, tokens + (now - at) * rate)
        at = now
        if tokens >= 1.0:
            tokens -= 1.0
        remaining, reset = math.floor(tokens), now + (limit - tokens) / rate
        now += latency / 2
        bucket.observe(limit, remaining, reset - 1e-3, reset + latency + 1e-3, sent, now)
        assert not bucket.is_refuted
        if bucket.is_known:
            assert bucket.tau >= 1.0 / rate - 1e-9
            assert bucket.refresh(limit, remaining, remaining, sent, now)
            found = min(limit, tokens + (now + latency / 2 - at) * rate)
            assert bucket.level(limit, now) <= found + 1e-6
            later = bucket.tokens_at(limit, 1, now)
            assert now <= later
            assert found + (later - now) * rate >= 1.0 - 1e-6


outcomes = st.lists(
    st.tuples(
        st.sampled_from(["accepted", "accepted", "refused", "trouble", "ask"]),
        st.sampled_from([0.0, 0.01, 0.1, 1.0, 5.0]),
    ),
    max_size=150,
)


def limiter() -> AdaptiveRateLimiter:
    in_flight = InFlight()
    reporter = ThrottleReporter("https://v", "all", 0.1, lambda event: None)
    quotas = QuotaSet(ThrottlePolicy(), reporter, ServerClock(), in_flight)
    return AdaptiveRateLimiter(in_flight, quotas)


@given(outcomes)
def test_a_pace_is_finite_and_lets_the_next_request_go_soon(
    told: list[tuple[str, float]],
) -> None:
    rate, now = limiter(), 100.0
    for what, gap in told:
        now += gap
        if what == "accepted":
            rate.accepted(now - 0.01, now)
        elif what != "ask":
            rate.refused(now - 0.01, now, surely=what == "refused")
        opens = rate.open_at(now)
        assert opens <= now + 1.0 / SLOWEST + 1e-9
        if rate.rate is not None:
            assert SLOWEST <= rate.rate < math.inf
            assert rate.ceiling > 0.0
        if opens <= now:
            rate.started(now)
    assert rate.open_at(now + 1000.0) == -math.inf  # what is not met again is forgotten
    assert rate.rate is None


@given(st.lists(st.sampled_from([0.05, 0.2, 1.0]), max_size=100))
def test_without_a_refusal_nothing_is_paced(gaps: list[float]) -> None:
    rate, now = limiter(), 0.0
    for gap in gaps:
        now += gap
        rate.accepted(now, now)
        rate.started(now)
        assert rate.open_at(now) == -math.inf
