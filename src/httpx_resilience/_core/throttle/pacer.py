"""A rate for servers that limit in silence: no headers, only refusals (nginx, HAProxy).

A refused request found the server's bucket empty. So what it accepts from one refusal to a later
one is what was refilled in between, give or take one: its rate, measured.

1. Only requests that were sent at the present pace say anything about it: one decrease a round
   trip, whatever was in flight.
2. Until something is accepted the pace is halved at each refusal: the burst before said little.
   From then on a refusal sets it a little below the rate measured since.
3. Below nine tenths of that rate it recovers quickly, around it it probes slowly, far above it
   (the limit was raised) quickly again. A pace that is not used up does not grow.
4. A 429 says itself that it limits. A 503 may be an outage or a flaky proxy: only several of them
   amid successes are taken for a limiter. An outage accepts nothing. And a limiter's rate stands
   still: whatever goes on refusing well below the rate that it accepted is none.
"""

import math

SLOWEST = 0.5
"""Requests per second that are always let through."""

_START = 0.7
"""Of what was accepted in the last second: the first pace."""

_LEAST, _STEADY = 0.8, 3.0
"""Of the measured rate: the pace after a refusal, if it follows soon on another. After many
successes it is closer: refusals that are rare come of chance, not of the pace."""

_TAU = 1.0
"""Seconds over which what was accepted and refused is averaged."""

_KNEE, _FAR = 0.9, 1.3
"""Shares of the measured rate between which the pace probes."""

_RECOVERY, _PROBING, _PROBING_EACH = math.log(2.0), 0.05, 0.01
"""Growth per second outside and between these; the latter at the most this much a request."""

_HOLD = 4
"""Successes at the present pace before it recovers."""

_SAMPLE = 32
"""Accepted requests over which the rate is measured."""

_IDLE = 30.0
"""Seconds without a refusal after which the rate is forgotten."""

_CLUSTER = 3
"""503s in a row, or within about a second, that look like a limiter."""

_PATIENCE, _DOUBT = 3.0, 60.0
"""Seconds without a success that show an outage; for which 503s are not looked at after it."""

_STRIKES, _REDEEMED = 2.0, 0.1
"""Refusals well below the measured rate that show that nothing limits; what each success makes up
for."""


class Pacer:
    """The rate of one scope; times are the driver's, in seconds."""

    __slots__ = (
        "_accepted",
        "_at",
        "_began_at",
        "_clean",
        "_decreased_at",
        "_doubted_until",
        "_in_a_row",
        "_is_certain",
        "_measured",
        "_measured_from",
        "_next_at",
        "_paced_at",
        "_rate_at",
        "_refused",
        "_refused_at",
        "_strikes",
        "_succeeded_at",
        "ceiling",
        "rate",
    )

    def __init__(self) -> None:
        self.rate: float | None = None
        self.ceiling = math.inf
        self._accepted = self._refused = 0.0
        self._at = self._began_at = -math.inf
        self._succeeded_at = self._refused_at = -math.inf
        self._in_a_row = 0
        self._doubted_until = -math.inf
        self._paced_at = self._decreased_at = self._rate_at = self._next_at = -math.inf
        self._measured, self._measured_from = 0.0, 0.0
        self._clean = 0
        self._strikes = 0.0
        self._is_certain = False

    # What a response tells.

    def accepted(self, sent: float, now: float) -> None:
        """Count a request that the server took."""
        self._fade(now)
        self._accepted += 1.0
        self._succeeded_at = now
        self._in_a_row = 0
        if self.rate is None:
            return
        self._measured += 1.0
        if sent >= self._decreased_at:
            self._clean += 1
            self._strikes = max(0.0, self._strikes - _REDEEMED)

    def refused(self, sent: float, now: float, *, surely: bool) -> None:
        """Count a refusal; ``surely`` if it says itself that it limits the rate."""
        self._fade(now)
        self._refused += 1.0
        self._refused_at = now
        self._in_a_row += 1
        self._is_certain = self._is_certain or surely
        if self.rate is None:
            if surely or self._looks_like_a_limit(now):
                self._begin(now)
        elif sent >= self._decreased_at:
            self._decrease(self.rate, now)

    def _fade(self, now: float) -> None:
        if self._at == -math.inf:
            self._began_at = now
        else:
            share = math.exp(-max(0.0, now - self._at) / _TAU)
            self._accepted *= share
            self._refused *= share
        self._at = now

    def _looks_like_a_limit(self, now: float) -> bool:
        if now < self._doubted_until or now - self._succeeded_at > _PATIENCE:
            return False
        many = self._refused >= 0.8 * _CLUSTER and self._refused >= 0.3 * self._accepted
        return many or self._in_a_row >= _CLUSTER

    def _begin(self, now: float) -> None:
        lately = self._accepted / max(0.1, min(_TAU, now - self._began_at))
        self.ceiling = max(SLOWEST, lately)
        self._paced_at = self._measured_from = now
        self._measured = self._strikes = 0.0
        self._pace(_START * self.ceiling, now)

    def _decrease(self, rate: float, now: float) -> None:
        seconds = now - self._measured_from
        measured = self._measured / seconds if seconds > 0 else 0.0
        if not self._is_certain and not self._is_limiting(rate, measured, now):
            self._forget()
            self._doubted_until = now + _DOUBT
        elif self._measured < 1.0:
            self.ceiling = rate
            self._pace(rate / 2, now)
        else:
            self.ceiling = min(rate, max(measured, rate / 2))
            steady = _STEADY / (self._clean + 1)
            self._pace(max(_LEAST, 1.0 - steady) * self.ceiling, now)
            if self._measured > _SAMPLE:
                self._measured, self._measured_from = self._measured / 2, now - seconds / 2

    def _is_limiting(self, rate: float, measured: float, now: float) -> bool:
        """Tell whether 503s still look like those of a limiter."""
        since = max(self._succeeded_at, self._paced_at)
        if now - since > max(_PATIENCE, 4.0 / max(measured, SLOWEST)):
            return False
        if self._measured >= _CLUSTER and rate < _KNEE * measured:
            self._strikes += 1.0
        return self._strikes <= _STRIKES

    def _pace(self, rate: float, now: float) -> None:
        self.rate = max(SLOWEST, rate)
        self._rate_at = self._decreased_at = now
        self._clean = 0
        self._next_at = now + 1.0 / self.rate

    def _forget(self) -> None:
        self.rate = None
        self.ceiling = math.inf
        self._is_certain = False
        self._in_a_row = 0

    # What may go.

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
        if self.rate is None:
            return
        self._grow(self.rate, now)
        # A timer that was a little late does not slow the pace; an idle while saves nothing up.
        self._next_at = max(now - 0.02, self._next_at) + 1.0 / self.rate

    def _grow(self, rate: float, now: float) -> None:
        used = min(now - self._rate_at, 2.0 / rate)
        self._rate_at = now
        knee = _KNEE * self.ceiling
        if rate < knee:
            if self._clean >= _HOLD:
                self.rate = min(knee, rate * math.exp(_RECOVERY * used))
        else:
            slowly = rate < _FAR * self.ceiling
            growth = min(_PROBING, _PROBING_EACH * rate) if slowly else _RECOVERY
            self.rate = rate * math.exp(growth * used)
