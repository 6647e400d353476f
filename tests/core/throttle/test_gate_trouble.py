"""The gate of a scope whose server is in trouble or limits in silence: eased, paced, or neither."""

import math
from collections.abc import Callable

import pytest

from httpx_resilience import ThrottleHeld, ThrottleReleased
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.throttle import GRANTED, WAITING, Ticket
from httpx_resilience._core.throttle.in_flight import ABANDONED
from httpx_resilience._core.throttle.limits.quota import SETTLED
from httpx_resilience._core.throttle.limits.windows import INDETERMINATE, SLIDING_COUNTER
from support.gates import BROKEN, MISSING, OUTAGE, REFUSED, Scope, after, granted, left

UNCODED = OUTAGE._replace(coded=False)


def kinds(scope: Scope) -> list[str]:
    return [ledger.kind for ledger in scope.throttle._quotas.values()]


# TransportFailure: few go at a time.


def limping(failure: Failure) -> tuple[Scope, list[Ticket], list[Ticket]]:
    """Return a scope that opens at 2.1, ten requests in flight there and forty that wait."""
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 600.0))
    flying = scope.ask_for(20, 0.1)
    scope.answer(flying[0], 0.1, failure=after(OUTAGE, 2.0))
    waiting = scope.ask_for(40, 0.3)
    for ticket in flying[1:10]:
        scope.answer(ticket, 0.4, failure=failure)
    return scope, flying[10:], waiting


@pytest.mark.parametrize("failure", [OUTAGE, BROKEN])
def test_a_server_that_fails_most_while_calls_are_held_gets_few_of_them_at_a_time(
    failure: Failure,
) -> None:
    scope, flying, waiting = limping(failure)
    scope.throttle.tick(2.2)
    first = granted(waiting)
    assert first == 12  # half of 14, one more for each of four failures, twice that after a second
    (row,) = scope.rows(2.2)
    assert (row.held_reason, row.queued) == ("overload", 40 - first)
    assert row.held_for is not None
    assert 0 < row.held_for <= 1.0
    assert scope.throttle.timer_deadline(waiting[first]) == pytest.approx(
        2.2 + row.held_for, abs=0.01
    )
    scope.answer(flying[0], 2.3, left(880, 2.3, 600.0))
    assert granted(waiting) == first + 2


@pytest.mark.parametrize("failure", [MISSING, BROKEN._replace(status=499)])
def test_answers_that_are_no_trouble_of_the_servers_let_all_go_at_once(failure: Failure) -> None:
    scope, _, waiting = limping(failure)
    scope.throttle.tick(2.2)
    assert granted(waiting) == 40
    assert scope.told(ThrottleReleased)


def test_an_exception_is_trouble_too() -> None:
    scope, flying, waiting = limping(MISSING)
    for ticket in flying[:8]:
        scope.throttle.failed(ticket, 0.5, sent=False)
    scope.throttle.tick(2.2)
    assert 1 <= granted(waiting) <= 10
    assert scope.rows(2.2)[0].held_reason == "overload"


def test_a_404_lets_one_more_go_as_a_success_does() -> None:
    scope, flying, waiting = limping(OUTAGE)
    scope.throttle.tick(2.2)
    first = granted(waiting)
    scope.answer(flying[0], 2.9, left(880, 2.9, 600.0), failure=MISSING)
    assert granted(waiting) == first + 2
    assert scope.throttle.timer_deadline(waiting[first + 2]) == pytest.approx(3.9)


def test_while_it_fails_still_fewer_go_at_a_time() -> None:
    scope, flying, waiting = limping(OUTAGE)
    scope.throttle.tick(2.2)
    scope.answer(flying[0], 2.3, left(880, 2.3, 600.0))
    now, gone = 2.4, [ticket for ticket in waiting if ticket.state == GRANTED]
    for ticket in [*flying[1:], *gone]:
        scope.answer(ticket, now, failure=OUTAGE)
        now += 0.01
    limit = scope.throttle._concurrency.limit
    assert limit is not None
    assert limit <= 12


# Silence: a rate is found.


def paced(scope: Scope, failure: Failure, *, times: int = 1) -> Scope:
    """Let twenty requests a second succeed until 2, then some be refused without a time."""
    flying = scope.ask_for(3, 0.0)
    for nth in range(40):
        assert scope.send(0.05 * nth) or nth < 3
        if nth < 3:
            scope.answer(flying[nth], 0.05 * nth)
    for nth in range(times):
        scope.answer(
            scope.throttle.admit_unconditionally(100 + nth, 2.0), 2.0 + 0.01 * nth, failure=failure
        )
    return scope


def test_a_refusal_without_headers_and_without_a_time_paces_the_scope() -> None:
    scope = paced(Scope(), REFUSED)
    assert scope.throttle.is_pacing
    tickets = scope.ask_for(10, 2.1)
    assert granted(tickets) <= 2
    first = granted(tickets)
    until = scope.throttle.timer_deadline(tickets[first])
    assert until is not None
    assert 2.1 < until < 2.3
    (row,) = scope.rows(2.1)
    assert row.held_reason == "silent_limit"
    assert row.held_for == pytest.approx(until - 2.1, abs=0.001)
    assert scope.told(ThrottleHeld)[-1].reason == "silent_limit"
    scope.throttle.tick(until)
    assert granted(tickets) == first + 1


