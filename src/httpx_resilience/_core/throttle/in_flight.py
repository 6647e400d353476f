"""The requests of one scope that are in flight, and those that were abandoned on their way."""

import math
from collections import deque

from .queue import Ticket

ABANDONED = 30.0
"""Seconds for which a request that was abandoned after its send may still be counted; fewer if a
response says what is left to one that was sent so much later that it saw it counted."""


class InFlight:
    """Counts of what was sent and not yet answered.

    Attributes:
        count: Requests in flight: sent, headers not yet received.
        units: What they take of the rate-limit budget, abandoned ones included.
        last_started_at: When the last request went.
        abandoned: Of requests that nobody waits for any more: until when the server may have
            counted each, and its units.
    """

    __slots__ = ("abandoned", "count", "last_started_at", "units")

    def __init__(self) -> None:
        self.count = 0
        self.units = 0
        self.last_started_at = -math.inf
        self.abandoned: deque[tuple[float, int]] = deque()

    @property
    def forgotten_at(self) -> float:
        """When the first of the abandoned requests is counted no more."""
        return self.abandoned[0][0] if self.abandoned else math.inf

    def abandon(self, ticket: Ticket, now: float) -> None:
        """Count a request that was sent and given up: the server may have counted it."""
        self.forget(now)  # where no call is ever held back, nobody else does
        self.abandoned.append((ticket.granted_at + ABANDONED, ticket.cost))
        self.units += ticket.cost

    def forget(self, until: float) -> None:
        """Count no more the abandoned requests that are counted until then."""
        abandoned = self.abandoned
        while abandoned and abandoned[0][0] <= until:
            self.units -= abandoned.popleft()[1]
