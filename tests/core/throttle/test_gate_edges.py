"""The gate of one scope at its bounds: what repeats, policies that come and go, other scopes."""

import pytest

from httpx_resilience import RateLimitChanged, RateLimitLow
from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING, Route, Throttle
from httpx_resilience._core.throttle.limits.windows import BUCKET
from httpx_resilience._core.throttle.snapshot import Signature
from support.gates import BROKEN, OUTAGE, REFUSED, Scope, after, granted, left

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
    assert scope.rows(180.12)[0].remaining == 500
    assert scope.send(180.13, left(30, 180.13, 240.0))
    assert 20 <= granted(scope.ask_for(60, 180.14)) <= 30


def test_a_budget_that_runs_low_among_responses_that_repeat_is_told_at_once() -> None:
    scope = steady()
    assert scope.send(180.12, left(100, 180.12, 240.0))
    assert not scope.told(RateLimitLow)
    assert scope.send(180.13, left(99, 180.13, 240.0))
    assert [event.rate_remaining for event in scope.told(RateLimitLow)] == [99]


def test_a_response_that_tells_an_old_story_says_nothing_of_what_remains() -> None:
    scope = steady()
    early = scope.ask(180.12)
    scope.answer(scope.ask(180.13), 180.14, left(900, 180.14, 240.0))
    scope.answer(early, 180.125, left(500, 180.125, 240.0))  # received before the other was sent
    assert scope.rows(180.15)[0].remaining == 900


def test_of_responses_to_requests_that_overlapped_the_least_counts() -> None:
    scope = steady()
    first, second = scope.ask_for(2, 180.12)
    scope.answer(second, 180.13, left(900, 180.13, 240.0))
    scope.answer(first, 180.14, left(901, 180.14, 240.0))
    assert scope.rows(180.15)[0].remaining == 900


def test_a_response_that_names_no_remainder_any_more_leaves_what_was_known() -> None:
    scope = steady()
    assert scope.send(180.12, left(900, 180.12, 240.0)._replace(remaining=None))
    assert scope.rows(180.13)[0].remaining == 990


def test_nobody_goes_when_others_spent_so_much_that_those_in_flight_take_the_rest() -> None:
    scope = steady()
    flying = scope.ask_for(600, 180.12)
    assert granted(flying) == 600
    scope.answer(flying[0], 180.13, left(500, 180.13, 240.0))
    assert scope.ask(180.14).state == WAITING


# Several policies.


def test_policies_that_look_alike_are_kept_apart() -> None:
    scope = Scope()
    for now in (0.1, 0.2, 0.3):
        alike = [left(remaining, now, 60.0) for remaining in (30, 20, 10)]
        assert scope.send(now, *alike)
    assert [row.remaining for row in scope.rows(0.3)] == [30, 20, 10]


def test_a_policy_that_three_responses_leave_out_is_dropped_when_its_reset_is_over() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 600.0), left(50, 0.1, 5.0, bucket="burst"))
    found = []
    for now in (1.0, 2.0, 3.0, 4.0):
        assert scope.send(now, left(900, now, 600.0))
        found.append(len(scope.rows(now)))
    assert scope.send(4.5, left(900, 4.5, 600.0), left(40, 4.5, 5.0, bucket="burst"))
    for now in (6.0, 7.0, 8.0):
        found.append(len(scope.rows(now)))
        assert scope.send(now, left(900, now, 600.0))
    assert found == [2] * 7
    assert [row.bucket for row in scope.rows(9.0)] == [None]


def test_of_too_many_policies_those_go_that_were_left_out_for_longest() -> None:
    scope = Scope()
    assert scope.send(0.1, *[left(900, 0.1, 1e6, bucket=f"{nth}") for nth in range(20, 40)])
    for nth in range(100, 160):
        now = 0.2 + 0.1 * nth
        known = left(900, now, 1e6, bucket="30")
        assert scope.send(now, known, left(900, now, 1e6, bucket=f"{nth}"))
    names = {row.bucket for row in scope.rows(20.0)}
    assert names >= {"30", *(f"{nth}" for nth in range(100, 160))}


def test_a_window_is_what_the_policy_says_else_what_the_server_says() -> None:
    for policy, told, found in ((None, 60.0, 60.0), (2.0, 60.0, 2.0), (2.0, None, 2.0)):
        scope = Scope(window=policy)
        assert scope.send(0.1, left(50, 0.1, 60.0, window=told))
        assert [row.window for row in scope.rows(0.1)] == [found]


