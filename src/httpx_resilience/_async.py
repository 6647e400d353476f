"""The driver for ``httpx.AsyncClient``: it sends, sleeps, closes, returns, raises; no more."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from ._call import Calls, finish
from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.outcome import Cancelled, Closed, HookDone, Waiter, Woken
from ._core.policy import Policy
from ._core.retry.budget import RetryBudget
from ._core.retry.origin_status import OriginStatus
from ._core.steps import Admit, CallFlow, Done, Pause, Reply, Send
from ._core.throttle import RateLimitStatus
from ._exchange import Lifetime
from ._http import binding as http
from ._http.errors import TransportClosed
from ._recovery import Hook
from ._registry import Identity
from ._runtime.anyio import Runtime, notify, running_loop
from .dialects.scaivault import DEFAULT_DIALECT
from .instrumentation.sink import EventCallable, Listener


class AsyncResilientTransport(http.AsyncBaseTransport):
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
            that returns a string or None. By default callers are distinguished by the
            credential that the request carries. Only a keyed hash of it is kept.
        on_event: A plain function, or several, that are given every event of level info or above,
            or a ``Listener``, which names the level itself; they should be quick, and what they
            raise is logged once.
        recover: From error code to an async hook that is given the failure and the request and
            returns the request to send now, or None to stop. What a hook sends while it runs, or a
            task that it started, is not recovered again, but by hooks that the request brings.
        redact: A plain function that a path goes through before it is logged or recorded; see
            ``redact_path``.

    Raises:
        TypeError: An argument is of the wrong type, or an async function where a plain one belongs,
            or the reverse; the message names it and what is allowed.
        ValueError: A code of ``recover`` is in no catalogue, or a key of ``dialect`` no origin.

    Belongs to one event loop, as httpx's own transports do; in the next one it starts afresh.

    >>> import anyio, httpx
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
        transport: http.AsyncBaseTransport | None = None,
        *,
        dialect: Dialect | Mapping[str, Dialect] = DEFAULT_DIALECT,
        policy: Policy | None = None,
        budget: RetryBudget | None = None,
        identity: Identity | None = None,
        on_event: EventCallable | Listener | Iterable[EventCallable | Listener] | None = None,
        recover: Mapping[str, Hook] | None = None,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._transport = _checked_transport(transport)
        self._calls = Calls(dialect, policy, budget, identity, on_event, recover, redact)
        self._life = Lifetime()
        self._entered = 0
        self._runtime: Runtime | None = None

    def __repr__(self) -> str:
        inner = type(self._transport).__name__
        return f"<AsyncResilientTransport dialect={self._calls.dialects} over {inner}>"

    @property
    def policy(self) -> Policy:
        """The policy of calls that bring none of their own."""
        return self._calls.policy

    async def handle_async_request(self, request: http.Request) -> http.Response:
        """Send a request as often as it takes and is allowed; return the last response.

        Raises:
            DeadlineExceeded: The call was still running when its ``deadline`` passed.
            TransportClosed: The transport is closed, or was while the call waited to be sent.
            RuntimeError: Another event loop still runs, and calls of this transport in it.
            TypeError: ``request.extensions["resilience"]`` is neither a ``Policy`` nor None.
            Exception: Whatever the inner transport raised last, itself.
        """
        life, runtime = self._life, self._runtime
        if life.is_closed:
            raise TransportClosed("the transport is closed", request=request)
        if runtime is None or running_loop() is not runtime.loop:
            runtime = self._bind()
        flow, exchange, history = self._calls.begin(self._transport, request, runtime)
        registry = self._calls.registry
        registry.under_way += 1
        try:
            step = next(flow)
            while not isinstance(step, Done):
                if step.wake:
                    _wake(step.wake)
                if isinstance(step, Send):
                    step = flow.send(await exchange.send(step))
                    continue
                if isinstance(step, Pause):
                    reply: Reply = await exchange.pause(step, life, registry.waiting)
                elif isinstance(step, Admit):
                    waited, waiter = exchange.admit(step)
                    del step  # thousands may wait here, each with what it holds
                    registry.waiting.add(waiter)
                    try:
                        reply = await waited or Woken(runtime.now())
                    finally:
                        registry.waiting.discard(waiter)
                else:
                    reply = await exchange.recover(step)
                step = flow.send(_unless_closed(reply, life))
            if step.wake:
                _wake(step.wake)
        except BaseException as error:
            _wake(_cancel(flow, runtime.now()))
            if not isinstance(error, GeneratorExit):  # a closed coroutine may not await
                await exchange.release_connection()
            raise
        finally:
            registry.under_way -= 1
        flow.close()
        return finish(request, step, exchange, history)

    def _bind(self) -> Runtime:
        """Start afresh: at first use, and in a second run(), whose clock may start anywhere.

        Raises:
            RuntimeError: The loop before still runs, and calls are under way in it.
        """
        under_way = self._calls.registry.under_way
        if under_way and self._runtime is not None and self._runtime.is_running:
            calls = "1 call" if under_way == 1 else f"{under_way} calls"
            raise RuntimeError(
                f"the transport belongs to another event loop, which still runs and has {calls} "
                "under way: make a transport for each event loop"
            )
        self._calls.start_afresh()
        self._runtime = runtime = Runtime()
        return runtime

    def rate_limits(self) -> tuple[RateLimitStatus, ...]:
        """Return a snapshot of what is known of the server's rate limits, for a status page.

        Returns:
            A row for each policy of each scope; empty before the first call.

        >>> AsyncResilientTransport().rate_limits()
        ()
        """
        now = time.monotonic() if self._runtime is None else self._runtime.now()
        return self._calls.statuses(now)

    def origins(self) -> tuple[OriginStatus, ...]:
        """Return a snapshot of what is known of the servers, for a status page.

        Returns:
            A row for each origin; empty before the first call.

        >>> AsyncResilientTransport().origins()
        ()
        """
        now = time.monotonic() if self._runtime is None else self._runtime.now()
        return self._calls.registry.origins(now)

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
        registry, runtime = self._calls.registry, self._runtime
        if registry.waiting and runtime is not None and running_loop() is runtime.loop:
            registry.notify_all()

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


def _wake(waiters: Sequence[Waiter]) -> None:
    for waiter in waiters:
        if waiter.wake is not None:
            notify(waiter.wake)


def _cancel(flow: CallFlow, now: float) -> Sequence[Waiter]:
    """Let a flow give back what it holds; return whom to wake."""
    try:
        flow.send(Cancelled(now))
    except StopIteration as ended:
        return ended.value or ()
    return ()


def _unless_closed(reply: Reply, life: Lifetime) -> Reply:
    """Return what a wait came to: that the transport is closed, if the call would go on to send."""
    goes_on = not isinstance(reply, HookDone) or reply.outcome == "request"
    return Closed(reply.at) if life.is_closed and goes_on else reply


def _checked_transport(transport: object) -> http.AsyncBaseTransport:
    if transport is None:
        return http.AsyncHTTPTransport()
    return checks.instance(
        "transport", transport, http.AsyncBaseTransport, "an httpx.AsyncBaseTransport or None"
    )
