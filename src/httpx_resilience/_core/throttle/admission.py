"""What a limit is asked, and what it answers: whether one more request may go."""

import math
from typing import NamedTuple, Protocol

from ..dialect.catalog import ErrorClass
from ..dialect.classify import Failure
from ..headers import RateLimit
from .queue import Ticket

_TROUBLED = (ErrorClass.TRANSIENT, ErrorClass.INTERNAL)
"""Classes of errors that show trouble where the status, of a success, does not."""


class Admission(NamedTuple):
    """Whether one more request may go now.

    Attributes:
        is_open: It may.
        reason: If it may not: why, of ``reasons``.
        retry_at: If it may not: when to ask again, unless a response comes first.
        is_probe: It may, although nothing is known to be left: exactly one at a time.
    """

    is_open: bool
    reason: str = ""
    retry_at: float = math.inf
    is_probe: bool = False


OPEN = Admission(is_open=True)
PROBE = Admission(is_open=True, is_probe=True)


class Ending(NamedTuple):
    """How a request ended, as the limits learn from it.

    Attributes:
        ticket: Of the attempt.
        sent: When its request was sent.
        at: When its headers came, or the exception.
        announced: What its headers say of rate limits.
        failure: What it failed with, or None if it succeeded.
        is_answered: A response came, and not an exception.
        closes: The server said when to come back, so that all calls of the scope wait.
        is_learned: What its headers say was learned already.
    """

    ticket: Ticket
    sent: float
    at: float
    announced: tuple[RateLimit, ...] = ()
    failure: Failure | None = None
    is_answered: bool = True
    closes: bool = False
    is_learned: bool = False

    @property
    def is_success(self) -> bool:
        """Whether it was answered, and did not fail."""
        return self.failure is None and self.is_answered

    @property
    def is_refused(self) -> bool:
        """Whether the server says itself that it limits the rate."""
        return self.failure is not None and self.failure.error_class is ErrorClass.RATE_LIMITED

    @property
    def is_trouble(self) -> bool:
        """Whether the server, or the way to it, is in trouble."""
        failure = self.failure
        if not self.is_answered or failure is None:
            return not self.is_answered
        status = failure.status or 500
        return status >= 500 or (status < 400 and failure.error_class in _TROUBLED)


class Limit(Protocol):
    """Something that may hold a request back. Times are the driver's, in seconds."""

    def admit(self, now: float, cost: int) -> Admission:
        """Return whether one more request, of so many units, may go."""
        ...

    def started(self, now: float, cost: int) -> None:
        """Note that a request went."""
        ...

    def ended(self, ending: Ending) -> None:
        """Learn from how a request ended."""
        ...

    def has_credit(self, now: float) -> bool:
        """Return whether it will hold nothing back before something changes."""
        ...
