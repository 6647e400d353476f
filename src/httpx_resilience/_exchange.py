"""One call's steps, carried out: what the driver holds between them."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import read_error
from ._core.outcome import Call, HookDone, Outcome, Woken, make_outcome
from ._core.steps import Admit, Pause, Recover, Send
from ._http import binding as http
from ._http.binding import failure_from
from ._http.bodies import (
    PeekedStream,
    always,
    body_headers,
    close_quietly,
    decode,
    is_event_stream,
    without_this_frame,
)
from ._http.fast import split_url
from ._http.requests import ANONYMOUS, RequestHeaders, new_call, origin_of, prepare
from ._recovery import FailedAttempt, Hook
from ._registry import DialectRuntime
from ._runtime.anyio import Runtime, wait

BEFORE_SEND = "resilience.before_send"
"""Key in a request's extensions: a callable that puts what is current onto it before each send."""


class Lifetime:
    """One opening of a transport, until it is closed; a call belongs to the one it began in.

    Attributes:
        is_closed: Whether it is over: its calls send nothing more.
    """

    __slots__ = ("is_closed",)

    def __init__(self) -> None:
        self.is_closed = False


class AttemptResult:
    """What one attempt left in the driver's hands."""

    response: http.Response | None = None
    error: Exception | None = None
    peeked: PeekedStream | None = None
    outcome = Outcome(0.0, 0.0, 0.0)


_NONE = AttemptResult()


