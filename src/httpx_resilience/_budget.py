"""The retry budget as users share it: on a clock that all threads and event loops agree on."""

import threading
import time

from ._core.policy import BudgetPolicy
from ._core.retry import budget
from ._runtime.fork import reset_in_children


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
        reset_in_children(self._reset_lock)

    def _reset_lock(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def balance(self, now: float = 0.0) -> float:
        """Return the tokens that a retry could draw on now."""
        return super().balance(now)
