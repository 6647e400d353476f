"""What kind of window a policy has, and how fast its units come back: what shows it, what not."""

import pytest

from core.throttle.books import UNIT, asked, held_until, of_kind, told
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import (
    FIXED,
    INDETERMINATE,
    LOG,
    SLIDING_COUNTER,
    UNKNOWN,
)

# What kind of window it is.


def window(ledger: Quota, index: int, *, limit: int = 100) -> str:
    """Spend a fixed window of a minute; return what it is taken for then."""
    start = 60.0 * index
    told(ledger, limit - 1, start + 0.1, reset=start + 60, limit=limit)
    told(ledger, 0, start + 20, reset=start + 60, limit=limit)
    return ledger.kind


def test_after_a_refusal_it_takes_two_windows_again_to_show_that_they_are_fixed() -> None:
    ledger = Quota()
    assert [window(ledger, index) for index in range(3)] == [UNKNOWN, UNKNOWN, FIXED]
    ledger.distrust(at_reset=False)
    assert [window(ledger, index) for index in range(3, 6)] == [INDETERMINATE, INDETERMINATE, FIXED]


def test_after_a_change_of_the_limit_it_takes_two_windows_again() -> None:
    ledger = Quota()
    for index in range(3):
        window(ledger, index)
    found = [window(ledger, index, limit=50) for index in range(3, 6)]
    assert found == [UNKNOWN, FIXED, FIXED]  # the first of them is a new window already


def test_each_window_that_gives_back_everything_halves_the_caution_after_refusals() -> None:
    ledger = told(Quota(), 50, 0.0)
    for _ in range(2):
        ledger.distrust(at_reset=False)
    found = []
    for index in range(9):
        window(ledger, index)
        found.append(ledger.penalty)
    assert found == [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.0, 0.0]


def test_what_is_in_flight_may_be_counted_in_the_new_window() -> None:
    ledger = told(Quota(), 0, 30.0)
    told(ledger, 96, 60.1, reset=120.0, outstanding=3)
    assert ledger.kind == UNKNOWN
    ledger = told(Quota(), 0, 30.0)
    told(ledger, 95, 60.1, reset=120.0, outstanding=3)
    assert ledger.kind == SLIDING_COUNTER


def test_a_sliding_window_of_one_is_not_taken_for_a_fixed_one() -> None:
    ledger = told(Quota(), 0, 0.1, limit=1)
    ledger.distrust(at_reset=True)
    for index in range(6):
        told(ledger, 0, 60.0 * index + 1.0, limit=1, reset=60.0 * index + 60.0)
    assert ledger.kind == SLIDING_COUNTER


def test_windows_of_an_unknown_limit_are_of_an_unknown_kind() -> None:
    ledger = Quota()
    for index in range(4):
        told(ledger, 5, 60.0 * index + 0.1, limit=None, reset=60.0 * index + 60.0)
    assert ledger.kind == UNKNOWN


# What is a new window, and what it shows.


def test_epoch_seconds_that_move_by_one_are_another_reset() -> None:
    ledger, clock = Quota(), ServerClock()
    clock.observe(1_700_000_000.0, 0.0, 0.0)
    for at, remaining, end in ((0.0, 50, 60.0), (50.0, 49, 61.0)):
        reset_at = 1_700_000_000.0 + end
        ledger.observe(RateLimit(100, remaining, end - at, reset_at, 1.0), at, at, clock, 0)
    assert ledger.kind == INDETERMINATE


def test_answers_that_tell_the_old_reset_when_it_may_be_over_are_in_the_new_window() -> None:
    ledger = told(Quota(), 50, 0.0)
    for _ in range(3):
        told(ledger, 50, 60.0)
    told(ledger, 96, 60.1, reset=120.0)
    assert ledger.kind == UNKNOWN
    told(ledger, 99, 120.1, reset=180.0)
    assert ledger.kind == FIXED


def test_a_refusal_at_the_reset_is_not_forgotten_by_the_next_answer() -> None:
    ledger = told(Quota(), 0, 0.0)
    ledger.distrust(at_reset=True)
    assert told(ledger, 5, 61.0, reset=120.0).kind == SLIDING_COUNTER


@pytest.mark.parametrize("at_reset", [True, False])
@pytest.mark.parametrize("limit", [2, 3, 100])
def test_a_fixed_window_is_found_again_after_a_refusal(limit: int, at_reset: bool) -> None:
    ledger = told(Quota(), 0, 0.0, limit=limit)
    ledger.distrust(at_reset=at_reset)
    found = [window(ledger, index, limit=limit) == FIXED for index in range(1, 5)]
    assert found == [False, False, True, True]


