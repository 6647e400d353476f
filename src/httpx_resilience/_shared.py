"""What the calls of one transport share, within one event loop: budgets, throttles, clocks."""

import itertools
import random
from collections.abc import Callable, Container, Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

import httpx

from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import told
from ._core.flow import Rules
from ._core.headers import RateLimitReader
from ._core.headers.server_clock import ServerClock
from ._core.lru import LRUMap
from ._core.outcome import Call
from ._core.policy import Policy
from ._core.retry.budget import RetryBudget
from ._core.telemetry.events import Event
from ._core.telemetry.recorder import shown_path
from ._core.throttle import RateLimitStatus, Route, Signature, Throttle, Ticket
from ._identity import hashed, identity_of
from ._request import HeaderScan, Seen, origin_of
from ._waiting import wake
from .dialects.generic import GENERIC

Identity = Callable[[httpx.Request], str | None]


RouteKey = tuple[str, str, str]
"""Origin, identity, and what kind of request it is."""

IDENTITY = "resilience.identity"
"""Key in a request's extensions: who is calling, where the credential is rotated."""


class Spoken(NamedTuple):
    """A dialect, and what reads the headers of its responses and of its requests."""

    dialect: Dialect
    reader: RateLimitReader
    scan: HeaderScan


class Dialects:
    """Which dialect an origin speaks, and what reads its rate-limit headers."""

    __slots__ = ("_by_origin", "_default")

    def __init__(self, given: Dialect | Mapping[str, Dialect]) -> None:
        self._by_origin: dict[str, Spoken] = {}
        if isinstance(given, Mapping):
            for key, dialect in given.items():
                checks.instance(f"dialect[{key!r}]", dialect, Dialect, "a Dialect")
                if key != "*":
                    self._by_origin[_origin(key)] = _spoken(dialect)
            self._default = _spoken(given.get("*", GENERIC))
        else:
            checks.instance("dialect", given, Dialect, "a Dialect, or a map from origin to Dialect")
            self._default = _spoken(given)

    def __str__(self) -> str:
        return "+".join(sorted({dialect.name for dialect in self.all()}))

    def of(self, origin: str) -> Spoken:
        """Return an origin's dialect, and what reads it."""
        return self._by_origin.get(origin, self._default)

    def all(self) -> tuple[Dialect, ...]:
        """Return every dialect that may be spoken."""
        return (*(spoken.dialect for spoken in self._by_origin.values()), self._default.dialect)


def _spoken(dialect: Dialect) -> Spoken:
    return Spoken(dialect, RateLimitReader(dialect.rate_limits), HeaderScan(dialect))


def _origin(key: str) -> str:
    url = httpx.URL(key)
    if not url.is_absolute_url or url.raw_path not in (b"/", b"") or url.userinfo:
        raise ValueError(
            f"dialect[{key!r}]: allowed is an origin such as 'https://vault.example', or '*'"
        )
    return origin_of(url)


class Road:
    """What all calls to one origin go by that bring nothing of their own."""

    __slots__ = ("__weakref__", "budget", "origin", "rules", "spoken")

    def __init__(
        self, origin: str, spoken: Spoken, policy: Policy, budget: RetryBudget | None
    ) -> None:
        self.origin = origin
        self.spoken = spoken
        self.budget = budget
        self.rules = rules_of(policy, spoken)


def rules_of(policy: Policy | None, spoken: Spoken, recover: Container[str] = ()) -> Rules:
    """Return what a call goes by."""
    return Rules(policy, spoken.dialect, spoken.reader, random.random, recover)


