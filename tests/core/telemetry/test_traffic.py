"""One line a minute of what becomes of an origin's calls."""

from collections.abc import Iterable

import pytest

from httpx_resilience import Event
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.telemetry.events import Level, TrafficSummary
from httpx_resilience._core.telemetry.traffic import PERIOD, TrafficMeter
from support.core import START

DUE = START + PERIOD


class Metered:
    """A meter and the summaries that it emits."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.meter = TrafficMeter("https://v", self.events.append)

    def calls(self, *times: float, attempts: int = 1, held: float = 0.0) -> "Metered":
        """Let calls end well at these times."""
        for now in times:
            self.meter.ended(now, attempts, held, success=True)
        return self

    def saw(self, *remaining: int | None) -> "Metered":
        self.meter.saw(tuple(RateLimit(100, left) for left in remaining))
        return self

    def summary(self) -> TrafficSummary:
        (event,) = self.events
        assert isinstance(event, TrafficSummary)
        return event


def test_nothing_is_emitted_before_the_first_minute_is_over() -> None:
    metered = Metered().calls(*(START + second for second in range(60)), DUE - 0.001)
    assert metered.events == []


@pytest.mark.parametrize("late", [0.0, 0.0004, 12.3456])
def test_the_first_call_that_ends_after_the_minute_brings_one_summary_of_those_before(
    late: float,
) -> None:
    metered = Metered().calls(START, START + 1, START + 59).calls(DUE + late, DUE + late + 1)
    assert metered.summary() == TrafficSummary(
        at=DUE + late,
        origin="https://v",
        elapsed=round(60.0 + late, 3),
        calls=3,
        succeeded=3,
        attempts=3,
        retries=0,
        held=0.0,
        rate_remaining=None,
    )
    assert metered.summary().level is Level.INFO


def test_calls_that_fail_are_counted_and_have_not_succeeded() -> None:
    metered = Metered()
    for success in (True, False, False):
        metered.meter.ended(START, 1, 0.0, success=success)
    summary = metered.calls(DUE).summary()
    assert (summary.calls, summary.succeeded) == (3, 1)


@pytest.mark.parametrize(
    ("attempts", "retries"),
    [([1, 1, 1], 0), ([1, 4, 2], 4), ([4], 3), ([0], 0), ([0, 0], 0), ([0, 3], 2)],
)
def test_attempts_beyond_one_a_call_are_retries(attempts: Iterable[int], retries: int) -> None:
    metered = Metered()
    for number in attempts:
        metered.calls(START, attempts=number)
    summary = metered.calls(DUE).summary()
    assert (summary.attempts, summary.retries) == (sum(attempts), retries)


def test_the_seconds_for_which_calls_were_held_are_added_up_to_the_millisecond() -> None:
    metered = Metered().calls(START, held=1.25).calls(START, START, held=0.1004)
    assert metered.calls(DUE).summary().held == 1.451


@pytest.mark.parametrize(
    ("responses", "least"),
    [
        ([], None),
        ([[None]], None),
        ([[7]], 7),
        ([[7], [3], [5]], 3),
        ([[9, None, 4]], 4),
        ([[3], [0], [None]], 0),
    ],
)
def test_the_least_that_any_response_left_of_the_limit_is_named(
    responses: list[list[int | None]], least: int | None
) -> None:
    metered = Metered().calls(START)
    for remaining in responses:
        metered.saw(*remaining)
    assert metered.calls(DUE).summary().rate_remaining == least


def test_silent_minutes_bring_no_summary_of_their_own() -> None:
    metered = Metered().calls(START)
    metered.saw(5)
    assert metered.events == []
    summary = metered.calls(START + 10 * PERIOD).summary()
    assert (summary.calls, summary.elapsed) == (1, 600.0)


def test_a_new_period_begins_with_the_call_that_brought_the_summary() -> None:
    metered = Metered().calls(START, START, attempts=3, held=2.0).saw(3)
    late = DUE + 5.0
    metered.calls(late, late + PERIOD - 0.001)
    assert len(metered.events) == 1
    metered.calls(late + PERIOD)
    assert metered.events[1:] == [
        TrafficSummary(
            at=late + PERIOD,
            origin="https://v",
            elapsed=60.0,
            calls=2,
            succeeded=2,
            attempts=2,
            retries=0,
            held=0.0,
            rate_remaining=None,
        )
    ]
