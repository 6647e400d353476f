"""One call's requests: what the driver holds between its steps, whatever the kind of client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._core import checks
from .._core.dialect.dialect import Dialect
from .._core.dialect.envelope import read_error
from .._core.outcome import Call, HookDone, Leased, Outcome
from .._core.steps import Recover
from .._http.binding import Binding
from .._http.bodies import always, body_headers, decode, is_event_stream, without_this_frame
from .._http.failures import failure_from
from .._http.fast import copy_of, split_url
from .._http.requests import ANONYMOUS, RequestHeaders, new_call, origin_of, prepare
from .._http.results import DIALECT, HISTORY, history_of
from .._http.successes import may_hold_error
from .._recovery import FailedAttempt, Hook
from .._registry import DialectRuntime
from .._store.errors import StoreError

if TYPE_CHECKING:
    from .._http import typed as http

BEFORE_SEND = "resilience.before_send"
"""Key in a request's extensions: a callable that puts what is current onto it before each send."""


class Lifetime:
    """One opening of a transport, until it is closed; a call belongs to the one it began in.

    Args:
        found_inner: Called when an attempt shows that another transport of ours is further in.

    Attributes:
        is_closed: Whether it is over: its calls send nothing more.
        found_inner: As given.
    """

    __slots__ = ("found_inner", "is_closed")

    def __init__(self, found_inner: Callable[[], None]) -> None:
        self.is_closed = False
        self.found_inner = found_inner


REPEATED_ABOVE = "resilience.repeated_above"
"""Key in a request's extensions: another transport of ours sends it, and repeats it."""


def mark_as_ours(request: http.Request) -> None:
    """Have a transport of ours further in send a request once, without wait or retry."""
    request.extensions[HISTORY] = None
    request.extensions[REPEATED_ABOVE] = True


class AttemptResult:
    """What one attempt left in the driver's hands."""

    response: http.Response | None = None
    error: Exception | None = None
    peeked: Any = None
    outcome = Outcome(0.0, 0.0, 0.0)


_NONE = AttemptResult()


