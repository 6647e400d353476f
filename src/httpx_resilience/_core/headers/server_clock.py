"""The server's clock, learned from the Date headers of its responses.

A response with Date D, sent at s and received at r in our monotonic time, was dated at some instant
in [s, r] at which the server's clock stood in [D, D + 1), for a Date is rounded down. So the
offset (server - ours) lies in [D - r, D + 1 - s]. Each response cuts a different second, so the
intersection over a few of them is narrower than the second that a header is precise to.
"""

import math
from collections import deque

DRIFT = 1e-4
"""Seconds per second by which two clocks may part (100 ppm, twice what crystals do)."""

KEPT = 32
"""Intervals whose hull covers several hosts behind one name."""

CLOSE = 100
"""Responses; two restarts within as many mean several clocks, and not one that was stepped."""

_DENSE = 0.005
"""Seconds within which another response of the same Date teaches nothing worth its time."""

_FAR = -CLOSE - 1


class ServerClock:
    """What is known of one server's clock; all times are seconds of the caller's monotonic clock.

    Attributes:
        version: Another number whenever what was known turned out wrong: bounds of an older
            version are not merely wider.

    Intervals are intersected as they come, and widened by 100 ppm per second of age. One that
    contradicts the rest restarts the estimate: the server's clock was stepped, or ours slept.
    When that happens twice within 100 responses, several hosts with different clocks share the
    name; then the hull of the last 32 intervals is the answer, until 100 responses agree.

    >>> clock = ServerClock()
    >>> clock.observe(date=1700000000.0, sent=10.0, received=10.2)
    >>> clock.observe(date=1700000000.0, sent=10.5, received=10.7)
    >>> [round(instant, 3) for instant in clock.to_local(1700000030.0, now=10.7)]
    [39.5, 40.2]
    """

    __slots__ = (
        "__weakref__",
        "_date",
        "_high",
        "_high_at",
        "_hint",
        "_low",
        "_low_at",
        "_next",
        "_recent",
        "_restarts",
        "_seen",
        "version",
    )

    def __init__(self) -> None:
        self._low = self._low_at = self._high = self._high_at = 0.0
        self._date, self._next = 0.0, -math.inf
        self._seen = 0
        self._hint: tuple[float, float] | None = None
        self.version = 0
        self._restarts = (_FAR, _FAR)  # after which response, the last two, older first
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=KEPT)

    def __repr__(self) -> str:
        return f"ServerClock(responses={self._seen}, offset={self.offset(self._low_at)!r})"

    def observe(self, date: float, sent: float, received: float) -> None:
        """Learn from one response.

        Args:
            date: Epoch seconds of its Date header.
            sent: When the request began to be sent.
            received: When the response's headers had arrived; not before ``sent``.
        """
        if (date == self._date and sent < self._next) or not sent <= received:
            return
        self._date, self._next = date, sent + _DENSE
        low, high = date - received, date + 1.0 - sent
        self._recent.append((low, high, received))
        self._seen += 1
        known_low = self._low - DRIFT * max(0.0, received - self._low_at)
        known_high = self._high + DRIFT * max(0.0, received - self._high_at)
        if self._seen == 1 or low > known_high or high < known_low:
            self._restart(low, high, received)
            return
        if low > known_low:
            self._low, self._low_at = low, received
        if high < known_high:
            self._high, self._high_at = high, received

    def _restart(self, low: float, high: float, received: float) -> None:
        self.version += 1
        if self._seen > 1:
            self._restarts = (self._restarts[1], self._seen)
        self._low, self._high = low, high
        self._low_at = self._high_at = received

    def hint(self, reset_at: float, wait: float, sent: float, received: float) -> None:
        """Learn from a refusal that says when its limit resets, and how long that takes.

        That counts only while there was no Date. Either number may be rounded down or up.

        Args:
            reset_at: Epoch seconds of the reset on the server's clock.
            wait: Seconds until then.
            sent: When the request began to be sent.
            received: When the response's headers had arrived.
        """
        low, high = reset_at - wait - 1.0 - received, reset_at - wait + 2.0 - sent
        known = self._hint
        if known is not None and low <= known[1] and known[0] <= high:
            low, high = max(low, known[0]), min(high, known[1])
        if (low, high) != known:
            self._hint = low, high
            self.version += 1

    def offset(self, now: float) -> tuple[float, float] | None:
        """Return between which bounds the server's clock is ahead of ours; None if unknown.

        Args:
            now: The present, monotonic.
        """
        if not self._seen:
            return self._hint
        if self._has_several_clocks():
            lows = (low - DRIFT * max(0.0, now - at) for low, _, at in self._recent)
            highs = (high + DRIFT * max(0.0, now - at) for _, high, at in self._recent)
            return min(lows), max(highs)
        return (
            self._low - DRIFT * max(0.0, now - self._low_at),
            self._high + DRIFT * max(0.0, now - self._high_at),
        )

    def _has_several_clocks(self) -> bool:
        older, newer = self._restarts
        return newer - older <= CLOSE and self._seen - newer <= CLOSE

    def to_local(self, reset_at: float, now: float) -> tuple[float, float] | None:
        """Return between which monotonic times the server's clock shows ``reset_at``.

        Args:
            reset_at: Epoch seconds on the server's clock; its own error bars are yours to add.
            now: The present, monotonic.

        Returns:
            The earliest and the latest instant, or None before the first response.
        """
        known = self.offset(now)
        if known is None:
            return None
        low, high = known
        return reset_at - high, reset_at - low
