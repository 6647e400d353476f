"""The learned limit: what raises it, what lowers it, and what shows nothing."""

import math
from collections.abc import Callable
from random import Random

import pytest

from httpx_resilience import ErrorClass
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.throttle import OriginConcurrency, Ticket
from httpx_resilience._core.throttle.admission import Ending
from httpx_resilience._core.throttle.limits.adaptive_concurrency import (
    AdaptiveConcurrency,
    LatencyWindow,
)
from support.gates import BROKEN, MISSING, OUTAGE, REFUSED

Latency = Callable[[float], float]
"""From the requests in flight to seconds."""


class Load:
    """Rounds of requests, as many at a time as the limit allows, or fewer."""

    def __init__(self, most: float = math.inf) -> None:
        self.learned = AdaptiveConcurrency()
        self.most = most
        self.now = 0.0
        self.limits: list[int] = []

    def rounds(self, count: int, latency: Latency, failing: float = 0.0) -> list[int]:
        """Send so many rounds; return the limits after each."""
        limits, chance = [], Random(1)
        for _ in range(count):
            sent, at_a_time = self.now, int(min(self.learned.limit, self.most))
            self.now += latency(at_a_time)
            for left in range(at_a_time, 0, -1):
                if chance.random() < failing:
                    self.learned.failed(sent, self.now, left)
                else:
                    self.learned.answered(sent, self.now, left)
            limits.append(self.learned.limit)
        self.limits += limits
        return limits


def alone(at_a_time: float) -> float:
    """A server that does not mind."""
    return 0.05


def one_by_one(at_a_time: float) -> float:
    """A server that works on one request at a time."""
    return 0.05 * at_a_time


def ten_at_a_time(at_a_time: float) -> float:
    return 0.05 * max(1.0, at_a_time / 10)


def test_it_begins_with_ten() -> None:
    assert AdaptiveConcurrency().limit == 10


def test_it_grows_by_half_a_window_until_the_first_congestion_and_to_a_thousand_at_most() -> None:
    load = Load()
    limits = load.rounds(50, alone)
    steps = sorted(set(limits))
    assert steps[:5] == [10, 15, 22, 33, 50]
    assert limits[-1] == 1000


def test_it_settles_where_requests_take_half_as_long_again() -> None:
    load = Load()
    load.rounds(100, ten_at_a_time)
    settled = load.rounds(200, ten_at_a_time)
    usual = sorted(settled)[100]
    assert 15 <= usual <= 25  # 15 is the tolerance, the square root is kept in the queue
    assert max(settled) <= 30


def test_it_goes_to_a_few_where_requests_are_served_one_by_one() -> None:
    load = Load()
    load.rounds(100, one_by_one)
    assert max(load.rounds(100, one_by_one)) <= 8


def test_calls_that_do_not_fill_it_do_not_raise_it() -> None:
    load = Load(most=7)
    assert set(load.rounds(100, alone)) == {10}
    load.most = 8
    assert max(load.rounds(10, alone)) > 10


def test_a_few_requests_change_nothing_before_their_window_is_full() -> None:
    learned = AdaptiveConcurrency()
    for _ in range(19):
        learned.answered(0.0, 0.05, 10)
    assert learned.limit == 10
    learned.answered(0.0, 0.05, 10)
    assert learned.limit == 15


def test_calls_that_do_not_fill_half_of_it_do_not_lower_it() -> None:
    load = Load(most=100)
    load.rounds(30, alone)
    high = load.learned.limit
    load.most = high // 2 - 1
    load.rounds(5, alone)
    assert set(load.rounds(100, lambda n: 0.5)) == {high}


def test_congestion_that_comes_lowers_it_and_that_goes_raises_it_again() -> None:
    load = Load(most=60)
    load.rounds(40, alone)
    load.rounds(100, ten_at_a_time)
    assert load.learned.limit <= 30
    load.rounds(300, alone)
    assert load.learned.limit >= 60


def test_it_is_lowered_to_half_at_once_at_the_most() -> None:
    load = Load(most=100)
    load.rounds(30, alone)
    load.rounds(100, lambda n: 5.0 * n)
    pairs = zip(load.limits, load.limits[1:], strict=False)
    probes_or_less = [after / before for before, after in pairs if after < before]
    assert min(probes_or_less) >= 0.2


def test_a_server_that_moves_farther_away_is_given_as_much_as_before() -> None:
    load = Load(most=100)
    load.rounds(40, alone)
    load.rounds(60, lambda n: 0.4)
    assert load.learned.limit >= 100


def test_latency_without_load_is_measured_at_a_quarter_and_the_limit_restored() -> None:
    load = Load()
    limits = load.rounds(30, lambda n: 0.05 * (1 + n / 40))
    drops = [i for i in range(1, 30) if limits[i] <= limits[i - 1] / 3.5]
    assert len(drops) == 1  # the next is ten seconds away
    first = drops[0]
    restored = next(limit for limit in limits[first:] if limit != limits[first])
    assert restored == limits[first - 1]


