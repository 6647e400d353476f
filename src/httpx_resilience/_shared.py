"""What the calls of one transport share, within one event loop: budgets, throttles, clocks."""

import itertools
from collections.abc import Callable
from functools import partial

import httpx

from ._core.budget import RetryBudget
from ._core.catalog import Dialect
from ._core.events import Event
from ._core.outcome import Call
from ._core.policy import Policy
from ._core.scopes import RecentMap
from ._core.serverclock import ServerClock
from ._core.throttle import Throttle, Ticket
from ._identity import hashed, identity_of

Identity = Callable[[httpx.Request], str | None]


class SharedState:
    """Bounded, per origin or scope; made anew for each event loop, whose clock starts anywhere."""

    __slots__ = (
        "_budget",
        "_budgets",
        "_clocks",
        "_dialect",
        "_emit",
        "_identity",
        "_policy",
        "_throttles",
        "arrivals",
        "ready",
    )

    def __init__(
        self,
        policy: Policy,
        dialect: Dialect,
        budget: RetryBudget | None,
        identity: Identity | None,
        emit: Callable[[Event], None],
    ) -> None:
        self._policy = policy
        self._dialect = dialect
        self._budget = budget
        self._identity = identity
        self._emit = emit
        self._budgets: RecentMap[RetryBudget] = RecentMap(partial(RetryBudget, policy.budget))
        self._clocks: RecentMap[ServerClock] = RecentMap(ServerClock)
        self._throttles: RecentMap[Throttle] = RecentMap()
        self.arrivals = itertools.count()
        self.ready: list[Ticket] = []

    def budget_of(self, call: Call, policy: Policy | None) -> RetryBudget | None:
        """Return the retry budget that a call draws on; None for none."""
        if policy is None or policy.budget is None:
            return None
        if self._budget is not None:
            return self._budget
        if policy.budget is self._policy.budget or policy.budget == self._policy.budget:
            return self._budgets.get(call.origin)
        return self._budgets.get((call.origin, policy.budget), partial(RetryBudget, policy.budget))

    def throttle_of(self, request: httpx.Request, call: Call) -> Throttle | None:
        """Return the throttle of a call's scope: origin, identity, category; None for none."""
        if self._policy.throttle is None:
            return None
        category = self._dialect.requests.category(call.method, call.path)
        if self._identity is None:
            who = identity_of(request)
        else:
            who = hashed(self._identity(request) or "")
        key = (call.origin, who, category)
        return self._throttles.get(key, lambda: self._new_throttle(*key))

    def _new_throttle(self, origin: str, who: str, category: str) -> Throttle:
        assert self._policy.throttle is not None  # noqa: S101 - throttle_of looked
        name = f"{category or 'all'}#{who[:4]}" if who else category or "all"
        clock = self._clocks.get(origin)
        return Throttle(origin, name, self._policy.throttle, clock, self.ready, self._emit)

    def wake(self) -> None:
        """Wake whoever waits for the tickets that are ready."""
        for ticket in self.ready:
            if ticket.wake is not None:
                ticket.wake()
        self.ready.clear()
