"""What tests of one limit share: responses in few words, what a limit asks of its scope."""

import math
from typing import Any

from httpx_resilience import Event, ThrottlePolicy
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import Ticket, TicketQueue
from httpx_resilience._core.throttle.admission import Admission, Ending
from httpx_resilience._core.throttle.in_flight import InFlight
from httpx_resilience._core.throttle.limits.closing import Closing
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.quota_set import QuotaSet
from httpx_resilience._core.throttle.reporter import ThrottleReporter

FINE = 0.001
UNIT = 60 / 100 / 0.97
"""Seconds in which about one unit of a hundred a minute comes back."""


def announce(
    remaining: int | None,
    at: float,
    *,
    end: float | None = 60.0,
    limit: int | None = 100,
    **more: Any,
) -> RateLimit:
    """Return a policy as a response at ``at`` announces it, whose window ends at ``end``."""
    reset_in = None if end is None else max(0.0, end - at)
    return RateLimit(limit, remaining, reset_in, **{"granularity": FINE, **more})


def observe(
    quota: Quota,
    remaining: int | None,
    sent: float,
    received: float | None = None,
    *,
    outstanding: int = 0,
    **more: Any,
) -> Quota:
    """Have a quota learn from a response, without latency unless stated; return the quota."""
    at = sent if received is None else received
    quota.observe(announce(remaining, at, **more), sent, at, ServerClock(), outstanding)
    return quota


def ask(quota: Quota, now: float, outstanding: int = 0, **more: Any) -> Admission:
    return quota.admit(now, outstanding, more.pop("settles_at", -math.inf), **more)


def held_until(admission: Admission) -> float:
    """Return when a limit that says no is to be asked again."""
    assert not admission.is_open
    return admission.retry_at


def ending(at: float, *, sent: float | None = None, is_probe: bool = False, **more: Any) -> Ending:
    """Return the end of a request that was admitted when it was sent."""
    ticket = Ticket(0, math.inf, at)
    ticket.granted_at = at if sent is None else sent
    ticket.is_probe = is_probe
    return Ending(ticket, ticket.granted_at, at, **more)


class Parts:
    """What the limits of one scope share."""

    def __init__(self, **policy: Any) -> None:
        self.events: list[Event] = []
        self.clock = ServerClock()
        self.in_flight = InFlight()
        self.queue = TicketQueue()
        self.closing = Closing()
        reporter = ThrottleReporter("https://v.example", "read", 0.1, self.events.append)
        self.quotas = QuotaSet(ThrottlePolicy(**policy), reporter, self.clock, self.in_flight)

    def repeat(self, announced: RateLimit, at: float) -> int:
        """Return what the only policy there is makes of a response; -1 if there is none such."""
        only = self.quotas.only
        if only is None:
            return -1
        return only.repeat(announced, at, at, self.clock.version, self.in_flight.units)

    def learn(self, at: float, *announced: RateLimit) -> QuotaSet:
        self.quotas.learn(announced, at, at)
        return self.quotas
