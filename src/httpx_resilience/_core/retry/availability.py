"""Whether an origin is available, judged by what its attempts come to.

1. Three failures in a row show that it is not; two may be chance. One success at the usual speed
   shows that it is again.
2. A slow success is not a success: it counts by how far it lies beyond what is usual. A server that
   answers everything late is overloaded, and stays so for as long as retries are added to its load:
   in simulations seven of seven such servers never recovered without this rule.
"""

IN_A_ROW = 3
"""Failures in a row that show an outage. With two, 30 % of random failures look like one too often;
with six, a fleet of small clients sends a twentieth more into an outage."""

_GAIN = 0.5
"""Share that the latest success has in the health."""

_WELL = 0.5
"""Health from which on an origin is available."""

_SLOW = 2.0
"""Times the usual latency beyond which a success begins to count for less."""

_QUICK = 0.01
"""Seconds within which no success is slow: so much a busy client is late by itself."""

_FIRST_SAMPLES, _WARM_UP = 10, 3.0
"""The quantile takes its first steps as if it had seen so many latencies; over their number."""

_MEMORY, _LONGEST_STEP = 30.0, 0.1
"""Seconds over which the usual latency follows a change; the most that one success moves it."""

_ABOVE = 9.0
"""Steps down for each step up: nine latencies in ten are below the usual one."""

_BATCH = 0.01
"""Seconds for which one success stands for all, while all is well: a thousandth of what the usual
latency is averaged over."""

_SETTLED = 0.999
"""Health that is as good as 1."""


class Availability:
    """What is known of one origin. Times are the driver's, in seconds.

    Attributes:
        failures: Failed attempts in a row.
        unavailable_since: When the first of the failures came back that made it unavailable; None
            while it is available.
        has_succeeded: It was available once.
        health: How good the last successes were: 1 at the usual speed, 0 while nothing succeeds.
        usual: The latency that nine successes in ten do not exceed; 0 before the first.
        slow: The latency beyond which a success counts for less.
        succeeded_at: When a success came back last, however slow.
        good_at: When one came back last at about the usual speed.
    """

    __slots__ = (
        "_failing_since",
        "_samples",
        "failures",
        "good_at",
        "has_succeeded",
        "health",
        "slow",
        "succeeded_at",
        "unavailable_since",
        "usual",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.unavailable_since: float | None = None
        self.has_succeeded = False
        self.health = 1.0
        self.usual = self.slow = 0.0
        self.succeeded_at = self.good_at = float("-inf")
        self._failing_since = 0.0
        self._samples = _FIRST_SAMPLES

    @property
    def is_calm(self) -> bool:
        """Whether it is available, and has been at its usual speed for a while."""
        return not self.failures and self.health == 1.0

    def failed(self, now: float) -> None:
        """Learn from an attempt that failed."""
        self.failures += 1
        if self.failures == 1:
            self._failing_since = now
        if self.failures == IN_A_ROW:
            self.health = 0.0
        if self.failures >= IN_A_ROW and self.unavailable_since is None:
            self.unavailable_since = self._failing_since

    def succeeded(self, latency: float, now: float) -> float:
        """Learn from an attempt that succeeded; return how good it was, from 0 to 1.

        Args:
            latency: Seconds from its send to its headers.
            now: The time.
        """
        self.failures = 0
        self.has_succeeded = True
        if latency > 0.0:
            self._follow(latency, now)
        self.succeeded_at = now
        quality = 1.0 if latency <= self.slow or not self.slow else (self.slow / latency) ** 2
        self.health += _GAIN * (quality - self.health)
        if self.health >= _SETTLED:
            self.health = 1.0
        if quality >= _WELL:
            self.good_at = now
        if self.unavailable_since is None:
            if self.health < _WELL:
                self.unavailable_since = now
        elif self.health >= _WELL:
            self.unavailable_since = None
        return quality

    def _follow(self, latency: float, now: float) -> None:
        """Move the usual latency a step towards the quantile of what is seen."""
        if not self.usual:
            self.usual = latency
        step = min(_LONGEST_STEP, (now - self.succeeded_at) / _MEMORY)
        if self.unavailable_since is None and now - self.succeeded_at >= _BATCH:
            step = max(step, _WARM_UP / self._samples)
            self._samples += 1
        self.usual *= 1.0 + step if latency > self.usual else 1.0 - step / _ABOVE
        self.slow = max(_QUICK, _SLOW * self.usual)
