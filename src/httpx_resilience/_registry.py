"""What the calls of one transport share, within one event loop: budgets, throttles, clocks.

A synchronous transport's share it within one process, under a lock.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Container, Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ._core import checks
from ._core.call_state import Rules
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import safe_token
from ._core.headers import RateLimitReader
from ._core.headers.server_clock import ServerClock
from ._core.lru import LRUMap
from ._core.outcome import Call
from ._core.policy import BudgetPolicy, Policy, ThrottlePolicy
from ._core.retry.budget import FleetBudget, RetryBudget
from ._core.retry.origin_status import OriginStatus, origin_status
from ._core.retry.parking import Parking
from ._core.telemetry.events import Event
from ._core.telemetry.recorder import shown_path
from ._core.telemetry.traffic import TrafficMeter
from ._core.throttle import (
    FLOOR,
    Buckets,
    LeasedThrottle,
    Leasing,
    Names,
    OriginConcurrency,
    Peers,
    RateLimitStatus,
    Route,
    Throttle,
)
from ._http.identity import hashed, identity_of
from ._http.requests import RequestHeaderReader, RequestHeaders, origin_of
from .dialects.generic import GENERIC
from .dialects.scaivault import DEFAULT_DIALECT

if TYPE_CHECKING:
    from ._http import typed as http

Identity = Callable[[Any], str | None]
"""Says of a request who is calling."""

IDENTITY = "resilience.identity"
"""Key in a request's extensions: who is calling, where the credential is rotated."""


class DialectRuntime(NamedTuple):
    """A dialect, and what reads the headers of its responses and of its requests.

    Attributes:
        dialect: How the API speaks.
        reader: Reads the rate-limit headers of its responses.
        scan: Reads the headers of requests to it.
        is_default: The user named no dialect.
        looks_at_successes: Their bodies may hold errors, or say what the request took.
    """

    dialect: Dialect
    reader: RateLimitReader
    scan: RequestHeaderReader
    is_default: bool = False
    looks_at_successes: bool = False


class Dialects:
    """Which dialect an origin speaks, and what reads its rate-limit headers."""

    __slots__ = ("_by_origin", "_default")

    def __init__(self, given: Dialect | Mapping[str, Dialect], url: type[http.URL]) -> None:
        self._by_origin: dict[str, DialectRuntime] = {}
        if isinstance(given, Mapping):
            for key, dialect in given.items():
                checks.instance(f"dialect[{key!r}]", dialect, Dialect, "a Dialect")
                if key != "*":
                    self._by_origin[_origin(url(key), key)] = _runtime_of(dialect)
            self._default = _runtime_of(given.get("*", GENERIC))
        else:
            checks.instance("dialect", given, Dialect, "a Dialect, or a map from origin to Dialect")
            self._default = _runtime_of(given)

    def __str__(self) -> str:
        return "+".join(sorted({dialect.name for dialect in self.all()}))

    def of(self, origin: str) -> DialectRuntime:
        """Return an origin's dialect, and what reads it."""
        return self._by_origin.get(origin, self._default)

    def all(self) -> tuple[Dialect, ...]:
        """Return every dialect that may be spoken."""
        return (*(known.dialect for known in self._by_origin.values()), self._default.dialect)


def _runtime_of(dialect: Dialect) -> DialectRuntime:
    reader, scan = RateLimitReader(dialect.rate_limits), RequestHeaderReader(dialect)
    is_default = dialect is DEFAULT_DIALECT
    looks = dialect.envelope.errors_in_success or bool(dialect.requests.usage)
    return DialectRuntime(dialect, reader, scan, is_default, looks)


def _origin(url: http.URL, key: str) -> str:
    if not url.is_absolute_url or url.raw_path not in (b"/", b"") or url.userinfo:
        raise ValueError(
            f"dialect[{key!r}]: allowed is an origin such as 'https://vault.example', or '*'"
        )
    return origin_of(url)


class OriginConfig:
    """What all calls to one origin go by that bring nothing of their own."""

    __slots__ = ("__weakref__", "budget", "origin", "parking", "rules", "runtime", "traffic")

    def __init__(
        self,
        origin: str,
        runtime: DialectRuntime,
        policy: Policy,
        budget: RetryBudget | None,
        traffic: TrafficMeter,
        parking: Parking | None,
    ) -> None:
        self.origin = origin
        self.runtime = runtime
        self.budget = budget
        self.rules = rules_of(policy, runtime)
        self.traffic = traffic
        self.parking = parking