class Exchange:
    """Carries out one call's steps, and holds the last two attempts' responses or exceptions.

    Attributes:
        last: What the last attempt left.
        previous: What the one before left.
    """

    __slots__ = (
        "_call",
        "_dialect",
        "_hooks",
        "_is_replayable",
        "_request",
        "_runtime",
        "_transport",
        "_unprepared",
        "last",
        "previous",
    )

    def __init__(
        self,
        transport: http.AsyncBaseTransport,
        request: http.Request,
        call: Call,
        seen: RequestHeaders,
        dialect: DialectRuntime,
        hooks: Mapping[str, Hook],
        runtime: Runtime,
    ) -> None:
        self._transport = transport
        self._call = call
        self._dialect = dialect
        self._hooks = hooks
        self._runtime = runtime
        self._request = request
        self._unprepared: RequestHeaders | None = ANONYMOUS[seen.has_id][seen.has_key]
        self._is_replayable = always
        self.last = self.previous = _NONE
        if type(request.stream) is not http.ByteStream:  # it may be refused, before any wait
            self._prepare(seen)

    def _prepare(self, seen: RequestHeaders) -> None:
        """Make the request to send: when it is sent, for a call that waits needs no copy."""
        self._unprepared = None
        self._request, self._is_replayable = prepare(
            self._request,
            self._call,
            self._dialect.dialect,
            seen,
            is_changed=BEFORE_SEND in self._request.extensions,
        )

    @property
    def dialect(self) -> Dialect:
        """How the server speaks."""
        return self._dialect.dialect

    @property
    def is_replayable(self) -> Callable[[], bool]:
        """Says whether the request, or one that a hook made, can be sent (again) now."""
        return self._asked if self._hooks else self._is_replayable

    def _asked(self) -> bool:
        return self._is_replayable()

    async def send(self, step: Send) -> Outcome:
        """Send the request once; return what it came to."""
        if self._unprepared is not None:
            self._prepare(self._unprepared)
        clock, request = self._runtime.now, self._request
        attempt = AttemptResult()
        self.previous, self.last = self.last, attempt
        cut = False
        stamp = request.extensions.get(BEFORE_SEND)
        if stamp is not None:  # a token may have been renewed while the call waited
            stamp(request)
        sent_at = clock()
        try:
            if step.cut_at is None:
                attempt.response = await self._transport.handle_async_request(request)
            else:
                with self._runtime.scope(deadline=step.cut_at) as scope:
                    attempt.response = await self._transport.handle_async_request(request)
                cut = scope.cancelled_caught
        except Exception as error:  # noqa: BLE001 - it is classified, and raised as itself later
            attempt.error = without_this_frame(error)
        at = clock()
        response = attempt.response
        if response is not None and response.status_code < 400:
            headers = response.headers.raw
            outcome = make_outcome(
                (sent_at, at, at, time.time(), response.status_code, headers, b"", None, False)
            )
        else:
            outcome = await self._failed(attempt, sent_at, at, step.cut_at, cut)
        attempt.outcome = outcome
        return outcome

    async def _failed(
        self, attempt: AttemptResult, sent_at: float, at: float, cut_at: float | None, cut: bool
    ) -> Outcome:
        wall = time.time()
        response = attempt.response
        if response is None:
            raised = None if attempt.error is None else failure_from(attempt.error)
            return Outcome(sent_at, at, at, wall, transport_failure=raised, cut=cut)
        headers, body = response.headers.raw, b""
        if isinstance(response.stream, http.AsyncByteStream) and not is_event_stream(headers):
            length, encoding = body_headers(headers)
            response.stream = attempt.peeked = peeked = PeekedStream(response.stream, length)
            if not peeked.is_exhausted:
                await peeked.look(self._runtime, cut_at)
            body = decode(peeked.head, encoding)
        status = response.status_code
        return Outcome(sent_at, at, self._runtime.now(), wall, status, headers, body)

    def admit(self, step: Admit) -> tuple[Awaitable[Woken | None], object]:
        """Return what to await until the call is woken, or the time that this call keeps comes.

        It comes to None if somebody woke it. Thousands may wait here: no frame of ours for each.

        Returns:
            What to await, and the waiter.
        """
        step.waiter.wake = waiter = self._runtime.waiter()
        waited = wait(waiter)
        return waited if step.until is None else self._keep(waited, step.until), waiter

    async def _keep(self, waited: Awaitable[None], until: float) -> Woken | None:
        with self._runtime.scope(deadline=until) as scope:
            await waited
        if scope.cancelled_caught:  # a clock may show a rounding error less than its timer
            return Woken(max(until, self._runtime.now()))
        return None

    async def pause(self, step: Pause, life: Lifetime, waiting: set[Any]) -> Woken:
        """Give the connection back, then sleep, while the transport is open."""
        await self.release_connection()
        if not life.is_closed:
            await self._runtime.rest(step.until, waiting)
        return Woken(max(step.until, self._runtime.now()))

    async def recover(self, step: Recover) -> HookDone:
        """Run the hook for a failure, with the connection free; take the request it returns."""
        attempt, code = self.last, step.failure.code or ""
        failed = FailedAttempt(
            code=code,
            status=step.failure.status or 0,
            attempt=step.attempt,
            error=read_error(attempt.outcome.body, self._dialect.dialect),
        )
        made: http.Request | None = None
        try:
            with self._runtime.scope(deadline=step.cut_at) as scope:
                made = await self._hooks[self._dialect.dialect.key(code)](failed, self._request)
            if scope.cancelled_caught:
                return HookDone(self._runtime.now(), "cut")
            if made is not None:
                self._replace(made, code)
        except Exception as error:  # noqa: BLE001 - it is raised as itself later
            attempt.error = without_this_frame(error)
            return HookDone(self._runtime.now(), "raised", type(error).__name__)
        if made is None:
            return HookDone(self._runtime.now(), "stopped")
        return HookDone(self._runtime.now(), "request", call=self._call)

    def _replace(self, made: object, code: str) -> None:
        request = checks.instance(
            f"recover[{code!r}]: what it returned", made, http.Request, "an httpx.Request or None"
        )
        if origin_of(request.url) != self._call.origin:
            raise ValueError(
                f"recover[{code!r}]: it returned a request to another origin, "
                f"allowed is {self._call.origin}"
            )
        before, call, dialect = self._request, self._call, self._dialect.dialect
        seen = self._dialect.scan(request)
        _, path = split_url(request.url)
        made_call = new_call(request, path, call.origin, dialect, call.order, call.redact, seen)
        self._call = made_call._replace(call_id=call.call_id)
        self._request, self._is_replayable = prepare(
            request, self._call, dialect, seen, is_changed=True
        )
        if "Authorization" in before.headers and "Authorization" not in self._request.headers:
            self._request.headers["Authorization"] = before.headers["Authorization"]
        for key in (BEFORE_SEND, "timeout"):
            if key in before.extensions:
                self._request.extensions.setdefault(key, before.extensions[key])

    def forget(self) -> None:
        """Drop what the attempts left: an exception that is raised holds who holds us."""
        self.last = self.previous = _NONE

    async def release_connection(self) -> None:
        """Close a response that nobody will read on."""
        attempt, response = self.last, self.last.response
        if response is None:
            return
        stream = response.stream
        if attempt.peeked is None and isinstance(stream, http.AsyncByteStream):
            response.stream = attempt.peeked = PeekedStream(stream)  # it says that it was given up
        await close_quietly(response.stream)
