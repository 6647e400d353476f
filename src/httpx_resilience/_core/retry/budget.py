"""The retry budget: at most a tenth of the last minute's successes is spent on futile retries.

Rules, each from a simulation beside a dozen engines:

1. Deposit on success, never on send and never by time: a time refill times a fleet of clients
   keeps an overloaded server down.
2. A retry that succeeds gets its cost back: only unproductive retries drain.
3. The cap follows the client's own traffic: a fixed one does not protect a server from many
   small clients.
4. Tokens above a falling cap are kept: what was earned before an outage bridges its first second.
"""

import math
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from ..outcome import Command
from ..policy import BudgetPolicy

_TAU = 10.0
"""Seconds over which the rate of first-attempt successes is averaged, exponentially."""

_BATCH = 0.01
"""Seconds for which successes are merely counted, and put down together: a thousandth of what the
rate is averaged over. Whoever asks for tokens has them put down first."""

_EPSILON = 1e-9
"""Ten deposits of 0.1 pay for one retry, whatever binary fractions make of them."""


_ASK_AGAIN = 0.1
"""Seconds until a store that granted nothing is asked again."""


class Fleet(Protocol):
    """What is known of the processes that share a floor."""

    @property
    def processes(self) -> int:
        """How many there are."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether the store that they share it by is away."""
        ...


class RetryBudget:
    """Tokens for retries of one origin, shared by all its calls, safe to use from many threads.

    Args:
        policy: The numbers.
        clock: A source of seconds that is used instead of the callers' ``now``, for budgets that
            are shared by event loops whose clocks differ.

    >>> budget = RetryBudget(BudgetPolicy(floor=1.0))
    >>> budget.withdraw(1.0, now=0.0), budget.withdraw(1.0, now=0.0)
    (True, False)
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_earned",
        "_failed_at",
        "_lock",
        "_rate",
        "_rate_at",
        "_tokens",
        "policy",
    )

    def __init__(
        self, policy: BudgetPolicy | None = None, *, clock: Callable[[], float] | None = None
    ) -> None:
        self.policy = policy or BudgetPolicy()
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = self.policy.floor
        self._rate = 0.0
        self._rate_at = -math.inf
        self._earned = 0
        self._failed_at = -math.inf

    def __repr__(self) -> str:
        return f"<RetryBudget tokens={self._tokens:.2f} {self.policy!r}>"

    def deposit(self, now: float) -> None:
        """Count a first attempt that succeeded."""
        with self._lock:
            if self._clock is not None:
                now = self._clock()
            self._earned += 1
            if now - self._rate_at >= _BATCH:
                self._settle(now)

    def fail(self, now: float) -> None:
        """Count a failed attempt: healing starts over."""
        with self._lock:
            now = now if self._clock is None else self._clock()
            self._settle(now)
            self._failed_at = now

    def withdraw(self, cost: float, now: float) -> bool:
        """Take the cost of a retry, or refuse and take nothing."""
        with self._lock:
            now = now if self._clock is None else self._clock()
            self._settle(now)
            self._failed_at = now  # who wants to retry has failed
            if self._tokens < cost - _EPSILON:
                return False
            self._tokens = max(0.0, self._tokens - cost)
            return True

    def refund(self, cost: float, now: float) -> None:
        """Give back the cost of a retry that succeeded, or that was cancelled."""
        with self._lock:
            now = now if self._clock is None else self._clock()
            self._settle(now)
            self._add(cost, self._rate_now(now))

    @property
    def tokens(self) -> float:
        """What ``balance`` said or would have said when the budget was last drawn on or paid."""
        return self._tokens

    @property
    def rate(self) -> float:
        """First attempts that succeeded per second, as of the last of them."""
        return self._rate

    def balance(self, now: float) -> float:
        """Return the tokens that a retry could draw on now."""
        with self._lock:
            self._settle(now if self._clock is None else self._clock())
            return self._tokens

    def _rate_now(self, now: float) -> float:
        return self._rate * math.exp(min(0.0, self._rate_at - now) / _TAU)

    def _put_down(self, earned: int, before: float) -> None:
        """Add what so many successes earned to the rate and, one by one, to the tokens."""
        self._rate = before + earned / _TAU
        ratio, tokens = self.policy.ratio, self._tokens
        if tokens >= self._cap(self._rate):
            return
        for nth in range(1, earned + 1):
            cap, rest = self._cap(before + nth / _TAU), ratio * (earned + 1 - nth)
            if tokens + rest <= cap:  # as it rises, it bounds none of those to come
                tokens += rest
                break
            tokens = max(tokens, min(tokens + ratio, cap))
        self._tokens = tokens

    def _cap(self, rate: float) -> float:
        p = self.policy
        return min(p.maximum, max(p.floor, p.ratio * p.window * rate))

    def _add(self, tokens: float, rate: float) -> None:
        self._tokens = max(self._tokens, min(self._tokens + tokens, self._cap(rate)))

    def _settle(self, now: float) -> None:
        """Put down what was earned since it was last done, and heal."""
        if self._earned:
            self._put_down(self._earned, self._rate_now(now))
            self._rate_at = now
            self._earned = 0
        if self._tokens < self.policy.floor and now - self._failed_at >= self.policy.heal_after:
            self._heal()

    def _heal(self) -> None:
        self._tokens = self.policy.floor


class FleetBudget(RetryBudget):
    """The retry budget of one process of a fleet, whose floor is one for all.

    What a process's own successes earn is its own. The floor is in the store that they share: a
    retry that is not covered has it asked for as much as is lacking. While the store is away, the
    process has its part of a floor.

    Args:
        policy: The numbers.
        key: Names the floor in the store.
        leasing: Asks the store for the process.
    """

    __slots__ = ("_ask_again_at", "_granted_at", "_key", "_leasing")

    def __init__(self, policy: BudgetPolicy, key: str, leasing: Fleet) -> None:
        super().__init__(policy)
        self._key = key
        self._leasing = leasing
        self._tokens = 0.0
        self._ask_again_at = self._granted_at = -math.inf

    def question(self, cost: float, now: float) -> Command | None:
        """Return what the store is to be asked before a retry of some cost; None for nothing."""
        lacking = cost - self.balance(now)
        if lacking <= _EPSILON or now < self._ask_again_at:
            return None
        if self._leasing.is_lost:
            self._grant_part(now)
            return None
        args = self.policy.floor, round(1000 * self.policy.heal_after), round(lacking, 6)
        return Command("floor", self._key, args)

    def answered(self, words: Sequence[str] | None, now: float) -> None:
        """Take what the store answered; None if it did not."""
        try:
            granted = math.nan if words is None else float(words[0])
        except (ValueError, IndexError):
            granted = math.nan
        if not 0.0 <= granted <= self.policy.floor:
            self._grant_part(now)
            return
        if not granted:
            self._ask_again_at = now + _ASK_AGAIN
        with self._lock:
            self._tokens += granted

    def _grant_part(self, now: float) -> None:
        with self._lock:
            if now - self._granted_at >= self.policy.heal_after:
                self._tokens += self.policy.floor / self._leasing.processes
                self._granted_at = now

    def _heal(self) -> None:
        """Leave it to the store."""
