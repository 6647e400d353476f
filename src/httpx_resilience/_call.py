"""A call's beginning and its end: what a driver is given to carry out, and what it gives back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.flow import call_flow
from ._core.policy import Policy, check_call_policy
from ._core.retry.budget import RetryBudget
from ._core.retry.decision import SUCCESS
from ._core.retry.origin_status import OriginStatus
from ._core.steps import CallFlow, Done
from ._core.telemetry.events import NestedTransport
from ._core.throttle import RateLimitStatus
from ._exchange.asynchronous import AsyncExchange, OuterAsyncExchange
from ._exchange.exchange import REPEATED_ABOVE, Exchange, Lifetime
from ._http.binding import Binding, door_of, library_of
from ._http.errors import ResilienceError
from ._http.fast import split_url
from ._http.identity import hashed
from ._http.requests import new_call
from ._http.results import DIALECT, HISTORY, PEEKED, api_error, attach, forbid_retry
from ._recovery import RECOVER, Hook, checked_hooks, hooks_of
from ._registry import Dialects, Identity, Registry, rules_of
from ._runtime import anyio
from .instrumentation.history import MAX_REPORTED_WAIT, CallHistory
from .instrumentation.sink import EventCallable, EventSink, Listener, listeners_of

if TYPE_CHECKING:
    from ._http import typed as http

E = TypeVar("E", bound=Exchange)

EXTENSION = "resilience"
"""Key in a request's extensions: the policy of that one call."""

MAX_PEERS = 10_000
"""Processes that can share a limit: their parts of it would be too small for more."""

_NO_HOOKS: Mapping[str, Hook] = {}


