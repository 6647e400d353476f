"""Three calls on one throttle, in every order in which they can come, be answered and leave."""

import math
from collections.abc import Iterator
from itertools import permutations, product

import pytest

from httpx_resilience import ErrorClass
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.headers.waits import Wait
from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING, Ticket
from properties.parked import Parked

CALLS = 3
HINT = Failure(ErrorClass.RATE_LIMITED, 429, wait=Wait(2.0, "retry_after"))


def left(remaining: int) -> Reading:
    return Reading((RateLimit(10, remaining, 5.0, None, 0.001),))


def finish(scope: Parked, ticket: Ticket, how: str) -> None:
    """End a call that was let go."""
    if how == "spent":
        scope.answer(ticket, left(0))
    elif how == "room":
        scope.answer(ticket, left(4))
    elif how == "bare":
        scope.answer(ticket, Reading())
    elif how == "refused":
        scope.answer(ticket, Reading(), HINT)
    elif how == "lost":
        scope.fail(ticket, sent=True)
    else:
        scope.leave(ticket, sent=True)


def fresh() -> Parked:
    return Parked()


def spent() -> Parked:
    scope = Parked()
    scope.answer(scope.ask(), left(0))
    return scope


def closed() -> Parked:
    scope = Parked()
    scope.answer(scope.ask(), Reading(), HINT)
    return scope


def scouted() -> Parked:
    """One unit is left, and a request is under way that may take it."""
    scope = Parked()
    scope.answer(scope.ask(), left(1))
    scope.ask()
    return scope


STARTS = {start.__name__: start for start in (fresh, spent, closed, scouted)}
ENDS = ("spent", "room", "bare", "refused", "lost", "cancelled")
ORDERS = [
    order
    for order in sorted(set(permutations(tuple(range(CALLS)) * 2)))
    if list(dict.fromkeys(order)) == list(range(CALLS))  # calls are numbered as they come
]
"""Each call comes, then ends; the three are alike, so the first to come is the first."""


def histories() -> Iterator[tuple[tuple[int, ...], tuple[str, ...]]]:
    return product(ORDERS, product(ENDS, repeat=CALLS))


def play(scope: Parked, order: tuple[int, ...], ends: tuple[str, ...], patience: float) -> None:
    """Play one history. An answer to a call that waits comes as soon as it was let go."""
    tickets: dict[int, Ticket] = {}
    due: dict[Ticket, str] = {}
    for call in order:
        scope.now += 0.01
        if call not in tickets:
            tickets[call] = scope.ask(patience)
        elif ends[call] == "cancelled" or tickets[call].state == GRANTED:
            finish(scope, tickets[call], ends[call])
        else:
            due[tickets[call]] = ends[call]
        scope.check()
    scope.settle(lambda ticket: finish(scope, ticket, due.get(ticket, "bare")))
    for ticket in tickets.values():
        assert ticket.state in (LEFT, EXPIRED)
        assert ticket.state == LEFT or patience < math.inf
    scope.throttle.tick(scope.now + 3600.0)
    scope.throttle.ask(scope.now + 3600.0)
    assert scope.throttle.is_idle


@pytest.mark.parametrize("patience", [math.inf, 3.0])
@pytest.mark.parametrize("start", STARTS)
def test_three_calls_in_any_order_all_end_and_leave_nothing_behind(
    start: str, patience: float
) -> None:
    played = 0
    for order, ends in histories():
        try:
            play(STARTS[start](), order, ends, patience)
        except AssertionError as error:
            error.add_note(f"order={order} ends={ends}")
            raise
        played += 1
    assert played == 15 * 6**3


@pytest.mark.parametrize("start", ["spent", "closed"])
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_whoever_leaves_a_queue_in_whatever_order_the_rest_go_as_they_came(
    start: str, order: tuple[int, ...]
) -> None:
    for leaving in range(4):
        scope = STARTS[start]()
        tickets = [scope.ask() for _ in range(4)]
        gone = [tickets[at] for at in order[:leaving]]
        for ticket in gone:
            scope.leave(ticket)
            scope.check()
        assert all(ticket.state == WAITING for ticket in tickets if ticket not in gone)
        scope.went.clear()
        scope.settle(lambda ticket, scope=scope: finish(scope, ticket, "room"))  # type: ignore[misc]
        assert scope.went == [ticket for ticket in tickets if ticket not in gone]
