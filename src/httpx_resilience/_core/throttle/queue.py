"""Tickets of calls that wait to be admitted, ordered by the arrival of their calls.

New calls come in order and go into a deque; a retry keeps its call's place and goes into a small
heap beside it. So admission is O(1), and a retry never starves at the end. Likewise the tickets by
when they give up, which is as they come for the most part. A ticket that leaves is marked and
dropped when it comes up.
"""

import heapq
import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .route import Route
    from .throttle import Throttle

WAITING, GRANTED, EXPIRED, LEFT = range(4)


class Ticket:
    """One attempt's place: first in the queue, then among the requests in flight.

    Attributes:
        order: Arrival of its call; smaller is earlier, and a retry keeps it.
        give_up_at: When waiting has no point any more.
        cost: How many requests its request counts as.
        units: What it takes of other units, where that is given.
        arrived_at: When this attempt asked to be admitted.
        state: WAITING, GRANTED, EXPIRED (it would wait too long) or LEFT.
        granted_at: When it was admitted.
        retry_at: When the scope expects room, for a ticket that expired.
        is_probe: Nothing was known to be left when it was admitted.
        home: The throttle where it waits, or that admitted it.
        route: What kind of request it is for, where buckets are learned; None elsewhere.
        wake: The driver's own: by what it wakes whoever waits for the ticket.
    """

    __slots__ = (
        "arrived_at",
        "cost",
        "give_up_at",
        "granted_at",
        "home",
        "is_probe",
        "order",
        "retry_at",
        "route",
        "state",
        "units",
        "wake",
    )

    home: "Throttle"  # whoever makes a ticket for a throttle sets it

    def __init__(
        self,
        order: int,
        give_up_at: float,
        arrived_at: float,
        cost: int = 1,
        units: Mapping[str, int] | None = None,
    ) -> None:
        self.route: Route | None = None
        self.order = order
        self.cost = cost
        self.units = units
        self.give_up_at = give_up_at
        self.arrived_at = arrived_at
        self.state = WAITING
        self.granted_at = 0.0
        self.retry_at: float | None = None
        self.is_probe = False
        self.wake: Any = None

    def __lt__(self, other: "Ticket") -> bool:
        return self.order < other.order

    def __repr__(self) -> str:
        state = ("waiting", "granted", "expired", "left")[self.state]
        return f"<Ticket {self.order} {state}>"


class TicketQueue:
    """Waiting tickets, earliest call first."""

    __slots__ = ("_deadlines", "_new", "_retries", "_size", "_sooner")

    def __init__(self) -> None:
        self._new: deque[Ticket] = deque()
        self._retries: list[Ticket] = []
        self._deadlines: deque[Ticket] = deque()
        self._sooner: list[tuple[float, int, Ticket]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, ticket: Ticket) -> None:
        """Add a waiting ticket at its call's place."""
        if not self._new or self._new[-1].order < ticket.order:
            self._new.append(ticket)
        else:
            heapq.heappush(self._retries, ticket)
        if not self._deadlines or self._deadlines[-1].give_up_at <= ticket.give_up_at:
            self._deadlines.append(ticket)
        else:
            heapq.heappush(self._sooner, (ticket.give_up_at, ticket.order, ticket))
        self._size += 1

    def head(self) -> Ticket | None:
        """Return the ticket that is next, or None."""
        new, retries = self._new, self._retries
        while new and new[0].state != WAITING:
            new.popleft()
        while retries and retries[0].state != WAITING:
            heapq.heappop(retries)
        if not retries:
            return new[0] if new else None
        return retries[0] if not new or retries[0] < new[0] else new[0]

    def longest_waiting(self) -> Ticket:
        """Return the ticket whose attempt has waited longest; there must be one."""
        waiting = (t for t in (*self._new, *self._retries) if t.state == WAITING)
        return min(waiting, key=lambda ticket: ticket.arrived_at)

    def remove(self, ticket: Ticket, state: int) -> None:
        """Take a waiting ticket out, into another state."""
        ticket.state = state
        self._size -= 1
        if len(self._new) > 64 + 2 * self._size:  # behind a head that stays
            self._new = deque(each for each in self._new if each.state == WAITING)
        if len(self._deadlines) + len(self._sooner) > 64 + 2 * self._size:  # mostly left: sweep
            self._deadlines = deque(each for each in self._deadlines if each.state == WAITING)
            self._sooner = [entry for entry in self._sooner if entry[2].state == WAITING]
            heapq.heapify(self._sooner)

    def routes(self) -> "list[Route]":
        """Return the routes of the tickets that wait, each once, the earliest call's first."""
        waiting = sorted(t for t in (*self._new, *self._retries) if t.state == WAITING)
        return list(dict.fromkeys(t.route for t in waiting if t.route is not None))

    def take(self, route: "Route") -> list[Ticket]:
        """Take out the tickets of a route, still waiting; return them, the earliest call first."""
        taken = sorted(
            t for t in (*self._new, *self._retries) if t.state == WAITING and t.route is route
        )
        if taken:
            gone = set(map(id, taken))
            self._new = deque(t for t in self._new if id(t) not in gone)
            self._retries = [t for t in self._retries if id(t) not in gone]
            heapq.heapify(self._retries)
            self._deadlines = deque(t for t in self._deadlines if id(t) not in gone)
            self._sooner = [entry for entry in self._sooner if id(entry[2]) not in gone]
            heapq.heapify(self._sooner)
            self._size -= len(taken)
        return taken

    def next_deadline(self) -> float:
        """Return when the next waiting ticket gives up; infinity if none waits."""
        ticket = self._most_urgent()
        return math.inf if ticket is None else ticket.give_up_at

    def expired(self, now: float) -> list[Ticket]:
        """Take out and return the tickets whose time is up."""
        gone = []
        ticket = self._most_urgent()
        while ticket is not None and ticket.give_up_at <= now:
            self.remove(ticket, EXPIRED)
            gone.append(ticket)
            ticket = self._most_urgent()
        return gone

    def _most_urgent(self) -> Ticket | None:
        """Return the waiting ticket that gives up first, or None."""
        later, sooner = self._deadlines, self._sooner
        while later and later[0].state != WAITING:
            later.popleft()
        while sooner and sooner[0][2].state != WAITING:
            heapq.heappop(sooner)
        if not sooner:
            return later[0] if later else None
        first = sooner[0][2]
        return later[0] if later and later[0].give_up_at <= first.give_up_at else first
