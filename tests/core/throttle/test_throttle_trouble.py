"""The throttle of a server that refuses, is in trouble, or limits in silence."""

import pytest

from httpx_resilience import ErrorClass, ThrottleHeld, ThrottleReleased
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.throttle import EXPIRED, GRANTED, WAITING, Ticket
from support.gates import BROKEN, MISSING, OUTAGE, REFUSED, Scope, after, delta, granted, left

# Closing.


@pytest.mark.parametrize("error_class", [ErrorClass.RATE_LIMITED, ErrorClass.TRANSIENT])
def test_a_failure_that_names_a_time_closes_the_scope_for_all_until_then(
    error_class: ErrorClass,
) -> None:
    scope = Scope()
    assert scope.send(1.0, failure=after(Failure(error_class, 503, coded=True), 10.0))
    tickets = scope.ask_for(5, 2.0)
    found = []
    for now in (11.0, 11.01):  # a moment longer than it asked for
        scope.throttle.tick(now)
        found.append(granted(tickets))
    assert found == [0, 1]
    assert scope.logged(ThrottleHeld)[-1].reason == "server_hint"


@pytest.mark.parametrize(
    "failure",
    [
        after(Failure(ErrorClass.PERMANENT, 429, coded=True), 60.0),
        after(REFUSED, 0.0),
        REFUSED._replace(wait=None),
    ],
)
def test_other_failures_close_nothing(failure: Failure) -> None:
    scope = Scope()
    assert scope.send(0.1, delta(90), failure=failure)
    ticket = scope.ask(0.2)
    assert ticket.state == GRANTED or scope.row(0.2).held_reason != "server_hint"
    assert scope.rows(0.2)[0].remaining == 90 - (ticket.state == GRANTED)


def test_a_scope_that_a_server_in_trouble_closed_for_too_long_refuses_at_once() -> None:
    scope = Scope()
    assert scope.send(0.0, failure=after(OUTAGE, 300.0))
    assert scope.throttle.troubled_until == pytest.approx(300.0, abs=0.1)
    ticket = scope.ask(1.0, max_hint=60.0)
    assert ticket.state == EXPIRED
    assert ticket.retry_at == pytest.approx(300.0, abs=0.1)
    assert scope.ask(250.0, max_hint=60.0).state == WAITING


def test_a_call_waits_for_a_server_in_trouble_as_long_as_its_longest_hint() -> None:
    scope = Scope()
    assert scope.send(0.0, failure=after(OUTAGE, 8.0))
    until = scope.deadline(scope.ask(0.0))
    assert scope.ask(0.0, max_hint=until).state == WAITING
    assert scope.ask(0.0, max_hint=until - 0.001).state == EXPIRED


def test_a_scope_closed_for_its_rate_limit_is_waited_for_however_short_a_hint_may_be() -> None:
    scope = Scope()
    assert scope.send(0.0, failure=after(REFUSED, 300.0))
    assert scope.ask(1.0, max_hint=60.0).state == WAITING
    ticket = scope.ask(1.0, give_up_at=299.0, max_hint=60.0)
    assert ticket.state == EXPIRED
    assert ticket.retry_at == pytest.approx(300.0, abs=0.1)


def test_trouble_that_names_a_time_leaves_what_is_known_of_the_limits() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, failure=after(OUTAGE, 1.0))
    assert scope.row(0.3).remaining == 900


def test_a_refusal_that_names_a_time_voids_what_is_known_of_the_limits() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, left(899, 0.2, 60.0), failure=after(REFUSED, 1.0))
    assert scope.row(0.3).remaining is None
    assert scope.ask(1.3).is_probe


# Trouble: held calls are released gradually.


def degraded(failure: Failure) -> tuple[Scope, list[Ticket], list[Ticket]]:
    """Return a scope that opens at 2.1, ten requests in flight there and forty that wait."""
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 600.0))
    flying = scope.ask_for(20, 0.1)
    scope.answer(flying[0], 0.1, failure=after(OUTAGE, 2.0))
    waiting = scope.ask_for(40, 0.3)
    for ticket in flying[1:10]:
        scope.answer(ticket, 0.4, failure=failure)
    return scope, flying[10:], waiting


IN_SUCCESS = OUTAGE._replace(status=200, coded=True)


