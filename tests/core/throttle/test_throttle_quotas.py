"""The throttle of a server that announces its limits: what repeats, costs, is logged."""

import pytest

from httpx_resilience import RateLimitLow, ThrottleHeld, ThrottleReleased
from httpx_resilience._core.throttle import GRANTED, WAITING
from support.gates import BROKEN, OUTAGE, Scope, after, delta, granted, left

# Responses that repeat the last one.


def steady() -> Scope:
    """Return a scope whose windows of a minute were seen to be fixed; 990 are left at 180.1."""
    scope = Scope()
    for start in (0.0, 60.0, 120.0, 180.0):
        for nth in range(10):
            now = start + 0.1 + 0.001 * nth
            assert scope.send(now, left(999 - nth, now, start + 60.0))
    return scope


def test_a_policy_that_appears_while_all_else_is_as_it_was_holds_at_once() -> None:
    scope = steady()
    now = 180.2
    assert scope.send(now, left(989, now, 240.0), left(0, now, 200.0, 5, bucket="burst"))
    assert not scope.send(180.21)
    assert [row.bucket for row in scope.rows(180.21)] == [None, "burst"]


def test_what_a_response_does_not_mention_may_be_spent_all_the_same() -> None:
    scope = steady()
    now = 180.2
    burst = left(100, now, 200.0, 100, bucket="burst")
    assert scope.send(now, left(989, now, 240.0), burst)
    for nth in range(50):
        now = 180.201 + 0.001 * nth
        assert scope.send(now, left(988 - nth, now, 240.0))
    assert [row.remaining for row in scope.rows(180.3)] == [939, 50]


def test_a_response_that_repeats_the_last_is_believed_as_to_what_remains() -> None:
    scope = steady()
    assert scope.send(180.12, left(500, 180.12, 240.0))  # others spend, too
    assert scope.row(180.12).remaining == 500
    assert scope.send(180.13, left(30, 180.13, 240.0))
    assert 20 <= granted(scope.ask_for(60, 180.14)) <= 30


def test_a_budget_that_runs_low_among_responses_that_repeat_is_logged_at_once() -> None:
    scope = steady()
    assert scope.send(180.12, left(100, 180.12, 240.0))
    assert not scope.logged(RateLimitLow)
    assert scope.send(180.13, left(99, 180.13, 240.0))
    assert [event.rate_remaining for event in scope.logged(RateLimitLow)] == [99]


def test_nobody_goes_when_others_spent_so_much_that_those_in_flight_take_the_rest() -> None:
    scope = steady()
    flying = scope.ask_for(600, 180.12)
    assert granted(flying) == 600
    scope.answer(flying[0], 180.13, left(500, 180.13, 240.0))
    assert scope.ask(180.14).state == WAITING


def test_a_failure_is_a_failure_whatever_its_headers_repeat() -> None:
    scope = steady()
    flying = scope.ask_for(20, 180.12)
    for ticket in flying[:10]:
        scope.answer(ticket, 180.13, left(980, 180.13, 240.0), failure=BROKEN)
    scope.answer(flying[10], 180.14, left(980, 180.14, 240.0), failure=after(OUTAGE, 1.0))
    waiting = scope.ask_for(50, 180.2)
    assert granted(waiting) == 0
    scope.answer(flying[11], 180.3, failure=BROKEN)
    scope.throttle.tick(181.2)
    assert granted(waiting) < 10


def test_a_response_that_repeats_the_last_may_show_that_abandoned_requests_were_counted() -> None:
    scope = steady()
    scope.throttle.leave(scope.ask(180.11), 180.115, sent=True)
    found = []
    for at, remaining in ((185.0, 900), (185.15, 899)):  # five seconds later, and a little more
        assert scope.send(at, left(remaining, at, 240.0))
        found.append(scope.row(at).remaining)
    assert found == [899, 899]


# Several policies; headers that vanish.


def test_responses_without_headers_use_up_what_was_announced() -> None:
    scope = Scope()
    assert scope.send(0.0, delta(20))
    sent = 0
    while sent < 99 and scope.send(1.0):
        sent += 1
    assert 10 <= sent <= 20


def test_headers_that_vanish_are_forgotten_after_the_reset_and_three_responses() -> None:
    scope = Scope()
    assert scope.send(0.0, delta(0))
    tickets, now = scope.ask_for(30, 1.0), 60.01
    for ticket in tickets:
        scope.throttle.tick(now)
        assert ticket.state == GRANTED, ticket
        scope.answer(ticket, now + 0.1)
        now += 0.2
    assert granted(scope.ask_for(100, now)) == 100


# What a request costs.


