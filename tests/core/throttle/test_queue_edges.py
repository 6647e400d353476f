"""The queue where later calls give up sooner; what a ticket tells of itself."""

import math
import random

import pytest

from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue


def in_a_hurry(count: int) -> tuple[TicketQueue, list[Ticket]]:
    """Return a queue, and its tickets, of which each gives up sooner than all before it."""
    queue = TicketQueue()
    tickets = [Ticket(order, 1000.0 - order, 0.0) for order in range(count)]
    for ticket in tickets:
        queue.push(ticket)
    return queue, tickets


def test_those_that_stay_when_most_have_left_expire_at_their_time_whatever_their_order() -> None:
    queue, tickets = in_a_hurry(400)
    stay = tickets[::40]
    for ticket in tickets:
        if ticket not in stay:
            queue.remove(ticket, LEFT)
    assert queue.next_deadline() == stay[-1].give_up_at
    found = queue.expired(stay[5].give_up_at)
    assert found == stay[:4:-1]
    assert {ticket.state for ticket in found} == {EXPIRED}
    assert queue.head() is stay[0]
    assert queue.expired(1000.0) == stay[4::-1]
    assert (len(queue), queue.next_deadline()) == (0, math.inf)


def test_those_that_stay_give_up_in_the_order_of_their_times() -> None:
    for seed in range(20):
        chance, queue = random.Random(seed), TicketQueue()
        tickets = [Ticket(order, chance.uniform(0.0, 100.0), 0.0) for order in range(400)]
        for ticket in tickets:
            queue.push(ticket)
        stay = set(chance.sample(tickets, 60))
        for ticket in tickets:
            if ticket not in stay:
                queue.remove(ticket, LEFT)
        found = []
        while (at := queue.next_deadline()) < math.inf:
            found += queue.expired(at)
        assert found == sorted(stay, key=lambda ticket: ticket.give_up_at), f"seed {seed}"


@pytest.mark.parametrize("late", [0, 1, 200, 399])
def test_however_soon_they_give_up_those_that_left_are_not_kept_for_long(late: int) -> None:
    queue, tickets = in_a_hurry(400)
    random.Random(late).shuffle(tickets)
    for left, ticket in enumerate(tickets[late:] + tickets[:late], 1):
        queue.remove(ticket, GRANTED if left % 2 else LEFT)
        kept = len(queue._deadlines) + len(queue._sooner)
        assert kept <= 64 + 2 * (400 - left) + 1
    assert queue.head() is None


def test_those_that_left_behind_a_head_that_stays_are_not_kept_for_long() -> None:
    queue = TicketQueue()
    tickets = [Ticket(order, 600.0, 0.0) for order in range(1000)]
    for ticket in tickets:
        queue.push(ticket)
    stay = tickets[::100]
    for left, ticket in enumerate((ticket for ticket in tickets if ticket not in stay), 1):
        queue.remove(ticket, LEFT)
        assert len(queue._new) <= 64 + 2 * (1000 - left) + 1
    found = []
    while (head := queue.head()) is not None:
        found.append(head)
        queue.remove(head, GRANTED)
    assert found == stay


def test_the_next_to_give_up_is_found_whether_it_came_in_order_or_not() -> None:
    queue = TicketQueue()
    for order, at in enumerate((10.0, 20.0, 15.0, 20.0, 5.0, 30.0)):
        queue.push(Ticket(order, at, 0.0))
    found = []
    while (at := queue.next_deadline()) < math.inf:
        found.append((at, len(queue.expired(at))))
    assert found == [(5.0, 1), (10.0, 1), (15.0, 1), (20.0, 2), (30.0, 1)]


@pytest.mark.parametrize(
    ("state", "word"),
    [(WAITING, "waiting"), (GRANTED, "granted"), (EXPIRED, "expired"), (LEFT, "left")],
)
def test_a_ticket_tells_its_state_in_a_word(state: int, word: str) -> None:
    ticket = Ticket(7, 1.0, 0.0)
    ticket.state = state
    assert repr(ticket) == f"<Ticket 7 {word}>"


def test_a_ticket_begins_with_what_it_was_made_from_and_nothing_else() -> None:
    ticket = Ticket(7, 30.0, 12.5)
    made = (ticket.order, ticket.give_up_at, ticket.arrived_at, ticket.cost)
    assert made == (7, 30.0, 12.5, 1)
    found = (ticket.state, ticket.retry_at, ticket.is_probe, ticket.wake)
    assert found == (WAITING, None, False, None)