@pytest.mark.parametrize("failure", [OUTAGE, BROKEN, IN_SUCCESS])
def test_a_server_that_fails_most_while_calls_are_held_gets_few_of_them_at_a_time(
    failure: Failure,
) -> None:
    scope, flying, waiting = degraded(failure)
    scope.throttle.tick(2.2)
    first = granted(waiting)
    assert first == 12  # half of 14, one more for each of four failures, twice that after a second
    row = scope.row(2.2)
    assert (row.held_reason, row.queued) == ("overload", 40 - first)
    until = scope.deadline(waiting[first])
    assert 2.2 < until <= 3.2
    assert row.held_for == pytest.approx(until - 2.2, abs=0.001)
    scope.answer(flying[0], 2.3, left(880, 2.3, 600.0))
    assert granted(waiting) == first + 2


@pytest.mark.parametrize(
    "failure", [MISSING, BROKEN._replace(status=499), MISSING._replace(status=200)]
)
def test_answers_that_are_no_trouble_of_the_servers_release_all_at_once(failure: Failure) -> None:
    scope, _, waiting = degraded(failure)
    scope.throttle.tick(2.2)
    assert granted(waiting) == 40
    assert scope.logged(ThrottleReleased)


def test_an_exception_is_trouble_too() -> None:
    scope, flying, waiting = degraded(MISSING)
    for ticket in flying[:8]:
        scope.throttle.failed(ticket, 0.5, sent=False)
    scope.throttle.tick(2.2)
    assert 1 <= granted(waiting) <= 10
    assert scope.row(2.2).held_reason == "overload"


def test_where_few_go_at_a_time_one_that_leaves_makes_room_for_one() -> None:
    scope, flying, waiting = degraded(OUTAGE)
    scope.throttle.tick(2.2)
    first = granted(waiting)
    scope.throttle.leave(flying[0], 2.3, sent=False)
    assert granted(waiting) == first + 1


def test_when_nobody_waits_any_more_nothing_is_bounded() -> None:
    scope, flying, waiting = degraded(OUTAGE)
    scope.throttle.tick(2.2)
    for nth, ticket in enumerate([*flying, *waiting]):
        assert ticket.state == GRANTED
        scope.answer(ticket, 2.3, left(880 - nth, 2.3, 600.0))
    assert granted(scope.ask_for(400, 2.4)) == 400


def test_failures_while_nobody_waits_hold_nobody_back_afterwards() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    for nth in range(8):
        assert scope.send(0.2 + 0.01 * nth, failure=BROKEN)
    assert granted(scope.ask_for(400, 0.5)) == 400


# Silence: a rate is found.


def limited(scope: Scope, failure: Failure, *, times: int = 1) -> Scope:
    """Let twenty requests a second succeed until 2, and some be refused then."""
    for nth in range(40):
        assert scope.send(0.05 * nth)
    for nth in range(times):
        ticket = scope.throttle.admit_unconditionally(100 + nth, 2.0)
        scope.answer(ticket, 2.0 + 0.01 * nth, failure=failure)
    return scope


def test_a_refusal_without_headers_and_without_a_time_limits_the_rate() -> None:
    scope = limited(Scope(), REFUSED)
    assert scope.throttle.is_pacing
    tickets = scope.ask_for(10, 2.1)
    first = granted(tickets)
    assert first == 1  # until it comes back, or is not waited for any more
    until = scope.deadline(tickets[first])
    assert until == pytest.approx(3.1)
    row = scope.row(2.1)
    assert row.held_reason == "silent_limit"
    assert row.held_for == pytest.approx(until - 2.1, abs=0.001)
    assert scope.logged(ThrottleHeld)[-1].reason == "silent_limit"
    scope.throttle.tick(until)
    assert granted(tickets) == first + 1


def test_however_much_the_headers_say_is_left_the_rate_is_kept() -> None:
    scope = Scope()
    for nth in range(20):
        at = 0.1 * nth
        assert scope.send(at, left(900 - nth, at, 600.0))
    assert scope.send(2.0, left(880, 2.0, 600.0), failure=REFUSED)
    assert scope.throttle.is_pacing
    scope.answer(scope.throttle.admit_unconditionally(500, 2.1), 2.1, left(879, 2.1, 600.0))
    assert granted(scope.ask_for(50, 2.2)) <= 2
