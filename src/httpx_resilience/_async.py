"""The driver for ``httpx.AsyncClient``: it sends, sleeps, closes, returns, raises; no more."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx

from ._clock import running_clock, running_loop
from ._core import checks
from ._core.budget import RetryBudget
from ._core.decision import SUCCESS
from ._core.dialect import Dialect
from ._core.flow import Admit, CallFlow, Done, Pause, Send, call_flow
from ._core.outcome import Cancelled, Woken
from ._core.policy import Policy
from ._core.throttle import RateLimitStatus, Throttle
from ._errors import DIALECT, HISTORY, PEEKED, api_error, attach
from ._exceptions import DeadlineExceeded, ThrottleTimeout
from ._exchange import Exchange
from ._recovery import RECOVER, Hook, checked_hooks, hooks_of
from ._request import call_of, parts_of
from ._shared import Dialects, Identity, SharedState, rules_of
from .dialects.scaivault import SCAIVAULT
from .instrumentation.history import FOREVER, CallHistory
from .instrumentation.sink import EventSink, Listener, listeners_of

EXTENSION = "resilience"
_NO_HOOKS: Mapping[str, Hook] = {}


class AsyncResilientTransport(httpx.AsyncBaseTransport):
    """Understand, retry and explain the failures of the calls of an ``httpx.AsyncClient``.

    Args:
        transport: The transport it wraps; an ``httpx.AsyncHTTPTransport()`` of its own if left
            out. httpx ignores the client's ``verify``, ``cert``, ``http2``, ``limits`` and
            ``proxy`` once a transport is given: set them here.
        dialect: How the API speaks; or a map from origin to dialect, for a client of several APIs,
            with ``"*"`` for all others (``GENERIC`` if left out).
        policy: When, how often and for how long failed attempts are repeated.
        budget: A retry budget to draw on instead of one per origin of its own; it may be shared
            with other transports, in other threads.
        identity: From a request to who is calling, for tokens that are rotated: a plain function
            that returns a string or None. By default that is told by the credential that the
            request carries. Only a keyed hash of it is kept.
        on_event: A plain function, or several, that are given every event; they should be quick,
            and what they raise is logged once.
        recover: From error code to an async hook that is given the failure and the request and
            returns the request to send now, or None to stop. What a hook sends while it runs, or a
            task that it started, is not recovered again, but by hooks that the request brings.
        redact: A plain function that a path goes through before it is told to anybody; see
            ``redact_path``.

    Raises:
        TypeError: An argument is of the wrong type, or an async function where a plain one belongs,
            or the reverse; the message names it and what is allowed.
        ValueError: A code of ``recover`` is in no catalogue, or a key of ``dialect`` no origin.

    Belongs to one event loop, as httpx's own transports do.

    >>> import anyio
    >>> async def read() -> int:
    ...     vault = httpx.MockTransport(lambda request: httpx.Response(200))
    ...     transport = AsyncResilientTransport(vault)
    ...     async with httpx.AsyncClient(transport=transport) as client:
    ...         response = await client.get("https://vault.example/v1/secrets/app/db")
    ...     return len(response.extensions["resilience"].attempts)
    >>> anyio.run(read)
    1
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        dialect: Dialect | Mapping[str, Dialect] = SCAIVAULT,
        policy: Policy | None = None,
        budget: RetryBudget | None = None,
        identity: Identity | None = None,
        on_event: Listener | Iterable[Listener] | None = None,
        recover: Mapping[str, Hook] | None = None,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._transport = _checked_transport(transport)
        self._dialects = Dialects(dialect)
        self._policy = (
            Policy() if policy is None else checks.instance("policy", policy, Policy, "a Policy")
        )
        if budget is not None:
            checks.instance("budget", budget, RetryBudget, "a RetryBudget or None")
        self._budget = budget
        if identity is not None:
            identity = checks.plain("identity", identity, (str, type(None)))
        self._identity = identity
        self._recover = checked_hooks("recover", recover or {}, self._dialects.all())
        self._redact = None if redact is None else checks.plain("redact", redact)
        self._sink = EventSink(listeners_of(on_event))
        self._loop: object = None
        self._clock: Callable[[], float] = time.monotonic
        self._shared = self._fresh_state()

    def __repr__(self) -> str:
        inner = type(self._transport).__name__
        return f"<AsyncResilientTransport dialect={self._dialects} over {inner}>"

    @property
    def policy(self) -> Policy:
        """The policy of calls that bring none of their own."""
        return self._policy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request as often as it takes and is allowed; return the last response.

        Raises:
            DeadlineExceeded: The call was still running when its ``deadline`` passed.
            TypeError: ``request.extensions["resilience"]`` is neither a ``Policy`` nor None.
            Exception: Whatever the inner transport raised last, itself.
        """
        flow, exchange, history, throttle = self._begin(request)
        clock, shared = self._clock, self._shared
        try:
            step = next(flow)
            while not isinstance(step, Done):
                if shared.ready:
                    shared.wake()
                if isinstance(step, Send):
                    step = flow.send(await exchange.send(step))
                elif isinstance(step, Pause):
                    step = flow.send(await exchange.pause(step))
                elif isinstance(step, Admit):
                    woken = exchange.admit(step)
                    del step  # thousands may wait here, each with what it holds
                    step = flow.send(await woken or Woken(clock()))
                else:
                    step = flow.send(await exchange.recover(step))
            if shared.ready:
                shared.wake()
        except BaseException as error:
            with suppress(StopIteration):
                flow.send(Cancelled(clock()))
            shared.wake()
            if not isinstance(error, GeneratorExit):  # a closed coroutine may not await
                await exchange.abandon()
            raise
        flow.close()
        last = exchange.last
        response = last.response
        if step.reason == SUCCESS and response is not None:
            history.close(step, last.outcome)
            response.extensions[HISTORY] = history
            return response
        scope = throttle.scope if throttle is not None else ""
        return _finish(request, step, exchange, history, scope)

    def _begin(
        self, request: httpx.Request
    ) -> tuple[CallFlow, Exchange, CallHistory, Throttle | None]:
        """Return a call's flow, and what the driver holds of it while it waits; no more than that.

        Of what it is made of, nothing stays in the frame of a call that waits.
        """
        extensions = request.extensions
        if running_loop() is not self._loop:
            self._bind()
        clock, shared = self._clock, self._shared
        url = request.url
        key, path = parts_of(url)
        road = shared.road_to(key, url)
        rules, budget, spoken, hooks = road.rules, road.budget, road.spoken, _NO_HOOKS
        if EXTENSION in extensions:
            policy = self._policy_of(request)
            rules, budget = rules_of(policy, spoken), shared.budget_of(road.origin, policy)
        if self._recover or RECOVER in extensions:
            hooks = hooks_of(request, self._recover, spoken.dialect)
            rules = rules._replace(recover=hooks)
        dialect, _, scan = spoken
        seen, order = scan(request), next(shared.arrivals)
        call = call_of(request, path, road.origin, dialect, order, self._redact, seen)
        history = CallHistory(call, self._sink)
        throttle = shared.throttle_of(request, call, dialect, seen)
        exchange = Exchange(self._transport, request, call, seen, spoken, hooks, clock)
        flow = call_flow(call, rules, budget, history, exchange.is_replayable, clock(), throttle)
        return flow, exchange, history, throttle

    def _policy_of(self, request: httpx.Request) -> Policy | None:
        given = request.extensions[EXTENSION]
        if given is None or isinstance(given, Policy):
            return given
        raise TypeError(
            f'request.extensions["resilience"]: got a {type(given).__name__}, '
            "allowed is a Policy, or None to send without wait or retry"
        )

    def _bind(self) -> None:
        """Begin anew: at first use, and in a second run(), whose clock may start anywhere."""
        if self._redact is not None:  # before anything is sent: later, it could only hide the path
            self._redact.try_out("/")
        self._loop, self._clock = running_loop(), running_clock()
        self._shared = self._fresh_state()

    def _fresh_state(self) -> SharedState:
        return SharedState(
            self._dialects, self._policy, self._budget, self._identity, self._sink.emit
        )

    def rate_limits(self) -> tuple[RateLimitStatus, ...]:
        """Return a snapshot of what is known of the server's rate limits, for a status page.

        Returns:
            A row for each policy of each scope; empty before the first call.

        >>> AsyncResilientTransport().rate_limits()
        ()
        """
        return self._shared.statuses(self._clock())

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)


def _finish(
    request: httpx.Request,
    done: Done,
    exchange: Exchange,
    history: CallHistory,
    scope: str,
) -> httpx.Response:
    last = exchange.previous if done.result == "previous" else exchange.last
    history.close(done, last.outcome)
    error: Exception | None = last.error
    if done.result == "deadline":
        error = DeadlineExceeded("the call was cut at its deadline", request=request)
    elif done.result == "throttled":
        error = _throttle_timeout(request, done, scope)
    response, dialect = last.response, exchange.dialect
    if response is not None and last.peeked is not None:
        response.extensions[PEEKED] = last.peeked
        response.extensions[DIALECT] = dialect
    if done.result == "raised" and response is not None and error is not None:
        _name_cause(error, request, response, dialect)
    if error is not None or response is None:
        error = error or RuntimeError("an attempt came to neither a response nor an exception")
        attach(error, history)
        try:
            raise error
        finally:
            del error, exchange, last  # no cycle of traceback and frame
    response.extensions[HISTORY] = history
    if last.peeked is not None:
        history.body_truncated = last.peeked.is_truncated
    return response


def _name_cause(
    error: Exception, request: httpx.Request, response: httpx.Response, dialect: Dialect
) -> None:
    """Give what a recovery hook raised the failure it was to mend as its cause."""
    if error.__cause__ is None:
        response.request = request
        error.__cause__ = api_error(response, dialect)


def _throttle_timeout(request: httpx.Request, done: Done, scope: str) -> ThrottleTimeout:
    wait = done.retry_in
    known = wait is not None and wait < FOREVER
    text = f"the rate-limit budget of {scope} will not allow the call in time"
    return ThrottleTimeout(
        text + (f"; room is expected in {wait:.1f} s" if wait is not None and known else ""),
        request=request,
        retry_at=time.time() + wait if wait is not None and known else None,
        scope=scope,
    )


def _checked_transport(transport: object) -> httpx.AsyncBaseTransport:
    if transport is None:
        return httpx.AsyncHTTPTransport()
    return checks.instance(
        "transport", transport, httpx.AsyncBaseTransport, "an httpx.AsyncBaseTransport or None"
    )
