"""Letting go of held calls while their server is in trouble: slow start, rounds, halving."""

import math

import pytest

from httpx_resilience._core.throttle.limits.concurrency import ConcurrencyLimiter


def troubled(flying: int = 20) -> ConcurrencyLimiter:
    """Return an easing that begins at time 0, with so many in flight."""
    easing = ConcurrencyLimiter()
    for _ in range(6):
        easing.failed(-1.0, 0.0, flying, is_holding=True)
    return easing


def test_nothing_is_bounded_while_most_go_well() -> None:
    easing = ConcurrencyLimiter()
    for number in range(30):
        easing.failed(float(number), float(number), 50, is_holding=True)
        easing.succeeded(float(number))
        easing.succeeded(float(number))
    assert easing.limit is None
    assert easing.open_at(10_000, 30.0) == -math.inf


def test_nothing_is_bounded_while_nobody_is_held_back() -> None:
    easing = ConcurrencyLimiter()
    for _ in range(50):
        easing.failed(0.0, 0.0, 50, is_holding=False)
    assert easing.limit is None


def test_when_most_fail_while_calls_are_held_half_of_those_in_flight_may_be() -> None:
    easing = troubled(flying=20)
    assert easing.limit == 10.0
    assert easing.open_at(9, 0.0) == -math.inf
    assert easing.open_at(10, 0.0) == 1.0


def test_at_least_one_may_be_in_flight() -> None:
    assert troubled(flying=0).limit == 1.0


def test_while_nothing_succeeds_each_failure_lets_one_more_go() -> None:
    easing = troubled()
    for _ in range(5):
        easing.failed(0.1, 0.2, 10, is_holding=True)
    assert easing.limit == 15.0


def test_each_second_without_any_outcome_twice_as_many_go_until_one_succeeded() -> None:
    easing = troubled()
    assert easing.open_at(10, 1.0) == -math.inf
    assert easing.limit == 20.0
    easing.succeeded(1.5)
    assert easing.open_at(1000, 2.4) == 2.5
    assert easing.open_at(1000, 2.5) == 3.5
    assert easing.limit == pytest.approx(21.05)  # a twentieth for the success, one for the second


def test_it_grows_by_one_a_round_beyond_where_it_was_lowered_to() -> None:
    easing = troubled()
    for _ in range(10):
        easing.succeeded(0.1)
    assert easing.limit is not None
    assert 10.9 < easing.limit < 11.0


def test_it_is_halved_once_for_all_that_were_let_go_before() -> None:
    easing = troubled()
    easing.succeeded(0.1)
    for _ in range(8):
        easing.failed(0.2, 0.3, 10, is_holding=True)
    lowered = easing.limit
    assert lowered is not None
    assert 5.0 < lowered < 5.1
    for _ in range(8):
        easing.failed(0.25, 0.4, 10, is_holding=True)
    assert easing.limit == lowered
    easing.failed(0.35, 0.5, 10, is_holding=True)
    assert easing.limit == lowered / 2


def test_below_where_it_was_lowered_to_it_doubles_each_round() -> None:
    easing = troubled()
    easing.succeeded(0.1)
    easing.failed(0.2, 0.3, 10, is_holding=True)
    low = easing.limit
    assert low is not None
    easing._threshold = 2 * low
    easing.succeeded(0.4)
    assert easing.limit == low + 1.0


def test_it_ends_when_nobody_is_held_any_more() -> None:
    easing = troubled()
    easing.end()
    assert easing.open_at(10_000, 0.0) == -math.inf
