"""Held calls are released gradually while their server is in trouble."""

import math

import pytest

from core.throttle.books import Parts, announce, ending
from httpx_resilience._core.throttle import Ticket
from httpx_resilience._core.throttle.admission import Ending
from httpx_resilience._core.throttle.limits.concurrency import ConcurrencyLimiter
from support.gates import BROKEN, MISSING, OUTAGE

OPEN = -math.inf


def limiter(parts: Parts | None = None) -> ConcurrencyLimiter:
    parts = parts or Parts()
    return ConcurrencyLimiter(parts.in_flight, parts.queue, parts.quotas)


def troubled(flying: int = 20) -> ConcurrencyLimiter:
    """Return one that begins at time 0, with half as many allowed as are in flight."""
    concurrency = limiter()
    for _ in range(6):
        concurrency.failed(-1.0, 0.0, flying, is_holding=True)
    return concurrency


# When it begins.


def test_nothing_is_bounded_while_most_requests_succeed() -> None:
    concurrency = limiter()
    for at in range(30):
        concurrency.failed(float(at), float(at), 50, is_holding=True)
        concurrency.succeeded(float(at))
        concurrency.succeeded(float(at))
    assert concurrency.limit is None
    assert concurrency.open_at(10_000, 30.0) == OPEN


def test_nothing_is_bounded_while_nobody_is_held_back() -> None:
    concurrency = limiter()
    for _ in range(50):
        concurrency.failed(0.0, 0.0, 50, is_holding=False)
    assert concurrency.limit is None


@pytest.mark.parametrize(("flying", "limit"), [(20, 10.0), (5, 2.5), (1, 1.0), (0, 1.0)])
def test_when_most_fail_while_calls_are_held_half_of_those_in_flight_may_be(
    flying: int, limit: float
) -> None:
    concurrency = troubled(flying)
    assert concurrency.limit == limit
    assert concurrency.open_at(math.ceil(limit) - 1, 0.0) == OPEN
    assert concurrency.open_at(math.ceil(limit), 0.0) == 1.0


@pytest.mark.parametrize(("failures", "limit"), [(5, None), (6, 1.0)])
def test_six_failures_in_a_row_are_most_of_the_last_outcomes(
    failures: int, limit: float | None
) -> None:
    concurrency = limiter()
    for _ in range(failures):
        concurrency.failed(0.0, 0.0, 1, is_holding=True)
    assert concurrency.limit == limit


def test_the_share_of_failures_is_averaged_over_about_eight_outcomes() -> None:
    concurrency = limiter()
    found = []
    for _ in range(2):
        concurrency.failed(0.0, 0.0, 5, is_holding=False)
        found.append(concurrency.share)
    concurrency.succeeded(0.0)
    assert [*found, concurrency.share] == pytest.approx([1 / 8, 15 / 64, 15 / 64 * 7 / 8])


def test_a_failure_of_long_ago_is_forgotten() -> None:
    concurrency = limiter()
    concurrency.failed(0.0, 0.0, 5, is_holding=False)
    for at in range(36):
        concurrency.succeeded(float(at))
    assert concurrency.share > 0.0
    concurrency.succeeded(36.0)
    assert concurrency.share == 0.0


# How it grows.


def test_while_nothing_succeeds_each_failure_admits_one_more() -> None:
    concurrency = troubled()
    for _ in range(5):
        concurrency.failed(0.1, 0.2, 10, is_holding=True)
    assert concurrency.limit == 15.0


def test_until_one_succeeds_each_second_without_an_outcome_doubles_it() -> None:
    concurrency = troubled(flying=20)
    found = [concurrency.open_at(10, 1.0), concurrency.open_at(20, 1.5)]
    assert [*found, concurrency.open_at(20, 2.0)] == [OPEN, 2.0, OPEN]
    assert concurrency.limit == 40.0
    concurrency.succeeded(2.5)
    assert concurrency.open_at(1000, 3.4) == 3.5
    assert concurrency.open_at(1000, 3.5) == 4.5
    assert concurrency.limit == pytest.approx(41.025)  # a fortieth a success, one a second


def test_a_step_that_leaves_no_room_has_the_next_a_second_later() -> None:
    concurrency = troubled(flying=20)
    assert concurrency.open_at(20, 1.0) == 2.0
    assert concurrency.limit == 20.0


@pytest.mark.parametrize("is_success", [True, False])
def test_the_second_of_the_next_step_begins_with_the_last_outcome(is_success: bool) -> None:
    concurrency = troubled(flying=20)
    if is_success:
        concurrency.succeeded(0.75)
    else:
        concurrency.failed(0.5, 0.75, 10, is_holding=True)
    assert concurrency.open_at(1000, 1.5) == 1.75


