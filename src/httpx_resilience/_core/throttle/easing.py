"""How many calls that were held back are let go at once while their server is in trouble.

A gate that opens lets a whole queue loose. A server that limps fails under it, its failures close
the gate anew, and the next herd gathers: an outage that outlives its cause (a metastable failure,
seen in simulation at 70 % of a server's capacity). So, from when most outcomes are failures while
calls are held back, until none is held any more, the requests in flight are bounded as TCP bounds
its segments (RFC 5681): slow start, then one more a round; halved, once a round, when most fail.

Where nothing succeeds at all nothing is learned from a failure either: each lets one more go, and
so does each second. Nobody queues for long behind others' failures.
"""

import math

_MEMORY = 8.0
"""Outcomes over which the share of failures is averaged."""

_MOST = 0.5
"""Share of failures that is trouble."""

_FORGOTTEN = 1e-3
"""Share that is as good as none."""

_STEP = 1.0
"""Seconds without any outcome after which one more may go, or twice as many if none succeeded."""


class Easing:
    """The bound of one scope; times are the driver's, in seconds.

    Attributes:
        limit: How many may be in flight; None if as many as there are.
        share: Of the last outcomes, those that are failures; 0 if they were long ago.
    """

    __slots__ = ("_has_succeeded", "_lowered_at", "_stepped_at", "_threshold", "limit", "share")

    def __init__(self) -> None:
        self.limit: float | None = None
        self.share = 0.0
        self._threshold = math.inf
        self._lowered_at = self._stepped_at = -math.inf
        self._has_succeeded = False

    def succeeded(self, now: float) -> None:
        """Count a request that was answered well."""
        self.share -= self.share / _MEMORY
        if self.share < _FORGOTTEN:
            self.share = 0.0
        if self.limit is not None:
            self._has_succeeded = True
            self._stepped_at = now
            self.limit += 1.0 if self.limit < self._threshold else 1.0 / self.limit

    def failed(self, granted_at: float, now: float, flying: int, *, is_holding: bool) -> None:
        """Count a failure of a request that was let go at ``granted_at``.

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
        self.limit = self._threshold = limit
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
