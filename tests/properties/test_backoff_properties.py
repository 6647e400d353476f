"""What always holds of waits: finite, within their bounds, never below what the server asks."""

import math

from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience import Backoff
from httpx_resilience._core.retry.backoff import hinted_delay

chances = st.floats(0, 1, exclude_max=True)
backoffs = st.builds(
    lambda initial, factor, multiplier, jitter: Backoff(
        initial=initial, maximum=initial * factor, multiplier=multiplier, jitter=jitter
    ),
    st.floats(1e-6, 1e6),
    st.floats(1, 1e6),
    st.floats(1, 1e6),
    st.sampled_from(["equal", "full", "none"]),
)


@given(backoffs, st.integers(1, 10**6), chances)
def test_a_wait_is_finite_positive_and_at_most_the_maximum(
    backoff: Backoff, attempt: int, rand: float
) -> None:
    delay = backoff.delay(attempt, rand)
    assert math.isfinite(delay)
    assert 0 < delay <= max(0.01, backoff.maximum)


@given(backoffs, st.integers(1, 10**6), chances)
def test_equal_jitter_waits_at_least_half_of_no_jitter(
    backoff: Backoff, attempt: int, rand: float
) -> None:
    if backoff.jitter == "equal":
        assert backoff.delay(attempt, 0.0) <= backoff.delay(attempt, rand)
        assert backoff.delay(attempt, rand) <= 2 * backoff.delay(attempt, 0.0)


@given(backoffs, st.integers(1, 1000), chances)
def test_waits_never_shrink_from_one_attempt_to_the_next(
    backoff: Backoff, attempt: int, rand: float
) -> None:
    assert backoff.delay(attempt, rand) <= backoff.delay(attempt + 1, rand) * (1 + 1e-12)


@given(st.floats(0, 1e6), chances)
def test_a_hint_is_a_lower_bound_and_lengthened_by_a_tenth_at_most(
    hint: float, rand: float
) -> None:
    delay = hinted_delay(hint, rand)
    assert hint <= delay <= hint + min(1.0, 0.1 * hint)