def rules_of(policy: Policy | None, runtime: DialectRuntime, recover: Container[str] = ()) -> Rules:
    """Return what a call goes by."""
    dialect, reader, is_default = runtime.dialect, runtime.reader, runtime.is_default
    return Rules(policy, dialect, reader, random.random, recover, is_default)


class Registry:
    """What calls share: bounded, per origin or scope.

    Made afresh for each event loop, whose clock starts anywhere.

    Attributes:
        arrivals: Numbers the calls as they come.
        under_way: The flows of calls that have begun and not ended.
        waiting: What the calls wait for that wait.
    """

    __slots__ = (
        "_budget",
        "_budgets",
        "_clocks",
        "_concurrencies",
        "_configs",
        "_dialects",
        "_emit",
        "_hashed",
        "_identity",
        "_last_config",
        "_last_identity",
        "_last_scope",
        "_leasing",
        "_parkings",
        "_peers",
        "_policy",
        "_routes",
        "_store",
        "_throttles",
        "arrivals",
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
        store: Names | None = None,
        peers: int = 1,
    ) -> None:
        self._store = store
        self._peers = peers
        self._hashed = hashed if store is None else store.hashed
        self._leasing = None
        if store is not None:
            self._leasing = Leasing(store, os.urandom(8).hex(), emit, peers)
        self._dialects = dialects
        self._policy = policy
        self._budget = budget
        self._identity = identity
        self._last_identity: tuple[tuple[bytes | None, bytes | None], str] = (None, None), ""
        self._emit = emit
        self._configs: LRUMap[OriginConfig] = LRUMap()
        self._last_config: tuple[Hashable, OriginConfig | None] = None, None
        self._budgets: LRUMap[RetryBudget] = LRUMap()
        self._parkings: LRUMap[Parking] = LRUMap()
        self._clocks: LRUMap[ServerClock] = LRUMap(ServerClock)
        self._concurrencies: LRUMap[OriginConcurrency] = LRUMap()
        self._throttles: LRUMap[Throttle] = LRUMap()
        self._last_scope: tuple[Hashable, Throttle | None] = None, None
        self._routes: LRUMap[Route] = LRUMap()
        self.arrivals = itertools.count()
        self.under_way: set[object] = set()
        self.waiting: set[Any] = set()

    def config_for(self, key: Hashable, url: http.URL) -> OriginConfig:
        """Return what a call to a URL goes by; ``key`` is its origin's."""
        last, config = self._last_config
        if config is not None and key == last:  # a client's calls mostly go one way
            return config
        config = self._configs.find(key)
        if config is None:
            origin = origin_of(url)
            config = OriginConfig(
                origin,
                self._dialects.of(origin),
                self._policy,
                self.budget_of(origin, self._policy),
                TrafficMeter(origin, self._emit),
                self.parking_of(origin, self._policy),
            )
            self._configs.put(key, config)
        self._last_config = key, config
        return config

    def budget_of(self, origin: str, policy: Policy | None) -> RetryBudget | None:
        """Return the retry budget that a call draws on; None for none."""
        if policy is None or policy.budget is None:
            return None
        if self._budget is not None:
            return self._budget
        key, make = (origin, policy.budget), partial(self._new_budget, origin, policy.budget)
        return self._budgets.get(key, make)

    def _new_budget(self, origin: str, policy: BudgetPolicy) -> RetryBudget:
        if self._leasing is None:
            return RetryBudget(policy)
        key = self._leasing.names.key(FLOOR, origin)
        return FleetBudget(policy, key, self._leasing)

    def parking_of(self, origin: str, policy: Policy | None) -> Parking | None:
        """Return the parked calls of an origin; None where neither this call nor others park."""
        if all(p is None or p.park is None or p.budget is None for p in (policy, self._policy)):
            return None
        return self._parkings.get(origin, lambda: Parking(origin, random.random, self._emit))

    def throttle_of(
        self, request: http.Request, call: Call, dialect: Dialect, seen: RequestHeaders
    ) -> Throttle | Route | None:
        """Return the throttle of a call's scope: origin, identity, category; None for none.

        Where a dialect names no category, that is the route: its throttle is learned.
        """
        if self._policy.throttle is None:
            return None
        name = request.extensions.get(IDENTITY)
        if name is None and self._identity is None:
            credentials, who = self._last_identity
            if seen[:2] != credentials:  # a client's calls bear the same
                credentials = seen.authorization, seen.api_key
                who = identity_of(*credentials, self._hashed)
                self._last_identity = credentials, who
        else:
            who = self._named(request, name, seen)
        rules = dialect.requests
        if rules.category is not None:
            category: str | None = rules.category(call.method, call.path)
        else:
            category = call.category
        if category is not None:
            scope, (last, throttle) = (call.origin, who, category), self._last_scope
            if scope == last:
                return throttle
            throttle = self._throttles.find(scope) or self._new_scope(scope, call, dialect)
            self._last_scope = scope, throttle
            return throttle
        key = (call.origin, who, route_of(call.method, call.path))
        return self._routes.find(key) or self._new_route(key, call)

    def _new_scope(self, scope: tuple[str, str, str], call: Call, dialect: Dialect) -> Throttle:
        # A category may be a segment of the path: it is logged as that of the redacted one.
        origin, who, _ = scope
        rules, path = dialect.requests, shown_path(call)
        name = call.category
        if path != call.path or rules.category is not None:
            name = rules.shown_category_of(call.method, path, name)
        category = scope[2]
        return self._throttles.get(
            scope, lambda: self._new_throttle(origin, who, name or "", category)
        )

    def _named(self, request: http.Request, name: object, seen: RequestHeaders) -> str:
        """Return who is calling, where somebody says so."""
        if self._identity is not None:
            return self._hashed((self._identity(request) or "").encode())
        if isinstance(name, str):
            return self._hashed(name.encode())
        return identity_of(seen.authorization, seen.api_key, self._hashed)

    def _new_route(self, key: tuple[str, str, str], call: Call) -> Route:
        # As a category, a segment of the path is logged as that of the redacted one.
        origin, who, _ = key
        name = safe_token(route_of(call.method, shown_path(call)).replace(" ", ":")) or "all"
        buckets = Buckets(
            (origin, who),
            self._throttles,
            lambda name: self._new_throttle(origin, who, name),
            lambda name: _scope_of(who, name),
        )
        return self._routes.get(key, lambda: buckets.route(name))

    def _new_throttle(
        self, origin: str, who: str, name: str, category: str | None = None
    ) -> Throttle:
        """Return a throttle; for all processes it goes by its category, where it has one."""
        limits = self._policy.throttle
        if limits is None:
            raise RuntimeError("a throttle was asked for although the policy has none")
        scope, clock, emit = _scope_of(who, name), self._clocks.get(origin), self._emit
        concurrency = self._concurrency_of(origin, limits)
        if self._leasing is not None:
            known = name if category is None else category
            return LeasedThrottle(
                origin, scope, limits, clock, emit, self._leasing, who, known, concurrency
            )
        peers = None if self._peers == 1 else Peers(self._peers)
        return Throttle(origin, scope, limits, clock, emit, peers, concurrency)

    def _concurrency_of(self, origin: str, limits: ThrottlePolicy) -> OriginConcurrency | None:
        """Return the requests in flight that an origin's scopes share; None for no bound."""
        concurrency = limits.concurrency
        if concurrency is None:
            return None
        return self._concurrencies.get(origin, lambda: OriginConcurrency(concurrency))

    def statuses(self, now: float) -> tuple[RateLimitStatus, ...]:
        """Return what is known of every scope, the least recently used first."""
        routed = (route.throttle for route in self._routes.values())
        unlearned = (throttle for throttle in routed if throttle.signature is None)
        throttles = {id(throttle): throttle for throttle in (*self._throttles.values(), *unlearned)}
        return tuple(status for throttle in throttles.values() for status in throttle.status(now))

    def origins(self, now: float) -> tuple[OriginStatus, ...]:
        """Return what is known of every origin, the least recently used first."""
        return tuple(
            origin_status(config.origin, config.parking, config.budget, now)
            for config in self._configs.values()
        )


def _scope_of(who: str, category: str) -> str:
    """Return a scope's name for events: its category, and a little of the identity's hash."""
    return f"{category or 'all'}#{who[:4]}" if who else category or "all"


def route_of(method: str, path: str) -> str:
    """Return what kind of request a call is: its method and the first segment of its path."""
    return f"{method} {path.lstrip('/').partition('/')[0]}"
