"""Costs are measured between responses, where it is known how many requests were counted."""

import math

import pytest

from httpx_resilience._core.throttle.limits.cost_meter import CostMeter
from httpx_resilience._core.throttle.limits.counted import JITTER, Counted
from httpx_resilience._core.throttle.limits.windows import ResetInterval

LIMIT = 30_000


def said(sent: float, remaining: int, *, took: float = 0.1, end: float = 60.0) -> Counted:
    reset = ResetInterval(end, end - 0.01, end, end + 0.01, 0.0)
    return Counted(sent, sent + took, remaining, reset)


class Meter(CostMeter):
    """One whose requests are sent one after the other."""

    def call(self, said: Counted, rate: float = 0.0, limit: int | None = LIMIT) -> None:
        self.started(said.sent, is_given=False)
        self.answer(said, rate, limit)

    def answer(self, said: Counted, rate: float = 0.0, limit: int | None = LIMIT) -> None:
        self.answered(said.received)
        self.measure(said, limit, rate)

    @property
    def singles(self) -> list[float]:
        return list(self.learned._singles)


def begun() -> Meter:
    """Return one of which the answer that announced the limit was measured; 29,000 are left."""
    meter = Meter(0, 0.0)
    meter.answer(said(0.0, 29_000))
    return meter


def test_between_two_answers_with_nothing_else_in_flight_stands_one_cost() -> None:
    meter = begun()
    meter.call(said(1.0, 28_300))
    meter.call(said(2.0, 28_100))
    assert meter.singles == [700, 200]


def test_what_came_back_in_a_bucket_was_spent_too() -> None:
    meter = begun()
    meter.call(said(0.5, 28_300, end=0.78), rate=1000.0)
    assert meter.singles == [pytest.approx(700 + 500)]


def test_no_more_came_back_than_was_missing() -> None:
    meter = begun()
    meter.call(said(9.0, 29_300, end=9.17), rate=1000.0)
    assert meter.singles == [700]


def test_where_more_is_left_than_before_nothing_is_learned() -> None:
    meter = begun()
    meter.call(said(1.0, 25_000))
    meter.call(said(61.0, 29_500, end=120.0), rate=1e-9)
    assert meter.singles == [4000]


def test_several_requests_between_two_answers_give_bounds_of_their_mean() -> None:
    meter = begun()
    for _ in range(10):
        meter.started(1.0, is_given=False)
    for nth in range(9):
        meter.answered(1.1 + 0.001 * nth)
    meter.answer(said(1.0, 19_000, took=0.2))
    assert meter.singles == []
    assert meter.learned.high == 0.0  # it is not known which of the ten were counted
    meter.call(said(3.0, 18_000))
    ((low, high),) = meter.learned._means
    assert (low, high) == (1000, 1000)


def test_of_few_requests_beside_others_no_mean_is_taken() -> None:
    meter = begun()
    for nth in range(4):
        meter.started(1.0 + 0.1 * nth, is_given=False)
    meter.answer(said(1.0, 26_000, took=2.0))
    assert (meter.singles, list(meter.learned._means)) == ([], [])


def test_what_a_request_took_is_among_what_is_missing() -> None:
    meter = begun()
    for nth in range(4):
        meter.started(1.0 + 0.1 * nth, is_given=False)
    meter.answer(said(1.0, LIMIT - 600, took=2.0, end=1.1), rate=1000.0)
    assert meter.singles == [600]


def test_what_is_missing_says_nothing_where_it_is_much_or_the_limit_is_not_known() -> None:
    for remaining, limit in ((20_000, LIMIT), (LIMIT - 600, None)):
        meter = begun()
        for nth in range(4):
            meter.started(1.0 + 0.1 * nth, is_given=False)
        meter.answer(said(1.0, remaining, took=2.0), limit=limit)
        assert meter.singles == []


def test_requests_of_before_the_limit_was_known_are_not_measured() -> None:
    meter = Meter(5, 10.0)
    for nth in range(5):
        meter.answer(said(9.0 + 0.1 * nth, 29_000 - 1000 * nth, took=1.5))
    assert meter.singles == []
    meter.call(said(10.0 + JITTER, 20_000))
    meter.call(said(12.0, 19_300))
    assert meter.singles == [700]


def test_a_given_cost_interrupts_and_so_does_what_was_not_counted() -> None:
    meter = begun()
    meter.started(1.0, is_given=True)
    meter.answer(said(1.0, 20_000))
    assert meter.singles == []
    meter.call(said(2.0, 19_300))
    meter.started(3.0, is_given=False)
    meter.not_counted(1)
    meter.call(said(4.0, 10_000))
    meter.call(said(5.0, 9_800))
    assert meter.singles == [700, 200]


def test_trust_grows_with_the_answers() -> None:
    meter = begun()
    assert meter.trusted == 1
    for nth in range(1, 4):
        meter.call(said(float(nth), 29_000 - 100 * nth))
    assert meter.trusted == 4
    for nth in range(4, 16):
        meter.call(said(float(nth), 29_000 - 100 * nth))
    assert meter.trusted == math.inf


def test_sends_and_answers_of_long_ago_are_forgotten() -> None:
    meter = begun()
    for nth in range(1, 2000):
        meter.call(said(float(nth), 29_000))
    assert len(meter._sent_at) < 512
    assert len(meter._answered_at) < 512
    meter.call(said(2000.0, 28_300))
    assert meter.singles[-1] == 700
