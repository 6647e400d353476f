"""One policy's evidence at its bounds: units kept back, trickles, scouts that hang, resets."""

import pytest

from core.throttle.books import FINE, UNIT, asked, held_until, of_kind, told
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import GUARD, SETTLED, Quota
from httpx_resilience._core.throttle.limits.windows import (
    BUCKET,
    FIXED,
    INDETERMINATE,
    LOG,
    SLIDING_COUNTER,
    UNKNOWN,
)

# Units kept back.


@pytest.mark.parametrize(
    ("kind", "limit", "span", "uncertain", "kept"),
    [
        (FIXED, 1000, 60.0, 1.0, 4),  # the root of 16.7 requests in the uncertain second
        (LOG, 1000, 60.0, 1.0, 4),
        (FIXED, 100, 60.0, 0.9, 0),  # 1.5 of them: not worth a probe
        (FIXED, 100, 0.5, 0.1, 4),
        (FIXED, 20, 4.0, 2.0, 2),  # a tenth at the most
        (FIXED, 10_000, 10.0, 2.0, 10),  # and ten
        (FIXED, 10_000, 10.0, 50.0, 10),
        (INDETERMINATE, 5, 60.0, 0.1, 1),
        (INDETERMINATE, 20, 60.0, 0.1, 2),
        (SLIDING_COUNTER, 100, 60.0, 0.1, 3),
        (SLIDING_COUNTER, 1000, 60.0, 1.0, 4),
        (FIXED, 1000, 60.0, 9.0, 5),  # as if two seconds were uncertain
        (FIXED, 120, 60.0, 1.0, 1),  # two of them
        (FIXED, 119, 60.0, 1.0, 0),
        (INDETERMINATE, 1, 60.0, 0.1, 0),
        (INDETERMINATE, 2, 60.0, 0.1, 1),
        (BUCKET, 1000, 60.0, 1.0, 0),
        (FIXED, 1000, 0.0, 1.0, 0),
    ],
)
def test_so_many_units_are_kept_back(
    kind: str, limit: int, span: float, uncertain: float, kept: int
) -> None:
    ledger = of_kind(kind, limit=limit, _span=span, reset_nominal=60.0, reset_high=60.0 + uncertain)
    assert ledger._held(0.0) == kept


def test_a_fixed_windows_units_are_released_from_its_nominal_end_to_its_latest() -> None:
    ledger = of_kind(FIXED, limit=1000, _span=60.0, reset_nominal=60.0, reset_high=61.0)
    found = [ledger._held(at) for at in (59.9, 60.1, 60.3, 60.6, 60.8)]
    assert found == [4, 3, 2, 1, 0]
    assert [ledger._next_step(at) for at in (0.0, 60.1, 60.7)] == [60.0, 60.25, 60.75]
    assert [ledger._held(at) for at in (60.25, 60.75)] == [2, 0]
    assert ledger._next_step(60.25) == 60.5


def test_a_sliding_windows_units_are_released_after_its_end_one_unit_time_apart() -> None:
    ledger = of_kind(INDETERMINATE, limit=100, _span=60.0, reset_nominal=60.0, reset_high=60.3)
    steps = [60.1, 60.1 + UNIT, 60.1 + 2 * UNIT]
    for nth, step in enumerate(steps):
        assert ledger._held(step - 0.01) == 3 - nth
        assert ledger._next_step(step - 0.01) == pytest.approx(step)
    assert ledger._held(steps[-1] + 0.01) == 0


# Trickles.


def moving(remaining: int) -> Quota:
    """Return a ledger that is careful after a refusal, three of whose units are kept back."""
    ledger = told(Quota(), 50, 0.0)
    ledger.distrust(at_reset=False)
    assert (ledger.remaining, ledger.kind) == (0, INDETERMINATE)
    return told(ledger, remaining, 1.0)


def test_of_the_units_kept_back_one_goes_each_unit_time() -> None:
    ledger = moving(2)
    assert asked(ledger, 1.0).is_open
    ledger.took(1.0, 1)
    assert held_until(asked(ledger, 1.01, 1)) == pytest.approx(1.0 + UNIT)
    assert not asked(ledger, 1.0 + UNIT - 0.01, 1).is_open
    assert asked(ledger, 1.0 + UNIT + 0.01, 1).is_open


