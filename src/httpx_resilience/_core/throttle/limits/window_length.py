"""When a window ends that its server does not announce: how long windows last.

1. What is sought is the time from a window's first accepted request until more is accepted, by
   looks: a refusal shows that it is longer, what is accepted that it is no longer. That is the
   window's length if it begins with its first request; if it goes by the server's clock, it is
   as soon as windows are found in time.
2. Lengths are round numbers for the most part: the roundest that is left is tried first, and at
   the next window shortly before it, until it is known well enough to wait for its latest.
3. Both bounds may become wrong, for windows change. One that lasts longer is looked at ever later;
   now and then it is looked at sooner.
"""

import math
from typing import NamedTuple

_FINE, _LEAST = 0.02, 0.1
"""Share of the length, and seconds, to which it is sought: what waiting for its latest costs, where
looking closer costs a refusal. To many servers a round trip is about as long."""

_OVERDUE = 0.5
"""Of a window that lasts longer than it should: by how much later to look again, at the most."""

_QUARTER = 0.25
"""Of what is left between the bounds: looks are no closer to the lower one, so that a few do."""

_ROUNDING = 1e-6
"""Seconds, or share of a unit, that an exact multiple may lack for rounding errors."""


class Span(NamedTuple):
    """How many seconds something takes at the least, and at the most."""

    low: float
    high: float


class WindowLength:
    """The length of a window, and the end of the present one.

    Attributes:
        seconds: What is known of the length.
    """

    __slots__ = ("_begun_at", "_beyond", "_is_sooner", "_was_sooner", "seconds")

    def __init__(self) -> None:
        self.seconds = Span(0.0, math.inf)
        self._begun_at = -math.inf
        self._beyond = 0
        self._is_sooner = self._was_sooner = False

    @property
    def is_known(self) -> bool:
        """Whether any window was seen to end."""
        return self.seconds.high < math.inf

    @property
    def end(self) -> float:
        """When the present window ends at the latest, as far as is known."""
        return self._begun_at + self.seconds.high if self.is_known else math.inf

    @property
    def _tolerance(self) -> float:
        return max(_LEAST, _FINE * self.seconds.high)

    def began(self, now: float) -> None:
        """Note that a window began, of which nothing is to be learned of the one before."""
        self._begun_at, self._beyond = now, 0

    def ended(self, refused_at: float, sent: float, now: float) -> None:
        """Note that the next window began.

        Args:
            refused_at: When the last request was sent that was refused in the one before.
            sent: When the first was sent that was accepted.
            now: When that was known.
        """
        low, high = refused_at - self._begun_at, sent - self._begun_at
        if self._begun_at > -math.inf and high > 0.0:
            low = max(0.0, low, self.seconds.low if self.seconds.low < high else 0.0)
            # What was enough may be too long: something shorter is tried, every other time.
            self._is_sooner = not self._was_sooner and high < self.seconds.high
            self._was_sooner = False
            self.seconds = Span(low, high)
        self.began(now)

    def next_look(self, refused_at: float) -> float:
        """Return when to look whether the window is over; ``refused_at`` it was not."""
        low, high = max(self.seconds.low, refused_at - self._begun_at), self.seconds.high
        if low >= high - _ROUNDING:
            self._beyond += 1
            most = max(self._tolerance, _OVERDUE * low)
            high = low + min(most, self._tolerance * 2.0**self._beyond)
            self.seconds = Span(low, high)
            return self._begun_at + high
        self.seconds = Span(low, high)
        return self._begun_at + (high if high - low <= self._tolerance else self._guess())

    def _guess(self) -> float:
        low, high = self.seconds
        if self._is_sooner:
            self._is_sooner, self._was_sooner = False, True
            return high - self._tolerance
        return roundest(Span(low + _QUARTER * (high - low), high))


def roundest(span: Span) -> float:
    """Return the roundest number of seconds in a span: windows are a minute, not 59.2 seconds.

    >>> roundest(Span(48.0, 64.0)), roundest(Span(9.7, 10.4)), roundest(Span(0.93, 1.02))
    (60.0, 10.0, 1.0)
    """
    for unit in (3600.0, 900.0, 300.0, 60.0, 30.0, 10.0, 5.0, 1.0, 0.5, 0.1):
        number = max(1, math.ceil(span.low / unit - _ROUNDING)) * unit
        if number <= span.high:
            return number
    return (span.low + span.high) / 2