def test_limits_that_are_announced_no_more_are_told_as_gone() -> None:
    scope = Scope()
    assert scope.send(0.1, left(50, 0.1, 1e6))
    assert scope.send(0.2, failure=after(REFUSED, 1.0))
    for now in (2.0, 3.0):
        assert scope.send(now)
    assert len(scope.told(RateLimitChanged)) == 1
    assert scope.send(4.0)
    gone = scope.told(RateLimitChanged)[-1]
    assert (gone.previous, gone.rate_limit) == (1000, None)
    assert (gone.origin, gone.scope) == ("https://v.example", "read")
    assert [row.limit for row in scope.rows(4.0)] == [None]


# What a ticket is told.


def test_a_call_that_goes_because_there_is_plenty_is_no_scout() -> None:
    scope = Scope()
    first = scope.ask(0.1)
    scope.answer(first, 0.1, left(900, 0.1, 60.0))
    second = scope.ask(0.2)
    assert (first.is_probe, second.is_probe) == (True, False)
    scope.answer(second, 0.2, left(899, 0.2, 60.0))
    assert scope.ask(0.3).is_probe is False


def test_a_call_that_gives_up_where_nothing_is_known_is_told_no_time() -> None:
    scope = Scope()
    scope.ask(0.0)
    ticket = scope.ask(0.1, give_up_at=0.5)
    scope.throttle.tick(0.5)
    assert (ticket.state, ticket.retry_at) == (EXPIRED, None)


def test_a_call_that_gives_up_is_told_when_there_should_be_room() -> None:
    scope = Scope()
    assert scope.send(0.1, left(2, 0.1, 60.0))
    scope.throttle.admit_unconditionally(10, 0.2)  # what is in flight may bring room sooner
    ticket = scope.ask(0.3, give_up_at=5.0)
    scope.throttle.tick(5.0)
    assert (ticket.state, ticket.retry_at) == (EXPIRED, None)  # two are left, by what was told
    scope.throttle.admit_unconditionally(11, 6.0)
    scope.answer(scope.throttle.admit_unconditionally(12, 6.0), 6.0, left(0, 6.0, 60.0))
    ticket = scope.ask(6.0, give_up_at=9.0)
    scope.throttle.tick(9.0)
    assert ticket.state == EXPIRED
    assert ticket.retry_at is not None
    assert 60.0 <= ticket.retry_at <= 61.1


def test_a_call_that_a_full_queue_refuses_is_told_when_the_scope_opens_again() -> None:
    scope = Scope(max_queue=1)
    assert scope.send(0.1, failure=after(REFUSED, 30.0))
    scope.ask(0.2)
    refused = scope.ask(0.2)
    assert refused.state == EXPIRED
    assert refused.retry_at is not None
    assert 30.1 <= refused.retry_at <= 30.2


def test_a_ticket_that_was_granted_and_left_holds_nothing_any_more() -> None:
    scope = Scope()
    ticket = scope.ask(0.0)
    scope.throttle.leave(ticket, 0.1, sent=False)
    scope.throttle.leave(ticket, 0.2, sent=True)
    assert ticket.state == LEFT
    assert scope.throttle.is_idle


def test_a_call_that_is_only_counted_has_the_time_it_went_at() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    ticket = scope.throttle.admit_unconditionally(50, 0.2)
    assert (ticket.state, ticket.granted_at) == (GRANTED, 0.2)
    scope.throttle.leave(ticket, 0.3, sent=True)
    assert scope.rows(0.3)[0].remaining == 899


def test_nobody_overtakes_those_that_an_answer_leaves_waiting() -> None:
    scope = Scope()
    assert scope.send(0.1, left(0, 0.1, 60.0))
    counted = scope.throttle.admit_unconditionally(50, 0.2)
    first = scope.ask(0.3)
    scope.answer(counted, 0.4, left(0, 0.4, 60.0))
    second = scope.ask(0.5)
    assert (first.state, second.state) == (WAITING, WAITING)


