"""A step of a threaded call's flow: taken under the lock, its events handed out after it."""

import threading
from collections.abc import Generator
from typing import Any

import pytest

from httpx_resilience._core.steps import Done, Pause
from httpx_resilience._runtime.threads import Runtime
from httpx_resilience._threaded_calls import LockedFlow
from httpx_resilience.instrumentation.sink import DeferredSink

EVENT: Any = object()


def is_held(runtime: Runtime) -> bool:
    """Return whether another thread would have to wait for the lock."""
    free: list[bool] = []

    def look() -> None:
        free.append(runtime.lock.acquire(blocking=False))
        if free[0]:
            runtime.lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return not free[0]


class Sink(DeferredSink):
    """One that sees whether the lock is held while it hands out events."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.kept_back = [EVENT]
        self.held: list[bool] = []

    def take(self) -> list[Any]:
        events, self.kept_back = self.kept_back, []
        return events

    def hand_out(self, events: Any) -> None:
        assert events == [EVENT]
        self.held.append(is_held(self.runtime))


def test_a_step_is_taken_under_the_lock_and_its_events_are_handed_out_after_it() -> None:
    runtime = Runtime()
    held: list[bool] = []
    sink = Sink(runtime)

    def flow() -> Generator[Any, Any, Any]:
        held.append(is_held(runtime))
        yield Pause(0.0)
        held.append(is_held(runtime))
        yield Done("success")

    locked = LockedFlow(flow(), runtime, sink)
    locked.send(None)
    locked.send(None)
    assert held == [True, True]
    assert sink.held == [False]
    assert not is_held(runtime)


def test_a_step_that_raises_leaves_the_lock_free_and_hands_its_events_out() -> None:
    runtime = Runtime()
    sink = Sink(runtime)

    def flow() -> Generator[Any, Any, Any]:
        yield Pause(0.0)
        raise ZeroDivisionError

    locked = LockedFlow(flow(), runtime, sink)
    locked.send(None)
    sink.kept_back = [EVENT]
    with pytest.raises(ZeroDivisionError):
        locked.send(None)
    assert not is_held(runtime)
    assert sink.held == [False, False]