def test_a_refusal_that_names_a_time_paces_nothing() -> None:
    scope = paced(Scope(), after(REFUSED, 1.0))
    assert not scope.throttle.is_pacing


@pytest.mark.parametrize(
    ("failure", "silent"),
    [
        (UNCODED, True),
        (OUTAGE, False),
        (UNCODED._replace(status=502), False),
        (UNCODED._replace(status=504), False),
    ],
)
def test_several_503s_without_a_code_amid_successes_look_like_a_silent_limit(
    failure: Failure, silent: bool
) -> None:
    assert paced(Scope(), failure, times=8).throttle.is_pacing is silent


@pytest.mark.parametrize(("other", "silent"), [(MISSING, True), (BROKEN, False)])
def test_what_comes_between_503s_is_a_success_if_it_is_no_trouble_of_the_servers(
    other: Failure, silent: bool
) -> None:
    scope = Scope()
    for nth in range(24):
        failure = UNCODED if nth % 3 == 2 else other
        scope.answer(
            scope.throttle.admit_unconditionally(nth, 0.01 * nth), 0.01 * nth, failure=failure
        )
    assert scope.throttle.is_pacing is silent


def test_a_404_speaks_for_the_pace() -> None:
    scope = paced(Scope(), REFUSED)
    before = scope.throttle._rate._measured
    scope.answer(scope.throttle.admit_unconditionally(500, 2.5), 2.6, failure=MISSING)
    assert scope.throttle._rate._measured == before + 1.0


def test_a_server_that_announces_limits_does_not_limit_by_503() -> None:
    scope = Scope()
    for nth in range(40):
        at = 0.05 * nth
        assert scope.send(at, left(900 - nth, at, 600.0))
    for nth in range(8):
        assert scope.send(2.0 + 0.01 * nth, failure=UNCODED)
    assert not scope.throttle.is_pacing


@pytest.mark.parametrize(("remaining", "silent"), [(0, False), (1, True), (500, True)])
def test_a_refusal_is_a_silent_limit_if_by_its_headers_there_was_something_left(
    remaining: int, silent: bool
) -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, left(remaining, 0.2, 60.0), failure=REFUSED)
    assert scope.throttle.is_pacing is silent


def test_however_much_the_headers_say_is_left_the_pace_is_kept() -> None:
    scope = Scope()
    for nth in range(20):
        at = 0.1 * nth
        assert scope.send(at, left(900 - nth, at, 600.0))
    assert scope.send(2.0, left(880, 2.0, 600.0), failure=REFUSED)
    assert scope.throttle.is_pacing
    scope.answer(scope.throttle.admit_unconditionally(500, 2.1), 2.1, left(879, 2.1, 600.0))
    assert granted(scope.ask_for(50, 2.2)) <= 2


# Refusals and what was known.


def test_a_scout_that_is_refused_at_the_reset_makes_the_window_a_sliding_one() -> None:
    scope = Scope()
    assert scope.send(0.1, left(0, 0.1, 10.0))
    scout = scope.ask(11.1)
    assert scout.is_probe
    scope.answer(scout, 11.1, failure=after(REFUSED, 1.0))
    assert kinds(scope) == [SLIDING_COUNTER]


def test_a_refusal_amid_units_left_makes_the_window_a_moving_one() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 10.0))
    assert scope.send(0.2, failure=after(REFUSED, 1.0))
    assert kinds(scope) == [INDETERMINATE]
    scout = scope.ask(1.3)  # nothing is known any more, which says nothing of a reset
    assert scout.is_probe
    scope.answer(scout, 1.3, failure=after(REFUSED, 1.0))
    assert kinds(scope) == [INDETERMINATE]


def test_trouble_that_names_a_time_leaves_what_is_known_of_the_limits() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, failure=after(OUTAGE, 1.0))
    assert [row.remaining for row in scope.rows(0.3)] == [900]


def test_a_scope_closes_a_moment_longer_than_it_was_asked_to() -> None:
    scope = Scope()
    assert scope.send(0.5, failure=after(OUTAGE, 1.0))
    ticket = scope.ask(1.4)
    scope.throttle.tick(1.5)
    assert ticket.state == WAITING
    scope.throttle.tick(1.51)
    assert ticket.state == GRANTED


# Cold start of a server that was seen to send headers.


def test_where_headers_were_seen_the_second_scout_goes_when_the_first_is_settled() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, failure=after(REFUSED, 1.0))
    tickets = scope.ask_for(9, 1.5)
    found = []
    for at in (1.5, 2.6, 1.5 + SETTLED - 0.01, 1.5 + SETTLED + 0.01):
        scope.throttle.tick(at)
        found.append(granted(tickets))
    assert found == [1, 1, 1, 2]


