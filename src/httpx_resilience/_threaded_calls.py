"""The calls of threads: what they share changes under a lock, one call's step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ._call import Calls
from ._core.retry.origin_status import OriginStatus
from ._core.steps import Admit, CallFlow, Reply, Step
from ._core.telemetry.events import Event
from ._core.throttle import RateLimitStatus
from ._exchange.exchange import Lifetime
from ._exchange.threaded import SyncExchange
from ._runtime import threads
from .instrumentation.history import CallHistory
from .instrumentation.sink import DeferredSink


class LockedFlow:
    """A call's flow among threads: a step of it is taken under the lock, and whole.

    The events of a step are emitted after it: a listener may take its time, or send requests.
    """

    __slots__ = ("_flow", "_has_begun", "_runtime", "_sink")

    def __init__(self, flow: CallFlow, runtime: threads.Runtime, sink: DeferredSink) -> None:
        self._flow = flow
        self._has_begun = False
        self._runtime = runtime
        self._sink = sink

    def __next__(self) -> Step:
        return self.send(None)

    def send(self, reply: Reply | None) -> Step:
        """Take the next step, as a generator's ``send`` does; wake whom it wakes.

        Raises:
            KeyboardInterrupt: Ctrl-C came meanwhile; the step was taken.
            StopIteration: The flow has ended.
        """
        events: Sequence[Event] = ()
        handler = threads.hold_interrupts()
        try:
            if reply is not None and not self._has_begun:  # interrupted before it held anything
                raise StopIteration
            with self._runtime.lock:
                self._has_begun = True
                try:
                    step = self._flow.send(cast("Reply", reply))
                    if isinstance(step, Admit):  # from now on others may wake it
                        step.waiter.wake = self._runtime.waiter()
                finally:
                    events = self._sink.take()
            if step.wake:  # here, where nothing comes between
                for waiter in step.wake:
                    if waiter.wake is not None:
                        threads.notify(waiter.wake)
                step = step._replace(wake=())
        finally:
            try:
                if handler is not None:
                    threads.release_interrupts(handler)
            finally:
                if events:
                    self._sink.hand_out(events)
        return step

    def close(self) -> None:
        """End the flow."""
        self._flow.close()


class ThreadCalls(Calls[SyncExchange]):
    """The calls of a synchronous transport: of the threads of one process."""

    exchange_type = SyncExchange
    sink_type = DeferredSink
    _sink: DeferredSink
    _bound: threads.Runtime | None = None

    def bind(self, before: threads.Runtime | None) -> threads.Runtime:
        """Start afresh: at first use, and in the child of a fork."""
        with threads.process().lock:
            if self._bound is None or not self._bound.is_running:
                self._sink.take()
                self.start_afresh()
                self._bound = threads.Runtime()
            return self._bound

    def begin(
        self, transport: Any, request: Any, runtime: threads.Runtime, life: Lifetime
    ) -> tuple[CallFlow, SyncExchange, CallHistory]:
        """Return a call's flow, and what the driver holds of it while it waits."""
        with runtime.lock:
            flow, exchange, history = super().begin(transport, request, runtime, life)
        return cast("CallFlow", LockedFlow(flow, runtime, self._sink)), exchange, history

    def statuses(self, now: float) -> tuple[RateLimitStatus, ...]:
        """Return what is known of every rate limit."""
        with self._lock():
            return super().statuses(now)

    def origins(self, now: float) -> tuple[OriginStatus, ...]:
        """Return what is known of every origin."""
        with self._lock():
            return super().origins(now)

    def _lock(self) -> Any:
        if self._bound is None:
            return threads.process().lock
        return self.bind(self._bound).lock  # the parent's may have been held when it forked
