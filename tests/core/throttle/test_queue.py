"""The queue: by arrival of the call, cheap to leave, bounded."""

import math
import random
from collections.abc import Iterable

import pytest

from httpx_resilience._core.lru import LRUMap
from httpx_resilience._core.throttle import (
    EXPIRED,
    GRANTED,
    LEFT,
    WAITING,
    Buckets,
    Route,
    Throttle,
    Ticket,
    TicketQueue,
)
from support.gates import Scope


def queue_of(
    orders: Iterable[int], give_up_at: float = math.inf
) -> tuple[TicketQueue, list[Ticket]]:
    return filled(Ticket(order, give_up_at, 0.0) for order in orders)


def filled(tickets: Iterable[Ticket]) -> tuple[TicketQueue, list[Ticket]]:
    queue, waiting = TicketQueue(), list(tickets)
    for ticket in waiting:
        queue.push(ticket)
    return queue, waiting


def in_a_hurry(count: int) -> tuple[TicketQueue, list[Ticket]]:
    """Return a queue, and its tickets, of which each gives up sooner than all before it."""
    return filled(Ticket(order, 1000.0 - order, 0.0) for order in range(count))


def drained(queue: TicketQueue) -> list[int]:
    orders = []
    while (head := queue.head()) is not None:
        queue.remove(head, GRANTED)
        orders.append(head.order)
    return orders


def expiring(queue: TicketQueue) -> list[Ticket]:
    """Return the tickets as they give up."""
    gone = []
    while (at := queue.next_deadline()) < math.inf:
        gone += queue.expired(at)
    return gone


# Who is next.


@pytest.mark.parametrize("seed", [None, *range(20)])
def test_calls_leave_in_the_order_in_which_they_arrived(seed: int | None) -> None:
    orders = list(range(100))
    if seed is not None:
        random.Random(seed).shuffle(orders)
    queue, _ = queue_of(orders)
    assert len(queue) == 100
    assert drained(queue) == list(range(100))
    assert (len(queue), queue.head()) == (0, None)


def test_a_retry_keeps_its_calls_place() -> None:
    queue, _ = queue_of((10, 11, 12, 5, 11, 3))
    assert drained(queue) == [3, 5, 10, 11, 11, 12]


def test_a_ticket_that_left_is_never_the_head() -> None:
    queue, tickets = queue_of((0, 1, 2, 3, 0))
    for nth in (0, 4, 2):
        queue.remove(tickets[nth], LEFT)
    assert len(queue) == 2
    assert drained(queue) == [1, 3]


# Who gives up.


def test_a_ticket_expires_when_its_time_is_up_and_not_before() -> None:
    queue, _ = filled(Ticket(order, at, 0.0) for order, at in enumerate((5.0, 3.0, 4.0)))
    assert queue.next_deadline() == 3.0
    assert queue.expired(2.999) == []
    gone = queue.expired(4.0)
    assert [(ticket.order, ticket.state) for ticket in gone] == [(1, EXPIRED), (2, EXPIRED)]
    assert (len(queue), queue.next_deadline()) == (1, 5.0)
    assert drained(queue) == [0]


def test_a_ticket_that_left_does_not_expire() -> None:
    queue, (first, second) = queue_of((0, 1), give_up_at=3.0)
    queue.remove(first, GRANTED)
    assert queue.expired(3.0) == [second]
    assert queue.next_deadline() == math.inf


def test_the_next_to_give_up_is_found_whether_it_came_in_order_or_not() -> None:
    times = (10.0, 20.0, 15.0, 20.0, 5.0, 30.0)
    queue, _ = filled(Ticket(order, at, 0.0) for order, at in enumerate(times))
    assert [ticket.give_up_at for ticket in expiring(queue)] == sorted(times)


def test_those_that_stay_when_most_have_left_expire_at_their_time_whatever_their_order() -> None:
    queue, tickets = in_a_hurry(400)
    stay = tickets[::40]
    for ticket in tickets:
        if ticket not in stay:
            queue.remove(ticket, LEFT)
    assert queue.next_deadline() == stay[-1].give_up_at
    assert queue.expired(stay[5].give_up_at) == stay[:4:-1]
    assert queue.head() is stay[0]
    assert queue.expired(1000.0) == stay[4::-1]
    assert (len(queue), queue.next_deadline()) == (0, math.inf)


