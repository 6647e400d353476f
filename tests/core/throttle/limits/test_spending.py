"""What is reserved for requests until the evidence includes them."""

import math

from httpx_resilience._core.throttle import Ticket
from httpx_resilience._core.throttle.in_flight import ABANDONED
from httpx_resilience._core.throttle.limits.counted import JITTER
from httpx_resilience._core.throttle.limits.spending import Spending, given_cost


def ticket(at: float = 0.0) -> Ticket:
    made = Ticket(0, math.inf, at)
    made.granted_at = at
    return made


def test_what_is_reserved_is_settled_once() -> None:
    spending, given, learned = Spending(), ticket(), ticket()
    spending.start(given, 500)
    spending.start(learned, None)
    assert (spending.given, spending.learned, len(spending)) == (500, 1, 2)
    for each in (given, learned, given, ticket()):
        spending.settle(each)
    assert (spending.given, spending.learned, len(spending)) == (0, 0, 0)


def test_a_request_was_counted_if_one_is_answered_that_was_sent_a_second_later() -> None:
    spending = Spending()
    spending.start(ticket(1.0), None)
    assert spending.forget(1.0 + JITTER - 0.01, 9.0) == 0
    assert spending.learned == 1
    assert spending.forget(1.0 + JITTER, 9.0) == 0
    assert spending.learned == 0


def test_a_lost_request_is_given_back_after_half_a_minute() -> None:
    spending, lost = Spending(), ticket(1.0)
    spending.start(lost, 700)
    spending.abandon(lost, lost=True)
    assert spending.forget(-math.inf, 1.0 + ABANDONED - 0.01) == 0
    assert spending.given == 700
    assert spending.forget(-math.inf, 1.0 + ABANDONED) == 1
    assert spending.given == 0


def test_lost_requests_are_counted_as_such_whatever_settles_them() -> None:
    spending = Spending()
    for lost in (True, False):
        each = ticket(1.0)
        spending.start(each, None)
        spending.abandon(each, lost=lost)
    assert spending.forget(1.0 + JITTER, 3.0) == 1
    assert len(spending) == 0


def test_what_was_settled_already_is_not_abandoned() -> None:
    spending, each = Spending(), ticket()
    spending.abandon(each, lost=True)
    assert spending.forget(-math.inf, 1e6) == 0


def test_a_cost_is_given_by_unit() -> None:
    assert given_cost(None, "tokens") is None
    assert given_cost({"points": 3}, "tokens") is None
    assert given_cost({"tokens": 0}, "tokens") == 0
