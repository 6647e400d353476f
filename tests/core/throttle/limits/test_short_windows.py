"""Windows of five seconds: when their length is assumed, confirmed and refuted."""

import pytest

from core.throttle.books import ask, held_until
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.short_windows import LENGTH, ShortWindow
from httpx_resilience._core.throttle.limits.windows import (
    GUARD,
    INDETERMINATE,
    SLIDING_COUNTER,
    ResetInterval,
)

EPOCH = 1_700_000_003.0
"""On the server's clock when ours begins; five seconds later is not on its grid."""


def opened(
    end: float = 6.0,
    *,
    limit: int = 50,
    remaining: int | None = None,
    stated: float | None = None,
    granularity: float = 1.0,
    at: float = 0.0,
    epoch: float = EPOCH,
    is_delta: bool = False,
    has_date: bool = True,
    known: ShortWindow | None = None,
) -> ShortWindow:
    """Return what is thought of a window that opened at ``at``, and is to end at ``end``."""
    clock = ServerClock()
    if has_date:
        clock.observe(epoch + at, at, at)
    left = limit - 1 if remaining is None else remaining
    reset_at = None if is_delta else epoch + end
    announced = RateLimit(limit, left, end - at, reset_at, granularity)
    doubt = granularity + (0.0 if is_delta else 0.5)
    reset = ResetInterval(end, end - doubt, end, end + doubt, 0.0)
    short = known or ShortWindow()
    short.opened(limit, stated, announced, reset, at, at, clock)
    return short


@pytest.mark.parametrize("end", [4.0, 5.0, 6.0])
def test_a_window_that_our_request_began_is_assumed_to_last_five_seconds_if_its_reset_fits(
    end: float,
) -> None:
    assert opened(end).seconds == LENGTH


@pytest.mark.parametrize(
    "short",
    [
        opened(3.4),  # it ends too early
        opened(6.6),  # and too late
        opened(remaining=48),  # somebody began it before
        opened(limit=5),  # a refusal would cost as much as it wins
        opened(limit=52),  # no number that people write
        opened(5.0, granularity=0.001),  # precise anyway
        opened(6.0, is_delta=True),  # six seconds, rounded up
        opened(has_date=False),  # nothing is known of the clock's grid
    ],
)
def test_nothing_is_assumed_of_other_windows(short: ShortWindow) -> None:
    assert short.seconds is None


def test_nothing_is_assumed_where_a_longer_window_that_is_aligned_may_end_a_little_later() -> None:
    on_grid = 1_700_000_004.0  # six seconds later is
    assert opened(6.0, epoch=on_grid).seconds is None
    assert opened(6.0, epoch=on_grid + 1.0).seconds == LENGTH  # that would have ended before
    assert opened(5.0, epoch=on_grid, is_delta=True).seconds == LENGTH


def test_a_second_that_is_added_to_a_floating_point_number_is_taken_off_again() -> None:
    assert opened(6.0, granularity=1e-7).seconds == LENGTH
    assert opened(7.4, granularity=1e-7).seconds == LENGTH  # uvicorn's Date may be that old
    assert opened(7.6, granularity=1e-7).seconds is None
    assert opened(5.4, granularity=1e-7).seconds is None


def drained() -> ShortWindow:
    """Return a window of which nothing is left."""
    short = opened()
    short.answered(0.1, 0)
    return short


def test_a_window_that_opens_on_time_confirms_the_length_and_it_holds_whatever_comes() -> None:
    confirmed = opened(at=5.01, end=11.0, remaining=12, known=drained())
    again = opened(at=10.02, end=16.0, remaining=30, known=confirmed)  # as logs do
    assert again.seconds == LENGTH


def test_a_window_that_opens_later_confirms_nothing() -> None:
    later = opened(at=5.6, end=11.0, remaining=30, known=drained())
    assert later.seconds is None


def test_a_window_of_which_something_was_left_confirms_nothing() -> None:
    bucket = opened()
    bucket.answered(0.1, 30)
    assert opened(at=5.01, end=11.0, remaining=30, known=bucket).seconds is None


def test_where_a_single_unit_is_back_it_is_a_log_if_the_next_surely_comes_soon() -> None:
    short = opened(granularity=1e-7)
    short.answered(0.1, 0)
    assert opened(at=5.01, end=6.1, remaining=0, granularity=1e-7, known=short).seconds == LENGTH
    # The last of a burst that came back one by one is followed by the end of the next burst.
    assert opened(at=5.20, end=11.0, remaining=0, granularity=1e-7, known=short).seconds == LENGTH


