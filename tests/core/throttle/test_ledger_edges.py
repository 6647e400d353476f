"""One policy's evidence at its bounds: units kept back, trickles, scouts that hang, windows."""

import math
from typing import Any

import pytest

from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.serverclock import ServerClock
from httpx_resilience._core.throttle.kinds import (
    BUCKET,
    FIXED,
    LOG,
    MOVING,
    UNKNOWN,
    WEIGHTED,
    Verdict,
)
from httpx_resilience._core.throttle.ledger import GUARD, SETTLED, Ledger

FINE = 0.001
UNIT = 60 / 100 / 0.97
"""Seconds in which about one unit of a hundred a minute comes back."""


def told(
    ledger: Ledger,
    remaining: int | None,
    sent: float,
    received: float | None = None,
    *,
    limit: int | None = 100,
    reset: float | None = 60.0,
    outstanding: int = 0,
) -> Ledger:
    """Tell a ledger of an answer; ``reset`` is when the window ends."""
    at = sent if received is None else received
    reset_in = None if reset is None else reset - at
    limits = RateLimit(limit, remaining, reset_in, None, FINE)
    ledger.observe(limits, sent, at, ServerClock(), outstanding)
    return ledger


def of_kind(kind: str, **state: Any) -> Ledger:
    ledger = Ledger()
    ledger.kind = kind
    for name, value in state.items():
        setattr(ledger, name, value)
    return ledger


def asked(ledger: Ledger, now: float, outstanding: int = 0, **more: Any) -> Verdict:
    return ledger.verdict(now, outstanding, more.pop("settles_at", -math.inf), **more)


def held_until(verdict: Verdict) -> float:
    """Return when a ledger that says no is to be asked again."""
    assert not verdict.is_open
    return verdict.wake_at


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
        (MOVING, 5, 60.0, 0.1, 1),
        (MOVING, 20, 60.0, 0.1, 2),
        (WEIGHTED, 100, 60.0, 0.1, 3),
        (WEIGHTED, 1000, 60.0, 1.0, 4),
        (MOVING, 1, 60.0, 0.1, 0),
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


def test_a_sliding_windows_units_are_released_after_its_end_one_unit_time_apart() -> None:
    ledger = of_kind(MOVING, limit=100, _span=60.0, reset_nominal=60.0, reset_high=60.3)
    steps = [60.1, 60.1 + UNIT, 60.1 + 2 * UNIT]
    for nth, step in enumerate(steps):
        assert ledger._held(step - 0.01) == 3 - nth
        assert ledger._next_step(step - 0.01) == pytest.approx(step)
    assert ledger._held(steps[-1] + 0.01) == 0


# Trickles.


def moving(remaining: int) -> Ledger:
    """Return a ledger that is careful after a refusal, three of whose units are kept back."""
    ledger = told(Ledger(), 50, 0.0)
    ledger.distrust(at_reset=False)
    assert (ledger.remaining, ledger.kind) == (0, MOVING)
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
    assert asked(ledger, 1.2).wake_at == pytest.approx(1.0 + 2.5 * UNIT)


def test_units_beyond_those_kept_back_set_no_pace() -> None:
    ledger = moving(4)
    ledger.took(1.0, 1)
    assert asked(ledger, 1.0, 1).is_open
    ledger.took(1.0, 2)
    assert not asked(ledger, 1.0, 2).is_open


def test_a_unit_kept_back_is_released_at_the_reset_if_that_is_before_its_trickle() -> None:
    ledger = moving(2)
    ledger.took(59.9, 1)
    step = asked(ledger, 59.95, 1).wake_at
    assert ledger.reset_nominal < step < 59.9 + UNIT


# Scouts that hang.


@pytest.mark.parametrize(("limit", "more"), [(6, 1.5 * 60 / 6 / 0.97 - SETTLED), (100, 0.0)])
def test_after_a_scout_that_hangs_the_next_waits_for_what_a_unit_takes(
    limit: int, more: float
) -> None:
    ledger = told(Ledger(), 0, 0.0, limit=limit)
    high = ledger.reset_high
    settles_at = high + SETTLED
    waits = asked(ledger, high, 1, settles_at=settles_at)
    assert held_until(waits) == pytest.approx(settles_at + more)
    due = asked(ledger, settles_at + more + 0.001, 1, settles_at=settles_at)
    assert (due.is_open, due.is_scout) == (True, True)


