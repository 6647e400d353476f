"""What one call knows of itself on its way: all that decisions read."""

import math
from collections.abc import Callable, Container
from typing import NamedTuple

from .dialect.catalog import ErrorClass
from .dialect.classify import Failure
from .dialect.dialect import Dialect
from .headers import RateLimitReader
from .outcome import Call, Outcome
from .policy import Policy, RetryPolicy
from .retry.decision import is_repeatable

DISABLED = Policy(retry=RetryPolicy(max_attempts=1), budget=None, throttle=None, park=None)
"""The numbers for a call without a policy; it is sent once, and counted."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, section 9.2.1), so that nothing can be half applied."""


class Rules(NamedTuple):
    """What a call goes by.

    Attributes:
        policy: None for a call that is sent without wait or retry.
        dialect: How the API speaks.
        reader: Reads its rate-limit headers.
        rand: Uniform random numbers in [0, 1).
        recover: Error codes that there are hooks for.
        is_default_dialect: The user named no dialect.
    """

    policy: Policy | None
    dialect: Dialect
    reader: RateLimitReader
    rand: Callable[[], float]
    recover: Container[str] = ()
    is_default_dialect: bool = False


class CallState:
    """One call's state. Times are the driver's, in seconds.

    Attributes:
        call: What arrived, or what a recovery hook made of it.
        attempt: Number of the attempt that is made, or was made last; from 1.
        first_sent: When the call was sent first; 0 before.
        give_up_at: When ``retry_for`` or the deadline ends; never, before the first failure.
        deadline_at: When the deadline ends; never, if there is none.
        waited: Seconds that the call has waited for the rate limit.
        parked: Seconds that the call has been parked.
        maybe_applied: The server may have carried out a change that an attempt asked for.
        outcome: Of the last attempt that failed.
        failure: What it failed with.
    """

    # What most calls never change stands here, so that none of it is set for each of them.
    attempt = 1
    first_sent = 0.0
    give_up_at = deadline_at = math.inf
    waited = parked = 0.0
    maybe_applied = False
    outcome: Outcome | None = None
    failure: Failure | None = None
    _repeatable: bool | None = None
    _of_class: dict[ErrorClass, int] | None = None

    def __init__(self, call: Call, rules: Rules) -> None:
        self.call = call
        self.rules = rules
        self.policy = rules.policy or DISABLED

    @property
    def max_attempts(self) -> int:
        """Attempts that the call may have in all."""
        return self.policy.retry.max_attempts

    @property
    def repeatable(self) -> bool:
        """Whether repeating is safe, whatever the server did with the last attempt."""
        known = self._repeatable
        if known is None:
            known = is_repeatable(self.call, self.rules.dialect, self.policy.retry)
            self._repeatable = known
        return known

    def time_left(self, now: float) -> float:
        """Return the seconds until ``retry_for`` or the deadline ends."""
        return max(0.0, self.give_up_at - now)

    def sent_first(self, at: float) -> None:
        """Note when the call was sent first; only a call that goes on needs to know it."""
        self.first_sent = at
        self.give_up_at = min(at + self.policy.retry.retry_for, self.deadline_at)

    def stop_clock(self, seconds: float) -> None:
        """Count seconds that the call waits for the rate limit: ``retry_for`` stands still.

        They are bounded by ``max_wait`` instead, all together, from the call's arrival on.
        """
        self.waited += seconds
        if self.give_up_at < math.inf:  # it has been sent
            self.give_up_at = min(self.give_up_at + seconds, self.deadline_at)

    def failed(self, outcome: Outcome, failure: Failure) -> None:
        """Note what an attempt failed with."""
        self.outcome, self.failure = outcome, failure
        if failure.perhaps_processed and self.call.method not in _SAFE_METHODS:
            self.maybe_applied = True

    def count_class(self, error_class: ErrorClass) -> int:
        """Count a failure; return how many attempts of this call have failed with its class."""
        counts = self._of_class = self._of_class or {}
        counts[error_class] = counts.get(error_class, 0) + 1
        return counts[error_class]

    def replace_call(self, call: Call) -> None:
        """Go on with the request that a recovery hook made."""
        self.call = call
        self._repeatable = None
