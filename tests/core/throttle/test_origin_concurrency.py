"""The bound on requests in flight: shared by an origin's scopes, taken and given back in order."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from httpx_resilience import Event, Policy, ThrottleHeld, ThrottlePolicy, ThrottleReleased
from httpx_resilience._core.headers import Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.policy import check_call_policy
from httpx_resilience._core.throttle import (
    EXPIRED,
    GRANTED,
    WAITING,
    OriginConcurrency,
    Ticket,
)
from support.gates import OUTAGE, Scope, WakingThrottle, after, delta

NOTHING = Reading((), None)


class Origin:
    """Several scopes of one origin; calls are numbered as they come, whatever their scope."""

    def __init__(self, concurrency: Any, scopes: int = 2) -> None:
        self.events: list[Event] = []
        policy, self.shared = (
            ThrottlePolicy(concurrency=concurrency),
            OriginConcurrency(concurrency),
        )
        self.scopes = [
            WakingThrottle(
                "https://v", f"s{n}", policy, ServerClock(), self.events.append, None, self.shared
            )
            for n in range(scopes)
        ]
        self.order = 0
        for scope in self.scopes:  # known to have no limits, so that nothing else holds back
            for _ in range(3):
                self.answer(self.ask(scope, 0.0), 0.01)

    def ask(self, scope: WakingThrottle, now: float, **more: Any) -> Ticket:
        self.order += 1
        return scope.reserve(self.order, now, more.pop("give_up_at", math.inf), **more)

    def answer(self, ticket: Ticket, now: float) -> None:
        ticket.home.observe(ticket, ticket.granted_at, now, NOTHING, None)

    @property
    def in_flight(self) -> int:
        return sum(scope.statistics().in_flight for scope in self.scopes)


def states(tickets: list[Ticket]) -> str:
    return "".join("wgxl"[ticket.state] for ticket in tickets)


def test_no_more_than_the_limit_are_in_flight_over_all_scopes_of_an_origin() -> None:
    origin = Origin(3)
    one, two = origin.scopes
    tickets = [origin.ask(scope, 1.0) for scope in (one, one, two, two, one)]
    assert states(tickets) == "gggww"
    assert (origin.shared.count, origin.shared.limit) == (3, 3)
    assert [scope.status(1.0)[0].held_reason for scope in (one, two)] == ["concurrency"] * 2
    assert one.status(1.0)[0].concurrency == 3


def test_a_place_that_comes_free_goes_to_the_call_that_came_first_whichever_its_scope() -> None:
    origin = Origin(1, scopes=3)
    one, two, three = origin.scopes
    tickets = [origin.ask(scope, 1.0) for scope in (one, two, three, one, two, three, three)]
    for done in range(len(tickets)):
        assert states(tickets) == "l" * done + "g" + "w" * (len(tickets) - done - 1)
        origin.answer(tickets[done], 2.0 + done)
        if done + 1 < len(tickets):  # its holder is woken
            assert any(tickets[done + 1] in scope.ready for scope in origin.scopes)
    assert origin.shared.count == 0


def test_a_new_call_does_not_overtake_one_of_another_scope_that_waits() -> None:
    origin = Origin(2)
    one, two = origin.scopes
    first, second = origin.ask(one, 1.0), origin.ask(one, 1.0)
    waits = origin.ask(two, 1.0)
    early = waits.order - 1  # a retry of a call that came before it keeps that call's place
    origin.answer(first, 2.0)
    assert waits.state == GRANTED
    last = origin.ask(one, 2.0)
    retry = one.reserve(early, 2.0, math.inf)
    assert states([last, retry]) == "ww"
    origin.answer(second, 3.0)
    assert states([last, retry]) == "wg"


@pytest.mark.parametrize("how", ["answered", "failed", "unsent", "cancelled", "moved"])
def test_whatever_ends_a_request_gives_its_place_to_the_next(how: str) -> None:
    origin = Origin(1)
    one, two = origin.scopes
    flying, waits, other = origin.ask(one, 1.0), origin.ask(one, 1.0), origin.ask(two, 1.0)
    ends: dict[str, Callable[[Ticket], object]] = {
        "answered": lambda ticket: origin.answer(ticket, 2.0),
        "failed": lambda ticket: ticket.home.failed(ticket, 2.0, sent=True),
        "unsent": lambda ticket: ticket.home.failed(ticket, 2.0, sent=False),
        "cancelled": lambda ticket: ticket.home.leave(ticket, 2.0, sent=True),
        "moved": lambda ticket: ticket.home.answered_elsewhere(ticket, 2.0),
    }
    for ended, following in ((flying, waits), (waits, other)):
        assert following.state == WAITING
        ends[how](ended)
        assert following.state == GRANTED
        assert origin.shared.count == origin.in_flight == 1
    ends[how](other)
    assert origin.shared.count == origin.in_flight == 0


def test_a_waiting_call_that_leaves_or_expires_hands_its_turn_to_the_next() -> None:
    origin = Origin(1, scopes=3)
    one, two, three = origin.scopes
    flying = origin.ask(one, 1.0)
    leaves, expires = origin.ask(two, 1.0), origin.ask(three, 1.0, give_up_at=5.0)
    stays = origin.ask(two, 1.0)
    two.leave(leaves, 2.0, sent=False)
    three.tick(6.0)
    assert expires.state == EXPIRED
    origin.answer(flying, 7.0)
    assert stays.state == GRANTED


def test_a_call_that_its_rate_limit_holds_takes_no_place() -> None:
    origin = Origin(2)
    one, two = origin.scopes
    ticket = origin.ask(one, 1.0)
    one.observe(ticket, 1.0, 1.1, Reading((delta(0),), None), None)
    held = [origin.ask(one, 2.0) for _ in range(3)]
    assert states(held) == "www"
    assert one.status(2.0)[0].held_reason == "exhausted"
    others = [origin.ask(two, 3.0) for _ in range(2)]
    assert states(others) == "gg"


def test_a_scope_that_the_server_closes_is_not_released_by_free_places() -> None:
    origin = Origin(2)
    one, _ = origin.scopes
    flying = [origin.ask(one, 1.0) for _ in range(2)]
    waits = [origin.ask(one, 1.0) for _ in range(3)]
    one.observe(flying[0], 1.0, 2.0, NOTHING, after(OUTAGE, 30.0))
    origin.answer(flying[1], 2.1)
    assert states(waits) == "www"
    assert one.status(3.0)[0].held_reason == "server_hint"
    one.tick(32.5)
    assert "g" in states(waits)


def test_calls_that_are_never_held_back_are_counted() -> None:
    origin = Origin(2)
    one, two = origin.scopes
    free = [one.admit_unconditionally(100 + n, 1.0) for n in range(3)]
    assert origin.shared.count == 3
    waits = origin.ask(two, 1.0)
    assert waits.state == WAITING
    for ticket in free[:2]:
        origin.answer(ticket, 2.0)
    assert waits.state == GRANTED


def test_a_hold_for_concurrency_is_logged_once_a_minute() -> None:
    scope = Scope(concurrency=1)
    for second in range(0, 200, 2):
        first, second_ = scope.ask(float(second)), scope.ask(float(second))
        scope.answer(first, second + 0.5)
        scope.answer(second_, second + 1.0)
    held = [(e.at, e.reason) for e in scope.logged(ThrottleHeld) if e.reason == "concurrency"]
    assert [at for at, _ in held] == pytest.approx([0.0, 60.0, 120.0, 180.0], abs=2.1)
    assert len(scope.logged(ThrottleReleased)) == len(scope.logged(ThrottleHeld))


def test_a_hold_for_concurrency_that_goes_on_for_another_reason_is_logged_again() -> None:
    scope = Scope(concurrency=1)
    first = scope.ask(0.0)
    scope.ask_for(3, 0.0)
    scope.answer(first, 0.5, delta(0))
    assert [e.reason for e in scope.logged(ThrottleHeld)] == ["concurrency", "exhausted"]


@pytest.mark.parametrize("waiting", [10, 2000])
def test_what_a_release_costs_does_not_grow_with_those_who_wait(waiting: int) -> None:
    """Counted in questions to the limits, of which there are a few each."""
    origin = Origin(10, scopes=2)
    tickets = [origin.ask(origin.scopes[n % 2], 1.0) for n in range(waiting + 10)]
    asked = 0
    ask = WakingThrottle.ask

    def counted(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return ask(*args)

    for scope in origin.scopes:
        scope.__class__ = type("Counted", (WakingThrottle,), {"ask": counted, "__slots__": ()})
    for done in range(waiting):
        origin.answer(tickets[done], 2.0)
    assert asked <= 4 * waiting
    assert len(origin.shared._line) <= 200


def test_thousands_of_places_that_come_free_at_once_are_passed_on_one_by_one() -> None:
    origin = Origin(1)
    flying = origin.ask(origin.scopes[0], 1.0)
    tickets = [origin.ask(origin.scopes[n % 2], 1.0) for n in range(3000)]
    origin.shared.limit = 2000
    origin.answer(flying, 2.0)
    assert states(tickets) == "g" * 2000 + "w" * 1000


def test_scopes_that_come_and_go_behind_a_long_wait_leave_nothing_in_the_line() -> None:
    origin = Origin(1)
    one, two = origin.scopes
    flying, first = origin.ask(one, 1.0), origin.ask(one, 1.0)
    for _ in range(1000):
        two.leave(origin.ask(two, 1.0), 1.0, sent=False)
    assert len(origin.shared._line) < 100
    origin.answer(flying, 2.0)
    assert first.state == GRANTED


# The policy.


@pytest.mark.parametrize("value", [None, 1, 10, 100_000, "auto"])
def test_the_policy_takes_a_number_auto_or_none(value: Any) -> None:
    assert ThrottlePolicy(concurrency=value).concurrency == value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (2**63, ValueError),
        ("10", ValueError),
        ("Auto", ValueError),
        (True, TypeError),
        (1.5, TypeError),
        ([], TypeError),
    ],
)
def test_the_policy_says_what_concurrency_may_be(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        ThrottlePolicy(concurrency=value)
    assert str(raised.value).startswith(f"ThrottlePolicy.concurrency: got {value!r}, allowed is ")
    assert "an integer of at least 1" in str(raised.value)
    assert "'auto', or None" in str(raised.value)


def test_a_calls_own_policy_cannot_set_what_its_scope_shares() -> None:
    given = Policy(throttle=ThrottlePolicy(concurrency=2))
    with pytest.raises(ValueError, match=r"ThrottlePolicy\.concurrency: got 2, allowed is what"):
        check_call_policy(given, Policy())


def test_nothing_of_it_is_among_the_limits_while_it_is_off() -> None:
    throttle = Scope().throttle
    assert throttle._places is None
    assert len(throttle._limits) == len(throttle._learners) == 5
    assert throttle.status(0.0)[0].concurrency is None
