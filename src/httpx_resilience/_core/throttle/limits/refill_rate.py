"""How fast the units of a bucket come back, by resets that say when all of them will be back.

A continuously refilled bucket gives itself away: the time until it is full is the missing units
times the time of one, whatever happens. In a window that time falls while ever more is missing. So
each response bounds the time of one unit, and where the bounds of responses with few and with many
units missing still overlap, it is a bucket. Server and reset speak of the same instant, so latency
is no part of it, unlike where single requests are counted (``token_bucket``).
"""

import math

_SPREAD = 3.0
"""How many times more units must have been missing at one response than at another."""

_PRECISE = 1.25
"""How far apart the bounds may be."""

_COARSEST = 1000
"""Units to which servers round what remains, at the most (Anthropic)."""

_STEPS = 30
"""In how many steps at least a server that rounds counts down its limit."""


class RefillRate:
    """What resets and remainders show of a bucket's refill.

    Attributes:
        per_second: Units that surely come back in a second; 0 where it is no bucket, or not known
            to be one.
    """

    __slots__ = ("_fewest", "_high", "_low", "_most", "_step", "per_second")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start over."""
        self._low, self._high = 0.0, math.inf
        self._fewest, self._most = math.inf, 0
        self._step = _COARSEST
        self.per_second = 0.0

    def observe(self, limit: int, remaining: int, reset_in: float, error: float) -> None:
        """Learn from a response.

        Args:
            limit: Units of the full bucket.
            remaining: Units left.
            reset_in: Seconds until all are back.
            error: Seconds by which that may be wrong.
        """
        while self._step > 1 and (remaining % self._step or limit < _STEPS * self._step):
            self._step //= 10  # the finest that was seen, of those that make sense
        missing = limit - remaining
        if missing <= self._step:
            return
        low = max(0.0, reset_in - error) / (missing + self._step)
        high = (reset_in + error) / (missing - self._step)
        if low > self._high or high < self._low:  # no bucket, or no longer the same one
            step = self._step
            self.forget()
            self._step = step
        self._low, self._high = max(self._low, low), min(self._high, high)
        self._fewest, self._most = min(self._fewest, missing), max(self._most, missing)
        is_bucket = self._most >= _SPREAD * self._fewest and self._high <= _PRECISE * self._low
        self.per_second = 1.0 / self._high if is_bucket and self._high > 0 else 0.0
