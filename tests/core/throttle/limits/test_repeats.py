"""What is remembered of a policy's last response, to recognise one that repeats it."""

import math

import pytest

from core.throttle.books import announce
from httpx_resilience._core.throttle.limits.repeats import RepeatCache


def test_at_first_nothing_is_recognised() -> None:
    repeats = RepeatCache()
    assert (repeats.others, repeats.until, repeats.clock_version) == ([], -math.inf, -1)
    assert repeats.low_mark == math.inf


def test_a_response_is_remembered_but_for_its_limit_and_what_remains() -> None:
    repeats = RepeatCache()
    repeats.remember(announce(90, 10.0, bucket="b"), 7, 10.0, 60.0)
    assert repeats.others == list(announce(5, 10.0, limit=9, bucket="b")[2:])
    assert repeats.others != list(announce(90, 11.0, bucket="b")[2:])
    assert repeats.clock_version == 7


@pytest.mark.parametrize(("end_low", "until"), [(60.0, 10.25), (10.1, 10.1), (math.inf, 10.25)])
def test_repeats_are_recognised_for_a_while_and_not_beyond_the_windows_end(
    end_low: float, until: float
) -> None:
    repeats = RepeatCache()
    repeats.remember(announce(90, 10.0), 7, 10.0, end_low)
    assert repeats.until == until
    repeats.forbid()
    assert repeats.until == -math.inf
