"""What always holds of the evidence and of the gate, whatever the order of things."""

import math
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience import ThrottlePolicy
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import GRANTED, WAITING, Ticket
from httpx_resilience._core.throttle.limits.quota import Quota
from simulation.servers import LIMITERS
from support.gates import WakingThrottle

delays = st.one_of(st.floats(0.0, 0.1), st.floats(0.0, 20.0))


class Request:
    """One request on its way: sent, then processed, then its response received."""

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.told: RateLimit | None = None


@given(
    kind=st.sampled_from(sorted(LIMITERS)),
    limit=st.integers(1, 30),
    window=st.floats(0.5, 100.0),
    steps=st.lists(
        st.tuples(st.sampled_from("sprspr+"), st.integers(0, 50), st.floats(0.0, 20.0)),
        max_size=120,
    ),
)
def test_the_evidence_less_what_is_in_flight_is_never_more_than_the_server_has_left(
    kind: str, limit: int, window: float, steps: list[tuple[str, int, float]]
) -> None:
    """Requests are sent, processed and answered in any order, with any time in between.

    What the server truly has left is what remains once everything in flight is processed, at the
    same instant: each takes one more unit, if there is one.
    """
    server, ledger, clock = LIMITERS[kind](limit, window), Quota(), ServerClock()
    wire: list[Request] = []
    answers: list[Request] = []
    now, level = 0.0, limit

    for action, which, seconds in steps:
        if action == "+":
            now += seconds
        elif action == "s":
            wire.append(Request(now))
        elif action == "p" and wire:
            request = wire.pop(which % len(wire))
            answer = server.take(now)
            level = answer.remaining
            request.told = RateLimit(limit, level, max(0.0, answer.reset - now), None, 1.0)
            answers.append(request)
        elif action == "r" and answers:
            request = answers.pop(which % len(answers))
            assert request.told is not None
            outstanding = len(wire) + len(answers)
            ledger.observe(request.told, request.sent, now, clock, outstanding)
        if ledger.has_evidence:
            # Of what is in flight the server has counted the answers; the rest is on the wire.
            assert ledger.left(len(wire) + len(answers)) <= level - len(wire)
        now += 1e-6  # no two events at the same instant


@given(
    st.lists(st.tuples(st.integers(0, 40), delays, delays), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_any_order_of_telling_gives_an_evidence_no_larger_and_in_order_the_definition(
    entries: list[tuple[int, float, float]], chance: object
) -> None:
    """Told in the order of receipt it is the definition, word by word."""
    responses = sorted(
        ((sent, sent + takes, remaining) for remaining, sent, takes in entries),
        key=lambda response: response[1],
    )
    ledger, newest = Quota(), -math.inf
    for number, (sent, received, remaining) in enumerate(responses, 1):
        ledger.observe(RateLimit(100, remaining, 60.0), sent, received, ServerClock(), 0)
        newest = max(newest, sent)
        evidence = [left for _, at, left in responses[:number] if at >= newest]
        assert ledger.remaining == min(evidence)


@given(
    st.lists(st.tuples(st.integers(0, 40), delays), min_size=1, max_size=12),
    st.floats(20.0, 30.0),
    st.permutations(range(12)),
)
def test_the_responses_of_one_instant_give_the_same_evidence_in_any_order(
    entries: list[tuple[int, float]], received: float, order: list[int]
) -> None:
    def after(sequence: list[tuple[int, float]]) -> int:
        ledger = Quota()
        for remaining, sent in sequence:
            ledger.observe(RateLimit(100, remaining, 60.0), sent, received, ServerClock(), 0)
        return ledger.remaining

    shuffled = [entries[place] for place in order if place < len(entries)]
    assert after(entries) == after(shuffled)
    assert after([*entries, entries[0]]) == after(entries)  # told twice is told once


@given(
    limit=st.integers(1, 20),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "answer", "answer", "bare", "fail", "cancel"]),
            st.integers(0, 50),
            st.one_of(st.just(0.0), st.floats(0.0, 3.0), st.floats(0.0, 40.0)),
        ),
        max_size=100,
    ),
)
def test_every_request_that_goes_comes_back_once_and_nobody_overtakes(
    limit: int, steps: list[tuple[str, int, float]]
) -> None:
    """Conservation: granted = in flight + answered + failed or cancelled, in any history."""
    throttle = WakingThrottle(
        "https://v", "all", ThrottlePolicy(), ServerClock(), lambda event: None
    )
    server, orders, now = LIMITERS["anchored"](limit, 10.0), count(), 0.0
    tickets: list[Ticket] = []
    ended: set[int] = set()

    def alive(state: int) -> list[Ticket]:
        return [ticket for ticket in tickets if ticket.state == state]

    for action, which, seconds in steps:
        now += seconds
        flying = alive(GRANTED)
        if action == "ask":
            tickets.append(throttle.reserve(next(orders), now, math.inf))
        elif action == "cancel" and tickets:
            chosen = tickets[which % len(tickets)]
            if chosen.state in (WAITING, GRANTED):
                throttle.leave(chosen, now, sent=which % 2 == 0)
                ended.add(chosen.order)
        elif flying:
            chosen = flying[which % len(flying)]
            ended.add(chosen.order)
            if action == "fail":
                throttle.failed(chosen, now, sent=which % 2 == 0)
            else:
                answer = server.take(now)
                told = RateLimit(limit, answer.remaining, answer.reset - now, None, 0.001)
                reading = Reading((told,) if action == "answer" else ())
                throttle.observe(chosen, chosen.granted_at, now, reading, None)
        throttle.tick(now)

        waiting, flying = alive(WAITING), alive(GRANTED)
        counted = throttle.statistics()
        assert (counted.queued, counted.in_flight) == (len(waiting), len(flying))
        assert len(flying) + len(waiting) + len(ended) == len(tickets)
        assert counted.units == len(flying) + counted.abandoned
        if waiting:
            first = min(waiting, key=lambda ticket: ticket.order)
            assert throttle.timer_deadline(first) is not None  # somebody keeps the time
            assert all(ticket.order < first.order for ticket in flying)
            assert sum(throttle.timer_deadline(ticket) is not None for ticket in waiting) == 1

    for ticket in tickets:
        throttle.leave(ticket, now, sent=False)
    throttle.tick(now + 31.0)
    throttle.ask(now + 31.0)
    assert throttle.is_idle
    assert throttle.statistics().units == 0