def test_where_a_single_unit_is_back_and_the_next_comes_late_it_is_no_log() -> None:
    short = opened(granularity=1e-7)
    short.answered(0.1, 0)
    assert opened(at=5.01, end=11.0, remaining=0, granularity=1e-7, known=short).seconds is None


def test_a_floating_point_reset_that_ends_in_zeros_is_still_one() -> None:
    short = opened(granularity=1e-7)
    short.answered(0.1, 0)
    assert opened(at=5.01, end=6.1, remaining=0, granularity=0.001, known=short).seconds == LENGTH


def test_a_confirmed_length_is_not_refuted_by_responses_that_come_out_of_order() -> None:
    confirmed = opened(at=5.01, end=11.0, remaining=12, known=drained())
    confirmed.answered(5.02, 0)
    assert opened(at=5.03, end=11.0, remaining=0, known=confirmed).seconds == LENGTH
    assert opened(at=10.03, end=16.0, remaining=0, known=confirmed).seconds == LENGTH


def test_where_a_single_unit_is_back_it_is_a_bucket() -> None:
    bucket = opened(at=5.01, end=5.5, remaining=0, known=drained())
    assert bucket.seconds is None
    assert opened(at=20.0, end=26.0, known=bucket).seconds is None  # for good


@pytest.mark.parametrize("stated", [6.0, 7.0])
def test_a_stated_window_counts_if_it_is_short_and_began_with_our_request(stated: float) -> None:
    assert opened(stated=stated).seconds == stated
    assert opened(stated=stated, limit=7, has_date=False).seconds == stated
    assert opened(stated=stated, remaining=40).seconds is None


def test_a_stated_window_that_is_long_or_does_not_fit_the_reset_keeps_its_probes() -> None:
    assert opened(60.0, stated=60.0).seconds is None
    assert opened(6.0, stated=9.0).seconds is None


def test_a_unit_is_back_when_the_last_requests_but_one_less_than_the_limit_are_so_old() -> None:
    short = opened(limit=10)
    for second in range(10):
        assert short.end() == LENGTH + GUARD
        short.answered(0.1 * second, 9 - second)
    assert short.end() == LENGTH + GUARD
    short.answered(5.1, 0)
    assert short.end() == 0.1 + LENGTH + GUARD
    opened(at=5.01, end=11.0, limit=10, known=short)
    assert short.end() == 0.1 + LENGTH + GUARD


def test_nothing_is_assumed_of_a_limit_that_is_too_large_to_remember() -> None:
    assert opened(limit=1000).seconds == LENGTH
    assert opened(limit=1005).seconds is None


def test_a_refusal_refutes_what_was_assumed_for_good() -> None:
    short = opened()
    assert short.refuse()
    assert not short.refuse()
    assert opened(known=short).seconds is None


def test_a_refusal_where_nothing_was_assumed_refutes_nothing() -> None:
    short = ShortWindow()
    assert not short.refuse()
    assert opened(known=short).seconds == LENGTH


# In a quota.


def quota(remaining: int = 49) -> Quota:
    clock, quota = ServerClock(), Quota()
    clock.observe(EPOCH, 0.0, 0.0)
    for left in (49, remaining):
        quota.observe(RateLimit(50, left, 6.0, EPOCH + 6.0), 0.0, 0.0, clock, 0)
    return quota


def test_a_probe_goes_when_the_window_should_be_over_and_no_unit_is_kept_back_for_it() -> None:
    assert ask(quota(1), 4.0).is_open
    assert ask(quota(0), 1.0).retry_at == LENGTH + GUARD
    assert ask(quota(0), LENGTH + GUARD).is_probe


def test_a_probe_that_was_refused_for_a_guess_does_not_make_it_a_sliding_counter() -> None:
    guessed, careful = quota(0), Quota()
    guessed.distrust(at_reset=True)
    careful.distrust(at_reset=True)
    assert (guessed.kind, careful.kind) == (INDETERMINATE, SLIDING_COUNTER)


def test_a_second_beginning_within_a_window_shows_several_counters() -> None:
    clock, quota = ServerClock(), Quota()
    clock.observe(EPOCH, 0.0, 0.0)
    for at, left in ((0.0, 49), (0.1, 49), (0.2, 0)):
        quota.observe(RateLimit(50, left, 6.0, EPOCH + 6.0), at, at, clock, 0)
    assert held_until(ask(quota, 1.0)) > 6.0
