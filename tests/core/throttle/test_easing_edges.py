"""Letting go of held calls while their server is in trouble: exactly at the bound."""

import math

import pytest

from httpx_resilience._core.throttle.limits.concurrency import ConcurrencyLimiter


def troubled(flying: int = 20) -> ConcurrencyLimiter:
    """Return an easing that begins at time 0, with half as many allowed."""
    easing = ConcurrencyLimiter()
    for _ in range(6):
        easing.failed(-1.0, 0.0, flying, is_holding=True)
    return easing


def test_each_step_without_an_outcome_is_a_second_after_the_last() -> None:
    easing = troubled(flying=20)
    found = [easing.open_at(10, 1.0), easing.open_at(20, 1.5), easing.open_at(20, 2.0)]
    assert found == [-math.inf, 2.0, -math.inf]
    assert easing.limit == 40.0


def test_a_step_that_leaves_no_room_has_the_next_a_second_later() -> None:
    easing = troubled(flying=20)
    assert easing.open_at(20, 1.0) == 2.0
    assert easing.limit == 20.0


@pytest.mark.parametrize("goes_well", [True, False])
def test_the_second_of_the_next_step_begins_with_the_last_outcome(goes_well: bool) -> None:
    easing = troubled(flying=20)
    if goes_well:
        easing.succeeded(0.75)
    else:
        easing.failed(0.5, 0.75, 10, is_holding=True)
    assert easing.open_at(1000, 1.5) == 1.75


def test_the_share_of_failures_is_averaged_over_about_eight_outcomes() -> None:
    easing = ConcurrencyLimiter()
    easing.failed(0.0, 0.0, 5, is_holding=False)
    assert easing.share == pytest.approx(1 / 8)
    easing.failed(0.0, 0.0, 5, is_holding=False)
    assert easing.share == pytest.approx(15 / 64)
    easing.succeeded(0.0)
    assert easing.share == pytest.approx(15 / 64 * 7 / 8)


def test_a_failure_of_long_ago_is_forgotten() -> None:
    easing = ConcurrencyLimiter()
    easing.failed(0.0, 0.0, 5, is_holding=False)
    for nth in range(100):
        easing.succeeded(float(nth))
    assert easing.share == 0.0


def test_however_often_it_is_halved_one_may_be_in_flight() -> None:
    easing = troubled(flying=4)
    easing.succeeded(0.1)
    for nth in range(1, 60):
        easing.failed(float(nth), float(nth), 10, is_holding=True)
    assert easing.limit == 1.0
    assert easing.open_at(0, 60.0) == -math.inf