def test_it_grows_by_one_a_round_of_successes() -> None:
    concurrency = troubled()
    for _ in range(10):
        concurrency.succeeded(0.1)
    assert concurrency.limit is not None
    assert 10.9 < concurrency.limit < 11.0


# How it is lowered, and ends.


def test_it_is_halved_once_for_all_that_were_admitted_before() -> None:
    concurrency = troubled()
    concurrency.succeeded(0.1)
    for _ in range(8):
        concurrency.failed(0.2, 0.3, 10, is_holding=True)
    lowered = concurrency.limit
    assert lowered is not None
    assert 5.0 < lowered < 5.1
    for _ in range(8):
        concurrency.failed(0.25, 0.4, 10, is_holding=True)
    assert concurrency.limit == lowered
    concurrency.failed(0.3, 0.5, 10, is_holding=True)  # admitted as it was lowered
    assert concurrency.limit == lowered / 2


def test_it_is_not_halved_while_most_succeed() -> None:
    concurrency = troubled()
    for _ in range(5):
        concurrency.succeeded(0.1)
    limit = concurrency.limit
    concurrency.failed(0.2, 0.3, 10, is_holding=True)
    assert concurrency.limit == limit


def test_however_often_it_is_halved_one_may_be_in_flight() -> None:
    concurrency = troubled(flying=4)
    concurrency.succeeded(0.1)
    for at in range(1, 60):
        concurrency.failed(float(at), float(at), 10, is_holding=True)
    assert concurrency.limit == 1.0
    assert concurrency.open_at(0, 60.0) == OPEN


def test_it_ends_when_nobody_is_held_back_any_more_and_begins_anew() -> None:
    concurrency = troubled()
    concurrency.succeeded(0.1)
    concurrency.end()
    assert concurrency.open_at(10_000, 0.2) == OPEN
    assert concurrency.has_credit(0.2)
    for _ in range(3):
        concurrency.failed(0.2, 0.2, 40, is_holding=True)
    assert concurrency.limit == 22.0  # half of them, and one more a failure


# As a limit of a scope.


@pytest.mark.parametrize(
    ("outcome", "share"),
    [
        (ending(1.0), 0.5 * 7 / 8),
        (ending(1.0, failure=MISSING), 0.5 * 7 / 8),
        (ending(1.0, failure=BROKEN._replace(status=499)), 0.5 * 7 / 8),
        (ending(1.0, failure=BROKEN), 0.5 + 0.5 / 8),
        (ending(1.0, failure=OUTAGE), 0.5 + 0.5 / 8),
        (ending(1.0, failure=BROKEN._replace(status=None)), 0.5 + 0.5 / 8),
        (ending(1.0, is_answered=False), 0.5 + 0.5 / 8),
    ],
)
def test_only_what_is_the_servers_trouble_is_a_failure(outcome: Ending, share: float) -> None:
    concurrency = limiter()
    concurrency.share = 0.5
    concurrency.ended(outcome)
    assert concurrency.share == pytest.approx(share)


@pytest.mark.parametrize("is_holding", [True, False])
def test_it_begins_by_what_is_in_flight_and_waits_in_its_scope(is_holding: bool) -> None:
    parts = Parts()
    parts.learn(0.0, announce(90, 0.0))
    concurrency = limiter(parts)
    parts.in_flight.count = 20
    if is_holding:
        parts.queue.push(Ticket(1, math.inf, 0.0))
    for _ in range(6):
        concurrency.ended(ending(0.5, failure=OUTAGE))
    assert concurrency.has_credit(0.5) is not is_holding
    parts.in_flight.count = 10
    asked = concurrency.admit(0.5, 1)
    assert asked == ((False, "overload", 1.5, False) if is_holding else (True, "", math.inf, False))
    assert concurrency.admit(1.5, 1).is_open


def test_it_halves_for_requests_by_when_they_were_admitted() -> None:
    concurrency = troubled(flying=20)
    concurrency.succeeded(0.1)
    limit = concurrency.limit
    concurrency.ended(ending(1.0, sent=-0.5, failure=OUTAGE))
    assert concurrency.limit == limit
    concurrency.ended(ending(1.0, sent=0.5, failure=OUTAGE))
    assert concurrency.limit == (limit or 0.0) / 2


def test_where_no_limits_are_announced_slow_start_does_its_part() -> None:
    parts = Parts()
    concurrency = limiter(parts)
    for _ in range(6):
        concurrency.failed(-1.0, 0.0, 20, is_holding=True)
    parts.in_flight.count = 50
    assert concurrency.admit(0.5, 1).is_open
