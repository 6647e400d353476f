"""How many requests may be in flight to an origin, learned from how long they take.

A server that has more requests than it can work on answers each of them later, and none sooner. So
the latency, from a request's send to its response's headers, is compared with that at a quarter of
the present limit: the limit is lowered by the gradient between the two, and raised by its square
root (Envoy's adaptive concurrency filter; Netflix's concurrency-limits; both after TCP Vegas,
Brakmo and Peterson 1995). What differs, and what it is for, by ``simulation.concurrency``:

1. *Latencies of unlike requests.* Of each window of requests the logarithms are averaged: slow and
   fast endpoints shift that alike. It is compared within the doubt that so few of such requests
   leave (in standard errors), for a chance majority of slow ones is no congestion. By the least or
   the mean latency the limit collapses there (Vegas: to an eighth of the throughput).
2. *A latency without load that is measured.* One that follows the latency of late goes up with the
   congestion that it should show (Gradient2 lets a server's queue grow to its throughput's loss).
   Here the limit is quartered for a window, soon after the first congestion, then no more often
   than each hundredth window or so, and only while there is congestion.
3. *A server that moves farther away.* The limit goes down, as that looks like congestion; where it
   has come to a quarter, that is a measurement: the latency is the same, and is the new one.
4. *Nothing is learned where there is nothing to learn.* Calls that do not fill the limit do not
   raise it: nobody knows what the server does with more. Those that do not fill half of it do not
   lower it either: it is not by their number that they take longer.

Failures that show an overload lower the limit where they are more than a tenth: below, they are
what every server has.
"""

import math

_START = 10.0
"""Where it begins: what ten tasks need."""

_LEAST, _MOST = 1.0, 1000.0
"""Between which it stays. One request shows whether the server is back."""

_TOLERANCE = math.log(1.5)
"""How much longer requests may take than without load, as a logarithm: Gradient2's half."""

_STEEPEST = math.log(0.5)
"""How much it goes down at once, at the most, likewise (both Netflix's and Envoy's)."""

_FASTER = 1.5
"""How fast it grows until the first congestion."""

_PROBE = 4.0
"""By what it is divided to measure the latency without load."""

_FEWEST_PROBED = 8.0
"""The least limit of which a quarter is worth it."""

_PROBE_EACH, _PROBE_WINDOWS = 10.0, 100.0
"""Seconds, and latencies, from one measurement to the next."""

_DOUBT = 2.0
"""Standard errors within which two latencies count as the same."""

_NOTICED = math.log(1.1)
"""Less congestion than that is not worth a measurement."""

_LEARNED = 0.3
"""Share of a lower latency by which the one without load goes down."""

_ROUNDS, _FEW, _MANY = 2.0, 20.0, 200.0
"""A window: so many times the limit, and at least and at most so many requests."""

_USED, _FULL = 0.5, 0.8
"""Shares of the limit that must have been in flight for it to change at all, and for it to grow.

As it grows by half, calls that filled it once fill half of it afterwards.
"""

_FAILING = 0.1
"""Share of failures that is an overload."""

_AFTER_FAILURES = 0.7
"""By what they lower the limit, once a window."""

_SHORTEST = 1e-6
"""Seconds; a clock may show none."""


class LatencyWindow:
    """The latencies of some requests, as the mean of their logarithms and its variance.

    Args:
        now: When it begins.

    Attributes:
        begun_at: When it began.
        seconds: What the requests that were answered took, all together.
        count: Requests that were answered.
        failed: Requests that failed as they do in an overload.
        most: Requests that were in flight at the same time.
    """

    __slots__ = ("_squares", "_sum", "begun_at", "count", "failed", "most", "seconds")

    def __init__(self, now: float = -math.inf) -> None:
        self.begun_at = now
        self.seconds = 0.0
        self.count = 0
        self.failed = 0
        self.most = 0
        self._sum = 0.0
        self._squares = 0.0

    def add(self, seconds: float) -> None:
        """Count a request that took so long."""
        value = math.log(max(seconds, _SHORTEST))
        self.count += 1
        self.seconds += seconds
        self._sum += value
        self._squares += value * value

    @property
    def mean(self) -> float:
        """The mean of the logarithms."""
        return self._sum / self.count

    @property
    def variance(self) -> float:
        """The variance of that mean."""
        mean = self.mean
        return max(0.0, self._squares / self.count - mean * mean) / self.count


