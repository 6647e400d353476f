"""A server that says too much is left: it counts a request after it has answered, or later still.

It is known by its own word: after our request was counted, all of the limit cannot be left, nor
anything after a refusal. Once the former is seen, what it says next is compared with what we were
answered in the same window:

    too many = remaining - (limit - 1 - requests answered before this one was sent)

One too many is a request that is counted after its answer was written: one unit is kept back. More
are a stale count, out of a cache or from another node. Then requests that were answered within the
lag before the latest one was sent count like requests in flight. The lag is the age of what was
said: the time since the latest request was sent that it includes.
"""

from collections import deque

LONGEST = 1.0
"""Seconds; the lag while it is unknown, and the most that is reckoned with."""


_HONEST = 2
"""Windows in a row that begin as they ought to, with one unit taken, which end the suspicion."""


class Lag:
    """One policy's overstatement; times are the driver's, in seconds.

    Attributes:
        is_suspected: All of the limit was left after a request.
        is_known: The server overstates.
    """

    __slots__ = (
        "_answered",
        "_honest",
        "_is_stale",
        "_measured",
        "_total",
        "is_known",
        "is_suspected",
    )

    def __init__(self) -> None:
        self.is_suspected = self.is_known = self._is_stale = False
        self._measured = 0.0
        self._total = self._honest = 0
        self._answered: deque[tuple[float, float]] = deque()

    @property
    def seconds(self) -> float:
        """By which its count is late; 0 if it is not but for the request itself."""
        return (self._measured or LONGEST) if self._is_stale else 0.0

    def begin(self) -> None:
        """Count from here on: a window begins."""
        self._answered.clear()
        self._total = 0

    def suspect(self) -> None:
        """Take its count for stale: it refused a request, and said that something was left."""
        self.is_suspected = self.is_known = self._is_stale = True
        self._honest = 0

    def observe(self, limit: int, remaining: int, sent: float, received: float) -> None:
        """Learn from a response."""
        if remaining >= limit:
            self.is_suspected, self._honest = True, 0
        elif not self._total and remaining == limit - 1:
            self._honest += 1
            if self._honest >= _HONEST:
                self.is_suspected = self.is_known = self._is_stale = False
        if not self.is_suspected:
            return
        answered = self._answered
        before = self._total - sum(at > sent for at, _ in answered)
        too_many = remaining - (limit - 1 - before)
        self.is_known = self.is_known or (too_many > 0 and before > 0 and sent > answered[0][1])
        if self.is_known and too_many > 1:
            self._is_stale = True
            self._measure(limit - remaining, received)
        answered.append((received, sent))
        self._total += 1
        while answered[0][0] < received - 2 * LONGEST:
            answered.popleft()

    def _measure(self, included: int, received: float) -> None:
        """Measure the lag by a response that includes so many requests of the window."""
        index = included - 1 - (self._total - len(self._answered))
        if index >= 0:
            age = received - self._answered[index][1]
            self._measured = max(self._measured, min(LONGEST, 1.5 * age))

    def uncounted(self, newest_sent: float) -> int:
        """Return the units that what was said may not count, beside those in flight."""
        if not self.is_known:
            return 0
        if not self._is_stale:
            return 1
        since = newest_sent - self.seconds
        return sum(at > since for at, _ in self._answered)
