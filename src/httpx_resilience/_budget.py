"""The retry budget as users share it: on a clock that all threads and event loops agree on."""

import threading
import time

from ._core.policy import BudgetPolicy
from ._core.retry import budget
from ._runtime.fork import renew_in_children


class RetryBudget(budget.RetryBudget):
    """A retry budget to hand to several transports, in several threads.

    Args:
        policy: The numbers; the defaults if left out.

    >>> shared = RetryBudget(BudgetPolicy(floor=5.0))
    >>> shared.balance()
    5.0
    """

    __slots__ = ()

    def __init__(self, policy: BudgetPolicy | None = None) -> None:
        super().__init__(policy, clock=time.monotonic)
        renew_in_children(self)

    def renew(self) -> None:
        """Make the lock anew in the child of a fork: a thread that is gone may have held it."""
        self._lock = threading.Lock()

    def balance(self, now: float = 0.0) -> float:
        """Return the tokens that a retry could draw on now."""
        return super().balance(now)