def test_after_the_last_unit_it_takes_two_and_a_half_unit_times() -> None:
    ledger = moving(1)
    ledger.took(1.0, 1)
    told(ledger, 1, 1.1)
    assert asked(ledger, 1.2).retry_at == pytest.approx(1.0 + 2.5 * UNIT)


def test_units_beyond_those_kept_back_set_no_pace() -> None:
    ledger = moving(4)
    ledger.took(1.0, 1)
    assert asked(ledger, 1.0, 1).is_open
    ledger.took(1.0, 2)
    assert not asked(ledger, 1.0, 2).is_open


def test_a_unit_kept_back_is_released_at_the_reset_if_that_is_before_its_trickle() -> None:
    ledger = moving(2)
    ledger.took(59.9, 1)
    step = asked(ledger, 59.95, 1).retry_at
    assert ledger.reset_nominal < step < 59.9 + UNIT


# Scouts that hang.


@pytest.mark.parametrize(("limit", "more"), [(6, 1.5 * 60 / 6 / 0.97 - SETTLED), (100, 0.0)])
def test_after_a_scout_that_hangs_the_next_waits_for_what_a_unit_takes(
    limit: int, more: float
) -> None:
    ledger = told(Quota(), 0, 0.0, limit=limit)
    high = ledger.reset_high
    settles_at = high + SETTLED
    waits = asked(ledger, high, 1, settles_at=settles_at)
    assert held_until(waits) == pytest.approx(settles_at + more)
    due = asked(ledger, settles_at + more + 0.001, 1, settles_at=settles_at)
    assert (due.is_open, due.is_probe) == (True, True)


@pytest.mark.parametrize(("outstanding", "more"), [(1, 0.0), (2, 60.0), (3, 60.0)])
def test_scouts_that_may_have_taken_a_fixed_window_wait_for_the_next(
    outstanding: int, more: float
) -> None:
    ledger = told(Quota(), 0, 0.0, limit=2)
    ledger.kind = FIXED
    settles_at = ledger.reset_high + SETTLED
    waits = asked(ledger, ledger.reset_high, outstanding, settles_at=settles_at)
    assert held_until(waits) == pytest.approx(settles_at + more)


# What a request costs.


@pytest.mark.parametrize(
    ("limit", "remaining", "cost", "is_open"),
    [(1, 1, 2, True), (3, 3, 50, True), (3, 2, 50, False), (3, 2, 2, True), (3, 1, 2, False)],
)
def test_a_cost_above_the_limit_is_the_limit(
    limit: int, remaining: int, cost: int, is_open: bool
) -> None:
    ledger = told(Quota(), remaining, 0.0, limit=limit)
    ledger.kind = FIXED
    assert asked(ledger, 1.0, cost=cost).is_open is is_open


def budding() -> Quota:
    """Return a bucket of 20 that the next answer makes known; one comes back a second."""
    ledger = Quota()
    for taken in range(1, 6):
        told(ledger, 20 - taken, 0.0, limit=20, reset=float(taken))
    assert ledger.kind != BUCKET
    return ledger


def test_what_is_in_flight_is_not_in_the_bucket() -> None:
    ledger = told(budding(), 6, 0.0, limit=20, reset=14.0, outstanding=3)
    assert ledger.kind == BUCKET
    assert asked(ledger, 0.0, 3, cost=3).is_open
    assert held_until(asked(ledger, 0.0, 3, cost=4)) == pytest.approx(1.0, abs=0.3)


def test_what_was_not_mentioned_meanwhile_is_not_in_the_bucket() -> None:
    ledger = budding()
    ledger.miss(0.002)
    told(ledger, 6, 0.001, 0.003, limit=20, reset=14.0)
    assert ledger.kind == BUCKET
    assert asked(ledger, 0.003, cost=5).is_open
    assert not asked(ledger, 0.003, cost=6).is_open


# Resets.


def test_a_reset_in_epoch_seconds_is_most_likely_in_the_middle_of_what_is_possible() -> None:
    ledger, clock = Quota(), ServerClock()
    clock.observe(1_700_000_000.0, 100.0, 100.2)
    ledger.observe(RateLimit(10, 0, 30.0, 1_700_000_030.0, 1.0), 100.0, 100.2, clock, 0)
    assert ledger.reset_nominal == pytest.approx((129.0 + 130.2) / 2, abs=0.01)


