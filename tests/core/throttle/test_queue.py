"""The queue: by arrival of the call, cheap to leave, bounded."""

import math
import random

from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue


def queue_of(*orders: int, give_up_at: float = math.inf) -> tuple[TicketQueue, list[Ticket]]:
    queue = TicketQueue()
    tickets = [Ticket(order, give_up_at, 0.0) for order in orders]
    for ticket in tickets:
        queue.push(ticket)
    return queue, tickets


def drained(queue: TicketQueue) -> list[int]:
    orders = []
    while (head := queue.head()) is not None:
        queue.remove(head, GRANTED)
        orders.append(head.order)
    return orders


def test_calls_leave_in_the_order_in_which_they_arrived() -> None:
    assert drained(queue_of(*range(100))[0]) == list(range(100))


def test_a_retry_keeps_its_calls_place() -> None:
    queue, _ = queue_of(10, 11, 12)
    for order in (5, 11, 3):
        queue.push(Ticket(order, math.inf, 0.0))
    assert drained(queue) == [3, 5, 10, 11, 11, 12]


def test_any_order_of_arrival_comes_out_sorted() -> None:
    for seed in range(50):
        orders = list(range(60))
        random.Random(seed).shuffle(orders)
        assert drained(queue_of(*orders)[0]) == sorted(orders), f"seed {seed}"


def test_a_ticket_that_left_is_never_the_head() -> None:
    queue, tickets = queue_of(0, 1, 2, 3)
    queue.push(retry := Ticket(0, math.inf, 0.0))
    for ticket in (tickets[0], retry, tickets[2]):
        queue.remove(ticket, LEFT)
    assert len(queue) == 2
    assert drained(queue) == [1, 3]
    assert len(queue) == 0
    assert queue.head() is None


def test_a_ticket_expires_when_its_time_is_up_and_not_before() -> None:
    queue = TicketQueue()
    for order, at in enumerate((5.0, 3.0, 4.0)):
        queue.push(Ticket(order, at, 0.0))
    assert queue.next_deadline() == 3.0
    assert queue.expired(2.999) == []
    gone = queue.expired(4.0)
    assert [(ticket.order, ticket.state) for ticket in gone] == [(1, EXPIRED), (2, EXPIRED)]
    assert (len(queue), queue.next_deadline()) == (1, 5.0)
    assert drained(queue) == [0]


def test_a_ticket_that_left_does_not_expire() -> None:
    queue, (first, second) = queue_of(0, 1, give_up_at=3.0)
    queue.remove(first, GRANTED)
    assert queue.expired(3.0) == [second]
    assert queue.next_deadline() == math.inf


def test_ten_thousand_tickets_that_leave_at_random_leave_no_deadlines_behind() -> None:
    queue, tickets = queue_of(*range(10_000), give_up_at=600.0)
    random.Random(1).shuffle(tickets)
    for left, ticket in enumerate(tickets, 1):
        queue.remove(ticket, LEFT)
        assert len(queue._deadlines) <= 64 + 2 * (10_000 - left) + 1
    assert len(queue) == 0
    assert queue.head() is None
    assert len(queue._new) == 0


def test_an_endless_stream_of_calls_keeps_no_trace_of_them() -> None:
    queue = TicketQueue()
    for order in range(10_000):
        queue.push(Ticket(order, 600.0, 0.0))
        head = queue.head()
        assert head is not None
        assert head.state == WAITING
        queue.remove(head, GRANTED)
    assert len(queue._new) + len(queue._retries) <= 1
    assert len(queue._deadlines) <= 65


def test_a_ticket_tells_its_order_and_state() -> None:
    assert repr(Ticket(7, 1.0, 0.0)) == "<Ticket 7 waiting>"