class Calls(ABC, Generic[E]):
    """Begins and ends the calls of one transport, from what its user has configured.

    Raises:
        TypeError, ValueError: An argument is not what is allowed; the message names it.

    Attributes:
        registry: What the calls share, in the present event loop or process.
        policy: Of calls that bring none of their own.
        dialects: Which dialect is spoken where.
        listeners: What was given as ``on_event``.
    """

    exchange_type: type[E]
    outer_exchange_type: type[E]
    sink_type: type[EventSink]

    def __init__(
        self,
        binding: Binding,
        dialect: Dialect | Mapping[str, Dialect],
        policy: Policy | None,
        budget: RetryBudget | None,
        identity: Identity | None,
        on_event: EventCallable | Listener | Iterable[EventCallable | Listener] | None,
        recover: Mapping[str, Hook] | None,
        redact: Callable[[str], str] | None,
        store: Any = None,
        peers: int | None = None,
    ) -> None:
        self.store = checked_store(store, binding)
        if peers is not None:
            checks.integer("peers", peers, low=1, high=MAX_PEERS)
        self._peers = peers or 1
        self._hashed = hashed if store is None else store.hashed
        self.dialects = Dialects(dialect, binding.library.URL)
        self.policy = (
            Policy() if policy is None else checks.instance("policy", policy, Policy, "a Policy")
        )
        if budget is not None:
            checks.instance("budget", budget, RetryBudget, "a RetryBudget or None")
        if identity is not None:
            identity = checks.plain("identity", identity, (str, type(None)))
        self._binding = binding
        self._budget = budget
        self._identity = identity
        known = self.dialects.all()
        self._recover = checked_hooks("recover", recover or {}, known, is_async=binding.is_async)
        self._redact = None if redact is None else checks.plain("redact", redact)
        self.listeners = listeners_of(on_event)
        self._sink = self.sink_type(self.listeners)
        self._is_inner = False
        self.registry = self._fresh_registry()

    def _fresh_registry(self) -> Registry:
        settings = self.dialects, self.policy, self._budget, self._identity, self._sink.emit
        return Registry(*settings, self.store, self._peers)

    def start_afresh(self) -> None:
        """Forget what the calls of another event loop or process shared."""
        if self._redact is not None:  # before anything is sent: later, it could only hide the path
            self._redact.try_out("/")
        self.registry = self._fresh_registry()

    def found_inner(self) -> None:
        """Have a transport of ours that is further in leave retries to this one."""
        self.exchange_type = self.outer_exchange_type

    @abstractmethod
    def bind(self, before: Any) -> Any:
        """Return the runtime of the event loop or process that runs now; start afresh in it."""

    def statuses(self, now: float) -> tuple[RateLimitStatus, ...]:
        """Return what is known of every rate limit."""
        return self.registry.statuses(now)

    def origins(self, now: float) -> tuple[OriginStatus, ...]:
        """Return what is known of every origin."""
        return self.registry.origins(now)

    def begin(
        self, transport: Any, request: Any, runtime: Any, life: Lifetime
    ) -> tuple[CallFlow, E, CallHistory]:
        """Return a call's flow, and what the driver holds of it while it waits; no more than that.

        Of what it is made of, nothing stays in the frame of a call that waits.

        Raises:
            TypeError: The request is not of this library, or ``request.extensions["resilience"]``
                is neither a ``Policy`` nor None.
            ValueError: That policy sets what belongs to the scope.
        """
        binding, registry = self._binding, self.registry
        if not isinstance(request, binding.request):
            raise TypeError(_wrong_request(request, binding))
        extensions = request.extensions
        key, path = split_url(request.url)
        config = registry.config_for(key, request.url)
        rules, budget, dialect = config.rules, config.budget, config.runtime
        hooks, parking = _NO_HOOKS, config.parking
        if EXTENSION in extensions:
            policy = self._policy_of(request)
            rules, budget = rules_of(policy, dialect), registry.budget_of(config.origin, policy)
            parking = registry.parking_of(config.origin, policy)
            if REPEATED_ABOVE in extensions and not self._is_inner:
                self._is_inner = True
                self._sink.emit(NestedTransport(at=runtime.now(), origin=config.origin))
        if self._recover or RECOVER in extensions:
            is_async = binding.is_async
            hooks = hooks_of(request, self._recover, dialect.dialect, is_async=is_async)
            rules = rules._replace(recover=hooks)
        seen, order = dialect.scan(request), next(registry.arrivals)
        call = new_call(
            request, path, config.origin, rules.dialect, order, self._redact, seen, self._hashed
        )
        history = CallHistory(call, self._sink)
        throttle = registry.throttle_of(request, call, rules.dialect, seen)
        exchange = self.exchange_type(
            binding, transport, request, call, seen, dialect, hooks, runtime, life
        )
        is_replayable, traffic = exchange.is_replayable, config.traffic
        now = runtime.now()
        flow = call_flow(
            call, rules, budget, history, is_replayable, now, throttle, traffic, parking
        )
        return flow, exchange, history

    def _policy_of(self, request: http.Request) -> Policy | None:
        given = request.extensions[EXTENSION]
        if given is None:
            return None
        if isinstance(given, Policy):
            check_call_policy(given, self.policy)
            return given
        raise TypeError(
            f'request.extensions["resilience"]: got a {type(given).__name__}, '
            "allowed is a Policy, or None to send without wait or retry"
        )


class AsyncCalls(Calls[AsyncExchange]):
    """The calls of an asynchronous transport: of one event loop."""

    exchange_type = AsyncExchange
    outer_exchange_type = OuterAsyncExchange
    sink_type = EventSink

    def bind(self, before: anyio.Runtime | None) -> anyio.Runtime:
        """Start afresh: at first use, and in a second run(), whose clock may start anywhere.

        Raises:
            RuntimeError: The loop before still runs, and calls are under way in it.
        """
        under_way = len(self.registry.under_way)
        if under_way and before is not None and before.is_running:
            calls = "1 call" if under_way == 1 else f"{under_way} calls"
            raise RuntimeError(
                f"the transport belongs to another event loop, which still runs and has {calls} "
                "under way: make a transport for each event loop"
            )
        self.start_afresh()
        return anyio.Runtime()


def finish(request: Any, done: Done, exchange: Exchange, history: CallHistory) -> Any:
    """Return a call's response, or raise its exception, with its history.

    Raises:
        Exception: The last attempt's own, or one of ours where there is none.
    """
    response = exchange.last.response  # no more is held in this frame, which exceptions refer to
    if done.reason == SUCCESS and response is not None:
        history.close(done, exchange.last.outcome)
        response.extensions[HISTORY] = history
        if exchange.previous.error is not None:  # its traceback may hold a frame that holds us
            exchange.forget()
        return response
    return _finish_failed(request, done, exchange, history)