def test_a_window_that_ends_at_an_instant_begins_with_its_first_answer() -> None:
    ledger, clock = Quota(), ServerClock()
    clock.observe(1_700_000_000.0, 100.0, 100.0)
    ledger.window = 10.0
    for at, remaining in ((100.0, 2), (103.0, 1), (106.0, 0)):
        limit = RateLimit(10, remaining, 20.0, 1_700_000_020.0, 1.0)
        ledger.observe(limit, at, at, clock, 0)
    assert ledger.reset_high == pytest.approx(110.0 + GUARD)


def test_a_scout_where_no_reset_is_told_waits_for_a_units_time_at_least() -> None:
    ledger = of_kind(UNKNOWN, window=60.0)
    told(ledger, 0, 100.0, limit=10, reset=None)
    assert ledger.reset_high == pytest.approx(106.0 + GUARD)


def test_an_answer_that_names_no_reset_after_one_that_did_is_scouted_in_a_second() -> None:
    ledger = told(Quota(), 0, 0.0)
    told(ledger, 0, 70.0, reset=None)
    assert ledger.reset_high == pytest.approx(71.0 + GUARD)


def test_a_reset_after_more_than_a_day_is_one_after_a_day() -> None:
    ledger = told(Quota(), 0, 0.0, reset=1e9)
    assert ledger.reset_high == 86_400.0 + GUARD
    assert ledger.reset_low == ledger.reset_nominal == 86_400.0
    assert ledger._unit_time() == pytest.approx(864.0 / 0.97)


def test_after_refusals_a_scout_waits_longer_than_the_reset() -> None:
    ledger = told(Quota(), 0, 0.0)
    high = ledger.reset_high
    for _ in range(2):
        ledger.distrust(at_reset=False)
    assert told(ledger, 0, 1.0).reset_high == pytest.approx(high + 0.5)


@pytest.mark.parametrize("remaining", [1, 5])
def test_a_sliding_counter_with_units_left_gives_more_at_its_reset(remaining: int) -> None:
    ledger = told(of_kind(SLIDING_COUNTER), remaining, 0.0)
    assert ledger.reset_high == pytest.approx(60.0 + FINE + GUARD)


def test_a_reset_that_comes_earlier_begins_a_window_anew() -> None:
    ledger = told(Quota(), 50, 0.0)
    assert told(ledger, 49, 5.0, reset=30.0).reset_nominal == 30.0
    told(ledger, 99, 30.1, reset=90.0)
    told(ledger, 99, 90.1, reset=150.0)
    assert ledger.kind == FIXED


# What may go without a look, and what is asked of other units.


@pytest.mark.parametrize(
    ("kind", "unit", "ample"),
    [(FIXED, "requests", 85), (UNKNOWN, "requests", 85), (BUCKET, "requests", 0), (FIXED, "t", 0)],
)
def test_so_many_units_may_go_without_a_look(kind: str, unit: str, ample: int) -> None:
    ledger = told(Quota(unit), 100, 0.0)
    ledger.kind = kind
    assert ledger.ample(5) == ample


def test_no_unit_goes_without_a_look_where_nothing_is_known() -> None:
    ledger = of_kind(FIXED, limit=100, remaining=50)
    assert ledger.ample(0) == 0


def test_a_scout_for_other_units_goes_past_a_fixed_windows_end_whatever_is_in_flight() -> None:
    ledger = told(Quota("tokens"), 0, 0.0, limit=2)
    ledger.kind = FIXED
    high = ledger.reset_high
    assert asked(ledger, high).is_probe
    assert held_until(asked(ledger, high, 2, settles_at=high + 5.0)) == pytest.approx(high + 65.0)


def test_a_cost_where_no_limit_is_told_is_what_it_is() -> None:
    ledger = told(Quota(), 3, 0.0, limit=None)
    assert [asked(ledger, 1.0, cost=cost).is_open for cost in (1, 3, 4)] == [True, True, False]


def test_a_request_sent_when_another_was_answered_is_counted_after_it() -> None:
    ledger = told(Quota(), 20, 0.0)
    ledger.miss(1.0)
    assert ledger.left(0) == 19
    assert told(ledger, 19, 1.0).left(0) == 19


def test_a_limit_of_zero_lets_nothing_go_before_its_reset() -> None:
    assert not asked(told(Quota(), 0, 0.0, limit=0), 1.0).is_open
