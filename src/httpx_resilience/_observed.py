"""Calls that somebody observes as a whole: traces and metrics are made of what is seen here.

A call's flow yields its steps to the driver and is fed what they came to. Observed calls have one
around it, which passes both on and looks at them; without observers there is no such thing, and
the driver knows nothing of either.

On its way a call's context is the caller's task, or thread: what a watch sets there while it is
called stays set while the driver carries out the step, and is there for what is sent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ._call import AsyncCalls, Calls, E
from ._core.outcome import Cancelled, Outcome
from ._core.retry.decision import SUCCESS
from ._core.steps import START, CallFlow, Done, Result, Send, Step
from ._core.telemetry.events import AttemptFinished, Event, GaveUp
from ._core.telemetry.recorder import shown_path
from ._exchange.exchange import REPEATED_ABOVE, Exchange, Lifetime
from ._http.fast import copy_of
from .instrumentation.attempts import resends, set_resends
from .instrumentation.history import CallHistory
from .instrumentation.observer import CallObserver, Ending, ObservedCall, Watch
from .instrumentation.sink import Listener

if TYPE_CHECKING:
    from ._http import typed as http

CANCELLED = "cancelled"
"""Why a call ended that its caller no longer wanted; not a decision of ours."""

_ERRORS: dict[Result, str] = {
    "deadline": "DeadlineExceeded",
    "throttled": "ThrottleTimeout",
    "closed": "TransportClosed",
}
"""What the caller gets where a call comes to no outcome of its own."""

Watcher = Callable[[ObservedCall], tuple[Watch, ...]]


def attach(transport: Any, listeners: Sequence[Listener]) -> None:
    """Let everything that was given by ``on_event=`` and wants it know its transport."""
    for listener in listeners:
        target = listener if isinstance(listener, CallObserver) else listener.callback
        known = getattr(type(target), "attach", None)
        if known is not None:
            known(target, transport)


def is_observed(listeners: Sequence[Listener]) -> bool:
    """Return whether any of the listeners observes whole calls."""
    return any(isinstance(listener, CallObserver) for listener in listeners)


class Observed(Calls[E]):
    """What calls of either kind do where they are observed."""

    _watchers: tuple[tuple[int, Watcher], ...] | None = None

    def begin(
        self, transport: Any, request: Any, runtime: Any, life: Lifetime
    ) -> tuple[Any, E, CallHistory]:
        """Return a call's flow, observed, and what the driver holds of it while it waits."""
        flow, exchange, history = super().begin(transport, request, runtime, life)
        watchers = self._watchers
        if watchers is None:  # not before a call is sent: what is further in may be changed
            watchers = self._watchers = tuple(self._made_watchers(transport))
        watches = Watches(self._sink.report)
        call = _observed_call(request, exchange, runtime)
        for index, watcher in watchers:
            watches.add(index, watcher, call)
        exchange.send_through(watches.around)
        is_original = not call.is_repeated_above
        return ObservedFlow(flow, exchange, history, watches, is_original), exchange, history

    def _made_watchers(self, transport: Any) -> Iterator[tuple[int, Watcher]]:
        for index, listener in enumerate(self.listeners):
            if isinstance(listener, CallObserver):
                try:
                    yield index, listener.watcher(transport)
                except Exception as error:  # noqa: BLE001 - an observer must not break a call
                    self._sink.report(index, error)


class ObservedAsyncCalls(Observed[Any], AsyncCalls):
    """The calls of an asynchronous transport, observed."""


def _observed_call(request: http.Request, exchange: Exchange, runtime: Any) -> ObservedCall:
    call, dialect = exchange.call, exchange.dialect
    return ObservedCall(
        call_id=call.call_id,
        origin=call.origin,
        method=call.method,
        path=shown_path(call),
        dialect=dialect.name,
        knows=(lambda code: dialect.spec(code) is not None) if dialect.codes else None,
        now=runtime.now,
        is_repeated_above=REPEATED_ABOVE in request.extensions,
    )


class Watches:
    """All that observe one call; what one raises is reported once, and goes no further.

    Args:
        report: Is given the place of the observer among the listeners, and what was raised.
    """

    __slots__ = ("_all", "_report")

    def __init__(self, report: Callable[[int, Exception], None]) -> None:
        self._report = report
        self._all: list[tuple[int, Watch]] = []

    def add(self, index: int, watcher: Watcher, call: ObservedCall) -> None:
        """Have one more observer observe the call."""
        try:
            self._all += ((index, watch) for watch in watcher(call))
        except Exception as error:  # noqa: BLE001 - an observer must not break a call
            self._report(index, error)

    def enter(self, method: str, *given: Any) -> None:
        """Call a method of each, in order."""
        self._call(self._all, method, given)

    def leave(self, method: str, *given: Any) -> None:
        """Call a method of each in reverse order, so that what one has set lies within another."""
        self._call(self._all[::-1], method, given)

    def _call(self, watches: Sequence[tuple[int, Watch]], method: str, given: Any) -> None:
        for index, watch in watches:
            try:
                getattr(watch, method)(*given)
            except Exception as error:  # noqa: BLE001 - as above
                self._report(index, error)

    def around(self, transport: Any) -> Any:
        """Return a transport with what the watches add to an attempt's headers; if they do."""
        plain = Watch.add_headers
        is_plain = all(type(watch).add_headers is plain for _, watch in self._all)
        return transport if is_plain else _WithHeaders(transport, self)


