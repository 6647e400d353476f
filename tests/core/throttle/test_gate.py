"""The gate of one scope: cold start, scouts, closing, waiting, ghosts, what it tells."""

import math
from typing import Any

import pytest

from httpx_resilience import (
    ErrorClass,
    RateLimitChanged,
    RateLimitLow,
    ThrottleHeld,
    ThrottleReleased,
)
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.throttle import EXPIRED, GRANTED, WAITING, Ticket
from httpx_resilience._core.throttle.in_flight import ABANDONED
from httpx_resilience._core.throttle.limits.quota import SETTLED
from httpx_resilience._core.throttle.limits.quota_set import MAX_QUOTAS
from httpx_resilience._core.throttle.limits.windows import LONGEST
from support import gates
from support.gates import OUTAGE, REFUSED, after, granted


class Scope(gates.Scope):
    """One whose server tells no Date."""

    def answer(
        self,
        ticket: Ticket,
        now: float,
        *limits: RateLimit,
        failure: Failure | None = None,
    ) -> None:
        self.throttle.observe(ticket, ticket.granted_at, now, Reading(limits), failure)

    def refuse(self, ticket: Ticket, now: float, wait: float) -> None:
        self.answer(ticket, now, failure=after(REFUSED, wait))

    @property
    def in_flight(self) -> int:
        return self.throttle._in_flight.count

    @property
    def queued(self) -> int:
        return len(self.throttle._queue)


def left(remaining: int, *, limit: int = 100, reset_in: float = 60.0, **more: Any) -> RateLimit:
    return RateLimit(limit, remaining, reset_in, None, 0.001, **more)


def drained(**policy: Any) -> Scope:
    """Return a scope whose budget was spent at 0; more comes at 60."""
    scope = Scope(**policy)
    scope.answer(scope.ask(0.0), 0.0, left(0))
    return scope


# Cold start.


def test_the_first_request_goes_alone_and_its_headers_open_the_gate_as_far_as_they_say() -> None:
    scope = Scope()
    tickets = scope.ask_for(50, 0.0)
    assert granted(tickets) == 1
    assert tickets[0].is_probe
    scope.answer(tickets[0], 0.1, left(30))
    kept = 30 - (granted(tickets) - 1)
    assert 1 <= kept <= 10
    assert [t.state for t in tickets] == sorted((t.state for t in tickets), reverse=True)


def test_a_first_request_that_takes_over_a_second_lets_others_go_one_two_four() -> None:
    scope = Scope()
    tickets = scope.ask_for(50, 0.0)
    found = []
    for now in (0.0, 0.99, 1.01, 1.5, 2.02, 3.03, 4.04):
        scope.throttle.tick(now)
        found.append(granted(tickets))
    assert found == [1, 1, 2, 2, 4, 8, 16]


def test_three_successes_without_headers_open_the_gate() -> None:
    scope = Scope()
    tickets = scope.ask_for(50, 0.0)
    scope.answer(tickets[0], 0.1)
    assert granted(tickets[1:]) == 2
    scope.answer(tickets[1], 0.2)
    assert granted(tickets[2:]) == 3
    scope.answer(tickets[2], 0.3)
    assert granted(tickets[3:]) == 47
    assert granted(scope.ask_for(1000, 0.4)) == 1000


def test_failures_without_headers_widen_the_gate_and_do_not_open_it() -> None:
    scope = Scope()
    tickets = scope.ask_for(500, 0.0)
    for number in range(10):
        scope.throttle.failed(tickets[number], 0.01 * number, sent=False)
    assert 11 <= granted(tickets[10:]) + 0 <= 20
    assert scope.queued > 400


def test_the_headers_that_come_at_last_close_an_open_gate() -> None:
    scope = Scope()
    for number in range(3):
        scope.answer(scope.ask(float(number)), number + 0.1)
    tickets = scope.ask_for(20, 5.0)
    assert granted(tickets) == 20
    scope.answer(tickets[0], 5.1, left(19))
    assert scope.ask(5.2).state == WAITING


