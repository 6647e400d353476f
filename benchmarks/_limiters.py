"""Five kinds of rate limiter, as servers have them, and what a clairvoyant client would need.

Each counts a request when it arrives. ``take`` says whether it was accepted, how many units are
left and when the next announced reset is; ``earliest`` when the next request would be accepted.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

_EPSILON = 1e-9
"""Refilling by fractions must not lose the unit that is due right now."""


class Answer(NamedTuple):
    """What a limiter says to a request; ``reset`` on its own clock."""

    accepted: bool
    remaining: int
    reset: float


class Limiter(Protocol):
    """What counts requests."""

    def take(self, now: float) -> Answer:
        """Count a request."""
        ...

    def earliest(self, now: float) -> float:
        """Return when a request would be accepted, from now on."""
        ...


class Window:
    """``limit`` requests a window: aligned to the clock, or begun by the first request."""

    def __init__(self, limit: int, window: float, *, aligned: bool) -> None:
        self._limit, self._window, self._aligned = limit, window, aligned
        self._end = -math.inf
        self._count = 0

    def take(self, now: float) -> Answer:
        if now >= self._end:
            index = math.floor(now / self._window + _EPSILON)
            start = index * self._window if self._aligned else now
            self._end, self._count = start + self._window, 0
        accepted = self._count < self._limit
        self._count += accepted
        return Answer(accepted, self._limit - self._count, self._end)

    def earliest(self, now: float) -> float:
        return now if now >= self._end or self._count < self._limit else self._end


class Log:
    """``limit`` requests in any window; each gives its unit back a window later."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._window = limit, window
        self._times: deque[float] = deque()

    def take(self, now: float) -> Answer:
        while self._times and self._times[0] <= now - self._window + _EPSILON:
            self._times.popleft()
        accepted = len(self._times) < self._limit
        if accepted:
            self._times.append(now)
        return Answer(accepted, self._limit - len(self._times), self._times[0] + self._window)

    def earliest(self, now: float) -> float:
        if len(self._times) < self._limit:
            return now
        return max(now, self._times[-self._limit] + self._window)


class Counter:
    """Two counters of aligned windows; the older one weighs as much as of it still counts."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._window = limit, window
        self._index = -1
        self._before = self._current = 0

    def take(self, now: float) -> Answer:
        self._roll(now)
        accepted = self._used(now) + 1 <= self._limit + _EPSILON
        self._current += accepted
        left = max(0, math.floor(self._limit - self._used(now)))
        return Answer(accepted, left, (self._index + 1) * self._window)

    def earliest(self, now: float) -> float:
        step = self._window / self._limit / 10
        while True:  # by small steps; it is asked in no hurry
            self._roll(now)
            if self._used(now) + 1 <= self._limit + _EPSILON:
                return now
            now += step

    def _roll(self, now: float) -> None:
        index = math.floor(now / self._window)
        if index != self._index:
            self._before = self._current if index == self._index + 1 else 0
            self._current, self._index = 0, index

    def _used(self, now: float) -> float:
        gone = now / self._window - self._index
        return self._before * (1.0 - gone) + self._current


class Bucket:
    """``limit`` tokens, refilled continuously; the reset is when the bucket is full."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._rate = limit, limit / window
        self._tokens, self._at = float(limit), 0.0

    def take(self, now: float) -> Answer:
        self._tokens = self._level(now)
        self._at = now
        accepted = self._tokens >= 1 - _EPSILON
        self._tokens -= accepted
        full = now + (self._limit - self._tokens) / self._rate
        return Answer(accepted, max(0, math.floor(self._tokens + _EPSILON)), full)

    def earliest(self, now: float) -> float:
        return now + max(0.0, 1 - self._level(now)) / self._rate

    def _level(self, now: float) -> float:
        return min(self._limit, self._tokens + (now - self._at) * self._rate)


KINDS: dict[str, Callable[[int, float], Limiter]] = {
    "aligned": lambda limit, window: Window(limit, window, aligned=True),
    "anchored": lambda limit, window: Window(limit, window, aligned=False),
    "sliding log": Log,
    "sliding counter": Counter,
    "token bucket": Bucket,
}
"""How each kind is made, from its limit and the seconds of its window."""


def least_time(limiter: Limiter, start: float, requests: int) -> float:
    """Return the seconds in which a limiter can let so many requests in, at the least."""
    now = start
    for _ in range(requests):
        now = limiter.earliest(now)
        while not limiter.take(now).accepted:  # a rounding error too early
            now += _EPSILON
    return now - start