class _WithHeaders:
    """An inner transport whose requests carry what watches add, each on a copy of its own."""

    __slots__ = ("_inner", "_watches")

    def __init__(self, inner: Any, watches: Watches) -> None:
        self._inner = inner
        self._watches = watches

    def _copy(self, request: http.Request) -> http.Request:
        copy = copy_of(request, request.stream, [])
        copy.extensions = request.extensions  # the driver changes timeouts in it meanwhile
        self._watches.enter("add_headers", copy.headers)
        return copy

    def handle_async_request(self, request: Any) -> Any:
        """Return what to await for the response."""
        return self._inner.handle_async_request(self._copy(request))

    def handle_request(self, request: Any) -> Any:
        """Return the response."""
        return self._inner.handle_request(self._copy(request))


class ObservedFlow:
    """A call's flow, with watches that learn what it is fed and what it yields.

    Args:
        flow: The flow.
        exchange: What the driver holds of the call: its responses and exceptions.
        history: What happened to the call.
        watches: They observe it.
        is_original: It is no call that another transport of ours repeats, and numbers.
    """

    __slots__ = (
        "_attempt",
        "_before",
        "_exchange",
        "_flow",
        "_gave_up",
        "_history",
        "_is_open",
        "_is_original",
        "_last",
        "_watches",
    )

    def __init__(
        self,
        flow: CallFlow,
        exchange: Exchange,
        history: CallHistory,
        watches: Watches,
        is_original: bool,
    ) -> None:
        self._flow = flow
        self._exchange = exchange
        self._history = history
        self._watches = watches
        self._is_original = is_original
        self._is_open = False
        self._attempt = 0
        self._before: int | None = None
        self._last: Event | None = None
        self._gave_up: GaveUp | None = None

    def send(self, reply: Any) -> Step:
        """Take the next step, as a generator's ``send`` does."""
        if reply is START:
            self._is_open = True
            self._watches.enter("started")
        is_received = self._before is not None
        error = sys.exception() if isinstance(reply, Cancelled) else None
        if is_received:
            self._leave_attempt(is_elsewhere=isinstance(error, GeneratorExit))
        try:
            step = self._flow.send(reply)
        except BaseException as ended:
            self._cancelled(ended if error is None else error, is_sent=is_received)
            raise
        self._learn(reply if is_received and isinstance(reply, Outcome) else None)
        if isinstance(step, Send):
            self._enter_attempt(step.attempt)
        elif isinstance(step, Done):
            self._finish(self._ending(step))
        return step

    @property
    def gi_suspended(self) -> bool:
        """Whether it has begun and not ended."""
        flow: Any = self._flow
        return bool(flow.gi_suspended)

    def close(self) -> None:
        """End the flow."""
        self._flow.close()

    def _enter_attempt(self, number: int) -> None:
        self._attempt = number
        self._before = set_resends(number - 1 if self._is_original else resends())
        self._watches.enter("attempt_started", number)

    def _leave_attempt(self, *, is_elsewhere: bool) -> None:
        self._watches.leave("attempt_received", is_elsewhere)
        if not is_elsewhere or resends() == self._attempt - 1:
            set_resends(self._before or 0)
        self._before = None

    def _learn(self, outcome: Outcome | None) -> None:
        """Report to the watches what has happened since, and what an attempt came to."""
        news = self._news()
        if outcome is not None:
            failures = (e for e in news if isinstance(e, AttemptFinished) and e.error_class)
            self._watches.leave(
                "attempt_finished", outcome.status or None, next(failures, None), None
            )
        for event in news:
            if not isinstance(event, AttemptFinished):
                self._watches.enter("happened", event)
            if isinstance(event, GaveUp):
                self._gave_up = event

    def _news(self) -> Sequence[Event]:
        news = []
        for event in reversed(self._history.events):
            if event is self._last:
                break
            news.append(event)
        if news:
            self._last = news[0]
        return news[::-1]

    def _ending(self, done: Done) -> Ending:
        exchange, failure = self._exchange, self._gave_up
        last = exchange.previous if done.result == "previous" else exchange.last
        status, name = last.outcome.status or None, _ERRORS.get(done.result)
        if name is None and last.error is not None:
            name = type(last.error).__name__
        if done.reason == SUCCESS or name is not None or failure is None:
            code = None
        else:
            code = failure.code
        return Ending(done.reason, self._attempt, None if name is not None else status, code, name)

    def _cancelled(self, error: BaseException, *, is_sent: bool) -> None:
        """End what is observed of a call that ended without an answer."""
        name, is_elsewhere = type(error).__name__, isinstance(error, GeneratorExit)
        if is_sent:
            self._watches.leave("attempt_finished", None, None, name)
        self._finish(Ending(CANCELLED, self._attempt, None, None, name, is_elsewhere))

    def _finish(self, ending: Ending) -> None:
        if self._is_open:
            self._is_open = False
            self._watches.leave("finished", ending)
