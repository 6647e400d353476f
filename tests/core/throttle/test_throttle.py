"""The throttle of one scope: who goes, who waits, who keeps the time, who gives up."""

import math
from collections.abc import Callable

import pytest

from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING
from httpx_resilience._core.throttle.in_flight import ABANDONED
from httpx_resilience._core.throttle.limits.windows import SETTLED
from support.gates import OUTAGE, REFUSED, Scope, after, delta, granted, left


def drained(**policy: object) -> Scope:
    """Return a scope whose budget was spent at 0; more comes at 60."""
    scope = Scope(**policy)
    assert scope.send(0.0, delta(0))
    return scope


# Cold start.


def test_the_first_request_goes_alone_and_its_headers_open_the_scope_as_far_as_they_say() -> None:
    scope = Scope()
    tickets = scope.ask_for(50, 0.0)
    assert granted(tickets) == 1
    assert tickets[0].is_probe
    scope.answer(tickets[0], 0.1, delta(30))
    kept = 30 - granted(tickets)
    assert 1 <= kept <= 10
    assert [t.state for t in tickets[1:]] == sorted((t.state for t in tickets[1:]), reverse=True)


def test_three_successes_without_headers_open_the_scope() -> None:
    scope = Scope()
    tickets = scope.ask_for(50, 0.0)
    found = []
    for nth in range(3):
        scope.answer(tickets[nth], 0.1 * nth + 0.1)
        found.append(granted(tickets[nth + 1 :]))
    assert found == [2, 3, 47]
    assert granted(scope.ask_for(1000, 0.4)) == 1000


def test_the_headers_that_come_at_last_close_an_open_scope() -> None:
    scope = Scope()
    for at in range(3):
        assert scope.send(float(at))
    tickets = scope.ask_for(20, 5.0)
    assert granted(tickets) == 20
    scope.answer(tickets[0], 5.1, delta(19))
    assert scope.ask(5.2).state == WAITING


def test_a_call_goes_beside_the_first_one_that_is_admitted_unconditionally() -> None:
    scope = Scope()
    scope.throttle.admit_unconditionally(50, 0.0)
    first, second = scope.ask_for(2, 0.1)
    assert (first.state, second.state) == (GRANTED, WAITING)
    assert scope.deadline(second) == 1.1


# Exhausted.


@pytest.mark.parametrize("waiting", [1, 2, 50])
def test_exactly_one_probe_goes_after_the_reset_and_none_before(waiting: int) -> None:
    scope = drained()
    tickets = scope.ask_for(waiting, 1.0)
    found = []
    for now in (59.999, 60.01, 60.02):
        scope.throttle.tick(now)
        found.append(granted(tickets))
    assert found == [0, 1, 1]
    assert tickets[0].is_probe
    scope.answer(tickets[0], 60.1, delta(99, reset_in=59.9))
    assert granted(tickets[1:]) == waiting - 1


def test_a_probe_that_fails_makes_room_for_the_next() -> None:
    scope = drained()
    tickets = scope.ask_for(3, 1.0)
    scope.throttle.tick(60.01)
    scope.throttle.failed(tickets[0], 60.02, sent=False)
    assert tickets[1].state == GRANTED


def test_a_probe_that_finds_no_headers_admits_two() -> None:
    scope = drained()
    tickets = scope.ask_for(9, 1.0)
    scope.throttle.tick(60.1)
    scope.answer(tickets[0], 60.2)
    assert granted(tickets[1:]) == 2


def test_a_call_that_goes_because_there_is_plenty_is_no_probe() -> None:
    scope = Scope()
    first = scope.ask(0.1)
    scope.answer(first, 0.1, left(900, 0.1, 60.0))
    second = scope.ask(0.2)
    assert (first.is_probe, second.is_probe) == (True, False)
    scope.answer(second, 0.2, left(899, 0.2, 60.0))
    assert not scope.ask(0.3).is_probe


# Who goes first, and who is woken.


@pytest.mark.parametrize(
    "ask_again",
    [
        lambda scope, flying: scope.throttle.tick(60.01),
        lambda scope, flying: scope.answer(flying, 0.4, left(0, 0.4, 60.0)),
        lambda scope, flying: scope.throttle.failed(flying, 0.4, sent=True),
        lambda scope, flying: None,  # the timer is due, and nobody came to it yet
    ],
)
def test_a_call_that_comes_late_does_not_overtake_those_that_wait(
    ask_again: Callable[..., None],
) -> None:
    scope = drained()
    flying = scope.throttle.admit_unconditionally(50, 0.2)
    first = scope.ask(0.3)
    ask_again(scope, flying)
    assert scope.ask(60.02).state == WAITING
    assert first.order < 50
    scope.throttle.tick(70.0)
    assert first.state == GRANTED


def test_the_waiter_at_the_head_keeps_the_time_and_hands_it_on() -> None:
    scope = drained()
    first, second = scope.ask_for(2, 1.0)
    until = scope.deadline(first)
    assert 60.0 <= until <= 60.01
    assert scope.throttle.timer_deadline(second) is None
    scope.ready.clear()
    scope.throttle.leave(first, 2.0, sent=False)
    assert scope.ready == [second]
    assert scope.deadline(second) == until


