"""The driver for ``httpx.AsyncClient``: it sends, sleeps, closes, returns, raises; no more."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx

from ._clock import running_clock, running_loop
from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.flow import Admit, CallFlow, Done, Pause, Reply, Send, call_flow
from ._core.outcome import Cancelled, HookDone, Woken
from ._core.policy import Policy, check_call_policy
from ._core.retry.budget import RetryBudget
from ._core.retry.decision import SUCCESS
from ._core.throttle import RateLimitStatus
from ._errors import DIALECT, HISTORY, PEEKED, api_error, attach
from ._exceptions import DeadlineExceeded, ThrottleTimeout, TransportClosed
from ._exchange import Exchange
from ._recovery import RECOVER, Hook, checked_hooks, hooks_of
from ._request import call_of, parts_of
from ._shared import Dialects, Identity, SharedState, rules_of
from ._waiting import Lifetime, is_running
from .dialects.scaivault import SCAIVAULT
from .instrumentation.history import FOREVER, CallHistory
from .instrumentation.sink import EventCallable, EventSink, Listener, listeners_of

EXTENSION = "resilience"

CLOSED = "closed"
"""Why a call ends that waited when its transport was closed."""

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
        on_event: A plain function, or several, that are given every event of level info or above,
            or a ``Listener``, which names the level itself; they should be quick, and what they
            raise is logged once.
        recover: From error code to an async hook that is given the failure and the request and
            returns the request to send now, or None to stop. What a hook sends while it runs, or a
            task that it started, is not recovered again, but by hooks that the request brings.
        redact: A plain function that a path goes through before it is told to anybody; see
            ``redact_path``.

    Raises:
        TypeError: An argument is of the wrong type, or an async function where a plain one belongs,
            or the reverse; the message names it and what is allowed.
        ValueError: A code of ``recover`` is in no catalogue, or a key of ``dialect`` no origin.

    Belongs to one event loop, as httpx's own transports do; in the next one it starts afresh.

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
        on_event: EventCallable | Listener | Iterable[EventCallable | Listener] | None = None,
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
        self._life = Lifetime()
        self._entered = 0
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
            TransportClosed: The transport is closed, or was while the call waited to be sent.
            RuntimeError: Another event loop still runs, and calls of this transport in it.
            TypeError: ``request.extensions["resilience"]`` is neither a ``Policy`` nor None.
            Exception: Whatever the inner transport raised last, itself.
        """
        life = self._life
        if life.is_closed:
            raise TransportClosed("the transport is closed", request=request)
        flow, exchange, history = self._begin(request)
        clock, shared = self._clock, self._shared
        waiting = shared.waiting
        shared.under_way += 1
        try:
            step = next(flow)
            while not isinstance(step, Done):
                if shared.ready:
                    shared.wake()
                if isinstance(step, Send):
                    step = flow.send(await exchange.send(step))
                    continue
                if isinstance(step, Pause):
                    reply: Reply = await exchange.pause(step, life, waiting)
                elif isinstance(step, Admit):
                    woken, place = exchange.admit(step)
                    del step  # thousands may wait here, each with what it holds
                    waiting.add(place)
                    try:
                        reply = await woken or Woken(clock())
                    finally:
                        waiting.discard(place)
                else:
                    reply = await exchange.recover(step)
                step = flow.send(reply) if _goes_on(reply, life) else _ended(flow, history, clock())
            if shared.ready:
                shared.wake()
        except BaseException as error:
            with suppress(StopIteration):
                flow.send(Cancelled(clock()))
            shared.wake()
            if not isinstance(error, GeneratorExit):  # a closed coroutine may not await
                await exchange.abandon()
            raise
        finally:
            shared.under_way -= 1
        flow.close()
        response = exchange.last.response
        if step.reason == SUCCESS and response is not None:
            history.close(step, exchange.last.outcome)
            response.extensions[HISTORY] = history
            return response
        return _finish(request, step, exchange, history)

    def _begin(self, request: httpx.Request) -> tuple[CallFlow, Exchange, CallHistory]:
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
        return flow, exchange, history

    def _policy_of(self, request: httpx.Request) -> Policy | None:
        given = request.extensions[EXTENSION]
        if given is None:
            return None
        if isinstance(given, Policy):
            check_call_policy(given, self._policy)
            return given
        raise TypeError(
            f'request.extensions["resilience"]: got a {type(given).__name__}, '
            "allowed is a Policy, or None to send without wait or retry"
        )

    def _bind(self) -> None:
        """Begin anew: at first use, and in a second run(), whose clock may start anywhere.

        Raises:
            RuntimeError: The loop before still runs, and calls are under way in it.
        """
        under_way = self._shared.under_way
        if under_way and is_running(self._loop):
            calls = "1 call" if under_way == 1 else f"{under_way} calls"
            raise RuntimeError(
                f"the transport belongs to another event loop, which still runs and has {calls} "
                "under way: make a transport for each event loop"
            )
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
        """Close the inner transport, and end the calls that wait; nothing more is sent.

        A call that waits for its next attempt ends at once with the last one's response or
        exception, for the reason ``closed``. One that waits for its first raises
        ``TransportClosed``, and so do new calls, until the transport is entered (``async with``)
        again. What is being sent is left to the inner transport.
        """
        self._entered = 0
        self._end_waits()
        await self._transport.aclose()

    def _end_waits(self) -> None:
        self._life.is_closed = True
        if self._shared.waiting and running_loop() is self._loop:
            self._shared.wake_all()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        self._entered += 1
        if self._life.is_closed:
            self._life = Lifetime()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._entered = max(0, self._entered - 1)
        if not self._entered:  # else another client that shares it goes on
            self._end_waits()
        await self._transport.__aexit__(exc_type, exc_value, traceback)


def _finish(
    request: httpx.Request,
    done: Done,
    exchange: Exchange,
    history: CallHistory,
) -> httpx.Response:
    last = exchange.previous if done.result == "previous" else exchange.last
    history.close(done, last.outcome)
    error: Exception | None = last.error
    if done.result == "deadline":
        error = DeadlineExceeded("the call was cut at its deadline", request=request)
    elif done.result == "throttled":
        error = _throttle_timeout(request, done)
    elif done.reason == CLOSED and error is None and last.response is None:
        text = "the transport was closed while the call waited to be sent"
        error = TransportClosed(text, request=request)
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


def _goes_on(reply: Reply, life: Lifetime) -> bool:
    """Tell whether a call goes on after a wait: not if it would send over a closed transport."""
    return not life.is_closed or (isinstance(reply, HookDone) and reply.outcome != "request")


def _ended(flow: CallFlow, history: CallHistory, now: float) -> Done:
    """End a call whose transport was closed while it waited; give back what it holds."""
    with suppress(StopIteration):
        flow.send(Cancelled(now))
    history.cut_short(CLOSED)
    return Done(CLOSED)


def _name_cause(
    error: Exception, request: httpx.Request, response: httpx.Response, dialect: Dialect
) -> None:
    """Give what a recovery hook raised the failure it was to mend as its cause."""
    if error.__cause__ is None:
        response.request = request
        error.__cause__ = api_error(response, dialect)


def _throttle_timeout(request: httpx.Request, done: Done) -> ThrottleTimeout:
    wait, scope = done.retry_in, done.scope
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