def test_a_call_waits_until_there_is_room_for_all_that_it_costs() -> None:
    scope = Scope()
    assert scope.send(0.1, left(30, 0.1, 60.0))
    first, second = scope.ask(0.2, cost=15), scope.ask(0.2, cost=14)
    assert (first.state, second.state) == (GRANTED, WAITING)
    scope.answer(first, 0.3, left(12, 0.3, 60.0))
    assert second.state == WAITING
    scope.answer(scope.throttle.admit_unconditionally(50, 0.4, cost=2), 0.5, left(40, 0.5, 60.0))
    assert second.state == GRANTED


def test_nobody_overtakes_a_call_that_waits_because_it_costs_much() -> None:
    scope = Scope()
    assert scope.send(0.1, left(25, 0.1, 60.0))
    assert scope.ask(0.2, cost=24).state == WAITING
    assert scope.ask(0.2).state == WAITING


@pytest.mark.parametrize("remaining", [12, 900])
def test_a_call_that_is_admitted_unconditionally_takes_what_it_costs(remaining: int) -> None:
    scope = Scope()
    assert scope.send(0.1, left(remaining, 0.1, 60.0))
    ticket = scope.throttle.admit_unconditionally(50, 0.2, cost=5)
    assert scope.row(0.2).remaining == remaining - 5
    scope.throttle.leave(ticket, 0.3, sent=True)
    assert scope.row(0.3).remaining == remaining - 5


@pytest.mark.parametrize(("counted", "asked"), [(0, 15), (14, 1), (15, 1), (20, 1)])
def test_what_is_plenty_is_spent_once(counted: int, asked: int) -> None:
    scope = Scope()
    assert scope.send(0.1, left(25, 0.1, 60.0))  # fifteen of which go without another look
    if counted:
        scope.throttle.admit_unconditionally(50, 0.2, cost=counted)
    gone = counted + asked * (scope.ask(0.2, cost=asked).state == GRANTED)
    gone += granted(scope.ask_for(50, 0.2))
    assert 15 <= gone <= 25


def test_waiting_calls_that_there_is_plenty_for_are_released_by_what_they_cost() -> None:
    scope = Scope()
    first = scope.ask(0.0)
    waiting = [scope.ask(0.0, cost=cost) for cost in (10, 10, 30, 10, 10, 10)]
    scope.answer(first, 0.1, left(65, 0.1, 60.0))
    assert [ticket.state for ticket in waiting] == [GRANTED] * 4 + [WAITING] * 2


def test_a_request_takes_as_many_tokens_of_a_bucket_as_it_costs() -> None:
    scope = Scope()
    for taken in range(1, 15):  # a bucket of 20 that gets one back a second
        announced = delta(20 - taken, limit=20, reset_in=float(taken))
        scope.answer(scope.throttle.admit_unconditionally(taken, 0.0), 0.0, announced)
    assert scope.ask(0.0, cost=4).state == GRANTED
    assert granted(scope.ask_for(4, 0.0)) == 2
    assert scope.row(0.0).held_for == pytest.approx(1.0, abs=0.3)


def test_after_a_failure_a_success_still_shows_what_remains() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, failure=BROKEN)
    assert scope.send(0.3, left(30, 0.3, 60.0))
    assert granted(scope.ask_for(60, 0.4)) <= 30


@pytest.mark.parametrize(("sent", "remaining"), [(True, 899), (False, 900)])
def test_an_exception_after_the_send_may_have_taken_a_unit(sent: bool, remaining: int) -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    scope.throttle.failed(scope.ask(0.2), 0.3, sent=sent)
    assert scope.row(0.4).remaining == remaining


# What is logged.


def test_a_hold_is_logged_once_and_its_end_once() -> None:
    scope = Scope()
    assert scope.send(0.0, delta(0))
    tickets = scope.ask_for(20, 1.0)
    for now in (2.0, 3.0, 59.0):
        scope.throttle.tick(now)
    (held,) = scope.logged(ThrottleHeld)
    assert (held.reason, held.queued, held.delay) == ("exhausted", 1, pytest.approx(59.0, abs=0.1))
    assert not scope.logged(ThrottleReleased)
    scope.throttle.tick(60.1)
    scope.answer(tickets[0], 60.2, delta(99, reset_in=59.9))
    (released,) = scope.logged(ThrottleReleased)
    assert (released.reason, released.elapsed) == ("exhausted", pytest.approx(59.2))


def test_a_budget_that_runs_low_is_logged_once_a_window() -> None:
    scope = Scope(low_below=0.5)
    for at, remaining in ((0.0, 60), (1.0, 49), (2.0, 48), (3.0, 47), (61.0, 40)):
        assert scope.send(at, delta(remaining, reset_in=(60.0 if at < 60.0 else 120.0) - at))
    assert [event.rate_remaining for event in scope.logged(RateLimitLow)] == [49, 40]
