"""A limit that is announced only by refusals: our own requests are counted against it.

Nothing is known before the first refusal. From then on time is cut into periods:

1. A refusal ends a period, and says when the next begins. As many requests as it accepted have room
   in the next one, too, though not more than the limit that the refusal announced.
2. The time from one such beginning to the next is a period's length. Once that many went, the rest
   wait until it is over.
3. One request at a time goes beyond, and is refused alone, to see whether there is more room: while
   that differs from period to period or a period's length is unknown, and else every few periods.
"""

import math

from ..admission import OPEN, PROBE, Admission, Ending
from ..in_flight import InFlight
from ..reasons import EXHAUSTED
from .windows import SETTLED

_LOOK_EACH = 5
"""Periods, the last of which looks for more room, at the price of a refusal if there is none."""


class UnannouncedLimit:
    """The limit of one scope; times are the driver's, in seconds.

    Attributes:
        room: Requests that a period has room for.
    """

    __slots__ = (
        "_accepted",
        "_began_at",
        "_full",
        "_in_flight",
        "_length",
        "_opened_at",
        "_sent",
        "room",
    )

    def __init__(self, in_flight: InFlight) -> None:
        self.room: int | None = None
        self._in_flight = in_flight
        self._accepted = self._sent = self._full = 0
        self._opened_at = self._began_at = -math.inf
        self._length = math.inf

    def admit(self, now: float, cost: int) -> Admission:
        """Return whether one more request may go."""
        if self.room is None or self._sent + cost <= max(self.room, cost):
            return OPEN
        over_at = self._began_at + self._length
        if now >= over_at:
            self._full += 1
            self._begin(now)
            return OPEN
        if self._length < math.inf and self._full % _LOOK_EACH < _LOOK_EACH - 1:
            return Admission(False, EXHAUSTED, over_at)
        in_flight = self._in_flight
        settles_at = in_flight.last_started_at + SETTLED if in_flight.count else -math.inf
        return PROBE if now >= settles_at else Admission(False, EXHAUSTED, min(over_at, settles_at))

    def started(self, now: float, cost: int) -> None:
        """Note that a request went."""
        if not self._sent:
            self._began_at = max(self._began_at, now)
        self._sent += cost

    def accepted(self, ending: Ending) -> None:
        """Count a request that the server took, and of which it said nothing."""
        if ending.sent >= self._began_at:
            self._accepted += ending.ticket.cost
        elif self.room is not None and self._sent == 0:
            self.room += ending.ticket.cost  # it overtook the refusal that ended its period

    def refused(self, ending: Ending, opens_at: float) -> None:
        """Learn from a refusal; ``opens_at`` is when the server has room again."""
        if ending.sent < self._began_at:
            return  # of the period that is over
        limit = min((each.limit for each in ending.announced if each.limit), default=math.inf)
        if self._opened_at > -math.inf:
            self._length = opens_at - self._opened_at
        self._opened_at = opens_at
        before, self.room = self.room, int(max(1, min(self._accepted, limit)))
        self._full = 0 if self.room == before else _LOOK_EACH - 1
        self._begin(opens_at)

    def interrupt(self) -> None:
        """Measure no period in which the server says itself what is left."""
        self._opened_at, self._length = -math.inf, math.inf

    def _begin(self, at: float) -> None:
        self._began_at = at
        self._accepted = self._sent = 0
