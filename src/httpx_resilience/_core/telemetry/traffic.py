"""What becomes of an origin's calls: one line a minute, also where nothing else is logged."""

import math
from collections.abc import Callable

from ..headers import RateLimit
from .events import Event, TrafficSummary

PERIOD = 60.0
"""Seconds between two summaries; a summary comes with the first call that ends after it."""


class TrafficMeter:
    """Counts the calls of one origin, and emits a ``TrafficSummary`` a minute.

    Args:
        origin: Of the server.
        emit: Takes the summaries.
    """

    __slots__ = (
        "_attempts",
        "_began_at",
        "_calls",
        "_clean",
        "_due_at",
        "_emit",
        "_held",
        "_origin",
        "_remaining",
        "_retries",
        "_succeeded",
    )

    def __init__(self, origin: str, emit: Callable[[Event], None]) -> None:
        self._origin = origin
        self._emit = emit
        self._began_at = self._due_at = -math.inf
        self._reset()

    def _reset(self) -> None:
        self._clean = self._calls = self._succeeded = self._attempts = self._retries = 0
        self._held = 0.0
        self._remaining: float = math.inf

    def saw(self, announced: tuple[RateLimit, ...]) -> None:
        """Note what a response said is left of the rate limit."""
        for limit in announced:
            remaining = limit[1]
            if remaining is not None and remaining < self._remaining:
                self._remaining = remaining

    def went_well(self, now: float) -> None:
        """Count a call whose first attempt succeeded, and that waited for nothing."""
        if now >= self._due_at:
            self._summarise(now)
        self._clean += 1

    def ended(self, now: float, attempts: int, held: float, *, success: bool) -> None:
        """Count a call that ended.

        Args:
            now: The time.
            attempts: Requests that were sent for it.
            held: Seconds that it waited for the rate limit.
            success: It succeeded.
        """
        if now >= self._due_at:
            self._summarise(now)
        self._calls += 1
        self._succeeded += success
        self._attempts += attempts
        self._retries += max(0, attempts - 1)
        self._held += held

    def _summarise(self, now: float) -> None:
        clean = self._clean  # one attempt each
        calls, attempts = self._calls + clean, self._attempts + clean
        if calls:
            known = self._remaining < math.inf
            summary = TrafficSummary(
                at=now,
                origin=self._origin,
                elapsed=round(now - self._began_at, 3),
                calls=calls,
                succeeded=self._succeeded + clean,
                attempts=attempts,
                retries=self._retries,
                held=round(self._held, 3),
                rate_remaining=int(self._remaining) if known else None,
            )
            self._reset()
            self._emit(summary)
        self._began_at, self._due_at = now, now + PERIOD
