"""A throttle that is asked and answered in few words; resets are in epoch seconds, or seconds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from httpx_resilience import ErrorClass, Event, RateLimitStatus, ThrottlePolicy
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimit, Reading, Wait
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import GRANTED, WAITING, Route, Throttle, Ticket

EPOCH = 1.7e9
REFUSED = Failure(ErrorClass.RATE_LIMITED, 429)
OUTAGE = Failure(ErrorClass.TRANSIENT, 503, coded=True)
BROKEN = Failure(ErrorClass.INTERNAL, 500)
MISSING = Failure(ErrorClass.PERMANENT, 404)


def after(failure: Failure, seconds: float) -> Failure:
    """Return a failure that asks to wait."""
    return failure._replace(wait=Wait(seconds, "retry_after"))


class WakingThrottle(Throttle):
    """A throttle that queues whoever has to wait, and keeps the tickets that are to be woken."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.ready: list[Ticket] = []

    def reserve(
        self,
        order: int,
        now: float,
        give_up_at: float,
        max_hint: float = math.inf,
        cost: int = 1,
        max_queue: int | None = None,
        units: Mapping[str, int] | None = None,
    ) -> Ticket:
        ticket = super().reserve(order, now, give_up_at, max_hint, cost, max_queue, units)
        if ticket.state == WAITING:
            self.enqueue(ticket, now)
        return ticket

    def tick(self, now: float) -> Sequence[Ticket]:
        woken = super().tick(now)
        self.ready += woken
        return woken


class Scope:
    """A throttle, with its events and the tickets whose holders are to be woken."""

    throttle_type: type[WakingThrottle] = WakingThrottle

    def __init__(self, **policy: Any) -> None:
        self.events: list[Event] = []
        self.throttle = self.throttle_type(
            "https://v.example",
            "read",
            ThrottlePolicy(**policy),
            ServerClock(),
            self.events.append,
        )
        self.ready = self.throttle.ready
        self._order = 0

    def ask(
        self,
        now: float,
        *,
        give_up_at: float = math.inf,
        max_hint: float = math.inf,
        cost: int = 1,
        route: Route | None = None,
    ) -> Ticket:
        self._order += 1
        ticket = self.throttle.reserve(self._order, now, give_up_at, max_hint, cost)
        ticket.route = route
        return ticket

    def ask_for(self, count: int, now: float) -> list[Ticket]:
        return [self.ask(now) for _ in range(count)]

    def answer(
        self,
        ticket: Ticket,
        now: float,
        *limits: RateLimit,
        failure: Failure | None = None,
    ) -> None:
        reading, throttle = Reading(limits, math.floor(EPOCH + now)), ticket.home
        if ticket.route is not None and limits:
            throttle, _ = ticket.route.resolve(ticket, limits, now)
        throttle.observe(ticket, ticket.granted_at, now, reading, failure)

    def send(self, now: float, *limits: RateLimit, failure: Failure | None = None) -> bool:
        """Send a request that is answered at once; return whether it went."""
        ticket = self.ask(now)
        if ticket.state == WAITING:
            self.throttle.leave(ticket, now, sent=False)
            return False
        self.answer(ticket, now, *limits, failure=failure)
        return True

    def rows(self, now: float) -> list[RateLimitStatus]:
        return self.throttle.status(now)

    def row(self, now: float) -> RateLimitStatus:
        """Return the status of a scope with one policy, or none."""
        (row,) = self.rows(now)
        return row

    def deadline(self, ticket: Ticket) -> float:
        """Return until when a ticket's holder keeps the time."""
        deadline = self.throttle.timer_deadline(ticket)
        assert deadline is not None
        return deadline

    def logged(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


def granted(tickets: list[Ticket]) -> int:
    return sum(ticket.state == GRANTED for ticket in tickets)


def delta(remaining: int, *, limit: int = 100, reset_in: float = 60.0, **more: Any) -> RateLimit:
    """Return a policy whose window ends after so many seconds, to a millisecond."""
    return RateLimit(limit, remaining, reset_in, None, 0.001, **more)


def left(remaining: int, now: float, end: float, limit: int = 1000, **more: Any) -> RateLimit:
    """Return a policy whose window ends at ``end``."""
    reset_in = end - math.floor(now)  # from the Date on, which is rounded down
    return RateLimit(limit, remaining, reset_in, EPOCH + end, 0.001, **more)