def test_a_request_takes_as_many_tokens_of_a_bucket_as_it_costs() -> None:
    scope = Scope()
    for taken in range(1, 15):  # a bucket of 20 that gets one back a second
        told = left(20 - taken, 0.0, float(taken), 20)
        scope.answer(scope.throttle.admit_unconditionally(taken, 0.0), 0.0, told)
    assert [ledger.kind for ledger in scope.throttle._quotas.values()] == [BUCKET]
    assert scope.ask(0.0, cost=4).state == GRANTED
    assert granted(scope.ask_for(4, 0.0)) == 2
    (row,) = scope.rows(0.0)
    assert row.held_for == pytest.approx(1.0, abs=0.3)


# Scopes that are learned from what the server says.


def route_to(throttle: Throttle) -> Route:
    return Route(("https://v.example", "", "GET v1"), "GET:v1", throttle)


def test_what_a_response_tells_of_another_bucket_is_learned_there_and_makes_room_here() -> None:
    here, there = Scope(), Scope()
    asked: list[tuple[object, ...]] = []

    def resolve(throttle: Throttle, route: Route, signature: Signature, now: float) -> Throttle:
        asked.append((throttle, route, signature, now))
        return there.throttle

    here.throttle.resolve_bucket = resolve
    route = route_to(here.throttle)
    tickets = [here.ask(0.0, route=route) for _ in range(9)]
    here.answer(tickets[0], 0.2, left(0, 0.2, 60.0, bucket="files"), failure=OUTAGE)
    assert asked == [(here.throttle, route, ("files",), 0.2)]
    assert granted(tickets[1:]) == 2  # the first came back, and one more may go for it
    assert [row.limit for row in here.rows(0.2)] == [None]
    (row,) = there.rows(0.2)
    assert (row.bucket, row.remaining, row.held_reason) == ("files", 0, "exhausted")
    assert there.throttle._concurrency.share > 0.0
    assert there.throttle._quotas.has_evidence


def test_what_a_response_tells_of_its_own_bucket_is_learned_here() -> None:
    scope = Scope()
    scope.throttle.resolve_bucket = lambda throttle, route, signature, now: throttle
    ticket = scope.ask(0.0, route=route_to(scope.throttle))
    scope.answer(ticket, 0.2, left(0, 0.2, 60.0))
    (row,) = scope.rows(0.2)
    assert (row.origin, row.scope, row.remaining) == ("https://v.example", "read", 0)


def test_a_scope_that_holds_nobody_back_holds_nobody_when_another_bucket_is_told_of() -> None:
    here, there = Scope(), Scope()
    for nth in range(3):
        assert here.send(float(nth))
    here.throttle.resolve_bucket = lambda throttle, route, signature, now: there.throttle
    here.answer(here.ask(4.0, route=route_to(here.throttle)), 4.1, left(0, 4.1, 60.0))
    assert granted(here.ask_for(50, 4.2)) == 50


# What a request costs, and when it came.


def test_a_call_waits_until_there_is_room_for_all_that_it_costs() -> None:
    scope = Scope()
    assert scope.send(0.1, left(30, 0.1, 60.0))
    first, second = scope.ask(0.2, cost=15), scope.ask(0.2, cost=14)
    assert (first.state, second.state) == (GRANTED, WAITING)
    scope.answer(first, 0.3, left(12, 0.3, 60.0))
    assert second.state == WAITING
    scope.answer(scope.throttle.admit_unconditionally(50, 0.4, cost=2), 0.5, left(40, 0.5, 60.0))
    assert second.state == GRANTED


@pytest.mark.parametrize("remaining", [12, 900])
def test_a_call_that_is_only_counted_takes_what_it_costs(remaining: int) -> None:
    scope = Scope()
    assert scope.send(0.1, left(remaining, 0.1, 60.0))
    scope.throttle.admit_unconditionally(50, 0.2, cost=5)
    assert scope.rows(0.2)[0].remaining == remaining - 5


def test_a_ticket_knows_when_its_call_came() -> None:
    scope = Scope()
    scope.ask(0.0)
    ticket = scope.ask(0.5)
    scope.throttle.tick(2.0)
    assert (ticket.state, ticket.arrived_at, ticket.granted_at) == (GRANTED, 0.5, 2.0)


@pytest.mark.parametrize(("counted", "asked"), [(0, 15), (14, 1), (15, 1)])
def test_what_is_plenty_is_spent_once(counted: int, asked: int) -> None:
    scope = Scope()
    assert scope.send(0.1, left(25, 0.1, 60.0))  # fifteen of which go without another look
    if counted:
        scope.throttle.admit_unconditionally(50, 0.2, cost=counted)
    gone = counted + asked * (scope.ask(0.2, cost=asked).state == GRANTED)
    gone += granted(scope.ask_for(50, 0.2))
    assert 15 <= gone <= 25


