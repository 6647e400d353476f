"""The calls of threads: what they share changes under a lock, one call's step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._call import Calls
from ._core.retry.origin_status import OriginStatus
from ._core.steps import Admit, CallFlow, Step
from ._core.telemetry.events import Event
from ._core.throttle import RateLimitStatus
from ._exchange.exchange import Lifetime
from ._exchange.threaded import OuterSyncExchange, SyncExchange
from ._observed import Observed
from ._runtime.threads import (
    Runtime,
    hold_interrupts,
    notify,
    process,
    release_interrupts,
)
from .instrumentation.history import CallHistory
from .instrumentation.sink import DeferredSink

_NONE: Sequence[Event] = ()


class LockedFlow:
    """A call's flow among threads: a step of it is taken under the lock, and whole.

    The events of a step are emitted after it: a listener may take its time, or send requests.
    """

    __slots__ = ("_flow", "_runtime", "_sink")

    def __init__(self, flow: CallFlow, runtime: Runtime, sink: DeferredSink) -> None:
        self._flow = flow
        self._runtime = runtime
        self._sink = sink

    def send(self, reply: Any) -> Step:
        """Take the next step, as a generator's ``send`` does; wake whom it wakes.

        Raises:
            KeyboardInterrupt: Ctrl-C came meanwhile; the step was taken.
            StopIteration: The flow has ended.
        """
        sink, events = self._sink, _NONE
        handler = hold_interrupts()
        try:
            with self._runtime.lock:
                try:
                    step = self._flow.send(reply)
                    if type(step) is Admit:  # from now on others may wake it
                        step.waiter.wake = self._runtime.waiter()
                finally:
                    if sink.kept_back:
                        events = sink.take()
            if step.wake:  # here, where nothing comes between
                for waiter in step.wake:
                    if waiter.wake is not None:
                        notify(waiter.wake)
                step = step._replace(wake=())
        finally:
            try:
                if handler is not None:
                    release_interrupts(handler)
            finally:
                if events:
                    sink.hand_out(events)
        return step

    @property
    def gi_suspended(self) -> bool:
        """Whether it has begun and not ended."""
        flow: Any = self._flow
        return bool(flow.gi_suspended)

    def close(self) -> None:
        """End the flow."""
        self._flow.close()


class ThreadCalls(Calls[SyncExchange]):
    """The calls of a synchronous transport: of the threads of one process."""

    exchange_type = SyncExchange
    outer_exchange_type = OuterSyncExchange
    sink_type = DeferredSink
    _sink: DeferredSink
    _bound: Runtime | None = None

    def bind(self, before: Runtime | None) -> Runtime:
        """Start afresh: at first use, and in the child of a fork."""
        with process().lock:
            if self._bound is None or not self._bound.is_running:
                self._sink.take()
                self.start_afresh()
                self._bound = Runtime()
            return self._bound

    def begin(
        self, transport: Any, request: Any, runtime: Runtime, life: Lifetime
    ) -> tuple[Any, SyncExchange, CallHistory]:
        """Return a call's flow, and what the driver holds of it while it waits."""
        with runtime.lock:
            flow, exchange, history = Calls.begin(self, transport, request, runtime, life)
        return LockedFlow(flow, runtime, self._sink), exchange, history

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
            return process().lock
        return self.bind(self._bound).lock  # the parent's may have been held when it forked


class ObservedThreadCalls(Observed[SyncExchange], ThreadCalls):
    """The calls of a synchronous transport, observed: outside of the lock."""
