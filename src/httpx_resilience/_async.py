"""The driver for ``httpx.AsyncClient``: it sends, sleeps, closes, returns, raises; no more."""

import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio
import httpx

from ._body import PeekedStream, close_quietly, decode, length_of, replayable
from ._clock import running_clock
from ._core import checks
from ._core.budget import RetryBudget
from ._core.catalog import Dialect
from ._core.flow import Admit, Done, Pause, Rules, Send, call_flow
from ._core.headers import RateLimitReader
from ._core.outcome import Cancelled, Outcome, Woken
from ._core.policy import Policy
from ._core.throttle import RateLimitStatus
from ._errors import DIALECT, HISTORY, PEEKED, attach
from ._exceptions import DeadlineExceeded, ThrottleTimeout
from ._httpx import prepare, trouble_of
from ._shared import Identity, SharedState
from .dialects.scaivault import SCAIVAULT
from .instrumentation.history import FOREVER, CallHistory
from .instrumentation.sink import EventSink, Listener, listeners_of

EXTENSION = "resilience"
_DEFAULT = object()


class AsyncResilientTransport(httpx.AsyncBaseTransport):
    """Understand, retry and explain the failures of the calls of an ``httpx.AsyncClient``.

    Args:
        transport: The transport it wraps; an ``httpx.AsyncHTTPTransport()`` of its own if left
            out. httpx ignores the client's ``verify``, ``cert``, ``http2``, ``limits`` and
            ``proxy`` once a transport is given: set them here.
        dialect: How the API speaks.
        policy: When, how often and for how long failed attempts are repeated.
        budget: A retry budget to draw on instead of one per origin of its own; it may be shared
            with other transports, in other threads.
        identity: From a request to who is calling, for tokens that are rotated; by default that is
            told by the credential that the request carries. Only a keyed hash of it is kept.
        on_event: A callable, or several, that are given every event; they should be quick, and
            what they raise is logged once.
        redact: What a path goes through before it is told to anybody; see ``redact_path``.

    Raises:
        TypeError: An argument is of the wrong type; the message names it and what is allowed.

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
        dialect: Dialect = SCAIVAULT,
        policy: Policy | None = None,
        budget: RetryBudget | None = None,
        identity: Identity | None = None,
        on_event: Listener | Iterable[Listener] | None = None,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._transport = _checked_transport(transport)
        self._dialect = checks.instance("dialect", dialect, Dialect, "a Dialect")
        self._policy = (
            Policy() if policy is None else checks.instance("policy", policy, Policy, "a Policy")
        )
        if budget is not None:
            checks.instance("budget", budget, RetryBudget, "a RetryBudget or None")
        for name, value in (("redact", redact), ("identity", identity)):
            if value is not None and not callable(value):
                raise TypeError(f"{name}: got {value!r}, allowed is a callable or None")
        self._budget = budget
        self._identity = identity
        self._redact = redact
        self._sink = EventSink(listeners_of(on_event))
        self._reader = RateLimitReader()
        self._loop: object = None
        self._clock: Callable[[], float] = time.monotonic
        self._shared = self._fresh_state()

    def __repr__(self) -> str:
        inner = type(self._transport).__name__
        return f"<AsyncResilientTransport dialect={self._dialect.name} over {inner}>"

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
        policy = self._policy_of(request)
        stream, is_replayable = replayable(request.stream)
        prepared, call = prepare(request, stream, self._dialect, self._redact)
        clock, shared = self._bind()
        call = call._replace(order=next(shared.arrivals), route=shared.route_of(call))
        history = CallHistory(call, self._sink)
        rules = Rules(policy, self._dialect, self._reader, random.random)
        budget, throttle = shared.budget_of(call, policy), shared.throttle_of(request, call)
        flow = call_flow(call, rules, budget, history, is_replayable, clock(), throttle)
        exchange = _Exchange(self._transport, prepared, clock)
        try:
            step = next(flow)
            while not isinstance(step, Done):
                if shared.ready:
                    shared.wake()
                if isinstance(step, Send):
                    step = flow.send(await exchange.send(step))
                elif isinstance(step, Pause):
                    step = flow.send(await exchange.pause(step))
                else:
                    step = flow.send(await exchange.admit(step))
            shared.wake()
        except BaseException as error:
            with suppress(StopIteration):
                flow.send(Cancelled(clock()))
            shared.wake()
            if not isinstance(error, GeneratorExit):  # a closed coroutine may not await
                await exchange.abandon()
            raise
        flow.close()
        scope = throttle.scope if throttle is not None else ""
        return self._finish(request, step, exchange, history, scope)

    def _finish(
        self,
        request: httpx.Request,
        done: Done,
        exchange: "_Exchange",
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
        response = last.response
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
            response.extensions[PEEKED] = last.peeked
            response.extensions[DIALECT] = self._dialect
        return response

    def _policy_of(self, request: httpx.Request) -> Policy | None:
        given = request.extensions.get(EXTENSION, _DEFAULT)
        if given is _DEFAULT:
            return self._policy
        if given is None or isinstance(given, Policy):
            return given
        raise TypeError(
            f'request.extensions["resilience"]: got a {type(given).__name__}, '
            "allowed is a Policy, or None to send without wait or retry"
        )

    def _bind(self) -> tuple[Callable[[], float], SharedState]:
        loop, clock = running_clock()
        if loop is not self._loop:  # first use, or a second run(): its clock may start anywhere
            self._loop, self._clock = loop, clock
            self._shared = self._fresh_state()
        return clock, self._shared

    def _fresh_state(self) -> SharedState:
        return SharedState(
            self._policy, self._dialect, self._budget, self._identity, self._sink.emit
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


class _Attempt:
    """What one attempt left in the driver's hands."""

    __slots__ = ("error", "outcome", "peeked", "response")

    def __init__(self) -> None:
        self.response: httpx.Response | None = None
        self.error: Exception | None = None
        self.peeked: PeekedStream | None = None
        self.outcome = Outcome(0.0, 0.0, 0.0)