def test_after_a_failure_a_success_still_tells_what_remains() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, failure=BROKEN)
    assert scope.send(0.3, left(30, 0.3, 60.0))
    assert granted(scope.ask_for(60, 0.4)) <= 30


def test_a_call_goes_beside_the_first_one_that_is_only_counted() -> None:
    scope = Scope()
    scope.throttle.admit_unconditionally(50, 0.0)
    first, second = scope.ask_for(2, 0.1)
    assert (first.state, second.state) == (GRANTED, WAITING)
    assert scope.throttle.timer_deadline(second) == 1.1


def test_a_call_waits_for_a_server_in_trouble_as_long_as_its_longest_hint() -> None:
    scope = Scope()
    assert scope.send(0.0, failure=after(OUTAGE, 8.0))
    until = scope.throttle.timer_deadline(scope.ask(0.0))
    assert until is not None
    assert scope.ask(0.0, max_hint=until).state == WAITING
    assert scope.ask(0.0, max_hint=until - 0.001).state == EXPIRED


def test_a_waiting_ticket_that_is_taken_back_has_left() -> None:
    scope = Scope()
    ticket = scope.ask_for(2, 0.0)[1]
    scope.throttle.leave(ticket, 0.1, sent=False)
    assert ticket.state == LEFT
    assert "left" in repr(ticket)


# Timers.


def test_in_a_cold_start_the_next_step_is_kept_as_a_time() -> None:
    scope = Scope()
    scope.ask(0.5)
    waiting = scope.ask(0.6)
    assert scope.throttle.timer_deadline(waiting) == 1.5
    (row,) = scope.rows(0.75)
    assert (row.held_reason, row.held_for, row.in_flight, row.queued) == ("cold_start", 0.75, 1, 1)


def test_who_gives_up_while_others_keep_the_time_is_woken() -> None:
    scope = Scope()
    scope.ask_for(2, 0.0)
    ticket = scope.ask(0.1, give_up_at=0.5)
    scope.ready.clear()
    scope.throttle.tick(0.5)
    assert ticket.state == EXPIRED
    assert ticket in scope.ready


def test_a_scout_does_not_wait_for_what_came_back_long_before_the_reset() -> None:
    scope = Scope()
    assert scope.send(9.0, left(0, 9.0, 10.0))
    scout = scope.ask(11.1)
    assert (scout.state, scout.is_probe) == (GRANTED, True)


def test_nobody_overtakes_those_that_an_exception_leaves_waiting() -> None:
    scope = Scope()
    assert scope.send(0.1, left(0, 0.1, 60.0))
    counted = scope.throttle.admit_unconditionally(50, 0.2)
    first = scope.ask(0.3)
    scope.throttle.failed(counted, 0.4, sent=True)
    second = scope.ask(0.5)
    assert (first.state, second.state) == (WAITING, WAITING)


# Failures among plenty.


def test_a_failure_is_a_failure_whatever_its_headers_repeat() -> None:
    scope = steady()
    assert scope.send(180.12, left(989, 180.12, 240.0), failure=BROKEN)
    assert scope.throttle._concurrency.share > 0.0
    assert scope.send(180.13, left(988, 180.13, 240.0), failure=after(REFUSED, 5.0))
    assert not scope.send(180.14)


def test_a_failure_without_headers_may_have_taken_a_unit() -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    assert scope.send(0.2, failure=BROKEN)
    assert scope.rows(0.3)[0].remaining == 899


@pytest.mark.parametrize(("sent", "remaining"), [(True, 899), (False, 900)])
def test_an_exception_after_the_send_may_have_taken_a_unit(sent: bool, remaining: int) -> None:
    scope = Scope()
    assert scope.send(0.1, left(900, 0.1, 60.0))
    scope.throttle.failed(scope.ask(0.2), 0.3, sent=sent)
    assert scope.rows(0.4)[0].remaining == remaining


def test_where_scopes_are_not_learned_a_response_belongs_to_its_own() -> None:
    scope = Scope()
    scope.answer(scope.ask(0.0), 0.1, left(900, 0.1, 60.0, bucket="files"))
    assert [row.bucket for row in scope.rows(0.2)] == ["files"]
