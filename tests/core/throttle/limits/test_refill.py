"""How fast units come back, measured: accepted requests less the drop of what remains."""

import pytest

from httpx_resilience._core.throttle.limits.refill import RefillMeasure


@pytest.mark.parametrize(
    ("processed", "dropped", "seconds", "was_full", "returned"),
    [
        (1, 0, 0.49, False, 0),  # too soon
        (1, 0, 0.5, False, 1),
        (1, 1, 0.7, False, 0),
        (1, 2, 0.7, False, 0),
        (1, -10, 300.0, False, 11),
        (11, 7, 1.0, False, 4),
        (1, 0, 60.0, True, 1),  # full, but there was no time to lose any
        (1, 0, 60.1, True, 0),  # full, for how long is not known
        (1, 0, 60.1, False, 1),
    ],
)
def test_what_came_back_is_measured_unless_some_of_it_may_be_lost(
    processed: int, dropped: int, seconds: float, was_full: bool, returned: int
) -> None:
    refill = RefillMeasure()
    refill.measure(5, 50, 1000.0, 60.0, was_full=False)
    assert refill.seconds_per_unit == 0.0
    refill.measure(5 + processed, 50 - dropped, 1000.0 + seconds, 60.0, was_full=was_full)
    measured = seconds / (0.97 * returned) if returned else 0.0
    assert refill.seconds_per_unit == pytest.approx(measured)


def measured() -> RefillMeasure:
    """Return a measure of a unit each four seconds, the last at 4."""
    refill = RefillMeasure()
    refill.measure(0, 50, 0.0, 60.0, was_full=False)
    refill.measure(1, 50, 4.0, 60.0, was_full=False)
    assert refill.seconds_per_unit == pytest.approx(4.0 / 0.97)
    return refill


def test_each_measurement_begins_where_the_last_one_ended_and_counts_half() -> None:
    refill = measured()
    refill.measure(2, 50, 6.0, 60.0, was_full=False)
    assert refill.seconds_per_unit == pytest.approx((4.0 + 2.0) / 2 / 0.97)


def test_a_measurement_that_is_worth_nothing_is_followed_by_another() -> None:
    refill = RefillMeasure()
    refill.measure(0, 50, 0.0, 60.0, was_full=False)
    refill.measure(1, 49, 4.0, 60.0, was_full=False)
    refill.measure(2, 49, 6.0, 60.0, was_full=False)
    assert refill.seconds_per_unit == pytest.approx(2.0 / 0.97)


@pytest.mark.parametrize(("forget", "kept"), [(True, 0.0), (False, 4.0 / 0.97)])
def test_what_was_measured_stays_when_another_measurement_begins_unless_it_is_forgotten(
    forget: bool, kept: float
) -> None:
    refill = measured()
    if forget:
        refill.forget()
    else:
        refill.restart()
    assert refill.seconds_per_unit == pytest.approx(kept)
    refill.measure(9, 45, 9.0, 60.0, was_full=False)  # from here on
    refill.measure(10, 45, 11.0, 60.0, was_full=False)
    expected = (kept + 2.0 / 0.97) / 2 if kept else 2.0 / 0.97
    assert refill.seconds_per_unit == pytest.approx(expected)