def test_a_retry_that_goes_before_the_head_keeps_the_time() -> None:
    scope = drained()
    head = scope.ask(1.0)
    retry = scope.throttle.reserve(0, 1.1, math.inf)
    assert scope.throttle.timer_deadline(head) is None
    assert 60.0 <= scope.deadline(retry) <= 60.01


def test_who_keeps_the_time_is_woken_when_it_is_sooner_and_not_when_it_is_later() -> None:
    scope = drained()
    first = scope.ask(1.0)
    scope.ready.clear()
    scope.ask(1.1, give_up_at=70.0)
    scope.throttle.tick(1.2)
    assert scope.ready == []
    scope.throttle.admit_unconditionally(50, 1.25)  # what is in flight may bring room sooner
    scope.ask(1.3, give_up_at=30.0)
    assert scope.ready == [first]
    assert scope.deadline(first) == 30.0


def test_a_granted_call_that_is_cancelled_wakes_its_successor() -> None:
    scope = Scope()
    assert scope.send(0.0, delta(1, limit=1))
    first, second = scope.ask_for(2, 1.0)
    assert (first.state, second.state) == (GRANTED, WAITING)
    scope.ready.clear()
    scope.throttle.leave(first, 1.0, sent=False)
    assert second.state == GRANTED
    assert scope.ready == [second]


def test_a_ticket_knows_when_its_call_came() -> None:
    scope = Scope()
    scope.ask(0.0)
    ticket = scope.ask(0.5)
    scope.throttle.tick(2.0)
    assert (ticket.state, ticket.arrived_at, ticket.granted_at) == (GRANTED, 0.5, 2.0)
    assert ticket.home is scope.throttle


# Who gives up.


def test_a_wait_that_is_certain_to_be_too_long_ends_at_once() -> None:
    scope = drained()
    ticket = scope.ask(1.0, give_up_at=50.0)
    assert ticket.state == EXPIRED
    assert ticket.retry_at == pytest.approx(60.0, abs=0.1)
    assert scope.row(1.0).queued == 0


def test_a_wait_that_may_end_sooner_ends_when_its_time_is_up() -> None:
    scope = Scope()
    scope.ask(0.0)
    ticket = scope.ask(0.0, give_up_at=0.5)
    assert ticket.state == WAITING
    assert scope.deadline(ticket) == 0.5
    scope.throttle.tick(0.5)
    assert (ticket.state, ticket.retry_at) == (EXPIRED, None)  # nothing is known of a time
    assert ticket in scope.ready


def test_who_gives_up_while_others_keep_the_time_is_woken() -> None:
    scope = Scope()
    scope.ask_for(2, 0.0)
    ticket = scope.ask(0.1, give_up_at=0.5)
    scope.ready.clear()
    scope.throttle.tick(0.5)
    assert ticket.state == EXPIRED
    assert ticket in scope.ready


@pytest.mark.parametrize(("remaining", "is_known"), [(2, False), (0, True)])
def test_a_call_that_gives_up_knows_when_there_should_be_room(
    remaining: int, is_known: bool
) -> None:
    scope = Scope()
    assert scope.send(0.1, left(remaining, 0.1, 60.0))
    scope.throttle.admit_unconditionally(10, 0.2)  # what is in flight may bring room sooner
    ticket = scope.ask(0.3, give_up_at=5.0)
    scope.throttle.tick(5.0)
    assert ticket.state == EXPIRED
    if is_known:
        assert 60.0 <= (ticket.retry_at or 0.0) <= 61.1
    else:
        assert ticket.retry_at is None  # two are left, by what was announced


def test_a_full_queue_refuses_at_once_and_says_when_the_scope_opens_again() -> None:
    scope = drained(max_queue=2)
    assert [ticket.state for ticket in scope.ask_for(3, 1.0)] == [WAITING, WAITING, EXPIRED]
    more = scope.throttle.reserve(9, 1.0, math.inf, max_queue=3)  # a call's own bound
    assert more.state == WAITING
    scope = Scope(max_queue=1)
    assert scope.send(0.1, failure=after(REFUSED, 30.0))
    scope.ask(0.2)
    refused = scope.ask(0.2)
    assert refused.state == EXPIRED
    assert 30.1 <= (refused.retry_at or 0.0) <= 30.2


def test_a_waiting_ticket_that_is_taken_back_has_left() -> None:
    scope = Scope()
    ticket = scope.ask_for(2, 0.0)[1]
    scope.throttle.leave(ticket, 0.1, sent=False)
    assert (ticket.state, scope.row(0.1).queued) == (LEFT, 0)


# Who keeps the time goes when it comes, and is not asked in vain before.


def closed() -> Scope:
    scope = Scope()
    assert scope.send(0.1, failure=after(OUTAGE, 1.0))
    return scope


