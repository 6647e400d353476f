"""A scope's policies: whether one is used up, and when room is expected."""

from typing import Any

import pytest

from httpx_resilience import Event, ThrottlePolicy
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import GUARD
from httpx_resilience._core.throttle.limits.quota_set import QuotaSet
from httpx_resilience._core.throttle.reporter import ThrottleReporter

EPOCH = 1.7e9
FINE = 0.001


def left(remaining: int | None, *, end: float = 60.0, **more: Any) -> RateLimit:
    """Return a policy of 100 whose window ends at ``end`` for certain."""
    return RateLimit(100, remaining, end, None, FINE, **more)


class Books:
    """The ledgers of a scope that are told of responses without latency."""

    def __init__(self, **policy: Any) -> None:
        self.told: list[Event] = []
        account = ThrottleReporter("https://v.example", "read", 0.1, self.told.append)
        self.ledgers = QuotaSet(ThrottlePolicy(**policy), account)
        self.clock = ServerClock()
        self.clock.observe(EPOCH, 0.0, 0.0)

    def learn(self, at: float, *limits: RateLimit) -> QuotaSet:
        timed = tuple(limit._replace(reset_in=(limit.reset_in or 0.0) - at) for limit in limits)
        self.ledgers.learn(timed, at, at, self.clock, 0)
        return self.ledgers


# What is used up.


@pytest.mark.parametrize(("remaining", "outstanding"), [(0, 0), (5, 5), (5, 6)])
def test_nothing_left_is_drained(remaining: int, outstanding: int) -> None:
    assert Books().learn(0.0, left(remaining)).are_drained(outstanding)


def test_one_unit_left_is_not_drained() -> None:
    ledgers = Books().learn(0.0, left(6), left(90, bucket="burst"))
    assert not ledgers.are_drained(5)
    assert ledgers.are_drained(6)


# When room is expected.


def test_room_is_expected_at_the_ends_of_the_windows_that_have_nothing_left() -> None:
    ledgers = Books().learn(
        0.0,
        left(0, bucket="spent", end=60.0),
        left(1, bucket="nearly", end=70.0),
        left(50, bucket="plenty", end=80.0),
        left(0, bucket="over", end=5.0),
    )
    assert ledgers.ends(10.0) == pytest.approx([60.0 + FINE + GUARD])
    assert ledgers.resets(10.0) == pytest.approx([60.0 - FINE, 5.0 - FINE])


def test_no_room_is_expected_of_what_was_never_told_or_is_not_believed_any_more() -> None:
    books = Books()
    assert books.learn(0.0, left(None)).ends(1.0) == []
    assert books.ledgers.resets(1.0) == []
    books.learn(1.0, left(0))
    books.ledgers.distrust(at_reset=False)
    assert (books.ledgers.ends(2.0), books.ledgers.resets(2.0)) == ([], [])


# The one policy there is.


def test_where_there_is_one_policy_it_is_at_hand() -> None:
    books = Books()
    assert books.ledgers.only is None
    (ledger,) = books.learn(0.0, left(90)).values()
    assert books.ledgers.only is ledger
    assert books.learn(1.0, left(80), left(9, bucket="burst")).only is None


def test_of_two_policies_the_one_that_stays_is_at_hand() -> None:
    books = Books()
    books.learn(0.0, left(90), left(9, bucket="burst", end=5.0))
    for at in (10.0, 11.0, 12.0):
        books.learn(at, left(80))
    (ledger,) = books.ledgers.values()
    assert books.ledgers.only is ledger


def test_of_limits_that_vanished_none_is_at_hand() -> None:
    books = Books()
    books.learn(0.0, left(90)).vanish()
    assert books.ledgers.only is None
