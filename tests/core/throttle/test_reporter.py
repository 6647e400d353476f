"""What a scope logs: each hold once, a graver reason once more, a low budget once a window."""

import math
from typing import Any

import pytest

from core.throttle.books import observe
from httpx_resilience import (
    Event,
    RateLimitChanged,
    RateLimitLow,
    ThrottleHeld,
    ThrottleReleased,
)
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import WindowEnd
from httpx_resilience._core.throttle.reasons import (
    COLD_START,
    EXHAUSTED,
    OVERLOAD,
    SERVER_HINT,
    SILENT_LIMIT,
)
from httpx_resilience._core.throttle.reporter import ThrottleReporter, seconds_until

WHERE: dict[str, Any] = {"origin": "https://v.example", "scope": "read"}


def reporter(low_below: float = 0.1) -> tuple[ThrottleReporter, list[Event]]:
    events: list[Event] = []
    return ThrottleReporter("https://v.example", "read", low_below, events.append), events


def quota(remaining: int | None, at: float, end: float) -> Quota:
    return observe(Quota(), remaining, at, end=end)


# Holds.


def test_a_hold_and_its_end_are_logged_with_where_why_and_how_long() -> None:
    one, events = reporter()
    assert not one.is_holding
    one.held(EXHAUSTED, 12.34567, 3, 10.0)
    assert one.is_holding
    one.released(11.23456)
    assert not one.is_holding
    one.released(12.0)
    assert events == [
        ThrottleHeld(at=10.0, **WHERE, reason="exhausted", delay=2.346, queued=3),
        ThrottleReleased(at=11.23456, **WHERE, reason="exhausted", elapsed=1.235),
    ]


@pytest.mark.parametrize(
    ("first", "then", "again"),
    [
        (EXHAUSTED, EXHAUSTED, False),
        (EXHAUSTED, OVERLOAD, False),
        (EXHAUSTED, SERVER_HINT, True),
        (EXHAUSTED, SILENT_LIMIT, True),
        (SERVER_HINT, SERVER_HINT, False),
        (SERVER_HINT, EXHAUSTED, False),
        (SERVER_HINT, SILENT_LIMIT, True),
        (COLD_START, COLD_START, False),
        (COLD_START, EXHAUSTED, True),
        (COLD_START, OVERLOAD, True),
    ],
)
def test_a_hold_is_logged_again_if_it_is_no_cold_start_any_more_or_grew_graver(
    first: str, then: str, again: bool
) -> None:
    one, events = reporter()
    one.held(first, 20.0, 1, 10.0)
    one.held(then, 20.0, 1, 15.0)
    one.released(16.0)
    assert [event.reason for event in events if isinstance(event, ThrottleHeld)] == (
        [first, then] if again else [first]
    )
    assert isinstance(events[-1], ThrottleReleased)
    assert events[-1].elapsed == 6.0


@pytest.mark.parametrize(("seconds", "again"), [(0.5, False), (1.0, True), (1.5, True)])
def test_a_hold_that_grows_graver_is_logged_again_after_a_second(
    seconds: float, again: bool
) -> None:
    one, events = reporter()
    one.held(EXHAUSTED, 20.0, 1, 10.0)
    one.held(SILENT_LIMIT, 20.0, 1, 10.0 + seconds)
    assert len(events) == 1 + again


def test_each_hold_is_logged_however_soon_it_follows_on_the_last() -> None:
    one, events = reporter()
    for now in (0.0, 0.1, 0.2):
        one.held(EXHAUSTED, 5.0, 1, now)
        one.released(now)
    assert [event.elapsed for event in events if isinstance(event, ThrottleReleased)] == [0.0] * 3
    assert len(events) == 6


def test_a_hold_takes_no_negative_time_where_threads_come_in_another_order() -> None:
    one, events = reporter()
    one.held(EXHAUSTED, 20.0, 1, 10.0)
    one.released(9.999)
    assert isinstance(events[-1], ThrottleReleased)
    assert events[-1].elapsed == 0.0


# Limits.


def test_a_limit_that_appears_is_logged_with_what_is_left_and_until_when() -> None:
    one, events = reporter()
    one.limit(quota(50, 10.0, 40.0), None, 10.0)
    numbers: dict[str, Any] = {"rate_limit": 100, "rate_remaining": 50, "rate_reset_in": 30.0}
    assert events == [RateLimitChanged(at=10.0, **WHERE, **numbers, previous=None)]


@pytest.mark.parametrize(("remaining", "low"), [(10, False), (9, True), (0, True)])
def test_a_budget_is_low_below_its_share_and_not_at_it(remaining: int, low: bool) -> None:
    one, events = reporter()
    one.limit(quota(remaining, 10.0, 40.0), 100, 10.0)
    assert [type(event) for event in events] == [RateLimitLow] * low


@pytest.mark.parametrize(("reset_in", "silent_for"), [(30.0, 31.0), (600.0, 601.0)])
def test_a_low_budget_is_logged_again_after_its_reset(reset_in: float, silent_for: float) -> None:
    one, events = reporter()
    low = quota(5, 0.0, reset_in)
    found = []
    for now in (0.0, reset_in - 1.0, silent_for):
        one.limit(low, 100, now)
        found.append(len(events))
    assert found == [1, 1, 2]
    one.limit(low, 100, low.low_until)  # when it is over, and not only after
    assert len(events) == 3


def test_a_low_budget_whose_reset_is_not_known_is_logged_once_a_minute() -> None:
    one, events = reporter()
    low = quota(5, 0.0, 30.0)
    low.end = WindowEnd(math.inf, math.inf, math.inf)
    found = []
    for now in (0.0, 59.0, 61.0):
        one.limit(low, 100, now)
        found.append(len(events))
    assert found == [1, 1, 2]
    assert events[0] == RateLimitLow(**WHERE, rate_limit=100, rate_remaining=5)


def test_a_limit_that_vanishes_is_logged_with_what_it_was() -> None:
    one, events = reporter()
    one.vanished(quota(50, 0.0, 30.0), 5.0)
    assert events == [RateLimitChanged(at=5.0, **WHERE, previous=100)]


@pytest.mark.parametrize(
    ("at", "seconds"), [(12.34567, 2.346), (10.0, 0.0), (3.0, 0.0), (math.inf, None)]
)
def test_the_seconds_until_a_time_are_rounded_never_negative_and_none_for_never(
    at: float, seconds: float | None
) -> None:
    assert seconds_until(at, 10.0) == seconds
