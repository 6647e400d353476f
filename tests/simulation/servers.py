"""Model servers that limit a rate: how they count, and what they say about it.

Each counts a request when it arrives, on its own clock; ``earliest`` is what a clairvoyant client
would know. How a reset is put into a header is apart from how it comes about.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import NamedTuple

from simulation.engine import EPOCH


class Answer(NamedTuple):
    """What a limiter says to one request; ``reset`` in seconds on the server's clock."""

    accepted: bool
    remaining: int
    reset: float


class FixedWindow:
    """``limit`` requests a window; aligned to the clock, or begun by the first request."""

    def __init__(self, limit: int, window: float, *, aligned: bool) -> None:
        self.limit, self.window, self.aligned = limit, window, aligned
        self.start = self.end = -math.inf
        self.count = 0

    def _roll(self, now: float) -> None:
        if now >= self.end:
            index = round(now / self.window, 9) // 1  # at its very end a window is over
            self.start = index * self.window if self.aligned else now
            self.end = self.start + self.window
            self.count = 0

    def take(self, now: float) -> Answer:
        self._roll(now)
        accepted = self.count < self.limit
        self.count += accepted
        return Answer(accepted, self.limit - self.count, self.end)

    def earliest(self, now: float) -> float:
        return now if now >= self.end or self.count < self.limit else self.end


class SlidingLog:
    """``limit`` requests in any window; each request gives its unit back a window later."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self.times: deque[float] = deque()

    def take(self, now: float) -> Answer:
        while self.times and self.times[0] <= now - self.window:
            self.times.popleft()
        accepted = len(self.times) < self.limit
        if accepted:
            self.times.append(now)
        return Answer(accepted, self.limit - len(self.times), self.times[0] + self.window)

    def earliest(self, now: float) -> float:
        if len(self.times) < self.limit:
            return now
        return max(now, self.times[-self.limit] + self.window)


class SlidingCounter:
    """Two counters of aligned windows, the older one weighed by how much of it still counts."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self.index = -1
        self.before = self.current = 0

    def _roll(self, now: float) -> None:
        index = math.floor(now / self.window)
        if index != self.index:
            self.before = self.current if index == self.index + 1 else 0
            self.current = 0
            self.index = index

    def _used(self, now: float) -> float:
        share = 1.0 - (now - self.index * self.window) / self.window
        return self.before * share + self.current

    def take(self, now: float) -> Answer:
        self._roll(now)
        accepted = self._used(now) + 1 <= self.limit + 1e-9
        self.current += accepted
        left = max(0, math.floor(self.limit - self._used(now)))
        return Answer(accepted, left, (self.index + 1) * self.window)

    def earliest(self, now: float) -> float:
        self._roll(now)
        for _ in range(3):
            if self._used(now) + 1 <= self.limit + 1e-9:
                return now
            end = (self.index + 1) * self.window
            if self.before:
                share = (self.limit - 1 - self.current) / self.before
                then = end - share * self.window
                if share >= 0 and then < end:
                    return max(now, then) + 1e-9
            now = end
            self._roll(now)
        return now


class TokenBucket:
    """A bucket of ``limit`` tokens, refilled continuously; the reset is of the whole bucket, or
    of the next token."""

    def __init__(self, limit: int, window: float, *, full: bool) -> None:
        self.limit, self.window, self.full = limit, window, full
        self.rate = limit / window
        self.tokens = float(limit)
        self.at = -math.inf

    def _refill(self, now: float) -> None:
        if self.at > -math.inf:
            self.tokens = min(self.limit, self.tokens + (now - self.at) * self.rate)
        self.at = now

    def take(self, now: float) -> Answer:
        self._refill(now)
        accepted = self.tokens >= 1 - 1e-9
        if accepted:
            self.tokens -= 1
        missing = self.limit - self.tokens if self.full else 1 - (self.tokens % 1)
        return Answer(accepted, max(0, math.floor(self.tokens + 1e-9)), now + missing / self.rate)

    def earliest(self, now: float) -> float:
        tokens = min(self.limit, self.tokens + max(0.0, now - self.at) * self.rate)
        return now if tokens >= 1 else now + (1 - tokens) / self.rate + 1e-9


Limiter = FixedWindow | SlidingLog | SlidingCounter | TokenBucket

LIMITERS: dict[str, Callable[[int, float], Limiter]] = {
    "aligned": lambda limit, window: FixedWindow(limit, window, aligned=True),
    "anchored": lambda limit, window: FixedWindow(limit, window, aligned=False),
    "log": SlidingLog,
    "counter": SlidingCounter,
    "bucket_full": lambda limit, window: TokenBucket(limit, window, full=True),
    "bucket_next": lambda limit, window: TokenBucket(limit, window, full=False),
}

RESETS: dict[str, Callable[[float, float], str]] = {
    "floor": lambda reset, now: str(math.floor(reset)),
    "ceil": lambda reset, now: str(math.ceil(reset)),
    "plus1": lambda reset, now: str(math.floor(reset) + 1),
    "float": lambda reset, now: f"{reset:.3f}",
    "delta": lambda reset, now: str(math.ceil(reset - now)),
}
"""How servers write a reset: whole epoch seconds, with a fraction, or seconds from now."""


@dataclass
class RateLimitedServer:
    """A limiter behind HTTP: headers in, its own clock, honest."""

    limiter: Limiter
    limit: int
    reset_format: str = "floor"
    skew: float = 0.0
    step: tuple[float, float] | None = None  # (when, by how much) its clock is set
    has_headers: bool = True
    refusal: int = 429

    def clock(self, now: float) -> float:
        stepped = self.step[1] if self.step is not None and now >= self.step[0] else 0.0
        return EPOCH + now + self.skew + stepped

    def handle(self, now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        clock = self.clock(now)
        answer = self.limiter.take(now)
        headers = [(b"Date", formatdate(math.floor(clock), usegmt=True).encode())]
        if self.has_headers:
            reset = clock + (answer.reset - now)
            headers += [
                (b"X-RateLimit-Limit", str(self.limit).encode()),
                (b"X-RateLimit-Remaining", str(answer.remaining).encode()),
                (b"X-RateLimit-Reset", RESETS[self.reset_format](reset, clock).encode()),
            ]
        if answer.accepted:
            return 200, headers
        if self.has_headers:
            wait = max(1, math.ceil(answer.reset - now))
            headers.append((b"Retry-After", str(wait).encode()))
        return self.refusal, headers
