"""A rate for servers that limit in silence: no headers, only refusals (nginx, HAProxy).

Additive increase, multiplicative decrease, around what the server was seen to accept:

1. A refusal sets the rate to a share of what was accepted lately; not again within a second, for
   what was in flight then says nothing new.
2. Below the rate that was last refused it recovers quickly, above it slowly.
3. A 429 says itself that it limits. A 503 may be an outage or a flaky proxy: only a cluster of them
   amid successes is taken for a limiter, and only as long as going slower helps.
"""

import math

SHARE = 0.7
"""Of the accepted rate: the decrease."""

SLOWEST = 0.5
"""Requests per second that are always let through."""

_TAU = 1.0
"""Seconds over which accepted requests are averaged."""

_CALM = 1.0
"""Seconds between decreases."""

_RECOVERY, _PROBING = math.log(2.0), 0.05
"""Growth per second below, and above, nine tenths of the rate that was last refused."""

_IDLE = 30.0
"""Seconds without a refusal after which the rate is forgotten."""

_CLUSTER, _PROOF, _DOUBT = 3, 10, 60.0
"""503s within a second that look like a limiter; outcomes that show whether pacing helps; seconds
for which 503s are not looked at after it did not."""


class Pacer:
    """The rate of one scope; times are the driver's, in seconds."""

    __slots__ = (
        "_accepted",
        "_accepted_at",
        "_began_at",
        "_decreased_at",
        "_doubted_until",
        "_is_proven",
        "_next_at",
        "_rate_at",
        "_recent",
        "_refused_at",
        "_tried",
        "_tried_refused",
        "ceiling",
        "rate",
    )

    def __init__(self) -> None:
        self.rate: float | None = None
        self.ceiling = math.inf
        self._accepted = 0.0
        self._accepted_at = -math.inf
        self._began_at = -math.inf
        self._decreased_at = -math.inf
        self._refused_at = -math.inf
        self._rate_at = -math.inf
        self._next_at = -math.inf
        self._doubted_until = -math.inf
        self._recent = 0
        self._is_proven = False
        self._tried = self._tried_refused = 0

    def accepted(self, now: float) -> None:
        """Count a request that the server took."""
        if self._accepted_at == -math.inf:
            self._began_at = now
        self._accepted = self._accepted_now(now) + 1.0
        self._accepted_at = now
        if self.rate is not None:
            self._weigh(now, refused=False)

    def refused(self, now: float, *, surely: bool) -> None:
        """Count a refusal; ``surely`` if it says itself that it limits the rate."""
        self._recent = self._recent + 1 if now - self._refused_at <= 1.0 else 1
        self._refused_at = now
        if self.rate is not None:
            if surely:
                self._is_proven = True
            if self._weigh(now, refused=True) or now - self._decreased_at < _CALM:
                return
        elif not surely and not self._looks_like_a_limit(now):
            return
        elif surely:
            self._is_proven = True
        current = self._rate_now(now)
        lately = self._accepted_now(now) / max(0.1, min(_TAU, now - self._began_at))
        self.ceiling = lately if current is None else min(current, max(lately, SLOWEST))
        self.rate = max(SLOWEST, SHARE * self.ceiling)
        self._rate_at = self._decreased_at = now
        self._next_at = max(self._next_at, now + 1.0 / self.rate)

    def open_at(self, now: float) -> float:
        """Return when the next request may go; the past if it may go now."""
        if self.rate is None:
            return -math.inf
        if now - self._refused_at > _IDLE:
            self._forget()
            return -math.inf
        return self._next_at

    def took(self, now: float) -> None:
        """Note that a request went."""
        rate = self._rate_now(now)
        if rate is not None:
            self.rate, self._rate_at = rate, now
            # A timer that was a little late does not slow the pace; an idle while saves nothing up.
            self._next_at = max(now - 0.1, self._next_at) + 1.0 / rate

    def _looks_like_a_limit(self, now: float) -> bool:
        amid_successes = self._accepted_now(now) > 0.3
        many = self._recent >= _CLUSTER and self._recent >= 0.3 * self._accepted_now(now)
        return many and amid_successes and now >= self._doubted_until

    def _weigh(self, now: float, *, refused: bool) -> bool:
        """See whether going slower helps; if not, it was no limiter that refused: let go."""
        if self._is_proven or now < self._decreased_at + 0.5:
            return False  # what was on its way when the rate was set proves nothing
        self._tried += 1
        self._tried_refused += refused
        if self._tried < _PROOF:
            return False
        helped = self._tried_refused <= _PROOF * 0.25
        self._tried = self._tried_refused = 0
        if not helped:
            self._forget()
            self._doubted_until = now + _DOUBT
        return not helped

    def _forget(self) -> None:
        self.rate = None
        self.ceiling = math.inf
        self._is_proven = False
        self._tried = self._tried_refused = 0

    def _accepted_now(self, now: float) -> float:
        return self._accepted * math.exp(-max(0.0, now - self._accepted_at) / _TAU)

    def _rate_now(self, now: float) -> float | None:
        if self.rate is None:
            return None
        knee = 0.9 * self.ceiling
        seconds = max(0.0, now - max(self._rate_at, self._decreased_at + 0.5))
        if self.rate < knee:
            return min(knee, self.rate * math.exp(_RECOVERY * seconds))
        return self.rate * math.exp(_PROBING * seconds)