class AdaptiveConcurrency:
    """The limit of one origin; times are the driver's, in seconds.

    Attributes:
        limit: How many requests may be in flight.
    """

    __slots__ = (
        "_base",
        "_changed_at",
        "_doubt",
        "_limit",
        "_probe_at",
        "_resume_at",
        "_slow_above",
        "_top",
        "_window",
        "limit",
    )

    def __init__(self) -> None:
        self._window = LatencyWindow()
        self._base: float | None = None  # the latency without load, as a logarithm
        self._doubt = 0.0
        self._limit = self._top = _START  # the highest since the base was measured
        self._slow_above = _MOST
        self._resume_at = 0.0  # the limit after a measurement that is under way
        self._probe_at = self._changed_at = -math.inf
        self.limit = int(_START)

    def answered(self, sent: float, received: float, in_flight: int) -> None:
        """Learn from a request that was answered.

        Args:
            sent: When it was sent.
            received: When its headers came.
            in_flight: Requests in flight until then, itself included.
        """
        if sent >= self._changed_at:  # else it shows how it was before
            self._window.add(received - sent)
            self._ended(received, in_flight)

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        """Learn from a request that failed as requests do in an overload."""
        if sent >= self._changed_at:
            self._window.failed += 1
            self._ended(now, in_flight)

    def _ended(self, now: float, in_flight: int) -> None:
        window = self._window
        if in_flight > window.most:
            window.most = in_flight
        count = window.count + window.failed
        if count < _FEW or count < min(_MANY, _ROUNDS * self._limit):
            return
        if (now - window.begun_at) * window.count < _ROUNDS * window.seconds:
            return  # mostly fast ones have come back so far
        self._learn(window, now)
        self._window = LatencyWindow(now)

    def _learn(self, window: LatencyWindow, now: float) -> None:
        limit = self._limit
        if window.failed > _FAILING * (window.count + window.failed):
            self._resume_at = 0.0
            self._slow_above = limit * _AFTER_FAILURES
            self._set(self._slow_above, now)
        elif self._resume_at:
            self._measured(window, self._resume_at)
            self._probe_at = now + max(_PROBE_EACH, _PROBE_WINDOWS * math.exp(window.mean))
            self._set(self._resume_at, now)
            self._resume_at, self._changed_at = 0.0, now
        else:
            if self._base is None or window.most <= self._top / _PROBE:
                self._measured(window, limit)
            elif window.mean < self._base:
                self._base += _LEARNED * (window.mean - self._base)
            if window.most >= _USED * limit:
                self._adapt(window, now)

    def _measured(self, window: LatencyWindow, top: float) -> None:
        """Take a window's latency for that without load."""
        self._base, self._doubt, self._top = window.mean, window.variance, top

    def _adapt(self, window: LatencyWindow, now: float) -> None:
        """Raise or lower the limit by what the latency certainly is above that without load."""
        limit, base = self._limit, window.mean if self._base is None else self._base
        congestion = window.mean - base - _DOUBT * math.sqrt(window.variance + self._doubt)
        gradient = max(_STEEPEST, min(0.0, _TOLERANCE - congestion))
        if congestion > _NOTICED and now >= self._probe_at and limit >= _FEWEST_PROBED:
            self._resume_at = limit
            self._set(limit / _PROBE, now)
            return
        if gradient == 0.0 and limit < self._slow_above:
            changed = limit * _FASTER
        else:
            if gradient < 0.0:
                self._slow_above = min(self._slow_above, limit * math.exp(gradient))
            changed = limit * math.exp(gradient) + math.sqrt(limit)
        self._set(changed if window.most >= _FULL * limit else min(changed, limit), now)
        self._top = max(self._top, self._limit)

    def _set(self, limit: float, now: float) -> None:
        limit = max(_LEAST, min(_MOST, limit))
        if limit < self._limit:
            self._changed_at = now
        self._limit = limit
        self.limit = int(limit)