def test_those_that_stay_give_up_in_the_order_of_their_times() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        queue, tickets = filled(
            Ticket(order, chance.uniform(0.0, 100.0), 0.0) for order in range(400)
        )
        stay = set(chance.sample(tickets, 60))
        for ticket in tickets:
            if ticket not in stay:
                queue.remove(ticket, LEFT)
        assert expiring(queue) == sorted(stay, key=lambda ticket: ticket.give_up_at), f"seed {seed}"


# What is kept of those that left.


@pytest.mark.parametrize("late", [0, 1, 200, 399])
@pytest.mark.parametrize("give_up", [in_a_hurry, lambda count: queue_of(range(count), 600.0)])
def test_whenever_they_give_up_those_that_left_are_not_kept_for_long(
    late: int, give_up: object
) -> None:
    queue, tickets = give_up(400)  # type: ignore[operator]
    random.Random(late).shuffle(tickets)
    for left, ticket in enumerate(tickets[late:] + tickets[:late], 1):
        queue.remove(ticket, GRANTED if left % 2 else LEFT)
        kept = len(queue._deadlines) + len(queue._sooner)
        assert kept <= 64 + 2 * (400 - left) + 1
        assert len(queue._new) <= 64 + 2 * (400 - left) + 1
    assert (len(queue), queue.head(), len(queue._new)) == (0, None, 0)


def test_those_that_left_behind_a_head_that_stays_are_not_kept_for_long() -> None:
    queue, tickets = queue_of(range(1000), give_up_at=600.0)
    stay = tickets[::100]
    for left, ticket in enumerate((ticket for ticket in tickets if ticket not in stay), 1):
        queue.remove(ticket, LEFT)
        assert len(queue._new) <= 64 + 2 * (1000 - left) + 1
    assert drained(queue) == [ticket.order for ticket in stay]


def test_an_endless_stream_of_calls_keeps_no_trace_of_them() -> None:
    queue = TicketQueue()
    for order in range(10_000):
        queue.push(Ticket(order, 600.0, 0.0))
        assert drained(queue) == [order]
    assert len(queue._new) + len(queue._retries) == 0
    assert len(queue._deadlines) <= 65


# Whose routes wait.


def routed(orders: Iterable[int], count: int) -> tuple[TicketQueue, list[Ticket], list[Route]]:
    """Return a queue of tickets that go by so many routes in turn."""
    throttle: Throttle = Scope().throttle
    buckets = Buckets((), LRUMap(), lambda name: throttle, str)
    routes = [Route(f"{nth}", throttle, buckets) for nth in range(count)]
    tickets = [Ticket(order, 100.0 - order, 0.0) for order in orders]
    for ticket in tickets:
        ticket.route = routes[ticket.order % count]
    queue, _ = filled(tickets)
    return queue, tickets, routes


def test_routes_that_calls_wait_for_are_named_once_the_earliest_calls_first() -> None:
    queue, tickets, (even, odd) = routed((4, 7, 5, 1, 2), 2)
    queue.push(Ticket(0, math.inf, 0.0))  # of no route
    assert queue.routes() == [odd, even]
    queue.remove(tickets[3], LEFT)
    assert queue.routes() == [even, odd]


def test_a_routes_tickets_are_taken_out_in_their_order_and_no_others() -> None:
    queue, tickets, (first, second, third) = routed((1, 4, 7, 10, 3, 0, 2, 6, 5), 3)
    queue.remove(tickets[1], LEFT)
    taken = queue.take(second)
    assert [ticket.order for ticket in taken] == [1, 7, 10]
    assert {ticket.state for ticket in taken} == {WAITING}
    assert (len(queue), queue.take(second)) == (5, [])
    assert queue.routes() == [first, third]
    assert queue.next_deadline() == 94.0
    assert queue.expired(94.0) == [tickets[7]]
    assert drained(queue) == [0, 2, 3, 5]


# A ticket.


@pytest.mark.parametrize(
    ("state", "word"),
    [(WAITING, "waiting"), (GRANTED, "granted"), (EXPIRED, "expired"), (LEFT, "left")],
)
def test_a_ticket_shows_its_order_and_state(state: int, word: str) -> None:
    ticket = Ticket(7, 1.0, 0.0)
    ticket.state = state
    assert repr(ticket) == f"<Ticket 7 {word}>"


def test_a_ticket_begins_with_what_it_was_made_from_and_nothing_else() -> None:
    ticket = Ticket(7, 30.0, 12.5)
    made = (ticket.order, ticket.give_up_at, ticket.arrived_at, ticket.cost)
    assert made == (7, 30.0, 12.5, 1)
    found = (ticket.state, ticket.retry_at, ticket.is_probe, ticket.wake, ticket.route)
    assert found == (WAITING, None, False, None, None)