# Exhausted.


@pytest.mark.parametrize("waiting", [1, 2, 50])
def test_exactly_one_scout_goes_after_the_reset_and_none_before(waiting: int) -> None:
    scope = drained()
    tickets = scope.ask_for(waiting, 1.0)
    scope.throttle.tick(59.999)
    assert granted(tickets) == 0
    scope.throttle.tick(60.01)
    assert granted(tickets) == 1
    assert tickets[0].is_probe
    scope.throttle.tick(60.02)
    assert granted(tickets) == 1
    scope.answer(tickets[0], 60.1, left(99, reset_in=59.9))
    assert granted(tickets[1:]) == waiting - 1


def test_a_call_that_comes_when_the_timer_is_due_does_not_overtake_those_that_wait() -> None:
    scope = drained()
    (waiting,) = scope.ask_for(1, 1.0)
    late = scope.ask(60.01)
    assert (waiting.state, late.state) == (GRANTED, WAITING)


def test_a_scout_that_takes_too_long_is_taken_as_counted_and_another_goes() -> None:
    scope = drained()
    tickets = scope.ask_for(9, 1.0)
    scope.throttle.tick(60.01)
    scope.throttle.tick(60.01 + SETTLED - 0.01)
    assert granted(tickets) == 1
    scope.throttle.tick(60.01 + SETTLED + 0.01)
    assert granted(tickets) == 2


def test_a_scout_that_fails_makes_room_for_the_next() -> None:
    scope = drained()
    tickets = scope.ask_for(3, 1.0)
    scope.throttle.tick(60.01)
    scope.throttle.failed(tickets[0], 60.02, sent=False)
    assert tickets[1].state == GRANTED


def test_the_waiter_at_the_head_keeps_the_time_and_hands_it_on() -> None:
    scope = drained()
    first, second = scope.ask_for(2, 1.0)
    until = scope.throttle.timer_deadline(first)
    assert until is not None
    assert 60.0 <= until <= 60.01
    assert scope.throttle.timer_deadline(second) is None
    scope.ready.clear()
    scope.throttle.leave(first, 2.0, sent=False)
    assert scope.ready == [second]
    assert scope.throttle.timer_deadline(second) == until


def test_a_granted_call_that_is_cancelled_wakes_its_successor() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, left(1, limit=1))
    first, second = scope.ask_for(2, 1.0)
    assert (first.state, second.state) == (GRANTED, WAITING)
    scope.ready.clear()
    scope.throttle.leave(first, 1.0, sent=False)
    assert second.state == GRANTED
    assert scope.ready == [second]


# Closing.


@pytest.mark.parametrize("error_class", [ErrorClass.RATE_LIMITED, ErrorClass.TRANSIENT])
def test_a_refusal_with_a_wait_closes_the_gate_for_all_until_then(error_class: ErrorClass) -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 1.0, failure=after(Failure(error_class, 503, coded=True), 10.0))
    tickets = scope.ask_for(5, 2.0)
    scope.throttle.tick(10.99)
    assert granted(tickets) == 0
    scope.throttle.tick(11.01)
    assert granted(tickets) == 1
    assert scope.told(ThrottleHeld)[-1].reason == "server_hint"


def test_a_permanent_failure_with_a_wait_closes_nothing() -> None:
    scope = Scope()
    ticket = scope.ask(0.0)
    permanent = Failure(ErrorClass.PERMANENT, 429, coded=True)
    scope.answer(ticket, 0.1, left(9), failure=after(permanent, 60.0))
    assert scope.ask(0.2).state == GRANTED


def test_the_longest_closing_counts() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, left(9))
    first, second = scope.ask_for(2, 0.1)
    scope.refuse(first, 1.0, 30.0)
    scope.refuse(second, 1.1, 2.0)
    ticket = scope.ask(2.0)
    scope.throttle.tick(30.9)
    assert ticket.state == WAITING
    scope.throttle.tick(31.1)
    assert ticket.state == GRANTED


