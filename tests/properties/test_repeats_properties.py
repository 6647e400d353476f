"""A response that repeats the last one is learned of in a shorter way: to the same end."""

import random
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from httpx_resilience import ThrottlePolicy
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.serverclock import ServerClock
from httpx_resilience._core.throttle import GRANTED, Throttle, Ticket
from simulation.servers import LIMITERS, Limiter

EPOCH = 1_700_000_000
STEPS = 150
PAUSES = (0.0, 0.0, 0.0, 0.001, 0.001, 0.01, 0.05, 0.3, 1.1)


class Way:
    """A throttle, and the requests that it let go: on the wire, then answered by the server."""

    def __init__(self, *, is_short: bool) -> None:
        self.throttle = Throttle(
            "https://v", "all", ThrottlePolicy(), ServerClock(), [], lambda event: None
        )
        if not is_short:
            ledgers: Any = self.throttle._ledgers
            ledgers.repeat = lambda *_: -1
        self.tickets: list[Ticket] = []

    def ask(self, order: int, now: float) -> bool:
        ticket = self.throttle.reserve(order, now, now)
        if ticket.state == GRANTED:
            self.tickets.append(ticket)
        return ticket.state == GRANTED


def reading(server: Limiter, limit: int, now: float) -> Reading:
    answer = server.take(now)
    reset, date = float(int(EPOCH + answer.reset) + 1), float(int(EPOCH + now))
    return Reading((RateLimit(limit, answer.remaining, reset - date, reset, 1.0),), date)


@given(limit=st.sampled_from([60, 200]), seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_the_short_way_lets_the_same_requests_go_as_the_long_one(limit: int, seed: int) -> None:
    chance, window = random.Random(seed), 5.0
    server = LIMITERS["aligned"](limit, window)
    ways = [Way(is_short=True), Way(is_short=False)]
    wire: list[int] = []
    answers: list[tuple[int, Reading]] = []
    orders, now = count(), 0.0

    def one(at: int, said: Reading | None) -> None:
        late = chance.choice((0.0, 0.0, 0.002))  # told so long after it came
        for way in ways:
            ticket = way.tickets[at]
            if said is None:
                way.throttle.leave(ticket, now, sent=True)
            else:
                came = max(ticket.granted_at, now - late)
                way.throttle.observe(ticket, ticket.granted_at, came, said, None)

    def ask() -> None:
        order = next(orders)
        short, long = (way.ask(order, now) for way in ways)
        assert short == long, f"at {now}"
        if short:
            wire.append(len(ways[0].tickets) - 1)

    for _ in range(4):  # until it is known for a fixed window
        ask()
        one(wire.pop(), reading(server, limit, now))
        now = (now // window + 1.0) * window + 1.2
    for _ in range(STEPS):
        now += chance.choice(PAUSES)
        for _ in range(chance.choice((0, 1, 3, 20))):
            ask()
        arrived = min(len(wire), chance.choice((0, 1, 3, 20)))
        answers += [(wire.pop(0), reading(server, limit, now)) for _ in range(arrived)]
        for _ in range(min(len(answers), chance.choice((0, 1, 3, 20)))):
            one(*answers.pop(chance.choice((0, -1))))
        if wire and chance.random() < 0.02:
            one(wire.pop(), chance.choice((None, Reading())))
