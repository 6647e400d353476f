"""A scope that the server has closed: it said when to come back, and nothing goes before."""

import math

from ..admission import ANYONE, OPEN, Admission, Ending
from ..queue import Ticket
from ..reasons import SERVER_HINT
from .windows import GUARD, LONGEST


class Closing:
    """Until when a scope is closed.

    Attributes:
        until: By any hint.
        troubled_until: By the hints of a server in trouble, and not of its rate limit.
    """

    __slots__ = ("troubled_until", "until")

    def __init__(self) -> None:
        self.until = self.troubled_until = -math.inf

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        """Return whether it is open."""
        return OPEN if now >= self.until else Admission(False, SERVER_HINT, self.until)

    def started(self, now: float, cost: int) -> None:
        """Note nothing."""

    def ended(self, ending: Ending) -> None:
        """Close, if the server says so; the longest closing counts."""
        failure = ending.failure
        if not ending.closes or failure is None or failure.wait is None:
            return
        until = ending.at + min(failure.wait.seconds, LONGEST) + GUARD
        self.until = max(self.until, until)
        if not ending.is_refused:
            self.troubled_until = max(self.troubled_until, until)

    def has_credit(self, now: float) -> bool:
        """Return whether it is open."""
        return now >= self.until
