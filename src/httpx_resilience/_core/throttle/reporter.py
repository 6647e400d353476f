"""What a scope logs: that it holds calls back, that a limit appeared, changed, runs low."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..telemetry.events import Event, RateLimitChanged, RateLimitLow, ThrottleHeld, ThrottleReleased
from .reasons import COLD_START, CONCURRENCY, LEASE, SERVER_HINT, SILENT_LIMIT

if TYPE_CHECKING:
    from .limits.metered import MeteredQuota
    from .limits.quota import Quota

_GRAVE = (SERVER_HINT, SILENT_LIMIT)
"""Reasons that are logged even if calls were held for another one already."""

_BRIEF = (COLD_START, CONCURRENCY)
"""Reasons for which calls wait no longer than others take: one that is no such is logged, too."""

_CROWDED_AGAIN = 60.0
"""Seconds until a hold for ``concurrency`` is logged again: each may last no longer than a request.
"""

_PAUSE = 1.0
"""Seconds between two events of the same hold."""

_LOW_AGAIN = 60.0
"""Seconds until ``rate_limit_low`` is emitted again where the window's end is unknown."""


class ThrottleReporter:
    """One scope's events, each emitted once for what it is about."""

    __slots__ = (
        "_crowded_at",
        "_emit",
        "_logged_at",
        "_low_below",
        "_origin",
        "_reason",
        "_scope",
        "_since",
    )

    def __init__(
        self, origin: str, scope: str, low_below: float, emit: Callable[[Event], None]
    ) -> None:
        self._origin = origin
        self._scope = scope
        self._low_below = low_below
        self._emit = emit
        self._reason: str | None = None
        self._since = self._logged_at = self._crowded_at = -math.inf

    @property
    def is_holding(self) -> bool:
        """Whether it was logged that calls are held back, and not yet that none is."""
        return self._reason is not None

    def rename(self, scope: str) -> None:
        """Emit events under another name from now on."""
        self._scope = scope

    def held(self, reason: str, retry_at: float, queued: int, now: float) -> None:
        """Log that calls are held back: once a hold.

        Once more if it was logged as a cold start, or for concurrency, and goes on for another
        reason, and if the reason becomes a grave one. That a store is asked is no hold: it answers
        at once. Holds for concurrency are logged once a minute.
        """
        if reason == LEASE:
            return
        if reason == CONCURRENCY and self._reason is None:
            if now < self._crowded_at + _CROWDED_AGAIN:
                return
            self._crowded_at = now
        if self._reason is not None:
            begun = self._reason in _BRIEF and reason not in _BRIEF
            graver = reason in _GRAVE and reason != self._reason
            if not (begun or (graver and now - self._logged_at >= _PAUSE)):
                return
        if self._reason is None:
            self._since = now
        self._reason, self._logged_at = reason, now
        self._emit(
            ThrottleHeld(
                at=now,
                origin=self._origin,
                scope=self._scope,
                reason=reason,
                delay=seconds_until(retry_at, now),
                queued=queued,
            )
        )

    def released(self, now: float) -> None:
        """Log that nobody is held back any more, if anybody was."""
        reason, self._reason = self._reason, None
        if reason is None:
            return
        self._emit(
            ThrottleReleased(
                at=now,
                origin=self._origin,
                scope=self._scope,
                reason=reason,
                elapsed=round(max(0.0, now - self._since), 3),  # threads come with older times
            )
        )

    def limit(self, quota: "Quota | MeteredQuota", before: int | None, now: float) -> None:
        """Log a limit that appeared or changed, and one that runs low, once a window."""
        limit = quota.limit
        if limit is None:
            return
        if before != limit:
            self._emit(RateLimitChanged(**self._numbers(quota, now), previous=before))
        if not quota.has_evidence:  # a limit is announced, and not what is left of it
            return
        if quota.remaining < self._low_below * limit and now >= quota.low_until:
            known = quota.end.high < math.inf
            quota.low_until = quota.end.high if known else now + _LOW_AGAIN
            self._emit(RateLimitLow(**self._numbers(quota, now)))

    def vanished(self, quota: "Quota | MeteredQuota", now: float) -> None:
        """Log that a limit is announced no more."""
        previous = quota.limit
        self._emit(
            RateLimitChanged(at=now, origin=self._origin, scope=self._scope, previous=previous)
        )

    def _numbers(self, quota: "Quota | MeteredQuota", now: float) -> dict[str, Any]:
        return {
            "at": now,
            "origin": self._origin,
            "scope": self._scope,
            "rate_limit": quota.limit,
            "rate_remaining": quota.remaining if quota.has_evidence else None,
            "rate_reset_in": seconds_until(quota.end.nominal, now),
        }


def seconds_until(at: float, now: float) -> float | None:
    """Return the seconds from ``now`` until ``at``, 0 if it is past, None if it is never."""
    return round(max(0.0, at - now), 3) if at < math.inf else None
