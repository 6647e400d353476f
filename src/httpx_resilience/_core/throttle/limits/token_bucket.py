"""A token bucket, recognised by its resets, and a lower bound of what is in it.

A continuously refilled bucket whose reset says when it is full again has one mark: the time until
then is the missing tokens times the time of one token, whatever happens. No window does that: its
reset stands still while tokens go. So each response bounds the time of one token,

    missing = limit - remaining
    tau in ((reset - received) / missing, (reset - sent) / (missing - 1))

(a remaining of 3 may be 3.99 tokens), and if the bounds of responses with few and with many tokens
missing still overlap, it is a bucket, and refilled by 1 / tau. Then what is left needs no probing:

    level(t) = level(t0) + (t - t0) / tau - requests sent since

stays a lower bound for as long as nobody else spends; a response may raise it, and one that says
less than the bound disproves it.
"""

import math

_SPREAD = 3.0
"""How many times more tokens must have been missing at one response than at another."""

_PRECISE = 1.25
"""How far apart the bounds of tau may be."""

_SHARP = 5.0
"""How many times longer than its own error bar a reset must be to count."""

_MARGIN = 1.001


class Bucket:
    """The evidence that a policy is a bucket, and its level if it is one."""

    __slots__ = (
        "_fewest",
        "_high",
        "_level",
        "_level_at",
        "_low",
        "_most",
        "is_known",
        "is_refuted",
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._low, self._high = 0.0, math.inf
        self._fewest, self._most = math.inf, 0.0
        self._level, self._level_at = -math.inf, 0.0
        self.is_known = self.is_refuted = False

    @property
    def tau(self) -> float:
        """Seconds in which surely one token comes back; infinity if unknown."""
        return self._high * _MARGIN if self.is_known else math.inf

    @property
    def is_likely(self) -> bool:
        """Whether what was seen fits a bucket alone: resets that move with what is missing."""
        return not self.is_refuted and self._most > self._fewest

    def observe(
        self,
        limit: int,
        remaining: int,
        reset_low: float,
        reset_high: float,
        sent: float,
        at: float,
    ) -> None:
        """Learn from a response that was sent at ``sent`` and received at ``at``."""
        missing = limit - remaining
        if missing < 2 or self.is_refuted:
            return
        low, high = (reset_low - at) / missing, (reset_high - sent) / (missing - 1)
        # Written out, as it is done for each response: most of them narrow nothing.
        if low > self._low:
            self._low = low
        else:
            low = self._low
        if high < self._high:
            self._high = high
        else:
            high = self._high
        if low > high:
            self.is_refuted, self.is_known = True, False
            return
        if (reset_low + reset_high) / 2 - at < _SHARP * (reset_high - reset_low) / 2:
            return  # too coarse to recognise a bucket by
        if missing < self._fewest:
            self._fewest = missing
        if missing > self._most:
            self._most = missing
        apart = self._most >= _SPREAD * self._fewest
        self.is_known = apart and 0 < high <= _PRECISE * max(low, 1e-9)

    def refresh(self, limit: int, surely: int, remaining: int, sent: float, now: float) -> bool:
        """Take in what a response says is left; return False if it disproves the level.

        Args:
            limit: Size of the bucket.
            surely: What is left after all that is in flight, by the evidence.
            remaining: What the response itself said.
            sent: When it was sent.
            now: When it was received.
        """
        if self.level(limit, sent) > remaining + 1.0 + 1e-6:
            return False
        self._level = max(self.level(limit, now), float(surely))
        self._level_at = now
        return True

    def take(self, limit: int, cost: int, now: float) -> None:
        """Count a request that goes."""
        if self.is_known:
            self._level = self.level(limit, now) - cost
            self._level_at = now

    def level(self, limit: int, now: float) -> float:
        """Return a lower bound of the tokens that are left after all that is in flight."""
        grown = self._level + max(0.0, now - self._level_at) / self.tau
        return min(grown, float(limit))

    def tokens_at(self, limit: int, tokens: int, now: float) -> float:
        """Return when there surely are so many tokens."""
        missing = tokens - self.level(limit, now)
        return now + max(0.0, missing) * self.tau
