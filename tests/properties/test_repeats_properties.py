"""A response that repeats the last one is learned of in a shorter way: to the same end."""

import random
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from httpx_resilience import ThrottlePolicy
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import GRANTED, Throttle, Ticket
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import FIXED
from simulation.servers import LIMITERS, Limiter
from support.gates import BROKEN, MISSING, OUTAGE

EPOCH = 1_700_000_000
STEPS = 150
FAILURES = (BROKEN, MISSING, OUTAGE)
PAUSES = (0.0, 0.0, 0.0, 0.001, 0.001, 0.01, 0.05, 0.3, 1.1)


class Thorough(Throttle):
    """One that takes no short way: it looks at the gate for each request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        quotas: Any = self._quotas
        quotas._count = lambda: None  # so that none of them is the only one

    def _fast_path_credit(self, now: float) -> int:
        return 0


class Clock(ServerClock):
    """One that learns no more once it is set: a repeat goes by what was known when it began.

    Else the long way would know the reset some milliseconds better, for a quarter of a second.
    """

    is_set = False

    def observe(self, date: float, sent: float, received: float) -> None:
        if not self.is_set:
            super().observe(date, sent, received)


class Way:
    """A throttle, and the requests that it let go: on the wire, then answered by the server."""

    def __init__(self, kind: type[Throttle]) -> None:
        self.clock = Clock()
        self.throttle = kind("https://v", "all", ThrottlePolicy(), self.clock, lambda event: None)
        self.tickets: list[Ticket] = []

    @property
    def kind(self) -> str:
        (ledger,) = self.throttle._quotas.values()
        assert isinstance(ledger, Quota)
        return ledger.kind

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
@settings(max_examples=60)
def test_the_short_way_lets_the_same_requests_go_as_the_long_one(limit: int, seed: int) -> None:
    chance, window = random.Random(seed), 8.0
    server = LIMITERS["aligned"](limit, window)
    ways = [Way(Throttle), Way(Thorough)]
    wire: list[int] = []
    answers: list[tuple[int, Reading]] = []
    orders, now = count(), 0.0

    def one(at: int, said: Reading | None) -> None:
        late = chance.choice((0.0, 0.0, 0.002))  # told so long after it came
        failure = chance.choice(FAILURES) if chance.random() < 0.05 else None
        for way in ways:
            ticket = way.tickets[at]
            if said is None:
                way.throttle.leave(ticket, now, sent=True)
            else:
                came = max(ticket.granted_at, now - late)
                way.throttle.observe(ticket, ticket.granted_at, came, said, failure)

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
    for way in ways:
        way.clock.is_set = True
        assert way.kind == FIXED
    for _ in range(STEPS):
        if any(way.kind != FIXED for way in ways):
            return  # what comes back is measured from then on, at other times by each
        now += chance.choice(PAUSES)
        for _ in range(chance.choice((0, 1, 3, 20))):
            ask()
        arrived = min(len(wire), chance.choice((0, 1, 3, 20)))
        answers += [(wire.pop(0), reading(server, limit, now)) for _ in range(arrived)]
        for _ in range(min(len(answers), chance.choice((0, 1, 3, 20)))):
            one(*answers.pop(chance.choice((0, -1))))
        if wire and chance.random() < 0.02:
            one(wire.pop(), chance.choice((None, Reading())))
