"""A call's beginning and its end: what a driver is given to carry out, and what it gives back."""

import time
from collections.abc import Callable, Iterable, Mapping

from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.flow import call_flow
from ._core.policy import Policy, check_call_policy
from ._core.retry.budget import RetryBudget
from ._core.retry.decision import SUCCESS
from ._core.steps import CallFlow, Done
from ._core.throttle import RateLimitStatus
from ._exchange import Exchange
from ._http import binding as http
from ._http.errors import DeadlineExceeded, ThrottleTimeout, TransportClosed
from ._http.fast import split_url
from ._http.requests import new_call
from ._http.results import DIALECT, HISTORY, PEEKED, api_error, attach
from ._recovery import RECOVER, Hook, checked_hooks, hooks_of
from ._registry import Dialects, Identity, Registry, rules_of
from ._runtime.anyio import Runtime
from .instrumentation.history import MAX_REPORTED_WAIT, CallHistory
from .instrumentation.sink import EventCallable, EventSink, Listener, listeners_of

EXTENSION = "resilience"
"""Key in a request's extensions: the policy of that one call."""

_NO_HOOKS: Mapping[str, Hook] = {}


class Calls:
    """Begins and ends the calls of one transport, from what its user has configured.

    Raises:
        TypeError, ValueError: An argument is not what is allowed; the message names it.

    Attributes:
        registry: What the calls share, in the present event loop.
        policy: Of calls that bring none of their own.
        dialects: Which dialect is spoken where.
    """

    def __init__(
        self,
        dialect: Dialect | Mapping[str, Dialect],
        policy: Policy | None,
        budget: RetryBudget | None,
        identity: Identity | None,
        on_event: EventCallable | Listener | Iterable[EventCallable | Listener] | None,
        recover: Mapping[str, Hook] | None,
        redact: Callable[[str], str] | None,
    ) -> None:
        self.dialects = Dialects(dialect)
        self.policy = (
            Policy() if policy is None else checks.instance("policy", policy, Policy, "a Policy")
        )
        if budget is not None:
            checks.instance("budget", budget, RetryBudget, "a RetryBudget or None")
        if identity is not None:
            identity = checks.plain("identity", identity, (str, type(None)))
        self._budget = budget
        self._identity = identity
        self._recover = checked_hooks("recover", recover or {}, self.dialects.all())
        self._redact = None if redact is None else checks.plain("redact", redact)
        self._sink = EventSink(listeners_of(on_event))
        self.registry = self._fresh_registry()

    def _fresh_registry(self) -> Registry:
        return Registry(self.dialects, self.policy, self._budget, self._identity, self._sink.emit)

    def start_afresh(self) -> None:
        """Forget what the calls of another event loop shared, whose clock was another."""
        if self._redact is not None:  # before anything is sent: later, it could only hide the path
            self._redact.try_out("/")
        self.registry = self._fresh_registry()

    def statuses(self, now: float) -> tuple[RateLimitStatus, ...]:
        """Return what is known of every rate limit."""
        return self.registry.statuses(now)

    def begin(
        self, transport: http.AsyncBaseTransport, request: http.Request, runtime: Runtime
    ) -> tuple[CallFlow, Exchange, CallHistory]:
        """Return a call's flow, and what the driver holds of it while it waits; no more than that.

        Of what it is made of, nothing stays in the frame of a call that waits.

        Raises:
            TypeError: ``request.extensions["resilience"]`` is neither a ``Policy`` nor None.
            ValueError: That policy sets what belongs to the scope.
        """
        extensions, registry = request.extensions, self.registry
        key, path = split_url(request.url)
        config = registry.config_for(key, request.url)
        rules, budget, dialect = config.rules, config.budget, config.runtime
        hooks, parking = _NO_HOOKS, config.parking
        if EXTENSION in extensions:
            policy = self._policy_of(request)
            rules, budget = rules_of(policy, dialect), registry.budget_of(config.origin, policy)
            parking = registry.parking_of(config.origin, policy)
        if self._recover or RECOVER in extensions:
            hooks = hooks_of(request, self._recover, dialect.dialect)
            rules = rules._replace(recover=hooks)
        seen, order = dialect.scan(request), next(registry.arrivals)
        call = new_call(request, path, config.origin, rules.dialect, order, self._redact, seen)
        history = CallHistory(call, self._sink)
        throttle = registry.throttle_of(request, call, rules.dialect, seen)
        exchange = Exchange(transport, request, call, seen, dialect, hooks, runtime)
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


def finish(
    request: http.Request, done: Done, exchange: Exchange, history: CallHistory
) -> http.Response:
    """Return a call's response, or raise its exception, with its history.

    Raises:
        Exception: The last attempt's own, or one of ours where there is none.
    """
    response = exchange.last.response  # no more is held in this frame, which exceptions refer to
    if done.reason == SUCCESS and response is not None:
        history.close(done, exchange.last.outcome)
        response.extensions[HISTORY] = history
        return response
    return _finish_failed(request, done, exchange, history)


def _finish_failed(
    request: http.Request, done: Done, exchange: Exchange, history: CallHistory
) -> http.Response:
    last = exchange.previous if done.result == "previous" else exchange.last
    history.close(done, last.outcome)
    error: Exception | None = _error_of_ours(request, done) or last.error
    response, dialect = last.response, exchange.dialect
    if response is not None and last.peeked is not None:
        response.extensions[PEEKED] = last.peeked
        response.extensions[DIALECT] = dialect
    if done.result == "raised" and response is not None and error is not None:
        _name_cause(error, request, response, dialect)
    if error is not None or response is None:
        error = error or RuntimeError("an attempt came to neither a response nor an exception")
        attach(error, history)
        exchange.forget()
        try:
            raise error
        finally:
            del error, last  # no cycle of traceback and frame
    response.extensions[HISTORY] = history
    if last.peeked is not None:
        history.body_truncated = last.peeked.is_truncated
    return response


def _error_of_ours(request: http.Request, done: Done) -> Exception | None:
    if done.result == "deadline":
        return DeadlineExceeded("the call was cut at its deadline", request=request)
    if done.result == "throttled":
        return _throttle_timeout(request, done)
    if done.result == "closed":
        text = "the transport was closed while the call waited to be sent"
        return TransportClosed(text, request=request)
    return None


def _name_cause(
    error: Exception, request: http.Request, response: http.Response, dialect: Dialect
) -> None:
    """Set the failure that a recovery hook was to correct as the cause of what it raised."""
    if error.__cause__ is None:
        response.request = request
        error.__cause__ = api_error(response, dialect)


def _throttle_timeout(request: http.Request, done: Done) -> ThrottleTimeout:
    wait, scope = done.retry_in, done.scope
    known = wait is not None and wait < MAX_REPORTED_WAIT
    text = f"the rate-limit budget of {scope} will not allow the call in time"
    return ThrottleTimeout(
        text + (f"; room is expected in {wait:.1f} s" if wait is not None and known else ""),
        request=request,
        retry_at=time.time() + wait if wait is not None and known else None,
        scope=scope,
    )
