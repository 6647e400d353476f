"""One policy's evidence: what is left, when more is certain, what kind of window it is."""

import math
from typing import Any

import pytest

from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import GUARD, Quota
from httpx_resilience._core.throttle.limits.windows import (
    BUCKET,
    FIXED,
    INDETERMINATE,
    LOG,
    SLIDING_COUNTER,
    UNKNOWN,
)
from simulation.servers import LIMITERS

FINE = 0.001


class Book:
    """A ledger that is told of answers in few words; there is no latency unless stated."""

    def __init__(self, unit: str = "requests", **state: Any) -> None:
        self.ledger = Quota(unit)
        self.clock = ServerClock()
        for name, value in state.items():
            setattr(self.ledger, name, value)

    def told(
        self,
        remaining: int | None,
        sent: float,
        received: float | None = None,
        *,
        limit: int | None = 100,
        reset: float | None = 60.0,
        outstanding: int = 0,
        granularity: float = FINE,
    ) -> Quota:
        """Tell of an answer; ``reset`` is when the window ends."""
        at = sent if received is None else received
        reset_in = None if reset is None else max(0.0, reset - at)
        limits = RateLimit(limit, remaining, reset_in, None, granularity)
        self.ledger.observe(limits, sent, at, self.clock, outstanding)
        return self.ledger

    def is_open(self, now: float, outstanding: int = 0, settles_at: float = -math.inf) -> bool:
        return self.ledger.verdict(now, outstanding, settles_at).is_open


# Rule 1: the evidence.


def test_what_is_left_is_the_least_of_the_responses_received_since_the_latest_send() -> None:
    book = Book()
    assert book.told(9, 0.0, 1.0).remaining == 9
    assert book.told(7, 0.5, 1.5).remaining == 7
    assert book.told(8, 0.6, 1.6).remaining == 7  # processed earlier, told later
    assert book.told(5, 1.55, 2.0).remaining == 5
    assert book.told(50, 2.5, 3.0).remaining == 50  # sent after all others had come back


def test_an_answer_older_than_the_evidence_is_no_evidence() -> None:
    book = Book()
    book.told(20, 5.0, 6.0)
    assert book.told(3, 1.0, 4.0).remaining == 20


def test_an_answer_told_late_is_kept_rather_longer() -> None:
    book = Book()
    book.told(30, 0.0, 10.0)
    book.told(10, 1.0, 9.0)  # the driver came to it only now
    assert book.ledger.remaining == 10
    assert book.told(40, 9.5, 11.0).remaining == 10  # and not dropped for a send at 9.5
    assert book.told(40, 10.5, 12.0).remaining == 40


def test_what_is_in_flight_reserved_or_unseen_is_not_left() -> None:
    book = Book(reserve=2)
    book.told(20, 0.0)
    assert book.ledger.left(0) == 18
    assert book.ledger.left(5) == 13
    book.ledger.miss(1.0)
    book.ledger.miss(1.5)
    assert book.ledger.left(5) == 11
    assert book.told(15, 2.0).left(0) == 13  # sent after them: it has counted them


def test_an_answer_sent_before_one_without_headers_does_not_count_it_in() -> None:
    book = Book()
    book.told(20, 0.0)
    book.ledger.miss(2.0)
    assert book.told(19, 1.0, 3.0).left(0) == 18


# Rules 2 and 3: resets.


def test_evidence_with_units_left_stays_good_past_its_reset() -> None:
    book = Book()
    book.told(50, 0.0)
    assert book.is_open(1e6)
    assert not book.ledger.verdict(1e6, 0, -math.inf).is_probe


def test_a_reset_in_seconds_from_now_lies_between_the_send_and_the_receipt() -> None:
    ledger = Quota()
    told = RateLimit(10, 0, 30.0, None, 1.0)
    ledger.observe(told, 100.0, 100.4, ServerClock(), 0)
    assert ledger.reset_low == pytest.approx(129.0)
    assert ledger.reset_high == pytest.approx(131.4 + GUARD)


def test_a_reset_in_epoch_seconds_is_as_exact_as_the_servers_clock_is_known() -> None:
    ledger, clock = Quota(), ServerClock()
    clock.observe(1_700_000_000.0, 100.0, 100.2)
    ledger.observe(RateLimit(10, 0, 30.0, 1_700_000_030.0, 1.0), 100.0, 100.2, clock, 0)
    assert ledger.reset_low == pytest.approx(128.0, abs=0.01)  # dated as late as 0.999 s before
    assert ledger.reset_high == pytest.approx(131.2 + GUARD, abs=0.01)


def test_nothing_goes_while_none_is_left_and_one_scout_when_the_reset_is_certain() -> None:
    book = Book()
    book.told(0, 0.0, reset=60.0)
    high = book.ledger.reset_high
    early = book.ledger.verdict(high - 1e-6, 0, -math.inf)
    assert (early.is_open, early.retry_at) == (False, high)
    due = book.ledger.verdict(high, 0, -math.inf)
    assert (due.is_open, due.is_probe) == (True, True)
    waits = book.ledger.verdict(high, 1, high + 5.0)
    assert not waits.is_open
    assert waits.retry_at >= high + 5.0


def test_an_unknown_reset_is_scouted_ever_more_rarely_up_to_a_minute() -> None:
    book = Book()
    at, gaps = 0.0, []
    for _ in range(9):
        book.told(0, at, reset=None)
        gaps.append(book.ledger.reset_high - GUARD - at)
        at = book.ledger.reset_high
    assert gaps[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0], rel=0.05)
    assert gaps[-1] == pytest.approx(60.0, rel=0.05)
    book.told(5, at, reset=None)
    book.told(0, at + 1, reset=None)
    assert book.ledger.reset_high - GUARD - at - 1 <= 2.1  # begun anew