def _finish_failed(
    request: http.Request, done: Done, exchange: Exchange, history: CallHistory
) -> http.Response:
    last = exchange.previous if done.result == "previous" else exchange.last
    history.close(done, last.outcome)
    error: Exception | None = _error_of_ours(request, done, exchange.binding) or last.error
    response, dialect = last.response, exchange.dialect
    if response is not None and last.peeked is not None:
        response.extensions[PEEKED] = last.peeked
        response.extensions[DIALECT] = dialect
    if done.result == "raised" and response is not None and error is not None:
        _name_cause(error, request, response, exchange)
    if error is not None or response is None:
        error = error or RuntimeError("an attempt came to neither a response nor an exception")
        attach(error, history)
        exchange.forget()
        try:
            raise error
        finally:
            del error, last  # no cycle of traceback and frame
    response.extensions[HISTORY] = history
    if done.forbids_retry:
        forbid_retry(response)
    if last.peeked is not None:
        history.body_truncated = last.peeked.is_truncated
    return response


def _error_of_ours(request: http.Request, done: Done, binding: Binding) -> ResilienceError | None:
    errors: Any = binding.errors
    if done.result == "deadline":
        text = "the call was cut at its deadline"
        error: ResilienceError = errors.deadline(text, request=request)
        return error
    if done.result == "throttled":
        return _throttle_timeout(request, done, binding)
    if done.result == "closed":
        return closed_error(request, binding, "was closed while the call waited to be sent")
    return None


def closed_error(request: Any, binding: Binding, text: str) -> ResilienceError:
    """Return the error of a call whose transport is closed."""
    closed: Any = binding.errors.closed
    error: ResilienceError = closed(f"the transport {text}", request=request)
    return error


def _name_cause(
    error: Exception, request: http.Request, response: http.Response, exchange: Exchange
) -> None:
    """Set the failure that a recovery hook was to correct as the cause of what it raised."""
    if error.__cause__ is None:
        response.request = request
        error.__cause__ = api_error(response, exchange.binding.errors, exchange.dialect)


def _throttle_timeout(request: http.Request, done: Done, binding: Binding) -> ResilienceError:
    wait, scope = done.retry_in, done.scope
    known = wait is not None and wait < MAX_REPORTED_WAIT
    text = f"the rate-limit budget of {scope} will not allow the call in time"
    if done.detail:
        text = f"the rate-limit budget of {scope} will not allow the call: {done.detail}"
    return binding.errors.throttle(
        text + (f"; room is expected in {wait:.1f} s" if wait is not None and known else ""),
        request=request,
        retry_at=time.time() + wait if wait is not None and known else None,
        scope=scope,
    )


def _wrong_request(request: object, binding: Binding) -> str:
    kind, library = type(request).__name__, library_of(request)
    if library is None:
        return f"request: got {kind}, allowed is an {binding.name}.Request"
    other = "AsyncResilientTransport" if binding.is_async else "ResilientTransport"
    return (
        f"request: got one of {library}, but the transport is for {binding.name}; "
        f"for {library}: from {door_of(library)} import {other}"
    )


def checked_store(store: Any, binding: Binding) -> Any:
    """Return the store that processes share limits by; None for none.

    Raises:
        TypeError: It is no store, or one with a client for the other kind of transport.
    """
    if store is None:
        return None
    from ._store.redis import RedisStore

    checks.instance("store", store, RedisStore, "a RedisStore or None")
    if store.is_async != binding.is_async:
        kind = "an asynchronous" if binding.is_async else "a synchronous"
        given = "an asynchronous" if store.is_async else "a synchronous"
        raise TypeError(f"store: got one over {given} client, allowed is one over {kind} client")
    return store


def checked_transport(transport: object, binding: Binding) -> Any:
    """Return the inner transport: one that was given, or the library's own.

    Raises:
        TypeError: It is none of this library, or for the other kind of client; the message names
            the right import.
    """
    if transport is None:
        return binding.default_transport()
    if isinstance(transport, binding.transport):
        return transport
    allowed = f"an {binding.name}.{binding.transport.__name__} or None"
    text = f"transport: got {checks.shown(transport)}, allowed is {allowed}"
    library = library_of(transport)
    if library is not None:
        is_async = hasattr(transport, "handle_async_request")
        right = "AsyncResilientTransport" if is_async else "ResilientTransport"
        text += f"; around this one goes {right}: from {door_of(library)} import {right}"
    raise TypeError(text)
