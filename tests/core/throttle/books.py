"""A ledger that is told of answers and asked in few words; there is no latency unless stated."""

import math
from typing import Any

from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import Admission

UNIT = 60 / 100 / 0.97
"""Seconds in which about one unit of a hundred a minute comes back."""

FINE = 0.001
UNIT = 60 / 100 / 0.97
"""Seconds in which about one unit of a hundred a minute comes back."""


def told(
    ledger: Quota,
    remaining: int | None,
    sent: float,
    received: float | None = None,
    *,
    limit: int | None = 100,
    reset: float | None = 60.0,
    outstanding: int = 0,
) -> Quota:
    """Tell a ledger of an answer; ``reset`` is when the window ends."""
    at = sent if received is None else received
    reset_in = None if reset is None else reset - at
    limits = RateLimit(limit, remaining, reset_in, None, FINE)
    ledger.observe(limits, sent, at, ServerClock(), outstanding)
    return ledger


def of_kind(kind: str, **state: Any) -> Quota:
    ledger = Quota()
    ledger.kind = kind
    for name, value in state.items():
        setattr(ledger, name, value)
    return ledger


def asked(ledger: Quota, now: float, outstanding: int = 0, **more: Any) -> Admission:
    return ledger.verdict(now, outstanding, more.pop("settles_at", -math.inf), **more)


def held_until(verdict: Admission) -> float:
    """Return when a ledger that says no is to be asked again."""
    assert not verdict.is_open
    return verdict.retry_at
