"""How a process asks its store: one call for all, and what it does while the store is away."""

import math
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from httpx_resilience import ThrottlePolicy
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.outcome import Command, Leased
from httpx_resilience._core.telemetry.events import Event
from httpx_resilience._core.throttle import GRANTED, WAITING, LeasedThrottle, Leasing, Ticket

GAVE_UP = math.inf
ROW = 14


class Names:
    def key(self, kind: str, *parts: str) -> str:
        return f"{kind}:{'|'.join(parts)}"

    def token(self, *parts: str) -> str:
        return "limit"

    def hashed(self, name: bytes) -> str:
        return name.hex()


class Process:
    """One process with scopes of its own; replies of its store are made by hand."""

    def __init__(self, scopes: int = 1, processes: int = 1) -> None:
        self.events: list[Event] = []
        self.leasing = Leasing(Names(), "me", self.events.append, processes)
        self.throttles = [
            LeasedThrottle(
                "https://a",
                f"scope{n}",
                ThrottlePolicy(),
                ServerClock(),
                self.events.append,
                self.leasing,
                "who",
                f"scope{n}",
            )
            for n in range(scopes)
        ]
        self._orders = iter(range(10_000))

    @property
    def throttle(self) -> LeasedThrottle:
        return self.throttles[0]

    def call(self, now: float, throttle: LeasedThrottle | None = None, cost: int = 1) -> Ticket:
        """A call that asks to be admitted."""
        home, order = throttle or self.throttle, next(self._orders)
        ticket = home.admit_at_once(order, now, cost)
        if ticket is None:
            ticket = home.reserve(order, now, GAVE_UP, cost=cost)
            if ticket.state == WAITING:
                home.enqueue(ticket, now)
        return ticket

    def ask(self, now: float, throttle: LeasedThrottle | None = None) -> Sequence[Command]:
        return self.leasing.commands(throttle or self.throttle, now)

    def answer(self, now: float, *replies: list[str] | None) -> Sequence[Ticket]:
        return self.leasing.answered(Leased(now, list(replies)))

    def lose(self, now: float) -> Sequence[Ticket]:
        return self.leasing.answered(Leased(now, None, "timeout"))

    def respond(self, ticket: Ticket, now: float, remaining: int | None = None) -> None:
        limits: tuple[RateLimit, ...] = ()
        if remaining is not None:
            limits = (RateLimit(100, remaining, reset_in=60.0),)
        ticket.home.observe(ticket, ticket.granted_at, now, Reading(limits, None, None), None)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


def granting(units: int, *, lasts: int = 1000, processes: int = 4, **changed: Any) -> list[str]:
    words = SimpleNamespace(granted="1", probe="0", retry="0", free="0", **changed)
    start = [words.granted, "7", str(lasts), str(processes), "0", words.retry, words.free]
    return [*start, words.probe, "0", "0", "0", "1", "limit", str(units), "0", str(units), "1"]


REFUSED = ["0", "7", "1000", "4", "0", "250", "0", "0", "0", "0", "0", "0"]
PROBE = ["1", "7", "1000", "4", "0", "0", "0", "1", "0", "0", "0", "0"]
FREE = ["1", "7", "1000", "4", "0", "0", "1", "0", "0", "0", "0", "0"]


def test_one_call_asks_for_all_that_wait() -> None:
    process = Process()
    tickets = [process.call(0.0) for _ in range(5)]
    (command,) = process.ask(0.0)
    assert (command.script, command.key) == ("lease", "lease:https://a|who|scope0")
    assert command.args[:2] == ("me", 1)
    assert process.ask(0.0) == ()  # another call that looks while it is under way
    process.answer(0.001, granting(3))
    assert [ticket.state for ticket in tickets] == [GRANTED] * 3 + [WAITING] * 2


def test_calls_go_without_asking_until_the_units_are_gone() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    process.answer(0.001, granting(4))
    assert [process.call(0.01).state for _ in range(4)] == [GRANTED] * 3 + [WAITING]
    assert len(process.ask(0.01)) == 1


def test_a_lease_ends() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    process.answer(0.001, granting(100, lasts=300))
    assert process.call(0.29).state == GRANTED
    assert process.call(0.301).state == WAITING


def test_scopes_that_are_due_together_are_asked_together() -> None:
    process = Process(scopes=3)
    for throttle in process.throttles:
        process.call(0.0, throttle)
    assert len(process.ask(0.0, process.throttles[0])) == 1
    for throttle in process.throttles[1:]:
        assert process.ask(0.0, throttle) == ()
    woken = process.answer(0.001, granting(1))
    assert any(ticket.home is process.throttles[1] for ticket in woken)
    assert len(process.ask(0.002, process.throttles[1])) == 2


