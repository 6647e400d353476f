"""One throttle and those who wait at it, driven as the drivers do: woken, or by the one timer.

Nobody looks at the throttle but who was told to. A ticket that is parked is looked at again when
it stands on ``ready``, or at the time that its holder keeps; so a wakeup that is lost shows.
"""

import math
from collections.abc import Callable
from typing import Any

from httpx_resilience import Event, ThrottlePolicy
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING, Ticket
from support.gates import WakingThrottle

NEXT = {WAITING: {GRANTED, EXPIRED, LEFT}, GRANTED: {LEFT}, EXPIRED: set[int](), LEFT: set[int]()}
"""What may become of a ticket."""


class Parked:
    """A throttle in use: who waits, who is on the way, and what became of everybody."""

    def __init__(self, now: float = 1000.0, **policy: Any) -> None:
        self.now = now
        self.events: list[Event] = []
        self.throttle = WakingThrottle(
            "https://v", "all", ThrottlePolicy(**policy), ServerClock(), self._hear
        )
        self.ready = self.throttle.ready
        self.states: dict[Ticket, int] = {}
        self.until: dict[Ticket, float] = {}
        self.went: list[Ticket] = []
        self._orders = 0

    def _hear(self, event: Event) -> None:
        self.events = [*self.events[-9:], event]

    # What calls do.

    def ask(
        self,
        give_up_in: float = math.inf,
        max_hint: float = math.inf,
        cost: int = 1,
        order: int | None = None,
    ) -> Ticket:
        if order is None:
            self._orders += 1
            order = self._orders
        ticket = self.throttle.reserve(order, self.now, self.now + give_up_in, max_hint, cost)
        return self._take_in(ticket)

    def count(self, cost: int = 1) -> Ticket:
        self._orders += 1
        return self._take_in(self.throttle.admit_unconditionally(self._orders, self.now, cost))

    def answer(self, ticket: Ticket, reading: Reading, failure: Failure | None = None) -> None:
        self.throttle.observe(ticket, ticket.granted_at, self.now, reading, failure)
        self._note(ticket)
        self.wake()

    def fail(self, ticket: Ticket, *, sent: bool) -> None:
        self.throttle.failed(ticket, self.now, sent=sent)
        self._note(ticket)
        self.wake()

    def leave(self, ticket: Ticket, *, sent: bool = False) -> None:
        self.throttle.leave(ticket, self.now, sent=sent)
        self._note(ticket)
        self.wake()

    def look(self) -> None:
        """Tick without being asked to, as each call that comes or goes does."""
        self.throttle.tick(self.now)
        self.wake()

    # What the driver does.

    def _take_in(self, ticket: Ticket) -> Ticket:
        self.states[ticket] = WAITING
        self._park(ticket)
        self._note(ticket)
        self.wake()
        return ticket

    def _park(self, ticket: Ticket) -> None:
        if ticket.state == WAITING:
            until = self.throttle.timer_deadline(ticket)
            self.until[ticket] = math.inf if until is None else until
        else:
            self.until.pop(ticket, None)

    def wake(self) -> None:
        """Let each of those that are ready look again, until nobody is."""
        while self.ready:
            woken = list(self.ready)
            self.ready.clear()
            for ticket in woken:
                self._look(ticket)

    def _look(self, ticket: Ticket) -> None:
        if ticket.state == WAITING:
            self.throttle.tick(self.now)
        self._park(ticket)
        self._note(ticket)

    def _note(self, ticket: Ticket) -> None:
        """Take in what became of a ticket, as its holder does when he is woken."""
        before = self.states.get(ticket)
        if before is None or ticket.state == before:
            return
        assert ticket.state in NEXT[before], f"{ticket} was in state {before}"
        if ticket.state == GRANTED:
            self.went.append(ticket)
        self.states[ticket] = ticket.state
        if not NEXT[ticket.state]:
            del self.states[ticket]
        self.until.pop(ticket, None)

    @property
    def next_timer(self) -> float:
        return min(self.until.values(), default=math.inf)

    def sleep_until(self, at: float, *, late: float = 0.0, timers: int = 10_000) -> None:
        """Pass the time, with everybody who keeps a time looking at it, ``late`` seconds late."""
        while (due := self.next_timer) + late <= at:
            timers -= 1
            assert timers > 0, f"timers go off for ever at {self.now}"
            self.now = max(self.now, due + late)
            first = min(self.until, key=self.until.__getitem__)
            self._look(first)
            self.wake()
        self.now = max(self.now, at)

    # What is looked at.

    def of(self, state: int) -> list[Ticket]:
        return [ticket for ticket, known in self.states.items() if known == state]

    @property
    def waiting(self) -> list[Ticket]:
        return self.of(WAITING)

    @property
    def flying(self) -> list[Ticket]:
        return self.of(GRANTED)

    def check(self) -> None:
        """Raise unless everybody is where he is known to be, and somebody will wake who waits."""
        throttle, waiting, flying = self.throttle, self.waiting, self.flying
        assert not self.ready
        assert all(ticket.state == state for ticket, state in self.states.items()), "not woken"
        counted = throttle.statistics()
        assert counted.queued == len(waiting)
        assert counted.in_flight == len(flying)
        assert counted.units >= sum(ticket.cost for ticket in flying) + counted.abandoned
        assert len(throttle.status(self.now)) <= 64
        keepers = [ticket for ticket in waiting if throttle.timer_deadline(ticket) is not None]
        assert keepers == ([min(waiting)] if waiting else [])
        for ticket in keepers:
            until, known = throttle.timer_deadline(ticket), self.until[ticket]
            assert until is not None
            assert known <= until, "who keeps the time would look too late"
            assert until <= min(each.give_up_at for each in waiting)
            assert until < math.inf or flying, "nothing will ever happen"
            # A timer may be a little late, and ghosts are forgotten without one.
            if known > self.now:
                assert not throttle.ask(self.now, ticket.cost).is_open, "the gate is open"

    def settle(self, finish: Callable[[Ticket], None], limit: int = 10_000) -> None:
        """Go on until nobody waits and nothing is in flight; ``finish`` ends what flies."""
        while self.waiting or self.flying:
            limit -= 1
            assert limit > 0, f"{len(self.waiting)} wait for ever"
            for ticket in self.flying:
                finish(ticket)
            if self.waiting and not self.flying:
                assert self.next_timer < math.inf, "nothing will ever happen"
                self.sleep_until(self.next_timer)
