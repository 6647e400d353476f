"""What the calls of one transport share, within one event loop: budgets, throttles, clocks."""

import itertools
from collections.abc import Callable
from functools import partial

import httpx

from ._core.budget import RetryBudget
from ._core.catalog import Dialect
from ._core.envelope import told
from ._core.events import Event
from ._core.outcome import Call
from ._core.policy import Policy
from ._core.scopes import RecentMap
from ._core.serverclock import ServerClock
from ._core.throttle import RateLimitStatus, Signature, Throttle, Ticket
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
        "_routes",
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
        self._routes: RecentMap[Throttle] = RecentMap()
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
        who = self._who(request)
        category = self._dialect.requests.category
        if category is not None:
            name = category(call.method, call.path)
            return self._throttles.get(
                (call.origin, who, name), lambda: self._new_throttle(call.origin, who, name)
            )
        return self._routes.get((call.origin, who, call.route), lambda: self._common(call, who))

    def route_of(self, call: Call) -> str:
        """Return what kind of request a call is; empty where the dialect knows the categories."""
        if self._dialect.requests.category is not None:
            return ""
        return f"{call.method} {call.path.split('/', 2)[1] if '/' in call.path else ''}"

    def _who(self, request: httpx.Request) -> str:
        if self._identity is None:
            return identity_of(request)
        return hashed(self._identity(request) or "")

    def _common(self, call: Call, who: str) -> Throttle:
        """Return the throttle of the routes that no bucket of their own is known of."""

        def make() -> Throttle:
            throttle = self._new_throttle(call.origin, who, "")
            throttle.home_of = partial(self._home_of, who)
            return throttle

        return self._throttles.get((call.origin, who, None), make)

    def _home_of(self, who: str, current: Throttle, route: str, signature: Signature) -> Throttle:
        """Return the throttle of the bucket that a response announced, for its route from now."""
        if current.signature is None:
            current.signature = signature
            self._throttles.put((current.origin, who, signature), current)
        if current.signature == signature:
            return current

        def make() -> Throttle:
            throttle = self._new_throttle(current.origin, who, _readable(signature))
            throttle.home_of = partial(self._home_of, who)
            throttle.signature = signature
            return throttle

        home = self._throttles.get((current.origin, who, signature), make)
        self._routes.put((current.origin, who, route), home)
        return home

    def _new_throttle(self, origin: str, who: str, category: str) -> Throttle:
        limits = self._policy.throttle
        if limits is None:
            raise RuntimeError("a throttle was asked for although the policy has none")
        name = f"{category or 'all'}#{who[:4]}" if who else category or "all"
        return Throttle(origin, name, limits, self._clocks.get(origin), self.ready, self._emit)

    def statuses(self, now: float) -> tuple[RateLimitStatus, ...]:
        """Return what is known of every scope, the least recently used first."""
        throttles = {id(throttle): throttle for throttle in self._throttles.values()}
        return tuple(status for throttle in throttles.values() for status in throttle.status(now))

    def wake(self) -> None:
        """Wake whoever waits for the tickets that are ready."""
        for ticket in self.ready:
            if ticket.wake is not None:
                ticket.wake()
        self.ready.clear()


def _readable(signature: Signature) -> str:
    """Return a name for a bucket: what the server calls it, else its limit and window."""
    words = (
        part if isinstance(part, str) else "per".join(f"{n:g}" for n in part if n is not None)
        for part in signature
        if isinstance(part, str | tuple)
    )
    return told(".".join(words)[:64]) or "all"
