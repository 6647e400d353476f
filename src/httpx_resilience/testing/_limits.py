"""Token buckets, refilled continuously, one per identity and category.

The facts are in ScaiVault's notes on rate limits: bursts up to the bucket's size, limit / window
sustained, the headers always about the bucket of the request's own category.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from .._core import checks
from .._core.frozen import FrozenMap

_EPSILON = 1e-9  # refilling by fractions must not lose the unit that is due right now
_UNIX_EPSILON = 1e-6  # a float of today's Unix time is exact to 2.4e-7 s

ResetStyle = Literal["full", "next"]


@dataclass(frozen=True, slots=True)
class Limit:
    """Allow bursts of ``limit`` requests and ``limit / per`` requests a second sustained.

    Args:
        limit: Size of the bucket, an integer of at least 1.
        per: Seconds in which an empty bucket is full again, above 0.

    >>> Limit(30, per=2.0)
    Limit(limit=30, per=2.0)
    """

    limit: int
    per: float = field(default=60.0, kw_only=True)

    def __post_init__(self) -> None:
        checks.integer("Limit.limit", self.limit, low=1)
        checks.number("Limit.per", self.per, low=0, above=True)


DEFAULT_LIMITS: FrozenMap[str, Limit] = FrozenMap(
    {
        "read": Limit(1000),
        "write": Limit(100),
        "delete": Limit(100),
        "list": Limit(100),
        "auth": Limit(300),
        "audit": Limit(50),
        "federation": Limit(20),
        "pki": Limit(50),
        "policies": Limit(50),
        "subscriptions": Limit(20),
        "webhooks": Limit(20),
        "*": Limit(100),
    }
)
"""ScaiVault's own limits by category; a word stands for all categories that begin with it and a
colon (``policies`` for ``policies:read``), ``*`` for every other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a bucket says after one request; times in seconds from now."""

    allowed: bool
    limit: int
    remaining: int
    next_in: float
    full_in: float

    @property
    def retry_after(self) -> int:
        """Whole seconds until a unit is there: rounded up and at least 1, as such servers do."""
        return max(1, math.ceil(self.next_in - _EPSILON))


class Bucket:
    """One token bucket; ``now`` is monotonic seconds."""

    __slots__ = ("_at", "_level", "_limit")

    def __init__(self, limit: Limit, now: float) -> None:
        self._limit = limit
        self._level = float(limit.limit)
        self._at = now

    def take(self, now: float) -> Reading:
        """Take one unit if there is one, and return how the bucket stands."""
        size = self._limit.limit
        rate = size / self._limit.per
        self._level = min(size, self._level + max(0.0, now - self._at) * rate)
        self._at = max(self._at, now)
        allowed = self._level >= 1 - _EPSILON
        if allowed:
            self._level = max(0.0, self._level - 1)
        remaining = math.floor(self._level + _EPSILON)
        return Reading(
            allowed=allowed,
            limit=size,
            remaining=remaining,
            next_in=max(0.0, min(remaining + 1, size) - self._level) / rate,
            full_in=(size - self._level) / rate,
        )


class Limiter:
    """The buckets of all identities and categories, and the headers that announce them."""

    def __init__(self, limits: Mapping[str, Limit], reset: ResetStyle, decimals: int) -> None:
        for category, limit in limits.items():
            checks.instance(f"limits[{category!r}]", limit, Limit, "a Limit")
        checks.one_of("reset", reset, get_args(ResetStyle))
        checks.integer("decimals", decimals, low=0, high=9)
        self._limits = {**DEFAULT_LIMITS, **limits}
        self._reset = reset
        self._decimals = decimals
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def charge(self, identity: str, category: str, now: float) -> Reading:
        """Count a request against the bucket of its identity and category."""
        key = (identity, category)
        if key not in self._buckets:
            self._buckets[key] = Bucket(self._limit_of(category), now)
        return self._buckets[key].take(now)

    def headers(self, reading: Reading, wall: float) -> dict[str, str]:
        """Return the rate-limit headers; ``wall`` is now in Unix seconds."""
        reset = wall + (reading.full_in if self._reset == "full" else reading.next_in)
        if self._decimals == 0:
            reset = math.ceil(reset - _UNIX_EPSILON)
        return {
            "X-RateLimit-Limit": str(reading.limit),
            "X-RateLimit-Remaining": str(reading.remaining),
            "X-RateLimit-Reset": f"{reset:.{self._decimals}f}",
        }

    def _limit_of(self, category: str) -> Limit:
        names = (category, category.partition(":")[0], "*")
        return next(self._limits[name] for name in names if name in self._limits)