def test_a_scope_that_a_server_in_trouble_closed_for_too_long_refuses_at_once() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, failure=after(OUTAGE, 300.0))
    ticket = scope.ask(1.0, max_hint=60.0)
    assert ticket.state == EXPIRED
    assert ticket.retry_at == pytest.approx(300.0, abs=0.1)
    assert scope.ask(250.0, max_hint=60.0).state == WAITING


def test_a_scope_closed_for_its_rate_limit_is_waited_for_however_short_a_hint_may_be() -> None:
    scope = Scope()
    scope.refuse(scope.ask(0.0), 0.0, 300.0)
    assert scope.ask(1.0, max_hint=60.0).state == WAITING
    ticket = scope.ask(1.0, give_up_at=299.0, max_hint=60.0)
    assert ticket.state == EXPIRED
    assert ticket.retry_at == pytest.approx(300.0, abs=0.1)


# Waiting.


def test_a_wait_that_is_certain_to_be_too_long_ends_at_once() -> None:
    scope = drained()
    ticket = scope.ask(1.0, give_up_at=50.0)
    assert ticket.state == EXPIRED
    assert ticket.retry_at == pytest.approx(60.0, abs=0.1)
    assert scope.queued == 0


def test_a_wait_that_may_end_sooner_ends_when_its_time_is_up() -> None:
    scope = Scope()
    scope.ask(0.0)
    ticket = scope.ask(0.0, give_up_at=0.5)
    assert ticket.state == WAITING
    assert scope.throttle.timer_deadline(ticket) == 0.5
    scope.throttle.tick(0.5)
    assert ticket.state == EXPIRED
    assert ticket in scope.ready


def test_a_full_queue_refuses_at_once() -> None:
    scope = drained(max_queue=2)
    assert [ticket.state for ticket in scope.ask_for(3, 1.0)] == [WAITING, WAITING, EXPIRED]


def test_the_reserve_is_left_to_others() -> None:
    scope = Scope(reserve=20)
    scope.answer(scope.ask(0.0), 0.0, left(40))
    count = granted(scope.ask_for(50, 0.1))
    assert 10 <= count <= 20


# Ghosts, and calls that are only counted.


def test_a_request_given_up_after_its_send_counts_until_half_a_minute_is_over() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, left(1, limit=1, reset_in=600.0))
    ticket = scope.ask(1.0)
    scope.throttle.leave(ticket, 2.0, sent=True)
    assert not scope.throttle.is_idle
    waiting = scope.ask(3.0)
    scope.throttle.tick(1.0 + ABANDONED - 0.01)
    assert waiting.state == WAITING
    scope.throttle.tick(1.0 + ABANDONED + 0.01)
    assert waiting.state == GRANTED


def test_a_request_that_was_never_sent_is_given_back() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, left(1, limit=1))
    scope.throttle.failed(scope.ask(1.0), 2.0, sent=False)
    assert scope.ask(2.1).state == GRANTED


def test_a_call_without_a_policy_is_counted_and_not_held() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, left(3, limit=3))
    counted = [scope.throttle.admit_unconditionally(100 + n, 1.0) for n in range(9)]
    assert {ticket.state for ticket in counted} == {GRANTED}
    assert scope.in_flight == 9
    assert scope.ask(1.1).state == WAITING


# Several policies; headers that vanish.


def test_all_policies_must_agree() -> None:
    scope = Scope()
    minute = left(50, limit=100, window=60.0)
    day = left(0, limit=1000, reset_in=3600.0, window=86400.0)
    scope.answer(scope.ask(0.0), 0.0, minute, day)
    ticket = scope.ask(1.0)
    scope.throttle.tick(3599.0)
    assert ticket.state == WAITING
    scope.throttle.tick(3600.1)
    assert ticket.state == GRANTED


def test_answers_without_headers_use_up_what_was_told() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, left(20))
    sent = 0
    while sent < 99 and (ticket := scope.ask(1.0)).state == GRANTED:
        scope.answer(ticket, 1.0)
        sent += 1
    assert 10 <= sent <= 20