def cold() -> Scope:
    scope = Scope()
    scope.ask(0.0)
    return scope


def limited_in_silence() -> Scope:
    scope = Scope()
    for nth in range(40):
        assert scope.send(0.05 * nth)
    assert scope.send(2.0, failure=REFUSED)
    return scope


def spent(remaining: int) -> Scope:
    scope = Scope()
    assert scope.send(0.1, left(remaining, 0.1, 10.0))
    return scope


def probed() -> Scope:
    scope = spent(0)
    assert scope.ask(12.0).is_probe
    return scope


def abandoned() -> Scope:
    scope = Scope()
    assert scope.send(0.1, left(1, 0.1, 600.0, 1))
    scope.throttle.leave(scope.ask(1.0), 2.0, sent=True)
    return scope


@pytest.mark.parametrize(
    ("scope", "at", "reason", "until", "in_flight"),
    [
        (closed, 0.5, "server_hint", 1.1, 0),
        (limited_in_silence, 2.0, "silent_limit", 2.07, 0),
        (cold, 0.6, "cold_start", 1.0, 1),
        (lambda: spent(0), 0.6, "exhausted", 10.1, 0),
        (lambda: spent(7), 0.6, "exhausted", 9.7, 0),  # the first of the units kept back
        (probed, 12.5, "exhausted", 12.0 + SETTLED, 1),
        (abandoned, 3.0, "exhausted", 1.0 + ABANDONED, 0),
    ],
)
def test_who_keeps_the_time_goes_when_it_comes(
    scope: Callable[[], Scope], at: float, reason: str, until: float, in_flight: int
) -> None:
    one = scope()
    ticket = one.ask(at)
    row = one.row(at)
    assert (row.held_reason, row.in_flight, row.queued) == (reason, in_flight, 1)
    deadline = one.deadline(ticket)
    assert deadline == pytest.approx(until, abs=0.11)
    assert row.held_for == pytest.approx(deadline - at, abs=0.001)
    one.throttle.tick(deadline - 1e-6)
    assert ticket.state == WAITING
    one.throttle.tick(deadline)
    assert ticket.state == GRANTED


def test_a_scope_that_holds_nobody_back_names_no_time_and_no_reason() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    row = scope.row(0.1)
    assert (row.held_for, row.held_reason, row.in_flight, row.queued) == (None, None, 0, 0)
    assert row.reset_in == pytest.approx(60.0, abs=1.0)


# What is counted, and for how long.


def test_a_scope_that_nothing_waits_for_is_idle() -> None:
    scope = Scope()
    ticket = scope.ask(0.0)
    assert not scope.throttle.is_idle
    scope.answer(ticket, 0.1, delta(50))
    assert scope.throttle.is_idle
    scope = drained()
    scope.ask(1.0)
    assert not scope.throttle.is_idle


def test_an_abandoned_request_is_counted_for_half_a_minute_from_when_it_went() -> None:
    scope = Scope()
    assert scope.send(0.1, left(100, 0.1, 600.0))
    scope.throttle.leave(scope.ask(1.0, cost=7), 20.0, sent=True)
    assert not scope.throttle.is_idle
    found = [scope.row(at).remaining for at in (20.0, ABANDONED + 0.99, ABANDONED + 1.01)]
    assert found == [93, 93, 100]
    assert scope.throttle.is_idle


def test_a_response_to_a_request_sent_much_later_saw_the_abandoned_ones_counted() -> None:
    scope = Scope()
    assert scope.send(0.1, left(100, 0.1, 600.0))
    for ticket in scope.ask_for(5, 1.0):
        scope.throttle.leave(ticket, 1.5, sent=True)
    found = []
    for at in (1.0 + SETTLED - 0.1, 1.0 + SETTLED + 0.1):
        assert scope.send(at, left(95, at, 600.0))
        found.append(scope.row(at).remaining)
    assert found == [90, 95]


def test_a_request_that_was_never_sent_is_given_back() -> None:
    scope = Scope()
    assert scope.send(0.0, delta(1, limit=1))
    scope.throttle.failed(scope.ask(1.0), 2.0, sent=False)
    assert scope.ask(2.1).state == GRANTED


def test_a_ticket_that_was_granted_and_left_holds_nothing_any_more() -> None:
    scope = Scope()
    ticket = scope.ask(0.0)
    scope.throttle.leave(ticket, 0.1, sent=False)
    scope.throttle.leave(ticket, 0.2, sent=True)
    assert ticket.state == LEFT
    assert scope.throttle.is_idle


def test_calls_without_a_policy_are_counted_and_not_held() -> None:
    scope = Scope()
    assert scope.send(0.0, delta(3, limit=3))
    tickets = [scope.throttle.admit_unconditionally(100 + nth, 1.0) for nth in range(9)]
    assert {(ticket.state, ticket.granted_at) for ticket in tickets} == {(GRANTED, 1.0)}
    assert {ticket.home for ticket in tickets} == {scope.throttle}
    assert scope.row(1.0).in_flight == 9
    assert scope.ask(1.1).state == WAITING