def test_a_stated_window_bounds_the_wait_from_its_first_answer() -> None:
    book = Book(window=10.0)
    book.told(1, 100.0, reset=109.0, granularity=5.0)
    book.told(0, 101.0, reset=109.0, granularity=5.0)
    assert book.ledger.reset_high == pytest.approx(110.0 + GUARD)


# Rule 4: units kept back.


def test_a_few_units_are_kept_back_and_released_by_the_end_of_the_window() -> None:
    book = Book()
    book.told(60, 0.0, reset=60.0, granularity=1.0)
    ledger = book.ledger
    kept = ledger._held(0.0)
    assert 1 <= kept <= 10
    ledger = book.told(kept, 1.0, reset=60.0, granularity=1.0)
    assert not book.is_open(2.0)
    held = [ledger._held(at) for at in (2.0, 59.9, 60.3, 60.6, 62.0)]
    assert held == sorted(held, reverse=True)
    assert held[-1] == 0
    step = ledger.verdict(2.0, 0, -math.inf).retry_at
    assert 59.0 < step < ledger.reset_high
    assert book.is_open(ledger.reset_high + 0.001)


def test_a_limit_of_one_keeps_nothing_back() -> None:
    book = Book()
    book.told(1, 0.0, limit=1)
    assert book.is_open(0.1)


# What kind of window it is.


def window(book: Book, index: int, *, first: int = 99) -> None:
    """Spend a fixed window of 100 per 60 s from its beginning to its end."""
    start = 60.0 * index
    book.told(first, start + 0.1, reset=start + 60)
    book.told(0, start + 20, reset=start + 60)


def test_two_windows_that_give_back_everything_are_fixed() -> None:
    book = Book()
    for index, kind in enumerate((UNKNOWN, UNKNOWN, FIXED, FIXED)):
        window(book, index)
        assert book.ledger.kind == kind


def test_a_reset_that_gives_back_a_part_and_moves_a_little_is_a_log() -> None:
    book = Book()
    book.told(99, 0.0, reset=60.0)
    book.told(0, 30.0, reset=60.0)
    book.told(0, 60.1, reset=61.0)
    assert book.ledger.kind == LOG


def test_a_reset_that_gives_back_a_part_and_moves_by_a_window_is_weighted() -> None:
    book = Book()
    book.told(99, 0.0, reset=60.0)
    book.told(0, 30.0, reset=60.0)
    book.told(1, 61.0, reset=120.0)
    assert book.ledger.kind == SLIDING_COUNTER


def test_a_weighted_window_without_units_waits_beyond_its_reset() -> None:
    book = Book()
    book.told(99, 0.0, reset=60.0)
    book.told(0, 61.0, reset=120.0)
    assert book.ledger.kind == SLIDING_COUNTER
    assert book.ledger.reset_high >= 120.0 + 1.2 * 60 / 100


def test_a_reset_that_moves_before_it_could_be_over_is_moving() -> None:
    book = Book()
    book.told(50, 0.0, reset=60.0)
    book.told(49, 10.0, reset=70.0)
    assert book.ledger.kind == INDETERMINATE


def test_a_bucket_is_recognised_by_its_resets_and_needs_no_scout() -> None:
    book, server, at = Book(), LIMITERS["bucket_full"](20, 20.0), 0.0
    for _ in range(20):
        book.ledger.took(at, 1)
        answer = server.take(at)
        book.told(answer.remaining, at, at + 0.001, limit=20, reset=answer.reset)
        at += 0.01
    assert book.ledger.kind == BUCKET
    verdict = book.ledger.verdict(at, 0, at + 5)
    assert not verdict.is_open
    assert at < verdict.retry_at < at + 2.5  # a token a second
    later = book.ledger.verdict(verdict.retry_at, 0, math.inf)
    assert (later.is_open, later.is_probe) == (True, False)
    assert server.take(verdict.retry_at).accepted


def test_a_refusal_voids_the_evidence_and_makes_it_careful() -> None:
    book = Book()
    for index in range(3):
        window(book, index)
    book.ledger.distrust(at_reset=False)
    assert (book.ledger.kind, book.ledger.has_evidence) == (INDETERMINATE, False)
    assert book.ledger.penalty == 0.25
    for _ in range(9):
        book.ledger.distrust(at_reset=True)
    assert (book.ledger.kind, book.ledger.penalty) == (SLIDING_COUNTER, 1.0)


def test_a_changed_limit_is_taken_at_once_and_its_window_learned_anew() -> None:
    book = Book()
    for index in range(3):
        window(book, index)
    assert book.ledger.kind == FIXED
    assert book.told(5, 141.0, limit=10, reset=180.0).limit == 10
    assert book.ledger.kind == UNKNOWN
    assert not book.is_open(142.0, outstanding=5)
    assert book.told(900, 143.0, limit=1000, reset=180.0).remaining == 900
    assert book.is_open(144.0, outstanding=5)


def test_other_units_hold_calls_back_only_while_none_is_left() -> None:
    book = Book("tokens")
    book.told(1, 0.0, limit=10_000)
    assert book.is_open(1.0, outstanding=50)
    book.told(0, 2.0, limit=10_000)
    assert not book.is_open(3.0)
    assert book.is_open(book.ledger.reset_high)


def test_an_answer_that_names_no_remainder_is_no_evidence() -> None:
    book = Book()
    book.told(None, 0.0)
    assert (book.ledger.has_evidence, book.ledger.limit) == (False, 100)


def test_a_limit_of_zero_opens_nothing_before_its_reset_and_divides_nothing() -> None:
    book = Book()
    book.told(0, 0.0, limit=0, reset=60.0)
    assert not book.is_open(30.0)
    assert book.is_open(book.ledger.reset_high)
