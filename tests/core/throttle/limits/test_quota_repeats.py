"""A response that differs from the last in what remains alone: when it is one, what it teaches."""

from typing import Any

import pytest

from core.throttle.books import ask, held_until
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import FIXED, MAX_PROBES, UNKNOWN
from support.gates import EPOCH, left

AT = 180.1
END = 240.0


class Book:
    """A quota whose windows of a minute begin with one request each, the last at AT."""

    def __init__(
        self,
        starts: tuple[float, ...] = (0.0, 60.0, 120.0, 180.0),
        **changed: Any,
    ) -> None:
        self.quota, self.clock = Quota(), ServerClock()
        for start in starts:
            now = start + 0.1
            self.observe(left(999, now, start + 60.0)._replace(**changed), now)
        self.quota.mark_low(100)

    def observe(self, announced: RateLimit, at: float = AT) -> None:
        self.clock.observe(EPOCH + at // 1, at, at)
        self.quota.observe(announced, at, at, self.clock, 0)

    def repeat(
        self,
        remaining: int | None,
        sent: float = AT,
        received: float = AT,
        outstanding: int = 0,
        **changed: Any,
    ) -> int:
        announced = left(0, received, END)._replace(remaining=remaining, **changed)
        return self.quota.repeat(announced, sent, received, self.clock.version, outstanding)


def test_what_may_go_without_a_look_is_what_remains_less_what_may_be_taken_already() -> None:
    book = Book()
    assert book.quota.kind == FIXED
    assert book.repeat(998) == 998 - MAX_PROBES
    assert book.repeat(997, outstanding=40) == 957 - MAX_PROBES
    book.quota.reserve = 7
    assert book.repeat(996) == 989 - MAX_PROBES
    assert book.quota.remaining == 996
    assert book.repeat(500, outstanding=600) == 0


@pytest.mark.parametrize(
    ("changed", "short"),
    [
        ({}, True),
        ({"remaining": 101}, True),
        ({"remaining": 100}, False),  # low: others look at it, too
        ({"remaining": None}, False),
        ({"limit": 2000}, False),
        ({"reset_in": 59.0}, False),
        ({"reset_at": EPOCH + END + 1.0}, False),
        ({"bucket": "b"}, False),
        ({"received": AT - 0.001}, False),  # received before the last was sent
        ({"received": AT + 0.249}, True),
        ({"received": AT + 0.25}, False),
    ],
)
def test_a_response_is_taken_the_short_way_if_little_else_changed(
    changed: dict[str, Any], short: bool
) -> None:
    book = Book()
    assert (book.repeat(**{"remaining": 998, **changed}) != -1) is short
    assert book.quota.remaining == (changed.get("remaining", 998) if short else 999)


def test_a_response_is_taken_the_long_way_when_the_servers_clock_turned_out_wrong() -> None:
    book = Book()
    book.clock.version += 1
    assert book.repeat(998) == -1


def test_a_response_is_taken_the_long_way_while_it_may_be_of_a_bucket() -> None:
    book = Book(starts=(180.0,))
    book.quota.started(AT, 0, cost=100)  # nobody else spends of it
    book.observe(left(997, AT, END))
    assert book.quota.kind == UNKNOWN
    assert book.repeat(996) == -1
    book.observe(left(900, AT, END))  # a bucket would take longer to be full again
    assert book.repeat(899) == 899 - MAX_PROBES


def test_resets_that_are_no_instants_are_taken_the_long_way() -> None:
    book = Book(reset_at=None)
    assert book.quota.kind == FIXED
    assert book.repeat(998, reset_at=None) == -1


@pytest.mark.parametrize(
    "before",
    [
        # Of several servers, one is ahead.
        lambda book: [book.observe(left(998, AT, end)) for end in (END + 60.0, END)],
        lambda book: book.observe(left(0, AT, END)._replace(remaining=None)),
        lambda book: book.quota.distrust(at_reset=False),
    ],
)
def test_after_a_response_that_is_not_like_the_others_the_next_is_taken_the_long_way(
    before: Any,
) -> None:
    book = Book()
    before(book)
    assert book.repeat(996) == -1


@pytest.mark.parametrize(("sent", "unseen"), [(AT + 0.01, 1), (AT + 0.02, 0), (AT + 0.03, 0)])
def test_one_that_did_not_mention_the_policy_is_counted_until_one_was_sent_after_it(
    sent: float, unseen: int
) -> None:
    book = Book()
    book.quota.miss(AT + 0.02)
    book.quota.unmentioned = 2
    assert book.repeat(998, sent, AT + 0.04) == 998 - unseen - MAX_PROBES
    assert book.quota.left(0) == 998 - unseen
    assert book.quota.unmentioned == 0  # the policy is mentioned, if the short way


@pytest.mark.parametrize(
    ("responses", "remaining"),
    [
        ([(500, 0.0, 0.02), (900, 0.01, 0.03)], 500),
        ([(500, 0.0, 0.02), (900, 0.01, 0.03), (899, 0.02, 0.04)], 500),
        ([(500, 0.0, 0.02), (900, 0.01, 0.03), (899, 0.025, 0.04)], 899),
        # One that is processed late is kept as if received when the one before was.
        ([(900, 0.0, 0.04), (500, 0.01, 0.02), (899, 0.03, 0.05)], 500),
        ([(900, 0.0, 0.04), (500, 0.01, 0.02), (899, 0.03, 0.05), (898, 0.045, 0.06)], 898),
    ],
)
def test_the_least_counts_until_a_response_was_sent_after_it_was_received(
    responses: list[tuple[int, float, float]], remaining: int
) -> None:
    book = Book()
    for each, sent, received in responses:
        assert book.repeat(each, AT + sent, AT + received) != -1
    assert book.quota.remaining == remaining


def test_a_response_is_taken_the_long_way_while_others_spend_too() -> None:
    book = Book()
    book.observe(left(900, AT, END))
    assert book.quota.fast_path_credit(0) == 0
    assert book.repeat(899) == -1


def test_each_response_counts_as_one_for_how_fast_units_come_back() -> None:
    book = Book(starts=(180.0,))
    book.quota.distrust(at_reset=False)
    book.quota.started(AT, 0, cost=100)  # nobody else spends of it
    for remaining in (997, 900):
        book.observe(left(remaining, AT, END))
    for nth in range(1, 4):
        assert book.repeat(900 - nth, AT + 0.01 * nth, AT + 0.01 * nth) > 0
    book.observe(left(994, AT + 0.6, END), AT + 0.6)  # five went, three are missing
    book.observe(left(2, AT + 0.7, END), AT + 0.7)
    book.quota.started(AT + 0.7, 1)
    trickles_at = AT + 0.7 + 0.6 / (0.97 * 2)
    assert held_until(ask(book.quota, AT + 0.7, 1)) == pytest.approx(trickles_at)