@pytest.mark.parametrize(("outstanding", "more"), [(1, 0.0), (2, 60.0), (3, 60.0)])
def test_scouts_that_may_have_taken_a_fixed_window_wait_for_the_next(
    outstanding: int, more: float
) -> None:
    ledger = told(Ledger(), 0, 0.0, limit=2)
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
    ledger = told(Ledger(), remaining, 0.0, limit=limit)
    ledger.kind = FIXED
    assert asked(ledger, 1.0, cost=cost).is_open is is_open


def budding() -> Ledger:
    """Return a bucket of 20 that the next answer makes known; one comes back a second."""
    ledger = Ledger()
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


# How fast units come back.


def test_the_time_of_a_unit_is_measured_by_what_came_back() -> None:
    ledger = of_kind(MOVING)
    told(ledger, 50, 0.0)
    for nth in range(1, 10):
        told(ledger, 50 - nth, 0.01 * nth)
    ledger.miss(0.5)
    told(ledger, 43, 1.0)  # eleven were sent since, seven are missing
    ledger.kind = MOVING
    assert ledger._unit_time() == pytest.approx(1.0 / (0.97 * 4))
    told(ledger, 44, 3.0)
    ledger.kind = MOVING
    assert ledger._unit_time() == pytest.approx((1.0 / (0.97 * 4) + 2.0 / (0.97 * 2)) / 2)


# What kind of window it is.


def window(ledger: Ledger, index: int, *, limit: int = 100) -> str:
    """Spend a fixed window of a minute; return what it is taken for then."""
    start = 60.0 * index
    told(ledger, limit - 1, start + 0.1, reset=start + 60, limit=limit)
    told(ledger, 0, start + 20, reset=start + 60, limit=limit)
    return ledger.kind


def test_after_a_refusal_it_takes_two_windows_again_to_show_that_they_are_fixed() -> None:
    ledger = Ledger()
    assert [window(ledger, index) for index in range(3)] == [UNKNOWN, UNKNOWN, FIXED]
    ledger.distrust(at_reset=False)
    assert [window(ledger, index) for index in range(3, 6)] == [MOVING, MOVING, FIXED]


def test_after_a_change_of_the_limit_it_takes_two_windows_again() -> None:
    ledger = Ledger()
    for index in range(3):
        window(ledger, index)
    found = [window(ledger, index, limit=50) for index in range(3, 6)]
    assert found == [UNKNOWN, FIXED, FIXED]  # the first of them is a new window already


def test_each_window_that_gives_back_everything_halves_the_caution_after_refusals() -> None:
    ledger = told(Ledger(), 50, 0.0)
    for _ in range(2):
        ledger.distrust(at_reset=False)
    found = []
    for index in range(9):
        window(ledger, index)
        found.append(ledger.penalty)
    assert found == [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.0, 0.0]


def test_what_is_in_flight_may_be_counted_in_the_new_window() -> None:
    ledger = told(Ledger(), 0, 30.0)
    told(ledger, 96, 60.1, reset=120.0, outstanding=3)
    assert ledger.kind == UNKNOWN
    ledger = told(Ledger(), 0, 30.0)
    told(ledger, 95, 60.1, reset=120.0, outstanding=3)
    assert ledger.kind == WEIGHTED


def test_a_sliding_window_of_one_is_not_taken_for_a_fixed_one() -> None:
    ledger = told(Ledger(), 0, 0.1, limit=1)
    ledger.distrust(at_reset=True)
    for index in range(6):
        told(ledger, 0, 60.0 * index + 1.0, limit=1, reset=60.0 * index + 60.0)
    assert ledger.kind == WEIGHTED


def test_windows_of_an_unknown_limit_are_of_an_unknown_kind() -> None:
    ledger = Ledger()
    for index in range(4):
        told(ledger, 5, 60.0 * index + 0.1, limit=None, reset=60.0 * index + 60.0)
    assert ledger.kind == UNKNOWN


# Resets.


def test_a_reset_in_epoch_seconds_is_most_likely_in_the_middle_of_what_is_possible() -> None:
    ledger, clock = Ledger(), ServerClock()
    clock.observe(1_700_000_000.0, 100.0, 100.2)
    ledger.observe(RateLimit(10, 0, 30.0, 1_700_000_030.0, 1.0), 100.0, 100.2, clock, 0)
    assert ledger.reset_nominal == pytest.approx((129.0 + 130.2) / 2, abs=0.01)


def test_a_window_that_ends_at_an_instant_begins_with_its_first_answer() -> None:
    ledger, clock = Ledger(), ServerClock()
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