class SharedState:
    """Bounded, per origin or scope; made anew for each event loop, whose clock starts anywhere."""

    __slots__ = (
        "_budget",
        "_budgets",
        "_clocks",
        "_dialects",
        "_emit",
        "_identity",
        "_last_road",
        "_last_scope",
        "_latest",
        "_policy",
        "_roads",
        "_routes",
        "_throttles",
        "arrivals",
        "ready",
        "under_way",
        "waiting",
    )

    def __init__(
        self,
        dialects: Dialects,
        policy: Policy,
        budget: RetryBudget | None,
        identity: Identity | None,
        emit: Callable[[Event], None],
    ) -> None:
        self._dialects = dialects
        self._policy = policy
        self._budget = budget
        self._identity = identity
        self._latest: tuple[bytes | None, bytes | None, str] = None, None, ""
        self._emit = emit
        self._roads: LRUMap[Road] = LRUMap()
        self._last_road: tuple[Hashable, Road | None] = None, None
        self._budgets: LRUMap[RetryBudget] = LRUMap()
        self._clocks: LRUMap[ServerClock] = LRUMap(ServerClock)
        self._throttles: LRUMap[Throttle] = LRUMap()
        self._last_scope: tuple[Hashable, Throttle | None] = None, None
        self._routes: LRUMap[Route] = LRUMap()
        self.arrivals = itertools.count()
        self.ready: list[Ticket] = []
        self.under_way = 0
        self.waiting: set[Any] = set()

    def road_to(self, key: Hashable, url: httpx.URL) -> Road:
        """Return what a call to a URL goes by; ``key`` tells its origin from others."""
        last, road = self._last_road
        if road is not None and key == last:  # a client's calls mostly go one way
            return road
        road = self._roads.find(key)
        if road is None:
            origin = origin_of(url)
            budget = self.budget_of(origin, self._policy)
            road = Road(origin, self._dialects.of(origin), self._policy, budget)
            self._roads.put(key, road)
        self._last_road = key, road
        return road

    def budget_of(self, origin: str, policy: Policy | None) -> RetryBudget | None:
        """Return the retry budget that a call draws on; None for none."""
        if policy is None or policy.budget is None:
            return None
        if self._budget is not None:
            return self._budget
        return self._budgets.get((origin, policy.budget), partial(RetryBudget, policy.budget))

    def throttle_of(
        self, request: httpx.Request, call: Call, dialect: Dialect, seen: Seen
    ) -> Throttle | Route | None:
        """Return the throttle of a call's scope: origin, identity, category; None for none.

        Where a dialect names no category, that is the route: its throttle is learned.
        """
        if self._policy.throttle is None:
            return None
        name = request.extensions.get(IDENTITY)
        if name is None and self._identity is None:
            authorization, api_key, who = self._latest
            if seen[0] != authorization or seen[1] != api_key:  # a client's calls bear the same
                authorization, api_key, _, _ = seen
                who = identity_of(authorization, api_key)
                self._latest = authorization, api_key, who
        else:
            who = self._named(request, name, seen)
        rules = dialect.requests
        if rules.category is not None:
            category: str | None = rules.category(call.method, call.path)
        else:
            category = rules.category_of(call.method, call.path)
        if category is not None:
            scope = (call.origin, who, category)
            if scope == self._last_scope[0]:
                return self._last_scope[1]
            throttle = self._throttles.find(scope) or self._new_scope(scope, call, dialect)
            self._last_scope = scope, throttle
            return throttle
        key = (call.origin, who, route_of(call.method, call.path))
        return self._routes.find(key) or self._new_route(key, call)

    def _new_scope(self, scope: tuple[str, str, str], call: Call, dialect: Dialect) -> Throttle:
        # A category may be a segment of the path: it is told as that of the redacted one.
        told = dialect.requests.category_of(call.method, shown_path(call)) or ""
        return self._throttles.get(scope, partial(self._new_throttle, *scope[:2], told))

    def _named(self, request: httpx.Request, name: object, seen: Seen) -> str:
        """Return who is calling, where somebody says so."""
        if self._identity is not None:
            return hashed((self._identity(request) or "").encode())
        if isinstance(name, str):
            return hashed(name.encode())
        return identity_of(seen.authorization, seen.api_key)

    def _new_route(self, key: RouteKey, call: Call) -> Route:
        # As a category, a segment of the path is told as that of the redacted one.
        name = told(route_of(call.method, shown_path(call)).replace(" ", ":")) or "all"
        return self._routes.get(key, lambda: Route(key, name, self._unlearned(key, name)))

    def _unlearned(self, key: RouteKey, name: str) -> Throttle:
        """Return the throttle of a route whose bucket is not known.

        One for all of them, until a server is seen to announce buckets: then each route has to
        learn which is its own, by a cold start, before what is known of another may admit it.
        """
        origin, who, _ = key
        common = self._throttles.get((origin, who, None), lambda: self._learning(origin, who, ""))
        return common if common.signature is None else self._learning(origin, who, name)

    def _learning(self, origin: str, who: str, name: str) -> Throttle:
        throttle = self._new_throttle(origin, who, name)
        throttle.resolve_bucket = self._resolve_bucket
        return throttle

    def _resolve_bucket(
        self, current: Throttle, route: Route, signature: Signature, now: float
    ) -> Throttle:
        """Return the throttle of the bucket that a response announced; its route goes by it now."""
        if current.signature == signature and route.throttle is current:
            return current
        origin, who, _ = route.key
        bucket = (origin, who, signature)
        home = self._throttles.find(bucket)
        if home is None:
            home = self._adopt(current, route, signature, now)
            self._throttles.put(bucket, home)
        if route.throttle is not home:
            route.move(home, now)
        return home

    def _adopt(self, current: Throttle, route: Route, signature: Signature, now: float) -> Throttle:
        """Return the throttle of a bucket that was not known before."""
        origin, who, _ = route.key
        name = _readable(signature)
        if current.signature is None and route.throttle is current:
            current.signature = signature
            if current is not self._throttles.find((origin, who, None)):
                current.rename(self._named_scope(who, name))
            for other in current.waiting_routes():
                if other is not route:
                    other.move(self._learning(origin, who, other.name), now)
            return current
        home = self._learning(origin, who, name)
        home.signature = signature
        return home

    def _new_throttle(self, origin: str, who: str, category: str) -> Throttle:
        limits = self._policy.throttle
        if limits is None:
            raise RuntimeError("a throttle was asked for although the policy has none")
        name = self._named_scope(who, category)
        return Throttle(origin, name, limits, self._clocks.get(origin), self.ready, self._emit)

    @staticmethod
    def _named_scope(who: str, category: str) -> str:
        return f"{category or 'all'}#{who[:4]}" if who else category or "all"

    def statuses(self, now: float) -> tuple[RateLimitStatus, ...]:
        """Return what is known of every scope, the least recently used first."""
        routed = (route.throttle for route in self._routes.values())
        unlearned = (throttle for throttle in routed if throttle.signature is None)
        throttles = {id(throttle): throttle for throttle in (*self._throttles.values(), *unlearned)}
        return tuple(status for throttle in throttles.values() for status in throttle.status(now))

    def wake(self) -> None:
        """Wake whoever waits for the tickets that are ready."""
        for ticket in self.ready:
            if ticket.wake is not None:
                wake(ticket.wake)
        self.ready.clear()

    def wake_all(self) -> None:
        """Wake whoever waits, for the throttle or between two attempts."""
        for place in tuple(self.waiting):
            wake(place)


def route_of(method: str, path: str) -> str:
    """Return what kind of request a call is: its method and the first segment of its path."""
    return f"{method} {path.lstrip('/').partition('/')[0]}"


def _readable(signature: Signature) -> str:
    """Return a name for a bucket: what the server calls it, else its limit and window."""
    words = (
        part if isinstance(part, str) else "per".join(f"{n:g}" for n in part if n is not None)
        for part in signature
        if isinstance(part, str | tuple)
    )
    return told(".".join(words)[:64]) or "all"
