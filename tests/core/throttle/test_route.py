"""Routes whose bucket is learned: what a response says is learned there, and calls move there."""

import math

import pytest

from httpx_resilience import ThrottleHeld
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.lru import LRUMap
from httpx_resilience._core.throttle import GRANTED, WAITING, Buckets, Route, Throttle
from httpx_resilience._core.throttle.route import MAX_MOVES
from httpx_resilience._core.throttle.snapshot import Signature, signature_of
from support.gates import OUTAGE, Scope, granted, left


def route_to(scope: Scope, name: str = "GET:v1", **known: Scope) -> Route:
    """Return a route that goes by a scope; ``known`` are the scopes of the buckets of that name."""
    throttles: LRUMap[Throttle] = LRUMap()
    for bucket, home in known.items():
        throttles.put(("origin", (bucket,)), home.throttle)
    buckets = Buckets(("origin",), throttles, lambda name: Scope().throttle, str.upper)
    return Route(name, scope.throttle, buckets)


@pytest.mark.parametrize(
    ("limits", "signature"),
    [
        ((), ()),
        ((RateLimit(10, 9, window=60.0),), ((10, 60.0),)),
        ((RateLimit(10), RateLimit(None, window=1.0)), ((10, None), (None, 1.0))),
        ((RateLimit(10, bucket="a"), RateLimit(5), RateLimit(7, bucket="b")), ("a", "b")),
    ],
)
def test_a_bucket_is_known_by_its_name_else_by_its_limits(
    limits: tuple[RateLimit, ...], signature: Signature
) -> None:
    assert signature_of(limits) == signature


# Whose response it is.


def test_what_a_response_says_of_another_bucket_is_learned_there_and_makes_room_here() -> None:
    here, there = Scope(), Scope()
    route, other = route_to(here, files=there), route_to(here, "PUT:v1")
    tickets = [here.ask(0.0, route=route), *(here.ask(0.0, route=other) for _ in range(8))]
    here.answer(tickets[0], 0.2, left(0, 0.2, 60.0, bucket="files"), failure=OUTAGE)
    assert route.throttle is there.throttle
    assert other.throttle is here.throttle
    assert granted(tickets[1:]) == 2  # the first came back, and one more may go for it
    assert here.row(0.2).limit is None
    row = there.row(0.2)
    assert (row.bucket, row.remaining, row.held_reason) == ("files", 0, "exhausted")
    assert (row.in_flight, here.row(0.2).in_flight) == (0, 2)


def test_what_a_response_says_of_its_own_bucket_is_learned_here() -> None:
    scope = Scope()
    route = route_to(scope)
    scope.answer(scope.ask(0.0, route=route), 0.2, left(0, 0.2, 60.0))
    assert route.throttle is scope.throttle
    row = scope.row(0.2)
    assert (row.origin, row.remaining) == ("https://v.example", 0)


def test_a_response_that_announces_nothing_moves_no_route() -> None:
    here, there = Scope(), Scope()
    route = route_to(here, files=there)
    here.answer(here.ask(0.4, route=route), 0.4)
    assert route.throttle is here.throttle


def test_a_bucket_that_nobody_knew_gets_a_throttle_of_its_own_beside_one_that_is_known() -> None:
    here = Scope()
    one, two = route_to(here), route_to(here, "PUT:v1")
    here.answer(here.ask(0.0, route=one), 0.1, left(9, 0.1, 60.0, bucket="files"))
    assert (one.throttle, here.throttle.signature) == (here.throttle, ("files",))
    assert here.throttle.scope == "FILES"
    ticket = here.ask(0.2, route=two)
    here.answer(ticket, 0.3, left(9, 0.3, 60.0, bucket="mail"))
    assert two.throttle is not here.throttle
    assert two.throttle.signature == ("mail",)
    assert two.throttle.status(0.3)[0].bucket == "mail"