def test_a_measurement_comes_again_while_there_is_congestion() -> None:
    load = Load()
    limits = load.rounds(800, lambda n: 0.05 * (1 + n / 40))
    drops = sum(limits[i] <= limits[i - 1] / 3.5 for i in range(1, len(limits)))
    assert 2 <= drops <= load.now / 10.0 + 1


def test_what_was_sent_before_it_was_lowered_does_not_lower_it_again() -> None:
    learned = AdaptiveConcurrency()
    for _ in range(20):
        learned.failed(0.0, 1.0, 10)
    assert learned.limit == 7
    for _ in range(200):
        learned.failed(0.5, 2.0, 10)
    assert learned.limit == 7
    for _ in range(20):
        learned.failed(1.5, 3.0, 7)
    assert learned.limit < 7


def test_more_than_a_tenth_of_failures_lowers_it_to_one_and_it_recovers() -> None:
    load = Load(most=100)
    load.rounds(20, alone)
    high = load.learned.limit
    load.rounds(150, alone, failing=0.5)
    assert load.learned.limit == 1
    load.rounds(400, alone)
    assert load.learned.limit >= min(100, high)


def test_a_few_failures_in_a_hundred_lower_nothing() -> None:
    load = Load()
    load.rounds(60, alone, failing=0.02)
    assert load.learned.limit == 1000


def test_a_mix_of_fast_and_slow_requests_is_not_taken_for_congestion() -> None:
    chance, learned, now = Random(3), AdaptiveConcurrency(), 0.0
    for _ in range(20_000):
        now += 0.001
        taken = 0.3 if chance.random() < 0.5 else 0.002
        learned.answered(now, now + taken, learned.limit)
    assert learned.limit >= 200


def test_a_chance_majority_of_slow_requests_is_within_the_doubt() -> None:
    learned = AdaptiveConcurrency()
    for n in range(20):
        learned.answered(0.0, 0.3 if n % 2 else 0.002, 10)
    assert learned.limit == 15
    for n in range(30):
        learned.answered(2.0 - (0.3 if n % 5 < 3 else 0.002), 2.0, 15)
    assert learned.limit == 22


def test_few_requests_show_the_latency_without_load() -> None:
    load = Load(most=100)
    load.rounds(40, alone)
    high = load.learned.limit
    load.most = 10
    load.rounds(100, lambda n: 0.4)
    load.most = 100
    assert min(load.rounds(30, lambda n: 0.4)) >= high


def test_a_lower_latency_is_learned_and_twice_of_it_is_congestion() -> None:
    load = Load(most=100)
    load.rounds(40, lambda n: 0.4)
    high = load.learned.limit
    assert min(load.rounds(100, alone)) >= high
    assert min(load.rounds(20, lambda n: 0.1)) < high


def test_a_window_lasts_as_long_as_slow_requests_need_to_come_back() -> None:
    learned = AdaptiveConcurrency()
    for _ in range(20):
        learned.answered(0.0, 0.05, 10)
    assert learned.limit == 15
    for n in range(60):
        learned.answered(-1.0 if n % 2 else 0.05, 0.06, 15)
    assert learned.limit == 15


def test_a_latency_of_no_seconds_is_one_of_a_microsecond() -> None:
    window = LatencyWindow()
    window.add(0.0)
    window.add(1e-6)
    assert (window.mean, window.variance) == (math.log(1e-6), 0.0)


def test_a_windows_doubt_is_that_of_its_mean() -> None:
    window = LatencyWindow()
    for seconds in (1.0, math.e**2) * 50:
        window.add(seconds)
    assert window.count == 100
    assert window.mean == pytest.approx(1.0)
    assert window.variance == pytest.approx(1.0 / 100)


# What is learned from.


@pytest.mark.parametrize(
    ("failure", "is_answered", "lowers"),
    [
        (None, True, False),
        (MISSING, True, False),
        (REFUSED, True, False),
        (BROKEN, True, False),
        (OUTAGE, True, True),
        (None, False, True),
        (Failure(ErrorClass.CONNECTION), False, True),
    ],
)
def test_failures_of_an_overload_lower_the_limit_and_no_others(
    failure: Failure | None, is_answered: bool, lowers: bool
) -> None:
    origin = OriginConcurrency("auto")
    for n in range(25):
        ticket = Ticket(n, math.inf, 1.0)
        origin.ended(Ending(ticket, 1.0, 1.1, (), failure, is_answered=is_answered))
    assert (origin.limit < 10) == lowers


def test_a_fixed_limit_learns_nothing() -> None:
    origin = OriginConcurrency(10)
    for n in range(100):
        origin.ended(Ending(Ticket(n, math.inf, 1.0), 1.0, 90.0, is_answered=False))
    assert origin.limit == 10
