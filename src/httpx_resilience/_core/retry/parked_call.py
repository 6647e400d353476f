"""A retry that waits for its origin to recover: how long, what it costs, what became of it."""

from collections.abc import Callable
from typing import Any

from ..policy import ParkPolicy
from .budget import RetryBudget

PARKED, RELEASED, EXPIRED, LEFT = range(4)

PAID, RELEASE, PROBE = "backoff", "release", "probe"
"""How a retry came to be sent: paid for when its backoff was over, released by successes, or to
find out whether the origin is back."""

UNAVAILABLE, BUDGET = "unavailable", "budget"
"""Why a retry parks."""


class ParkedCall:
    """One failed call, from the end of its backoff until its retry has come back.

    Attributes:
        failed_at: When an attempt of it failed first, not counting waits that the server asked for.
        give_up_at: When its time ends, whatever happens.
        cost: Tokens of the budget that its retry costs.
        budget: The retry budget that it draws on.
        policy: How long it waits.
        attempts: How many it has made.
        last: Whether it has only one left.
        is_paced: Whether the throttle keeps its scope to a rate that the server bears.
        may_go: Whether the server lets its scope send at a time.
        may_probe: Whether it would be sent at once.
        state: PARKED, RELEASED, EXPIRED or LEFT.
        source: How its retry came to be sent.
        reason: Why it was parked.
        parked_at: When, or None if it was not.
        paid: Tokens that its retry took.
        wake: The driver's own: by what it wakes whoever waits.
    """

    __slots__ = (
        "attempts",
        "budget",
        "cost",
        "failed_at",
        "give_up_at",
        "is_paced",
        "last",
        "may_go",
        "may_probe",
        "number",
        "paid",
        "parked_at",
        "policy",
        "reason",
        "source",
        "state",
        "wake",
    )

    def __init__(
        self,
        *,
        failed_at: float,
        give_up_at: float,
        cost: float,
        budget: RetryBudget,
        policy: ParkPolicy,
        attempts: int,
        last: bool,
        is_paced: Callable[[], bool],
        may_go: Callable[[float], bool],
        may_probe: Callable[[float], bool],
    ) -> None:
        self.failed_at = failed_at
        self.give_up_at = give_up_at
        self.cost = cost
        self.budget = budget
        self.policy = policy
        self.attempts = attempts
        self.last = last
        self.is_paced = is_paced
        self.may_go = may_go
        self.may_probe = may_probe
        self.number = 0
        self.state = EXPIRED
        self.source = PAID
        self.reason = UNAVAILABLE
        self.parked_at: float | None = None
        self.paid = 0.0
        self.wake: Any = None

    def __repr__(self) -> str:
        state = ("parked", "released", "expired", "left")[self.state]
        return f"<ParkedCall {self.number} {state}>"