def test_a_scope_that_holds_nobody_back_goes_on_so_when_another_bucket_is_announced() -> None:
    here, there = Scope(), Scope()
    for nth in range(3):
        assert here.send(float(nth))
    route = route_to(here, files=there)
    here.answer(here.ask(4.0, route=route), 4.1, left(0, 4.1, 60.0, bucket="files"))
    assert granted(here.ask_for(50, 4.2)) == 50


# Calls that move.


def test_calls_that_wait_move_with_their_route_and_keep_their_order() -> None:
    here, there = Scope(), Scope()
    assert here.send(0.1, left(0, 0.1, 60.0))
    moving, staying = route_to(here), route_to(here, "PUT:v1")
    tickets = [here.ask(0.2, route=(moving, staying)[nth % 2]) for nth in range(6)]
    assert here.throttle.waiting_routes() == [moving, staying]
    moving.move(there.throttle, 0.3)
    assert moving.throttle is there.throttle
    assert [t.state for t in tickets] == [GRANTED, *[WAITING] * 5]  # the first as a probe there
    assert {t.home for t in tickets[::2]} == {there.throttle}
    assert {t.home for t in tickets[1::2]} == {here.throttle}
    assert (here.row(0.3).queued, there.row(0.3).queued) == (3, 2)
    assert here.deadline(tickets[1]) > 0.3  # another keeps the time
    there.answer(tickets[0], 0.4, left(900, 0.4, 60.0))
    assert granted(tickets[1:]) == 2


def test_calls_that_move_queue_among_the_others_by_when_they_arrived() -> None:
    here, there = Scope(), Scope()
    for scope in (here, there):
        assert scope.send(0.1, left(0, 0.1, 60.0))
    route, tickets = route_to(here), []
    for order in range(10, 16):
        scope = (here, there)[order % 2]
        tickets.append(scope.throttle.reserve(order, 0.2, math.inf))
        tickets[-1].route = route
    route.move(there.throttle, 0.3)
    there.ready.clear()
    there.answer(there.throttle.admit_unconditionally(99, 0.4), 0.5, left(900, 0.5, 60.0))
    assert there.ready == tickets


def test_nobody_overtakes_calls_that_moved_to_where_there_was_plenty() -> None:
    here, there = Scope(), Scope()
    assert here.send(0.1, left(0, 0.1, 60.0))
    assert there.send(0.1, left(900, 0.1, 60.0))
    route = route_to(here)
    tickets = [here.ask(0.2, cost=899, route=route) for _ in range(2)]
    route.move(there.throttle, 0.3)
    assert [ticket.state for ticket in tickets] == [WAITING, WAITING]
    assert there.ask(0.4).state == WAITING


def test_a_route_that_nobody_waits_for_moves_alone() -> None:
    here, there = Scope(), Scope()
    assert here.send(0.1, left(0, 0.1, 60.0))
    waiting, route = here.ask(0.2), route_to(here)
    route.move(there.throttle, 0.3)
    assert (route.throttle, waiting.home) == (there.throttle, here.throttle)
    assert there.throttle.is_idle


def test_calls_do_not_follow_a_route_that_goes_on_moving() -> None:
    scopes = [Scope() for _ in range(MAX_MOVES + 2)]
    for scope in scopes:
        assert scope.send(0.1, left(0, 0.1, 60.0))
    route = route_to(scopes[0])
    ticket = scopes[0].ask(0.2, route=route)
    homes = []
    for scope in scopes[1:]:
        route.move(scope.throttle, 0.3)
        homes.append(ticket.home)
    assert homes == [scope.throttle for scope in scopes[1 : MAX_MOVES + 1]] + [homes[-1]]
    assert route.throttle is scopes[-1].throttle


def test_a_throttle_whose_bucket_is_known_goes_by_its_name() -> None:
    scope = Scope()
    scope.throttle.rename("files")
    scope.ask_for(2, 0.0)
    assert (scope.row(0.1).scope, scope.logged(ThrottleHeld)[0].scope) == ("files", "files")