class _Exchange:
    """Carries out one call's steps, and holds the last two attempts' responses or exceptions."""

    __slots__ = ("_clock", "_request", "_transport", "last", "previous")

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        request: httpx.Request,
        clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._request = request
        self._clock = clock
        self.last = self.previous = _Attempt()

    async def send(self, step: Send) -> Outcome:
        """Send the request once; return what it came to."""
        clock = self._clock
        self.previous, self.last = self.last, _Attempt()
        attempt = self.last
        cut = False
        sent_at = clock()
        try:
            if step.cut_at is None:
                attempt.response = await self._transport.handle_async_request(self._request)
            else:
                with anyio.CancelScope(deadline=step.cut_at) as scope:
                    attempt.response = await self._transport.handle_async_request(self._request)
                cut = scope.cancelled_caught
        except Exception as error:  # noqa: BLE001 - it is classified, and raised as itself later
            attempt.error = error
        at = clock()
        response = attempt.response
        if response is not None and response.status_code < 400:
            attempt.outcome = Outcome(
                sent_at, at, at, time.time(), response.status_code, response.headers.raw
            )
        else:
            attempt.outcome = await self._failed(attempt, sent_at, at, step.cut_at, cut)
        return attempt.outcome

    async def _failed(
        self, attempt: _Attempt, sent_at: float, at: float, cut_at: float | None, cut: bool
    ) -> Outcome:
        wall = time.time()
        response = attempt.response
        if response is None:
            trouble = None if attempt.error is None else trouble_of(attempt.error)
            return Outcome(sent_at, at, at, wall, trouble=trouble, cut=cut)
        body = b""
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = attempt.peeked = PeekedStream(response.stream, length_of(response))
            await attempt.peeked.look(self._clock, cut_at)
            body = decode(attempt.peeked.head, response.headers.get("content-encoding", ""))
        return Outcome(
            sent_at, at, self._clock(), wall, response.status_code, response.headers.raw, body
        )

    async def admit(self, step: Admit) -> Woken:
        """Wait until somebody wakes the ticket, or until the time that this call keeps."""
        event = anyio.Event()
        step.ticket.wake = event.set
        if step.until is None:
            await event.wait()
        else:
            with anyio.CancelScope(deadline=step.until):
                await event.wait()
        return Woken(self._clock())

    async def pause(self, step: Pause) -> Woken:
        """Give the connection back, then sleep."""
        await self.abandon()
        await anyio.sleep_until(step.until)
        return Woken(self._clock())

    async def abandon(self) -> None:
        """Close a response that nobody will read on."""
        if self.last.response is not None:
            await close_quietly(self.last.response.stream)


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