class Exchange:
    """One call's requests, and the last two attempts' responses or exceptions.

    What sends and waits is of the kind of its client; see its subclasses.

    Attributes:
        life: The opening of the transport that it belongs to.
        last: What the last attempt left.
        previous: What the one before left.
    """

    __slots__ = (
        "_binding",
        "_call",
        "_dialect",
        "_hooks",
        "_is_replayable",
        "_request",
        "_runtime",
        "_transport",
        "_unprepared",
        "last",
        "life",
        "previous",
    )

    needs_copy = False
    """Whether the request is changed for each send, so that it has to be our own."""

    def __init__(
        self,
        binding: Binding,
        transport: Any,
        request: http.Request,
        call: Call,
        seen: RequestHeaders,
        dialect: DialectRuntime,
        hooks: Mapping[str, Hook],
        runtime: Any,
        life: Lifetime,
    ) -> None:
        self._binding = binding
        self._transport = transport
        self._call = call
        self._dialect = dialect
        self._hooks = hooks
        self._runtime = runtime
        self.life = life
        self._request = request
        self._unprepared: RequestHeaders | None = ANONYMOUS[seen.has_id][seen.has_key]
        self._is_replayable = always
        self.last = self.previous = _NONE
        if type(request.stream) is not binding.byte_stream:  # it may be refused, before any wait
            self._prepare(seen)

    def _prepare(self, seen: RequestHeaders) -> None:
        """Make the request to send: when it is sent, for a call that waits needs no copy."""
        self._unprepared = None
        self._request, self._is_replayable = prepare(
            self._binding,
            self._request,
            self._call,
            self._dialect.dialect,
            seen,
            is_changed=self.needs_copy or BEFORE_SEND in self._request.extensions,
        )

    def send_through(self, around: Callable[[Any], Any]) -> None:
        """Put something around the inner transport, for this call's attempts."""
        self._transport = around(self._transport)

    @property
    def call(self) -> Call:
        """What is known of the request, or of the one that a hook made."""
        return self._call

    @property
    def binding(self) -> Binding:
        """The library, and the kind of its client."""
        return self._binding

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

    def _next(self) -> http.Request:
        """Begin an attempt; return the request to send."""
        if self._unprepared is not None:
            self._prepare(self._unprepared)
        request = self._request
        self.previous, self.last = self.last, AttemptResult()
        stamp = request.extensions.get(BEFORE_SEND)
        if stamp is not None:  # a token may have been renewed while the call waited
            stamp(request)
        return request

    def _leased(self, replies: Sequence[Any]) -> Leased:
        """Return what a store answered, without the scripts that failed."""
        now = self._runtime.now()
        failed = [reply for reply in replies if isinstance(reply, StoreError)]
        if len(failed) == len(replies):
            return Leased(now, None, failed[0].reason if failed else "")
        return Leased(now, [None if isinstance(each, StoreError) else each for each in replies])

    def _raised(self, attempt: AttemptResult, sent_at: float, at: float, *, cut: bool) -> Outcome:
        """Return the outcome of an attempt that came to no response."""
        error = attempt.error
        if error is not None:
            self._look_for_inner(history_of(error))
        raised = None if error is None else failure_from(error, self._binding.library)
        return Outcome(sent_at, at, at, time.time(), transport_failure=raised, cut=cut)

    def _peek(self, response: http.Response) -> tuple[Any, str]:
        """Return an error response's body to be looked at, or None, and its content encoding."""
        headers = response.headers.raw
        self._look_for_inner(response.extensions.get(HISTORY))
        if not isinstance(response.stream, self._binding.stream) or is_event_stream(headers):
            return None, ""
        length, encoding = body_headers(headers)
        peeked: Any = self._binding.streams.peeked(response.stream, length)
        response.stream = self.last.peeked = peeked
        return peeked, encoding

    def _look_for_inner(self, history: object) -> None:
        """Note that a failure came through another transport of ours: it retried, too."""
        if history is not None:
            self.life.found_inner()
            if not self.needs_copy:
                self._request = copy_of(self._request, self._request.stream, [])
            mark_as_ours(self._request)

    def _peek_success(self, response: http.Response) -> tuple[Any, str]:
        """Return a success's body to be looked at, or None, and its content encoding.

        One that is in memory stays where it is.
        """
        if not may_hold_error(response, self._binding):
            self._not_seen(response)
            return None, ""
        length, encoding = body_headers(response.headers.raw)
        peeked: Any = self._binding.streams.peeked(response.stream, length)
        self.last.peeked = peeked
        if not peeked.holds_nothing:
            response.stream = peeked
        return peeked, encoding

    def _not_seen(self, response: http.Response) -> None:
        """Let ``error_of`` say what a success holds, once it has been read."""
        response.extensions[DIALECT] = self.dialect

    def _looked_at(
        self, response: http.Response, peeked: Any, encoding: str, outcome: Outcome
    ) -> Outcome:
        """Return the outcome of a success with the body that was looked at, if it is whole."""
        if not peeked.is_exhausted:
            self._not_seen(response)
            return outcome
        return outcome._replace(at=self._runtime.now(), body=decode(peeked.head, encoding))

    def _failed_attempt(self, step: Recover) -> FailedAttempt:
        """Return what a hook is given."""
        outcome = self.last.outcome
        return FailedAttempt(
            code=step.failure.code or "",
            status=step.failure.status or 0,
            attempt=step.attempt,
            error=read_error(
                outcome.body, self.dialect, status=outcome.status, headers=outcome.headers
            ),
        )

    def _hook_for(self, code: str) -> Any:
        return self._hooks[self._dialect.dialect.key(code)]

    def _hook_raised(self, error: Exception) -> HookDone:
        self.last.error = without_this_frame(error)
        return HookDone(self._runtime.now(), "raised", type(error).__name__)

    def _replace(self, made: object, code: str) -> None:
        request = checks.instance(
            f"recover[{code!r}]: what it returned",
            made,
            self._binding.request,
            f"an {self._binding.name}.Request or None",
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
            self._binding, request, self._call, dialect, seen, is_changed=True
        )
        if "Authorization" in before.headers and "Authorization" not in self._request.headers:
            self._request.headers["Authorization"] = before.headers["Authorization"]
        for key in (BEFORE_SEND, "timeout"):
            if key in before.extensions:
                self._request.extensions.setdefault(key, before.extensions[key])

    def forget(self) -> None:
        """Drop what the attempts left: an exception that is raised holds who holds us."""
        self.last = self.previous = _NONE

    def _to_close(self) -> Any:
        """Return the body of a response that nobody will read on, or None."""
        attempt, response = self.last, self.last.response
        if response is None:
            return None
        if attempt.peeked is None and isinstance(response.stream, self._binding.stream):
            # It says that it was given up.
            peeked: Any = self._binding.streams.peeked(response.stream)
            response.stream = attempt.peeked = peeked
        return attempt.peeked


class Outer(Exchange):
    """What requests bear more where another transport of ours is further in: that they do."""

    __slots__ = ()

    needs_copy = True

    def _prepare(self, seen: RequestHeaders) -> None:
        super()._prepare(seen)
        mark_as_ours(self._request)

    def _replace(self, made: object, code: str) -> None:
        super()._replace(made, code)
        mark_as_ours(self._request)

    def _look_for_inner(self, history: object) -> None:
        """Note nothing: it is known."""