def test_headers_that_vanish_are_forgotten_after_the_reset_and_three_answers() -> None:
    scope = drained()
    now = 60.01
    tickets = scope.ask_for(30, 1.0)
    for number in range(30):
        scope.throttle.tick(now)
        assert tickets[number].state == GRANTED, number
        scope.answer(tickets[number], now + 0.1)
        now += 0.2
    assert granted(scope.ask_for(100, now)) == 100


def test_a_policy_that_is_not_mentioned_any_more_is_dropped_after_its_reset() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.0, left(50), left(0, bucket="burst", reset_in=5.0))
    ticket = scope.ask(1.0)
    scope.throttle.tick(5.1)
    now = 5.2
    for _ in range(4):
        assert ticket.state == GRANTED
        scope.answer(ticket, now, left(40))
        ticket = scope.ask(now := now + 6.0)
    assert len(scope.throttle._quotas) == 1


# What it tells.


def test_a_hold_is_told_once_and_its_end_once() -> None:
    scope = drained()
    tickets = scope.ask_for(20, 1.0)
    for now in (2.0, 3.0, 59.0):
        scope.throttle.tick(now)
    (held,) = scope.told(ThrottleHeld)
    assert (held.reason, held.queued, held.delay) == ("exhausted", 1, pytest.approx(59.0, abs=0.1))
    assert not scope.told(ThrottleReleased)
    scope.throttle.tick(60.1)
    scope.answer(tickets[0], 60.2, left(99, reset_in=59.9))
    (released,) = scope.told(ThrottleReleased)
    assert (released.reason, released.elapsed) == ("exhausted", pytest.approx(59.2))


def test_a_limit_that_appears_or_changes_is_told() -> None:
    scope = Scope()
    for limit in (100, 100, 50):
        scope.answer(scope.ask(0.0), 0.0, left(40, limit=limit))
    found = [(event.previous, event.rate_limit) for event in scope.told(RateLimitChanged)]
    assert found == [(None, 100), (100, 50)]


def test_a_budget_that_runs_low_is_told_once_a_window() -> None:
    scope = Scope(low_below=0.5)
    for at, remaining in ((0.0, 60), (1.0, 49), (2.0, 48), (3.0, 47)):
        scope.answer(scope.ask(at), at, left(remaining, reset_in=60.0 - at))
    assert [event.rate_remaining for event in scope.told(RateLimitLow)] == [49]
    scope.answer(scope.ask(61.0), 61.0, left(40, reset_in=59.0))
    assert [event.rate_remaining for event in scope.told(RateLimitLow)] == [49, 40]


def test_a_scope_that_nothing_waits_for_is_idle() -> None:
    scope = Scope()
    ticket = scope.ask(0.0)
    assert not scope.throttle.is_idle
    scope.answer(ticket, 0.1, left(50))
    assert scope.throttle.is_idle


def test_a_server_that_asks_for_ever_is_asked_again_after_a_day() -> None:
    scope = Scope()
    scope.refuse(scope.ask(0.0), 1.0, math.inf)
    assert scope.ask(2.0, give_up_at=602.0).state == EXPIRED
    assert scope.ask(LONGEST / 2, give_up_at=LONGEST - 1.0).state == EXPIRED
    assert scope.ask(LONGEST + 2.0, give_up_at=LONGEST + 602.0).state == GRANTED


def test_a_server_that_names_a_new_bucket_each_time_does_not_make_the_scope_grow() -> None:
    scope = Scope()
    for number in range(300):
        limit = RateLimit(
            limit=10, remaining=9, reset_in=1e6, granularity=1.0, bucket=f"bucket-{number}"
        )
        scope.answer(
            scope.throttle.admit_unconditionally(number, float(number)), number + 0.1, limit
        )
    names = {row.bucket for row in scope.throttle.status(300.0)}
    assert len(names) == MAX_QUOTAS
    assert "bucket-299" in names
