"""The units kept back near a window's end: how many, and when each of them goes."""

import math

import pytest

from core.throttle.books import UNIT
from httpx_resilience._core.throttle.limits.probes import ProbeSchedule
from httpx_resilience._core.throttle.limits.windows import (
    BUCKET,
    FIXED,
    INDETERMINATE,
    LOG,
    SLIDING_COUNTER,
    UNKNOWN,
    WindowEnd,
)


def planned(
    kind: str, limit: int | None, *, span: float = 60.0, uncertain: float = 1.0, unit: float = UNIT
) -> ProbeSchedule:
    """Return the schedule of a window that ends at 60, or so much later."""
    probes = ProbeSchedule()
    probes.plan(WindowEnd(59.0, 60.0, 60.0 + uncertain), kind, limit, span, unit)
    return probes


@pytest.mark.parametrize(
    ("kind", "limit", "span", "uncertain", "kept"),
    [
        (FIXED, 1000, 60.0, 1.0, 4),  # the root of 16.7 requests in the uncertain second
        (LOG, 1000, 60.0, 1.0, 4),
        (FIXED, 100, 60.0, 0.9, 0),  # 1.5 of them: not worth a probe
        (FIXED, 120, 60.0, 1.0, 1),  # two of them
        (FIXED, 119, 60.0, 1.0, 0),
        (FIXED, 100, 0.5, 0.1, 4),
        (FIXED, 20, 4.0, 2.0, 2),  # a tenth at the most
        (FIXED, 10_000, 10.0, 2.0, 10),  # and ten
        (FIXED, 10_000, 10.0, 50.0, 10),
        (FIXED, 1000, 60.0, 9.0, 5),  # as if two seconds were uncertain
        (FIXED, 1000, 0.0, 1.0, 0),
        (FIXED, None, 60.0, 1.0, 0),
        (UNKNOWN, 5, 60.0, 0.1, 1),
        (INDETERMINATE, 5, 60.0, 0.1, 1),
        (INDETERMINATE, 20, 60.0, 0.1, 2),
        (INDETERMINATE, 1, 60.0, 0.1, 0),
        (INDETERMINATE, 2, 60.0, 0.1, 1),
        (SLIDING_COUNTER, 100, 60.0, 0.1, 3),
        (SLIDING_COUNTER, 1000, 60.0, 1.0, 4),
        (BUCKET, 1000, 60.0, 1.0, 0),
    ],
)
def test_so_many_units_are_kept_back(
    kind: str, limit: int | None, span: float, uncertain: float, kept: int
) -> None:
    probes = planned(kind, limit, span=span, uncertain=uncertain)
    assert (probes.kept(), probes.held(0.0)) == (kept, kept)
    assert probes.held(probes.end.high + 9.0) == 0


def test_nothing_is_kept_back_before_anything_is_planned() -> None:
    probes = ProbeSchedule()
    assert (probes.kept(), probes.held(0.0), probes.next_step(0.0)) == (0, 0, math.inf)
    assert probes.next_trickle == -math.inf


@pytest.mark.parametrize("kind", [FIXED, LOG])
def test_a_fixed_windows_units_are_released_from_its_nominal_end_to_its_latest(kind: str) -> None:
    probes = planned(kind, 1000)
    times = (59.9, 60.0, 60.24, 60.25, 60.6, 60.75, 60.8)
    assert [probes.held(at) for at in times] == [4, 3, 3, 2, 1, 0, 0]
    asked = (0.0, 60.0, 60.1, 60.25, 60.7, 60.75)
    assert [probes.next_step(at) for at in asked] == [60.0, 60.25, 60.25, 60.5, 60.75, 61.0]


@pytest.mark.parametrize(("unit", "apart"), [(UNIT, UNIT), (0.01, 0.1)])
def test_a_sliding_windows_units_are_released_after_its_end_one_unit_time_apart(
    unit: float, apart: float
) -> None:
    probes = planned(INDETERMINATE, 100, uncertain=0.3, unit=unit)
    steps = [60.1, 60.1 + apart, 60.1 + 2 * apart]
    for nth, step in enumerate(steps):
        assert probes.held(step - 1e-6) == 3 - nth
        assert probes.next_step(step - 1e-6) == pytest.approx(step)
        assert probes.held(step + 1e-6) == 2 - nth


@pytest.mark.parametrize(
    ("kind", "left", "now", "units"),
    [
        (INDETERMINATE, 2, 50.0, 1.0),
        (SLIDING_COUNTER, 2, 50.0, 1.0),
        (INDETERMINATE, 1, 50.0, 1.0),
        (INDETERMINATE, 0, 50.0, 2.5),  # the last one
        (INDETERMINATE, -1, 50.0, 2.5),
        (INDETERMINATE, 3, 50.0, None),  # not one of those kept back
        (INDETERMINATE, 2, 70.0, None),  # none is kept back any more
        (UNKNOWN, 2, 50.0, None),
        (FIXED, 0, 50.0, None),
    ],
)
def test_one_that_goes_out_of_the_units_kept_back_sets_the_pace_of_the_next(
    kind: str, left: int, now: float, units: float | None
) -> None:
    probes = planned(kind, 100, uncertain=0.3)
    probes.trickle(now, left)
    expected = -math.inf if units is None else now + units * UNIT
    assert probes.next_trickle == pytest.approx(expected)


def test_of_a_log_one_that_goes_out_of_the_units_kept_back_sets_the_pace_of_the_next() -> None:
    probes = planned(LOG, 1000)
    probes.trickle(50.0, 3)
    assert probes.next_trickle == 50.0 + UNIT