def test_a_scout_that_finds_no_headers_lets_two_go() -> None:
    scope = Scope()
    assert scope.send(0.1, left(0, 0.1, 10.0))
    tickets = scope.ask_for(9, 1.0)
    scope.throttle.tick(11.1)
    scope.answer(tickets[0], 11.2)
    assert granted(tickets[1:]) == 2


def test_failures_are_no_evidence_of_a_server_without_limits() -> None:
    scope = Scope()
    for nth in range(10):
        assert scope.send(float(nth), failure=BROKEN)
    tickets = scope.ask_for(100, 10.0)
    assert granted(tickets) < 100


# Who keeps the time goes when it comes, and is not asked in vain before.


def closed() -> Scope:
    scope = Scope()
    assert scope.send(0.1, failure=after(OUTAGE, 1.0))
    return scope


def cold() -> Scope:
    scope = Scope()
    scope.ask(0.0)
    return scope


def spent(remaining: int, *, limit: int = 1000) -> Scope:
    scope = Scope()
    assert scope.send(0.1, left(remaining, 0.1, 10.0, limit))
    return scope


def scouted() -> Scope:
    scope = spent(0)
    assert scope.ask(12.0).is_probe
    return scope


def haunted() -> Scope:
    scope = Scope()
    assert scope.send(0.1, left(1, 0.1, 600.0, 1))
    scope.throttle.leave(scope.ask(1.0), 2.0, sent=True)
    return scope


@pytest.mark.parametrize(
    ("scope", "at", "reason", "until"),
    [
        (closed, 0.5, "server_hint", 1.1),
        (lambda: paced(Scope(), REFUSED), 2.0, "silent_limit", 2.07),
        (cold, 0.6, "cold_start", 1.0),
        (lambda: spent(0), 0.6, "exhausted", 10.1),
        (lambda: spent(7), 0.6, "exhausted", 9.7),  # the first of the units kept back
        (scouted, 12.5, "exhausted", 12.0 + SETTLED),
        (haunted, 3.0, "exhausted", 1.0 + ABANDONED),
    ],
)
def test_who_keeps_the_time_goes_when_it_comes(
    scope: Callable[[], Scope], at: float, reason: str, until: float
) -> None:
    one = scope()
    ticket = one.ask(at)
    (row,) = one.rows(at)
    assert row.held_reason == reason
    kept = one.throttle.timer_deadline(ticket)
    assert kept is not None
    assert kept == pytest.approx(until, abs=0.11)
    assert row.held_for == pytest.approx(kept - at, abs=0.001)
    one.throttle.tick(kept - 1e-6)
    assert ticket.state == WAITING
    one.throttle.tick(kept)
    assert ticket.state == GRANTED


def test_where_few_go_at_a_time_one_more_goes_when_a_second_is_over() -> None:
    scope, _, waiting = limping(OUTAGE)
    scope.throttle.tick(2.2)
    first = granted(waiting)
    until = scope.throttle.timer_deadline(waiting[first])
    assert until is not None
    scope.throttle.tick(until - 1e-6)
    assert granted(waiting) == first
    scope.throttle.tick(until)
    assert granted(waiting) > first


def test_where_few_go_at_a_time_one_that_leaves_makes_room_for_one() -> None:
    scope, flying, waiting = limping(OUTAGE)
    scope.throttle.tick(2.2)
    first = granted(waiting)
    scope.throttle.leave(flying[0], 2.3, sent=False)
    assert granted(waiting) == first + 1


# Ghosts.


def test_an_answer_to_a_request_that_was_sent_much_later_counted_the_ghosts_in() -> None:
    scope = Scope()
    assert scope.send(0.1, left(100, 0.1, 600.0))
    for ticket in scope.ask_for(5, 1.0):
        scope.throttle.leave(ticket, 1.5, sent=True)
    found = []
    for at in (1.0 + SETTLED - 0.1, 1.0 + SETTLED + 0.1):
        assert scope.send(at, left(95, at, 600.0))
        found.append(scope.rows(at)[0].remaining)
    assert found == [90, 95]
    assert scope.throttle.is_idle


def test_a_ghost_is_counted_for_half_a_minute_from_when_it_went() -> None:
    scope = Scope()
    assert scope.send(0.1, left(100, 0.1, 600.0))
    scope.throttle.leave(scope.ask(1.0, cost=7), 20.0, sent=True)
    found = [scope.rows(at)[0].remaining for at in (20.0, ABANDONED + 0.99, ABANDONED + 1.01)]
    assert found == [93, 93, 100]


def test_what_may_go_for_all_the_time_in_the_world_is_told_as_no_time() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    (row,) = scope.rows(0.1)
    assert (row.held_for, row.held_reason, row.in_flight, row.queued) == (None, None, 0, 0)
    assert row.reset_in == pytest.approx(60.0, abs=1.0)
    assert math.isfinite(row.reset_in or math.inf)
