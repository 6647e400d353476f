"""Places among the requests in flight: none is lost, none is taken twice, whatever happens."""

import math

from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience import ThrottlePolicy
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import GRANTED, WAITING, OriginConcurrency, Ticket
from support.gates import OUTAGE, WakingThrottle, after

ACTIONS = ["ask", "ask", "ask", "answer", "answer", "limited", "empty", "outage", "fail", "cancel"]
NOW_OR_LATER = st.one_of(st.just(0.0), st.floats(0.0, 3.0))


@given(
    concurrency=st.one_of(st.integers(1, 5), st.just("auto")),
    steps=st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.integers(0, 50), NOW_OR_LATER), max_size=100
    ),
)
def test_every_place_that_is_taken_is_given_back_and_no_free_one_is_withheld(
    concurrency: int, steps: list[tuple[str, int, float]]
) -> None:
    shared = OriginConcurrency(concurrency)
    policy = ThrottlePolicy(concurrency=concurrency)
    scopes = [
        WakingThrottle("https://v", f"s{n}", policy, ServerClock(), bool, None, shared)
        for n in range(3)
    ]
    tickets: list[Ticket] = []
    now = 0.0

    def alive(state: int) -> list[Ticket]:
        return [ticket for ticket in tickets if ticket.state == state]

    for action, which, seconds in steps:
        now += seconds
        if action == "ask":
            give_up_at = now + 5.0 if which % 5 == 0 else math.inf
            tickets.append(scopes[which % 3].reserve(len(tickets), now, give_up_at))
        elif action == "cancel":
            going = alive(WAITING) + alive(GRANTED)
            if going:
                chosen = going[which % len(going)]
                chosen.home.leave(chosen, now, sent=which % 2 == 0)
        elif flying := alive(GRANTED):
            chosen = flying[which % len(flying)]
            _end(action, chosen, which, now)
        for scope in scopes:
            scope.tick(now)
        assert shared.count == len(alive(GRANTED)) == sum(s.statistics().in_flight for s in scopes)
        assert shared.count <= max(shared.limit, 20)  # one that shrinks calls nobody back
        if shared.count < shared.limit:
            reasons = {s.status(now)[0].held_reason for s in scopes if s.statistics().queued}
            assert "concurrency" not in reasons

    now += 1e6  # faults are over: whoever waits is served
    for _ in range(4 * len(tickets) + 4):
        for ticket in alive(GRANTED):
            ticket.home.observe(ticket, now, now + 0.1, Reading((), None), None)
        now += 60.0
        for scope in scopes:
            scope.tick(now)
    assert not alive(WAITING)
    assert not alive(GRANTED)
    assert shared.count == 0


def _end(action: str, ticket: Ticket, which: int, now: float) -> None:
    home, sent = ticket.home, ticket.granted_at
    if action == "fail":
        home.failed(ticket, now, sent=which % 2 == 0)
    elif action == "outage":
        home.observe(ticket, sent, now, Reading((), None), after(OUTAGE, which / 10))
    else:
        left = {"limited": which, "empty": 0}.get(action)
        limits = () if left is None else (RateLimit(50, left, 2.0, None, 0.001),)
        home.observe(ticket, sent, now, Reading(limits, None), None)