@pytest.mark.parametrize("limit", [2, 3, 100])
def test_small_windows_are_found_to_be_fixed(limit: int) -> None:
    ledger = Quota()
    assert [window(ledger, index, limit=limit) for index in range(3)] == [UNKNOWN, UNKNOWN, FIXED]


@pytest.mark.parametrize(
    ("at", "remaining", "reset", "kind"),
    [(80.5, 50, 180.0, INDETERMINATE), (120.1, 0, 121.0, LOG), (120.1, 1, 180.0, SLIDING_COUNTER)],
)
def test_what_no_fixed_window_does_takes_two_windows_again(
    at: float, remaining: int, reset: float, kind: str
) -> None:
    ledger = told(Quota(), 99, 0.1)
    window(ledger, 1)  # one that gave back everything
    assert told(ledger, remaining, at, reset=reset).kind == kind
    assert [window(ledger, index) == FIXED for index in (4, 5)] == [False, True]


def test_a_log_that_is_found_lets_the_units_kept_back_go_one_each_unit_time() -> None:
    ledger = told(told(Quota(), 99, 0.0), 0, 30.0)
    assert told(ledger, 1, 60.1, reset=61.1, outstanding=3).kind == LOG
    ledger.reset_high = ledger.reset_nominal + 1.6  # so uncertain that one is kept back
    assert ledger._unit_time() == pytest.approx(UNIT)
    assert held_until(asked(ledger, 60.2)) == pytest.approx(60.1 + UNIT)
    assert asked(ledger, 60.1 + UNIT + 0.01).is_open


def test_requests_that_went_before_a_refusal_hold_back_nothing_after_it() -> None:
    ledger = told(Quota(), 3, 0.0)
    ledger.took(0.9, 1)
    ledger.distrust(at_reset=False)
    ledger.took(0.95, 1)
    told(ledger, 2, 1.0)
    assert asked(ledger, 1.0).is_open


# How fast units come back, and where that is not to be seen.


def test_the_time_of_a_unit_is_measured_by_what_came_back() -> None:
    ledger = of_kind(INDETERMINATE)
    told(ledger, 50, 0.0)
    for nth in range(1, 10):
        told(ledger, 50 - nth, 0.01 * nth)
    ledger.miss(0.5)
    told(ledger, 43, 1.0)  # eleven were sent since, seven are missing
    ledger.kind = INDETERMINATE
    assert ledger._unit_time() == pytest.approx(1.0 / (0.97 * 4))
    told(ledger, 44, 3.0)
    ledger.kind = INDETERMINATE
    assert ledger._unit_time() == pytest.approx((1.0 / (0.97 * 4) + 2.0 / (0.97 * 2)) / 2)


@pytest.mark.parametrize(
    ("before", "after", "outstanding", "seconds", "returned"),
    [
        (90, 90, 0, 0.4, 0),  # too soon
        (90, 90, 0, 0.7, 1),
        (90, 89, 0, 0.7, 0),
        (99, 99, 0, 0.7, 1),  # full, but there was no time to lose any
        (99, 99, 0, 300.0, 0),  # full, for how long is not known
        (94, 94, 5, 300.0, 0),
        (98, 98, 0, 300.0, 1),
        (50, 60, 0, 300.0, 11),
    ],
)
def test_what_came_back_is_measured_unless_some_of_it_may_be_lost(
    before: int, after: int, outstanding: int, seconds: float, returned: int
) -> None:
    ledger = told(of_kind(SLIDING_COUNTER), before, 1000.0, reset=1060.0)
    told(ledger, after, 1000.0 + seconds, reset=1060.0 + seconds, outstanding=outstanding)
    ledger.kind = INDETERMINATE
    measured = seconds / (0.97 * returned) if returned else UNIT
    assert ledger._unit_time() == pytest.approx(measured)


def test_a_sliding_counter_gives_no_faster_than_its_window_says() -> None:
    assert of_kind(SLIDING_COUNTER, limit=100, _span=60.0, _tau=0.1)._unit_time() == pytest.approx(
        UNIT
    )
    assert of_kind(SLIDING_COUNTER, limit=100, _span=60.0, _tau=9.0)._unit_time() == 9.0
    assert of_kind(INDETERMINATE, limit=100, _span=60.0, _tau=0.1)._unit_time() == 0.1


def test_the_time_of_a_unit_is_that_of_the_window_at_hand() -> None:
    ledger = told(Quota(), 50, 0.0, reset=0.5)
    assert ledger._unit_time() == pytest.approx(0.5 / 100 / 0.97)
    told(ledger, 50, 0.1, limit=200, reset=0.5)
    assert ledger._unit_time() == pytest.approx(0.4 / 200 / 0.97)
