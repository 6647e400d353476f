"""How many calls that were held back are released at once while their server is in trouble.

A limit that opens releases a whole queue. A degraded server fails under it, its failures close the
limit again, and the next herd gathers: an outage that outlives its cause (a metastable failure,
seen in simulation at 70 % of a server's capacity). So, from when most outcomes are failures while
calls are held back, until none is held any more, the requests in flight are bounded as TCP bounds
its segments (RFC 5681, congestion avoidance): one more a round of successes; halved, once a round,
when most fail.

Where nothing succeeds at all nothing is learned from a failure either: each admits one more, and a
second without any outcome twice as many. Nobody queues for long behind others' failures.
"""

import math

from ..admission import ANYONE, OPEN, Admission, Ending
from ..in_flight import InFlight
from ..queue import Ticket, TicketQueue
from ..reasons import OVERLOAD
from .quota_set import QuotaSet

_MEMORY = 8.0
"""Outcomes over which the share of failures is averaged."""

_MOST = 0.5
"""Share of failures that is trouble."""

_FORGOTTEN = 1e-3
"""Share that is as good as none."""

_STEP = 1.0
"""Seconds without any outcome after which one more may go, or twice as many if none succeeded."""


class ConcurrencyLimiter:
    """The bound of one scope; times are the driver's, in seconds.

    Attributes:
        limit: How many may be in flight; None if as many as there are.
        share: Of the last outcomes, those that are failures; 0 if they were long ago.
    """

    __slots__ = (
        "_has_succeeded",
        "_in_flight",
        "_lowered_at",
        "_queue",
        "_quotas",
        "_stepped_at",
        "limit",
        "share",
    )

    def __init__(self, in_flight: InFlight, queue: TicketQueue, quotas: QuotaSet) -> None:
        self._in_flight = in_flight
        self._queue = queue
        self._quotas = quotas
        self.limit: float | None = None
        self.share = 0.0
        self._lowered_at = self._stepped_at = -math.inf
        self._has_succeeded = False

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        """Return whether one more may go, where limits are announced."""
        if self.limit is None or not self._quotas.has_evidence:
            return OPEN
        open_at = self.open_at(self._in_flight.count, now)
        return OPEN if now >= open_at else Admission(False, OVERLOAD, open_at)

    def started(self, now: float, cost: int) -> None:
        """Note nothing: what is in flight is counted elsewhere."""

    def ended(self, ending: Ending) -> None:
        """Count a success or a failure."""
        if ending.is_success:
            if self.share:
                self.succeeded(ending.at)
        elif ending.is_trouble:
            flying, is_holding = self._in_flight.count, bool(self._queue)
            self.failed(ending.ticket.granted_at, ending.at, flying, is_holding=is_holding)
        else:
            self.succeeded(ending.at)

    def has_credit(self, now: float) -> bool:
        """Return whether nothing is bounded."""
        return self.limit is None

    def succeeded(self, now: float) -> None:
        """Count a request that was answered well."""
        self.share -= self.share / _MEMORY
        if self.share < _FORGOTTEN:
            self.share = 0.0
        if self.limit is not None:
            self._has_succeeded = True
            self._stepped_at = now
            self.limit += 1.0 / self.limit

    def failed(self, granted_at: float, now: float, flying: int, *, is_holding: bool) -> None:
        """Count a failure of a request that was admitted at ``granted_at``.

        Args:
            granted_at: When.
            now: The time.
            flying: How many others are in flight.
            is_holding: Calls are held back.
        """
        self.share += (1.0 - self.share) / _MEMORY
        if self.limit is None:
            if is_holding and self.share >= _MOST:
                self._lower(max(1.0, flying / 2), now)
                self._has_succeeded = False
            return
        self._stepped_at = now
        if not self._has_succeeded:
            self.limit += 1.0
        elif self.share >= _MOST and granted_at >= self._lowered_at:
            self._lower(max(1.0, self.limit / 2), now)

    def _lower(self, limit: float, now: float) -> None:
        self.limit = limit
        self._lowered_at = self._stepped_at = now

    def open_at(self, flying: int, now: float) -> float:
        """Return when one more may go if nothing comes back first; the past if it may go now."""
        if self.limit is None or flying < self.limit:
            return -math.inf
        if now >= self._stepped_at + _STEP:
            self.limit = self.limit + 1.0 if self._has_succeeded else 2.0 * self.limit
            self._stepped_at = now
            return -math.inf if flying < self.limit else now + _STEP
        return self._stepped_at + _STEP

    def end(self) -> None:
        """Bound nothing any more: nobody is held back."""
        self.limit = None