def test_it_asks_ten_times_a_second_at_the_most() -> None:
    process, asks, now = Process(), 0, 0.0
    process.call(0.0)
    while now < 10.0:
        if process.ask(now):
            asks += 1
            process.answer(now, REFUSED)
        now += 0.01
        process.throttle.tick(now)
    assert 30 <= asks <= 43  # every 250 ms, as the store says
    for _ in range(1_000):
        process.call(now)
        if process.ask(now):
            asks += 1
            process.answer(now, granting(1))
        now += 0.001
    assert asks <= 43 + 13


def test_what_is_in_flight_and_answered_is_reported() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    process.answer(0.001, granting(3))
    tickets = [process.call(0.01) for _ in range(2)]
    process.respond(tickets[0], 0.05, remaining=90)
    process.call(1.2)
    (command,) = process.ask(1.2)
    name, flying, answered = command.args[ROW : ROW + 3]
    assert (name, flying, answered) == ("limit", 2, 1)


def test_a_response_says_what_had_been_settled_when_its_request_was_sent() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    process.answer(0.001, [*granting(9)[:14], "40", "9", "1"])  # others had settled 40
    ticket = process.call(0.01)
    process.respond(ticket, 0.05, remaining=50)
    process.call(1.2)
    (command,) = process.ask(1.2)
    base = command.args[ROW + 9]
    assert base == 41  # those, and our own one


def test_while_the_store_is_away_the_process_takes_its_part() -> None:
    process = Process(processes=4)
    first = process.call(0.0)
    process.ask(0.0)
    process.lose(0.25)
    assert process.names().count("store_lost") == 1
    assert first.state == GRANTED  # as a probe, by slow start
    process.respond(first, 0.3, remaining=40)
    states = [process.call(0.31).state for _ in range(15)]
    assert states.count(GRANTED) == 7  # a quarter of what is left, and 3 are kept as probes


def test_a_store_that_was_away_is_tried_after_a_while_that_grows() -> None:
    process, tried, now = Process(), [], 0.0
    process.call(0.0)
    while now < 100.0:
        process.call(now)
        if process.ask(now):
            tried.append(now)
            process.lose(now)
        now = round(now + 0.1, 1)
    gaps = [round(b - a) for a, b in pairwise(tried)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 30]
    assert process.names().count("store_lost") == 1


def test_a_store_that_is_back_is_found() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    process.lose(0.25)
    process.call(2.0)
    assert len(process.ask(2.0)) == 1
    process.answer(2.001, granting(5))
    assert process.names()[-1] == "store_back"
    assert process.call(2.01).state == GRANTED


def test_a_reply_that_makes_no_sense_is_as_good_as_none() -> None:
    for words in ([], ["1"], ["x"] * 12, [*PROBE[:-1], "3"], ["nan", *PROBE[1:]], None):
        process = Process()
        process.call(0.0)
        process.ask(0.0)
        process.answer(0.001, words)
        assert "store_lost" in process.names()


def test_a_call_that_is_cancelled_while_it_asks_leaves_it_to_the_next() -> None:
    process = Process()
    first, second = process.call(0.0), process.call(0.0)
    process.ask(0.0)
    process.throttle.leave(first, 0.01, sent=False)
    woken = process.leasing.left(0.01)
    assert second in woken
    assert len(process.ask(0.01)) == 1


def test_where_nothing_is_announced_the_process_goes_by_its_own_limits() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    process.answer(0.001, FREE)
    assert process.call(0.002).state == WAITING  # slow start: one is in flight
    assert process.ask(0.002) == ()


def test_while_a_probe_is_in_flight_nobody_asks() -> None:
    process = Process()
    probe = process.call(0.0)
    process.ask(0.0)
    process.answer(0.001, PROBE)
    assert probe.state == GRANTED
    assert probe.is_probe
    process.call(0.01)
    assert process.ask(0.01) == ()
    process.respond(probe, 0.05, remaining=99)
    process.throttle.tick(0.05)
    assert len(process.ask(0.05)) == 1


def test_status_shows_the_shared_view() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    process.answer(0.001, granting(8))
    process.respond(process.call(0.01), 0.02, remaining=60)
    (row,) = process.throttle.status(0.03)
    assert (row.store, row.processes, row.shared_remaining, row.leased) == ("connected", 4, 8, 6)
    process.call(1.5)
    process.ask(1.5)
    process.lose(1.75)
    (row,) = process.throttle.status(1.8)
    assert row.store == "lost"


def test_a_rate_that_others_found_is_paced_by() -> None:
    process = Process()
    process.call(0.0)
    process.ask(0.0)
    reply = granting(100)
    process.answer(0.001, [*reply[:8], "40.0", "3", "44.0", *reply[11:]])
    assert process.throttle._rate.rate == 10.0  # a quarter
    states = [process.call(0.01).state for _ in range(3)]
    assert WAITING in states
