"""How many requests to one origin may be in flight, over all of its scopes, and whose turn is next.

A place is taken when a request is admitted, and given back with its headers, its failure or its
cancellation. Each scope counts its own requests; here those counts are added up, by their
differences, so that whatever gives a ticket back to its scope gives its place back.

Calls wait in the queues of their scopes. The line here holds the scopes whose next call waits for a
place, by the arrival of that call, so that places go to calls in the order of their arrival,
whichever scope they wait in. One that comes free costs a step or two of a heap.
"""

import heapq
import itertools
from typing import TYPE_CHECKING, Literal

from ..dialect.catalog import ErrorClass
from .admission import Ending
from .limits.adaptive_concurrency import AdaptiveConcurrency
from .queue import Ticket

if TYPE_CHECKING:
    from .throttle import Throttle


class Turn:
    """The place in line of a scope whose next call waits.

    Attributes:
        order: Arrival of that call.
        throttle: The scope's; None once the turn is past.
    """

    __slots__ = ("_number", "order", "throttle")

    def __init__(self, order: int, number: int, throttle: "Throttle") -> None:
        self.order = order
        self._number = number
        self.throttle: Throttle | None = throttle

    def __lt__(self, other: "Turn") -> bool:
        if self.order == other.order:
            return self._number < other._number
        return self.order < other.order


class OriginConcurrency:
    """The requests in flight to one origin, and the scopes that wait for a place among them.

    Args:
        concurrency: How many may be in flight, at least 1, or ``"auto"`` to learn it.

    Attributes:
        count: Requests in flight, those of calls that are never held back included.
        limit: How many may be in flight now.
    """

    __slots__ = (
        "__weakref__",
        "_adaptive",
        "_gone",
        "_is_passing_on",
        "_line",
        "_numbers",
        "count",
        "limit",
    )

    def __init__(self, concurrency: int | Literal["auto"]) -> None:
        self._adaptive: AdaptiveConcurrency | None = None
        if isinstance(concurrency, int):
            self.limit = concurrency
        else:
            self._adaptive = AdaptiveConcurrency()
            self.limit = self._adaptive.limit
        self.count = 0
        self._line: list[Turn] = []
        self._gone = 0
        self._numbers = itertools.count()
        self._is_passing_on = False

    def ended(self, ending: Ending) -> None:
        """Learn from a request before its place is given back, where the limit is learned.

        A refusal for the rate limit shows nothing of the load, nor does an error of the server's
        own (500): it may fail as fast, and as often, whatever is in flight.
        """
        adaptive = self._adaptive
        if adaptive is None or ending.is_refused:
            return
        if not ending.is_trouble:
            adaptive.answered(ending.sent, ending.at, self.count)
        elif ending.failure is None or ending.failure.error_class is not ErrorClass.INTERNAL:
            adaptive.failed(ending.sent, ending.at, self.count)
        self.limit = adaptive.limit

    def has_place(self, order: int) -> bool:
        """Return whether the call that arrived as number ``order`` may take a place now.

        It may if one is free, and no call that arrived before it waits for one.
        """
        if self.count >= self.limit:
            return False
        first = self._first()
        return first is None or order <= first.order

    def join(self, order: int, throttle: "Throttle") -> Turn:
        """Have a scope wait for its next call, which arrived as number ``order``."""
        turn = Turn(order, next(self._numbers), throttle)
        heapq.heappush(self._line, turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Take a scope out of the line."""
        turn.throttle = None
        self._gone += 1
        if self._gone > 64 + len(self._line) // 2:  # behind one that stays
            self._line = [each for each in self._line if each.throttle is not None]
            heapq.heapify(self._line)
            self._gone = 0

    def pass_on(self, now: float) -> list[Ticket]:
        """Give free places to the scopes that wait for one; return the tickets to wake."""
        woken: list[Ticket] = []
        if self._is_passing_on:  # a scope that was given one gives the next back to here
            return woken
        self._is_passing_on = True
        try:
            while self.count < self.limit:
                first = self._first()
                if first is None or first.throttle is None:
                    break
                woken += first.throttle.tick(now)
        finally:
            self._is_passing_on = False
        return woken

    def _first(self) -> Turn | None:
        line = self._line
        while line and line[0].throttle is None:
            heapq.heappop(line)
            self._gone -= 1
        return line[0] if line else None
