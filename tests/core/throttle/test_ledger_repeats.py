"""A response that differs from the last in what remains alone: when it is one, what it teaches."""

from typing import Any

import pytest

from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import MAX_PROBES, Quota
from httpx_resilience._core.throttle.limits.windows import FIXED, INDETERMINATE, UNKNOWN
from support.gates import EPOCH, left

AT = 180.1
END = 240.0


class Book:
    """A ledger whose windows of a minute begin with one request each; it is told the last at AT."""

    def __init__(self, starts: tuple[float, ...] = (0.0, 60.0, 120.0, 180.0), **more: Any) -> None:
        self.ledger, self.clock = Quota(more.get("unit", "requests")), ServerClock()
        for start in starts:
            now = start + 0.1
            self.observe(left(999, now, start + 60.0, **more), now)
        self.ledger.low_mark = 100

    def observe(self, told: RateLimit, sent: float, received: float | None = None) -> None:
        at = sent if received is None else received
        self.clock.observe(EPOCH + at // 1, sent, at)
        self.ledger.observe(told, sent, at, self.clock, 0)

    def repeat(
        self,
        remaining: int | None,
        sent: float = AT,
        received: float = AT,
        outstanding: int = 0,
        **changed: Any,
    ) -> int:
        told = left(0, received, END)._replace(remaining=remaining, **changed)
        return self.ledger.repeat(told, sent, received, self.clock.version, outstanding)


def test_what_may_go_without_a_look_is_what_remains_less_what_may_be_taken_already() -> None:
    book = Book()
    assert (book.ledger.kind, book.ledger._bucket.is_refuted) == (FIXED, False)
    assert book.repeat(998) == 998 - MAX_PROBES
    assert book.repeat(997, outstanding=40) == 957 - MAX_PROBES
    book.ledger.reserve = 7
    assert book.repeat(996) == 989 - MAX_PROBES
    assert book.ledger.remaining == 996
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
        ({"received": AT - 0.001}, False),  # an old story
        ({"received": AT + 0.249}, True),
        ({"received": AT + 0.25}, False),
    ],
)
def test_a_response_is_taken_the_short_way_if_little_else_changed(
    changed: dict[str, Any], short: bool
) -> None:
    book = Book()
    assert (book.repeat(**{"remaining": 998, **changed}) != -1) is short
    assert book.ledger.remaining == (changed.get("remaining", 998) if short else 999)


def test_a_response_is_taken_the_long_way_when_the_servers_clock_turned_out_wrong() -> None:
    book = Book()
    book.clock.version += 1
    assert book.repeat(998) == -1


def test_a_response_is_taken_the_long_way_while_it_may_be_a_bucket() -> None:
    book = Book(starts=(180.0,))
    assert book.ledger.kind == UNKNOWN
    assert book.repeat(998) == -1
    book.ledger._bucket.is_refuted = True
    book.ledger.kind = INDETERMINATE
    book.observe(left(998, AT, END), AT)
    assert book.repeat(997) == 997 - MAX_PROBES


@pytest.mark.parametrize("more", [{"unit": "tokens"}, {"reset_at": None}])
def test_other_units_and_resets_that_are_no_instants_are_taken_the_long_way(
    more: dict[str, Any],
) -> None:
    book = Book(starts=(180.0,))
    book.ledger.kind = FIXED
    book.ledger.unit = more.get("unit", "requests")
    book.observe(left(998, AT, END)._replace(**more), AT)
    assert book.repeat(997, **more) == -1


def test_a_response_is_taken_the_long_way_while_two_ends_are_possible() -> None:
    book = Book()
    book.observe(left(998, AT, END + 60.0), AT)  # of several servers, one is ahead
    book.observe(left(997, AT, END), AT)
    assert book.repeat(996) == -1


def test_a_response_without_a_remainder_sends_the_next_one_the_long_way() -> None:
    book = Book()
    book.observe(left(0, AT, END)._replace(remaining=None), AT)
    assert book.repeat(998) == -1


def test_a_response_after_a_refusal_is_taken_the_long_way() -> None:
    book = Book()
    book.ledger.distrust(at_reset=False)
    assert book.repeat(998) == -1
    assert not book.ledger.has_evidence


@pytest.mark.parametrize(("sent", "unseen"), [(AT + 0.01, 1), (AT + 0.02, 0), (AT + 0.03, 0)])
def test_one_that_did_not_mention_the_policy_is_counted_until_one_was_sent_after_it(
    sent: float, unseen: int
) -> None:
    book = Book()
    book.ledger.miss(AT + 0.02)
    assert book.repeat(998, sent, AT + 0.04) == 998 - unseen - MAX_PROBES
    assert book.ledger.left(0) == 998 - unseen


def test_a_response_that_is_taken_the_short_way_mentions_its_policy() -> None:
    book = Book()
    book.ledger.unmentioned = 2
    assert book.repeat(998) > 0
    assert book.ledger.unmentioned == 0


def test_the_least_counts_until_a_response_was_sent_after_it_was_told() -> None:
    book = Book()
    book.repeat(500, AT, AT + 0.02)
    book.repeat(900, AT + 0.01, AT + 0.03)
    assert book.ledger.remaining == 500
    book.repeat(899, AT + 0.025, AT + 0.04)
    assert book.ledger.remaining == 899


def test_a_response_that_is_told_late_is_kept_rather_longer() -> None:
    book = Book()
    book.repeat(900, AT, AT + 0.04)
    book.repeat(500, AT + 0.01, AT + 0.02)  # the driver came to it only now
    book.repeat(899, AT + 0.03, AT + 0.05)
    assert book.ledger.remaining == 500
    book.repeat(898, AT + 0.045, AT + 0.06)
    assert book.ledger.remaining == 898


def test_each_response_counts_as_one_for_how_fast_units_come_back() -> None:
    book = Book()
    book.ledger._tau = 0.0
    for nth in range(1, 4):
        assert book.repeat(999 - nth, AT + 0.01 * nth, AT + 0.01 * nth) > 0
    book.observe(left(997, AT + 0.6, END), AT + 0.6)  # four went, two are missing
    assert book.ledger._unit_time() == pytest.approx(0.6 / (0.97 * 2))
